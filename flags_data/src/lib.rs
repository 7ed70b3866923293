//! The flags of 194 countries, and the words that a flag server and its clients share.
//!
//! A [`CountryCode`] is two letters that are known to be two letters. A [`Catalogue`] finds the
//! [`Flag`] of a code: its picture and its metadata, each with the [`Digest`] that identifies it.
//! The catalogue is [embedded](Catalogue::embedded) in the program, or [loaded](Catalogue::load)
//! from a folder.
//!
//! ```
//! use flags_data::{Catalogue, CountryCode, POP20};
//!
//! let catalogue = Catalogue::embedded();
//! assert_eq!(catalogue.len(), 194);
//!
//! let brazil = catalogue.get("BR".parse()?).expect("Brazil has a flag");
//! assert_eq!(brazil.country, "Brazil");
//! assert!(brazil.image.bytes.starts_with(b"GIF89a"));
//!
//! // Well formed, but nobody's.
//! assert!(catalogue.get("XX".parse()?).is_none());
//!
//! assert!(POP20.into_iter().all(|code| catalogue.get(code).is_some()));
//! # Ok::<(), flags_data::ParseCodeError>(())
//! ```
//!
//! # The folder
//!
//! Each flag has a folder named by its code in lower case:
//!
//! ```text
//! flags/
//! ├── ad/
//! │   ├── ad.gif           the picture; embedded ones are GIF89a, 400 × 300
//! │   └── metadata.json    {"country": "Andorra", "iso_cc": "AD", "tld_cc": ".ad", …}
//! ├── ae/
//! …
//! ```
//!
//! The metadata is a JSON object in UTF-8. `country` (a name) and `iso_cc` (the code) are required;
//! what else it says is served as it is.
//!
//! # Layout
//!
//! - `code`: what a well-formed code is.
//! - `digest`: what identifies some bytes.
//! - `folder`: what a sound folder is; also used by the build script, which embeds `flags/`.
//! - `catalogue`: which flag belongs to a code.
//! - `resource`: which resource a request target names.
//! - [`selection`]: which codes a command line means.
//! - `suggestion`: what a misspelt word may mean.
//! - `render-flags`, a program behind the feature `render`: draws `flags/` from SVG files.

mod catalogue;
mod code;
mod digest;
mod folder;
mod resource;
pub mod selection;
mod suggestion;

pub use catalogue::{Asset, Catalogue, Flag};
pub use code::{CountryCode, LowerCode, POP20, ParseCodeError};
pub use digest::Digest;
pub use folder::{LoadError, Problem, is_gif};
pub use resource::{HEALTH_CHECK, Resource, ResourceKind};
pub use suggestion::{closest, did_you_mean};
