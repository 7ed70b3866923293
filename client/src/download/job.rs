//! What is to be downloaded, from where, and under which limits: the same for every downloader.
//!
//! It knows nothing of threads, tasks or HTTP libraries.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flags_data::{Catalogue, CountryCode};
use serde::{Deserialize, Serialize};

use super::cancel::CancelToken;
use super::images::Images;
use super::retry::RetryPolicy;
use super::sample::Sample;

/// A list of flags to download, and how.
#[derive(Clone)]
pub struct Job {
    /// The codes, in the order in which they are handed to the workers.
    pub codes: Vec<CountryCode>,
    /// The folder of the flags, without a slash at the end: `http://localhost:8000/flags`.
    pub base_url: String,
    /// The most downloads at one time.
    pub max_workers: NonZeroUsize,
    /// The time limit of one attempt, from the connection to the last byte.
    pub timeout: Duration,
    /// The longest body that is accepted, in bytes: no more of it is read, so this and the workers
    /// bound the memory of a round.
    pub max_body: u64,
    /// Whether and when a failed attempt is followed by another.
    pub retry: RetryPolicy,
    /// What becomes of each image.
    pub images: Images,
    /// Sees each attempt as it ends.
    pub watcher: Watcher,
    /// Ends the round early: no new attempt is begun.
    pub cancel: CancelToken,
    /// How long an external program may take for the whole job. It cannot be asked to stop as other
    /// downloaders are: it is ended.
    pub command_timeout: Duration,
    /// How the connections are used.
    pub connection: ConnectionOptions,
    /// The program that worker processes run: `flag-client`.
    pub worker_program: PathBuf,
}

/// How the connections are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionOptions {
    /// Whether a connection carries more than one request.
    pub keep_alive: bool,
    /// HTTP/2 instead of HTTP/1.1: taken for granted of `http://`, negotiated (ALPN) with
    /// `https://`, and insisted on.
    pub http2: bool,
}

impl Default for ConnectionOptions {
    /// HTTP/1.1 with keep-alive.
    fn default() -> Self {
        Self {
            keep_alive: true,
            http2: false,
        }
    }
}

impl Job {
    /// The default for the most downloads at one time.
    pub const MAX_WORKERS: NonZeroUsize = NonZeroUsize::new(30).expect("not zero");
    /// The default time limit of one attempt.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// The default of the longest body, in bytes: that of the largest image that a server reads.
    pub const MAX_BODY: u64 = 16 << 20;

    /// The least default of the time limit of an external program.
    pub const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

    /// These flags, with the defaults of the command line: 30 at a time, 10 seconds and 16 MiB for
    /// each, no retries; they are compared with the embedded catalogue. The program of the workers
    /// is the `flag-client` that the system finds.
    pub fn new(base_url: impl Into<String>, codes: Vec<CountryCode>) -> Self {
        Self {
            codes,
            base_url: base_url.into(),
            max_workers: Self::MAX_WORKERS,
            timeout: Self::TIMEOUT,
            max_body: Self::MAX_BODY,
            retry: RetryPolicy::default(),
            images: Images::verified(Catalogue::embedded()),
            watcher: Watcher::default(),
            cancel: CancelToken::default(),
            command_timeout: Self::COMMAND_TIMEOUT,
            connection: ConnectionOptions::default(),
            // Not the program that runs: that may be anybody's, and would not know what it is
            // started for.
            worker_program: "flag-client".into(),
        }
    }

    /// The workers that can be busy at all: never more than there are codes, and at least one.
    pub fn workers(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.codes.len())
            .map_or(NonZeroUsize::MIN, |codes| codes.min(self.max_workers))
    }

    /// The most connections that are kept for later requests. Fewer would leave some workers
    /// without one, and more would take the open files that others need.
    pub(crate) fn idle_connections(&self) -> usize {
        if self.connection.keep_alive {
            self.workers().get()
        } else {
            0
        }
    }

    /// Where the image of this code is.
    pub fn image_url(&self, code: CountryCode) -> String {
        format!("{}/{cc}/{cc}.gif", self.base_url, cc = code.to_lowercase())
    }

    /// Whether the images come over TLS.
    pub fn is_https(&self) -> bool {
        self.base_url.starts_with("https:")
    }
}

/// A function that sees each attempt as it ends, on the worker's own thread. When a stop
/// takes away the retry that an attempt was to get, it sees it once more, now as the
/// [last](Sample::is_last): of each download there is exactly one last attempt.
#[derive(Clone)]
pub struct Watcher(Arc<dyn Fn(&Sample) + Send + Sync>);

impl Watcher {
    /// Calls `watch` for each attempt.
    pub fn new(watch: impl Fn(&Sample) + Send + Sync + 'static) -> Self {
        Self(Arc::new(watch))
    }

    /// Tells it of one.
    pub fn saw(&self, sample: &Sample) {
        (self.0)(sample);
    }
}

impl Default for Watcher {
    /// Does nothing.
    fn default() -> Self {
        Self::new(|_| {})
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher")
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("codes", &self.codes.len())
            .field("base_url", &self.base_url)
            .field("max_workers", &self.max_workers)
            .field("timeout", &self.timeout)
            .field("max_body", &self.max_body)
            .field("retry", &self.retry)
            .field("wire", &self.connection)
            .finish_non_exhaustive()
    }
}
