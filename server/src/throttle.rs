//! How often something that may happen in masses is reported: at the first time, and then at most
//! once a minute, with how often it has happened since.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use flag_host::{clock, lock};

/// The time between two reports.
const INTERVAL: Duration = Duration::from_mins(1);

/// Counts what happens, and says when to report it.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<Unreported>);

#[derive(Debug, Default)]
struct Unreported {
    count: u64,
    last_report: Option<Instant>,
}

impl Throttle {
    /// Counts one event. If it is time for a report, returns how many have happened since the last.
    pub(crate) fn count(&self) -> Option<u64> {
        let now = clock::now();
        let mut unreported = lock(&self.0);
        unreported.count += 1;
        let is_recent = |last| now.saturating_duration_since(last) < INTERVAL;
        if unreported.last_report.is_some_and(is_recent) {
            return None;
        }
        unreported.last_report = Some(now);
        Some(std::mem::take(&mut unreported.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_reported_and_then_once_a_minute_how_many_there_were() {
        let throttle = Throttle::default();
        assert_eq!(throttle.count(), Some(1));
        for _ in 0..1000 {
            assert_eq!(throttle.count(), None);
        }
        lock(&throttle.0).last_report = clock::now().checked_sub(INTERVAL);
        assert_eq!(throttle.count(), Some(1001));
        assert_eq!(throttle.count(), None);
    }
}
