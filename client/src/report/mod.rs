//! The reports, with one file per format. Text is made here and printed by the binary; nothing is
//! measured.

pub mod book;
mod columns;
pub mod csv;
pub(crate) mod format;
pub mod hgrm;
pub mod json;
#[cfg(feature = "terminal")]
pub mod live;
pub mod load;
pub mod markdown;
mod markup;
pub mod messages;
pub mod page;
mod palette;
pub mod plot;
pub mod progress;
pub mod table;
