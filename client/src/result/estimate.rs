//! A value with its uncertainty.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::interval::{Interval, Looks};
use super::stats;

/// A median with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(into = "EstimateRecord", from = "EstimateRecord")]
#[schemars(with = "EstimateRecord")]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// Where it lies; none of fewer than three values.
    pub interval: Option<Interval>,
}

/// How an [`Estimate`] is written.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Estimate")]
struct EstimateRecord {
    /// The median.
    median: f64,
    /// The lower end of its interval; none of fewer than three values.
    lower: Option<f64>,
    /// The upper end.
    upper: Option<f64>,
    /// The share of repeated experiments whose interval holds the true median.
    #[serde(default)]
    confidence: Option<f64>,
}

impl From<Estimate> for EstimateRecord {
    fn from(Estimate { median, interval }: Estimate) -> Self {
        Self {
            median,
            lower: interval.map(|interval| interval.lower),
            upper: interval.map(|interval| interval.upper),
            confidence: interval.map(|interval| interval.confidence),
        }
    }
}

impl From<EstimateRecord> for Estimate {
    fn from(record: EstimateRecord) -> Self {
        let ends = record.lower.zip(record.upper).zip(record.confidence);
        Self {
            median: record.median,
            interval: ends.map(|((lower, upper), confidence)| Interval {
                lower,
                upper,
                confidence,
            }),
        }
    }
}

impl Estimate {
    /// The median of these values and its interval; none of none.
    pub fn of(values: &[f64], looks: Looks) -> Option<Self> {
        Some(Self {
            median: stats::median(values)?,
            interval: Interval::of(values, looks),
        })
    }

    /// The same of ratios.
    pub fn of_ratios(ratios: &[f64], looks: Looks) -> Option<Self> {
        Some(Self {
            median: stats::median(ratios)?,
            interval: Interval::of_ratios(ratios, looks),
        })
    }

    /// The width of the interval as a share of the median.
    pub fn spread(&self) -> Option<f64> {
        let interval = self.interval?;
        Some((interval.upper - interval.lower) / self.median)
    }
}
