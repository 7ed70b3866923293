//! The result of a load, as it is written to a file and read again: what was asked, where, and all
//! that is known of the requests.
//!
//! The histograms are in it whole, in HdrHistogram's own form: other tools can read them, those of
//! several runs can be added, and a report can be made again. Nothing here measures or words
//! anything.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flag_scenario::{Millis, OptionalMillis};
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::censored::{CensoredTimes, Percentiles};
use super::environment::{Environment, Neighbourhood};
use super::measurement::ServerRecord;

/// Everything that was measured, and all that is needed to understand it or to do it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "load")]
pub struct LoadResult {
    /// The version of this shape.
    pub schema_version: u32,
    /// Always `load`.
    pub kind: LoadKind,
    /// The command line that measured.
    pub command: Vec<String>,
    /// When it was done: RFC 3339, UTC.
    pub ended: String,
    /// Whether it was ended early by its user. What was under way then was cut off.
    pub interrupted: bool,
    /// What was to be done.
    pub job: LoadJob,
    /// Where the requests went.
    pub server: ServerRecord,
    /// The machine.
    pub environment: Environment,
    /// What else it did during the load; none where that is not known.
    #[serde(default)]
    pub neighbours: Option<Neighbourhood>,
    /// From the end of the warm-up until the last request ended, with an answer or without.
    #[serde(rename = "elapsed_ms", with = "Millis")]
    pub elapsed: Duration,
    /// When the first request that counts should have been sent, since the end of the warm-up; zero
    /// in a closed loop.
    #[serde(rename = "first_intended_ms", with = "Millis")]
    pub first_intended: Duration,
    /// From the end of the warm-up until the last answer; none if there was none.
    #[serde(rename = "last_answer_ms", with = "OptionalMillis")]
    pub last_answer: Option<Duration>,
    /// The longest that a request of an open loop waited for a free connection after it should have
    /// been sent.
    #[serde(rename = "longest_wait_ms", with = "Millis")]
    pub longest_wait: Duration,
    /// The processor time of the load generator for each request, user and system; none where it is
    /// not known.
    #[serde(rename = "cpu_per_request_ms", with = "OptionalMillis")]
    pub cpu_per_request: Option<Duration>,
    /// Whether the load generator kept up.
    pub generator: GeneratorRecord,
    /// How many requests there were.
    pub requests: RequestCounts,
    /// How many of them were answered as planned per second; none if there were none.
    pub throughput: Option<Throughput>,
    /// The percentiles of all requests, those without an answer included.
    pub percentiles: LoadPercentiles,
    /// How many answers had each status.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub statuses: BTreeMap<u16, u64>,
    /// How many of them had it as planned, of those from 400 up.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub planned_statuses: BTreeMap<u16, u64>,
    /// How many requests had no answer, for each reason.
    pub failures: BTreeMap<Failure, u64>,
    /// What the first of them was, in words.
    pub causes: BTreeMap<Failure, String>,
    /// The bytes of all bodies.
    pub bytes: u64,
    /// The connections that were made, warm-up included.
    pub connections_made: u64,
    /// How long requests took.
    pub times: LoadTimes,
}

/// Why a request had no answer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No connection could be made.
    Connect,
    /// The connection broke, or what came over it was no HTTP.
    Broken,
    /// It took longer than the time limit.
    Timeout,
    /// The body was longer than was accepted.
    TooLarge,
}

impl Failure {
    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "no connection",
            Self::Broken => "broken connection",
            Self::Timeout => "timeout",
            Self::TooLarge => "body too large",
        }
    }
}

/// The 99th percentile of the lag from which on the load generator counts as late.
const LATE_MS: f64 = 1.0;
/// And its share of that of the response time.
const LATE_SHARE: f64 = 0.05;
/// The share of its looks at itself at which a thread may be busy.
const BUSY_SHARE: f64 = 0.1;
/// The 90th percentile of how late a thread may be; tokio's timers alone are up to one millisecond
/// late.
const LATE_MS_OF_THREAD: f64 = 2.0;
/// With fewer looks nothing is said.
const LOOKS: u64 = 10;
/// The share of the requests that may be unsent or fail against the plan.
const MOST: f64 = 0.5;

