//! Enforcing: it asks the planner what is to happen to a request, and makes it happen.
//!
//! It decides nothing. Each kind of effect has a room of its own; this one knows their order: the
//! request is identified, its plan is made, a server of limited capacity has its turn, the delay is held, then
//! the ending of the plan or else the router answers, the body is shaped, and the response says what was done to it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::HttpBody;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method};
use axum::response::Response;

use super::attempts::Attempts;
use super::body;
use super::capacity::Station;
use super::connection::{Broken, ConnectionEnd, ConnectionHandle, Finale, Silence};
use super::request_head::{Asked, Identity, Refusal, canonical};
use super::status;
use crate::connection::Closing;
use crate::record::{Entry, Journal};
use crate::scenario::{Circumstances, Ending, Pace, Plan, Planner, Scenario};
use crate::site::routed;

/// Tells the client which rules fired. Absent when none did.
pub const FLAG_PLAN: HeaderName = HeaderName::from_static("flag-plan");
/// Tells the client the delay that was decided and the one that was held, in milliseconds.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// What WireMock's `MALFORMED_RESPONSE_CHUNK` sends before its garbage.
const CHUNKED_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// What one listener needs in order to do its worst.
#[derive(Debug)]
pub(crate) struct Chaos {
    planner: Planner,
    /// None where nobody would see the difference between one attempt and another: without rules, capacity and records.
    attempts: Option<Attempts>,
    station: Option<Station>,
    journal: Arc<Journal>,
    closing: Arc<Closing>,
    start: Instant,
}

impl Chaos {
    pub(crate) fn new(scenario: &Scenario, journal: Arc<Journal>, closing: Arc<Closing>) -> Self {
        let decides = !scenario.rules().is_empty() || scenario.capacity().is_some();
        let is_counted = decides || journal.is_kept();
        Self {
            planner: Planner::new(scenario),
            attempts: is_counted.then(Attempts::new),
            station: scenario.capacity().map(Station::new),
            journal,
            closing,
            start: Instant::now(),
        }
    }
}

/// What is to happen to one request.
#[derive(Debug)]
pub(crate) struct Fate {
    plan: Plan,
    attempt: u32,
    /// The place in a chain of redirects.
    hop: u32,
    /// When the request was there.
    start: Instant,
}

impl Chaos {
    /// Decides what is to happen to a request, and counts it; none for what is never faulted.
    pub(crate) fn decide(&self, asked: &Asked<'_>) -> Option<Result<Fate, Refusal>> {
        let path = canonical(asked.path)?;
        let start = Instant::now();
        let identity = match Identity::of(asked, path, self.attempts.as_ref()) {
            Ok(identity) => identity,
            Err(refusal) => return Some(Err(refusal)),
        };
        let circumstances = Circumstances {
            since_start: start.saturating_duration_since(self.start),
            headers: &asked.headers,
        };
        self.journal.count();
        Some(Ok(Fate {
            plan: self.planner.plan_under(&identity.key(), &circumstances),
            attempt: identity.attempt,
            hop: identity.hop,
            start,
        }))
    }

    /// Whether such a request is answered in full, at once or after a delay.
    pub(crate) fn only_delays(&self, fate: &Fate) -> bool {
        let Plan { pace, ending, .. } = &fate.plan;
        *pace == Pace::default() && ending.is_none() && fate.hop == 0 && self.station.is_none()
    }

    /// Opens the entry of a request.
    pub(crate) fn entry(&self, asked: &Asked<'_>, fate: &Fate) -> Entry {
        if !self.journal.is_kept() {
            return Entry::default();
        }
        let identity = Identity::known(asked, fate.attempt, fate.hop);
        (self.journal).begin(&identity.key(), identity.hop, &fate.plan)
    }

    /// Holds the delay of a request that [is only delayed](Self::only_delays), and returns how long after the request it is.
    ///
    /// # Errors
    /// With the answer to one that would have to wait until after the curfew.
    pub(crate) async fn hold(&self, fate: &Fate) -> Result<Duration, Response> {
        let waited = self.closing.hold(fate.start, fate.plan.delay).await?;
        if !fate.plan.delay.is_zero() && self.closing.is_told() {
            self.closing.count_answered();
        }
        Ok(waited)
    }

    /// Whether the server is told to stop.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_told()
    }
}

impl Fate {
    /// The delay that was decided.
    pub(crate) fn delay(&self) -> Duration {
        self.plan.delay
    }

    /// Tells of a request that [is only delayed](Chaos::only_delays) what was decided and held.
    pub(crate) fn tell(&self, waited: Duration, header: impl FnMut(HeaderName, &HeaderValue)) {
        let delay = self.plan.delay;
        tell(&self.plan, delay, waited, Duration::ZERO, header);
    }
}

