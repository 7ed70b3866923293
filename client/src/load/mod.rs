//! The load generator: many requests over some connections, in a closed or an open loop.

mod answer;
mod connection;
mod dispatcher;
mod generator;
mod outcome;
mod recognize;
pub mod recorder;
mod requests;
mod schedule;
mod spec;
mod thread;

pub use self::generator::{LoadError, Progress, TICK, run};
pub use self::outcome::LoadOutcome;
pub use self::recognize::is_flagbench;
pub use self::requests::Requests;
pub use self::schedule::{End, Pace};
pub use self::spec::Load;
