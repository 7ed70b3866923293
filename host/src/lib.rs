//! What Flagbench needs from the operating system: a precise clock, the processor time of threads,
//! the limit of open files, and files that appear whole or not at all. It knows nothing of flags.

#[cfg(feature = "files")]
mod atomic_file;
#[cfg(feature = "processes")]
mod client_cpu;
pub mod clock;
pub mod cpu;
mod lock;
#[cfg(feature = "processes")]
pub mod memory;
#[cfg(feature = "files")]
mod open_files;
#[cfg(feature = "processes")]
pub mod process;
mod unsent;

#[cfg(feature = "files")]
pub use atomic_file::{stream_atomically, write_atomically};
#[cfg(feature = "processes")]
pub use client_cpu::client_time;
pub use lock::lock;
#[cfg(feature = "files")]
pub use open_files::allow_files;
pub use unsent::is_sent;
