//! The journey of a request, in two steps: [`decide`](FaultInjector::decide) asks the planner, and
//! [`apply`](FaultInjector::apply) waits as planned and returns what is to be sent.
//!
//! It decides nothing itself, and writes nothing to a connection: that is for the two encoders,
//! hyper's and the fast path's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue};
use flag_host::clock;

use super::attempts::Attempts;
use super::capacity::Workers;
use super::request_head::{Identity, RequestHead};
use super::scenarios::{Active, Remaining, Scenarios, TooManyScenarios};
use super::status;
use crate::record::{AttemptFrom, ReceivedBody};
use crate::record_log::{RecordGuard, RecordLog};
use crate::response::Complete;
use crate::scenario::{
    Circumstances, ConnectionFault, Content, Ending, Pace, Plan, RequestKey, RuleName, Scenario,
};
use crate::shutdown::Shutdown;

/// Lists the rules that fired. Absent when none did.
pub const FLAG_PLAN: HeaderName = HeaderName::from_static("flag-plan");
/// Reports the delay that was planned and the one that was held, in milliseconds, and the planned
/// time of a body that is paced or stalls.
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Applies the scenarios of one listener.
#[derive(Debug)]
pub(crate) struct FaultInjector {
    scenarios: Scenarios,
    /// None where no decision and no record will depend on the attempt.
    attempts: Option<Attempts>,
    records: Arc<RecordLog>,
    shutdown: Arc<Shutdown>,
}

/// What is to happen to one request.
#[derive(Debug)]
pub(crate) struct Decision {
    /// When the request was there.
    received: Instant,
    attempt: u32,
    /// Who works on it, and how long.
    workers: Option<Arc<Workers>>,
    service_time: Duration,
    /// Zero in a chain of redirects from the second request on: the chain is one attempt, and waits
    /// once.
    delay: Duration,
    pace: Pace,
    ending: Option<Ending>,
    /// What is sent instead of the file.
    response: Option<Complete>,
    rules: Vec<RuleName>,
    record: RecordGuard,
}

impl Decision {
    /// Which attempt the request is.
    pub(crate) fn attempt(&self) -> u32 {
        self.attempt
    }

    /// The request is there only now: its body took its time.
    pub(crate) fn body_has_come(&mut self, body: ReceivedBody) {
        self.received = clock::now();
        self.record.read(body);
    }

    /// Only the record is left of it.
    pub(crate) fn abandon(self) -> RecordGuard {
        self.record
    }
}

/// What is to be sent, when all waiting before it is over.
pub(crate) enum Reply {
    /// A response of the server's own, because the request cannot be served as planned.
    Refuse(Complete, RecordGuard),
    /// No response: the connection ends.
    Break(ConnectionFault, RecordGuard),
    /// A response.
    Respond(Respond),
}

/// A response, and what happens to its body.
#[derive(Default)]
pub(crate) struct Respond {
    /// What is sent instead of the file.
    pub(crate) response: Option<Complete>,
    pub(crate) report: Report,
    pub(crate) pace: Pace,
    pub(crate) ending: Option<Ending>,
    pub(crate) record: RecordGuard,
}

impl Respond {
    /// Whether the body is sent at once, whole and as it is.
    pub(crate) fn is_complete(&self) -> bool {
        let changes_body = self.ending.as_ref().is_some_and(Ending::changes_body);
        self.pace == Pace::default() && !changes_body
    }

    /// Whether the bytes of the body are others than those of the file.
    pub(crate) fn is_corrupted(&self) -> bool {
        self.ending.as_ref().is_some_and(Ending::corrupts)
    }

    /// The planned time of a body of this length, from the head to the end: none if it is neither
    /// paced nor stalls, or if its silence never ends.
    pub(crate) fn body_time(&self, len: u64) -> Option<Duration> {
        if self.is_complete() {
            return None;
        }
        let answer = (self.ending.as_ref()).map(|ending| ending.answer(Content::file(len)));
        let is_silent = (answer.iter()).any(|answer| answer.hold() != Some(Duration::ZERO));
        if self.pace == Pace::default() && !is_silent {
            return None;
        }
        let (sent, hold) = answer.map_or((len, Some(Duration::ZERO)), |answer| {
            (answer.sent, answer.hold())
        });
        Some(self.pace.due(len, sent).saturating_add(hold?))
    }
}

