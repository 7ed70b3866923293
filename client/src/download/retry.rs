//! When a failed attempt gets another one, and after which pause: one policy for every strategy.
//!
//! Pure: a pause is a function of the seed, the code and the result of the attempt. It uses no
//! clock, thread or HTTP library, so all strategies pause alike, and the ideal time of a race with
//! retries can be computed before it.
//!
//! # The back-off
//!
//! The pause after attempt `n` lies between a half and the whole of its step,
//! `min(100 ms × 2ⁿ⁻¹, 5 s)`: M. Brooker's "equal jitter" ("Exponential Backoff And Jitter", AWS
//! Architecture Blog, 2015). While the steps double, each pause is therefore longer than the one
//! before. It is computed in two steps:
//!
//! 1. `word` = the first 8 bytes, little-endian, of BLAKE3 `derive_key` with the context
//!    [`CONTEXT`] of `seed` (u64, little-endian) ‖ the two capital letters of the code ‖ `n` (u64,
//!    little-endian);
//! 2. `pause = step / 2 + step / 2 × word / 2⁶⁴`, in whole nanoseconds.
//!
//! A server's `retry-after` makes the pause longer, never shorter; no pause is longer than
//! [`MAX_PAUSE`].
//!
//! # Why not a crate
//!
//! `tower::retry` is for async services, and two of the strategies block. `backon` is well kept and
//! has seeded jitter, but it draws from `fastrand`, which promises no values across versions; the
//! n-th pause needs the n−1 draws before it; a seed per code would still have to be derived; and
//! its jitter goes beyond its cap.

use std::num::NonZeroU32;
use std::time::{Duration, SystemTime};

use flag_scenario::Scenario;
use flags_data::CountryCode;
use serde::{Deserialize, Serialize};

use super::sample::Outcome;

/// The step after the first attempt.
const BASE: Duration = Duration::from_millis(100);
/// The longest step.
const CAP: Duration = Duration::from_secs(5);
/// The longest pause, whatever the server asks for.
pub const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The domain of the jitter, as BLAKE3's `derive_key` wants it: unique, and never changed.
const CONTEXT: &str = "flagbench 2026-11-23 retry jitter v1";

/// Which attempt is the first, how often a failed one is repeated, and the seed of the pauses
/// between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The number of the first attempt: 1, or more for a client that has tried before.
    pub first: NonZeroU32,
    /// The most attempts at one code after the first.
    pub retries: u32,
    /// What the jitter depends on, besides the code and the number of the attempt.
    pub seed: u64,
}

impl Default for RetryPolicy {
    /// No retries.
    fn default() -> Self {
        Self {
            first: NonZeroU32::MIN,
            retries: 0,
            seed: Scenario::DEFAULT_SEED,
        }
    }
}

/// An attempt that has ended: all that the policy looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// What was to be downloaded.
    pub code: CountryCode,
    /// 1 for the first attempt at this code.
    pub number: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// The status of the response, where there was one.
    pub status: Option<u16>,
    /// How long the server asks to wait, if it does: see [`retry_after`].
    pub retry_after: Option<Duration>,
}

impl RetryPolicy {
    /// How long to wait before the next attempt; `None` if this was the last.
    pub fn pause_after(&self, attempt: &Attempt) -> Option<Duration> {
        let repeated = attempt.number.saturating_sub(self.first.get());
        if repeated >= self.retries || !is_transient(attempt.outcome, attempt.status) {
            return None;
        }
        let requested = attempt.retry_after.unwrap_or_default();
        let back_off = self.back_off(attempt.code, attempt.number);
        Some(back_off.max(requested).min(MAX_PAUSE))
    }

    fn back_off(&self, code: CountryCode, number: u32) -> Duration {
        let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
        hasher.update(&self.seed.to_le_bytes());
        hasher.update(code.as_str().as_bytes());
        hasher.update(&u64::from(number).to_le_bytes());
        let mut word = [0; 8];
        hasher.finalize_xof().fill(&mut word);

        let half = step(number) / 2;
        half + scaled(half, u64::from_le_bytes(word))
    }
}

/// Whether the failure is transient. 418 is the status of the book's ERROR server.
fn is_transient(outcome: Outcome, status: Option<u16>) -> bool {
    match outcome {
        Outcome::Timeout
        | Outcome::NoConnection
        | Outcome::BrokenConnection
        | Outcome::WrongBody => true,
        Outcome::HttpError => matches!(status, Some(408 | 418 | 429 | 500..=599)),
        Outcome::Downloaded
        | Outcome::NotFound
        | Outcome::TooLarge
        | Outcome::NotSaved
        | Outcome::WorkerDied => false,
    }
}

fn step(number: u32) -> Duration {
    let factor = 2_u32.saturating_pow(number.saturating_sub(1));
    BASE.saturating_mul(factor).min(CAP)
}

/// `duration × word / 2⁶⁴` for a duration of at most [`CAP`]: in integers, so it is the same
/// on every machine.
fn scaled(duration: Duration, word: u64) -> Duration {
    let nanos = (duration.as_nanos() * u128::from(word)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).expect("less than the duration"))
}

