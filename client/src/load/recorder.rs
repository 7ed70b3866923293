//! The results of requests, in constant memory: counts, and histograms of times.
//!
//! It uses neither a clock nor HTTP. Each thread fills its own recorder, and they are added up.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use flag_cli::one_line;
use hdrhistogram::Histogram;

use super::schedule::Pace;
use crate::result::{CensoredTimes, Failure};

/// Times are recorded with three significant digits.
const DIGITS: u8 = 3;

/// The longest time that a histogram can hold, in nanoseconds: an hour. Longer times count as an
/// hour.
const LONGEST: u64 = 3_600_000_000_000;

/// The share of a processor from which on a thread counts as busy.
const BUSY: f64 = 0.9;

/// One request that was answered or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exchange {
    /// How it ended.
    pub outcome: RequestOutcome,
    /// The service time: from when it was sent until the last byte of the answer, or the failure.
    pub service: Duration,
    /// The response time: the same, from when it should have been sent.
    pub response: Duration,
    /// How much later it was sent than possible, which is when it was intended, or when its
    /// connection was free if that was later. The load generator itself causes this delay.
    pub lag: Duration,
    /// How long after it was intended its connection became free; zero if that was earlier.
    pub wait: Duration,
    /// When it ended, since the warm-up.
    pub ended: Duration,
    /// Whether it belongs to the first half of an open loop's schedule.
    pub is_early: bool,
    /// The bytes of the body.
    pub bytes: u64,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOutcome {
    /// A complete answer with this status. From 400 up that is a failure.
    Status(u16),
    /// A complete answer with this status, from 400 up, that the plan of the server wanted.
    Planned(u16),
    /// No answer.
    Failed(Failure),
}

impl RequestOutcome {
    /// Whether it was answered without an error.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Status(100..400))
    }

    /// Whether there is an answer.
    pub fn is_answer(self) -> bool {
        matches!(self, Self::Status(_) | Self::Planned(_))
    }

    /// Whether it is the answer that the server should give.
    pub fn is_as_planned(self) -> bool {
        self.is_success() || matches!(self, Self::Planned(_))
    }
}

/// The times of requests of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Times {
    /// From sending to the end of the answer.
    pub service: Histogram<u64>,
    /// From when it should have been sent.
    pub response: Histogram<u64>,
}

impl Times {
    fn new() -> Self {
        Self {
            service: histogram(),
            response: histogram(),
        }
    }

    fn record(&mut self, exchange: &Exchange) {
        record(&mut self.service, exchange.service);
        record(&mut self.response, exchange.response);
    }

    fn add(&mut self, other: &Self) {
        add(&mut self.service, &other.service);
        add(&mut self.response, &other.response);
    }
}

/// Everything that is recorded about requests.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorder {
    /// The times of successful requests.
    pub succeeded: Times,
    /// The times of failed requests: a quick error is not a quick answer.
    pub failed: Times,
    /// Of those of them that failed as planned.
    pub planned: Times,
    /// How long those at least take that timed out, were cut off, or were not sent. What was not
    /// sent has a service time of at least zero.
    pub censored: Times,
    /// The response times of those that were answered as planned in the first half of an open
    /// loop's schedule.
    pub early: Histogram<u64>,
    /// How late all of them were sent.
    pub lag: Histogram<u64>,
    /// How late the threads of the generator did what was due, whenever they looked at themselves.
    pub late: Histogram<u64>,
    /// At how many of these looks a thread had been busy, with hardly a pause since the last one.
    pub busy: u64,
    /// How many had each status.
    pub statuses: BTreeMap<u16, u64>,
    /// How many of them had it as planned, of those from 400 up.
    pub planned_statuses: BTreeMap<u16, u64>,
    /// How many failed for each reason.
    pub failures: BTreeMap<Failure, u64>,
    /// What the first of them was, in words.
    pub causes: BTreeMap<Failure, String>,
    /// The bytes of all bodies.
    pub bytes: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Requests that should have been sent before the end, but found no free connection.
    pub unsent: u64,
    /// Requests that were under way when the load was interrupted.
    pub cut_off: u64,
    /// When the last answer came, since the warm-up.
    pub last_answer: Option<Duration>,
    /// When the last request ended, with an answer or without, since the warm-up.
    pub last_end: Duration,
    /// The longest that a request waited for a free connection.
    pub longest_wait: Duration,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            succeeded: Times::new(),
            failed: Times::new(),
            planned: Times::new(),
            censored: Times::new(),
            early: histogram(),
            lag: histogram(),
            late: histogram(),
            busy: 0,
            statuses: BTreeMap::new(),
            planned_statuses: BTreeMap::new(),
            failures: BTreeMap::new(),
            causes: BTreeMap::new(),
            bytes: 0,
            connections: 0,
            unsent: 0,
            cut_off: 0,
            last_answer: None,
            last_end: Duration::ZERO,
            longest_wait: Duration::ZERO,
        }
    }
}

