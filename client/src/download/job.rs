//! What is to be downloaded, from where, and under which limits: the same for every downloader.
//!
//! It knows nothing of threads, tasks or HTTP libraries.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flag_host::write_atomically;
use flags_data::{Catalogue, CountryCode, Digest};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::retry::RetryPolicy;
use super::sample::{Outcome, Sample};

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
    /// Whether and when a failed attempt is followed by another.
    pub retry: RetryPolicy,
    /// What becomes of each image.
    pub images: Images,
    /// Is told of each attempt as it ends.
    pub watcher: Watcher,
    /// Ends the round early: no new attempt is begun.
    pub stop: Stop,
    /// How the connections are used.
    pub wire: Wire,
    /// The program that worker processes run: `flag-client`.
    pub worker_program: PathBuf,
}

/// How the connections are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wire {
    /// Whether a connection carries more than one request.
    pub keep_alive: bool,
    /// HTTP/2 instead of HTTP/1.1: taken for granted of `http://`, negotiated (ALPN) with `https://`, and insisted on.
    pub http2: bool,
}

impl Default for Wire {
    /// HTTP/1.1 with keep-alive.
    fn default() -> Self {
        Self {
            keep_alive: true,
            http2: false,
        }
    }
}

impl Job {
    /// The most downloads at one time, unless somebody says otherwise.
    pub const MAX_WORKERS: NonZeroUsize = NonZeroUsize::new(30).expect("not zero");
    /// The time limit of one attempt, unless somebody says otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(10);

    /// These flags, with the defaults of the command line: 30 at a time, 10 seconds for each, no retries; they are
    /// compared with the embedded catalogue. The program of the workers is the `flag-client` that the system finds.
    pub fn new(base_url: impl Into<String>, codes: Vec<CountryCode>) -> Self {
        Self {
            codes,
            base_url: base_url.into(),
            max_workers: Self::MAX_WORKERS,
            timeout: Self::TIMEOUT,
            retry: RetryPolicy::default(),
            images: Images::Verify(Catalogue::embedded()),
            watcher: Watcher::default(),
            stop: Stop::default(),
            wire: Wire::default(),
            // Not the program that runs: that may be anybody's, and would not know what it is started for.
            worker_program: "flag-client".into(),
        }
    }

    /// The workers that can be busy at all: never more than there are codes, and at least one.
    pub fn workers(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.codes.len())
            .map_or(NonZeroUsize::MIN, |codes| codes.min(self.max_workers))
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

/// What becomes of each image that arrives.
#[derive(Debug, Clone)]
pub enum Images {
    /// It is compared with the catalogue, and forgotten.
    Verify(Catalogue),
    /// Its SHA-256 is compared with these: a catalogue without its images.
    Compare(Arc<BTreeMap<CountryCode, Digest>>),
    /// It is written to `BR.gif` in this folder.
    Save(PathBuf),
}

/// Why an image was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// [`Outcome::WrongBody`] or [`Outcome::NotSaved`].
    pub outcome: Outcome,
    /// The reason in words.
    pub error: String,
}

impl Images {
    /// Does with the image what is to be done with it. Blocks while a file is written.
    ///
    /// # Errors
    /// When the image is not that of the catalogue, or cannot be written.
    pub fn accept(&self, code: CountryCode, image: &[u8]) -> Result<(), Rejected> {
        match self {
            Self::Verify(_) | Self::Compare(_) => verify(self.expected(code), image),
            Self::Save(folder) => {
                let path = folder.join(format!("{code}.gif"));
                write_atomically(&path, image).map_err(|error| Rejected {
                    outcome: Outcome::NotSaved,
                    error: format!("cannot write {}: {error}", path.display()),
                })
            }
        }
    }

    /// The digest of the image that it is compared with, where there is one.
    pub(crate) fn expected(&self, code: CountryCode) -> Option<Digest> {
        match self {
            Self::Verify(catalogue) => catalogue.get(code).map(|flag| flag.image.digest),
            Self::Compare(digests) => digests.get(&code).copied(),
            Self::Save(_) => None,
        }
    }

