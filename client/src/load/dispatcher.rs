//! Hands out the requests, one after another, to whichever connection is free.
//!
//! It decides when a request is intended, whether it counts, and when there are no more. It does
//! not know how requests are sent.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flag_host::clock;

use super::schedule::{End, Pace};
use super::spec::Load;

/// What a free connection does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Send the request with this number.
    Send {
        number: u64,
        /// Not before this moment, or at once if it has passed; in a closed loop always at once.
        intended: Option<Instant>,
        /// Whether it is measured: requests of the warm-up are not.
        counts: bool,
    },
    /// Nothing: the load is over, and this many requests that count were not sent in time.
    Unsent(u64),
    /// Nothing: all requests have been handed out.
    Over,
}

/// All requests of a load.
#[derive(Debug)]
pub(super) struct Dispatcher {
    pace: Pace,
    end: End,
    warmup: Duration,
    start: OnceLock<Instant>,
    next: AtomicU64,
    /// The requests of a closed loop that count.
    counted: AtomicU64,
    /// When the last answer that counts came, in nanoseconds since the warm-up.
    last: AtomicU64,
}

impl Dispatcher {
    pub(super) fn new(load: &Load) -> Self {
        Self {
            pace: load.pace,
            end: load.end,
            warmup: load.warmup,
            start: OnceLock::new(),
            next: AtomicU64::new(0),
            counted: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }

    /// Begins now, unless it has begun.
    pub(super) fn begin(&self) -> Instant {
        *self.start.get_or_init(clock::now)
    }

    /// The next one for a connection that is free now.
    pub(super) fn next(&self, now: Instant) -> Turn {
        let start = self.begin();
        let since_start = now.saturating_duration_since(start);
        match self.pace {
            Pace::Closed => self.next_of_a_closed_loop(since_start),
            Pace::Open { .. } => self.next_of_an_open_loop(start, since_start),
        }
    }

    fn next_of_a_closed_loop(&self, since_start: Duration) -> Turn {
        let counts = since_start >= self.warmup;
        let is_over = match self.end {
            End::Within(duration) => since_start >= self.warmup.saturating_add(duration),
            End::After(count) => counts && self.counted.fetch_add(1, Ordering::Relaxed) >= count,
        };
        if is_over {
            return Turn::Over;
        }
        Turn::Send {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            intended: None,
            counts,
        }
    }

    fn next_of_an_open_loop(&self, start: Instant, since_start: Duration) -> Turn {
        let before_it = self.pace.intended_before(self.warmup);
        let all = match self.end {
            End::After(count) => before_it.saturating_add(count),
            End::Within(duration) => {
                let end = self.warmup.saturating_add(duration);
                let all = self.pace.intended_before(end);
                if since_start >= end {
                    // The rest in one step: with a server that stalls, it may be millions.
                    let taken = self.next.fetch_max(all, Ordering::Relaxed);
                    return match all.saturating_sub(taken.max(before_it)) {
                        0 => Turn::Over,
                        unsent => Turn::Unsent(unsent),
                    };
                }
                all
            }
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // An `Instant` cannot represent anything later.
        let intended = start.checked_add(self.pace.intended(number).unwrap_or_default());
        match intended {
            Some(intended) if number < all => Turn::Send {
                number,
                intended: Some(intended),
                counts: number >= before_it,
            },
            _ => Turn::Over,
        }
    }

    /// Records that an answer that counts arrived.
    pub(super) fn record_answer(&self, now: Instant) {
        let since = self.since_warmup(now).unwrap_or_default();
        let nanos = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        self.last.fetch_max(nanos, Ordering::Relaxed);
    }

    /// The time since the end of the warm-up.
    pub(super) fn since_warmup(&self, now: Instant) -> Option<Duration> {
        now.checked_duration_since(*self.start.get()?)?
            .checked_sub(self.warmup)
    }

    /// From the end of the warm-up until the last answer.
    pub(super) fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.last.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn dispatcher(pace: Pace, end: End, warmup: Duration) -> Dispatcher {
        Dispatcher {
            pace,
            end,
            warmup,
            start: OnceLock::new(),
            next: AtomicU64::new(0),
            counted: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }

    /// The numbers that are handed out at these moments, and whether they count.
    fn sent(
        dispatcher: &Dispatcher,
        moments: impl IntoIterator<Item = Duration>,
    ) -> Vec<(u64, bool)> {
        let start = dispatcher.begin();
        let next = |moment| match dispatcher.next(start + moment) {
            Turn::Send { number, counts, .. } => Some((number, counts)),
            Turn::Unsent(_) | Turn::Over => None,
        };
        moments.into_iter().filter_map(next).collect()
    }

    #[test]
    fn a_closed_loop_counts_n_requests_after_the_warm_up() {
        let dispatcher = dispatcher(Pace::Closed, End::After(2), 10 * MS);
        let moments = [0, 9, 10, 11, 12].map(|ms| ms * MS);
        assert_eq!(
            sent(&dispatcher, moments),
            [(0, false), (1, false), (2, true), (3, true)]
        );
    }

    #[test]
    fn a_timed_closed_loop_ends_on_time() {
        let dispatcher = dispatcher(Pace::Closed, End::Within(5 * MS), 10 * MS);
        let moments = [0, 10, 14, 15].map(|ms| ms * MS);
        assert_eq!(
            sent(&dispatcher, moments),
            [(0, false), (1, true), (2, true)]
        );
    }

    #[test]
    fn an_open_loop_keeps_the_intended_times_even_when_late() {
        let dispatcher = dispatcher(Pace::Open { rate: 1000.0 }, End::After(2), 2 * MS);
        let start = dispatcher.begin();
        for (number, counts) in [(0, false), (1, false), (2, true), (3, true)] {
            let expected = Turn::Send {
                number,
                intended: Some(start + MS * number as u32),
                counts,
            };
            assert_eq!(dispatcher.next(start + 100 * MS), expected);
        }
        assert_eq!(dispatcher.next(start + 100 * MS), Turn::Over);
    }

    #[test]
    fn unsent_requests_of_an_open_loop_are_counted_once_and_without_the_warm_up() {
        let of = || dispatcher(Pace::Open { rate: 1e9 }, End::Within(10 * MS), 2 * MS);
        let late = of();
        assert_eq!(sent(&late, [MS, 3 * MS]), [(0, false), (1, false)]);
        let end = late.begin() + 12 * MS;
        assert_eq!(late.next(end), Turn::Unsent(10_000_000));
        assert_eq!(late.next(end), Turn::Over);

        let well = dispatcher(Pace::Open { rate: 1000.0 }, End::Within(2 * MS), MS);
        let all = [(0, false), (1, true), (2, true)];
        assert_eq!(sent(&well, [Duration::ZERO; 9]), all);
        assert_eq!(well.next(well.begin() + 3 * MS), Turn::Over);
    }

    #[test]
    fn the_elapsed_time_is_from_the_warm_up_to_the_last_answer() {
        let dispatcher = dispatcher(Pace::Closed, End::After(9), 10 * MS);
        let start = dispatcher.begin();
        assert_eq!(dispatcher.since_warmup(start + 9 * MS), None);
        dispatcher.record_answer(start + 15 * MS);
        dispatcher.record_answer(start + 12 * MS);
        assert_eq!(dispatcher.elapsed(), 5 * MS);
    }
}
