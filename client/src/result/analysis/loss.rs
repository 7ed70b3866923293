//! Where the time beyond the ideal went, in the median round of a series. It decides what each part
//! is, and that the parts add up; when a plan is known is for [`KnownPlan`] to say.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::KnownPlan;
use crate::download::Sample;
use crate::result::measurement::{OtherRequest, PlannedAttempt, Round, Series};
use crate::result::stats::millis;

/// Where the time beyond the ideal went, in the [median round](Series::median_round). No part is
/// below zero, and together they are the total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The round that this is about, from 1: the one whose time is the median; of an even number of
    /// rounds, the quicker of the two in the middle.
    #[serde(default)]
    pub round: usize,
    /// That round less the ideal, in milliseconds; the other fields say what it is made of. Below
    /// zero if the round was quicker than the ideal: then nothing was lost, and all parts are zero.
    pub total_ms: f64,
    /// The server held its delays longer than planned.
    pub server_ms: f64,
    /// Connecting, sending, and waiting for the head of the response, beyond the delay.
    pub waiting_ms: f64,
    /// The body, beyond its planned pace.
    pub transfer_ms: f64,
    /// Before, between and after the downloads: the client's own work.
    pub client_ms: f64,
    /// What of that came before the first request. Of a command only, whose process has to start.
    pub startup_ms: Option<f64>,
    /// Requests that are not of the job. Of a command only: HEAD, metadata, flags again.
    #[serde(default)]
    pub other_requests_ms: Option<f64>,
    /// The worker that ended last had more to do than in the schedule of the ideal, or waited
    /// longer for a capacity.
    pub order_ms: f64,
    /// What cannot be attributed.
    #[serde(default)]
    pub unexplained_ms: f64,
}

impl Loss {
    /// Of a series; none if the plan is not known, or nothing was measured.
    pub(super) fn of(plan: &KnownPlan<'_>, series: &Series) -> Option<Self> {
        let ideal = plan.ideal(series.workers)?;
        let (number, round) = series.median_round()?;
        let total_ms = millis(round.elapsed) - millis(ideal);
        let is_command = series.is_command();
        let planned = |sample: &Sample| plan.attempt(sample);
        let path = LastWorker::of(round, ideal, is_command, planned)?;
        let has_unknown = |sample: &Sample| plan.has_capacity && sample.capacity.is_none();
        let parts = if round.samples.iter().any(has_unknown) {
            // How long the server's capacity took is not known.
            Self {
                unexplained_ms: total_ms.max(0.0),
                ..Self::default()
            }
        } else {
            path.parts(total_ms)
        };
        Some(Self {
            round: number,
            total_ms,
            startup_ms: parts.startup_ms.filter(|_| is_command),
            other_requests_ms: parts.other_requests_ms.filter(|_| is_command),
            ..parts
        })
    }

    /// The sum of the parts: the total, or zero if nothing was lost.
    #[cfg(test)]
    fn sum(&self) -> f64 {
        let explained = self.server_ms + self.waiting_ms + self.transfer_ms + self.client_ms;
        let others = self.other_requests_ms.unwrap_or_default();
        explained + others + self.order_ms + self.unexplained_ms
    }
}

/// By how many milliseconds the worker that ended last was behind the schedule of the ideal, and
/// where. The sum of all but `startup` is the time of the round less the ideal. Each is below zero
/// if time was gained there.
#[derive(Debug, Clone, Copy, Default)]
struct LastWorker {
    server: f64,
    waiting: f64,
    transfer: f64,
    client: f64,
    /// A part of `client`.
    startup: f64,
    /// Requests that are not of the job.
    others: f64,
    order: f64,
}