/// Whatever is asked for below `/flags/` and `/data/flags/` meets its fate here.
pub(crate) async fn meet(
    chaos: &Chaos,
    fate: Fate,
    request: Request,
    connection: &ConnectionHandle,
    router: &Router,
) -> Response {
    let Fate { plan, start, .. } = fate;
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let identity = Identity::known(&Asked::from(&request), fate.attempt, fate.hop);
    let mut entry = chaos.journal.begin(&identity.key(), identity.hop, &plan);
    let refused = |refusal: Response, mut entry: Entry| {
        entry.status(refusal.status());
        if method != Method::HEAD {
            entry.sent(refusal.body().size_hint().lower() as usize);
        }
        entry.whole();
        refusal
    };

    let busy = match &chaos.station {
        Some(station) => {
            let served = station.serve(chaos.planner.service_time(&identity.key()));
            match chaos.closing.wait_for(served).await {
                Ok(Ok(())) => start.elapsed(),
                Ok(Err(refusal)) | Err(refusal) => return refused(refusal, entry),
            }
        }
        None => Duration::ZERO,
    };

    // A chain of redirects is one attempt, and waits once.
    let delay = if identity.hop == 0 {
        plan.delay
    } else {
        Duration::ZERO
    };
    let waited = match chaos.closing.hold(start + busy, delay).await {
        Ok(waited) => waited,
        Err(refusal) => return refused(refusal, entry),
    };
    entry.begun(waited.saturating_sub(delay));

    if let Some((silence, end)) = break_of(plan.ending.as_ref()) {
        let finale = Finale {
            silence,
            end,
            entry,
        };
        connection.play(finale).await;
        return broken();
    }
    // A body that takes its time counts itself, when it is over.
    let has_waited = !busy.is_zero() || !delay.is_zero();
    if has_waited && plan.pace == Pace::default() && chaos.closing.is_told() {
        chaos.closing.count_answered();
    }
    let response = match &plan.ending {
        Some(Ending::Status {
            status,
            retry_after,
            body,
        }) => status::respond(*status, *retry_after, body.as_deref(), &identity),
        Some(Ending::Redirect { hops }) if identity.hop < *hops => {
            status::redirect(&uri, &identity)
        }
        _ => routed(router, request).await,
    };
    let mut response =
        body::shape(response, &method, &plan, connection, &chaos.closing, entry).await;
    tell(&plan, delay, waited, busy, |name, value| {
        response.headers_mut().insert(name, value.clone());
    });
    response
}

/// The break that comes instead of a response, if one is planned.
fn break_of(ending: Option<&Ending>) -> Option<(Option<Silence>, ConnectionEnd)> {
    Some(match ending? {
        Ending::Reset { after: None } => (None, ConnectionEnd::Reset),
        Ending::Close => (None, ConnectionEnd::Close),
        Ending::Stall { after: None, hold } => (Some(*hold), ConnectionEnd::Close),
        Ending::Garbage { bytes, after_head } => {
            let head = if *after_head { CHUNKED_HEAD } else { b"" };
            (None, ConnectionEnd::Garbage([head, bytes].concat()))
        }
        _ => return None,
    })
}

/// Stands for a response that never comes: whoever serves the stream finds the failure among the extensions.
fn broken() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Broken);
    response
}

/// Tells the client what was planned for its request and what was held of it, one header after another.
fn tell(
    plan: &Plan,
    delay: Duration,
    waited: Duration,
    busy: Duration,
    mut header: impl FnMut(HeaderName, &HeaderValue),
) {
    // A request without a delay did not wait; what its handling took is no wait.
    let waited = if delay.is_zero() {
        Duration::ZERO
    } else {
        waited
    };
    if delay.is_zero() && busy.is_zero() {
        header(SERVER_TIMING, &NO_WAIT);
    } else {
        let mut timing = format!("plan;dur={}, wait;dur={}", millis(delay), millis(waited));
        if !busy.is_zero() {
            timing += &format!(", capacity;dur={}", millis(busy));
        }
        header(SERVER_TIMING, &header_value(&timing));
    }
    match &plan.rules[..] {
        [] => {}
        [name] => header(FLAG_PLAN, &header_value(name.as_str())),
        names => {
            let names: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            header(FLAG_PLAN, &header_value(&names.join(",")));
        }
    }
}

/// What is told of a request without a delay.
const NO_WAIT: HeaderValue = HeaderValue::from_static("plan;dur=0.000, wait;dur=0.000");

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
}
