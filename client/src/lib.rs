//! Races sequential, threaded and async downloads of flags, and measures them.
//!
//! # The journey of one race
//!
//! ```text
//!  args ──▶ codes ──┐
//!                   ├──▶ Job ──▶ Downloader ──▶ Samples ──▶ Measurement ──▶ Analysis ──▶ report
//!  args ──▶ target ─┘     │      sequential       one per     all rounds      pure        text, Markdown,
//!           (embedded     │      threaded         attempt     of all lanes,   numbers     CSV, JSON,
//!            server and   │      async                        as a file has                pictures
//!            its plan)    │      processes ──▶ worker         them
//!                         │        │
//!                         └──▶   fetch: what one download means, with reqwest, ureq or hyper
//!                                retry: whether another attempt follows, and when
//! ```
//!
//! # Layout
//!
//! * [`args`] is what was typed; [`codes`] and [`target`] are what it means.
//! * [`job`] is what every downloader gets, [`sample`] what it gives back; [`plan`] is what will happen to it, computed before.
//! * [`downloader`] holds the strategies, twins that can be read side by side; `fetch` the HTTP libraries.
//! * [`retry`] decides, for all of them, what is tried again and after which pause.
//! * [`contender`] is whoever races: a strategy, a downloader of somebody's own, or an external program ([`command`]).
//! * [`worker`] is the other end of `processes`.
//! * [`race`], `cpu` and [`memory`] measure; [`result`] is what was measured and what it means, with [`stats`] for the numbers.
//! * `platform` does with processes what not every system can.
//! * [`compare`] and [`threshold`] judge, [`report`] words and draws. Only `main` prints.
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
//!
//! One with an HTTP client of its own lets [`Download`] make the samples, and joins a [`Race`](race::Race) as
//! [`Custom`](contender::Custom):
//!
//! ```
//! use std::time::Instant;
//!
//! use flag_client::contender::{Contender, Custom};
//! use flag_client::downloader::{Downloader, Runner, Strategy};
//! use flag_client::job::Job;
//! use flag_client::race::{Race, Rounds};
//! use flag_client::sample::Sample;
//! use flag_client::target::Target;
//! use flag_client::Download;
//! use flag_scenario::ScenarioSource;
//!
//! struct OneByOne;
//!
//! impl Downloader for OneByOne {
//!     fn download_many(&self, job: &Job) -> Vec<Sample> {
//!         let round = Instant::now();
//!         let one = |&code| Download::new(round, code, 0).record(job, get);
//!         job.codes.iter().flat_map(one).collect()
//!     }
//! }
//!
//! /// The status and the body. The server would like to know the number of the attempt, too.
//! fn get(url: &str, attempt: u32) -> Result<(u16, Vec<u8>), ureq::Error> {
//!     let mut response = ureq::get(url).header("flag-attempt", attempt.to_string()).call()?;
//!     Ok((response.status().as_u16(), response.body_mut().read_to_vec()?))
//! }
//!
//! let target = Target::embedded(&ScenarioSource::Profile("local"), None)?;
//! let job = Job::new(&target.base_url, vec!["BR".parse()?, "JP".parse()?]);
//! let contenders: Vec<Box<dyn Contender>> = vec![
//!     Box::new(Runner::from(Strategy::Sequential)),
//!     Box::new(Custom::new("one-by-one", |_| Ok(OneByOne))),
//! ];
//! let race = Race::bench(contenders, &job).rounds(Rounds::Exactly(1.try_into()?));
//! let measurement = race.run_on(&job, &target)?;
//! assert_eq!(measurement.lanes[1].name, "one-by-one");
//! assert_eq!(measurement.lanes[1].errors(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A whole program is `examples/custom_downloader.rs`. One that is not written in Rust joins as a
//! [command](command::ExternalCommand).

pub mod args;
pub mod command;
pub mod compare;
pub mod contender;
mod cpu;
pub mod downloader;
mod fetch;
pub mod job;
pub mod load;
pub mod memory;
pub mod plan;
mod platform;
pub mod race;
pub mod report;
pub mod result;
pub mod retry;
pub mod sample;
pub mod stats;
pub mod target;
pub mod threshold;
pub mod worker;

pub use fetch::{Download, SetupError};
pub use flags_data::selection as codes;
