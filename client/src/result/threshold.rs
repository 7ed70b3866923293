//! What must hold for a build to pass: `async.p(99) < 250ms`. It parses and compares, and decides
//! no exit code.
//!
//! The grammar is that of k6's thresholds with the series before the metric:
//! `series.metric operator value`. A metric without data fails its threshold: a build that measured
//! nothing has shown nothing.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use flag_scenario::parse_duration;
use flags_data::did_you_mean;
use thiserror::Error;

use super::analysis::{SeriesAnalysis, excess_percentile, latencies};
use super::estimate::Estimate;
use super::interval::{CONFIDENCE, Interval};
use super::load::{Failure, LoadResult, RequestCounts};
use super::measurement::Measurement;
use super::report::Report;
use super::stats;
use crate::download::Outcome;

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// The series it is about.
    pub series: String,
    metric: Metric,
    operator: Operator,
    value: f64,
    text: String,
}

/// What can be compared.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Metric {
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

#[derive(Debug, Clone, Copy, PartialEq)]
enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// Why a text is not a threshold. The messages say what to write.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum ThresholdError {
    /// No operator.
    #[error(
        "write it as 'contender.metric operator value', such as 'async.p(99) < 250ms'; operators: < <= > >= == !="
    )]
    NoOperator,
    /// No series before the metric.
    #[error("{0:?} has no contender before the metric; write 'async.{0}', for example")]
    NoSeries(String),
    /// No such metric.
    #[error(
        "{0:?} is not a metric{hint}; take one of p(0) to p(100), min, med, avg, max (latency), excess.p(0) to excess.p(100), elapsed, cpu, memory, speed_up, ratio, \
         ratio.lower, ratio.upper, efficiency, throughput, error_rate, errors, unplanned_errors, retries, downloads; of load also requests, timeouts, unsent",
        hint = did_you_mean(.0, NAMES)
    )]
    NoMetric(String),
    /// An interval is never one number.
    #[error("a ratio is compared with < <= > or >=: {0:?} would never be known")]
    RatioEquals(String),
    /// A share above the whole: per cent without the sign, most likely.
    #[error("{text:?} is above the whole; {remedy}")]
    AboveWhole {
        /// What was written.
        text: String,
        /// What to write.
        remedy: String,
    },
    /// The value does not fit the metric.
    #[error("{text:?} is not a {wanted}")]
    NoValue {
        /// What was written.
        text: String,
        /// What the metric wants.
        wanted: &'static str,
    },
}

