//! Socket options that differ between systems, one small function each.
//!
//! The rest of the library is the same everywhere; only the program asks which system it is on, for
//! its signals.

use std::io;

use tokio::net::{TcpSocket, TcpStream};

/// Lets the socket have an address that was in use a moment ago.
#[cfg(unix)]
pub(crate) fn reuse_address(socket: &TcpSocket) -> io::Result<()> {
    socket.set_reuseaddr(true)
}

/// Here that needs no asking; asked for, it would let two servers have the same address.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn reuse_address(_: &TcpSocket) -> io::Result<()> {
    Ok(())
}

/// Keeps a connection from the processes that this one starts. On Windows they inherit what a
/// listener accepts, and hold it open: a planned RST would come only when the last of them ends.
#[cfg(windows)]
pub(crate) fn keep_from_children(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_no_inherit(true)
}

/// Elsewhere accepted connections are not inherited.
#[cfg(not(windows))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn keep_from_children(_: &TcpStream) -> io::Result<()> {
    Ok(())
}
