//! How downloads share time: one file per strategy, to be read side by side.
//!
//! Each strategy takes the codes of a job in their order, never has more downloads in flight than
//! the job allows, and returns one sample for each attempt that it made.

mod asynchronous;
pub(super) mod kind;
pub(super) mod pairing;
mod processes;
mod sequential;
mod threaded;

pub use self::asynchronous::Asynchronous;
pub use self::kind::{RuntimeFlavor, Strategy};
pub use self::pairing::NoSuchRunner;
pub use self::processes::Processes;
pub use self::sequential::Sequential;
pub use self::threaded::Threaded;
