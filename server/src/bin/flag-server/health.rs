//! `flag-server healthcheck`: one GET, for images without a shell or curl. Written by hand with the
//! standard library, because the server has no HTTP client, and the first line is enough.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use axum::http::Uri;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use thiserror::Error;

use crate::any_certificate::AnyCertificate;

/// A server that takes longer is not healthy, name look-up and all addresses included.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Why a server does not count as healthy.
#[derive(Debug, Error)]
pub(crate) enum Unhealthy {
    /// The URL is none that can be asked.
    #[error("{0:?} cannot be asked: give a URL like http://127.0.0.1:8000/healthz")]
    BadUrl(String),
    /// No answer.
    #[error("{url}: no answer ({reason}); is flag-server running there?")]
    NoAnswer {
        /// Who was asked.
        url: String,
        /// What the system said.
        reason: io::Error,
    },
    /// Somebody answered something else than 200.
    #[error("{url}: answered {answer:?} instead of 200")]
    WrongAnswer {
        /// Who was asked.
        url: String,
        /// The first line of the answer.
        answer: String,
    },
}

/// Asks `url`, whose path is `/healthz` unless it has one.
///
/// # Errors
/// When the answer is not a 200 that comes within two seconds.
pub(crate) fn check(url: &str) -> Result<(), Unhealthy> {
    let bad_url = || Unhealthy::BadUrl(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| bad_url())?;
    let authority = uri.authority().ok_or_else(bad_url)?;
    let (is_tls, default_port) = match uri.scheme_str() {
        Some("http") => (false, 80),
        Some("https") => (true, 443),
        _ => return Err(bad_url()),
    };
    let path = if uri.path() == "/" {
        "/healthz"
    } else {
        uri.path()
    };
    let port = authority.port_u16().unwrap_or(default_port);

    let no_answer = |reason| Unhealthy::NoAnswer {
        url: url.to_owned(),
        reason,
    };
    let answer = within_timeout({
        let (host, path) = (authority.host().to_owned(), path.to_owned());
        move || first_line(&host, port, &path, is_tls)
    });
    let answer = answer.map_err(no_answer)?;
    let mut words = answer.split(' ');
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    if is_http && words.next() == Some("200") {
        Ok(())
    } else {
        Err(Unhealthy::WrongAnswer {
            url: url.to_owned(),
            answer,
        })
    }
}

/// What this returns, or an error after [`TIMEOUT`]: a look-up of a name has no time limit of its
/// own, and that of a read begins anew with each byte.
fn within_timeout<T: Send + 'static>(
    ask: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (answer, answered) = mpsc::channel();
    thread::Builder::new().spawn(move || answer.send(ask()))?;
    answered.recv_timeout(TIMEOUT).unwrap_or_else(|_| {
        let text = format!("not within {TIMEOUT:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

/// The first line of the answer to a GET, or what there is of it in its first 256 bytes.
fn first_line(host: &str, port: u16, path: &str, is_tls: bool) -> io::Result<String> {
    let name = host.trim_start_matches('[').trim_end_matches(']'); // [::1] in a URL is ::1
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (name, port).to_socket_addrs()? {
        let stream = match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => stream,
            Err(error) => {
                last_error = error;
                continue;
            }
        };
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n");
        let head = if is_tls {
            ask(StreamOwned::new(tls(name)?, stream), &request)
        } else {
            ask(stream, &request)
        }?;
        return Ok(head.lines().next().unwrap_or_default().to_owned());
    }
    Err(last_error)
}

fn ask(mut stream: impl Read + Write, request: &str) -> io::Result<String> {
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    stream.take(256).read_to_end(&mut head)?;
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// SECURITY: trusts any certificate. The server makes its own, no secret is sent to it, and nothing
/// that it says is believed except whether it is up.
fn tls(name: &str) -> io::Result<ClientConnection> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)
}