/// Something that a reader must know before he believes the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LoadWarning {
    /// No request succeeded, so there are no times.
    NothingSucceeded,
    /// More than half of the requests were not sent, or failed against the plan.
    MostFailed {
        /// Their share.
        share: f64,
    },
    /// The rate was not reached, because no connection was free.
    TooSlow {
        /// Requests per second that should have been sent.
        wanted: f64,
        /// Those that were sent.
        sent: f64,
    },
    /// All were sent, but some only after they had waited for a connection for long.
    LateConnections {
        /// The longest wait.
        wait: Duration,
    },
    /// The load generator was not fast enough.
    LateSender {
        /// The 99th percentile of its lag.
        lag_ms: f64,
        /// Its share of that of the response time.
        share: f64,
    },
    /// The threads of the load generator had hardly a pause, or did late what was due: an answer
    /// that had arrived waited to be read.
    Saturated {
        /// The share of the time in which a thread was busy with hardly a pause.
        busy: f64,
        /// The 90th percentile of how late a thread did what was due.
        late_ms: f64,
    },
    /// Other programs were at work meanwhile.
    BusyMachine(Neighbourhood),
    /// Compiled without optimisation.
    DebugBuild,
}

/// What the threads of the load generator, which look at themselves every 50 ms, found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GeneratorRecord {
    /// At how many looks a thread had used 90 % of a processor or more since the last one.
    pub busy: u64,
    /// How late a thread did what was due. An answer that has arrived waits about as long before it
    /// is read, and that is in its service time.
    pub late: Times,
}

impl GeneratorRecord {
    /// Whether it was too busy to measure such service times.
    fn saturation(&self, service: &Times) -> Option<LoadWarning> {
        let looks = self.late.count();
        let busy = self.busy as f64 / looks.max(1) as f64;
        let late_ms = self.late.percentile(90.0).unwrap_or(0.0);
        let usual = service.percentile(90.0).unwrap_or(0.0);
        let is_late = late_ms > LATE_MS_OF_THREAD && late_ms > LATE_SHARE * usual;
        let is_saturated = looks >= LOOKS && (busy > BUSY_SHARE || is_late);
        is_saturated.then_some(LoadWarning::Saturated { busy, late_ms })
    }
}

/// Which sub-command measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoadKind {
    /// `load`.
    Load,
}

/// What was to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadJob {
    /// The different paths that were asked for, in turns.
    pub paths: usize,
    /// The seed of their order.
    pub seed: u64,
    /// The connections.
    pub connections: NonZeroUsize,
    /// The threads that shared them.
    pub threads: NonZeroUsize,
    /// The requests per second of an open loop; none of a closed one.
    pub rate: Option<f64>,
    /// How many requests there should be, if that was said.
    pub requests: Option<u64>,
    /// How long requests were to be sent, if that was said.
    #[serde(rename = "duration_ms", with = "OptionalMillis")]
    pub duration: Option<Duration>,
    /// How long they were sent before they counted.
    #[serde(rename = "warmup_ms", with = "Millis")]
    pub warmup: Duration,
    /// The time limit of one.
    #[serde(rename = "timeout_ms", with = "Millis")]
    pub timeout: Duration,
    /// The longest body that was accepted; none in documents of older versions, which had no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<u64>,
    /// Whether connections were used for more than one request.
    pub keep_alive: bool,
    /// The run that the requests named, each with the number of its attempt; none if the server is
    /// not Flagbench's.
    pub run: Option<String>,
}

