//! What a threshold can be about, and what was found for it.

use crate::download::Outcome;
use crate::result::analysis::{SeriesAnalysis, excess_percentile, latencies};
use crate::result::estimate::Estimate;
use crate::result::interval::{CONFIDENCE, Interval};
use crate::result::load::{Failure, LoadResult, RequestCounts};
use crate::result::measurement::Measurement;
use crate::result::stats;

/// What can be compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Metric {
    /// Of the latencies of the attempts that brought a flag.
    Percentile(f64),
    Mean,
    /// Of how much longer than planned the attempts took.
    Excess(f64),
    /// The median time of a round.
    Elapsed,
    /// Per download.
    Cpu,
    /// Per worker.
    Memory,
    SpeedUp,
    /// The time of a round divided by that of the reference.
    Ratio,
    /// The ends of its interval.
    RatioLower,
    RatioUpper,
    Efficiency,
    /// Flags per second.
    Throughput,
    /// Of all downloads.
    ErrorRate,
    Errors,
    UnplannedErrors,
    Retries,
    Downloads,
    /// Of a load, as the next two: those that were sent.
    Requests,
    Timeouts,
    Unsent,
}

/// What a value is a number of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Unit {
    /// Milliseconds.
    Millis,
    /// Bytes.
    Bytes,
    /// A share of the whole, 0 to 1.
    Share,
    /// A plain number.
    Number,
}

/// What was found for a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Found {
    /// Nothing was measured.
    Nothing,
    /// A number.
    Exact(f64),
    /// The least and the greatest that it can be; infinite for the time of a failure.
    Bounds(f64, f64),
    /// A median that another run would find elsewhere, with the interval in which it lies.
    Estimate(Estimate),
}

impl Found {
    /// Its ends; none without data, and of an estimate without an interval.
    pub fn bounds(&self) -> Option<(f64, f64)> {
        match self {
            Self::Nothing => None,
            Self::Exact(value) => Some((*value, *value)),
            Self::Bounds(lower, upper) => Some((*lower, *upper)),
            Self::Estimate(estimate) => {
                proved(estimate).map(|interval| (interval.lower, interval.upper))
            }
        }
    }
}

impl Metric {
    pub(super) fn unit(self) -> Unit {
        match self {
            Self::Percentile(_) | Self::Excess(_) | Self::Mean | Self::Elapsed | Self::Cpu => {
                Unit::Millis
            }
            Self::Memory => Unit::Bytes,
            Self::Efficiency | Self::ErrorRate => Unit::Share,
            Self::SpeedUp
            | Self::Ratio
            | Self::RatioLower
            | Self::RatioUpper
            | Self::Throughput
            | Self::Errors
            | Self::UnplannedErrors
            | Self::Retries
            | Self::Downloads
            | Self::Requests
            | Self::Timeouts
            | Self::Unsent => Unit::Number,
        }
    }

    pub(super) fn of(self, measurement: &Measurement, series: &SeriesAnalysis) -> Option<Found> {
        // A round that was ended has shown nothing, whatever the rounds before it did.
        if series.timed_out {
            return None;
        }
        match self {
            Self::Ratio => ratio(series).map(Found::Estimate),
            _ => self.exact(measurement, series).map(Found::Exact),
        }
    }

