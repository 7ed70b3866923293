//! Hands out the requests, one after another, to whichever connection is free.
//!
//! It decides when a request is intended, whether it counts, and when there are no more. It does
//! not know how requests are sent.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flag_host::clock;

use super::schedule::{End, Pace};
use super::spec::Load;

/// What a free connection does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Turn {
    /// Send the request with this number.
    Send {
        number: u64,
        /// Not before this moment, or at once if it has passed; in a closed loop always at once.
        intended: Option<Instant>,
        /// Whether it is measured: requests of the warm-up are not.
        counts: bool,
        /// Whether it is in the first half of those of an open loop that count.
        is_early: bool,
    },
    /// Nothing: the load is over, and these requests that count were not sent in time.
    Unsent(Unsent),
    /// Nothing: all requests have been handed out.
    Over,
}

/// Requests that should have been sent, and were not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsent {
    pub(super) numbers: Range<u64>,
    /// Until when they have waited, since the beginning.
    pub(super) end: Duration,
}

/// All requests of a load.
#[derive(Debug)]
pub(super) struct Dispatcher {
    pace: Pace,
    end: End,
    warmup: Duration,
    /// Of an open loop: those that warm up, and those in the first half of the others, have smaller
    /// numbers than these.
    first: u64,
    middle: u64,
    /// How many there are, those that warm up included.
    all: u64,
    start: OnceLock<Instant>,
    next: AtomicU64,
    /// The requests of a closed loop that count.
    counted: AtomicU64,
}

impl Dispatcher {
    pub(super) fn new(load: &Load) -> Self {
        Self::with(load.pace, load.end, load.warmup)
    }

    fn with(pace: Pace, end: End, warmup: Duration) -> Self {
        let first = pace.intended_before(warmup);
        let all = match end {
            End::After(count) => first.saturating_add(count),
            End::Within(duration) => pace.intended_before(warmup.saturating_add(duration)),
        };
        Self {
            pace,
            end,
            warmup,
            first,
            middle: first + all.saturating_sub(first).div_ceil(2),
            all,
            start: OnceLock::new(),
            next: AtomicU64::new(0),
            counted: AtomicU64::new(0),
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
            is_early: false,
        }
    }

    fn next_of_an_open_loop(&self, start: Instant, since_start: Duration) -> Turn {
        if let End::Within(duration) = self.end {
            let end = self.warmup.saturating_add(duration);
            if since_start >= end {
                // The rest in one step: with a server that stalls it may be millions.
                return self.give_up(self.all, end).map_or(Turn::Over, Turn::Unsent);
            }
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        // An `Instant` cannot represent anything later.
        let intended = start.checked_add(self.pace.intended(number).unwrap_or_default());
        match intended {
            Some(intended) if number < self.all => Turn::Send {
                number,
                intended: Some(intended),
                counts: number >= self.first,
                is_early: number < self.middle,
            },
            _ => Turn::Over,
        }
    }

    /// Those of an interrupted load that should have been sent until now, and were not.
    pub(super) fn interrupt(&self, now: Instant) -> Option<Unsent> {
        let end = now.checked_duration_since(*self.start.get()?)?;
        self.give_up(self.all.min(self.pace.intended_before(end)), end)
    }

    /// Hands out no number below `until` any more; returns those that count and have not been.
    fn give_up(&self, until: u64, end: Duration) -> Option<Unsent> {
        let taken = self.next.fetch_max(until, Ordering::Relaxed);
        let numbers = taken.max(self.first)..until;
        (!numbers.is_empty()).then_some(Unsent { numbers, end })
    }

    /// The time since the end of the warm-up.
    pub(super) fn since_warmup(&self, now: Instant) -> Option<Duration> {
        now.checked_duration_since(*self.start.get()?)?
            .checked_sub(self.warmup)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn dispatcher(pace: Pace, end: End, warmup: Duration) -> Dispatcher {
        Dispatcher::with(pace, end, warmup)
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
        for (number, counts, is_early) in [
            (0, false, true),
            (1, false, true),
            (2, true, true),
            (3, true, false),
        ] {
            let expected = Turn::Send {
                number,
                intended: Some(start + MS * number as u32),
                counts,
                is_early,
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
        let unsent = Unsent {
            numbers: 2_000_000..12_000_000,
            end: 12 * MS,
        };
        assert_eq!(late.next(end), Turn::Unsent(unsent));
        assert_eq!(late.next(end), Turn::Over);

        let well = dispatcher(Pace::Open { rate: 1000.0 }, End::Within(2 * MS), MS);
        let all = [(0, false), (1, true), (2, true)];
        assert_eq!(sent(&well, [Duration::ZERO; 9]), all);
        assert_eq!(well.next(well.begin() + 3 * MS), Turn::Over);
    }

    #[test]
    fn of_an_interrupted_load_those_are_unsent_whose_time_had_come() {
        let of = |end| dispatcher(Pace::Open { rate: 1000.0 }, end, MS);
        for end in [End::Within(60_000 * MS), End::After(60_000)] {
            let interrupted = of(end);
            assert_eq!(
                sent(&interrupted, [MS, 2 * MS]),
                [(0, false), (1, true)],
                "{end:?}"
            );
            let unsent = Unsent {
                numbers: 2..10,
                end: 10 * MS,
            };
            let now = interrupted.begin() + 10 * MS;
            assert_eq!(interrupted.interrupt(now), Some(unsent), "{end:?}");
            assert_eq!(interrupted.interrupt(now), None, "{end:?}");
        }
        let closed = dispatcher(Pace::Closed, End::After(9), Duration::ZERO);
        assert_eq!(closed.interrupt(closed.begin() + MS), None);
    }

    #[test]
    fn time_counts_from_the_warm_up() {
        let dispatcher = dispatcher(Pace::Closed, End::After(9), 10 * MS);
        let start = dispatcher.begin();
        assert_eq!(dispatcher.since_warmup(start + 9 * MS), None);
        assert_eq!(dispatcher.since_warmup(start + 12 * MS), Some(2 * MS));
    }
}
