//! Numbers from durations. Pure: it neither measures nor prints.

use std::cmp::Ordering;
use std::time::Duration;

/// A value that has a middle between two of it.
pub trait Midpoint: Copy + PartialOrd {
    /// The value half-way between two.
    fn midpoint(lower: Self, upper: Self) -> Self;
}

impl Midpoint for Duration {
    fn midpoint(lower: Self, upper: Self) -> Self {
        lower + (upper - lower) / 2
    }
}

impl Midpoint for f64 {
    fn midpoint(lower: Self, upper: Self) -> Self {
        lower.midpoint(upper)
    }
}

/// The median: the middle value, or the mean of the two in the middle. `None` of nothing. Values that do not
/// compare (NaN) count as equal.
pub fn median<T: Midpoint>(values: &[T]) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(Ordering::Equal));
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(T::midpoint(sorted[sorted.len() / 2 - 1], upper))
}

/// How often `time` goes into `reference`: 2 when it is twice as fast. `None` when it took no time.
pub fn speed_up(reference: Duration, time: Duration) -> Option<f64> {
    ratio(reference, time)
}

/// The share of `time` that could not have been saved. `None` when nothing was planned, or it took no time.
pub fn efficiency(ideal: Duration, time: Duration) -> Option<f64> {
    if ideal.is_zero() {
        None
    } else {
        ratio(ideal, time)
    }
}

fn ratio(dividend: Duration, divisor: Duration) -> Option<f64> {
    (!divisor.is_zero()).then(|| dividend.as_secs_f64() / divisor.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(list: &[u64]) -> Vec<Duration> {
        list.iter().copied().map(Duration::from_secs).collect()
    }

    #[test]
    fn the_median_of_an_odd_count_is_the_middle_and_of_an_even_count_the_mean_of_two() {
        assert_eq!(median::<Duration>(&[]), None);
        assert_eq!(median(&[2.0, 1.0]), Some(1.5));
        assert_eq!(median(&secs(&[7])), Some(Duration::from_secs(7)));
        assert_eq!(median(&secs(&[9, 1, 5])), Some(Duration::from_secs(5)));
        assert_eq!(median(&secs(&[4, 1, 2, 9])), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_ratio_without_a_meaning_is_none() {
        let second = Duration::from_secs(1);
        assert_eq!(speed_up(second, second / 2), Some(2.0));
        assert_eq!(efficiency(second, second * 4), Some(0.25));
        assert_eq!(speed_up(second, Duration::ZERO), None);
        assert_eq!(efficiency(Duration::ZERO, second), None);
    }
}