impl FromStr for Threshold {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let place = text
            .find(['<', '>', '=', '!'])
            .ok_or(ThresholdError::NoOperator)?;
        let (left, rest) = text.split_at(place);
        let (operator, value) = Operator::split(rest).ok_or(ThresholdError::NoOperator)?;
        let left = left.trim();
        // The name of a series may have dots, and so may a metric.
        let end_of_ratio = |metric| left.strip_suffix(metric).map(str::len);
        let dot = if left.ends_with(')') {
            left.rfind(".p(")
        } else {
            let ends = [".ratio.lower", ".ratio.upper"].into_iter();
            ends.filter_map(end_of_ratio).next().or(left.rfind('.'))
        };
        let dot = dot
            .filter(|dot| *dot > 0)
            .ok_or_else(|| ThresholdError::NoSeries(left.trim_start_matches('.').to_owned()))?;
        let mut metric: Metric = left[dot + 1..].parse()?;
        let mut series = &left[..dot];
        if let Metric::Percentile(percent) = metric
            && let Some(before) = series.strip_suffix(".excess")
        {
            (series, metric) = (before, Metric::Excess(percent));
        }
        if metric == Metric::Ratio && matches!(operator, Operator::Equal | Operator::NotEqual) {
            return Err(ThresholdError::RatioEquals(text.trim().to_owned()));
        }
        Ok(Self {
            series: series.to_owned(),
            metric,
            operator,
            value: metric.unit().parse(value.trim())?,
            text: text.trim().to_owned(),
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The metrics that have no parameter.
const NAMES: [&str; 21] = [
    "min",
    "med",
    "avg",
    "max",
    "elapsed",
    "cpu",
    "memory",
    "speed_up",
    "ratio",
    "ratio.lower",
    "ratio.upper",
    "efficiency",
    "throughput",
    "error_rate",
    "errors",
    "unplanned_errors",
    "retries",
    "downloads",
    "requests",
    "timeouts",
    "unsent",
];

impl FromStr for Metric {
    type Err = ThresholdError;

    fn from_str(text: &str) -> Result<Self, ThresholdError> {
        let percentile = || {
            let percent: f64 = text.strip_prefix("p(")?.strip_suffix(')')?.parse().ok()?;
            (0.0..=100.0)
                .contains(&percent)
                .then_some(Self::Percentile(percent))
        };
        Ok(match text {
            "min" => Self::Percentile(0.0),
            "med" => Self::Percentile(50.0),
            "max" => Self::Percentile(100.0),
            "avg" => Self::Mean,
            "elapsed" => Self::Elapsed,
            "cpu" => Self::Cpu,
            "memory" => Self::Memory,
            "speed_up" => Self::SpeedUp,
            "ratio" => Self::Ratio,
            "ratio.lower" => Self::RatioLower,
            "ratio.upper" => Self::RatioUpper,
            "efficiency" => Self::Efficiency,
            "throughput" => Self::Throughput,
            "error_rate" => Self::ErrorRate,
            "errors" => Self::Errors,
            "unplanned_errors" => Self::UnplannedErrors,
            "retries" => Self::Retries,
            "downloads" => Self::Downloads,
            "requests" => Self::Requests,
            "timeouts" => Self::Timeouts,
            "unsent" => Self::Unsent,
            _ => percentile().ok_or_else(|| ThresholdError::NoMetric(text.to_owned()))?,
        })
    }
}

impl Metric {
    fn unit(self) -> Unit {
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

    fn of(self, measurement: &Measurement, series: &SeriesAnalysis) -> Option<Found> {
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
    fn is_of_load(self, series: &str) -> bool {
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
    fn of_load(self, series: &str, result: &LoadResult) -> Option<(f64, f64)> {
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

impl Unit {
    fn parse(self, text: &str) -> Result<f64, ThresholdError> {
        let number = |text: &str| {
            let number: Option<f64> = text.parse().ok();
            number.filter(|number| number.is_finite() && *number >= 0.0)
        };
        let (value, wanted) = match self {
            // A bare number is milliseconds, as k6 has it.
            Self::Millis => (
                number(text).or_else(|| parse_duration(text).ok().map(stats::millis)),
                "time, like 250ms or 1.5s",
            ),
            Self::Bytes => (
                number(text).or_else(|| Some(text.parse::<ByteSize>().ok()?.as_u64() as f64)),
                "size, like 500KiB",
            ),
            Self::Share => {
                let percent = text.strip_suffix('%').and_then(|text| number(text.trim()));
                let share = percent.map(|percent| percent / 100.0);
                let share = share.or_else(|| number(text));
                if let Some(above) = share.filter(|share| *share > 1.0) {
                    let remedy = if percent.is_none() && above <= 100.0 {
                        format!("write {above}%")
                    } else {
                        "write 100% or less".to_owned()
                    };
                    let text = text.to_owned();
                    return Err(ThresholdError::AboveWhole { text, remedy });
                }
                (share, "share, like 95% or 0.95")
            }
            Self::Number => (number(text), "number from 0 up"),
        };
        value.ok_or_else(|| ThresholdError::NoValue {
            text: text.to_owned(),
            wanted,
        })
    }
}

impl Operator {
    /// The operator that a text begins with, and the rest. k6 has `===` too.
    fn split(text: &str) -> Option<(Self, &str)> {
        let all = [
            ("===", Self::Equal),
            ("==", Self::Equal),
            ("!=", Self::NotEqual),
            ("<=", Self::LessOrEqual),
            (">=", Self::GreaterOrEqual),
            ("<", Self::Less),
            (">", Self::Greater),
        ];
        all.into_iter()
            .find_map(|(sign, operator)| Some((operator, text.strip_prefix(sign)?)))
    }

    fn holds(self, found: f64, value: f64) -> bool {
        match self {
            Self::Less => found < value,
            Self::LessOrEqual => found <= value,
            Self::Greater => found > value,
            Self::GreaterOrEqual => found >= value,
            Self::Equal => found == value,
            Self::NotEqual => found != value,
        }
    }
}

/// A threshold and what was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// What must hold.
    pub threshold: Threshold,
    /// What it was compared with.
    pub found: Found,
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

/// How a threshold ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It holds, wherever between its ends the value is.
    Met,
    /// It does not hold, or nobody can know whether it does.
    Missed,
    /// More rounds can show whether it holds.
    Undecided,
    /// Nothing was measured, so nothing was shown.
    NoData,
}

impl Judgement {
    /// Whether a build does not pass with it.
    pub fn fails(self) -> bool {
        matches!(self, Self::Missed | Self::NoData)
    }
}

impl Checked {
    /// How it ended.
    pub fn judgement(&self) -> Judgement {
        let Threshold {
            operator, value, ..
        } = self.threshold;
        let is_estimate = matches!(self.found, Found::Estimate(_));
        let Some((lower, upper)) = self.found.bounds() else {
            return if is_estimate {
                Judgement::Undecided
            } else {
                Judgement::NoData
            };
        };
        let is_met = match operator {
            Operator::NotEqual => value < lower || value > upper,
            _ => operator.holds(lower, value) && operator.holds(upper, value),
        };
        let may_hold = operator.holds(lower, value) || operator.holds(upper, value);
        match (is_met, is_estimate && may_hold) {
            (true, _) => Judgement::Met,
            (false, true) => Judgement::Undecided,
            (false, false) => Judgement::Missed,
        }
    }

    /// What the value is a number of.
    pub fn unit(&self) -> Unit {
        self.threshold.metric.unit()
    }
}

/// Compares each with what was measured.
pub fn check(thresholds: &[Threshold], report: &Report) -> Vec<Checked> {
    let Report {
        measurement,
        analysis,
    } = report;
    let found = |threshold: &Threshold| {
        let mut all_series = analysis.series.iter();
        let series = all_series.find(|series| series.name == threshold.series)?;
        threshold.metric.of(measurement, series)
    };
    let checked = |threshold: &Threshold| Checked {
        threshold: threshold.clone(),
        found: found(threshold).unwrap_or(Found::Nothing),
    };
    thresholds.iter().map(checked).collect()
}

/// Compares each with what a load has measured.
pub fn check_load(thresholds: &[Threshold], result: &LoadResult) -> Vec<Checked> {
    let found = |threshold: &Threshold| {
        let (lower, upper) = threshold.metric.of_load(&threshold.series, result)?;
        Some(Found::Bounds(lower, upper))
    };
    let checked = |threshold: &Threshold| Checked {
        threshold: threshold.clone(),
        found: found(threshold).unwrap_or(Found::Nothing),
    };
    thresholds.iter().map(checked).collect()
}

/// A threshold on something that is not measured: refused before the measurement begins.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotMeasured {
    /// A misspelt series.
    #[error(
        "--threshold '{threshold}': unknown contender {series:?}{hint}; the contenders are {all_series}",
        hint = did_you_mean(series, all_series.split(", "))
    )]
    Series {
        /// What was written.
        threshold: String,
        /// The series that it names.
        series: String,
        /// Those that there are.
        all_series: String,
    },
    /// What the others are compared with has no ratio of its own.
    #[error(
        "--threshold '{threshold}': {series:?} is what the others are compared with; name another contender, or another --reference"
    )]
    RatioOfReference {
        /// What was written.
        threshold: String,
        /// The series that it names.
        series: String,
    },
    /// A metric that a race does not measure.
    #[error(
        "--threshold '{0}': requests, timeouts and unsent are counted by load; take downloads, errors or retries"
    )]
    OfRace(String),
    /// A metric that a load does not measure.
    #[error(
        "--threshold '{0}': for a load, write response, service or lag before p(0) to p(100), min, med, avg or max, and load before \
         throughput, cpu, error_rate, errors, requests, timeouts or unsent"
    )]
    OfLoad(String),
}

