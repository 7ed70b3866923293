//! Counting the attempts of clients that do not count themselves, in bounded memory.
//!
//! The counter of a (run, method, path) goes up with each request that carries no `flag-attempt`.
//! It is the one input of a decision that depends on what came before, which matters only where a
//! client fetches one path several times at once without numbering its attempts.
//!
//! A counter takes the same memory however long its path is, so that their number bounds their
//! bytes: at most 40 MiB for the counters of a listener and the names of their runs.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use blake3::Hasher;
use flag_host::lock;
use lru::LruCache;
use tracing::warn;

use crate::record::MAX_RUNS;

/// The most (method, path) pairs that are remembered of one run: enough for the image and the
/// metadata of every code from `AA` to `ZZ`, under `GET` and `HEAD`. Beyond it the least recently
/// used is forgotten.
pub const MAX_PATHS_PER_RUN: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// The most (run, method, path) triples that a listener remembers. Beyond it the least recently
/// used run is forgotten. One takes 48 bytes and at most 68 in a table.
pub const MAX_ATTEMPT_COUNTERS: usize = 256 * 1024;

/// The attempt counters of one listener.
#[derive(Debug)]
pub(crate) struct Attempts(Mutex<Counters>);

/// A method and a path, short and of one length. Of two that are the same, one would get the
/// attempts of the other; with 96 bits of BLAKE3 nobody finds them by chance.
type Digest = [u8; 12];

/// For each method and path, the last attempt.
type Paths = LruCache<Digest, u32>;

#[derive(Debug)]
struct Counters {
    runs: LruCache<String, Paths>,
    /// Of all runs.
    count: usize,
    has_warned: bool,
}

impl Attempts {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Counters {
            runs: LruCache::unbounded(),
            count: 0,
            has_warned: false,
        }))
    }

    /// The number of the next attempt of this run at this path: 1, 2, …
    pub(crate) fn next(&self, run: &str, method: &str, path: &str) -> u32 {
        let digest = digest(method, path);
        let (attempt, forgotten) = lock(&self.0).next(run, &digest);
        if let Some(run) = forgotten {
            warn!(
                %run,
                "too many runs at one time: the one used last longest ago starts again at attempt 1, and so will others. A listener \
                 counts the attempts of {MAX_RUNS} runs and of {MAX_ATTEMPT_COUNTERS} paths in them; to number them in the client, \
                 send the header flag-attempt"
            );
        }
        attempt
    }

    /// Starts again at attempt 1 for this run.
    pub(crate) fn forget(&self, run: &str) {
        lock(&self.0).forget(run);
    }
}

impl Counters {
    fn forget(&mut self, run: &str) {
        let paths = self.runs.pop(run);
        self.count -= paths.map_or(0, |paths| paths.len());
    }

    /// The number of the next attempt, and a run that had to be forgotten for it, if it is the
    /// first one.
    fn next(&mut self, run: &str, digest: &Digest) -> (u32, Option<String>) {
        let paths = self.runs.get_or_insert_mut_ref(run, Paths::unbounded);
        let before = paths.len();
        let count = paths.get_or_insert_mut(*digest, || 0);
        *count = count.saturating_add(1);
        let attempt = *count;
        if paths.len() > MAX_PATHS_PER_RUN.get() {
            paths.pop_lru();
        }
        self.count += paths.len() - before;
        let mut first = None;
        // This run is the one that was used last, and has fewer counters than there may be.
        while self.runs.len() > MAX_RUNS.get() || self.count > MAX_ATTEMPT_COUNTERS {
            let Some((run, paths)) = self.runs.pop_lru() else {
                break;
            };
            self.count -= paths.len();
            if !std::mem::replace(&mut self.has_warned, true) {
                first = Some(run);
            }
        }
        (attempt, first)
    }
}

fn digest(method: &str, path: &str) -> Digest {
    let mut hasher = Hasher::new();
    // No method contains a space.
    for part in [method, " ", path] {
        hasher.update(part.as_bytes());
    }
    let mut digest = Digest::default();
    hasher.finalize_xof().fill(&mut digest);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_method_and_path_has_its_own_count() {
        let attempts = Attempts::new();
        assert_eq!(attempts.next("", "GET", "/flags/br/br.gif"), 1);
        assert_eq!(attempts.next("", "GET", "/flags/br/br.gif"), 2);
        assert_eq!(attempts.next("", "GET", "/flags/jp/jp.gif"), 1);
        assert_eq!(attempts.next("", "HEAD", "/flags/br/br.gif"), 1);
        assert_eq!(attempts.next("suite-7", "GET", "/flags/br/br.gif"), 1);
        assert_eq!(attempts.next("", "GET", "/flags/br/br.gif"), 3);
    }

    #[test]
    fn the_least_recently_used_run_is_forgotten_once_there_are_too_many_and_the_first_is_reported()
    {
        let mut counters = Attempts::new().0.into_inner().unwrap();
        let path = digest("GET", "/p");
        counters.next("old", &path);
        counters.next("kept", &path);
        for run in 0..MAX_RUNS.get() - 2 {
            assert_eq!(counters.next(&run.to_string(), &path), (1, None));
        }
        assert_eq!(counters.next("kept", &path), (2, None));
        let forgotten = Some("old".to_owned());
        assert_eq!(counters.next("one too many", &path), (1, forgotten));
        assert_eq!(counters.next("kept", &path), (3, None));
        assert_eq!(counters.next("old", &path), (1, None)); // one more is forgotten, and not reported
        assert_eq!(
            (counters.runs.len(), counters.count),
            (MAX_RUNS.get(), MAX_RUNS.get())
        );
    }

    #[test]
    fn the_paths_of_a_run_and_those_of_all_runs_are_bounded() {
        let mut counters = Attempts::new().0.into_inner().unwrap();
        let paths: Vec<Digest> = (0..=MAX_PATHS_PER_RUN.get())
            .map(|path| digest("GET", &path.to_string()))
            .collect();
        let runs = MAX_ATTEMPT_COUNTERS / MAX_PATHS_PER_RUN;
        for run in 0..=runs {
            for path in &paths {
                counters.next(&run.to_string(), path);
            }
            let kept = counters.runs.peek(&run.to_string()).unwrap().len();
            assert_eq!(kept, MAX_PATHS_PER_RUN.get());
        }
        let sum: usize = counters.runs.iter().map(|(_, paths)| paths.len()).sum();
        assert_eq!((counters.count, sum), (MAX_ATTEMPT_COUNTERS, sum));
        assert_eq!((sum, counters.runs.len()), (MAX_ATTEMPT_COUNTERS, runs));
        assert!(!counters.runs.contains("0"));
    }
}