impl LastWorker {
    /// None without a sample, or if one of that worker has no plan; of a command, that one is not
    /// of the job.
    fn of(
        round: &Round,
        ideal: Duration,
        is_command: bool,
        planned: impl Fn(&Sample) -> Option<PlannedAttempt>,
    ) -> Option<Self> {
        let last = round.samples.iter().max_by_key(|sample| sample.done)?;
        let others = round.other_requests();
        let others = others.filter(|request| request.worker == last.worker);
        let mut found = Self {
            startup: millis(round.first_request()?),
            others: others.map(OtherRequest::latency).map(millis).sum(),
            ..Self::default()
        };
        let (mut wanted, mut busy) = (0.0, 0.0);
        let own = |sample: &&Sample| sample.worker == last.worker;
        for sample in round.samples.iter().filter(own) {
            let is_new = |_: &PlannedAttempt| !(is_command && is_repeated(sample, round));
            let planned = planned(sample).filter(is_new);
            if planned.is_none() && is_command {
                found.others += millis(sample.latency());
                continue;
            }
            let planned = planned?;
            let (delay, time) = (millis(planned.delay), millis(planned.time));
            let (sent, done) = (millis(sample.sent), millis(sample.done));
            let pause = millis(sample.retry_in.unwrap_or_default());
            // In the queue of a capacity it matters who comes first, as in the order of the job.
            let capacity = millis(sample.capacity.unwrap_or_default());
            wanted += time + capacity + pause;
            busy += done - sent + pause;
            let Some(headers) = sample.headers.map(millis) else {
                found.waiting += done - sent - time - capacity;
                continue;
            };
            let held = sample.wait.zip(sample.plan);
            let late = held.map_or(0.0, |(wait, plan)| millis(wait) - millis(plan));
            let body = done - headers - (time - delay);
            found.server += late;
            // When the head is read late, part of a paced body has arrived by then: the body is
            // shorter than planned by as much, and only the rest was lost.
            found.waiting += headers - sent - delay - capacity - late + body.min(0.0);
            found.transfer += body.max(0.0);
        }
        found.client = millis(round.elapsed) - busy - found.others;
        found.order = wanted - millis(ideal);
        Some(found)
    }

    /// The parts of this total.
    ///
    /// Where time was gained, such as by a worker that had less to do than in the schedule of the
    /// ideal, the rest is more than the total, and nothing says which of the losses the gain made
    /// good. So of each loss counts what the whole gain cannot have covered; what remains of the
    /// total is not explained.
    fn parts(&self, total_ms: f64) -> Loss {
        let all = [
            self.server,
            self.waiting,
            self.transfer,
            self.client,
            self.others,
            self.order,
        ];
        let gained: f64 = all.iter().map(|part| (-part).max(0.0)).sum();
        let of = |part: f64| {
            if total_ms > 0.0 {
                (part - gained).max(0.0)
            } else {
                0.0
            }
        };
        let explained: f64 = all.iter().map(|part| of(*part)).sum();
        Loss {
            server_ms: of(self.server),
            waiting_ms: of(self.waiting),
            transfer_ms: of(self.transfer),
            client_ms: of(self.client),
            startup_ms: Some(of(self.startup).min(of(self.client))),
            other_requests_ms: Some(of(self.others)),
            order_ms: of(self.order),
            unexplained_ms: (total_ms.max(0.0) - explained).max(0.0),
            ..Loss::default()
        }
    }
}

