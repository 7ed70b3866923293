//! Delays that end when they should: never early, and as little late as the machine allows.
//! Written by hand, because tokio's timers round up to a millisecond, and async-io's, which do not,
//! need a second reactor beside tokio's.

mod deadlines;
mod now;
#[cfg(feature = "test-util")]
mod paused;
mod timer;
mod timer_slack;

pub use now::now;
#[cfg(feature = "test-util")]
pub use paused::{Paused, pause};
pub use timer::{Sleep, client_sleep_until, hold, sleep_until, start};
