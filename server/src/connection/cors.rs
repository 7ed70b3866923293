//! Cross-origin requests: whether pages of other sites may read what is served here.

use axum::body::Body;
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

const ANY: HeaderValue = HeaderValue::from_static("*");

/// What every response has then: any page may read it, all of its headers, and its times in the
/// page's Resource Timing.
const ALLOWED: [(HeaderName, HeaderValue); 3] = [
    (ACCESS_CONTROL_ALLOW_ORIGIN, ANY),
    (ACCESS_CONTROL_EXPOSE_HEADERS, ANY),
    (HeaderName::from_static("timing-allow-origin"), ANY),
];

/// The same as lines of HTTP/1.1.
const LINES: &[u8] = b"access-control-allow-origin: *\r\n\
    access-control-expose-headers: *\r\n\
    timing-allow-origin: *\r\n";

/// Lets every page read a response.
pub(super) fn allow(headers: &mut HeaderMap) {
    headers.extend(ALLOWED);
}

/// The same for a head that is written as text.
pub(super) fn write_lines(head: &mut Vec<u8>) {
    head.extend(LINES);
}

/// Whether a browser asks with this whether it may send another request.
pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    *request.method() == Method::OPTIONS
        && headers.contains_key(ORIGIN)
        && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Its answer: it may, for a day. A `*` does not stand for `authorization`.
pub(super) fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    allow(headers);
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    let names = HeaderValue::from_static("*, authorization");
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let lines = ALLOWED.map(|(name, value)| format!("{name}: {}\r\n", value.to_str().unwrap()));
        assert_eq!(lines.concat().as_bytes(), LINES);
    }
}
