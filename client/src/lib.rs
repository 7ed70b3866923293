//! Races sequential, threaded and async downloads of flags, and measures them.
//!
//! # From options to a report
//!
//! ```text
//!  options ──▶ codes ──┐
//!                      ├──▶ Job ──▶ Downloader ──▶ Samples ──▶ Measurement ──▶ Report
//!  options ──▶ Target ─┘     │      sequential       one per     all rounds of    with its
//!              (embedded     │      threaded         attempt     all series       Analysis: text,
//!               server and   │      async                                         Markdown, CSV,
//!               its plan)    │      processes ──▶ worker                          JSON, pictures
//!                            │
//!                            └──▶   http: one GET, with reqwest, ureq or hyper
//!                                   retry: whether another attempt follows, and when
//! ```
//!
//! # Layout
//!
//! Each layer knows those above it in this list, and none below.
//!
//! * [`codes`] selects countries.
//! * [`download`] has the job, the strategies, one file per HTTP library, and the sample of each
//!   attempt.
//! * [`result`] has the documents, their statistics, comparisons and thresholds.
//! * [`race`] has the contenders and runs their rounds; [`load`] is the load generator. Neither
//!   knows the other.
//! * [`report`] makes texts and pictures. Only the binary prints.
//!
//! # Your own downloader
//!
//! Any [`Downloader`](download::Downloader) can do a [`Job`](download::Job):
//!
//! ```
//! use flag_client::download::{Downloader, Job, Sample, Sequential};
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
//! One with an HTTP client of its own lets [`Download`](download::Download) make the samples, and
//! joins a [`Race`](race::Race) as [`Custom`](race::Custom):
//!
//! ```
//! use std::time::Instant;
//!
//! use flag_client::download::{AttemptError, Download, Downloader, Job, Runner, Sample, Strategy};
//! use flag_client::race::{Contender, Custom, Race, Rounds, Target};
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
//! fn get(url: &str, attempt: u32) -> Result<(u16, Vec<u8>), AttemptError> {
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
//! let race = Race::bench(contenders, job).rounds(Rounds::Exactly(1.try_into()?));
//! let measurement = race.run_on(&target)?;
//! assert_eq!(measurement.series[1].name, "one-by-one");
//! assert_eq!(measurement.series[1].errors(), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A downloader that is async calls [`record_async`](download::Download::record_async) from its
//! tasks.
//! A whole program is `examples/custom_downloader.rs`. One that is not written in Rust joins as a
//! [command](race::command::ExternalCommand).

mod content_length;
pub mod download;
pub mod load;
pub mod race;
pub mod report;
pub mod result;

pub use flags_data::selection as codes;
