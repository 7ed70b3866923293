//! Which scenario a request meets: that of its run, if it has one, or else the listener's. Both can
//! end by themselves, so that a test that dies leaves nothing behind.
//!
//! It knows scenarios and times, and nothing of requests but the names of their runs.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use flag_host::{clock, lock};
use thiserror::Error;

use super::capacity::Workers;
use crate::record_log::MAX_RUNS;
use crate::scenario::{Planner, Scenario};

/// The most runs of a listener that have a scenario of their own at one time.
pub const MAX_RUN_SCENARIOS: usize = MAX_RUNS.get();

/// The most bytes of their scenarios, each of which counts as its TOML and [`RULE_BYTES`] for each
/// rule.
pub const MAX_RUN_SCENARIO_BYTES: usize = 256 * 1024 * 1024;

/// What a rule takes in memory, without its texts, in bytes: rounded up.
const RULE_BYTES: usize = 1024;

/// There is no room for the scenario of one more run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "too many runs have a scenario of their own: delete those that are over, or let them end by themselves. A listener \
     has room for {MAX_RUN_SCENARIOS} of them, in at most {MAX_RUN_SCENARIO_BYTES} bytes"
)]
pub struct TooManyScenarios;

/// A scenario in effect.
#[derive(Debug, Clone)]
pub(crate) struct Active {
    pub(super) scenario: Arc<Scenario>,
    pub(super) planner: Planner,
    pub(super) workers: Option<Arc<Workers>>,
    /// When it took effect: its windows count from then.
    pub(super) start: Instant,
    /// When it ends, if it is that of a run.
    pub(super) ends: Option<Instant>,
}

/// A scenario, and how long it is still in effect: as long as nobody changes it, if it is not said.
pub(crate) type Remaining = (Scenario, Option<Duration>);

/// The scenarios of one listener.
#[derive(Debug)]
pub(super) struct Scenarios {
    own: RwLock<Own>,
    /// Held by who changes it: what takes time is done before requests have to wait.
    changing: Mutex<()>,
    runs: RwLock<Runs>,
    /// How many runs have one. Mostly none has, and then no request looks for its own.
    run_count: AtomicUsize,
}

#[derive(Debug)]
struct Own {
    active: Active,
    /// What takes effect then.
    next: Option<(Instant, Active)>,
}

#[derive(Debug, Default)]
struct Runs {
    by_name: HashMap<String, OfRun>,
    /// The end of each, and its run: those that are over come first.
    ends: BTreeSet<(Instant, String)>,
    bytes: usize,
    max_bytes: usize,
}

#[derive(Debug)]
struct OfRun {
    active: Active,
    ends: Instant,
    bytes: usize,
}

impl Active {
    fn of(scenario: &Scenario, start: Instant) -> Self {
        Self {
            scenario: Arc::new(scenario.clone()),
            planner: Planner::new(scenario),
            workers: scenario.capacity().map(Workers::new).map(Arc::new),
            start,
            ends: None,
        }
    }
}

impl Own {
    /// Whether the next scenario should be in effect.
    fn is_over(&self, now: Instant) -> bool {
        self.next.as_ref().is_some_and(|(start, _)| *start <= now)
    }

    /// Lets the next one take effect if it is its time.
    fn go_on(&mut self, now: Instant) {
        if self.is_over(now)
            && let Some((start, active)) = self.next.take()
        {
            self.active = Active { start, ..active };
        }
    }
}

impl Runs {
    fn remove(&mut self, run: &str) -> Option<OfRun> {
        let removed = self.by_name.remove(run)?;
        self.bytes -= removed.bytes;
        self.ends.remove(&(removed.ends, run.to_owned()));
        Some(removed)
    }

    /// Takes some of those out that are over: more than can come meanwhile.
    fn remove_some_that_are_over(&mut self, now: Instant) -> Vec<OfRun> {
        let mut removed = Vec::new();
        while removed.len() < 8 {
            let Some((ends, run)) = self.ends.first() else {
                break;
            };
            if *ends > now {
                break;
            }
            let run = run.clone();
            removed.extend(self.remove(&run));
        }
        removed
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.by_name.len() < MAX_RUN_SCENARIOS && self.bytes + bytes <= self.max_bytes
    }
}

impl Scenarios {
    pub(super) fn new(own: &Scenario) -> Self {
        Self {
            own: RwLock::new(Own {
                active: Active::of(own, clock::now()),
                next: None,
            }),
            changing: Mutex::new(()),
            runs: RwLock::new(Runs {
                max_bytes: MAX_RUN_SCENARIO_BYTES,
                ..Runs::default()
            }),
            run_count: AtomicUsize::new(0),
        }
    }

