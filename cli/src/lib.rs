//! What the command lines of flag-server and flag-client share.

mod docs;
mod environment;
mod forecast;
mod parsing;
mod selection;
mod signals;
mod text;
mod values;

pub use docs::{DocsCommand, ExitStatus, Program, SaveError};
pub use environment::unknown_variables;
pub use forecast::{ForecastArgs, PlanFormat};
pub use parsing::{parse, parse_words, shown};
pub use selection::SelectionArgs;
pub use signals::{COPIES, Request, Requests, Signal, Signals};
pub use text::{complain, drives_terminal, one_line, printable, shareable, without_credentials};
pub use values::{at_least_one, seed, whole_number};