/// Whether this attempt was made before: a command may make one again.
fn is_repeated(sample: &Sample, round: &Round) -> bool {
    let mut others = round.samples.iter();
    others.any(|other| {
        let is_same = other.code == sample.code && other.attempt == sample.attempt;
        is_same && other.sent < sample.sent
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::Outcome;
    use proptest::prelude::*;

    fn micros(count: u64) -> Duration {
        Duration::from_micros(count)
    }

    /// An attempt by this worker, and what was planned for it: the delay and the body.
    type Attempt = (Sample, PlannedAttempt);

    prop_compose! {
        /// Any times at all: workers that overlap with themselves, bodies quicker than planned, and
        /// heads before the delay was over.
        fn attempt()(
            worker in 0..3_usize,
            sent in 0..50_000_u64,
            until_head in 0..300_000_u64,
            until_done in 0..100_000_u64,
            has_head in any::<bool>(),
            late in 0..5_000_u64,
            delay in 0..200_000_u64,
            body in 0..50_000_u64,
            capacity in prop::option::of(0..50_000_u64),
            pause in prop::option::of(0..50_000_u64),
        ) -> Attempt {
            let headers = sent + until_head;
            let sample = Sample {
                code: "BR".parse().unwrap(),
                attempt: 1,
                worker,
                outcome: Outcome::Downloaded,
                error: None,
                status: Some(200),
                bytes: 1,
                sent: micros(sent),
                headers: has_head.then(|| micros(headers)),
                done: micros(headers + until_done),
                plan: Some(micros(delay)),
                wait: Some(micros(delay + late)),
                body: None,
                capacity: capacity.map(micros),
                rules: None,
                retry_in: pause.map(micros),
            };
            let planned = PlannedAttempt {
                outcome: Outcome::Downloaded,
                delay: micros(delay),
                time: micros(delay + body),
                requests: 1,
                service: None,
                pause: micros(pause.unwrap_or_default()),
            };
            (sample, planned)
        }
    }

    proptest! {
        #[test]
        fn no_part_is_below_zero_and_all_add_up_to_what_the_round_lost(
            attempts in prop::collection::vec(attempt(), 1..12),
            ideal in 0..1_000_000_u64,
            after in 0..20_000_u64,
        ) {
            let samples: Vec<Sample> = attempts.iter().map(|(sample, _)| sample.clone()).collect();
            let end = samples.iter().map(|sample| sample.done).max().unwrap();
            let round = Round { elapsed: end + micros(after), samples, ..Round::default() };
            let planned = |wanted: &Sample| {
                let mut all = attempts.iter();
                all.find(|(sample, _)| sample == wanted).map(|(_, planned)| *planned)
            };
            let ideal = micros(ideal);
            let total = millis(round.elapsed) - millis(ideal);
            let loss = LastWorker::of(&round, ideal, false, planned).unwrap().parts(total);
            let Loss { server_ms, waiting_ms, transfer_ms, client_ms, order_ms, unexplained_ms, .. } = loss;
            for part in [server_ms, waiting_ms, transfer_ms, client_ms, order_ms, unexplained_ms] {
                prop_assert!(part >= 0.0, "{:?}", loss);
            }
            prop_assert!((loss.sum() - total.max(0.0)).abs() < 1e-6, "{} {:?}", total, loss);
            prop_assert!(loss.startup_ms.unwrap() <= client_ms);
        }
    }

    fn parts(path: LastWorker, total: f64) -> [f64; 6] {
        let loss = path.parts(total);
        [
            loss.server_ms,
            loss.waiting_ms,
            loss.transfer_ms,
            loss.client_ms,
            loss.order_ms,
            loss.unexplained_ms,
        ]
    }

    /// 2 + 6 + 4 − 3 = 9: of the losses at least 0, 3 and 1 remain, whichever the 3 made good, and
    /// 5 of the 9 may be of any.
    #[test]
    fn what_a_gain_may_have_covered_is_not_explained() {
        let path = LastWorker {
            server: 2.0,
            waiting: 6.0,
            client: 4.0,
            startup: 3.5,
            order: -3.0,
            ..LastWorker::default()
        };
        assert_eq!(parts(path, 9.0), [0.0, 3.0, 0.0, 1.0, 0.0, 5.0]);
        assert_eq!(path.parts(9.0).startup_ms, Some(0.5));
    }

    #[test]
    fn a_round_below_the_ideal_lost_nothing() {
        let path = LastWorker {
            waiting: 6.0,
            order: -10.0,
            ..LastWorker::default()
        };
        assert_eq!(parts(path, -4.0), [0.0; 6]);
    }
}
