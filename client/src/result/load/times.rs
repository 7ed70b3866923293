//! How long requests took: histograms in HdrHistogram's own form. Other tools can read them, and
//! those of several runs can be added.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::result::censored::Percentiles;

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

/// The percentiles of all requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadPercentiles {
    /// From when they should have been sent; none of none.
    pub response: Option<Percentiles>,
    /// From when they were sent; none of none. Of a request that was not sent, nothing is known.
    pub service: Option<Percentiles>,
}

/// Of so many milliseconds each.
#[cfg(test)]
pub(super) fn times(millis: impl IntoIterator<Item = u64>) -> Times {
    let mut histogram = Histogram::new(3).unwrap();
    for millis in millis {
        histogram.record(millis * 1_000_000).unwrap();
    }
    Times(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

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
