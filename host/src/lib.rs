//! What Flagbench needs from the operating system: a precise clock, processor time, other processes
//! and their memory, the limit of open files, and files that appear whole or not at all. It knows
//! nothing of flags.

#[cfg(feature = "files")]
mod atomic_file;
pub mod clock;
pub mod cpu;
mod lock;
#[cfg(feature = "processes")]
pub mod memory;
mod neighbours;
#[cfg(feature = "files")]
mod open_files;
#[cfg(feature = "processes")]
pub mod process;
mod unsent;

#[cfg(feature = "files")]
pub use atomic_file::{stream_atomically, write_atomically};
pub use lock::lock;
pub use neighbours::{Busy, Neighbours};
#[cfg(feature = "files")]
pub use open_files::allow_files;
pub use unsent::is_sent;