impl Recorder {
    /// Adds one request.
    pub fn record(&mut self, exchange: &Exchange) {
        let outcome = exchange.outcome;
        match outcome {
            RequestOutcome::Status(status) => *self.statuses.entry(status).or_default() += 1,
            RequestOutcome::Planned(status) => {
                *self.statuses.entry(status).or_default() += 1;
                *self.planned_statuses.entry(status).or_default() += 1;
                self.planned.record(exchange);
            }
            RequestOutcome::Failed(failure) => {
                *self.failures.entry(failure).or_default() += 1;
                if failure == Failure::Timeout {
                    self.censored.record(exchange);
                }
            }
        }
        let times = if outcome.is_success() {
            &mut self.succeeded
        } else {
            &mut self.failed
        };
        times.record(exchange);
        if exchange.is_early && outcome.is_as_planned() {
            record(&mut self.early, exchange.response);
        }
        record(&mut self.lag, exchange.lag);
        self.bytes += exchange.bytes;
        self.longest_wait = self.longest_wait.max(exchange.wait);
        self.last_end = self.last_end.max(exchange.ended);
        if outcome.is_answer() {
            self.last_answer = self.last_answer.max(Some(exchange.ended));
        }
    }

    /// Adds a look of a thread at itself: how late it was, and its share of a processor since the
    /// last one, if that is known.
    pub fn record_beat(&mut self, late: Duration, share: Option<f64>) {
        record(&mut self.late, late);
        self.busy += u64::from(share.is_some_and(|share| share >= BUSY));
    }

    /// Keeps the cause of a failure, if it is the first of its kind.
    pub fn explain(&mut self, failure: Failure, cause: impl FnOnce() -> String) {
        self.causes
            .entry(failure)
            .or_insert_with(|| one_line(&cause()));
    }

    /// Adds one request that was under way when the load was interrupted. `ended` is since the
    /// warm-up.
    pub fn record_cut_off(&mut self, service: Duration, response: Duration, ended: Duration) {
        self.cut_off += 1;
        record(&mut self.censored.service, service);
        record(&mut self.censored.response, response);
        self.last_end = self.last_end.max(ended);
    }

    /// Adds one request that should have been sent so long ago, and was not.
    pub fn record_late(&mut self, wait: Duration) {
        self.unsent += 1;
        record(&mut self.censored.service, Duration::ZERO);
        record(&mut self.censored.response, wait);
    }

    /// Adds the requests with these numbers, which had not been sent when `end` had passed since
    /// the beginning. There may be billions: those are counted together whose times the histogram
    /// does not tell apart.
    pub fn record_unsent(&mut self, pace: Pace, numbers: &Range<u64>, end: Duration) {
        let Self {
            censored, unsent, ..
        } = self;
        let mut until = numbers.end;
        while until > numbers.start {
            let last = pace.intended(until - 1).unwrap_or_default();
            let wait = nanos(end.saturating_sub(last));
            let longest = censored.response.highest_equivalent(wait);
            // Those before have waited longer, and what is longer than an hour counts as that.
            let earliest = end.checked_sub(Duration::from_nanos(longest));
            let earliest = earliest.filter(|_| longest < LONGEST);
            let from = earliest.map_or(0, |earliest| pace.intended_before(earliest));
            let from = from.clamp(numbers.start, until - 1);
            let count = until - from;
            let recorded = censored.response.record_n(wait, count);
            recorded.expect("it grows up to an hour");
            let recorded = censored.service.record_n(0, count);
            recorded.expect("zero is not too long");
            *unsent += count;
            until = from;
        }
    }

