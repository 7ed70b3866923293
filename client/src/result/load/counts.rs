//! How many requests there were, how they ended, and how many of them a second.

use std::time::Duration;

use flag_scenario::{Millis, OptionalMillis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The share of the requests that may be unsent or fail against the plan.
pub(super) const MOST: f64 = 0.5;

/// How many requests there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestCounts {
    /// Those that were sent and have ended in one way or the other.
    pub sent: u64,
    /// Those with a complete answer and a status below 400.
    pub succeeded: u64,
    /// All others of them.
    pub failed: u64,
    /// Those of the failed ones that have a complete answer with the status that the server's plan
    /// wanted.
    pub planned_failures: u64,
    /// Those of an open loop that should have been sent before the end, and for which no connection
    /// was free.
    pub unsent: u64,
    /// Those that were under way when the load was interrupted.
    pub cut_off: u64,
}

impl RequestCounts {
    /// All that should have been sent.
    pub fn intended(self) -> u64 {
        self.sent + self.unsent + self.cut_off
    }

    /// Those that were answered as planned.
    pub fn right(self) -> u64 {
        self.succeeded + self.planned_failures
    }

    /// Whether enough were answered as planned: any, and at least half. What was cut off by the
    /// user is no failure.
    pub fn are_well(self) -> bool {
        let wrong = self.wrong_share();
        wrong.is_some_and(|share| share <= MOST) && self.right() > 0
    }

    /// The share of the requests that were not sent, or failed against the plan.
    pub(super) fn wrong_share(self) -> Option<f64> {
        let wrong = self.failed - self.planned_failures.min(self.failed) + self.unsent;
        let all = self.sent + self.unsent;
        (all > 0).then(|| wrong as f64 / all as f64)
    }
}

/// Why a request had no answer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No connection could be made.
    Connect,
    /// The connection broke, or what came over it was no HTTP.
    Broken,
    /// It took longer than the time limit.
    Timeout,
    /// The body was longer than was accepted.
    TooLarge,
}

impl Failure {
    /// As a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "no connection",
            Self::Broken => "broken connection",
            Self::Timeout => "timeout",
            Self::TooLarge => "body too large",
        }
    }
}

/// How many requests were answered as planned per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Throughput {
    /// Requests per second, to three decimals.
    pub per_second: f64,
    /// The time that they are divided by: of an open loop its schedule, or the time until the last
    /// answer if that came clearly later; of a closed loop the time measured.
    #[serde(rename = "over_ms", with = "Millis")]
    pub over: Duration,
    /// How long after the end of the schedule the last answer came, if that is clearly later.
    #[serde(rename = "behind_ms", with = "OptionalMillis")]
    pub behind: Option<Duration>,
}

impl Throughput {
    /// Of this many right answers. `last` is when the last answer came, since the first request was
    /// intended, and `usual` how long a response takes that does not wait.
    ///
    /// The schedule of N requests lasts N / rate: until the first request is intended that is no
    /// part of it. Its last answer comes a little later, and is late only if that is more than the
    /// distance of two requests and than a usual response.
    pub(super) fn of_schedule(
        right: u64,
        intended: u64,
        rate: f64,
        last: Duration,
        usual: Duration,
    ) -> Option<Self> {
        let of = |requests: u64| Duration::try_from_secs_f64(requests as f64 / rate).ok();
        let (schedule, distance) = (of(intended)?, of(1)?);
        let behind = last.saturating_sub(schedule);
        if behind <= distance.max(usual) {
            Self::over(right, schedule)
        } else {
            Some(Self {
                behind: Some(behind),
                ..Self::over(right, last)?
            })
        }
    }

    pub(super) fn over(right: u64, over: Duration) -> Option<Self> {
        let seconds = over.as_secs_f64();
        (seconds > 0.0).then(|| Self {
            per_second: (right as f64 / seconds * 1e3).round() / 1e3,
            over,
            behind: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_fails_if_more_than_half_was_unsent_or_failed_against_the_plan() {
        let counts = RequestCounts {
            sent: 100,
            succeeded: 50,
            failed: 50,
            planned_failures: 0,
            unsent: 0,
            cut_off: 0,
        };
        let well = |counts: RequestCounts| counts.are_well();
        assert!(well(counts));
        assert!(!well(RequestCounts {
            unsent: 1,
            ..counts
        }));
        assert!(well(RequestCounts {
            unsent: 1,
            planned_failures: 1,
            ..counts
        }));
        let all_planned = RequestCounts {
            succeeded: 0,
            failed: 100,
            planned_failures: 100,
            ..counts
        };
        assert!(well(all_planned));
        assert!(!well(RequestCounts {
            sent: 0,
            succeeded: 0,
            failed: 0,
            ..counts
        }));
    }
}
