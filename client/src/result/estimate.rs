//! A value with its uncertainty.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stats;

/// A value with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// The lower end of its 95 % bootstrap interval.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
}

impl Estimate {
    /// The median of these values and its interval; none of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let (lower, upper) = stats::median_interval(values)?;
        let median = stats::median(values)?;
        Some(Self {
            median,
            lower,
            upper,
        })
    }

    /// The width of the interval as a share of the median.
    pub fn spread(&self) -> f64 {
        (self.upper - self.lower) / self.median
    }
}
