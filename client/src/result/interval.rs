//! The interval of a median, from order statistics: T. P. Hettmansperger and S. J. Sheather,
//! "Confidence intervals based on interpolated order statistics" (Statistics & Probability Letters
//! 4, 1986). It needs no random numbers and assumes nothing of the distribution but that rounds are
//! independent; `tests/truth.rs` shows what it covers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::stats::sorted;

/// What an interval claims where there are enough rounds: the share of repeated experiments whose
/// interval holds the true median.
pub const CONFIDENCE: f64 = 0.95;
/// Fewer values have an interval of less confidence, and no winner.
pub const FEWEST: usize = 6;
/// Of fewer values nothing can be claimed.
const FEWEST_OF_ANY: usize = 3;

/// How often the values were looked at before the last was taken. Whoever stops when an interval
/// looks good stops too early now and then; a wider interval at each look makes up for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Looks {
    /// Once: their number was fixed before.
    One,
    /// After 6, 10, 20 and 30 of them: their number depended on what they were.
    Several,
}

impl Looks {
    /// The confidence at each look that comes to [`CONFIDENCE`] over all of them.
    fn at_each(self) -> f64 {
        match self {
            Self::One => CONFIDENCE,
            Self::Several => 0.965,
        }
    }
}

/// Where a median lies, with this confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// The lower end.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
    /// The share of repeated experiments whose interval holds the true median: 0.95, or less where
    /// there are too few values for that.
    pub confidence: f64,
}

impl Interval {
    /// The interval of the median of these values. Fewer than six have the lowest and the highest,
    /// with the confidence that those have; fewer than three have none.
    pub fn of(values: &[f64], looks: Looks) -> Option<Self> {
        let count = values.len();
        if count < FEWEST_OF_ANY {
            return None;
        }
        let values = sorted(values.to_vec());
        let wanted = looks.at_each();
        let (depth, outer, inner) = depth(count, wanted);
        if outer < wanted {
            return Some(Self {
                lower: values[0],
                upper: values[count - 1],
                confidence: outer,
            });
        }
        // Between the order statistics `depth` and `depth + 1` from either end, where the
        // confidence is the wanted one.
        let excess = (outer - wanted) / (outer - inner);
        let (n, d) = (count as f64, depth as f64);
        let share = (n - d) * excess / (d + (n - 2.0 * d) * excess);
        let between = |out: f64, within: f64| (1.0 - share) * out + share * within;
        Some(Self {
            lower: between(values[depth - 1], values[depth]),
            upper: between(values[count - depth], values[count - depth - 1]),
            confidence: CONFIDENCE,
        })
    }

    /// The same for values that are ratios: interpolated on their logarithms, so that the interval
    /// of `a / b` is that of `b / a` turned over.
    pub fn of_ratios(ratios: &[f64], looks: Looks) -> Option<Self> {
        let logarithms: Vec<f64> = ratios.iter().map(|ratio| ratio.ln()).collect();
        let of_logarithms = Self::of(&logarithms, looks)?;
        Some(Self {
            lower: of_logarithms.lower.exp(),
            upper: of_logarithms.upper.exp(),
            ..of_logarithms
        })
    }

    /// Whether this value is in it.
    pub fn holds(&self, value: f64) -> bool {
        self.lower <= value && value <= self.upper
    }
}

/// The deepest order statistic from either end between which the true median lies with at least the
/// wanted confidence (1 if none does), its confidence, and that of the next.
///
/// Of `n` values, the median lies outside of the d-th from either end if at most d − 1 of them are
/// on one side of it: `1 − 2 P(Bin(n, ½) ≤ d − 1)`.
fn depth(count: usize, wanted: f64) -> (usize, f64, f64) {
    let n = count as f64;
    // By logarithms: 2⁻ⁿ is no number beyond a thousand values.
    let mut probability = -n * std::f64::consts::LN_2;
    let mut tail = probability.exp();
    let mut depth = 1;
    let mut confidence = 1.0 - 2.0 * tail;
    loop {
        let k = depth as f64;
        probability += ((n - k + 1.0) / k).ln();
        tail += probability.exp();
        let next = 1.0 - 2.0 * tail;
        if next < wanted {
            return (depth, confidence, next);
        }
        (depth, confidence) = (depth + 1, next);
    }
}

