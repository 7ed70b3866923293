//! The effects that are complete responses: a planned status, and a redirect to the same flag.

use std::time::Duration;

use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use flags_data::Resource;

use super::request_head::Identity;
use crate::response::{Complete, text_response};
use crate::scenario::{StatusNumber, status_text};

/// The planned status, with a body of its own or a short text that names the attempt.
pub(super) fn respond(
    status: StatusNumber,
    retry_after: Option<Duration>,
    body: Option<&str>,
    identity: &Identity<'_>,
) -> Complete {
    let code = StatusCode::from_u16(status.get()).expect("a status number is a status");
    let mut response = match status_text(status, body, &identity.key) {
        Some(text) => text_response(code, text.into_owned()),
        None => {
            let mut response = Response::new(Bytes::new());
            *response.status_mut() = code;
            response
        }
    };
    if let Some(pause) = retry_after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, whole_seconds(pause));
    }
    response
}

/// The value of a `retry-after`, in whole seconds: rounded up.
pub(super) fn whole_seconds(pause: Duration) -> HeaderValue {
    HeaderValue::from(pause.as_secs() + u64::from(pause.subsec_nanos() > 0))
}

/// A redirect to the same resource. The query carries the next hop and its attempt, so that the
/// whole chain is one attempt.
pub(super) fn redirect(resource: &Resource<'_>, identity: &Identity<'_>) -> Complete {
    let (prefix, path) = (resource.prefix(), resource.path());
    let location = format!("{prefix}{path}?{}", identity.next_hop());
    let location = HeaderValue::from_str(&location).expect("a target without control characters");
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(LOCATION, location);
    response
}
