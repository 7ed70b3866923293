//! The effects that are complete, well-formed responses: a status, and a redirect to the same flag.

use std::time::Duration;

use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::request_head::Identity;
use crate::scenario::{StatusNumber, status_text};

/// The status, with a body of its own or a short text that says what it happened to.
pub(super) fn respond(
    status: StatusNumber,
    retry_after: Option<Duration>,
    body: Option<&str>,
    identity: &Identity<'_>,
) -> Response {
    let mut response = match status_text(status, body, &identity.key()) {
        Some(text) => (code(status), text.into_owned()).into_response(),
        None => code(status).into_response(),
    };
    if let Some(pause) = retry_after {
        response
            .headers_mut()
            .insert(RETRY_AFTER, whole_seconds(pause));
    }
    response
}

fn code(status: StatusNumber) -> StatusCode {
    StatusCode::from_u16(status.get()).expect("a status number is a status")
}

/// The delay of a `retry-after`, which knows no fractions: rounded up.
pub(super) fn whole_seconds(pause: Duration) -> HeaderValue {
    HeaderValue::from(pause.as_secs() + u64::from(pause.subsec_nanos() > 0))
}

/// A redirect to the same path. The query tells which hop comes next, and of which attempt, so that the whole chain
/// is one attempt.
pub(super) fn redirect(uri: &Uri, identity: &Identity<'_>) -> Response {
    let location = format!("{}?{}", uri.path(), identity.next_hop());
    let location = HeaderValue::from_str(&location).expect("a path and numbers are visible ASCII");
    (StatusCode::FOUND, [(LOCATION, location)]).into_response()
}
