//! The effect of a status: a complete, well-formed response that is not the flag.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::scenario::StatusNumber;

/// The status, with its own words and what it happened to as a short text.
pub(super) fn respond(status: StatusNumber, path: &str, attempt: u32) -> Response {
    let status = StatusCode::from_u16(status.get()).expect("a status number is a status");
    if matches!(
        status,
        StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT | StatusCode::NOT_MODIFIED
    ) {
        return status.into_response(); // these have no body
    }
    (
        status,
        format!("{status}: planned for attempt {attempt} at {path}\n"),
    )
        .into_response()
}
