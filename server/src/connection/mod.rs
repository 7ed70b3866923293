//! Connections: listeners, TLS, limits, the fast path, and shutdown.

mod fast_path;
mod listener;
mod shutdown;
mod threads;
mod tls;

pub(crate) use listener::{listen, serve};
pub(crate) use shutdown::{Closing, Curfew};
pub(crate) use threads::Threads;

pub use listener::Limits;
pub use shutdown::Stopped;
pub use tls::{Tls, TlsError};
