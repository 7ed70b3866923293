//! What time it is. Whoever waits with this clock reads the time here too, so that both agree in a
//! test in which time stands still.

use std::time::Instant;

/// The time of this clock: the system's, unless a test has paused it.
pub fn now() -> Instant {
    #[cfg(feature = "test-util")]
    if let Some(now) = super::paused::now() {
        return now;
    }
    Instant::now()
}
