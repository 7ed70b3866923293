//! The headers that every library here sends, as far as they are known before a request: rules of a
//! server may depend on them.

use flag_scenario::ClientHeaders;
use reqwest::Url;

use super::exchange::USER_AGENT;

/// Those of requests to this server, or to any.
///
/// Only reqwest sends a `referer`, and only after a redirect.
pub fn sent_headers(base_url: Option<&str>, http2: bool) -> ClientHeaders {
    let headers = ClientHeaders::none()
        .with("user-agent", USER_AGENT)
        .with("accept", "*/*")
        .with_attempts()
        .perhaps("referer");
    // On HTTP/2 the host is no header.
    let Some(url) = base_url.filter(|_| !http2) else {
        return headers.perhaps("host");
    };
    match Url::parse(url).ok().as_ref().map(authority) {
        Some(host) => headers.with("host", &host),
        None => headers.perhaps("host"),
    }
}

/// The host, and the port where it is not the usual one.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use flag_scenario::Known;

    use super::*;

    #[test]
    fn the_host_has_its_port_where_it_is_not_the_usual_one() {
        let host = |url| match sent_headers(Some(url), false).value("host") {
            Known::Value(host) => host.to_owned(),
            known => panic!("{known:?}"),
        };
        assert_eq!(host("http://127.0.0.1:8001/flags"), "127.0.0.1:8001");
        assert_eq!(host("http://localhost:80/flags"), "localhost");
        assert_eq!(
            sent_headers(Some("http://x/flags"), true).value("host"),
            Known::Unknown
        );
        assert_eq!(sent_headers(None, false).value("x-user"), Known::Absent);
    }
}
