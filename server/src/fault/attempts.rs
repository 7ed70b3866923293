//! Counting the attempts of clients that do not count themselves, in bounded memory.
//!
//! The counter of a (run, method, path) goes up with each request that carries no `flag-attempt`.
//! It is the one input of a decision that depends on what came before, which matters only where a
//! client fetches one path several times at once without numbering its attempts.
//!
//! A counter takes the same memory however long its path is, so that their number bounds their
//! bytes: at most 40 MiB for the counters of a listener and the names of their runs.
#![expect(
    clippy::disallowed_types,
    reason = "of a digest only matters whether it is equal to another one"
)]

use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use flag_host::lock;
use lru::LruCache;
use tracing::warn;

use crate::counts::Counts;
use crate::record_log::{MAX_RUNS, pop_least_needed};

/// The most (method, path) pairs that are remembered of one run: enough for the image and the
/// metadata of every code from `AA` to `ZZ`, under `GET` and `HEAD`. Beyond it the least recently
/// used is forgotten.
pub const MAX_PATHS_PER_RUN: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// The most (run, method, path) triples that a listener remembers. Beyond it the least recently
/// used run is forgotten. One takes 48 bytes and at most 68 in a table.
pub const MAX_ATTEMPT_COUNTERS: usize = 256 * 1024;

/// The attempt counters of one listener.
#[derive(Debug)]
pub(crate) struct Attempts {
    counters: Mutex<Counters>,
    hashers: [RandomState; 2],
    counts: Arc<Counts>,
}

/// A method and a path, short and of one length. Of two that are the same, one would get the
/// attempts of the other; in 128 bits, with keys that are made at the start, nobody finds them.
type Digest = [u64; 2];

/// For each method and path, the last attempt.
type Paths = LruCache<Digest, u32>;

#[derive(Debug)]
struct OfRun {
    paths: Paths,
    /// Until then the run has a scenario of its own.
    needed_until: Option<Instant>,
}

#[derive(Debug)]
struct Counters {
    runs: LruCache<String, OfRun>,
    /// Of all runs.
    count: usize,
}

impl Attempts {
    pub(crate) fn new(counts: Arc<Counts>) -> Self {
        Self {
            counters: Mutex::new(Counters::new()),
            hashers: [RandomState::new(), RandomState::new()],
            counts,
        }
    }

    /// The number of the next attempt of this run at this path: 1, 2, … `needed_until`: until then
    /// the run has a scenario of its own.
    pub(crate) fn next(
        &self,
        run: &str,
        method: &str,
        path: &str,
        needed_until: Option<Instant>,
    ) -> u32 {
        let digest = (self.hashers.each_ref()).map(|hasher| hasher.hash_one((method, path)));
        let (attempt, forgotten) = lock(&self.counters).next(run, &digest, needed_until);
        for run in forgotten {
            if self.counts.forget_attempts() {
                warn!(
                    %run,
                    "too many runs at one time: the one used last longest ago starts again at attempt 1, and so will others. A \
                     listener counts the attempts of {MAX_RUNS} runs and of {MAX_ATTEMPT_COUNTERS} paths in them; to number them in \
                     the client, send the header flag-attempt"
                );
            }
        }
        attempt
    }

    /// Starts again at attempt 1 for this run.
    pub(crate) fn forget(&self, run: &str) {
        let forgotten = lock(&self.counters).forget(run);
        drop(forgotten); // when requests need not wait for it
    }
}

impl Counters {
    fn new() -> Self {
        Self {
            runs: LruCache::unbounded(),
            count: 0,
        }
    }

    fn forget(&mut self, run: &str) -> Option<OfRun> {
        let of_run = self.runs.pop(run)?;
        self.count -= of_run.paths.len();
        Some(of_run)
    }

