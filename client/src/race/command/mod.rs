//! External programs in the race.

mod external;
mod process;
mod records;

pub use self::external::ExternalCommand;
