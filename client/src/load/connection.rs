//! One connection: it sends a request, and reads the answer.
//!
//! Requests are bytes that were built once, and of answers only what [`Answer`] keeps is used. All
//! connections of a thread share one read buffer, so that tens of thousands of them need little
//! memory.

use std::cell::RefCell;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service as _;

use super::answer::{Answer, BadAnswer};
use super::spec::Load;

use crate::download::http::exchange::install_crypto;
use crate::download::{AttemptError, SetupError, error_chain};
use crate::result::Failure;

/// The most bytes that a thread reads at once.
const BUFFER: usize = 64 * 1024;

thread_local! {
    /// In use from a read until what was read has been parsed.
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
}

/// The most connections from one address to a server: systems have about 28,000 ports for them.
const PORTS: usize = 20_000;

/// Makes connections to one server.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    tls: ClientConfig,
    is_loopback: bool,
    uri: Uri,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct RequestError {
    pub(super) failure: Failure,
    /// The error text.
    pub(super) cause: String,
}

impl RequestError {
    fn broken(cause: &(impl ToString + ?Sized)) -> Self {
        Self {
            failure: Failure::Broken,
            cause: cause.to_string(),
        }
    }

    fn connect(error: &(dyn Error + 'static)) -> Self {
        let chain = error_chain(error);
        let cause = if is_without_port(error) {
            format!(
                "no port is free ({chain}): a connection that this side closes keeps its port for a minute; keep connections alive, or \
                 take a lower rate (-r)"
            )
        } else {
            chain
        };
        Self {
            failure: Failure::Connect,
            cause,
        }
    }

    fn too_large(limit: u64) -> Self {
        Self {
            failure: Failure::TooLarge,
            cause: AttemptError::too_large(limit).message().to_owned(),
        }
    }

    pub(super) fn timeout(limit: Duration) -> Self {
        Self {
            failure: Failure::Timeout,
            cause: format!(
                "no complete answer in {}",
                humantime::format_duration(limit)
            ),
        }
    }
}

/// Whether the system had no port for a connection.
fn is_without_port(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let error_kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if let Some(io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse) = error_kind {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An open connection.
#[derive(Debug)]
pub(super) enum Connection {
    Plain(TcpStream),
    Tls(Box<TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>>),
}

impl Connector {
    pub(super) fn new(load: &Load) -> Result<Self, SetupError> {
        install_crypto();
        let http = |error: &dyn std::fmt::Display| SetupError::Http(error.to_string());
        let tls = ClientConfig::builder();
        let tls = if load.url.scheme() == "https" {
            tls.try_with_platform_verifier()
                .map_err(|error| http(&error))?
        } else {
            tls.with_root_certificates(RootCertStore::empty())
        };
        let host = load.url.host_str().unwrap_or_default();
        let address = host.parse::<Ipv4Addr>();
        let is_loopback = address.map_or(host == "localhost", |address| address.is_loopback());
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(load.timeout));
        Ok(Self {
            tcp,
            tls: tls.with_no_client_auth(),
            is_loopback,
            uri: load.url.as_str().parse().map_err(|error| http(&error))?,
        })
    }

    /// Makes the connection with this number (the first is 0).
    pub(super) async fn connect(&self, number: usize) -> Result<Connection, RequestError> {
        let mut tcp = self.tcp.clone();
        if self.is_loopback {
            tcp.set_local_address(source(number).map(IpAddr::V4));
        }
        let mut connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let stream = connector.call(self.uri.clone()).await;
        Ok(
            match stream.map_err(|error| RequestError::connect(&*error))? {
                MaybeHttpsStream::Http(stream) => Connection::Plain(stream.into_inner()),
                stream => Connection::Tls(Box::new(TokioIo::new(stream))),
            },
        )
    }
}

/// The source address of a connection to this machine, once earlier connections have used up the
/// ports of the default one.
fn source(number: usize) -> Option<Ipv4Addr> {
    let more = u8::try_from(number / PORTS).ok()?;
    (more > 0).then(|| Ipv4Addr::new(127, 0, 0, more.saturating_add(1)))
}

impl Connection {
    /// Sends a request and reads its answer.
    pub(super) async fn request(
        &mut self,
        request: &[u8],
        answer: &mut Answer,
    ) -> Result<(), RequestError> {
        let broken = |error: io::Error| RequestError::broken(&error);
        match self {
            Self::Plain(stream) => stream.write_all(request).await.map_err(broken)?,
            Self::Tls(stream) => {
                stream.write_all(request).await.map_err(broken)?;
                stream.flush().await.map_err(broken)?;
            }
        }
        poll_fn(|cx| self.poll_answer(cx, answer)).await
    }

    /// Reads the bytes of an answer that are available.
    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        answer: &mut Answer,
    ) -> Poll<Result<(), RequestError>> {
        READ.with_borrow_mut(|buffer| {
            loop {
                let mut read = ReadBuf::new(buffer);
                let result = ready!(self.poll_read(cx, &mut read));
                let is_whole = match (result, read.filled()) {
                    (Err(error), _) => Err(RequestError::broken(&error)),
                    (Ok(()), []) if answer.end() => Ok(true),
                    (Ok(()), []) => Err(RequestError::broken(
                        "the connection ended before the answer",
                    )),
                    (Ok(()), data) => answer.feed(data).map_err(|error| match error {
                        BadAnswer::Malformed => RequestError::broken("the answer is no HTTP/1.1"),
                        BadAnswer::TooLarge => RequestError::too_large(answer.max_body()),
                    }),
                };
                match is_whole {
                    Ok(true) => return Poll::Ready(Ok(())),
                    Ok(false) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        })
    }

    /// Waits until the server has closed the connection. Whoever closes first keeps the port of the
    /// connection for a minute: a server has one for all, and a client one for each.
    pub(super) async fn closed(&mut self) {
        let read = |cx: &mut Context<'_>| {
            READ.with_borrow_mut(|buffer| {
                loop {
                    let mut read = ReadBuf::new(buffer);
                    let result = ready!(self.poll_read(cx, &mut read));
                    if result.is_err() || read.filled().is_empty() {
                        return Poll::Ready(());
                    }
                }
            })
        };
        poll_fn(read).await;
    }

    /// Whether the server has ended it, or has sent what was not asked for: then it cannot be used
    /// any more.
    pub(super) async fn has_ended(&mut self) -> bool {
        let look = |cx: &mut Context<'_>| {
            let mut byte = [0];
            Poll::Ready(self.poll_read(cx, &mut ReadBuf::new(&mut byte)))
        };
        poll_fn(look).await.is_ready()
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("tcp connect error")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_cause_is_the_whole_chain_and_without_a_port_there_is_a_remedy() {
        let cause = |kind: io::ErrorKind| RequestError::connect(&Outer(kind.into())).cause;
        let refused = cause(io::ErrorKind::ConnectionRefused);
        assert_eq!(refused, "tcp connect error: connection refused");
        for kind in [io::ErrorKind::AddrNotAvailable, io::ErrorKind::AddrInUse] {
            let cause = cause(kind);
            assert!(
                cause.starts_with("no port is free (tcp connect error: "),
                "{cause}"
            );
            assert!(cause.contains("a lower rate (-r)"), "{cause}");
        }
    }
}
