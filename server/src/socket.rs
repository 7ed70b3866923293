//! What not every system can do: each such thing is one small function here, and beside it what is done where it is missing.
//!
//! It decides nothing, and knows nothing of flags. The rest of the library is the same everywhere; only the program asks which system
//! it is on, for its signals.

use std::io;

use tokio::net::{TcpSocket, TcpStream};

/// Whether the kernel has sent all that it was given. A client that reads slowly makes it keep megabytes back.
/// An RST discards what has not been sent.
///
/// With this option, Linux calls a socket writable only when nothing of it is unsent (tcp(7) does not say so, but
/// `tcp_poll` does).
#[cfg(target_os = "linux")]
pub(crate) fn is_sent(stream: &TcpStream) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(1)?;
    let events = poll(
        &mut [PollFd::new(stream, PollFlags::OUT)],
        Some(&Timespec::default()),
    )?;
    Ok(events > 0) // an error is an event too, and then nothing will ever be sent
}

/// Other systems are not asked: there a client that reads slowly may meet a planned RST before the last bytes that were planned.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn is_sent(_: &TcpStream) -> io::Result<bool> {
    Ok(true)
}

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

/// Keeps a connection from the processes that this one starts. On Windows they inherit what a listener accepts, and hold it open: a
/// planned RST would come only when the last of them ends.
#[cfg(windows)]
pub(crate) fn keep_from_children(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_no_inherit(true)
}

/// Nobody inherits it here.
#[cfg(not(windows))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn keep_from_children(_: &TcpStream) -> io::Result<()> {
    Ok(())
}
