//! Whether the load generator itself kept up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::times::Times;

/// The share of a usual time from which on what the load generator adds to it matters.
pub(super) const LATE_SHARE: f64 = 0.05;
/// The share of its looks at itself at which a thread may be busy.
const BUSY_SHARE: f64 = 0.1;
/// The 90th percentile of how late a thread may be; tokio's timers alone are up to one millisecond
/// late.
const LATE_MS_OF_THREAD: f64 = 2.0;
/// With fewer looks nothing is said.
const LOOKS: u64 = 10;

/// What the threads of the load generator, which look at themselves every 50 ms, found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GeneratorRecord {
    /// At how many looks a thread had used 90 % of a processor or more since the last one.
    pub busy: u64,
    /// How late a thread did what was due. An answer that has arrived waits about as long before it
    /// is read, and that is in its service time.
    pub late: Times,
}

impl GeneratorRecord {
    /// If it was too busy to measure such service times: the share of its looks at which a thread
    /// was busy, and the 90th percentile of how late one was, in milliseconds.
    pub(super) fn saturation(&self, service: &Times) -> Option<(f64, f64)> {
        let looks = self.late.count();
        let busy = self.busy as f64 / looks.max(1) as f64;
        let late_ms = self.late.percentile(90.0).unwrap_or(0.0);
        let usual = service.percentile(90.0).unwrap_or(0.0);
        let is_late = late_ms > LATE_MS_OF_THREAD && late_ms > LATE_SHARE * usual;
        let is_saturated = looks >= LOOKS && (busy > BUSY_SHARE || is_late);
        is_saturated.then_some((busy, late_ms))
    }
}
