//! Routes and files.

mod file;
mod index;
mod router;

pub(crate) use file::{ServedFile, line};
pub(crate) use router::{App, Site, routed};