/// Whether each value depends on the one before it: the lag-1 autocorrelation of the ranks, plus
/// the 1/n by which that of independent values is below zero, is above what 95 % of independent
/// series have. Then an interval is that of this run, and says little about another.
pub fn is_autocorrelated(values: &[f64]) -> bool {
    let count = values.len();
    if count < FEWEST {
        return false;
    }
    let ranks = ranks(values);
    let n = count as f64;
    let middle = (n - 1.0) / 2.0;
    let total: f64 = ranks.iter().map(|rank| (rank - middle).powi(2)).sum();
    if total == 0.0 {
        return false;
    }
    let neighbours = ranks.windows(2);
    let together: f64 = neighbours
        .map(|pair| (pair[0] - middle) * (pair[1] - middle))
        .sum();
    together / total + 1.0 / n > 1.645 / n.sqrt()
}

/// The place of each value in their order, from 0; equal values share the mean of their places.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let below = values.iter().filter(|other| *other < value).count();
        let equal = values.iter().filter(|other| *other == value).count();
        below as f64 + (equal as f64 - 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    }

    /// 1 − 2 × 2⁻ⁿ for the lowest and the highest of n.
    #[test]
    fn too_few_values_have_the_confidence_that_they_have() {
        let of = |values: &[f64]| Interval::of(values, Looks::One);
        assert_eq!(of(&[1.0, 2.0]), None);
        for (count, confidence) in [(3, 0.75), (4, 0.875), (5, 0.9375)] {
            let values: Vec<f64> = (1..=count).map(f64::from).collect();
            let found = of(&values).unwrap();
            assert_eq!((found.lower, found.upper), (1.0, f64::from(count)));
            close(found.confidence, confidence);
        }
    }

    /// Of ten, the 2nd and the 9th have 1 − 2 (1 + 10) / 1024 = 0.978515625, the 3rd and the 8th
    /// 1 − 2 (1 + 10 + 45) / 1024 = 0.890625. I = 0.028515625 / 0.087890625 = 0.324444…; λ = 8 I /
    /// (2 + 6 I) = 0.657657…
    #[test]
    fn ten_values_have_an_interval_between_two_order_statistics() {
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        let found = Interval::of(&values, Looks::One).unwrap();
        let share = 8.0 * 0.324_444_444_444 / (2.0 + 6.0 * 0.324_444_444_444);
        close(found.lower, 2.0 + share);
        close(found.upper, 9.0 - share);
        assert_eq!(found.confidence, 0.95);
        let several = Interval::of(&values, Looks::Several).unwrap();
        assert!(several.lower < found.lower && several.upper > found.upper);
    }

    #[test]
    fn ratios_turned_over_have_their_interval_turned_over() {
        let ratios = [1.1, 1.3, 0.9, 1.2, 1.7, 1.05, 1.4];
        let turned = ratios.map(|ratio| 1.0 / ratio);
        let there = Interval::of_ratios(&ratios, Looks::One).unwrap();
        let back = Interval::of_ratios(&turned, Looks::One).unwrap();
        close(there.lower * back.upper, 1.0);
        close(there.upper * back.lower, 1.0);
    }

    #[test]
    fn a_drift_is_autocorrelated_and_a_seesaw_is_not() {
        let drift: Vec<f64> = (0..20).map(f64::from).collect();
        let seesaw: Vec<f64> = (0..20).map(|n| f64::from(n % 2)).collect();
        assert!(is_autocorrelated(&drift));
        assert!(!is_autocorrelated(&seesaw));
        assert!(!is_autocorrelated(&[1.0; 20]));
        assert!(!is_autocorrelated(&[1.0, 2.0, 3.0]), "too few to know");
    }

    proptest! {
        #[test]
        fn an_interval_holds_the_median_whatever_the_order(values in prop::collection::vec(0.1_f64..1e6, 3..1500)) {
            for looks in [Looks::One, Looks::Several] {
                let interval = Interval::of(&values, looks).unwrap();
                let middle = crate::result::stats::median(&values).unwrap();
                prop_assert!(interval.holds(middle), "{:?} {}", interval, middle);
                let mut turned = values.clone();
                turned.reverse();
                prop_assert_eq!(Interval::of(&turned, looks), Some(interval));
            }
        }
    }
}