    /// What `see` makes of the scenario of a request of this run. It is not changed meanwhile.
    pub(super) fn with<T>(&self, run: &str, now: Instant, see: impl FnOnce(&Active) -> T) -> T {
        if self.run_count.load(Ordering::Acquire) > 0 {
            let runs = read(&self.runs);
            let of_run = runs.by_name.get(run).filter(|of_run| now < of_run.ends);
            if let Some(of_run) = of_run {
                return see(&of_run.active);
            }
        }
        let mut own = read(&self.own);
        if own.is_over(now) {
            drop(own);
            write(&self.own).go_on(now);
            own = read(&self.own);
        }
        see(&own.active)
    }

    /// The listener's own.
    pub(super) fn own(&self, now: Instant) -> Remaining {
        let (scenario, remaining) = self.own_shared(now);
        (Arc::unwrap_or_clone(scenario), remaining)
    }

    fn own_shared(&self, now: Instant) -> (Arc<Scenario>, Option<Duration>) {
        let mut own = write(&self.own);
        own.go_on(now);
        let remaining = own.next.as_ref().map(|(start, _)| *start - now);
        (Arc::clone(&own.active.scenario), remaining)
    }

    /// Changes the listener's own, and what is pending is forgotten; false if it is the same. With
    /// `lasts`, the one before comes back then. The workers of a capacity that stays go on.
    pub(super) fn replace(&self, scenario: &Scenario, lasts: Option<Duration>) -> bool {
        let _changing = lock(&self.changing);
        let (current, _) = self.own_shared(clock::now());
        let is_same = *current == *scenario;
        let now = clock::now();
        let mut active = Active::of(scenario, now);
        let until = lasts.and_then(|lasts| now.checked_add(lasts));
        let mut own = write(&self.own);
        own.go_on(now);
        // It may have given way to the one before in between.
        if is_same && until.is_none() && Arc::ptr_eq(&current, &own.active.scenario) {
            let pending = own.next.take();
            drop(own);
            return pending.is_some();
        }
        if own.active.scenario.capacity() == scenario.capacity() {
            active.workers.clone_from(&own.active.workers);
        }
        let before = std::mem::replace(&mut own.active, active);
        // What comes back is what was there without a limit.
        let (lasting, unused) = match own.next.take() {
            None => (before, None),
            Some((_, lasting)) => (lasting, Some(before)),
        };
        let unused = match until {
            Some(until) => {
                own.next = Some((until, lasting));
                unused
            }
            None => Some(lasting),
        };
        drop(own);
        drop(unused); // when requests need not wait for it
        true
    }

    /// That of a run, if it has one of its own.
    pub(super) fn of_run(&self, run: &str, now: Instant) -> Option<Remaining> {
        let (scenario, remaining) = {
            let runs = read(&self.runs);
            let of_run = runs.by_name.get(run).filter(|of_run| now < of_run.ends)?;
            (Arc::clone(&of_run.active.scenario), of_run.ends - now)
        };
        Some((Arc::unwrap_or_clone(scenario), Some(remaining)))
    }

    /// Gives a run one of its own for this time.
    ///
    /// # Errors
    /// When there is no room for it.
    pub(super) fn set_of_run(
        &self,
        run: &str,
        scenario: &Scenario,
        lasts: Duration,
    ) -> Result<(), TooManyScenarios> {
        let now = clock::now();
        let rules = scenario.rules().len() * RULE_BYTES;
        let bytes = scenario.to_toml().len() + rules + run.len();
        let mut active = Active::of(scenario, now);
        let ends = now.checked_add(lasts).unwrap_or(now);
        active.ends = Some(ends);
        let mut removed = Vec::new();
        let mut runs = write(&self.runs);
        removed.extend(runs.remove(run));
        loop {
            let over = runs.remove_some_that_are_over(now);
            let is_last = over.is_empty();
            removed.extend(over);
            if is_last || runs.has_room(bytes) {
                break;
            }
        }
        let fits = runs.has_room(bytes);
        if fits {
            let of_run = OfRun {
                active,
                ends,
                bytes,
            };
            runs.by_name.insert(run.to_owned(), of_run);
            runs.ends.insert((ends, run.to_owned()));
            runs.bytes += bytes;
        }
        self.run_count.store(runs.by_name.len(), Ordering::Release);
        drop(runs);
        drop(removed); // when requests need not wait for it
        if fits { Ok(()) } else { Err(TooManyScenarios) }
    }

    /// Takes that of a run away; false if it had none.
    pub(super) fn remove_of_run(&self, run: &str) -> bool {
        let now = clock::now();
        let mut runs = write(&self.runs);
        let removed = runs.remove(run);
        self.run_count.store(runs.by_name.len(), Ordering::Release);
        drop(runs);
        removed.is_some_and(|removed| now < removed.ends)
    }
}

