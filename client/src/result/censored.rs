//! All requests of a load in the order of their times, those included whose time is not known
//! exactly.
//!
//! A request that was answered as planned has a time. One that was not sent, timed out or was cut
//! off is *censored*: its time is at least as long as it waited. Any other failure counts as
//! infinite. So a percentile is an interval, and all of it stays exact when the histograms of
//! several runs are added. This module computes; it neither measures nor words anything.

use std::time::Duration;

use flag_scenario::OptionalMillis;
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A time that is known to lie between two others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// It is at least this; none for infinite: it is that of a failure.
    #[serde(rename = "lower_ms", with = "OptionalMillis")]
    pub lower: Option<Duration>,
    /// It is at most this; none for infinite. If both are equal, the time is exact.
    #[serde(rename = "upper_ms", with = "OptionalMillis")]
    pub upper: Option<Duration>,
}

/// The times of all requests.
#[derive(Debug, Clone, PartialEq)]
pub struct CensoredTimes {
    /// Of those that were answered as planned.
    answered: Histogram<u64>,
    /// The same, and the lower bounds of those that are censored.
    all: Histogram<u64>,
    /// Those that failed against the plan: each counts as infinite.
    failed: u64,
}

/// The percentiles of all requests, for people and for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Percentiles {
    /// How many requests are ranked.
    pub count: u64,
    /// Of them, those that were not sent, timed out or were cut off.
    pub censored: u64,
    /// Of them, all others that failed against the plan.
    pub failed: u64,
    /// The mean.
    pub mean: Bounds,
    /// The median.
    pub p50: Bounds,
    /// The 90th percentile.
    pub p90: Bounds,
    /// The 99th percentile.
    pub p99: Bounds,
    /// The 99.9th percentile.
    pub p99_9: Bounds,
    /// The longest.
    pub max: Bounds,
}

impl CensoredTimes {
    /// The requests that succeeded, those that failed as planned, the lower bounds of those that
    /// are censored, and the number of all others that failed.
    pub fn new(
        succeeded: &Histogram<u64>,
        planned: &Histogram<u64>,
        censored: &Histogram<u64>,
        failed: u64,
    ) -> Self {
        let sum = |one: &Histogram<u64>, other: &Histogram<u64>| {
            let mut sum = one.clone();
            sum.auto(true);
            sum.add(other).expect("it grows as far as the other");
            sum
        };
        let answered = sum(succeeded, planned);
        Self {
            all: sum(&answered, censored),
            answered,
            failed,
        }
    }

    /// How many requests there are.
    pub fn count(&self) -> u64 {
        self.all.len() + self.failed
    }

    /// How many of them were answered as planned.
    pub fn answered(&self) -> u64 {
        self.answered.len()
    }

    /// The smallest time that at least this percentage of all requests did not exceed; none of
    /// none.
    pub fn percentile(&self, percent: f64) -> Option<Bounds> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = rank(percent, count);
        let (lower, upper) = (at(&self.all, rank), at(&self.answered, rank));
        // A time is rounded up to the digits of the histogram, and a lower bound down.
        let down = |nanos| self.all.lowest_equivalent(nanos);
        let lower = if lower == upper {
            lower
        } else {
            lower.map(down)
        };
        Some(Bounds {
            lower: lower.map(Duration::from_nanos),
            upper: upper.map(Duration::from_nanos),
        })
    }

    /// The mean of all requests; none of none.
    pub fn mean(&self) -> Option<Bounds> {
        if self.count() == 0 {
            return None;
        }
        let is_finite = self.failed == 0;
        let is_exact = is_finite && self.all.len() == self.answered.len();
        let mean = Duration::from_nanos(self.all.mean().round() as u64);
        Some(Bounds {
            lower: is_finite.then_some(mean),
            upper: is_exact.then_some(mean),
        })
    }

    /// The usual percentiles; none of none.
    pub fn percentiles(&self) -> Option<Percentiles> {
        Some(Percentiles {
            count: self.count(),
            censored: self.all.len() - self.answered.len(),
            failed: self.failed,
            mean: self.mean()?,
            p50: self.percentile(50.0)?,
            p90: self.percentile(90.0)?,
            p99: self.percentile(99.0)?,
            p99_9: self.percentile(99.9)?,
            max: self.percentile(100.0)?,
        })
    }
}

impl Bounds {
    /// Whether the time is known.
    pub fn is_exact(self) -> bool {
        self.lower == self.upper
    }

    /// Both ends in milliseconds.
    pub fn millis(self) -> (f64, f64) {
        let millis =
            |end: Option<Duration>| end.map_or(f64::INFINITY, |end| end.as_secs_f64() * 1e3);
        (millis(self.lower), millis(self.upper))
    }
}

/// ⌈pN⌉, at least 1. The product may be off by a little: what is a whole number but for that is
/// one.
fn rank(percent: f64, count: u64) -> u64 {
    let exact = percent * count as f64 / 100.0;
    let nearest = exact.round();
    let rank = if (exact - nearest).abs() <= nearest * 1e-12 {
        nearest
    } else {
        exact.ceil()
    };
    (rank as u64).clamp(1, count)
}

