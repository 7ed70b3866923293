//! The effects that are complete responses: makes HTTP of what the plan says of them.

use std::time::Duration;

use axum::http::header::{LOCATION, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};
use bytes::Bytes;
use flags_data::Resource;

use super::request_head::Identity;
use crate::response::{Complete, text_response};
use crate::scenario::OwnResponse;

/// The response that is planned instead of the file. A redirect leads to the same resource, and its
/// query carries the next hop and its attempt, so that the whole chain is one attempt.
pub(super) fn respond(
    own: OwnResponse<'_>,
    resource: &Resource<'_>,
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
    let headers = response.headers_mut();
    if let Some(pause) = own.retry_after {
        headers.insert(RETRY_AFTER, whole_seconds(pause));
    }
    if own.is_redirect {
        let (prefix, path) = (resource.prefix(), resource.path());
        let location = format!("{prefix}{path}?{}", identity.next_hop());
        let location = HeaderValue::try_from(location);
        let location = location.expect("a target without control characters");
        headers.insert(LOCATION, location);
    }
    response
}

/// The value of a `retry-after`, in whole seconds: rounded up.
pub(super) fn whole_seconds(pause: Duration) -> HeaderValue {
    HeaderValue::from(pause.as_secs() + u64::from(pause.subsec_nanos() > 0))
}
