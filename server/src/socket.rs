//! Socket options that tokio does not know or that differ between systems, one small function each.
//!
//! The rest of the library is the same everywhere; only the program asks which system it is on, for
//! its signals.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
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

/// Lets the socket have nothing of IPv4: its port may be another socket's there.
pub(crate) fn speak_ipv6_only(socket: &TcpSocket) -> io::Result<()> {
    SockRef::from(socket).set_only_v6(true)
}

/// How often a client that sends no more is asked whether it is still there.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);

/// Lets the system ask the client, from now on, whether it is still there. One that has closed its
/// connection looks like one that has closed its own side only, until its system has forgotten the
/// connection, a minute later on most; then the answer is an RST.
pub(crate) fn probe(stream: &TcpStream) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(PROBE_INTERVAL)
        .with_interval(PROBE_INTERVAL);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

/// Keeps a connection from the processes that this one starts. On Windows they inherit what a
/// listener accepts, and hold it open: a planned RST would come only when the last of them ends.
#[cfg(windows)]
pub(crate) fn keep_from_children(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_no_inherit(true)
}

/// Elsewhere accepted connections are not inherited.
#[cfg(not(windows))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn keep_from_children(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

/// The address that a client on this machine uses for a listener bound to `address`.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