/// The time with this rank (the least has 1) in nanoseconds, rounded up to the digits of the
/// histogram; none if there are fewer.
fn at(histogram: &Histogram<u64>, rank: u64) -> Option<u64> {
    let mut count = 0;
    let found = histogram.iter_recorded().find(|line| {
        count += line.count_at_value();
        count >= rank
    });
    Some(found?.value_iterated_to())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn histogram(millis: impl IntoIterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = Histogram::new(3).unwrap();
        for millis in millis {
            histogram.record(millis * MS).unwrap();
        }
        histogram
    }

    fn times(
        answered: impl IntoIterator<Item = u64>,
        censored: impl IntoIterator<Item = u64>,
        failed: u64,
    ) -> CensoredTimes {
        let nothing = histogram([]);
        CensoredTimes::new(&histogram(answered), &nothing, &histogram(censored), failed)
    }

    /// Both ends in the whole milliseconds that were recorded: up to a second they are told apart.
    fn found(bounds: Option<Bounds>) -> (Option<u64>, Option<u64>) {
        let bounds = bounds.unwrap();
        let down = |end: Duration| end.as_nanos() as u64 / MS;
        let up = |end: Duration| (end.as_nanos() as u64).div_ceil(MS);
        let lower = bounds.lower.map(if bounds.is_exact() { down } else { up });
        (lower, bounds.upper.map(down))
    }

    #[test]
    fn if_all_were_answered_every_percentile_is_exact() {
        let times = times(1..=1000, [], 0);
        for (percent, millis) in [
            (0.0, 1),
            (50.0, 500),
            (99.0, 990),
            (99.9, 999),
            (100.0, 1000),
        ] {
            let expected = (Some(millis), Some(millis));
            assert_eq!(found(times.percentile(percent)), expected, "p{percent}");
        }
        assert!(times.mean().unwrap().is_exact());
    }

    /// 160 requests of 1000 were answered, in 1 to 160 ms; the others were not sent, and had waited
    /// for 1 to 840 ms when the load ended.
    #[test]
    fn of_an_overload_a_percentile_is_at_least_what_the_unsent_had_waited() {
        let times = times(1..=160, 1..=840, 0);
        // Below the 160th of the answered, both kinds alternate in the lower bound.
        assert_eq!(found(times.percentile(10.0)), (Some(50), Some(100)));
        assert_eq!(found(times.percentile(99.0)), (Some(830), None));
        assert_eq!(found(times.percentile(100.0)), (Some(840), None));
        let mean = times.mean().unwrap();
        assert!(mean.lower.is_some() && mean.upper.is_none());
    }

    #[test]
    fn timeouts_leave_a_percentile_exact_that_lies_below_them() {
        // All bounds are above the 99 answers.
        let times = times(1..=99, [700], 0);
        assert_eq!(found(times.percentile(99.0)), (Some(99), Some(99)));
        assert_eq!(found(times.percentile(99.1)), (Some(700), None));
    }

    #[test]
    fn a_failure_is_slower_than_any_answer_and_than_any_wait() {
        let times = times(1..=50, [70; 25], 25);
        assert_eq!(times.count(), 100);
        assert_eq!(found(times.percentile(50.0)), (Some(50), Some(50)));
        assert_eq!(found(times.percentile(75.0)), (Some(70), None));
        assert_eq!(found(times.percentile(76.0)), (None, None));
        assert_eq!(found(times.mean()), (None, None));
        let percentiles = times.percentiles().unwrap();
        assert_eq!(
            (percentiles.count, percentiles.censored, percentiles.failed),
            (100, 25, 25)
        );
    }

    #[test]
    fn what_failed_as_planned_is_ranked_at_its_time() {
        let (succeeded, planned) = (histogram([1, 2, 3]), histogram([4]));
        let times = CensoredTimes::new(&succeeded, &planned, &histogram([]), 0);
        assert_eq!((times.count(), times.answered()), (4, 4));
        assert_eq!(found(times.percentile(100.0)), (Some(4), Some(4)));
    }

    #[test]
    fn of_no_requests_there_is_no_percentile() {
        let times = times([], [], 0);
        assert_eq!((times.percentile(50.0), times.mean()), (None, None));
        assert_eq!(times.percentiles(), None);
    }

    #[test]
    fn a_rank_is_a_whole_number_where_the_product_is_one() {
        for (percent, count, expected) in [
            (99.9, 1000, 999),
            (99.9, 1001, 1000),
            (99.0, 100, 99),
            (0.0, 10, 1),
            (100.0, 7, 7),
            (1e-9, 10, 1),
        ] {
            assert_eq!(rank(percent, count), expected, "p{percent} of {count}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Against a list that is sorted twice.
        #[test]
        fn a_percentile_lies_where_sorting_all_requests_puts_it(
            answered in prop::collection::vec(0..1000_u64, 0..50),
            censored in prop::collection::vec(0..1000_u64, 0..50),
            failed in 0..20_u64,
            percent in 0.0..=100.0_f64,
        ) {
            let times = times(answered.clone(), censored.clone(), failed);
            let count = answered.len() + censored.len() + failed as usize;
            prop_assume!(count > 0);
            let sorted = |all: Vec<u64>| {
                let mut all = all;
                all.sort_unstable();
                all
            };
            let place = rank(percent, count as u64) as usize - 1;
            let upper = sorted(answered.clone()).get(place).copied();
            let lower = sorted([answered, censored].concat()).get(place).copied();
            prop_assert_eq!(found(times.percentile(percent)), (lower, upper));
        }

        #[test]
        fn added_times_are_the_times_of_all(
            one in prop::collection::vec(0..5000_u64, 0..50),
            other in prop::collection::vec(0..5000_u64, 0..50),
        ) {
            let mut added = histogram(one.clone());
            added.add(histogram(other.clone())).unwrap();
            let nothing = histogram([]);
            let parts = CensoredTimes::new(&added, &nothing, &added, 3).percentiles();
            let both = [one, other].concat();
            prop_assert_eq!(parts, times(both.clone(), both, 3).percentiles());
        }
    }
}
