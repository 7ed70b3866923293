//! A request, as far as decisions depend on it.

use std::fmt;
use std::time::Duration;

/// The longest name of a run, in bytes. Names are stored, so they are bounded.
pub const MAX_RUN_LEN: usize = 128;

/// All that a decision depends on, besides the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestKey<'a> {
    /// The request header `flag-run`, or the empty string.
    pub run: &'a str,
    /// The method, in capitals.
    pub method: &'a str,
    /// The path in its canonical form: below `/flags/`, in lower case, without a query.
    pub path: &'a str,
    /// 1 for the first attempt at this path in this run.
    pub attempt: u32,
}

/// What the conditions of rules depend on, besides the key of the request.
#[derive(Clone, Copy)]
pub struct Circumstances<'a> {
    /// Since the server started.
    pub since_start: Duration,
    /// The headers of the request.
    pub headers: &'a dyn Headers,
}

/// The headers of some request.
pub trait Headers {
    /// The value of the first header of this name, if it is text. Names are in lower case.
    fn value(&self, name: &str) -> Option<&str>;
}

/// No headers at all.
impl Headers for () {
    fn value(&self, _name: &str) -> Option<&str> {
        None
    }
}

impl Default for Circumstances<'_> {
    /// At the start, without headers: what a forecast assumes.
    fn default() -> Self {
        Self {
            since_start: Duration::ZERO,
            headers: &(),
        }
    }
}

impl fmt::Debug for Circumstances<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Circumstances")
            .field("since_start", &self.since_start)
            .finish_non_exhaustive()
    }
}
