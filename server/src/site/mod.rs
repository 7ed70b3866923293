//! Routes and files.

mod file;
mod index;
mod router;
mod upload;

pub(crate) use file::{ServedFile, describe_corrupted, write_header};
pub(crate) use router::Site;
pub use upload::MAX_UPLOAD;
pub(crate) use upload::{Unread, Upload, is_upload};