/// A panic cannot leave a scenario half replaced, so a poisoned lock is still good.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn scenario(seed: u64) -> Scenario {
        Scenario::faultless().with_seed(seed)
    }

    fn seed(scenarios: &Scenarios, run: &str, now: Instant) -> u64 {
        scenarios.with(run, now, |active| active.scenario.seed())
    }

    #[test]
    fn a_capacity_that_stays_keeps_its_workers() {
        let capacity = |workers: u32| {
            let text =
                format!("capacity = {{ workers = {workers}, service_time = {{ fixed = '1s' }} }}");
            Scenario::from_toml(&text).unwrap()
        };
        let scenarios = Scenarios::new(&capacity(1));
        let workers = || {
            let now = clock::now();
            scenarios.with("", now, |active| active.workers.clone().unwrap())
        };
        let first = workers();
        assert!(!scenarios.replace(&capacity(1), None));
        assert!(scenarios.replace(&capacity(1).with_seed(7), None));
        assert!(Arc::ptr_eq(&first, &workers()));
        assert!(scenarios.replace(&capacity(2), None));
        assert!(!Arc::ptr_eq(&first, &workers()));
    }

    #[test]
    fn a_scenario_for_a_time_gives_way_to_the_one_before() {
        let scenarios = Scenarios::new(&scenario(1));
        let now = clock::now();
        assert!(scenarios.replace(&scenario(2), Some(SECOND)));
        assert_eq!(seed(&scenarios, "", now), 2);
        let (_, remaining) = scenarios.own(now);
        assert!(remaining.is_some_and(|remaining| remaining >= SECOND));
        // Another one for a time does not make the first one come back.
        assert!(scenarios.replace(&scenario(3), Some(SECOND)));
        let later = clock::now() + 2 * SECOND;
        let start = scenarios.with("", later, |active| active.start);
        assert_eq!(seed(&scenarios, "", later), 1);
        assert!(
            now + SECOND <= start && start < later,
            "its windows count from its return"
        );
        assert_eq!(scenarios.own(later), (scenario(1), None));
    }

    #[test]
    fn a_later_change_cancels_what_is_pending() {
        let scenarios = Scenarios::new(&scenario(1));
        scenarios.replace(&scenario(2), Some(SECOND));
        assert!(scenarios.replace(&scenario(2), None));
        let later = clock::now() + 2 * SECOND;
        assert_eq!(scenarios.own(later), (scenario(2), None));
    }

    #[test]
    fn a_run_has_its_own_for_a_time_and_others_do_not_notice() {
        let scenarios = Scenarios::new(&scenario(1));
        scenarios.set_of_run("a", &scenario(2), SECOND).unwrap();
        scenarios.set_of_run("b", &scenario(3), 9 * SECOND).unwrap();
        let now = clock::now();
        let seeds = |now| ["a", "b", "c", ""].map(|run| seed(&scenarios, run, now));
        assert_eq!(seeds(now), [2, 3, 1, 1]);
        assert_eq!(seeds(now + 2 * SECOND), [1, 3, 1, 1]);
        assert_eq!(scenarios.of_run("a", now + 2 * SECOND), None);
        assert_eq!(
            scenarios.of_run("b", now).map(|(own, _)| own),
            Some(scenario(3))
        );
        assert!(scenarios.remove_of_run("b"));
        assert!(!scenarios.remove_of_run("b"));
        assert_eq!(seeds(now), [2, 1, 1, 1]);
    }

    #[test]
    fn one_run_too_many_is_refused_until_others_are_over() {
        let scenarios = Scenarios::new(&scenario(1));
        for run in 0..MAX_RUN_SCENARIOS {
            let lasts = if run == 0 {
                Duration::ZERO
            } else {
                SECOND * 3600
            };
            scenarios
                .set_of_run(&run.to_string(), &scenario(2), lasts)
                .unwrap();
        }
        let hour = SECOND * 3600;
        scenarios
            .set_of_run("one more", &scenario(2), hour)
            .unwrap();
        let refused = scenarios.set_of_run("too many", &scenario(2), hour);
        assert_eq!(refused, Err(TooManyScenarios));
        // One that is there can be changed, and one that leaves makes room.
        scenarios.set_of_run("7", &scenario(3), SECOND).unwrap();
        scenarios.remove_of_run("8");
        scenarios
            .set_of_run("too many", &scenario(2), SECOND)
            .unwrap();
    }

    #[test]
    fn the_bytes_of_the_scenarios_of_runs_are_bounded() {
        let scenarios = Scenarios::new(&scenario(1));
        write(&scenarios.runs).max_bytes = 1024 * 1024;
        let body = "x".repeat(16 * 1024 - 2 * RULE_BYTES);
        let text = format!("rule = [{{ fault = 'status', status = 503, body = '{body}' }}]");
        let large = Scenario::from_toml(&text).unwrap();
        let fit = (0..100).take_while(|run| {
            let set = scenarios.set_of_run(&run.to_string(), &large, 3600 * SECOND);
            set.is_ok()
        });
        let fit = fit.count();
        assert!((64..75).contains(&fit), "{fit}");
        let runs = read(&scenarios.runs);
        assert_eq!(
            runs.bytes,
            runs.by_name
                .values()
                .map(|of_run| of_run.bytes)
                .sum::<usize>()
        );
    }
}
