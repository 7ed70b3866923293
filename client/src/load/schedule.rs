//! When each request should be sent: a pure function of its number.

use std::time::Duration;

/// How requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// A *closed loop*: each connection sends its next request when it has the answer to the last
    /// one.
    Closed,
    /// An *open loop*: this many requests per second, whether or not those before have been
    /// answered.
    Open {
        /// Requests per second, above zero.
        rate: f64,
    },
}

impl Pace {
    /// When the request with this number (the first is 0) should be sent, since the beginning; none
    /// in a closed loop.
    ///
    /// Each is computed from its number and not from the previous time, so errors do not add up.
    pub fn intended(self, number: u64) -> Option<Duration> {
        match self {
            Self::Closed => None,
            Self::Open { rate } => {
                Some(Duration::try_from_secs_f64(number as f64 / rate).unwrap_or(Duration::MAX))
            }
        }
    }

    /// How many requests should be sent before this time has passed; zero in a closed loop.
    pub fn intended_before(self, end: Duration) -> u64 {
        let Self::Open { rate } = self else { return 0 };
        let about = (end.as_secs_f64() * rate).ceil() as u64;
        let is_before = |number| self.intended(number).is_some_and(|intended| intended < end);
        // The float result may be off by one; `intended` decides.
        match about.checked_sub(1) {
            Some(last) if !is_before(last) => last,
            _ if is_before(about) => about.saturating_add(1),
            _ => about,
        }
    }
}

/// When a load ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// After this many requests.
    After(u64),
    /// With the requests that should be sent before this time has passed since the beginning.
    Within(Duration),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_rate_stays_exact_for_years() {
        let pace = Pace::Open { rate: 3.0 };
        assert_eq!(pace.intended(0), Some(Duration::ZERO));
        assert_eq!(pace.intended(3), Some(Duration::from_secs(1)));
        assert_eq!(
            pace.intended(3_000_000_000),
            Some(Duration::from_secs(1_000_000_000))
        );
        assert_eq!(
            Pace::Open { rate: 1e-300 }.intended(u64::MAX),
            Some(Duration::MAX)
        );
        assert_eq!(Pace::Closed.intended(7), None);
    }

    #[test]
    fn requests_before_the_end_are_counted_exactly() {
        let pace = Pace::Open { rate: 3.0 };
        let second = Duration::from_secs(1);
        assert_eq!(pace.intended_before(Duration::ZERO), 0);
        assert_eq!(pace.intended_before(second), 3);
        assert_eq!(pace.intended_before(second + Duration::from_nanos(1)), 4);
        assert_eq!(pace.intended_before(second / 3), 1);
        assert_eq!(Pace::Closed.intended_before(second), 0);
        assert_eq!(Pace::Open { rate: 1e300 }.intended_before(second), u64::MAX);
    }

    proptest! {
        #[test]
        fn the_end_is_after_the_last_counted_request_and_not_after_the_next(
            rate in 1e-3..1e8_f64, nanos in 1..3_600_000_000_000_u64,
        ) {
            let (pace, end) = (Pace::Open { rate }, Duration::from_nanos(nanos));
            let count = pace.intended_before(end);
            prop_assert!(count > 0 && pace.intended(count - 1).unwrap() < end);
            prop_assert!(pace.intended(count).unwrap() >= end);
        }

        #[test]
        fn later_requests_are_never_intended_earlier(rate in 1e-3..1e9_f64, number in 0..u64::from(u32::MAX)) {
            let pace = Pace::Open { rate };
            prop_assert!(pace.intended(number) <= pace.intended(number + 1));
        }
    }
}