/// Whether each names a series of the measurement, or at least one of the known contenders (which
/// has no data then, and fails), and a metric that it has.
///
/// # Errors
/// With the first that does not.
pub fn check_names(
    thresholds: &[Threshold],
    measurement: &Measurement,
    known: &[String],
) -> Result<(), NotMeasured> {
    let all_series = &measurement.series;
    for Threshold {
        series,
        metric,
        text,
        ..
    } in thresholds
    {
        let threshold = text.clone();
        let found = all_series.iter().find(|other| other.name == *series);
        let contender = series.split('@').next().unwrap_or(series);
        if found.is_none() && !known.iter().any(|name| name == contender) {
            let names: Vec<&str> = all_series.iter().map(|other| other.name.as_str()).collect();
            return Err(NotMeasured::Series {
                threshold,
                series: series.clone(),
                all_series: names.join(", "),
            });
        }
        let is_ratio = matches!(
            metric,
            Metric::Ratio | Metric::RatioLower | Metric::RatioUpper
        );
        let is_reference = |found| {
            let reference = measurement.reference(found);
            reference.is_some_and(|reference| reference.name == *series)
        };
        if is_ratio && found.is_some_and(is_reference) {
            return Err(NotMeasured::RatioOfReference {
                threshold,
                series: series.clone(),
            });
        }
        if let Metric::Requests | Metric::Timeouts | Metric::Unsent = metric {
            return Err(NotMeasured::OfRace(threshold));
        }
    }
    Ok(())
}

