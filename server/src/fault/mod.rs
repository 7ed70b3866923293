//! Applies decisions: one file per kind of effect.

mod attempts;
mod body;
mod capacity;
mod connection;
mod injector;
mod request_head;
mod status;

pub(crate) use connection::{Broken, ConnectionEnd, ConnectionHandle, FaultyStream};
pub(crate) use injector::{Chaos, Fate, meet};
pub(crate) use request_head::{Asked, RequestHeaders};

pub use attempts::{MAX_PATHS_PER_RUN, MAX_RUNS};
pub use injector::{FLAG_PLAN, SERVER_TIMING};
pub use request_head::{FLAG_ATTEMPT, FLAG_RUN};
