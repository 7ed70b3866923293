//! The effects that are complete responses: makes HTTP of what the plan says of them.

use std::time::Duration;

use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED, LOCATION,
    PROXY_AUTHENTICATE, RETRY_AFTER, UPGRADE, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;

use super::request_head::{Identity, RequestHead};
use crate::response::{Complete, text_response};
use crate::scenario::OwnResponse;

/// The response that is planned instead of the file. A redirect leads to the same resource, and its
/// query carries the next hop and its attempt, so that the whole chain is one attempt.
pub(super) fn respond(
    own: OwnResponse<'_>,
    head: &RequestHead<'_>,
    identity: &Identity<'_>,
) -> Complete {
    let status = StatusCode::from_u16(own.status).expect("a planned status is a status");
    let mut response = match own.text {
        Some(text) => text_response(status, text.into_owned()),
        None => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = status;
            response
        }
    };
    let len = response.body().len();
    let headers = response.headers_mut();
    insert_required(headers, status, len, head.file);
    if let Some(pause) = own.retry_after {
        headers.insert(RETRY_AFTER, whole_seconds(pause));
    }
    if own.is_redirect {
        let (prefix, path) = (head.resource.prefix(), head.resource.path());
        let location = format!("{prefix}{path}?{}", identity.next_hop());
        let location = HeaderValue::try_from(location);
        let location = location.expect("a target without control characters");
        headers.insert(LOCATION, location);
    }
    for header in own.headers {
        let name = HeaderName::from_bytes(header.name().as_bytes()).expect("a token is a name");
        let value = HeaderValue::try_from(header.value()).expect("visible ASCII is a value");
        headers.insert(name, value);
    }
    response
}

/// The headers without which this status is incomplete (RFC 9110, sections 11 and 15), for a body
/// of this length.
fn insert_required(
    headers: &mut HeaderMap,
    status: StatusCode,
    len: usize,
    file: Option<&HeaderMap>,
) {
    const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"flags\"");
    let mut insert = |name, value| drop(headers.insert(name, value));
    let number = |text: String| HeaderValue::try_from(text).expect("numbers are visible ASCII");
    match status {
        StatusCode::PARTIAL_CONTENT if len > 0 => {
            let last = len - 1;
            insert(CONTENT_RANGE, number(format!("bytes 0-{last}/{len}")));
        }
        StatusCode::NOT_MODIFIED => {
            for name in [ETAG, LAST_MODIFIED, CACHE_CONTROL] {
                if let Some(value) = file.and_then(|file| file.get(&name)) {
                    insert(name, value.clone());
                }
            }
        }
        StatusCode::UNAUTHORIZED => insert(WWW_AUTHENTICATE, CHALLENGE),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => insert(PROXY_AUTHENTICATE, CHALLENGE),
        StatusCode::METHOD_NOT_ALLOWED => insert(ALLOW, HeaderValue::from_static("GET,HEAD")),
        StatusCode::RANGE_NOT_SATISFIABLE => {
            let length = file.and_then(|file| file.get(CONTENT_LENGTH)?.to_str().ok());
            insert(
                CONTENT_RANGE,
                number(format!("bytes */{}", length.unwrap_or("0"))),
            );
        }
        // HTTP/2 has no such headers, and leaves them out.
        StatusCode::UPGRADE_REQUIRED => {
            insert(UPGRADE, HeaderValue::from_static("HTTP/2.0"));
            insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        _ => {}
    }
}

/// The value of a `retry-after`, in whole seconds: rounded up.
pub(super) fn whole_seconds(pause: Duration) -> HeaderValue {
    HeaderValue::from(pause.as_secs() + u64::from(pause.subsec_nanos() > 0))
}
