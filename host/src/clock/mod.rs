//! Delays that end when they should: never early, and as little late as the machine allows.

mod deadlines;
mod timer;
mod timer_slack;

pub use timer::{Sleep, hold, sleep_until, start};
