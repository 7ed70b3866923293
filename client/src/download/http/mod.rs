//! One GET, with one file for each HTTP library. It decides nothing about concurrency.

pub(crate) mod exchange;
mod hyper;
mod reqwest;
mod ureq;
