//! What every downloader can do.

use super::job::Job;
use super::sample::Sample;

/// Something that downloads many flags: what the book's `main` takes as its argument.
pub trait Downloader {
    /// Downloads the codes of the job, in their order, until they are done or the job is
    /// [stopped](Job::cancel). Samples come in the order in which the downloads ended, and those of
    /// one download in the order of its attempts. A worker is busy during the pauses too.
    fn download_many(&self, job: &Job) -> Vec<Sample>;
}
