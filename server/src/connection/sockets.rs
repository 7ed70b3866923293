//! The sockets of a listener: opening them, all with one port, and accepting from whichever has a
//! client.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::Poll;

use flag_host::limit_unsent;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tracing::debug;

use crate::socket;

/// How many clients may wait to be accepted, if the system allows as many. With the usual 128, a
/// burst of clients overflows the queue, and who is left out tries again after a whole second.
const BACKLOG: u32 = 4096;

/// The most bytes that the kernel keeps for a client that has no room for them. With its usual
/// buffers, writing would go on for megabytes, and so would the time until it is known whether a
/// slow client takes any.
const MAX_UNSENT: u32 = 128 * 1024;

/// How many free ports of the first address are tried on the others.
const MAX_PORTS: usize = 100;

/// One more address of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherAddress {
    /// The address.
    pub ip: IpAddr,
    /// Whether it is left out on a machine that does not have it.
    pub is_optional: bool,
}

/// Why an address cannot be listened on.
#[derive(Debug)]
pub(crate) struct NotListening {
    pub(crate) address: SocketAddr,
    pub(crate) reason: io::Error,
}

/// The sockets of one listener; never none.
#[derive(Debug)]
pub(crate) struct Sockets(Vec<TcpListener>);

impl Sockets {
    /// Listens on `address`, and with its port on the others. All may have been in use a moment
    /// ago.
    pub(crate) fn open(address: SocketAddr, others: &[OtherAddress]) -> Result<Self, NotListening> {
        let failed = |reason| NotListening { address, reason };
        // Kept until the end, or the system would choose the same ports again.
        let mut in_vain = Vec::new();
        loop {
            let first = listen(address, !others.is_empty()).map_err(failed)?;
            let port = first.local_addr().map_err(failed)?.port();
            let error = match listen_on_others(others, port) {
                Ok(mut sockets) => {
                    sockets.insert(0, first);
                    return Ok(Self(sockets));
                }
                Err(error) => error,
            };
            in_vain.push(first);
            let is_taken = error.reason.kind() == io::ErrorKind::AddrInUse;
            if address.port() != 0 || !is_taken || in_vain.len() == MAX_PORTS {
                return Err(error);
            }
        }
    }

    /// A socket that the caller has opened.
    pub(crate) fn adopt(socket: &std::net::TcpListener) -> io::Result<Self> {
        let socket = socket.try_clone()?;
        socket.set_nonblocking(true)?;
        limit_unsent(&socket, MAX_UNSENT).ok();
        Ok(Self(vec![TcpListener::from_std(socket)?]))
    }

    /// The first address, with the real port.
    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0[0].local_addr()
    }

    /// The next client of any of them.
    pub(crate) async fn accept(&self) -> io::Result<TcpStream> {
        poll_fn(|cx| {
            for socket in &self.0 {
                if let Poll::Ready(accepted) = socket.poll_accept(cx) {
                    return Poll::Ready(accepted.map(|(stream, _)| stream));
                }
            }
            Poll::Pending
        })
        .await
    }
}

fn listen_on_others(others: &[OtherAddress], port: u16) -> Result<Vec<TcpListener>, NotListening> {
    let mut sockets = Vec::new();
    for OtherAddress { ip, is_optional } in others {
        let address = SocketAddr::new(*ip, port);
        match listen(address, true) {
            Ok(socket) => sockets.push(socket),
            // A system says in several ways that it has no IPv6.
            Err(reason) if *is_optional && reason.kind() != io::ErrorKind::AddrInUse => {
                debug!(%address, %reason, "left out");
            }
            Err(reason) => return Err(NotListening { address, reason }),
        }
    }
    Ok(sockets)
}

/// A socket of IPv6 alone, if there are others: they may be of IPv4.
fn listen(address: SocketAddr, has_others: bool) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if address.is_ipv6() && has_others {
        socket::speak_ipv6_only(&socket)?;
    }
    socket::reuse_address(&socket)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    limit_unsent(&listener, MAX_UNSENT).ok(); // a kernel without it is no reason not to serve
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn other(ip: &str, is_optional: bool) -> OtherAddress {
        let ip = ip.parse().unwrap();
        OtherAddress { ip, is_optional }
    }

    fn any_port(ip: Ipv4Addr) -> SocketAddr {
        SocketAddr::from((ip, 0))
    }

    #[cfg(target_os = "linux")] // elsewhere, 127.0.0.2 is no address of the machine
    #[tokio::test]
    async fn all_sockets_have_one_port_and_all_are_accepted_from() {
        let others = [other("127.0.0.2", false), other("127.0.0.3", true)];
        let sockets = Sockets::open(any_port(Ipv4Addr::LOCALHOST), &others).unwrap();
        let port = sockets.local_addr().unwrap().port();
        for ip in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
            let client = TcpStream::connect((ip, port)).await.unwrap();
            let accepted = sockets.accept().await.unwrap();
            assert_eq!(accepted.peer_addr().unwrap(), client.local_addr().unwrap());
        }
    }

    #[tokio::test]
    async fn an_address_that_the_machine_lacks_is_left_out_only_if_it_is_optional() {
        // Reserved for documentation.
        let open = |is_optional| {
            let others = [other("192.0.2.1", is_optional)];
            Sockets::open(any_port(Ipv4Addr::LOCALHOST), &others)
        };
        assert_eq!(open(true).unwrap().0.len(), 1);
        let error = open(false).unwrap_err();
        assert_eq!(error.address.ip(), other("192.0.2.1", false).ip);
        assert_eq!(error.reason.kind(), io::ErrorKind::AddrNotAvailable);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_port_that_another_program_has_on_one_of_them_is_not_shared() {
        let others = [other("127.0.0.2", true)];
        let taken = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = Sockets::open((Ipv4Addr::LOCALHOST, port).into(), &others).unwrap_err();
        assert_eq!(error.address, taken.local_addr().unwrap());
        assert_eq!(error.reason.kind(), io::ErrorKind::AddrInUse);
        // Any free port is one that all of them have.
        let free = Sockets::open(any_port(Ipv4Addr::LOCALHOST), &others).unwrap();
        assert_eq!(free.0.len(), 2);
    }
}
