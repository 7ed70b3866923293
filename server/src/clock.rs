//! Delays that end when they should: never early, and as little late as the timer allows.
//!
//! It knows deadlines and nothing of why somebody waits for one.

use std::time::{Duration, Instant};

/// Waits until `delay` after `start`, and returns how long after `start` it really is.
///
/// tokio's timer rounds up to its next millisecond, so the wait is about a millisecond late and never
/// early. A delay of zero does not yield.
pub(crate) async fn hold(start: Instant, delay: Duration) -> Duration {
    if !delay.is_zero() {
        tokio::time::sleep_until((start + delay).into()).await;
    }
    start.elapsed()
}