/// How many requests there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestCounts {
    /// Those that were sent and have ended in one way or the other.
    pub sent: u64,
    /// Those with a complete answer and a status below 400.
    pub succeeded: u64,
    /// All others of them.
    pub failed: u64,
    /// Those of the failed ones that have a complete answer with the status that the server's plan
    /// wanted.
    pub planned_failures: u64,
    /// Those of an open loop that should have been sent before the end, and for which no connection
    /// was free.
    pub unsent: u64,
    /// Those that were under way when the load was interrupted.
    pub cut_off: u64,
}

impl RequestCounts {
    /// All that should have been sent.
    pub fn intended(self) -> u64 {
        self.sent + self.unsent + self.cut_off
    }

    /// Those that were answered as planned.
    pub fn right(self) -> u64 {
        self.succeeded + self.planned_failures
    }

    /// Whether enough were answered as planned: any, and at least half. What was cut off by the
    /// user is no failure.
    pub fn are_well(self) -> bool {
        let wrong = self.wrong_share();
        wrong.is_some_and(|share| share <= MOST) && self.right() > 0
    }

    /// The share of the requests that were not sent, or failed against the plan.
    fn wrong_share(self) -> Option<f64> {
        let wrong = self.failed - self.planned_failures.min(self.failed) + self.unsent;
        let all = self.sent + self.unsent;
        (all > 0).then(|| wrong as f64 / all as f64)
    }
}

/// How many requests were answered as planned per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Throughput {
    /// Requests per second, to three decimals.
    pub per_second: f64,
    /// The time that they are divided by: of an open loop its schedule, or the time until the last
    /// answer if that came clearly later; of a closed loop the time measured.
    #[serde(rename = "over_ms", with = "Millis")]
    pub over: Duration,
    /// How long after the end of the schedule the last answer came, if that is clearly later.
    #[serde(rename = "behind_ms", with = "OptionalMillis")]
    pub behind: Option<Duration>,
}

impl Throughput {
    /// Of this many right answers. `last` is when the last answer came, since the first request was
    /// intended, and `usual` how long a response takes that does not wait.
    ///
    /// The schedule of N requests lasts N / rate: until the first request is intended that is no
    /// part of it. Its last answer comes a little later, and is late only if that is more than the
    /// distance of two requests and than a usual response.
    fn of_schedule(
        right: u64,
        intended: u64,
        rate: f64,
        last: Duration,
        usual: Duration,
    ) -> Option<Self> {
        let of = |requests: u64| Duration::try_from_secs_f64(requests as f64 / rate).ok();
        let (schedule, distance) = (of(intended)?, of(1)?);
        let behind = last.saturating_sub(schedule);
        if behind <= distance.max(usual) {
            Self::over(right, schedule)
        } else {
            Some(Self {
                behind: Some(behind),
                ..Self::over(right, last)?
            })
        }
    }

    fn over(right: u64, over: Duration) -> Option<Self> {
        let seconds = over.as_secs_f64();
        (seconds > 0.0).then(|| Self {
            per_second: (right as f64 / seconds * 1e3).round() / 1e3,
            over,
            behind: None,
        })
    }
}

/// The percentiles of all requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadPercentiles {
    /// From when they should have been sent; none of none.
    pub response: Option<Percentiles>,
    /// From when they were sent; none of none. Of a request that was not sent, nothing is known.
    pub service: Option<Percentiles>,
}

/// How long requests took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadTimes {
    /// Of those that succeeded, from when they should have been sent. In a closed loop it is the
    /// same as `service`.
    pub response: Times,
    /// Of those that succeeded, from when they were sent.
    pub service: Times,
    /// How much later than it could have each request was sent: the load generator's own fault.
    pub lag: Times,
    /// `response` of those that failed.
    pub failed_response: Times,
    /// `service` of those that failed.
    pub failed_service: Times,
    /// `response` of those that failed as planned, which are among those that failed.
    pub planned_response: Times,
    /// `service` of those that failed as planned.
    pub planned_service: Times,
    /// How long those waited at least that timed out, were cut off or were not sent, from when they
    /// should have been sent.
    pub censored_response: Times,
    /// The same from when they were sent; zero if they were not.
    pub censored_service: Times,
    /// `response` of those that were answered as planned in the first half of an open loop.
    pub early_response: Times,
}