/// Whether each is about something that a load measures.
///
/// # Errors
/// With the first that is not.
pub fn check_load_metrics(thresholds: &[Threshold]) -> Result<(), NotMeasured> {
    let mut thresholds = thresholds.iter();
    match thresholds.find(|threshold| !threshold.metric.is_of_load(&threshold.series)) {
        None => Ok(()),
        Some(threshold) => Err(NotMeasured::OfLoad(threshold.text.clone())),
    }
}

#[cfg(test)]
mod tests {
    use flag_scenario::ScenarioSource;

    use super::*;
    use crate::download::{Job, Runner, Strategy};
    use crate::race::{Contender, Race, Target};

    fn parsed(text: &str) -> Result<(String, Metric, Operator, f64), ThresholdError> {
        let threshold: Threshold = text.parse()?;
        assert_eq!(threshold.to_string(), text.trim());
        Ok((
            threshold.series,
            threshold.metric,
            threshold.operator,
            threshold.value,
        ))
    }

    #[test]
    fn a_threshold_has_a_series_a_metric_an_operator_and_a_value() {
        for (text, series, metric, operator, value) in [
            (
                "async.p(99) < 250ms",
                "async",
                Metric::Percentile(99.0),
                Operator::Less,
                250.0,
            ),
            (
                "async.p(99.9)<=1.5s",
                "async",
                Metric::Percentile(99.9),
                Operator::LessOrEqual,
                1500.0,
            ),
            (
                "async@30.med<200",
                "async@30",
                Metric::Percentile(50.0),
                Operator::Less,
                200.0,
            ),
            (
                "flags.py.excess.p(99.9) < 2ms",
                "flags.py",
                Metric::Excess(99.9),
                Operator::Less,
                2.0,
            ),
            (
                "flags.py.p(95) < 1s",
                "flags.py",
                Metric::Percentile(95.0),
                Operator::Less,
                1000.0,
            ),
            (
                "flags.py.errors == 0",
                "flags.py",
                Metric::Errors,
                Operator::Equal,
                0.0,
            ),
            (
                "async.errors === 0",
                "async",
                Metric::Errors,
                Operator::Equal,
                0.0,
            ),
            (
                "async.retries != 3",
                "async",
                Metric::Retries,
                Operator::NotEqual,
                3.0,
            ),
            (
                "threaded-ureq.efficiency >= 95%",
                "threaded-ureq",
                Metric::Efficiency,
                Operator::GreaterOrEqual,
                0.95,
            ),
            (
                "async.error_rate < 0.1",
                "async",
                Metric::ErrorRate,
                Operator::Less,
                0.1,
            ),
            (
                "async.speed_up > 8",
                "async",
                Metric::SpeedUp,
                Operator::Greater,
                8.0,
            ),
            (
                "async.efficiency >= 100%",
                "async",
                Metric::Efficiency,
                Operator::GreaterOrEqual,
                1.0,
            ),
            (
                "new.py.ratio < 1.05",
                "new.py",
                Metric::Ratio,
                Operator::Less,
                1.05,
            ),
            (
                "new.py.ratio.upper < 1.05",
                "new.py",
                Metric::RatioUpper,
                Operator::Less,
                1.05,
            ),
            (
                "async.memory < 1MiB",
                "async",
                Metric::Memory,
                Operator::Less,
                1_048_576.0,
            ),
        ] {
            assert_eq!(
                parsed(text),
                Ok((series.to_owned(), metric, operator, value)),
                "{text}"
            );
        }
    }

