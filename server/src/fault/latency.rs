//! The effect of a latency: the response starts later.

use std::time::{Duration, Instant};

use crate::clock;
use crate::scenario::Plan;

/// Holds the response back until the planned delay after `start` is over; returns the time held.
pub(super) async fn hold(start: Instant, plan: &Plan) -> Duration {
    clock::hold(start, plan.delay).await
}
