//! What is wrong with a request to the control plane, as RFC 9457 writes it: with the key and the
//! remedy.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::fault::TooManyScenarios;
use crate::listeners::NoSuchListener;
use crate::scenario::ScenarioError;

/// A problem (RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Problem {
    /// What kind of problem it is; `about:blank` is that of the status.
    #[schema(example = "about:blank")]
    r#type: &'static str,
    /// The reason of the status.
    #[schema(example = "Bad Request")]
    title: &'static str,
    /// The status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong, and the remedy.
    #[schema(example = "for: give a duration with its unit, like \"250ms\" or \"1.5s\"")]
    detail: String,
    /// All that is wrong with a scenario.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<KeyProblem>,
}

/// One problem of a scenario.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct KeyProblem {
    /// The line of the text, counted from 1.
    line: usize,
    /// The key, from the root; empty for a syntax error.
    #[schema(example = "rule[1].status")]
    key: String,
    /// What is wrong with it, and the remedy.
    message: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            r#type: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, Json(self)).into_response();
        let json = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    }
}

impl From<NoSuchListener> for Problem {
    fn from(error: NoSuchListener) -> Self {
        Self::not_found(format!("listener: {error}; GET /api/listeners lists them"))
    }
}

impl From<TooManyScenarios> for Problem {
    fn from(error: TooManyScenarios) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, error.to_string())
    }
}

impl From<ScenarioError> for Problem {
    fn from(error: ScenarioError) -> Self {
        let problems = error.problems.into_iter();
        let errors = problems.map(|problem| KeyProblem {
            line: problem.line,
            key: problem.key,
            message: problem.message,
        });
        Self {
            errors: errors.collect(),
            ..Self::bad_request("the scenario has errors; correct these lines")
        }
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self::bad_request(format!("the path: {}", rejection.body_text()))
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(format!("the query: {}", rejection.body_text()))
    }
}
