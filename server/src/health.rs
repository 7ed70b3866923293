//! `flag-server healthcheck`: one GET with the standard library, for images without a shell or curl.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use axum::http::Uri;
use thiserror::Error;

/// A server that takes longer is not healthy.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Why a server does not count as healthy.
#[derive(Debug, Error)]
pub enum Unhealthy {
    /// The URL is none that can be asked.
    #[error("{0:?} cannot be asked: give a URL like http://127.0.0.1:8000/healthz")]
    BadUrl(String),
    /// Nobody answered.
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
pub fn check(url: &str) -> Result<(), Unhealthy> {
    let bad_url = || Unhealthy::BadUrl(url.to_owned());
    let uri: Uri = url.parse().map_err(|_| bad_url())?;
    let (Some("http"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(bad_url());
    };
    let path = if uri.path() == "/" {
        "/healthz"
    } else {
        uri.path()
    };
    let port = authority.port_u16().unwrap_or(80);

    let answer =
        first_line(authority.host(), port, path).map_err(|reason| Unhealthy::NoAnswer {
            url: url.to_owned(),
            reason,
        })?;
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

/// The first line of the answer to a GET, or what there is of it in its first 256 bytes.
fn first_line(host: &str, port: u16, path: &str) -> io::Result<String> {
    let name = host.trim_start_matches('[').trim_end_matches(']'); // [::1] in a URL is ::1
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (name, port).to_socket_addrs()? {
        let mut stream = match TcpStream::connect_timeout(&address, TIMEOUT) {
            Ok(stream) => stream,
            Err(error) => {
                last_error = error;
                continue;
            }
        };
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n"
        )?;
        let mut head = Vec::new();
        stream.take(256).read_to_end(&mut head)?;
        let head = String::from_utf8_lossy(&head);
        return Ok(head.lines().next().unwrap_or_default().to_owned());
    }
    Err(last_error)
}