/// What the response reports about its request.
#[derive(Default)]
pub(crate) struct Report {
    delay: Duration,
    waited: Duration,
    busy: Duration,
    rules: Vec<RuleName>,
}

impl FaultInjector {
    /// Attempts are counted from the start if the scenario `may_change`.
    pub(crate) fn new(
        scenario: &Scenario,
        may_change: bool,
        records: Arc<RecordLog>,
        shutdown: Arc<Shutdown>,
    ) -> Self {
        let decides = !scenario.rules().is_empty() || scenario.capacity().is_some();
        let is_counted = decides || may_change || records.is_kept();
        Self {
            scenarios: Scenarios::new(scenario),
            attempts: is_counted.then(|| Attempts::new(Arc::clone(records.counts()))),
            records,
            shutdown,
        }
    }

    /// The scenario of the listener.
    pub(crate) fn scenario(&self) -> Remaining {
        self.scenarios.own(clock::now())
    }

    /// Applies another scenario to the requests that come from now on; false if it is the same.
    /// With `lasts`, the one before comes back then. Attempts and records go on.
    pub(crate) fn replace(&self, scenario: &Scenario, lasts: Option<Duration>) -> bool {
        self.scenarios.replace(scenario, lasts)
    }

    /// The scenario that a run has for itself.
    pub(crate) fn scenario_of_run(&self, run: &str) -> Option<Remaining> {
        self.scenarios.of_run(run, clock::now())
    }

    /// Applies a scenario to the requests of this run that come in this time.
    ///
    /// # Errors
    /// When there is no room for it.
    pub(crate) fn set_scenario_of_run(
        &self,
        run: &str,
        scenario: &Scenario,
        lasts: Duration,
    ) -> Result<(), TooManyScenarios> {
        self.scenarios.set_of_run(run, scenario, lasts)
    }

    /// Applies the listener's scenario to the requests of this run again; false if that is so
    /// already.
    pub(crate) fn remove_scenario_of_run(&self, run: &str) -> bool {
        self.scenarios.remove_of_run(run)
    }

    /// Forgets the scenario, the attempts and the records of a run.
    pub(crate) fn forget(&self, run: &str) {
        self.scenarios.remove_of_run(run);
        if let Some(attempts) = &self.attempts {
            attempts.forget(run);
        }
        self.records.forget(run);
    }

    /// What all requests of the server watch while they wait.
    pub(crate) fn shutdown(&self) -> &Arc<Shutdown> {
        &self.shutdown
    }

    /// Opens the record of a request that it does not decide about.
    pub(crate) fn pass(&self, head: &RequestHead<'_>) -> RecordGuard {
        let run = head.run().unwrap_or_default();
        if head.resource.is_health_check() && run.is_empty() {
            // They come every few seconds, and no test asks for them.
            self.records.count_unrecorded();
            return RecordGuard::default();
        }
        let key = RequestKey {
            run,
            method: head.method,
            path: head.resource.path(),
            attempt: 0,
        };
        let request = || head.received(AttemptFrom::None);
        self.records.begin_undecided(&key, clock::now(), request)
    }

    /// Decides what is to happen to a request for a resource that [has
    /// faults](flags_data::Resource::has_faults), counts it, and opens its record.
    ///
    /// # Errors
    /// With the answer to a request whose headers are invalid. It is neither counted nor recorded.
    pub(crate) fn decide(&self, head: &RequestHead<'_>) -> Result<Decision, Box<Complete>> {
        let received = clock::now();
        let run = head.run()?;
        let decide = |active: &Active| self.decide_under(active, head, run, received);
        self.scenarios.with(run, received, decide)
    }

