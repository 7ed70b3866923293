//! Tasks on a tokio runtime, let through by a semaphore.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
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
    /// When one of them cannot be set up, or the client only blocks.
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
            let lanes = Arc::new(Lanes::new(job.workers().get()));
            let job = Arc::new(job.clone());
            let mut tasks = JoinSet::new();
            for &code in &job.codes {
                // Cheap handles: a task owns all it needs, since it may outlive this function.
                let (http, job) = (self.http.clone(), Arc::clone(&job));
                let (permits, lanes) = (Arc::clone(&permits), Arc::clone(&lanes));
                tasks.spawn(async move {
                    let _permit = permits.acquire_owned().await.ok()?;
                    if job.stop.is_requested() {
                        return None;
                    }
                    let worker = lanes.enter();
                    let download = Download::new(round, code, worker);
                    let attempts = download.run_async(&job, &http).await;
                    lanes.leave(worker);
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

/// Permits are all alike; lanes give each download the number of a worker, as a thread has one.
struct Lanes(Mutex<BTreeSet<usize>>);

impl Lanes {
    fn new(count: usize) -> Self {
        Self(Mutex::new((0..count).collect()))
    }

    /// Takes the lowest free lane. Whoever holds a permit finds one.
    fn enter(&self) -> usize {
        let mut free = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.pop_first()
            .expect("there are as many lanes as permits")
    }

    fn leave(&self, lane: usize) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(lane);
    }
}
