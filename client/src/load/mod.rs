//! The load generator: many requests over some connections, in a closed or an open loop.

mod answer;
mod connection;
mod dispatcher;
mod generator;
pub mod recorder;
mod requests;
pub mod result;
mod schedule;

pub use self::generator::{Load, LoadError, Outcome, Progress, TICK, run};
pub use self::requests::Requests;
pub use self::result::{
    LoadJob, LoadKind, LoadResult, LoadTimes, LoadWarning, RequestCounts, Times,
};
pub use self::schedule::{End, Pace};