    /// Adds all requests of another recorder.
    pub fn add(&mut self, other: &Self) {
        self.succeeded.add(&other.succeeded);
        self.failed.add(&other.failed);
        self.planned.add(&other.planned);
        self.censored.add(&other.censored);
        add(&mut self.early, &other.early);
        add(&mut self.lag, &other.lag);
        add(&mut self.late, &other.late);
        self.busy += other.busy;
        add_counts(&mut self.statuses, &other.statuses);
        add_counts(&mut self.planned_statuses, &other.planned_statuses);
        add_counts(&mut self.failures, &other.failures);
        for (failure, cause) in &other.causes {
            self.explain(*failure, || cause.clone());
        }
        self.bytes += other.bytes;
        self.connections += other.connections;
        self.unsent += other.unsent;
        self.cut_off += other.cut_off;
        self.last_answer = self.last_answer.max(other.last_answer);
        self.last_end = self.last_end.max(other.last_end);
        self.longest_wait = self.longest_wait.max(other.longest_wait);
    }

    /// The requests that were sent and have ended.
    pub fn requests(&self) -> u64 {
        self.lag.len()
    }

    /// The response times of all requests.
    pub fn response(&self) -> CensoredTimes {
        self.all_times(|times| &times.response)
    }

    /// The service times of all requests.
    pub fn service(&self) -> CensoredTimes {
        self.all_times(|times| &times.service)
    }

    fn all_times(&self, of: impl Fn(&Times) -> &Histogram<u64>) -> CensoredTimes {
        let timeouts = self.failures.get(&Failure::Timeout).copied();
        let has_time = of(&self.planned).len() + timeouts.unwrap_or(0);
        let failed = of(&self.failed).len().saturating_sub(has_time);
        let (succeeded, planned) = (of(&self.succeeded), of(&self.planned));
        CensoredTimes::new(succeeded, planned, of(&self.censored), failed)
    }

    /// Empties it, and keeps its memory.
    pub fn clear(&mut self) {
        for times in [
            &mut self.succeeded,
            &mut self.failed,
            &mut self.planned,
            &mut self.censored,
        ] {
            times.service.reset();
            times.response.reset();
        }
        self.early.reset();
        self.lag.reset();
        self.late.reset();
        self.busy = 0;
        self.statuses.clear();
        self.planned_statuses.clear();
        self.failures.clear();
        self.causes.clear();
        (self.bytes, self.connections, self.unsent, self.cut_off) = (0, 0, 0, 0);
        self.last_answer = None;
        (self.last_end, self.longest_wait) = (Duration::ZERO, Duration::ZERO);
    }
}

fn add_counts<K: Copy + Ord>(counts: &mut BTreeMap<K, u64>, others: &BTreeMap<K, u64>) {
    for (key, count) in others {
        *counts.entry(*key).or_default() += count;
    }
}

/// A histogram in nanoseconds, from one up, that grows as needed.
fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new(DIGITS).expect("three digits are not too many");
    histogram.auto(true);
    histogram
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    let recorded = histogram.record(nanos(time));
    recorded.expect("it grows up to an hour");
}

fn nanos(time: Duration) -> u64 {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(LONGEST);
    nanos.min(LONGEST)
}

