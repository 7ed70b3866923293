//! Connections: listeners, TLS, limits, and the two encoders, hyper's and the fast path's.

mod cors;
mod fast_path;
mod host;
mod http;
mod listener;
mod security;
mod sockets;
mod threads;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "http2")]
mod untaken;

pub(crate) use listener::{Options, serve};
pub(crate) use security::Security;
pub(crate) use sockets::{NotListening, Sockets};
pub(crate) use threads::Threads;

pub use listener::Limits;
pub use sockets::OtherAddress;
#[cfg(feature = "tls")]
pub use tls::{Tls, TlsError};
