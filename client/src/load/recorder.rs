//! The results of requests, in constant memory: counts, and histograms of times.
//!
//! It uses neither a clock nor HTTP. Each thread fills its own recorder, and they are added up.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::result::Failure;

/// Times are recorded with three significant digits.
const DIGITS: u8 = 3;

/// The longest time that a histogram can hold, in nanoseconds: an hour. Longer times count as an
/// hour.
const LONGEST: u64 = 3_600_000_000_000;

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
    /// The bytes of the body.
    pub bytes: u64,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOutcome {
    /// A complete answer with this status. From 400 up that is a failure.
    Status(u16),
    /// No answer.
    Failed(Failure),
}

impl RequestOutcome {
    /// Whether it was answered without an error.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Status(100..400))
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
    /// How late all of them were sent.
    pub lag: Histogram<u64>,
    /// How many had each status.
    pub statuses: BTreeMap<u16, u64>,
    /// How many failed for each reason.
    pub failures: BTreeMap<Failure, u64>,
    /// The bytes of all bodies.
    pub bytes: u64,
    /// Connections that were made.
    pub connections: u64,
    /// Requests that should have been sent before the end, but found no free connection.
    pub unsent: u64,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            succeeded: Times::new(),
            failed: Times::new(),
            lag: histogram(),
            statuses: BTreeMap::new(),
            failures: BTreeMap::new(),
            bytes: 0,
            connections: 0,
            unsent: 0,
        }
    }
}

impl Recorder {
    /// Adds one request.
    pub fn record(&mut self, exchange: &Exchange) {
        match exchange.outcome {
            RequestOutcome::Status(status) => *self.statuses.entry(status).or_default() += 1,
            RequestOutcome::Failed(failure) => *self.failures.entry(failure).or_default() += 1,
        }
        let times = if exchange.outcome.is_success() {
            &mut self.succeeded
        } else {
            &mut self.failed
        };
        times.record(exchange);
        record(&mut self.lag, exchange.lag);
        self.bytes += exchange.bytes;
    }

    /// Adds all requests of another recorder.
    pub fn add(&mut self, other: &Self) {
        self.succeeded.add(&other.succeeded);
        self.failed.add(&other.failed);
        add(&mut self.lag, &other.lag);
        for (status, count) in &other.statuses {
            *self.statuses.entry(*status).or_default() += count;
        }
        for (failure, count) in &other.failures {
            *self.failures.entry(*failure).or_default() += count;
        }
        self.bytes += other.bytes;
        self.connections += other.connections;
        self.unsent += other.unsent;
    }

    /// The requests that were sent.
    pub fn requests(&self) -> u64 {
        self.lag.len()
    }

    /// Empties it, and keeps its memory.
    pub fn clear(&mut self) {
        for times in [&mut self.succeeded, &mut self.failed] {
            times.service.reset();
            times.response.reset();
        }
        self.lag.reset();
        self.statuses.clear();
        self.failures.clear();
        (self.bytes, self.connections, self.unsent) = (0, 0, 0);
    }
}

/// A histogram in nanoseconds, from one up, that grows as needed.
fn histogram() -> Histogram<u64> {
    let mut histogram = Histogram::new(DIGITS).expect("three digits are not too many");
    histogram.auto(true);
    histogram
}

fn record(histogram: &mut Histogram<u64>, time: Duration) {
    let nanos = u64::try_from(time.as_nanos())
        .unwrap_or(LONGEST)
        .min(LONGEST);
    histogram.record(nanos).expect("it grows up to an hour");
}

fn add(histogram: &mut Histogram<u64>, other: &Histogram<u64>) {
    histogram.add(other).expect("it grows up to an hour");
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn exchange(outcome: RequestOutcome, service: Duration) -> Exchange {
        Exchange {
            outcome,
            service,
            response: service * 2,
            lag: Duration::ZERO,
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
    fn a_time_above_an_hour_counts_as_an_hour() {
        let mut recorder = Recorder::default();
        recorder.record(&exchange(RequestOutcome::Status(200), Duration::MAX / 2));
        let max = recorder.succeeded.service.max();
        assert!((LONGEST..LONGEST + LONGEST / 500).contains(&max), "{max}");
    }
}
