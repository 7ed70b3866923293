//! One blocking request after the other.

use std::time::Instant;

use crate::download::attempt::Download;
use crate::download::downloader::Downloader;
use crate::download::error::SetupError;
use crate::download::http::client::BlockingHttp;
use crate::download::http::library::Http;
use crate::download::job::Job;
use crate::download::sample::Sample;

/// Downloads one flag after the other, on the calling thread.
#[derive(Debug)]
pub struct Sequential {
    http: BlockingHttp,
}

impl Sequential {
    /// Sets up an HTTP client.
    ///
    /// # Errors
    /// When it cannot be set up, or does not block.
    pub fn new(http: Http, job: &Job) -> Result<Self, SetupError> {
        Ok(Self {
            http: BlockingHttp::new(http, job)?,
        })
    }
}

impl Downloader for Sequential {
    fn download_many(&self, job: &Job) -> Vec<Sample> {
        let round = Instant::now();
        let codes = job.codes.iter().take_while(|_| !job.cancel.is_requested());
        codes
            .flat_map(|&code| Download::new(round, code, 0).run(job, &self.http))
            .collect()
    }
}