    /// The same for tasks: the event loop is not blocked.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    pub async fn accept_async(&self, code: CountryCode, image: Bytes) -> Result<(), Rejected> {
        match self {
            Self::Verify(_) | Self::Compare(_) => self.accept(code, &image),
            Self::Save(_) => {
                let images = self.clone();
                let saving = tokio::task::spawn_blocking(move || images.accept(code, &image));
                saving
                    .await
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
            }
        }
    }
}

fn verify(expected: Option<Digest>, image: &[u8]) -> Result<(), Rejected> {
    let found = Digest::of(image);
    if expected == Some(found) {
        return Ok(());
    }
    let expected = expected.map_or("no flag at all".to_owned(), |digest| {
        format!("SHA-256 {digest}")
    });
    let error = format!(
        "wrong image: {} bytes with SHA-256 {found} instead of {expected}",
        image.len()
    );
    Err(Rejected {
        outcome: Outcome::WrongBody,
        error,
    })
}

/// A function that is told of each attempt as it ends, on the worker's own thread. When a stop takes away the
/// retry that an attempt was to get, it is told of it once more, now as the [last](Sample::is_last): of each
/// download there is exactly one last attempt.
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
    /// Nobody watches.
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
            .field("retry", &self.retry)
            .field("wire", &self.wire)
            .finish_non_exhaustive()
    }
}

/// A request to end early, which all who hold a clone of it see, and which wakes those who pause.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<Switch>);

/// A flag with two bells: one for threads, one for tasks.
#[derive(Debug, Default)]
struct Switch {
    requested: Mutex<bool>,
    threads: Condvar,
    tasks: Notify,
}

impl Stop {
    /// Asks to end early.
    pub fn request(&self) {
        *self.requested() = true;
        self.0.threads.notify_all();
        self.0.tasks.notify_waiters();
    }

    /// Whether somebody did.
    pub fn is_requested(&self) -> bool {
        *self.requested()
    }

    /// Lets a thread wait so long; `false`, at once, when a stop is or was requested.
    pub fn pause(&self, pause: Duration) -> bool {
        let waiting = self
            .0
            .threads
            .wait_timeout_while(self.requested(), pause, |requested| !*requested);
        let (requested, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        !*requested
    }

    /// The same for tasks.
    pub async fn pause_async(&self, pause: Duration) -> bool {
        let bell = self.0.tasks.notified(); // rings for what happens from here on
        if self.is_requested() {
            return false;
        }
        tokio::select! {
            () = bell => {}
            () = tokio::time::sleep(pause) => {}
        }
        !self.is_requested()
    }

    /// A bool is whole at any time, so a panic elsewhere does not spoil it.
    fn requested(&self) -> MutexGuard<'_, bool> {
        let requested = self.0.requested.lock();
        requested.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_catalogues_own_image_is_accepted() {
        let catalogue = Catalogue::embedded();
        let (br, xx) = ("BR".parse().unwrap(), "XX".parse().unwrap());
        let image = catalogue.get(br).unwrap().image.bytes.clone();
        let images = Images::Verify(catalogue);
        assert_eq!(images.accept(br, &image), Ok(()));
        let mut flipped = image.to_vec();
        *flipped.last_mut().unwrap() ^= 1;
        for (code, wrong) in [(br, &flipped[..]), (br, b""), (xx, &image[..])] {
            assert_eq!(
                images.accept(code, wrong).unwrap_err().outcome,
                Outcome::WrongBody
            );
        }
    }

    #[test]
    fn a_pause_is_held_in_full_unless_a_stop_is_or_was_requested() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let for_threads: &dyn Fn(&Stop, Duration) -> bool = &Stop::pause;
        let for_tasks = |stop: &Stop, pause| runtime.block_on(stop.pause_async(pause));
        let short = Duration::from_millis(20);
        for pause in [for_threads, &for_tasks] {
            let stop = Stop::default();
            let start = std::time::Instant::now();
            assert!(pause(&stop, short));
            assert!(start.elapsed() >= short);

            // Held in full, either would outlast the test.
            let other = stop.clone();
            let requesting = std::thread::spawn(move || {
                std::thread::sleep(short);
                other.request();
            });
            assert!(!pause(&stop, Duration::MAX));
            requesting.join().unwrap();
            assert!(!pause(&stop, Duration::MAX));
        }
    }
}