    #[test]
    fn an_invalid_threshold_is_refused_with_the_remedy() {
        for (text, expected) in [
            ("", "write it as 'contender.metric operator value'"),
            ("async.p(99)", "write it as"),
            ("async.p(99) = 1ms", "write it as"),
            ("p(99) < 1ms", "\"p(99)\" has no contender"),
            (".p(99) < 1ms", "\"p(99)\" has no contender"),
            (
                "async.p(101) < 1ms",
                "\"p(101)\" is not a metric; take one of p(0) to p(100)",
            ),
            ("async.speed < 1", "\"speed\" is not a metric"),
            ("async.p(99) < soon", "\"soon\" is not a time, like 250ms"),
            ("async.p(99) < ", "\"\" is not a time"),
            ("async.speed_up > -1", "\"-1\" is not a number from 0 up"),
            ("async.efficiency > much%", "\"much%\" is not a share"),
            ("async.errors < NaN", "\"NaN\" is not a number"),
            ("async.errors < inf", "\"inf\" is not a number"),
            ("async.elapsed < inf", "\"inf\" is not a time"),
            ("async.memory < inf", "\"inf\" is not a size"),
            ("async.efficiency < inf%", "\"inf%\" is not a share"),
            ("async.efficiency < inf", "\"inf\" is not a share"),
            (
                "async.efficiency > 50",
                "\"50\" is above the whole; write 50%",
            ),
            (
                "async.error_rate < 1.5",
                "\"1.5\" is above the whole; write 1.5%",
            ),
            (
                "async.efficiency > 150%",
                "\"150%\" is above the whole; write 100% or less",
            ),
            (
                "async.efficiency > 5000",
                "\"5000\" is above the whole; write 100% or less",
            ),
            (
                "new.ratio == 1",
                "a ratio is compared with < <= > or >=: \"new.ratio == 1\"",
            ),
            ("new.ratio.middle < 1", "\"middle\" is not a metric"),
            ("ratio.upper < 1", "\"upper\" is not a metric"),
        ] {
            let message = parsed(text).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{text}: {message}");
        }
    }

    /// A measurement of `async` and `threaded`, the first of which is the reference.
    fn measurement() -> Measurement {
        let target = Target::embedded(&ScenarioSource::Profile("local"), None).unwrap();
        let boxed = |strategy: Strategy| Box::new(Runner::from(strategy)) as Box<dyn Contender>;
        let contenders = [Strategy::Async, Strategy::Threaded].map(boxed);
        Race::bench(contenders.into(), Job::new("", Vec::new())).begin(&target, Vec::new())
    }

    fn judged(text: &str, found: Found) -> Judgement {
        let threshold = text.parse().unwrap();
        Checked { threshold, found }.judgement()
    }

    #[test]
    fn a_threshold_without_data_is_not_met() {
        for text in [
            "async.errors >= 0",
            "async.p(50) != 3",
            "async.speed_up < 1",
        ] {
            assert_eq!(judged(text, Found::Nothing), Judgement::NoData, "{text}");
        }
    }

    #[test]
    fn each_operator_compares_as_it_says() {
        for (operator, below, equal, above) in [
            ("<", true, false, false),
            ("<=", true, true, false),
            (">", false, false, true),
            (">=", false, true, true),
            ("==", false, true, false),
            ("!=", true, false, true),
        ] {
            let text = format!("async.errors {operator} 2");
            let met = |found| judged(&text, Found::Exact(found)) == Judgement::Met;
            assert_eq!(
                (met(1.0), met(2.0), met(3.0)),
                (below, equal, above),
                "{operator}"
            );
        }
    }

    #[test]
    fn between_bounds_a_threshold_is_met_only_if_it_holds_for_both() {
        let met = |text: &str, lower, upper| {
            let judgement = judged(text, Found::Bounds(lower, upper));
            assert_ne!(judgement, Judgement::Undecided, "more rounds are no remedy");
            judgement == Judgement::Met
        };
        let endless = f64::INFINITY;
        for (operator, below, within, above, endless_within) in [
            ("<", true, false, false, false),
            (">", false, false, true, false),
            ("==", false, false, false, false),
            ("!=", true, false, true, false),
        ] {
            let text = format!("response.p(99) {operator} 100ms");
            let found = (
                met(&text, 10.0, 20.0),
                met(&text, 50.0, 150.0),
                met(&text, 200.0, endless),
                met(&text, 50.0, endless),
            );
            assert_eq!(found, (below, within, above, endless_within), "{operator}");
        }
        assert!(met("response.p(99) > 1s", endless, endless), "a failure");
        assert!(!met("response.p(99) < 1s", endless, endless));
    }

