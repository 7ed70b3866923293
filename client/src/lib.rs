//! Races sequential, threaded and async downloads of flags, and measures them.
//!
//! # The journey of one race
//!
//! ```text
//!  args ──▶ codes ──┐
//!                   ├──▶ Job ──▶ Downloader ──▶ Samples ──▶ stats ──▶ report
//!  args ──▶ target ─┘     │      sequential       one per     pure     text
//!           (embedded     │      threaded         attempt     numbers
//!            server and   │      async
//!            its plan)    │      processes ──▶ worker
//!                         │        │
//!                         └──▶   fetch: what one download means, with reqwest, ureq or hyper
//!                                retry: whether another attempt follows, and when
//! ```
//!
//! # Layout
//!
//! * [`args`] is what was typed; [`codes`] and [`target`] are what it means.
//! * [`job`] is what every downloader gets, [`sample`] what it gives back.
//! * [`downloader`] holds the strategies, twins that can be read side by side; `fetch` the HTTP libraries.
//! * [`retry`] decides, for all of them, what is tried again and after which pause.
//! * [`worker`] is the other end of `processes`.
//! * [`round`], [`race`] and [`memory`] measure, [`stats`] computes, [`report`] words. Only `main` prints.
//!
//! # Your own downloader
//!
//! Whatever implements [`Downloader`](downloader::Downloader) can do a [`Job`](job::Job):
//!
//! ```
//! use flag_client::downloader::{Downloader, Sequential};
//! use flag_client::job::Job;
//! use flag_client::sample::Sample;
//!
//! /// Begins at the end of the alphabet.
//! struct Backwards(Sequential);
//!
//! impl Downloader for Backwards {
//!     fn download_many(&self, job: &Job) -> Vec<Sample> {
//!         let codes = job.codes.iter().rev().copied().collect();
//!         self.0.download_many(&Job { codes, ..job.clone() })
//!     }
//! }
//! ```

pub mod args;
pub mod compare;
pub mod contender;
mod cpu;
pub mod downloader;
mod fetch;
pub mod job;
pub mod memory;
pub mod plan;
pub mod race;
pub mod report;
pub mod result;
pub mod retry;
pub mod sample;
pub mod stats;
pub mod target;
pub mod threshold;
pub mod worker;

pub use fetch::SetupError;
pub use flags_data::selection as codes;
