//! One download: attempts until one is the last, and the sample of each.
//!
//! It knows the HTTP libraries only as something that makes one GET, and decides nothing about
//! concurrency.

use std::time::Instant;

use bytes::Bytes;
use flags_data::CountryCode;

use super::error::AttemptError;
use super::http::client::{AsyncHttp, BlockingHttp};
use super::http::exchange::{Exchange, http_error};
use super::images::{Arrived, Rejected};
use super::job::Job;
use super::retry;
use super::sample::{Outcome, Sample};

/// One flag to download: what it is, who does it, and when its round began. With it a downloader of
/// the user's own makes the samples of its own GETs.
#[derive(Debug, Clone, Copy)]
pub struct Download {
    round: Instant,
    code: CountryCode,
    worker: usize,
}

impl Download {
    /// `round` is when the codes were there to be taken, `worker` (from 0) who takes this one: its
    /// row in a picture of the round.
    pub fn new(round: Instant, code: CountryCode, worker: usize) -> Self {
        Self {
            round,
            code,
            worker,
        }
    }

    /// All attempts, with a GET of the user's own. It gets the URL and the number of the attempt,
    /// which the server wants to find in the header `flag-attempt`, and returns the status and the
    /// body, of a 404 too. It follows redirects and keeps to the job's time limit
    /// and longest body itself.
    ///
    /// The rest is as with all downloads: the image is checked, the policy of the job decides
    /// whether another attempt follows, and the job's watcher sees each.
    pub fn record<B: Into<Bytes>>(
        self,
        job: &Job,
        mut get: impl FnMut(&str, u32) -> Result<(u16, B), AttemptError>,
    ) -> Vec<Sample> {
        let url = job.image_url(self.code);
        self.run_with(job, |number| {
            let attempt = self.begin(number);
            let exchange = Exchange::bare(get(&url, number));
            attempt.finish(job, &exchange)
        })
    }

    /// The same for tasks, on a tokio runtime with its timers.
    pub async fn record_async<B: Into<Bytes>, F>(
        self,
        job: &Job,
        get: impl Fn(String, u32) -> F,
    ) -> Vec<Sample>
    where
        F: Future<Output = Result<(u16, B), AttemptError>>,
    {
        let url = job.image_url(self.code);
        let get = |number| {
            let got = get(url.clone(), number);
            async { Exchange::bare(got.await) }
        };
        self.run_async_with(job, get).await
    }

    /// All attempts, by a thread.
    pub(crate) fn run(self, job: &Job, http: &BlockingHttp) -> Vec<Sample> {
        self.run_with(job, |number| self.attempt(job, http, number))
    }

    /// One attempt, by a thread.
    pub(crate) fn attempt(self, job: &Job, http: &BlockingHttp, number: u32) -> Sample {
        let url = job.image_url(self.code);
        let attempt = self.begin(number);
        let exchange = http.get(job, &url, number);
        attempt.finish(job, &exchange)
    }

    /// All attempts, by a thread that may let others make them.
    pub(crate) fn run_with(self, job: &Job, mut attempt: impl FnMut(u32) -> Sample) -> Vec<Sample> {
        let mut samples = Vec::with_capacity(1);
        for number in job.retry.first.get().. {
            let sample = attempt(number);
            job.watcher.saw(&sample);
            let retry_in = sample.retry_in;
            samples.push(sample);
            let Some(pause) = retry_in else { break };
            if !job.cancel.pause(pause) {
                give_up(job, &mut samples);
                break;
            }
        }
        samples
    }

    /// All attempts, by a task.
    pub(crate) async fn run_async(self, job: &Job, http: &AsyncHttp) -> Vec<Sample> {
        let url = job.image_url(self.code);
        self.run_async_with(job, |number| http.get(job, &url, number))
            .await
    }

    async fn run_async_with<F: Future<Output = Exchange>>(
        self,
        job: &Job,
        get: impl Fn(u32) -> F,
    ) -> Vec<Sample> {
        let mut samples = Vec::with_capacity(1);
        for number in job.retry.first.get().. {
            let attempt = self.begin(number);
            let exchange = get(number).await;
            let sample = attempt.finish_async(job, &exchange).await;
            job.watcher.saw(&sample);
            let retry_in = sample.retry_in;
            samples.push(sample);
            let Some(pause) = retry_in else { break };
            if !job.cancel.pause_async(pause).await {
                give_up(job, &mut samples);
                break;
            }
        }
        samples
    }

