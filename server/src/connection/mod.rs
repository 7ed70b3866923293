//! Connections: listeners, TLS, limits, and the two encoders, hyper's and the fast path's.

mod fast_path;
mod host;
mod http;
mod listener;
mod security;
mod threads;
#[cfg(feature = "tls")]
mod tls;

pub(crate) use listener::{Options, adopt, listen, serve};
pub(crate) use security::Security;
pub(crate) use threads::Threads;

pub use listener::Limits;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};
