//! One GET, with one file for each HTTP library. It decides nothing about concurrency.

mod body;
pub(crate) mod client;
pub(crate) mod exchange;
pub(crate) mod headers;
mod hyper;
pub(crate) mod library;
mod reqwest;
mod ureq;
