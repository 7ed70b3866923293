//! Tasks on a tokio runtime, limited by a semaphore.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::kind::RuntimeFlavor;
use crate::download::attempt::Download;
use crate::download::downloader::Downloader;
use crate::download::error::SetupError;
use crate::download::http::client::AsyncHttp;
use crate::download::http::library::Http;
use crate::download::job::Job;
use crate::download::sample::Sample;
use flag_host::lock;

/// Downloads as many flags at a time as the semaphore has permits.
#[derive(Debug)]
pub struct Asynchronous {
    http: AsyncHttp,
    runtime: Runtime,
}

impl Asynchronous {
    /// Sets up an HTTP client that the tasks share, and a runtime that runs them.
    ///
    /// # Errors
    /// When either cannot be set up, or the client only blocks.
    pub fn new(http: Http, runtime: RuntimeFlavor, job: &Job) -> Result<Self, SetupError> {
        let mut builder = match runtime {
            RuntimeFlavor::CurrentThread => Builder::new_current_thread(),
            RuntimeFlavor::MultiThread => Builder::new_multi_thread(),
        };
        let runtime = builder.enable_all().build();
        let runtime = runtime.map_err(|error| SetupError::Http(error.to_string()))?;
        Ok(Self {
            http: AsyncHttp::new(http, job)?,
            runtime,
        })
    }
}

impl Downloader for Asynchronous {
    fn download_many(&self, job: &Job) -> Vec<Sample> {
        self.runtime.block_on(async {
            let round = Instant::now();
            let permits = Arc::new(Semaphore::new(job.workers().get()));
            let numbers = Arc::new(FreeNumbers::new(job.workers().get()));
            let job = Arc::new(job.clone());
            let mut tasks = JoinSet::new();
            for &code in &job.codes {
                // Cheap handles: a task may outlive this function, so it owns all it needs.
                let (http, job) = (self.http.clone(), Arc::clone(&job));
                let (permits, numbers) = (Arc::clone(&permits), Arc::clone(&numbers));
                tasks.spawn(async move {
                    let _permit = permits.acquire_owned().await.ok()?;
                    if job.cancel.is_requested() {
                        return None;
                    }
                    let worker = numbers.take();
                    let download = Download::new(round, code, worker);
                    let attempts = download.run_async(&job, &http).await;
                    numbers.give_back(worker);
                    Some(attempts)
                });
            }
            let mut samples = Vec::with_capacity(job.codes.len());
            while let Some(ended) = tasks.join_next().await {
                match ended {
                    Ok(attempts) => samples.extend(attempts.into_iter().flatten()),
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                }
            }
            samples
        })
    }
}

/// The worker numbers: permits are anonymous, but each download reports a worker number, as with
/// threads.
struct FreeNumbers(Mutex<BTreeSet<usize>>);

impl FreeNumbers {
    fn new(count: usize) -> Self {
        Self(Mutex::new((0..count).collect()))
    }

    /// Takes the lowest free number. With a permit there is one.
    fn take(&self) -> usize {
        let mut free = lock(&self.0);
        free.pop_first()
            .expect("there are as many numbers as permits")
    }

    fn give_back(&self, worker: usize) {
        lock(&self.0).insert(worker);
    }
}
