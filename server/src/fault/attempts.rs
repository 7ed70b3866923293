//! Counting the attempts of clients that do not count themselves, in bounded memory.
//!
//! The counter of a (run, method, path) goes up with each request that carries no `flag-attempt`.
//! It is the one input of a decision that depends on what came before, which matters only where a
//! client fetches one path several times at once without numbering its attempts.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use flag_host::lock;
use lru::LruCache;

use crate::record::MAX_RUNS;

/// The most (method, path) pairs that are remembered of one run: enough for the image and the
/// metadata of every code from `AA` to `ZZ`, under `GET` and `HEAD`. Beyond it the least recently
/// used is forgotten.
pub const MAX_PATHS_PER_RUN: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// The attempt counters of one listener.
#[derive(Debug)]
pub(crate) struct Attempts(Mutex<Counters>);

#[derive(Debug)]
struct Counters {
    /// For each run, for each method and path (`GET /flags/br/br.gif`), the last attempt.
    runs: LruCache<String, LruCache<String, u32>>,
    /// Where that key is put together, so that a counter that is there costs no memory.
    key: String,
}

impl Attempts {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Counters {
            runs: LruCache::new(MAX_RUNS),
            key: String::new(),
        }))
    }

    /// The number of the next attempt of this run at this path: 1, 2, …
    pub(crate) fn next(&self, run: &str, method: &str, path: &str) -> u32 {
        let mut counters = lock(&self.0);
        let Counters { runs, key } = &mut *counters;
        key.clear();
        key.extend([method, " ", path]);
        let paths = runs.get_or_insert_mut_ref(run, || LruCache::new(MAX_PATHS_PER_RUN));
        let count = paths.get_or_insert_mut_ref(key.as_str(), || 0);
        *count = count.saturating_add(1);
        *count
    }
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
    fn the_least_recently_used_run_is_evicted_and_starts_again() {
        let attempts = Attempts::new();
        attempts.next("old", "GET", "/p");
        attempts.next("kept", "GET", "/p");
        for run in 0..MAX_RUNS.get() - 2 {
            attempts.next(&run.to_string(), "GET", "/p");
        }
        assert_eq!(attempts.next("kept", "GET", "/p"), 2);
        attempts.next("one too many", "GET", "/p");
        assert_eq!(attempts.next("kept", "GET", "/p"), 3);
        assert_eq!(attempts.next("old", "GET", "/p"), 1);
    }

    #[test]
    fn the_paths_of_a_run_are_bounded() {
        let attempts = Attempts::new();
        for path in 0..=MAX_PATHS_PER_RUN.get() {
            attempts.next("", "GET", &path.to_string());
        }
        let counters = attempts.0.lock().unwrap();
        assert_eq!(
            counters.runs.peek("").unwrap().len(),
            MAX_PATHS_PER_RUN.get()
        );
    }
}
