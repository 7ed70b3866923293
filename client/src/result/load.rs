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
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::environment::Environment;
use super::measurement::ServerRecord;
use crate::millis;

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
    /// Whether it was ended early by its user. What was under way then is not counted.
    pub interrupted: bool,
    /// What was to be done.
    pub job: LoadJob,
    /// Where the requests went.
    pub server: ServerRecord,
    /// The machine.
    pub environment: Environment,
    /// From the end of the warm-up until the last answer.
    #[serde(rename = "elapsed_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub elapsed: Duration,
    /// The processor time of the load generator for each request, user and system; none where it is
    /// not known.
    #[serde(rename = "cpu_per_request_ms", with = "millis::optional")]
    #[schemars(with = "Option<f64>")]
    pub cpu_per_request: Option<Duration>,
    /// How many requests there were.
    pub requests: RequestCounts,
    /// How many answers had each status.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub statuses: BTreeMap<u16, u64>,
    /// How many requests had no answer, for each reason.
    pub failures: BTreeMap<Failure, u64>,
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
}

impl Failure {
    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "no connection",
            Self::Broken => "broken connection",
            Self::Timeout => "timeout",
        }
    }
}

/// The 99th percentile of the lag from which on the load generator counts as late.
const LATE_MS: f64 = 1.0;
/// And its share of that of the response time.
const LATE_SHARE: f64 = 0.05;
/// How much longer than its schedule an open loop may take.
const BEHIND: f64 = 0.01;

/// Something that a reader must know before he believes the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LoadWarning {
    /// No request succeeded, so there are no times.
    NothingSucceeded,
    /// The rate was not reached.
    TooSlow {
        /// Requests per second that should have been sent.
        wanted: f64,
        /// Those that were answered.
        got: f64,
    },
    /// The load generator was not fast enough.
    LateSender {
        /// The 99th percentile of its lag.
        lag_ms: f64,
        /// Its share of that of the response time.
        share: f64,
    },
    /// Compiled without optimisation.
    DebugBuild,
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
    #[serde(rename = "duration_ms", with = "millis::optional")]
    #[schemars(with = "Option<f64>")]
    pub duration: Option<Duration>,
    /// How long they were sent before they counted.
    #[serde(rename = "warmup_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub warmup: Duration,
    /// The time limit of one.
    #[serde(rename = "timeout_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub timeout: Duration,
    /// Whether connections were used for more than one request.
    pub keep_alive: bool,
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
    /// Those of an open loop that should have been sent before the end, and for which no connection
    /// was free.
    pub unsent: u64,
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
}

impl LoadTimes {
    /// All of them with their names.
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
    /// What a reader must know before he believes the rest.
    pub fn warnings(&self) -> Vec<LoadWarning> {
        let mut warnings = Vec::new();
        if self.requests.succeeded == 0 {
            warnings.push(LoadWarning::NothingSucceeded);
        }
        if let (Some(wanted), Some(got)) = (self.job.rate, self.throughput())
            && (self.requests.unsent > 0 || self.is_behind(wanted))
        {
            warnings.push(LoadWarning::TooSlow { wanted, got });
        }
        let late = self.times.lag.percentile(99.0);
        if let (Some(lag_ms), Some(response)) = (late, self.times.response.percentile(99.0)) {
            let share = lag_ms / response;
            if lag_ms > LATE_MS && share > LATE_SHARE {
                warnings.push(LoadWarning::LateSender { lag_ms, share });
            }
        }
        if self.environment.build == "debug" {
            warnings.push(LoadWarning::DebugBuild);
        }
        warnings
    }

    /// Whether the answers took clearly longer than the schedule.
    fn is_behind(&self, rate: f64) -> bool {
        let scheduled = self.requests.sent as f64 / rate;
        let longest = self.times.service.percentile(100.0).unwrap_or(0.0) / 1e3;
        self.elapsed.as_secs_f64() > (scheduled + longest) * (1.0 + BEHIND)
    }

    /// Answers, good or bad, per second.
    pub fn throughput(&self) -> Option<f64> {
        let seconds = self.elapsed.as_secs_f64();
        (seconds > 0.0).then(|| self.requests.sent as f64 / seconds)
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
}
