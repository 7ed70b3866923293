//! The race: the contenders, the plan, and how rounds are run and measured.
//!
//! It neither judges nor prints.

pub mod command;
mod contender;
mod error;
pub mod memory_probe;
mod peak_memory;
pub mod plan;
mod plan_check;
mod record;
mod rounds;
mod server_plan;
mod target;

pub use self::contender::{Contender, Custom};
pub use self::error::{CommandError, ContenderError};
pub use self::plan_check::{OtherPlan, check_plan};
pub use self::record::{begin, series};
pub use self::rounds::{Race, RaceEvent, Rounds};
pub use self::server_plan::{Foreseen, ServerPlan};
pub use self::target::{Target, TargetError};
