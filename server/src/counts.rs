//! What a listener counts for those who watch it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flag_host::lock;

use crate::record::End;
use crate::scenario::RuleName;

/// The most combinations of rules that are told apart. All further ones are counted as one.
pub(crate) const MAX_COMBINATIONS: usize = 500;

/// The name of those that are not told apart. No rule can have it.
pub(crate) const OTHER_RULES: &str = "(other)";

/// The upper limits of the classes of lateness, in seconds. What is beyond the last is in one more.
pub(crate) const LATE_LIMITS: [f64; 9] =
    [0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 1.0];

/// The counts of one listener.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    accepted: AtomicU64,
    open: AtomicU64,
    forgotten_attempts: AtomicU64,
    forgotten_records: AtomicU64,
    /// What every request would have to pay for, where nobody will ask.
    requests: Option<Requests>,
}

#[derive(Debug, Default)]
struct Requests {
    /// Those to which nothing happened: nearly all, on many servers.
    plain: AtomicU64,
    /// The others, by the rules that fired.
    others: Mutex<HashMap<(String, End), u64>>,
    late: Mutex<Lateness>,
}

/// How much later than planned responses began.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lateness {
    /// By class.
    pub(crate) counts: [u64; LATE_LIMITS.len() + 1],
    /// Of all, in seconds.
    pub(crate) sum: f64,
}

/// A connection, as long as it lives.
#[derive(Debug)]
pub(crate) struct OpenConnection {
    counts: Arc<Counts>,
    /// From 1, in the order of acceptance.
    pub(crate) number: u64,
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counts {
    /// Counts requests one by one if `of_requests`.
    pub(crate) fn new(of_requests: bool) -> Self {
        Self {
            requests: of_requests.then(Requests::default),
            ..Self::default()
        }
    }

    /// Whether requests are counted one by one.
    pub(crate) fn has_requests(&self) -> bool {
        self.requests.is_some()
    }

    /// Counts a connection.
    pub(crate) fn accept(self: &Arc<Self>) -> OpenConnection {
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection {
            counts: Arc::clone(self),
            number: self.accepted.fetch_add(1, Ordering::Relaxed) + 1,
        }
    }

    /// Counts a run whose attempts are forgotten, and returns whether it is the first one.
    pub(crate) fn forget_attempts(&self) -> bool {
        self.forgotten_attempts.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Counts a run whose records are forgotten, and returns whether it is the first one.
    pub(crate) fn forget_records(&self) -> bool {
        self.forgotten_records.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// Counts a request that is over.
    pub(crate) fn end(&self, rules: &[RuleName], end: End, late: Option<Duration>) {
        let Some(requests) = &self.requests else {
            return;
        };
        if let Some(late) = late {
            lock(&requests.late).add(late);
        }
        let rules = RuleName::list(rules);
        if rules.is_none() && end == End::Whole {
            requests.plain.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let mut others = lock(&requests.others);
        let mut key = (rules.unwrap_or_default().into_owned(), end);
        if others.len() >= MAX_COMBINATIONS && !others.contains_key(&key) {
            OTHER_RULES.clone_into(&mut key.0);
        }
        *others.entry(key).or_default() += 1;
    }
}

impl Lateness {
    fn add(&mut self, late: Duration) {
        let late = late.as_secs_f64();
        let class = LATE_LIMITS.partition_point(|limit| *limit < late);
        self.counts[class] += 1;
        self.sum += late;
    }
}

#[cfg(feature = "control")]
impl Counts {
    /// Connections since the start.
    pub(crate) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections that are open.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Runs whose attempts are forgotten, and runs whose records are.
    pub(crate) fn forgotten(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (
            load(&self.forgotten_attempts),
            load(&self.forgotten_records),
        )
    }

    /// Requests that are over, by the rules that fired and by their end.
    pub(crate) fn requests(&self) -> Vec<((String, End), u64)> {
        let Some(requests) = &self.requests else {
            return Vec::new();
        };
        let plain = requests.plain.load(Ordering::Relaxed);
        let mut all = vec![((String::new(), End::Whole), plain)];
        let others = lock(&requests.others);
        all.extend(others.iter().map(|(key, count)| (key.clone(), *count)));
        all
    }

    /// How late responses began.
    pub(crate) fn lateness(&self) -> Lateness {
        let requests = self.requests.as_ref();
        requests.map_or_else(Lateness::default, |requests| *lock(&requests.late))
    }
}

#[cfg(all(test, feature = "control"))]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_their_rules_and_their_ends_and_the_combinations_are_bounded() {
        let counts = Counts::new(true);
        let rule = |name: &str| [RuleName::try_new(name).unwrap()];
        counts.end(&[], End::Whole, Some(Duration::from_micros(100)));
        counts.end(&[], End::Whole, Some(Duration::from_secs(2)));
        counts.end(&[], End::Left, None);
        for number in 0..2 * MAX_COMBINATIONS {
            counts.end(&rule(&format!("r{number}")), End::Reset, None);
        }
        let all: HashMap<_, _> = counts.requests().into_iter().collect();
        let count = |rules: &str, end| all.get(&(rules.to_owned(), end)).copied();
        assert_eq!(count("", End::Whole), Some(2));
        assert_eq!(count("", End::Left), Some(1));
        assert_eq!(count("r0", End::Reset), Some(1));
        let told_apart = MAX_COMBINATIONS - 1;
        let others = (2 * MAX_COMBINATIONS - told_apart) as u64;
        assert_eq!(count(OTHER_RULES, End::Reset), Some(others));
        let late = counts.lateness();
        assert_eq!((late.counts[0], late.counts[9]), (1, 1));
        assert_eq!(late.sum, 2.0001);
    }
}