impl LoadTimes {
    /// The usual ones with their names.
    pub fn named(&self) -> [(&'static str, &Times); 5] {
        [
            ("response", &self.response),
            ("service", &self.service),
            ("lag", &self.lag),
            ("failed-response", &self.failed_response),
            ("failed-service", &self.failed_service),
        ]
    }
}

/// The distribution of some times, in nanoseconds.
///
/// A percentile is the smallest time that at least this percentage of the requests did not exceed,
/// rounded up to three digits: that is how HdrHistogram defines it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "TimesRecord", try_from = "TimesRecord")]
#[schemars(with = "TimesRecord")]
pub struct Times(pub Histogram<u64>);

impl Times {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// In milliseconds; none of none.
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        let nanos = if percent == 0.0 {
            self.0.min()
        } else {
            self.0.value_at_percentile(percent)
        };
        self.of_any(nanos as f64 / 1e6)
    }

    /// In milliseconds; none of none.
    pub fn mean(&self) -> Option<f64> {
        self.of_any(self.0.mean() / 1e6)
    }

    fn of_any(&self, value: f64) -> Option<f64> {
        (!self.0.is_empty()).then_some(value)
    }
}

/// How [`Times`] are written: the figures for people, the histogram for programs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TimesRecord {
    /// How many there are.
    count: u64,
    min_ms: Option<f64>,
    mean_ms: Option<f64>,
    p50_ms: Option<f64>,
    p90_ms: Option<f64>,
    p99_ms: Option<f64>,
    p99_9_ms: Option<f64>,
    max_ms: Option<f64>,
    /// All of them in nanoseconds: HdrHistogram, encoding V2 with deflate, in Base64.
    histogram: String,
}

impl From<Times> for TimesRecord {
    fn from(times: Times) -> Self {
        let mut encoded = Vec::new();
        V2DeflateSerializer::new()
            .serialize(&times.0, &mut encoded)
            .expect("a histogram fits in memory");
        Self {
            count: times.count(),
            min_ms: times.percentile(0.0),
            mean_ms: times.mean(),
            p50_ms: times.percentile(50.0),
            p90_ms: times.percentile(90.0),
            p99_ms: times.percentile(99.0),
            p99_9_ms: times.percentile(99.9),
            max_ms: times.percentile(100.0),
            histogram: BASE64_STANDARD.encode(encoded),
        }
    }
}

/// The text is not a histogram.
#[derive(Debug, Error)]
#[error("a histogram is not in HdrHistogram's encoding V2")]
struct NoHistogram;

impl TryFrom<TimesRecord> for Times {
    type Error = NoHistogram;

    fn try_from(record: TimesRecord) -> Result<Self, NoHistogram> {
        let encoded = BASE64_STANDARD.decode(record.histogram);
        let encoded = encoded.map_err(|_| NoHistogram)?;
        let histogram = Deserializer::new().deserialize(&mut &encoded[..]);
        histogram.map(Self).map_err(|_| NoHistogram)
    }
}

impl LoadResult {
    /// Computes what follows from the counts and histograms: after measuring, and after others were
    /// added.
    pub fn compute(&mut self) {
        self.percentiles = LoadPercentiles {
            response: self.response().percentiles(),
            service: self.service().percentiles(),
        };
        self.throughput = self.measured_throughput();
    }

    /// The response times of all requests.
    pub fn response(&self) -> CensoredTimes {
        let times = &self.times;
        self.all_times(
            &times.response,
            &times.planned_response,
            &times.censored_response,
        )
    }

    /// The service times of all requests.
    pub fn service(&self) -> CensoredTimes {
        let times = &self.times;
        self.all_times(
            &times.service,
            &times.planned_service,
            &times.censored_service,
        )
    }