    pub(crate) fn code(self) -> CountryCode {
        self.code
    }

    /// A sample of this download from a process whose round began at another time.
    pub(crate) fn moved(self, sample: Sample, their_round: Instant) -> Sample {
        let later = their_round.saturating_duration_since(self.round);
        Sample {
            worker: self.worker,
            sent: sample.sent + later,
            headers: sample.headers.map(|headers| headers + later),
            done: sample.done + later,
            ..sample
        }
    }

    /// The sample of an attempt whose end is unknown.
    pub(crate) fn lost(self, attempt: u32, handed_over: Instant, error: String) -> Sample {
        Sample {
            code: self.code,
            attempt,
            worker: self.worker,
            outcome: Outcome::WorkerDied,
            error: Some(error),
            status: None,
            bytes: 0,
            sent: handed_over.saturating_duration_since(self.round),
            headers: None,
            done: self.round.elapsed(),
            plan: None,
            wait: None,
            body: None,
            capacity: None,
            rules: None,
            retry_in: None,
        }
    }

    /// The image, if that is what came.
    fn arrived(self, exchange: &Exchange) -> Option<Arrived> {
        let head = exchange.head.as_ref().filter(|head| head.status == 200)?;
        Some(Arrived {
            code: self.code,
            image: exchange.body.as_ref().ok()?.clone(),
            named: head.digest,
            is_flagbench: head.rules.is_some(),
        })
    }

    fn begin(self, number: u32) -> Attempt {
        Attempt {
            download: self,
            number,
            sent: Instant::now(),
        }
    }
}

/// A stop came in a pause: the attempt before it was the last after all.
fn give_up(job: &Job, samples: &mut [Sample]) {
    if let Some(last) = samples.last_mut() {
        last.retry_in = None;
        job.watcher.saw(last);
    }
}

/// One attempt in the making.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    download: Download,
    number: u32,
    sent: Instant,
}

impl Attempt {
    /// The sample of an attempt that a thread made.
    fn finish(self, job: &Job, exchange: &Exchange) -> Sample {
        let arrived = self.download.arrived(exchange);
        let accepted = arrived.map(|arrived| job.images.accept(&arrived));
        self.sample(job, exchange, accepted)
    }

    /// The sample of an attempt that a task made.
    async fn finish_async(self, job: &Job, exchange: &Exchange) -> Sample {
        let accepted = match self.download.arrived(exchange) {
            Some(arrived) => Some(job.images.accept_async(arrived).await),
            None => None,
        };
        self.sample(job, exchange, accepted)
    }

    fn sample(
        self,
        job: &Job,
        exchange: &Exchange,
        accepted: Option<Result<(), Rejected>>,
    ) -> Sample {
        let since_start = |moment: Instant| moment.saturating_duration_since(self.download.round);
        let head = exchange.head.as_ref();
        let status = head.map(|head| head.status);
        let (outcome, error) = match (&exchange.body, accepted) {
            (Err(error), _) => (error.outcome(), Some(error.message().to_owned())),
            (Ok(_), Some(Ok(()))) => (Outcome::Downloaded, None),
            (Ok(_), Some(Err(rejected))) => (rejected.outcome, Some(rejected.error)),
            (Ok(_), None) if status == Some(404) => (Outcome::NotFound, None),
            (Ok(_), None) => (Outcome::HttpError, status.map(http_error)),
        };
        let ended = retry::Attempt {
            code: self.download.code,
            number: self.number,
            outcome,
            status,
            retry_after: head.and_then(|head| head.retry_after),
        };
        Sample {
            code: self.download.code,
            attempt: self.number,
            worker: self.download.worker,
            outcome,
            error,
            status,
            bytes: exchange.body.as_ref().map_or(0, Bytes::len),
            sent: since_start(self.sent),
            headers: head.map(|head| since_start(head.at)),
            done: since_start(exchange.done),
            plan: head.and_then(|head| head.plan),
            wait: head.and_then(|head| head.wait),
            body: head.and_then(|head| head.body),
            capacity: head.and_then(|head| head.capacity),
            rules: head.and_then(|head| head.rules.clone()),
            retry_in: job.retry.pause_after(&ended),
        }
    }
}
