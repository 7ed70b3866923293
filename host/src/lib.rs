//! What Flagbench needs from the operating system: a precise clock, processor time, other processes
//! and their memory, its control group, the limit of open files, and where documents go. It knows
//! nothing of flags.

pub mod cgroup;
pub mod clock;
pub mod cpu;
#[cfg(feature = "files")]
mod destination;
mod http_time;
mod lock;
#[cfg(feature = "processes")]
pub mod memory;
mod neighbours;
#[cfg(feature = "files")]
mod open_files;
mod place;
#[cfg(feature = "processes")]
pub mod process;
pub mod terminal;
mod unsent;

#[cfg(feature = "files")]
pub use destination::{Destination, make_folder, write_document};
pub use http_time::http_time;
pub use lock::lock;
pub use neighbours::{Busy, Neighbours};
#[cfg(feature = "files")]
pub use open_files::{PROGRAM_FILES, RUNTIME_FILES, TooFewFiles, require_files};
pub use place::{is_standard_output, open_log, reopen_log};
pub use unsent::{is_sent, limit_unsent};
