//! What the client asks of the operating system. It knows nothing of downloads.

pub(crate) mod cpu;
pub(crate) mod memory;
pub(crate) mod process;