    fn decide_under(
        &self,
        active: &Active,
        head: &RequestHead<'_>,
        run: &str,
        received: Instant,
    ) -> Result<Decision, Box<Complete>> {
        let counters = self.attempts.as_ref();
        let counters = counters.filter(|_| active.scenario.counts_attempts());
        let identity = Identity::of(head, run, counters, active.ends)?;
        let circumstances = Circumstances {
            since_start: received.saturating_duration_since(active.start),
            headers: head,
        };
        let plan = active.planner.plan_under(&identity.key, &circumstances);
        let Identity { key, hop, .. } = &identity;
        let request = || head.received(identity.attempt_from);
        let record = (self.records).begin(key, *hop, &plan, received, active.ends, request);
        let own = plan.ending.as_ref();
        let own = own.and_then(|ending| ending.response(&identity.key, identity.hop));
        let response = own.map(|own| status::respond(own, head, &identity));
        let Plan {
            delay,
            pace,
            ending,
            rules,
        } = plan;
        Ok(Decision {
            received,
            attempt: identity.key.attempt,
            workers: active.workers.clone(),
            service_time: active.planner.service_time(&identity.key),
            delay: if identity.hop == 0 {
                delay
            } else {
                Duration::ZERO
            },
            pace,
            ending,
            response,
            rules,
            record,
        })
    }

    /// Waits for a worker, holds the delay, and returns what is to be sent then.
    pub(crate) async fn apply(&self, decision: Decision) -> Reply {
        let Decision {
            received,
            attempt: _,
            workers,
            service_time,
            delay,
            pace,
            ending,
            response,
            rules,
            mut record,
        } = decision;
        let mut busy = Duration::ZERO;
        if let Some(workers) = &workers {
            let served = workers.serve(service_time);
            match self.shutdown.wait_for(served).await {
                Ok(Ok(())) => busy = clock::now().saturating_duration_since(received),
                Ok(Err(refusal)) | Err(refusal) => return Reply::Refuse(refusal, record),
            }
        }
        let waited = match self.shutdown.hold(received + busy, delay).await {
            Ok(waited) => waited,
            Err(refusal) => return Reply::Refuse(refusal, record),
        };
        record.begun(waited.saturating_sub(delay));

        if let Some(fault) = ending.as_ref().and_then(Ending::before_response) {
            return Reply::Break(fault, record);
        }
        // A paced body is counted when it is over.
        let has_waited = !busy.is_zero() || !delay.is_zero();
        if has_waited && pace == Pace::default() && self.shutdown.is_requested() {
            self.shutdown.count_answered();
        }
        Reply::Respond(Respond {
            response,
            report: Report {
                delay,
                // A request without a delay did not wait; the time of its handling is not a wait.
                waited: if delay.is_zero() {
                    Duration::ZERO
                } else {
                    waited
                },
                busy,
                rules,
            },
            pace,
            ending,
            record,
        })
    }
}

impl Report {
    /// The headers, one after another; `body` is its [planned time](Respond::body_time).
    pub(crate) fn write(
        &self,
        body: Option<Duration>,
        mut header: impl FnMut(HeaderName, &HeaderValue),
    ) {
        let (delay, waited, busy) = (self.delay, self.waited, self.busy);
        if delay.is_zero() && busy.is_zero() && body.is_none() {
            header(SERVER_TIMING, &NO_WAIT);
        } else {
            let mut timing = format!("plan;dur={}, wait;dur={}", millis(delay), millis(waited));
            if !busy.is_zero() {
                timing += &format!(", capacity;dur={}", millis(busy));
            }
            if let Some(body) = body {
                timing += &format!(", body;dur={}", millis(body));
            }
            header(SERVER_TIMING, &header_value(&timing));
        }
        if let Some(names) = RuleName::list(&self.rules) {
            header(FLAG_PLAN, &header_value(&names));
        }
    }
}

/// The report of a request without a delay.
const NO_WAIT: HeaderValue = HeaderValue::from_static("plan;dur=0.000, wait;dur=0.000");

/// Milliseconds with three decimals, cut off and not rounded, so that programs in any language can
/// compute this text from the plan in whole nanoseconds.
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
