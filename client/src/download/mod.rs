//! Downloads: the job, how downloads share time, and the result of each attempt.
//!
//! It knows neither rounds nor reports, and measures nothing but the times of each attempt.

mod attempt;
mod attempt_table;
mod cancel;
mod downloader;
mod error;
pub(crate) mod foreign;
pub(crate) mod http;
mod images;
mod job;
pub mod retry;
mod runner;
mod sample;
mod strategy;
pub mod worker;

pub use self::attempt::Download;
pub(crate) use self::attempt_table::AttemptTable;
pub use self::cancel::CancelToken;
pub use self::downloader::Downloader;
pub(crate) use self::error::error_chain;
pub use self::error::{AttemptError, SetupError};
pub use self::http::headers::sent_headers;
pub use self::http::library::Http;
pub use self::images::{Images, Rejected};
pub use self::job::{ConnectionOptions, Job, Watcher};
pub use self::retry::RetryPolicy;
pub use self::runner::Runner;
pub use self::sample::{Outcome, Sample};
pub use self::strategy::{
    Asynchronous, NoSuchRunner, Processes, RuntimeFlavor, Sequential, Strategy, Threaded,
};