    /// The service times of those that were sent.
    pub fn service_of_sent(&self) -> CensoredTimes {
        let times = &self.times;
        let mut unsent = times.censored_service.0.clone();
        unsent.reset();
        let mut censored = times.censored_service.clone();
        // Each of them is there with a time of zero, or else the document contradicts itself.
        if unsent.record_n(0, self.requests.unsent).is_ok() {
            censored.0.subtract(&unsent).ok();
        }
        self.all_times(&times.service, &times.planned_service, &censored)
    }

    fn all_times(&self, succeeded: &Times, planned: &Times, censored: &Times) -> CensoredTimes {
        let timeouts = self.failures.get(&Failure::Timeout).copied();
        let has_time = self.requests.planned_failures + timeouts.unwrap_or(0);
        let failed = self.requests.failed.saturating_sub(has_time);
        CensoredTimes::new(&succeeded.0, &planned.0, &censored.0, failed)
    }

    fn measured_throughput(&self) -> Option<Throughput> {
        let (right, intended) = (self.requests.right(), self.requests.intended());
        let Some(rate) = self.job.rate else {
            return Throughput::over(right, self.elapsed);
        };
        if intended == 0 {
            return None;
        }
        let last = self.last_answer.unwrap_or_default();
        let last = last.saturating_sub(self.first_intended);
        let usual = self.times.early_response.percentile(99.0).unwrap_or(0.0);
        let usual = Duration::try_from_secs_f64(usual / 1e3).unwrap_or(Duration::MAX);
        Throughput::of_schedule(right, intended, rate, last, usual)
    }

    /// What a reader must know first.
    pub fn warnings(&self) -> Vec<LoadWarning> {
        let counts = self.requests;
        let mut warnings = Vec::new();
        if counts.right() == 0 {
            warnings.push(LoadWarning::NothingSucceeded);
        } else if let Some(share) = counts.wrong_share().filter(|share| *share > MOST) {
            warnings.push(LoadWarning::MostFailed { share });
        }
        warnings.extend(self.busy_connections());
        let late = self.times.lag.percentile(99.0);
        if let (Some(lag_ms), Some(response)) = (late, self.times.response.percentile(99.0)) {
            let share = lag_ms / response;
            if lag_ms > LATE_MS && share > LATE_SHARE {
                warnings.push(LoadWarning::LateSender { lag_ms, share });
            }
        }
        warnings.extend(self.generator.saturation(&self.times.service));
        // A named server may run here, and be such a program.
        let is_alone = self.server.is_embedded();
        let busy = self.neighbours.filter(|it| is_alone && it.is_busy());
        warnings.extend(busy.map(LoadWarning::BusyMachine));
        if self.environment.build == "debug" {
            warnings.push(LoadWarning::DebugBuild);
        }
        warnings
    }

    /// Whether requests of an open loop were late because all connections were busy.
    fn busy_connections(&self) -> Option<LoadWarning> {
        let (counts, rate) = (self.requests, self.job.rate?);
        if counts.unsent > 0 {
            let sent = (counts.sent + counts.cut_off) as f64 / counts.intended() as f64;
            return Some(LoadWarning::TooSlow {
                wanted: rate,
                sent: rate * sent,
            });
        }
        let behind = self.throughput?.behind?;
        let wait = self.longest_wait;
        (wait >= behind / 2).then_some(LoadWarning::LateConnections { wait })
    }

