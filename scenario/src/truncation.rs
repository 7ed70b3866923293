//! What is left of a distribution without its ends: the shares that are cut off, and the mean of
//! the rest, in seconds. The formulas are those of N. L. Johnson, S. Kotz and N. Balakrishnan,
//! *Continuous Univariate Distributions* (1994).

use std::f64::consts::{PI, SQRT_2};

/// A distribution from zero to a maximum.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Truncated {
    /// The share of samples below zero.
    pub(crate) below: f64,
    /// The share of those above the maximum.
    pub(crate) above: f64,
    /// The mean of the others.
    mean: f64,
    max: f64,
}

impl Truncated {
    pub(crate) fn uniform(lower: f64, upper: f64, max: f64) -> Self {
        let above = if upper > max {
            ((upper - max) / (upper - lower)).min(1.0)
        } else {
            0.0
        };
        Self::of(0.0, above, f64::midpoint(lower, upper.min(max)), max)
    }

    pub(crate) fn normal(mean: f64, sd: f64, max: f64) -> Self {
        let (zero, end) = (-mean / sd, (max - mean) / sd);
        let (below, above) = (normal_below(zero), normal_below(-end));
        let left = 1.0 - below - above;
        let density = |z: f64| libm::exp(-z * z / 2.0) / libm::sqrt(2.0 * PI);
        let mean = mean + sd * (density(zero) - density(end)) / left;
        Self::of(below, above, mean, max)
    }

    pub(crate) fn lognormal(median: f64, sigma: f64, max: f64) -> Self {
        let end = libm::log(max / median) / sigma;
        let above = normal_below(-end);
        let whole = median * libm::exp(sigma * sigma / 2.0);
        Self::of(
            0.0,
            above,
            whole * normal_below(end - sigma) / (1.0 - above),
            max,
        )
    }

    pub(crate) fn exponential(mean: f64, max: f64) -> Self {
        let above = libm::exp(-max / mean);
        Self::of(0.0, above, mean - max * above / (1.0 - above), max)
    }

    pub(crate) fn pareto(scale: f64, shape: f64, max: f64) -> Self {
        let above = libm::pow((scale / max).min(1.0), shape);
        let whole = if (shape - 1.0).abs() < 1e-9 {
            scale * libm::log(max / scale)
        } else {
            let missing = libm::pow(scale / max, shape - 1.0);
            shape * scale / (shape - 1.0) * (1.0 - missing)
        };
        Self::of(0.0, above, whole / (1.0 - above), max)
    }

    /// Where next to nothing is left, its mean is beyond what the formulas can say, and does not
    /// matter.
    fn of(below: f64, above: f64, mean: f64, max: f64) -> Self {
        let mean = if below + above < 1.0 - 1e-9 {
            mean
        } else {
            0.0
        };
        Self {
            below,
            above,
            mean,
            max,
        }
    }

    /// The mean of samples that are drawn again up to `times` times while they lie beyond an end,
    /// and are that end after it.
    pub(crate) fn mean_of_samples(&self, times: usize) -> f64 {
        let cut = (self.below + self.above).min(1.0);
        let last = libm::pow(cut, times as f64);
        (1.0 - last * cut) * self.mean + last * self.above * self.max
    }
}

/// The share of the standard normal distribution below `z`.
fn normal_below(z: f64) -> f64 {
    libm::erfc(-z / SQRT_2) / 2.0
}
