//! Numbers from durations. Pure: it neither measures nor prints.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::num::NonZeroUsize;
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

/// The time that a perfect client with this many workers needs for these delays: the *makespan* when
/// each delay, in the given order, goes to the first worker that is free, and nothing else takes any time.
///
/// This is list scheduling (R. L. Graham, "Bounds for certain multiprocessing anomalies", 1966) in the
/// order of the job, as all the strategies take the codes. Another order might be faster still.
pub fn ideal_makespan(
    delays: impl IntoIterator<Item = Duration>,
    workers: NonZeroUsize,
) -> Duration {
    let mut free_at: BinaryHeap<Reverse<Duration>> =
        std::iter::repeat_n(Reverse(Duration::ZERO), workers.get()).collect();
    let mut makespan = Duration::ZERO;
    for delay in delays {
        let Some(Reverse(start)) = free_at.pop() else {
            break;
        };
        let end = start + delay;
        makespan = makespan.max(end);
        free_at.push(Reverse(end));
    }
    makespan
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secs(list: &[u64]) -> Vec<Duration> {
        list.iter().copied().map(Duration::from_secs).collect()
    }

    fn workers(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn the_median_of_an_odd_count_is_the_middle_and_of_an_even_count_the_mean_of_two() {
        assert_eq!(median::<Duration>(&[]), None);
        assert_eq!(median(&[2.0, 1.0]), Some(1.5));
        assert_eq!(median(&secs(&[7])), Some(Duration::from_secs(7)));
        assert_eq!(median(&secs(&[9, 1, 5])), Some(Duration::from_secs(5)));
        assert_eq!(median(&secs(&[4, 1, 2, 9])), Some(Duration::from_secs(3)));
    }

    /// By hand, two workers: 3→A (0–3), 1→B (0–1), 4→B (1–5), 1→A (3–4), 5→A (4–9), 2→B (5–7).
    #[test]
    fn the_ideal_makespan_is_that_of_a_schedule_made_by_hand() {
        let delays = secs(&[3, 1, 4, 1, 5, 2]);
        assert_eq!(
            ideal_makespan(delays.clone(), workers(1)),
            Duration::from_secs(16)
        );
        assert_eq!(
            ideal_makespan(delays.clone(), workers(2)),
            Duration::from_secs(9)
        );
        assert_eq!(
            ideal_makespan(delays.clone(), workers(6)),
            Duration::from_secs(5)
        );
        assert_eq!(
            ideal_makespan(delays, workers(1000)),
            Duration::from_secs(5)
        );
        assert_eq!(ideal_makespan([], workers(3)), Duration::ZERO);
    }

    #[test]
    fn a_ratio_without_a_meaning_is_none() {
        let second = Duration::from_secs(1);
        assert_eq!(speed_up(second, second / 2), Some(2.0));
        assert_eq!(efficiency(second, second * 4), Some(0.25));
        assert_eq!(speed_up(second, Duration::ZERO), None);
        assert_eq!(efficiency(Duration::ZERO, second), None);
    }

    proptest! {
        #[test]
        fn no_schedule_beats_its_longest_delay_or_its_share_of_the_work(
            millis in proptest::collection::vec(0_u64..5000, 1..200),
            count in 1_usize..64,
        ) {
            let delays: Vec<Duration> = millis.into_iter().map(Duration::from_millis).collect();
            let ideal = ideal_makespan(delays.clone(), workers(count));
            let longest = *delays.iter().max().unwrap();
            let share = delays.iter().sum::<Duration>() / u32::try_from(count).unwrap();
            prop_assert!(ideal >= longest && ideal >= share);
            prop_assert!(ideal <= share + longest, "Graham's bound");
        }
    }
}
