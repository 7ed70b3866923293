//! The race: who takes part, what is known in advance, and how the rounds are run and measured.
//!
//! It neither judges nor prints.

pub mod command;
mod contender;
pub mod memory_probe;
pub mod plan;
mod rounds;
mod target;

pub use self::contender::{Contender, Custom, Heat};
pub use self::rounds::{Moment, Race, Rounds};
pub use self::target::{Embedded, Target, TargetError};
