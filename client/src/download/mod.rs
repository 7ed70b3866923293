//! Downloads: what is to be downloaded, how downloads share time, and what became of each attempt.
//!
//! It knows neither rounds nor reports, and measures nothing but the times of each attempt.

mod downloader;
pub(crate) mod http;
mod job;
pub mod retry;
mod runner;
mod sample;
mod strategy;
pub mod worker;

pub use self::downloader::{Downloader, Strategy};
pub use self::http::exchange::{Download, SetupError};
pub use self::job::{Images, Job, Rejected, Stop, Watcher, Wire};
pub use self::retry::RetryPolicy;
pub use self::runner::{Http, NoSuchRunner, Runner, RuntimeFlavor};
pub use self::sample::{Outcome, Sample};
pub use self::strategy::{Asynchronous, Processes, Sequential, Threaded};