    /// The share of the requests that should have succeeded and did not, those that were never sent
    /// among them.
    pub fn error_rate(&self) -> Option<f64> {
        let RequestCounts {
            sent,
            failed,
            unsent,
            ..
        } = self.requests;
        let all = sent + unsent;
        (all > 0).then(|| (failed + unsent) as f64 / all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::threshold::{self, Judgement};

    fn times(millis: impl IntoIterator<Item = u64>) -> Times {
        let mut histogram = Histogram::new(3).unwrap();
        for millis in millis {
            histogram.record(millis * 1_000_000).unwrap();
        }
        Times(histogram)
    }

    #[test]
    fn a_histogram_round_trips_with_its_figures() {
        let written = serde_json::to_value(times(1..=100)).unwrap();
        assert_eq!(written["count"], 100);
        for (key, millis) in [
            ("min_ms", 1.0),
            ("p50_ms", 50.0),
            ("p99_ms", 99.0),
            ("max_ms", 100.0),
        ] {
            let found = written[key].as_f64().unwrap();
            assert!((found / millis - 1.0).abs() < 1e-3, "{key}: {found}");
        }
        let histogram = written["histogram"].as_str().unwrap();
        assert!(
            histogram.starts_with("HISTF"),
            "the magic number of V2 with deflate: {histogram}"
        );
        assert_eq!(
            serde_json::from_value::<Times>(written).unwrap(),
            times(1..=100)
        );
    }

    #[test]
    fn an_empty_histogram_has_no_figures() {
        let written = serde_json::to_value(times([])).unwrap();
        assert_eq!(
            (written["count"].as_u64(), &written["p50_ms"]),
            (Some(0), &serde_json::Value::Null)
        );
        assert_eq!(serde_json::from_value::<Times>(written).unwrap(), times([]));
    }

    #[test]
    fn an_invalid_histogram_is_an_error() {
        let mut written = serde_json::to_value(times([1])).unwrap();
        for wrong in ["", "!", "HISTFA=="] {
            written["histogram"] = wrong.into();
            let error = serde_json::from_value::<Times>(written.clone()).unwrap_err();
            assert!(error.to_string().contains("HdrHistogram"), "{error}");
        }
    }

    /// An open loop in which every request was sent in time and answered after a millisecond.
    fn well(rate: f64, sent: u64) -> LoadResult {
        let none = || times([]);
        let mut result = LoadResult {
            schema_version: 1,
            kind: LoadKind::Load,
            command: Vec::new(),
            ended: String::new(),
            interrupted: false,
            job: LoadJob {
                paths: 1,
                seed: 1,
                connections: NonZeroUsize::MIN,
                threads: NonZeroUsize::MIN,
                rate: Some(rate),
                requests: None,
                duration: None,
                warmup: Duration::ZERO,
                timeout: Duration::from_secs(10),
                max_body_bytes: None,
                keep_alive: true,
                run: None,
            },
            server: ServerRecord {
                label: "CUSTOM".to_owned(),
                url: "http://localhost:8000/x".to_owned(),
                scenario: None,
            },
            environment: Environment {
                build: "release".to_owned(),
                ..Environment::here()
            },
            neighbours: None,
            elapsed: after(rate, sent),
            first_intended: Duration::ZERO,
            last_answer: Some(after(rate, sent)),
            longest_wait: Duration::ZERO,
            cpu_per_request: None,
            generator: GeneratorRecord {
                busy: 0,
                late: times([1; 40]),
            },
            requests: RequestCounts {
                sent,
                succeeded: sent,
                failed: 0,
                planned_failures: 0,
                unsent: 0,
                cut_off: 0,
            },
            throughput: None,
            percentiles: LoadPercentiles::default(),
            statuses: [(200, sent)].into(),
            planned_statuses: BTreeMap::new(),
            failures: BTreeMap::new(),
            causes: BTreeMap::new(),
            bytes: 0,
            connections_made: 1,
            times: LoadTimes {
                response: times((0..sent).map(|_| 1)),
                service: times((0..sent).map(|_| 1)),
                lag: times((0..sent).map(|_| 0)),
                failed_response: none(),
                failed_service: none(),
                planned_response: none(),
                planned_service: none(),
                censored_response: none(),
                censored_service: none(),
                early_response: times((0..sent.div_ceil(2)).map(|_| 1)),
            },
        };
        result.compute();
        result
    }

    /// When the last of so many requests is answered that take a millisecond.
    fn after(rate: f64, sent: u64) -> Duration {
        Duration::from_secs_f64((sent - 1) as f64 / rate) + Duration::from_millis(1)
    }

    fn computed(mut result: LoadResult) -> LoadResult {
        result.compute();
        result
    }

    /// What is sent on schedule and answered has the rate of the schedule: neither the last
    /// interval nor the last answer changes it.
    #[test]
    fn a_load_that_is_served_in_time_has_the_throughput_that_was_wanted() {
        // `-r 0.5 -d 3s`, `-r 1 -d 1s`, `-r 150 -d 2s`, `-r 150 -d 10s`, `-r 1000 -n 1`.
        for (rate, sent) in [(0.5, 2), (1.0, 1), (150.0, 300), (150.0, 1500), (1000.0, 1)] {
            let result = well(rate, sent);
            let throughput = result.throughput.unwrap();
            assert_eq!(throughput.per_second, rate, "{sent} requests");
            assert_eq!(throughput.over, Duration::from_secs_f64(sent as f64 / rate));
            assert_eq!(throughput.behind, None);
            assert_eq!(result.warnings(), []);
        }
    }

    #[test]
    fn a_load_that_was_interrupted_has_the_throughput_of_what_was_intended_until_then() {
        let mut result = well(100.0, 150);
        result.interrupted = true;
        result.requests.cut_off = 50; // the server had stopped to answer
        let throughput = computed(result).throughput.unwrap();
        assert_eq!(throughput.per_second, 75.0);
        assert_eq!(throughput.over, Duration::from_secs(2));
    }

    #[test]
    fn after_a_warm_up_time_counts_from_the_first_request_that_counts() {
        // -r 0.3 -w 1s: the second request, at 3.3 s, is the first that counts.
        let mut result = well(0.3, 3);
        result.first_intended = Duration::from_secs_f64(1.0 / 0.3) - Duration::from_secs(1);
        result.last_answer = result.last_answer.map(|last| last + result.first_intended);
        let throughput = computed(result).throughput.unwrap();
        assert_eq!((throughput.per_second, throughput.behind), (0.3, None));
    }

    /// A server that answers the last requests of `-r 100 -d 1s` after 3 s.
    #[test]
    fn a_last_answer_that_comes_clearly_late_lengthens_the_time_and_no_request_was_late() {
        let mut result = well(100.0, 100);
        result.last_answer = Some(Duration::from_secs(4));
        let result = computed(result);
        let throughput = result.throughput.unwrap();
        assert_eq!(throughput.per_second, 25.0);
        assert_eq!(throughput.behind, Some(Duration::from_secs(3)));
        assert_eq!(result.warnings(), [], "all were sent in time");
    }

    #[test]
    fn a_server_that_takes_long_for_every_answer_is_not_late_with_the_last() {
        let mut result = well(100.0, 100);
        result.times.early_response = times([3000; 50]);
        result.last_answer = Some(Duration::from_secs(4) - Duration::from_millis(10));
        let throughput = computed(result).throughput.unwrap();
        assert_eq!((throughput.per_second, throughput.behind), (100.0, None));
    }

    #[test]
    fn requests_that_waited_for_a_connection_are_warned_about() {
        let mut result = well(100.0, 100);
        result.last_answer = Some(Duration::from_secs(4));
        result.longest_wait = Duration::from_millis(2500);
        let wait = result.longest_wait;
        let warnings = computed(result).warnings();
        assert_eq!(warnings, [LoadWarning::LateConnections { wait }]);
    }

    #[test]
    fn of_a_closed_loop_the_throughput_is_that_of_the_time_measured() {
        let mut result = well(100.0, 100);
        result.job.rate = None;
        result.elapsed = Duration::from_secs(4);
        let throughput = computed(result).throughput.unwrap();
        assert_eq!(throughput.per_second, 25.0);
        assert_eq!(throughput.over, Duration::from_secs(4));
    }

    #[test]
    fn the_throughput_counts_what_was_answered_as_planned() {
        let mut result = well(100.0, 100);
        result.requests = RequestCounts {
            succeeded: 40,
            failed: 60,
            planned_failures: 10,
            ..result.requests
        };
        assert_eq!(computed(result).throughput.unwrap().per_second, 50.0);
    }

    /// `-r 1000 -d 1s` of which 160 were sent: 840 had waited up to 0.84 s.
    #[test]
    fn an_overload_has_no_p99_and_fails() {
        let mut result = well(1000.0, 160);
        result.requests.unsent = 840;
        result.times.censored_response = times(1..=840);
        result.times.censored_service = times((0..840).map(|_| 0));
        let result = computed(result);
        let response = result.percentiles.response.unwrap();
        assert_eq!((response.count, response.censored), (1000, 840));
        assert_eq!(response.p99.upper, None);
        assert!(response.p99.lower.unwrap() > Duration::from_millis(829));
        assert_eq!(result.throughput.unwrap().per_second, 160.0);
        let of_sent = result.service_of_sent();
        assert_eq!(of_sent.count(), 160);
        assert!(of_sent.percentile(99.0).unwrap().is_exact());
        assert!(!result.requests.are_well());
        let warnings = result.warnings();
        assert!(
            warnings.contains(&LoadWarning::MostFailed { share: 0.84 }),
            "{warnings:?}"
        );
        let too_slow = LoadWarning::TooSlow {
            wanted: 1000.0,
            sent: 160.0,
        };
        assert!(warnings.contains(&too_slow), "{warnings:?}");
        for (text, is_met) in [
            ("response.p(99) < 1s", false),
            ("response.avg < 1s", false),
            ("response.max < 1h", false),
            ("response.p(99) > 100ms", true),
            ("response.p(99) > 1s", false),
            ("service.p(99) < 1s", false),
            ("service.p(10) < 1s", true),
            ("lag.p(99) < 1s", true),
        ] {
            let checked = threshold::check_load(&[text.parse().unwrap()], &result);
            let expected = if is_met {
                Judgement::Met
            } else {
                Judgement::Missed
            };
            assert_eq!(checked[0].judgement(), expected, "{text}");
        }
    }

    #[test]
    fn a_saturated_generator_is_warned_about_although_no_request_was_sent_late() {
        let warned = |busy, late: Vec<u64>| {
            let mut result = well(100.0, 100);
            assert_eq!(result.times.lag.percentile(100.0), Some(0.0));
            result.generator.busy = busy;
            result.generator.late = times(late);
            let warnings = result.warnings();
            matches!(warnings[..], [LoadWarning::Saturated { .. }])
        };
        assert!(warned(38, vec![1; 40]), "hardly a pause");
        assert!(!warned(4, vec![1; 40]), "a busy moment");
        assert!(warned(0, vec![5; 40]), "late");
        let once = [vec![1; 39], vec![100]].concat();
        assert!(!warned(0, once), "late once");
        assert!(!warned(3, vec![5; 3]), "too short to say");
    }

    #[test]
    fn a_thread_that_is_late_does_not_matter_beside_a_long_service_time() {
        let mut result = well(100.0, 100);
        result.generator.late = times([5; 40]);
        result.times.service = times([200; 100]);
        assert_eq!(result.warnings(), []);
    }

    #[test]
    fn a_load_fails_if_more_than_half_was_unsent_or_failed_against_the_plan() {
        let counts = RequestCounts {
            sent: 100,
            succeeded: 50,
            failed: 50,
            planned_failures: 0,
            unsent: 0,
            cut_off: 0,
        };
        let well = |counts: RequestCounts| counts.are_well();
        assert!(well(counts));
        assert!(!well(RequestCounts {
            unsent: 1,
            ..counts
        }));
        assert!(well(RequestCounts {
            unsent: 1,
            planned_failures: 1,
            ..counts
        }));
        let all_planned = RequestCounts {
            succeeded: 0,
            failed: 100,
            planned_failures: 100,
            ..counts
        };
        assert!(well(all_planned));
        assert!(!well(RequestCounts {
            sent: 0,
            succeeded: 0,
            failed: 0,
            ..counts
        }));
    }
}