    /// The number of the next attempt, and the runs that had to be forgotten for it.
    fn next(
        &mut self,
        run: &str,
        digest: &Digest,
        needed_until: Option<Instant>,
    ) -> (u32, Vec<String>) {
        let of_run = self.runs.get_or_insert_mut_ref(run, || OfRun {
            paths: Paths::unbounded(),
            needed_until: None,
        });
        of_run.needed_until = needed_until;
        let paths = &mut of_run.paths;
        let before = paths.len();
        let count = paths.get_or_insert_mut(*digest, || 0);
        *count = count.saturating_add(1);
        let attempt = *count;
        if paths.len() > MAX_PATHS_PER_RUN.get() {
            paths.pop_lru();
        }
        self.count += paths.len() - before;
        let mut forgotten = Vec::new();
        while self.runs.len() > MAX_RUNS.get() || self.count > MAX_ATTEMPT_COUNTERS {
            let popped = pop_least_needed(&mut self.runs, |of_run| of_run.needed_until);
            let Some((run, of_run)) = popped else {
                break;
            };
            self.count -= of_run.paths.len();
            forgotten.push(run);
        }
        (attempt, forgotten)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_method_and_path_has_its_own_count() {
        let attempts = Attempts::new(Arc::default());
        let next = |run, method, path| attempts.next(run, method, path, None);
        assert_eq!(next("", "GET", "/flags/br/br.gif"), 1);
        assert_eq!(next("", "GET", "/flags/br/br.gif"), 2);
        assert_eq!(next("", "GET", "/flags/jp/jp.gif"), 1);
        assert_eq!(next("", "HEAD", "/flags/br/br.gif"), 1);
        assert_eq!(next("suite-7", "GET", "/flags/br/br.gif"), 1);
        assert_eq!(next("", "GET", "/flags/br/br.gif"), 3);
    }

    fn digest(path: usize) -> Digest {
        [path as u64, 0]
    }

    fn forgets(run: &str) -> (u32, Vec<String>) {
        (1, vec![run.to_owned()])
    }

    #[test]
    fn the_least_recently_used_run_is_forgotten_once_there_are_too_many() {
        let mut counters = Counters::new();
        let path = digest(0);
        let mut next = |run: &str| counters.next(run, &path, None);
        next("old");
        next("kept");
        for run in 0..MAX_RUNS.get() - 2 {
            assert_eq!(next(&run.to_string()), (1, Vec::new()));
        }
        assert_eq!(next("kept"), (2, Vec::new()));
        assert_eq!(next("one too many"), forgets("old"));
        assert_eq!(next("kept"), (3, Vec::new()));
        assert_eq!(next("old"), forgets("0"));
        assert_eq!(
            (counters.runs.len(), counters.count),
            (MAX_RUNS.get(), MAX_RUNS.get())
        );
    }

    #[test]
    fn a_run_with_a_scenario_is_forgotten_last() {
        let mut counters = Counters::new();
        let path = digest(0);
        let later = flag_host::clock::now() + std::time::Duration::from_secs(3600);
        for run in 0..MAX_RUNS.get() {
            counters.next(&run.to_string(), &path, (run < 1000).then_some(later));
        }
        let mut next = |run| counters.next(run, &path, None);
        assert_eq!(next("one too many"), forgets("1000"));
        assert_eq!(next("two too many"), forgets("1001"));
        assert_eq!(next("0"), (2, Vec::new()));
    }

    #[test]
    fn the_paths_of_a_run_and_those_of_all_runs_are_bounded() {
        let mut counters = Counters::new();
        let paths: Vec<Digest> = (0..=MAX_PATHS_PER_RUN.get()).map(digest).collect();
        let runs = MAX_ATTEMPT_COUNTERS / MAX_PATHS_PER_RUN;
        for run in 0..=runs {
            for path in &paths {
                counters.next(&run.to_string(), path, None);
            }
            let of_run = counters.runs.peek(&run.to_string()).unwrap();
            assert_eq!(of_run.paths.len(), MAX_PATHS_PER_RUN.get());
        }
        let sum: usize = (counters.runs.iter())
            .map(|(_, of_run)| of_run.paths.len())
            .sum();
        assert_eq!((counters.count, sum), (MAX_ATTEMPT_COUNTERS, sum));
        assert_eq!((sum, counters.runs.len()), (MAX_ATTEMPT_COUNTERS, runs));
        assert!(!counters.runs.contains("0"));
    }
}
