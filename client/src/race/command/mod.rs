//! External programs in the race.

mod external;

pub use self::external::{CommandError, ExternalCommand};
