//! Connections: listeners, TLS, limits, and the two encoders, hyper's and the fast path's.

mod fast_path;
mod http;
mod listener;
mod threads;
mod tls;

pub(crate) use listener::{listen, serve};
pub(crate) use threads::Threads;

pub use listener::Limits;
pub use tls::{Tls, TlsError};
