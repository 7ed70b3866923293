//! Routes and files.

mod file;
mod index;
mod router;

pub(crate) use file::{ServedFile, describe_corrupted, write_header};
pub(crate) use router::Site;
