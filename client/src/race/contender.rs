//! The contenders of a race: a built-in strategy, a custom downloader, or an external program. A
//! contender does the whole job once and returns the result; it knows neither rounds nor others.

use std::fmt;
use std::num::NonZeroUsize;
use std::time::Instant;

use flag_host::cpu;

use super::error::ContenderError;
use super::memory_probe;
use crate::download::{Downloader, Job, Runner, SetupError, Strategy};
use crate::result::{ContenderRecord, Round};

/// Does a whole job, any number of times.
pub trait Contender: fmt::Debug {
    /// Its name in reports and thresholds.
    fn name(&self) -> String;

    /// Its record in the document.
    fn record(&self) -> ContenderRecord;

    /// The most downloads that it is to have in flight.
    fn workers(&self, job: &Job) -> NonZeroUsize;

    /// Does the job, with fresh connections. Setting up an HTTP client is not part of the time.
    ///
    /// # Errors
    /// When it cannot be set up.
    fn run(&self, job: &Job) -> Result<Round, ContenderError>;

    /// The growth of memory in one round more, in separate processes; none if it cannot be
    /// measured.
    fn memory(&self, _job: &Job) -> Option<u64> {
        None
    }
}

/// Runs a downloader once, and measures its time and processor time.
fn timed(downloader: &dyn Downloader, job: &Job) -> Round {
    let cpu = cpu::client_time();
    let start = Instant::now();
    let samples = downloader.download_many(job);
    Round {
        elapsed: start.elapsed(),
        cpu: cpu::client_time()
            .zip(cpu)
            .map(|(after, before)| after.saturating_sub(before)),
        samples,
        ..Round::default()
    }
}

impl Contender for Runner {
    fn name(&self) -> String {
        Self::name(self)
    }

    fn record(&self) -> ContenderRecord {
        ContenderRecord::Strategy {
            strategy: self.strategy().name().to_owned(),
            http: self.http().name().to_owned(),
            runtime: (self.strategy() == Strategy::Async).then(|| self.runtime().name().to_owned()),
        }
    }

    fn workers(&self, job: &Job) -> NonZeroUsize {
        Self::workers(self, job)
    }

    fn run(&self, job: &Job) -> Result<Round, ContenderError> {
        Ok(timed(&*self.prepare(job)?, job))
    }

    fn memory(&self, job: &Job) -> Option<u64> {
        memory_probe::probe(self, job)
    }
}

/// A custom [`Downloader`].
pub struct Custom<F> {
    name: String,
    prepare: F,
}

impl<D: Downloader, F: Fn(&Job) -> Result<D, SetupError>> Custom<F> {
    /// `prepare` sets up a downloader with no connection yet, before each round.
    pub fn new(name: impl Into<String>, prepare: F) -> Self {
        Self {
            name: name.into(),
            prepare,
        }
    }
}

impl<F> fmt::Debug for Custom<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Custom").field(&self.name).finish()
    }
}

impl<D: Downloader, F: Fn(&Job) -> Result<D, SetupError>> Contender for Custom<F> {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn record(&self) -> ContenderRecord {
        ContenderRecord::Custom
    }

    fn workers(&self, job: &Job) -> NonZeroUsize {
        job.workers()
    }

    fn run(&self, job: &Job) -> Result<Round, ContenderError> {
        Ok(timed(&(self.prepare)(job)?, job))
    }
}
