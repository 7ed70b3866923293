//! What the command lines of flag-server and flag-client share.

mod docs;
mod forecast;
mod selection;
mod signals;

pub use docs::{DocsCommand, ExitStatus, Program, SaveError};
pub use forecast::{ForecastArgs, PlanFormat};
pub use selection::{SelectionArgs, at_least_one};
pub use signals::{COPIES, Request, Requests, Signal, Signals};
