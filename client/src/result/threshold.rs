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
use thiserror::Error;

use super::analysis::{SeriesAnalysis, excess_percentile, latencies};
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
        "{0:?} is not a metric; take one of p(0) to p(100), min, med, avg, max (latency), excess.p(0) to excess.p(100), elapsed, cpu, memory, speed_up, efficiency, \
         throughput, error_rate, errors, unplanned_errors, retries, downloads; of load also requests, timeouts, unsent"
    )]
    NoMetric(String),
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
        // The name of a series may have dots, and so may the number of a percentile.
        let dot = if left.ends_with(')') {
            left.rfind(".p(")
        } else {
            left.rfind('.')
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

    fn of(self, measurement: &Measurement, series: &SeriesAnalysis) -> Option<f64> {
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
            Self::Efficiency => series.efficiency,
            Self::Throughput => Some(series.throughput?.median),
            Self::ErrorRate => Some(counted(series.errors)? / series.downloads as f64),
            Self::Errors => counted(series.errors),
            Self::UnplannedErrors => counted(series.unplanned_errors),
            Self::Retries => counted(series.retries),
            Self::Downloads => counted(series.downloads),
            Self::Requests | Self::Timeouts | Self::Unsent => None,
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

impl Unit {
    fn parse(self, text: &str) -> Result<f64, ThresholdError> {
        let number = || {
            text.parse()
                .ok()
                .filter(|number: &f64| number.is_finite() && *number >= 0.0)
        };
        let (value, wanted) = match self {
            // A bare number is milliseconds, as k6 has it.
            Self::Millis => (
                number().or_else(|| parse_duration(text).ok().map(stats::millis)),
                "time, like 250ms or 1.5s",
            ),
            Self::Bytes => (
                number().or_else(|| Some(text.parse::<ByteSize>().ok()?.as_u64() as f64)),
                "size, like 500KiB",
            ),
            Self::Share => {
                let percent = text
                    .strip_suffix('%')
                    .and_then(|text| text.trim().parse::<f64>().ok());
                let percent = percent
                    .filter(|percent| *percent >= 0.0)
                    .map(|percent| percent / 100.0);
                (percent.or_else(number), "share, like 95% or 0.95")
            }
            Self::Number => (number(), "number from 0 up"),
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
    /// The value, or the least that it can be; infinite for that of a failure; none without data.
    pub found: Option<f64>,
    /// The greatest that it can be; the same if the value is exact.
    pub upper: Option<f64>,
}

impl Checked {
    /// Whether it holds, wherever between the bounds the value is. Without data it does not.
    pub fn is_met(&self) -> bool {
        let Threshold {
            operator, value, ..
        } = self.threshold;
        let Some((lower, upper)) = self.found.zip(self.upper) else {
            return false;
        };
        match operator {
            Operator::NotEqual => value < lower || value > upper,
            _ => operator.holds(lower, value) && operator.holds(upper, value),
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
        let series = analysis
            .series
            .iter()
            .find(|series| series.name == threshold.series)?;
        threshold.metric.of(measurement, series)
    };
    let checked = |threshold: &Threshold| {
        let found = found(threshold);
        Checked {
            threshold: threshold.clone(),
            found,
            upper: found,
        }
    };
    thresholds.iter().map(checked).collect()
}

/// Compares each with what a load has measured.
pub fn check_load(thresholds: &[Threshold], result: &LoadResult) -> Vec<Checked> {
    let checked = |threshold: &Threshold| {
        let bounds = threshold.metric.of_load(&threshold.series, result);
        Checked {
            threshold: threshold.clone(),
            found: bounds.map(|(lower, _)| lower),
            upper: bounds.map(|(_, upper)| upper),
        }
    };
    thresholds.iter().map(checked).collect()
}

/// A threshold on something that is not measured: refused before the measurement begins.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotMeasured {
    /// A misspelt series.
    #[error(
        "--threshold '{threshold}': unknown contender {series:?}; the contenders are {all_series}"
    )]
    Series {
        /// What was written.
        threshold: String,
        /// The series that it names.
        series: String,
        /// Those that there are.
        all_series: String,
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

/// Whether each names a series that is there, or at least one of the known contenders (which has no
/// data then, and fails).
///
/// # Errors
/// With the first that does not.
pub fn check_series_names<'l>(
    thresholds: &[Threshold],
    all_series: impl Iterator<Item = &'l str>,
    known: &[String],
) -> Result<(), NotMeasured> {
    let all_series: Vec<&str> = all_series.collect();
    let is_known = |series: &str| {
        let contender = series.split('@').next().unwrap_or(series);
        all_series.contains(&series) || known.iter().any(|name| name == contender)
    };
    for threshold in thresholds {
        if !is_known(&threshold.series) {
            return Err(NotMeasured::Series {
                threshold: threshold.text.clone(),
                series: threshold.series.clone(),
                all_series: all_series.join(", "),
            });
        }
        if let Metric::Requests | Metric::Timeouts | Metric::Unsent = threshold.metric {
            return Err(NotMeasured::OfRace(threshold.text.clone()));
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
    use super::*;

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
        ] {
            let message = parsed(text).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{text}: {message}");
        }
    }

    #[test]
    fn a_threshold_without_data_is_not_met() {
        for text in [
            "async.errors >= 0",
            "async.p(50) != 3",
            "async.speed_up < 1",
        ] {
            let checked = Checked {
                threshold: text.parse().unwrap(),
                found: None,
                upper: None,
            };
            assert!(!checked.is_met(), "{text}");
            assert_eq!(checked.found, None);
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
            let threshold: Threshold = format!("async.errors {operator} 2").parse().unwrap();
            let met = |found| {
                Checked {
                    threshold: threshold.clone(),
                    found: Some(found),
                    upper: Some(found),
                }
                .is_met()
            };
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
            Checked {
                threshold: text.parse().unwrap(),
                found: Some(lower),
                upper: Some(upper),
            }
            .is_met()
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
    fn an_unknown_contender_is_refused_before_the_race() {
        let known = ["async", "threaded"].map(str::to_owned);
        let check_names = |text: &str| {
            let all_series = ["async", "flags.py"].into_iter();
            check_series_names(&[text.parse().unwrap()], all_series, &known)
        };
        assert_eq!(check_names("async.errors == 0"), Ok(()));
        assert_eq!(check_names("flags.py.errors == 0"), Ok(()));
        assert_eq!(
            check_names("threaded.errors == 0"),
            Ok(()),
            "a known contender that did not race: no data"
        );
        let message = check_names("asink.errors == 0").unwrap_err().to_string();
        assert_eq!(
            message,
            "--threshold 'asink.errors == 0': unknown contender \"asink\"; the contenders are async, flags.py"
        );
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
        let race = check_series_names(
            &["async.unsent == 0".parse().unwrap()],
            ["async"].into_iter(),
            &[],
        );
        let message = race.unwrap_err().to_string();
        assert!(message.contains("counted by load"), "{message}");
    }
}