fn add(histogram: &mut Histogram<u64>, other: &Histogram<u64>) {
    histogram.add(other).expect("it grows up to an hour");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn exchange(outcome: RequestOutcome, service: Duration) -> Exchange {
        Exchange {
            outcome,
            service,
            response: service * 2,
            lag: Duration::ZERO,
            wait: Duration::ZERO,
            ended: service,
            is_early: false,
            bytes: 10,
        }
    }

    #[test]
    fn errors_have_their_own_times() {
        let mut recorder = Recorder::default();
        recorder.record(&exchange(RequestOutcome::Status(200), 5 * MS));
        recorder.record(&exchange(RequestOutcome::Status(503), MS));
        recorder.record(&exchange(
            RequestOutcome::Failed(Failure::Timeout),
            1000 * MS,
        ));
        assert_eq!((recorder.requests(), recorder.bytes), (3, 30));
        assert_eq!(
            (
                recorder.succeeded.service.len(),
                recorder.failed.service.len()
            ),
            (1, 2)
        );
        assert_eq!(recorder.statuses, [(200, 1), (503, 1)].into());
        assert_eq!(recorder.failures, [(Failure::Timeout, 1)].into());
        assert!(recorder.succeeded.response.max() >= 9_990_000);
    }

    #[test]
    fn two_halves_add_up_to_the_whole() {
        let (mut one, mut other, mut all) = (
            Recorder::default(),
            Recorder::default(),
            Recorder::default(),
        );
        for number in 1..=1000_u32 {
            let exchange = exchange(
                RequestOutcome::Status(200 + (number % 3) as u16 * 100),
                MS * number,
            );
            let half = if number % 2 == 0 {
                &mut one
            } else {
                &mut other
            };
            half.record(&exchange);
            all.record(&exchange);
        }
        one.add(&other);
        assert_eq!(one, all);
        one.clear();
        assert_eq!(one.requests(), 0);
    }

    #[test]
    fn a_planned_error_is_a_failure_that_is_ranked_at_its_time() {
        let mut recorder = Recorder::default();
        recorder.record(&exchange(RequestOutcome::Status(200), MS));
        recorder.record(&exchange(RequestOutcome::Planned(503), 2 * MS));
        assert_eq!(recorder.statuses, [(200, 1), (503, 1)].into());
        assert_eq!(recorder.planned_statuses, [(503, 1)].into());
        let percentiles = recorder.service().percentiles().unwrap();
        assert_eq!(
            (percentiles.count, percentiles.failed, percentiles.censored),
            (2, 0, 0)
        );
        assert!(percentiles.max.is_exact());
        recorder.record(&exchange(RequestOutcome::Status(503), 3 * MS));
        let percentiles = recorder.service().percentiles().unwrap();
        assert_eq!(
            (percentiles.count, percentiles.failed, percentiles.max.lower),
            (3, 1, None)
        );
    }

    #[test]
    fn timeouts_and_what_was_cut_off_are_at_least_as_long_as_they_were_waited_for() {
        let mut recorder = Recorder::default();
        recorder.record(&exchange(RequestOutcome::Status(200), MS));
        recorder.record(&exchange(RequestOutcome::Failed(Failure::Timeout), 9 * MS));
        recorder.record_cut_off(2 * MS, 5 * MS, 30 * MS);
        let percentiles = recorder.response().percentiles().unwrap();
        assert_eq!(
            (percentiles.count, percentiles.failed, percentiles.censored),
            (3, 0, 2)
        );
        let millis = |bounds: crate::result::Bounds| bounds.millis();
        assert!(
            (millis(percentiles.p50).0 - 5.0).abs() < 0.01,
            "{percentiles:?}"
        );
        assert!(
            (millis(percentiles.max).0 - 18.0).abs() < 0.02,
            "{percentiles:?}"
        );
        assert_eq!(millis(percentiles.max).1, f64::INFINITY);
        assert_eq!(
            (recorder.last_end, recorder.last_answer),
            (30 * MS, Some(MS))
        );
    }

    /// Billions take no longer than ten.
    #[test]
    fn the_unsent_are_counted_by_how_long_they_have_waited() {
        let pace = Pace::Open { rate: 1e9 };
        let mut recorder = Recorder::default();
        let end = Duration::from_secs(10);
        recorder.record_unsent(pace, &(0..10_000_000_000), end);
        assert_eq!(recorder.unsent, 10_000_000_000);
        let percentiles = recorder.response().percentiles().unwrap();
        assert_eq!(
            (percentiles.count, percentiles.censored),
            (10_000_000_000, 10_000_000_000)
        );
        assert!(
            (percentiles.p50.millis().0 / 5000.0 - 1.0).abs() < 1e-3,
            "{percentiles:?}"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_unsent_are_recorded_as_if_one_by_one(
            rate in 1e-1..1e5_f64, start in 0..300_u64, count in 1..300_u64, end in 0..20_000_000_000_u64,
        ) {
            let (pace, end) = (Pace::Open { rate }, Duration::from_nanos(end));
            let numbers = start..(start + count).min(pace.intended_before(end)).max(start);
            let mut recorder = Recorder::default();
            recorder.record_unsent(pace, &numbers, end);
            let mut one_by_one = Recorder::default();
            for number in numbers {
                one_by_one.record_late(end - pace.intended(number).unwrap());
            }
            let (found, expected) = (recorder.censored.response, one_by_one.censored.response);
            prop_assert_eq!(recorder.unsent, one_by_one.unsent);
            prop_assert_eq!(found.len(), expected.len());
            let counts = |histogram: Histogram<u64>| -> Vec<(u64, u64)> {
                let lines = histogram.iter_recorded();
                lines.map(|line| (line.value_iterated_to(), line.count_at_value())).collect()
            };
            prop_assert_eq!(counts(found), counts(expected));
        }
    }

    #[test]
    fn a_time_above_an_hour_counts_as_an_hour() {
        let mut recorder = Recorder::default();
        recorder.record(&exchange(RequestOutcome::Status(200), Duration::MAX / 2));
        let max = recorder.succeeded.service.max();
        assert!((LONGEST..LONGEST + LONGEST / 500).contains(&max), "{max}");
    }
}
