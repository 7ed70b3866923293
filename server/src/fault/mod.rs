//! Enforcing: a middleware that asks the planner what is to happen to a request, and makes it happen.
//!
//! It decides nothing. Each kind of effect has a room of its own; this one knows their order: the
//! request is identified, its plan is made, the delay is held, then the ending of the plan or else
//! the inner service answers, and the response says what was done to it.

mod latency;
mod status;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::attempts::Attempts;
use crate::scenario::{Ending, Plan, Planner, RequestKey, Scenario};

/// Names the run, which isolates clients of one server from each other. Optional.
pub const FLAG_RUN: HeaderName = HeaderName::from_static("flag-run");
/// Numbers the attempt at a path, from 1. Optional: without it the server counts.
pub const FLAG_ATTEMPT: HeaderName = HeaderName::from_static("flag-attempt");
/// Tells the client which rules fired. Absent when none did.
pub const FLAG_PLAN: HeaderName = HeaderName::from_static("flag-plan");
/// Tells the client the delay that was decided and the one that was held, in milliseconds.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The longest name of a run, in bytes: it is remembered, so it is bounded.
pub const MAX_RUN_LEN: usize = 128;

/// What one listener needs in order to do its worst.
#[derive(Debug)]
pub(crate) struct Chaos {
    planner: Planner,
    attempts: Attempts,
}

impl Chaos {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        Self {
            planner: Planner::new(scenario),
            attempts: Attempts::new(),
        }
    }
}

/// The middleware: everything below `/flags/` and `/data/flags/` meets its fate here.
pub(crate) async fn meet(
    State(chaos): State<std::sync::Arc<Chaos>>,
    request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let Some(path) = canonical(request.uri().path()) else {
        return next.run(request).await;
    };
    let (run, attempt) = match (run_of(request.headers()), attempt_of(request.headers())) {
        (Ok(run), Ok(attempt)) => (run, attempt),
        (Err(refusal), _) | (_, Err(refusal)) => return refusal.into_response(),
    };
    let method = request.method().as_str();
    let attempt = attempt.unwrap_or_else(|| chaos.attempts.next(run, method, &path));
    let plan = chaos.planner.plan(&RequestKey {
        run,
        method,
        path: &path,
        attempt,
    });

    let waited = latency::hold(start, &plan).await;
    let mut response = match plan.ending {
        None => next.run(request).await,
        Some(Ending::Status(status)) => status::respond(status, &path, attempt),
    };
    tell(response.headers_mut(), &plan, waited);
    response
}

/// The path by which the planner knows a request, or `None` where faults do not apply.
///
/// All the spellings that lead to one flag share one fate: `/data/flags/…` is `/flags/…`, and upper case
/// is lower case. The list itself (`/flags/`) is never faulted.
fn canonical(path: &str) -> Option<Cow<'_, str>> {
    let path = path.strip_prefix("/data").unwrap_or(path);
    let below = path.strip_prefix("/flags/")?;
    if below.is_empty() {
        None
    } else if below.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Some(path.to_ascii_lowercase().into())
    } else {
        Some(path.into())
    }
}

type Refusal = (StatusCode, String);

fn run_of(headers: &HeaderMap) -> Result<&str, Refusal> {
    let Some(value) = headers.get(FLAG_RUN) else {
        return Ok("");
    };
    value
        .to_str()
        .ok()
        .filter(|run| run.len() <= MAX_RUN_LEN)
        .ok_or_else(|| {
            let remedy =
                format!("{FLAG_RUN}: name the run with at most {MAX_RUN_LEN} ASCII characters\n");
            (StatusCode::BAD_REQUEST, remedy)
        })
}

fn attempt_of(headers: &HeaderMap) -> Result<Option<u32>, Refusal> {
    let Some(value) = headers.get(FLAG_ATTEMPT) else {
        return Ok(None);
    };
    let attempt = value
        .to_str()
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|attempt| *attempt > 0);
    attempt.map(Some).ok_or_else(|| {
        let remedy = format!(
            "{FLAG_ATTEMPT}: number the attempt with 1, 2, …, {}\n",
            u32::MAX
        );
        (StatusCode::BAD_REQUEST, remedy)
    })
}

/// Tells the client what was planned for its request and what was held of it.
fn tell(headers: &mut HeaderMap, plan: &Plan, waited: Duration) {
    // A request without a delay did not wait; what its handling took is no wait.
    let waited = if plan.delay.is_zero() {
        Duration::ZERO
    } else {
        waited
    };
    let timing = format!(
        "plan;dur={}, wait;dur={}",
        millis(plan.delay),
        millis(waited)
    );
    headers.insert(SERVER_TIMING, header_value(&timing));
    if !plan.rules.is_empty() {
        let names: Vec<&str> = plan.rules.iter().map(|name| name.as_str()).collect();
        headers.insert(FLAG_PLAN, header_value(&names.join(",")));
    }
}

/// Milliseconds with three decimals, cut off and not rounded: whoever computes the plan in whole
/// nanoseconds can compute this text too, in any language.
fn millis(duration: Duration) -> String {
    let micros = duration.as_micros();
    format!("{}.{:03}", micros / 1000, micros % 1000)
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("numbers and rule names are visible ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_cut_off_after_the_microsecond() {
        assert_eq!(millis(Duration::from_nanos(812_331_999)), "812.331");
        assert_eq!(millis(Duration::from_nanos(5_000_999)), "5.000");
        assert_eq!(millis(Duration::ZERO), "0.000");
    }

    #[test]
    fn every_spelling_of_a_path_has_the_same_canonical_form() {
        for path in [
            "/flags/br/br.gif",
            "/data/flags/br/br.gif",
            "/flags/BR/BR.gif",
            "/data/flags/Br/bR.GIF",
        ] {
            assert_eq!(
                canonical(path).as_deref(),
                Some("/flags/br/br.gif"),
                "{path}"
            );
        }
    }

    #[test]
    fn faults_apply_to_nothing_but_the_paths_below_flags() {
        for path in [
            "/",
            "/healthz",
            "/flags",
            "/flags/",
            "/data/flags/",
            "/data/healthz",
            "/dataflags/br",
        ] {
            assert_eq!(canonical(path), None, "{path}");
        }
        assert!(canonical("/flags/xx/no/such/thing").is_some());
    }
}
