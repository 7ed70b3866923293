//! What the command lines of flag-server and flag-client share.

mod docs;
mod forecast;
mod parsing;
mod selection;
mod text;
mod values;

pub use docs::{DocsCommand, ExitStatus, Program, SaveError};
pub use forecast::{ForecastArgs, PlanFormat};
pub use parsing::{parse, shown};
pub use selection::SelectionArgs;
pub use text::{complain, drives_terminal, one_line, printable, shareable, without_credentials};
pub use values::{address, at_least_one, seed, whole_number};
