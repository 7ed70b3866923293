//! What one download means, whatever the HTTP library: GETs until one is the last, their bodies, and when things
//! happened.
//!
//! The rooms below know one library each. They decide nothing about concurrency.

use std::time::{Duration, Instant, SystemTime};

use ::hyper::{HeaderMap, StatusCode};
use ::reqwest::Url;
use bytes::Bytes;
use flags_data::CountryCode;
use thiserror::Error;

use super::{hyper, reqwest, ureq};
use crate::download::job::{Job, Rejected};
use crate::download::retry;
use crate::download::runner::{Http, NoSuchRunner};
use crate::download::sample::{Outcome, Sample};
use crate::race::command::CommandError;

/// Somebody cannot do the job at all.
#[derive(Debug, Error)]
pub enum SetupError {
    /// No HTTP client could be set up.
    #[error("cannot set up the HTTP client ({0})")]
    Http(String),
    /// An external program cannot be run, or makes no sense.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Whatever else a downloader of somebody's own needs, in words that name the remedy.
    #[error("{0}")]
    Other(String),
}

impl From<NoSuchRunner> for SetupError {
    fn from(error: NoSuchRunner) -> Self {
        Self::Http(error.to_string())
    }
}

/// As many as reqwest follows.
pub(super) const MAX_REDIRECTS: usize = 10;

pub(crate) const USER_AGENT: &str = concat!("flag-client/", env!("CARGO_PKG_VERSION"));

/// GETs for threads.
#[derive(Debug)]
pub(crate) enum BlockingHttp {
    Reqwest(reqwest::ForThreads),
    Ureq(ureq::ForThreads),
}

impl BlockingHttp {
    pub(crate) fn new(http: Http, job: &Job) -> Result<Self, SetupError> {
        match http {
            Http::Reqwest => reqwest::ForThreads::new(job).map(Self::Reqwest),
            Http::Ureq => ureq::ForThreads::new(job).map(Self::Ureq),
            Http::Hyper => Err(SetupError::Http("hyper never blocks".to_owned())),
        }
    }

    fn get(&self, job: &Job, url: &str, attempt: u32) -> Exchange {
        match self {
            Self::Reqwest(http) => http.get(job, url, attempt),
            Self::Ureq(http) => http.get(job, url, attempt),
        }
    }
}

/// GETs for tasks. Clones share the connections.
#[derive(Debug, Clone)]
pub(crate) enum AsyncHttp {
    Reqwest(reqwest::ForTasks),
    Hyper(hyper::ForTasks),
}

impl AsyncHttp {
    pub(crate) fn new(http: Http, job: &Job) -> Result<Self, SetupError> {
        match http {
            Http::Reqwest => reqwest::ForTasks::new(job).map(Self::Reqwest),
            Http::Hyper => hyper::ForTasks::new(job).map(Self::Hyper),
            Http::Ureq => Err(SetupError::Http("ureq only blocks".to_owned())),
        }
    }

    async fn get(&self, job: &Job, url: &str, attempt: u32) -> Exchange {
        match self {
            Self::Reqwest(http) => http.get(job, url, attempt).await,
            Self::Hyper(http) => http.get(job, url, attempt).await,
        }
    }
}

/// One GET, as far as it got.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The head of the response, if it arrived.
    pub(crate) head: Option<Head>,
    /// The complete body, or why there is none.
    pub(crate) body: Result<Bytes, Failure>,
    /// When the last byte arrived, or the failure was known.
    pub(crate) done: Instant,
}

#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) at: Instant,
    pub(crate) status: u16,
    /// `server-timing`: what the server planned and held.
    pub(crate) plan: Option<Duration>,
    pub(crate) wait: Option<Duration>,
    /// `retry-after`: how long the server asks to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl Head {
    /// One of which only the status is known.
    fn bare(at: Instant, status: u16) -> Self {
        Self {
            at,
            status,
            plan: None,
            wait: None,
            retry_after: None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) outcome: Outcome,
    pub(crate) error: String,
}

/// One flag to download: what it is, who does it, and when its round began. With it a downloader of somebody's own makes
/// the samples of its own GETs.
#[derive(Debug, Clone, Copy)]
pub struct Download {
    round: Instant,
    code: CountryCode,
    worker: usize,
}

impl Download {
    /// `round` is when the codes were there to be taken, `worker` (from 0) who takes this one: the lane in a picture of the round.
    pub fn new(round: Instant, code: CountryCode, worker: usize) -> Self {
        Self {
            round,
            code,
            worker,
        }
    }