/// What a `retry-after` header asks for: seconds, or the date of HTTP, which `now` is compared
/// with. `None` if it is neither; nothing for a date that has passed.
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if !header.is_empty() && header.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number of seconds that overflows is still a request to wait.
        return Some(Duration::from_secs(header.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flags_data::Catalogue;
    use proptest::prelude::*;

    fn code(text: &str) -> CountryCode {
        text.parse().unwrap()
    }

    fn policy(retries: u32) -> RetryPolicy {
        RetryPolicy {
            retries,
            ..RetryPolicy::default()
        }
    }

    fn unavailable(code: CountryCode, number: u32) -> Attempt {
        Attempt {
            code,
            number,
            outcome: Outcome::HttpError,
            status: Some(503),
            retry_after: None,
        }
    }

    #[test]
    fn the_pauses_of_a_seed_never_change() {
        let pauses = |text| [1, 2, 3, 8].map(|number| policy(8).back_off(code(text), number));
        insta::assert_debug_snapshot!(pauses("BR"), @r"
        [
            92.479038ms,
            114.360112ms,
            362.729073ms,
            4.670229834s,
        ]
        ");
        insta::assert_debug_snapshot!(pauses("JP"), @r"
        [
            71.544778ms,
            134.357409ms,
            212.506527ms,
            4.773124685s,
        ]
        ");
    }

    #[test]
    fn there_are_at_most_as_many_retries_as_allowed() {
        for retries in 0..5 {
            let pauses = (1..10)
                .map_while(|number| policy(retries).pause_after(&unavailable(code("BR"), number)));
            assert_eq!(pauses.count(), retries as usize);
        }
    }

    #[test]
    fn only_transient_failures_are_retried() {
        let retried = |outcome, status| {
            let attempt = Attempt {
                outcome,
                status,
                ..unavailable(code("BR"), 1)
            };
            policy(1).pause_after(&attempt).is_some()
        };
        for status in [408, 418, 429, 500, 502, 503, 504, 599] {
            assert!(retried(Outcome::HttpError, Some(status)), "{status}");
        }
        for status in [204, 302, 304, 400, 401, 403, 405, 410, 416, 499] {
            assert!(!retried(Outcome::HttpError, Some(status)), "{status}");
        }
        for status in [None, Some(200)] {
            for outcome in [
                Outcome::Timeout,
                Outcome::NoConnection,
                Outcome::BrokenConnection,
                Outcome::WrongBody,
            ] {
                assert!(retried(outcome, status), "{outcome:?}");
            }
        }
        assert!(!retried(Outcome::NotFound, Some(404)));
        assert!(!retried(Outcome::Downloaded, Some(200)));
        assert!(!retried(Outcome::NotSaved, Some(200)));
        assert!(!retried(Outcome::TooLarge, Some(200)));
    }

    #[test]
    fn pauses_differ_by_flag_and_by_seed() {
        let mut pauses: Vec<Duration> = (0..5)
            .flat_map(|seed| {
                let policy = RetryPolicy {
                    retries: 1,
                    seed,
                    ..RetryPolicy::default()
                };
                Catalogue::embedded()
                    .codes()
                    .map(move |code| policy.back_off(code, 1))
                    .collect::<Vec<_>>()
            })
            .collect();
        let count = pauses.len();
        pauses.sort_unstable();
        pauses.dedup();
        assert_eq!(pauses.len(), count);
    }

    #[test]
    fn retry_after_lengthens_a_pause_up_to_the_limit_and_never_shortens_it() {
        let pause = |retry_after| {
            let attempt = Attempt {
                retry_after,
                ..unavailable(code("BR"), 1)
            };
            policy(1).pause_after(&attempt).unwrap()
        };
        assert_eq!(pause(Some(Duration::from_secs(1))), Duration::from_secs(1));
        assert_eq!(pause(Some(Duration::ZERO)), pause(None));
        assert_eq!(pause(Some(Duration::MAX)), MAX_PAUSE);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let noon = httpdate::parse_http_date("Mon, 23 Nov 2026 12:00:00 GMT").unwrap();
        for (header, expected) in [
            ("0", Some(Duration::ZERO)),
            (" 120 ", Some(Duration::from_secs(120))),
            (
                "99999999999999999999999",
                Some(Duration::from_secs(u64::MAX)),
            ),
            (
                "Mon, 23 Nov 2026 12:00:07 GMT",
                Some(Duration::from_secs(7)),
            ),
            (
                "Monday, 23-Nov-26 12:00:07 GMT",
                Some(Duration::from_secs(7)),
            ),
            ("Mon Nov 23 12:00:07 2026", Some(Duration::from_secs(7))),
            ("Mon, 23 Nov 2026 11:59:59 GMT", Some(Duration::ZERO)),
            ("", None),
            ("soon", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("2026-11-23T12:00:07Z", None),
        ] {
            assert_eq!(retry_after(header, noon), expected, "{header:?}");
        }
    }

    proptest! {
        #[test]
        fn pauses_are_repeatable_and_grow_within_their_bounds(
            seed: u64,
            index in 0_usize..676,
            number in 1_u32..=u32::MAX,
        ) {
            let policy = RetryPolicy { retries: u32::MAX, seed, ..RetryPolicy::default() };
            let code = CountryCode::every().nth(index).unwrap();
            let pause = |number| policy.pause_after(&unavailable(code, number)).unwrap();
            prop_assert_eq!(pause(number), pause(number));
            prop_assert!((CAP / 2..CAP).contains(&pause(number.max(7))));
            for number in 1..=6 {
                let step = BASE * (1 << (number - 1));
                prop_assert!((step / 2..step).contains(&pause(number)));
            }
            for number in 1..=5 {
                prop_assert!(pause(number) < pause(number + 1));
            }
        }
    }
}
