//! How downloads share time: the same story told once per strategy, side by side.
//!
//! Each strategy takes the codes of a [`Job`] in their order, never has more downloads under way than the
//! job allows, and gives back one [`Sample`] for each attempt that it made.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use super::job::Job;
use super::sample::Sample;

/// Something that downloads many flags: what the book's `main` takes as its argument.
pub trait Downloader {
    /// Downloads the codes of the job, in their order, until they are done or the job is
    /// [stopped](Job::stop). Samples come in the order in which the downloads ended,
    /// and those of one download in the order of its attempts. A worker is busy during the pauses too.
    fn download_many(&self, job: &Job) -> Vec<Sample>;
}

/// The strategies that come with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// One blocking request after the other.
    Sequential,
    /// A pool of OS threads that take codes from a queue, with blocking requests.
    Threaded,
    /// Tasks on a tokio runtime, let through by a semaphore.
    Async,
    /// A pool of processes that are fed from a queue, with blocking requests.
    Processes,
}

impl Strategy {
    /// Those that race if nobody is named, in the order of the race.
    pub const DEFAULT: [Self; 3] = [Self::Sequential, Self::Threaded, Self::Async];

    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Sequential,
        Self::Threaded,
        Self::Async,
        Self::Processes,
    ];

    /// What the command line and the reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Threaded => "threaded",
            Self::Async => "async",
            Self::Processes => "processes",
        }
    }

    /// How many downloads this strategy has under way at most.
    pub fn workers(self, job: &Job) -> NonZeroUsize {
        match self {
            Self::Sequential => NonZeroUsize::MIN,
            Self::Threaded | Self::Async | Self::Processes => job.workers(),
        }
    }
}
