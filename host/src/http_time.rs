//! Times of day that HTTP, and RFC 3339, can say: from 1970 to 9999. A file may have any other, and
//! a clock that was never set another still.

use std::time::{Duration, SystemTime};

/// The last second of 9999, since 1970.
const LAST: Duration = Duration::from_secs(253_402_300_799);

/// The nearest time from 1970 to 9999. The libraries that write dates panic at others.
pub fn http_time(time: SystemTime) -> SystemTime {
    let first = SystemTime::UNIX_EPOCH;
    time.clamp(first, first.checked_add(LAST).unwrap_or(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_cannot_be_said_is_the_nearest_that_can() {
        let epoch = SystemTime::UNIX_EPOCH;
        let seconds = Duration::from_secs;
        for (time, expected) in [
            (epoch - seconds(62_135_596_800), epoch), // the zero time of Go
            (epoch - Duration::from_nanos(1), epoch),
            (epoch, epoch),
            (epoch + seconds(7), epoch + seconds(7)),
            (epoch + LAST, epoch + LAST),
            (epoch + LAST + seconds(1), epoch + LAST),
        ] {
            assert_eq!(http_time(time), expected);
        }
    }
}
