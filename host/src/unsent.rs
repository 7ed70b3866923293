//! How much of a socket the kernel has not sent.

use std::io;

/// Limits what the kernel keeps of what was written to a socket and not sent. More has to wait
/// until half of it is sent. A socket that is accepted has the limit of the one that listens.
///
/// # Errors
/// When the socket is not one of TCP.
#[cfg(target_os = "linux")]
pub fn limit_unsent(socket: &impl std::os::fd::AsFd, bytes: u32) -> io::Result<()> {
    socket2::SockRef::from(socket).set_tcp_notsent_lowat(bytes)
}

/// Other systems keep as much as their buffers hold.
///
/// # Errors
/// Never.
#[cfg(not(target_os = "linux"))]
pub fn limit_unsent<S>(_: &S, _: u32) -> io::Result<()> {
    Ok(())
}

/// Whether the kernel has sent everything that was written to this socket. A client that reads
/// slowly makes it keep megabytes back, and an RST discards what has not been sent.
///
/// # Errors
/// When the socket is not one of TCP.
#[cfg(target_os = "linux")]
pub fn is_sent(socket: &impl std::os::fd::AsFd) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    // With this option, Linux calls a socket writable only when nothing of it is unsent (tcp(7)
    // does not say so, but `tcp_poll` does).
    socket2::SockRef::from(socket).set_tcp_notsent_lowat(1)?;
    let events = poll(
        &mut [PollFd::new(socket, PollFlags::OUT)],
        Some(&Timespec::default()),
    )?;
    Ok(events > 0) // an error is an event too, and then nothing will ever be sent
}

/// Other systems have no such question: a client that reads slowly may meet a planned RST before
/// the last bytes that were planned.
///
/// # Errors
/// Never.
#[cfg(not(target_os = "linux"))]
pub fn is_sent<S>(_: &S) -> io::Result<bool> {
    Ok(true)
}