    /// All attempts, with somebody's own GET: it gets the URL and the number of the attempt, which the server wants to find in the
    /// header `flag-attempt`, and gives back the status and the body, also of a 404. It follows redirects itself, and an error of
    /// it is a broken connection. The rest is as with all downloads: the image is checked, the policy of the job decides whether
    /// another attempt follows, and the job's watcher is told.
    pub fn record<B: Into<Bytes>, E: std::fmt::Display>(
        self,
        job: &Job,
        mut get: impl FnMut(&str, u32) -> Result<(u16, B), E>,
    ) -> Vec<Sample> {
        let url = job.image_url(self.code);
        self.run_with(job, |number| {
            let attempt = self.begin(number);
            let got = get(&url, number);
            let done = Instant::now();
            let (head, body) = match got {
                Ok((status, body)) => (Some(Head::bare(done, status)), Ok(body.into())),
                Err(error) => {
                    let error = error.to_string();
                    let outcome = Outcome::BrokenConnection;
                    (None, Err(Failure { outcome, error }))
                }
            };
            attempt.finish(job, &Exchange { head, body, done })
        })
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
            if !job.stop.pause(pause) {
                give_up(job, &mut samples);
                break;
            }
        }
        samples
    }

    /// All attempts, by a task.
    pub(crate) async fn run_async(self, job: &Job, http: &AsyncHttp) -> Vec<Sample> {
        let url = job.image_url(self.code);
        let mut samples = Vec::with_capacity(1);
        for number in job.retry.first.get().. {
            let attempt = self.begin(number);
            let exchange = http.get(job, &url, number).await;
            let sample = attempt.finish_async(job, &exchange).await;
            job.watcher.saw(&sample);
            let retry_in = sample.retry_in;
            samples.push(sample);
            let Some(pause) = retry_in else { break };
            if !job.stop.pause_async(pause).await {
                give_up(job, &mut samples);
                break;
            }
        }
        samples
    }

    pub(crate) fn code(self) -> CountryCode {
        self.code
    }

    /// A sample of this download from somebody whose round began at another time.
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

    /// The sample of an attempt of which nobody knows what became.
    pub(crate) fn lost(self, attempt: u32, handed_over: Instant, error: String) -> Sample {
        Sample {
            code: self.code,
            attempt,
            worker: self.worker,
            outcome: Outcome::WorkerDied,
            error: Some(error),
            status: None,
            bytes: 0,
            queued: Duration::ZERO,
            sent: handed_over.saturating_duration_since(self.round),
            headers: None,
            done: self.round.elapsed(),
            plan: None,
            wait: None,
            retry_in: None,
        }
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
        let accepted = image(exchange).map(|image| job.images.accept(self.download.code, image));
        self.sample(job, exchange, accepted)
    }

    /// The sample of an attempt that a task made.
    async fn finish_async(self, job: &Job, exchange: &Exchange) -> Sample {
        let code = self.download.code;
        let accepted = match image(exchange) {
            Some(image) => Some(job.images.accept_async(code, image.clone()).await),
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
            (Err(failure), _) => (failure.outcome, Some(failure.error.clone())),
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
            queued: Duration::ZERO,
            sent: since_start(self.sent),
            headers: head.map(|head| since_start(head.at)),
            done: since_start(exchange.done),
            plan: head.and_then(|head| head.plan),
            wait: head.and_then(|head| head.wait),
            retry_in: job.retry.pause_after(&ended),
        }
    }
}

/// The image, if that is what came.
fn image(exchange: &Exchange) -> Option<&Bytes> {
    let is_ok = exchange
        .head
        .as_ref()
        .is_some_and(|head| head.status == 200);
    exchange.body.as_ref().ok().filter(|_| is_ok)
}

/// The head of a response that has just arrived.
pub(super) fn head(status: StatusCode, headers: &HeaderMap) -> Head {
    let at = Instant::now();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let timing = text("server-timing").unwrap_or_default();
    let asked = text("retry-after");
    Head {
        at,
        status: status.as_u16(),
        plan: server_timing(timing, "plan"),
        wait: server_timing(timing, "wait"),
        retry_after: asked.and_then(|header| retry::retry_after(header, SystemTime::now())),
    }
}

/// Where a redirect leads to; `None` if it is none, or leads nowhere. reqwest has the same rules for a GET.
pub(super) fn redirect(url: &str, status: StatusCode, headers: &HeaderMap) -> Option<String> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = headers.get("location")?.to_str().ok()?;
    let next = Url::parse(url).ok()?.join(location).ok()?;
    Some(next.into())
}

pub(super) fn too_many_redirects() -> Failure {
    Failure {
        outcome: Outcome::BrokenConnection,
        error: format!("more than {MAX_REDIRECTS} redirects"),
    }
}

pub(super) fn broken(error: &dyn std::error::Error) -> Failure {
    Failure {
        outcome: Outcome::BrokenConnection,
        error: whole_story(error),
    }
}

/// The error with all its causes: the outermost alone says only "error sending request".
pub(super) fn whole_story(error: &dyn std::error::Error) -> String {
    let mut story = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        story = format!("{story}: {error}");
        cause = error.source();
    }
    story
}

/// TLS wants its cryptography named, once per process. A second call changes nothing.
pub(crate) fn install_crypto() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}

/// In the words of the book: `HTTP error 418 - I'm a teapot`.
pub(crate) fn http_error(status: u16) -> String {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    format!("HTTP error {status} - {}", reason.unwrap_or("unknown"))
}

/// The duration of one metric of a `server-timing` header, which gives milliseconds.
fn server_timing(header: &str, metric: &str) -> Option<Duration> {
    header.split(',').find_map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        if parts.next() != Some(metric) {
            return None;
        }
        let millis: f64 = parts
            .find_map(|part| part.strip_prefix("dur="))?
            .parse()
            .ok()?;
        Duration::try_from_secs_f64(millis / 1e3).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_timing_header_is_read_to_the_microsecond() {
        let header = "plan;dur=812.331, wait;dur=812.402";
        assert_eq!(
            server_timing(header, "plan"),
            Some(Duration::from_micros(812_331))
        );
        assert_eq!(
            server_timing(header, "wait"),
            Some(Duration::from_micros(812_402))
        );
    }

    #[test]
    fn a_server_timing_header_of_another_kind_says_nothing() {
        for header in [
            "",
            "cache;desc=hit",
            "plan",
            "plan;dur=x",
            "plan;dur=-1",
            "plan;dur=NaN",
            "planned;dur=1",
        ] {
            assert_eq!(server_timing(header, "plan"), None, "{header}");
        }
    }
}