    /// None of a ratio, which is an estimate.
    fn exact(self, measurement: &Measurement, series: &SeriesAnalysis) -> Option<f64> {
        let counted = |count: usize| (series.downloads > 0).then_some(count as f64);
        match self {
            Self::Percentile(percent) => {
                let series = measurement
                    .series
                    .iter()
                    .find(|other| other.name == series.name)?;
                let sorted =
                    stats::sorted(latencies(series, |outcome| outcome == Outcome::Downloaded));
                stats::percentile(&sorted, percent)
            }
            Self::Excess(percent) => {
                let mut all_series = measurement.series.iter();
                let series = all_series.find(|other| other.name == series.name)?;
                excess_percentile(measurement, series, percent)
            }
            Self::Mean => Some(series.latency?.mean),
            Self::Elapsed => Some(series.elapsed_ms?.median),
            Self::Cpu => series.cpu_ms_per_download,
            Self::Memory => Some(series.memory_bytes_per_worker? as f64),
            Self::SpeedUp => Some(series.speed_up?.median),
            Self::RatioLower => Some(proved(&ratio(series)?)?.lower),
            Self::RatioUpper => Some(proved(&ratio(series)?)?.upper),
            Self::Efficiency => series.efficiency,
            Self::Throughput => Some(series.throughput?.median),
            Self::ErrorRate => Some(counted(series.errors)? / series.downloads as f64),
            Self::Errors => counted(series.errors),
            Self::UnplannedErrors => counted(series.unplanned_errors),
            Self::Retries => counted(series.retries),
            Self::Downloads => counted(series.downloads),
            Self::Ratio | Self::Requests | Self::Timeouts | Self::Unsent => None,
        }
    }

    /// Whether it is one of a load, and of this part of it.
    pub(super) fn is_of_load(self, series: &str) -> bool {
        match self {
            Self::Percentile(_) | Self::Mean => ["response", "service", "lag"].contains(&series),
            Self::Throughput
            | Self::Cpu
            | Self::ErrorRate
            | Self::Errors
            | Self::Requests
            | Self::Timeouts
            | Self::Unsent => series == "load",
            Self::Excess(_)
            | Self::Elapsed
            | Self::Memory
            | Self::SpeedUp
            | Self::Ratio
            | Self::RatioLower
            | Self::RatioUpper
            | Self::Efficiency
            | Self::UnplannedErrors
            | Self::Retries
            | Self::Downloads => false,
        }
    }

    /// The least and the greatest that it can be.
    pub(super) fn of_load(self, series: &str, result: &LoadResult) -> Option<(f64, f64)> {
        let times = match series {
            "response" => result.response(),
            "service" => result.service(),
            _ => {
                let exact = self.exact_of_load(series, result)?;
                return Some((exact, exact));
            }
        };
        let bounds = match self {
            Self::Percentile(percent) => times.percentile(percent),
            Self::Mean => times.mean(),
            _ => None,
        };
        Some(bounds?.millis())
    }

    fn exact_of_load(self, series: &str, result: &LoadResult) -> Option<f64> {
        let RequestCounts {
            sent,
            failed,
            unsent,
            ..
        } = result.requests;
        let counted = |count: u64| (sent > 0).then_some(count as f64);
        let mut times = result.times.named().into_iter();
        let times = times.find_map(|(name, times)| (name == series).then_some(times));
        match self {
            Self::Percentile(percent) => times?.percentile(percent),
            Self::Mean => times?.mean(),
            Self::Throughput => Some(result.throughput?.per_second),
            Self::Cpu => result.cpu_per_request.map(stats::millis),
            Self::ErrorRate => result.error_rate(),
            Self::Errors => counted(failed),
            Self::Requests => counted(sent),
            Self::Timeouts => {
                let timeouts = result.failures.get(&Failure::Timeout);
                counted(timeouts.copied().unwrap_or(0))
            }
            Self::Unsent => counted(unsent),
            _ => None,
        }
    }
}

/// The time of a round divided by that of the reference, paired by round.
fn ratio(series: &SeriesAnalysis) -> Option<Estimate> {
    let speed_up = series.speed_up?;
    let inverted = |interval: Interval| Interval {
        lower: 1.0 / interval.upper,
        upper: 1.0 / interval.lower,
        ..interval
    };
    Some(Estimate {
        median: 1.0 / speed_up.median,
        interval: speed_up.interval.map(inverted),
    })
}

/// The interval, if its confidence is the usual one.
fn proved(estimate: &Estimate) -> Option<Interval> {
    let is_usual = |interval: &Interval| interval.confidence.is_some_and(|it| it >= CONFIDENCE);
    estimate.interval.filter(is_usual)
}
