//! Applies decisions: one file per kind of effect.

mod attempts;
mod body;
mod capacity;
mod connection;
mod injector;
mod request_head;
mod scenarios;
mod status;

pub(crate) use body::{PacedBody, shape};
pub(crate) use connection::{Broken, ConnectionHandle, FaultyStream, Injection};
pub(crate) use injector::{Decision, FaultInjector, Reply, Respond};
#[cfg(feature = "control")]
pub(crate) use request_head::is_run;
pub(crate) use request_head::{RequestHead, RequestHeaders};

pub use attempts::{MAX_ATTEMPT_COUNTERS, MAX_PATHS_PER_RUN};
pub use injector::{FLAG_PLAN, SERVER_TIMING};
pub use request_head::{FLAG_ATTEMPT, FLAG_RUN};
pub use scenarios::{MAX_RUN_SCENARIO_BYTES, MAX_RUN_SCENARIOS, TooManyScenarios};
