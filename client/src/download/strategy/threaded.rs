//! A pool of OS threads that take codes from a queue, each with one blocking request at a time.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crate::download::attempt::Download;
use crate::download::downloader::Downloader;
use crate::download::error::SetupError;
use crate::download::http::client::BlockingHttp;
use crate::download::http::library::Http;
use crate::download::job::Job;
use crate::download::sample::Sample;
use flag_host::lock;

/// Downloads as many flags at a time as the pool has threads.
#[derive(Debug)]
pub struct Threaded {
    http: BlockingHttp,
}

impl Threaded {
    /// Sets up an HTTP client that the threads share.
    ///
    /// # Errors
    /// When it cannot be set up, or does not block.
    pub fn new(http: Http, job: &Job) -> Result<Self, SetupError> {
        Ok(Self {
            http: BlockingHttp::new(http, job)?,
        })
    }
}

impl Downloader for Threaded {
    fn download_many(&self, job: &Job) -> Vec<Sample> {
        let round = Instant::now();
        let queue = Mutex::new(job.codes.iter().take_while(|_| !job.cancel.is_requested()));
        let samples = Mutex::new(Vec::with_capacity(job.codes.len()));
        let work = |worker| {
            // The lock is released before the download begins, not after it.
            while let Some(&code) = { lock(&queue).next() } {
                let attempts = Download::new(round, code, worker).run(job, &self.http);
                lock(&samples).extend(attempts);
            }
        };
        thread::scope(|scope| {
            for worker in 1..job.workers().get() {
                // If the system allows no more threads, the existing ones do the work.
                if thread::Builder::new()
                    .spawn_scoped(scope, move || work(worker))
                    .is_err()
                {
                    break;
                }
            }
            work(0);
        });
        samples.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}
