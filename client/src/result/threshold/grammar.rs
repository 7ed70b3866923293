//! The text of a threshold: `series.metric operator value`. It is the grammar of k6's thresholds
//! with the series before the metric.

use std::fmt;
use std::str::FromStr;

use bytesize::ByteSize;
use flag_scenario::parse_duration;
use flags_data::did_you_mean;
use thiserror::Error;

use super::metric::{Metric, Unit};
use crate::result::stats;

/// One condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Threshold {
    /// The series it is about.
    pub series: String,
    pub(super) metric: Metric,
    pub(super) operator: Operator,
    pub(super) value: f64,
    pub(super) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Operator {
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

    pub(super) fn holds(self, found: f64, value: f64) -> bool {
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
}
