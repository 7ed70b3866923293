//! Worker processes: the other end of `--strategy processes`.

pub(crate) mod protocol;
mod run;

pub use self::run::{WorkerError, run};