    #[test]
    fn a_ratio_is_undecided_as_long_as_its_interval_holds_the_limit() {
        use Judgement::{Met, Missed, Undecided};

        let with = |confidence| {
            move |lower, upper| {
                let interval = Interval {
                    lower,
                    upper,
                    confidence: Some(confidence),
                };
                Found::Estimate(Estimate {
                    median: f64::midpoint(lower, upper),
                    interval: Some(interval),
                })
            }
        };
        let usual = with(0.95);
        for (operator, below, within, above) in [
            ("<", Met, Undecided, Missed),
            ("<=", Met, Undecided, Missed),
            (">", Missed, Undecided, Met),
            (">=", Missed, Undecided, Met),
        ] {
            let text = format!("new.ratio {operator} 1.05");
            assert_eq!(judged(&text, usual(0.98, 1.02)), below, "{operator}");
            assert_eq!(judged(&text, usual(1.0, 1.1)), within, "{operator}");
            assert_eq!(judged(&text, usual(1.1, 1.2)), above, "{operator}");
        }
        let few = with(0.9375)(1.1, 1.2);
        assert_eq!(judged("new.ratio < 1.05", few), Undecided, "five rounds");
        let none = Found::Estimate(Estimate {
            median: 2.0,
            interval: None,
        });
        assert_eq!(judged("new.ratio < 1.05", none), Undecided, "two rounds");
    }

    #[test]
    fn an_unknown_contender_is_refused_before_the_race() {
        let known = ["async", "sequential"].map(str::to_owned);
        let names = |text: &str| check_names(&[text.parse().unwrap()], &measurement(), &known);
        assert_eq!(names("async.errors == 0"), Ok(()));
        assert_eq!(names("threaded.errors == 0"), Ok(()));
        assert_eq!(
            names("sequential.errors == 0"),
            Ok(()),
            "a known contender that did not race: no data"
        );
        let message = names("asink.errors == 0").unwrap_err().to_string();
        assert_eq!(
            message,
            "--threshold 'asink.errors == 0': unknown contender \"asink\" (did you mean async?); the contenders are async, threaded"
        );
    }

    #[test]
    fn the_reference_has_no_ratio_of_its_own() {
        let names = |text: &str, measurement: &Measurement| {
            check_names(&[text.parse().unwrap()], measurement, &[])
        };
        let mut measurement = measurement();
        assert_eq!(names("threaded.ratio < 1.05", &measurement), Ok(()));
        for metric in ["ratio", "ratio.upper", "ratio.lower"] {
            let message = names(&format!("async.{metric} < 1.05"), &measurement)
                .unwrap_err()
                .to_string();
            assert!(
                message.contains("\"async\" is what the others"),
                "{message}"
            );
        }
        measurement.reference = Some("threaded".to_owned());
        assert_eq!(names("async.ratio < 1.05", &measurement), Ok(()));
        assert!(names("threaded.ratio < 1.05", &measurement).is_err());
    }

    #[test]
    fn a_metric_that_a_load_or_a_race_lacks_is_refused_before_it_starts() {
        let load = |text: &str| check_load_metrics(&[text.parse().unwrap()]);
        for text in [
            "response.p(99.9) < 10ms",
            "service.max < 1s",
            "lag.avg < 1ms",
            "load.throughput > 1000",
            "load.error_rate < 1%",
            "load.cpu < 0.1ms",
            "load.timeouts == 0",
            "load.unsent == 0",
        ] {
            assert_eq!(load(text), Ok(()), "{text}");
        }
        for text in [
            "async.p(99) < 1ms",
            "load.p(99) < 1ms",
            "response.excess.p(99) < 1ms",
            "lag.errors == 0",
            "load.speed_up > 1",
        ] {
            let message = load(text).unwrap_err().to_string();
            let expected = format!("--threshold '{text}': for a load, write response,");
            assert!(message.starts_with(&expected), "{message}");
        }
        let race = check_names(&["async.unsent == 0".parse().unwrap()], &measurement(), &[]);
        let message = race.unwrap_err().to_string();
        assert!(message.contains("counted by load"), "{message}");
    }
}
