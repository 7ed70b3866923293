//! Responses whose whole body is known: plain bytes, which each encoder writes as its protocol
//! wants.

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;

/// A response whose whole body is known.
pub(crate) type Complete = Response<Bytes>;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A status with a short text.
pub(crate) fn text_response(status: StatusCode, text: impl Into<Bytes>) -> Complete {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}
