//! One round: one runner does the whole job once, and a clock runs beside it.

use std::time::{Duration, Instant};

use crate::downloader::Runner;
use crate::fetch::SetupError;
use crate::job::Job;
use crate::sample::Sample;

/// What came of a round.
#[derive(Debug)]
pub struct Round {
    /// One per attempt that was begun; those at one code come one after the other.
    pub samples: Vec<Sample>,
    /// From the first request to the end of the last.
    pub elapsed: Duration,
}

/// Runs one of them once, with fresh connections.
///
/// # Errors
/// When it cannot be set up.
pub fn run_round(runner: &Runner, job: &Job) -> Result<Round, SetupError> {
    let downloader = runner.prepare(job)?;
    let start = Instant::now();
    let samples = downloader.download_many(job);
    Ok(Round {
        samples,
        elapsed: start.elapsed(),
    })
}
