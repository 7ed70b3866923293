//! The ideal times of a measurement: what the plan of its server allows a client that loses no
//! time, and why there is no such time where it is not known.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::time::Duration;

use flag_scenario::Scenario;
use flag_scenario::ideal::{self, Schedule, Slots, Step, Times};
use flags_data::CountryCode;
use thiserror::Error;

use super::measurement::{ContenderRecord, Measurement, Planned, PlannedAttempt, Round, Series};
use crate::download::{AttemptTable, Outcome, Sample};

/// The ideal times of a measurement, for any number of workers.
pub struct IdealTimes {
    schedule: Result<Schedule, NoIdeal>,
    /// Those that were computed: replaying a queue is much work.
    known: RefCell<BTreeMap<NonZeroUsize, Times>>,
    /// Whether the server could do so much and no more.
    pub(crate) has_capacity: bool,
    /// The first rule that depends on headers, which not every contender sends.
    header_rule: Option<String>,
    /// The places of the codes in the job.
    places: HashMap<CountryCode, usize>,
}

/// Why there is no ideal time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoIdeal {
    /// The plan is known, and yet allows none.
    #[error(transparent)]
    Schedule(#[from] ideal::NoIdeal),
    /// It is not known whether a rule fires.
    #[error("{0}")]
    Doubt(String),
    /// The server reports no plan at all.
    #[error("the server does not report what it plans")]
    Silent,
    /// It reports a capacity, and not what that takes by itself.
    #[error("the server has a capacity; give its scenario with --scenario")]
    UnknownCapacity,
    /// It did not report the plan of some attempts.
    #[error(
        "no response reported the plan of {code} (attempt {attempt}); give the server's scenario with --scenario"
    )]
    Unreported {
        /// The first of them.
        code: CountryCode,
        /// The attempt.
        attempt: u32,
    },
    /// It reported different plans for the same attempt.
    #[error("the server reported different plans for the same attempt")]
    Inconsistent,
    /// The result has no service times: an older version wrote it.
    #[error(
        "an older version wrote the result, without the times that the server's capacity takes"
    )]
    NoServiceTimes,
    /// A rule depends on headers, and the contender sends its own.
    #[error("the rule {0} depends on headers, and those of this contender are not known")]
    Headers(String),
    /// The contender's requests belong to a run of their own.
    #[error("it sends a flag-run of its own, and in another run other things are decided")]
    OwnRun,
    /// The contender takes the downloads in an order of its own.
    #[error("it takes the flags in another order than the job's")]
    Order,
    /// The contender repeats requests for a path while others are under way.
    #[error(
        "it requested a flag twice at the same time, and chance decides which was its first attempt"
    )]
    Repeated,
}

impl IdealTimes {
    /// Of this measurement.
    pub fn of(measurement: &Measurement) -> Self {
        let scenario = measurement.server.scenario.as_ref();
        let scenario = scenario.and_then(|scenario| Scenario::from_toml(&scenario.toml).ok());
        let rules = scenario.iter().flat_map(Scenario::rules);
        let mut with_headers = rules.filter(|rule| !rule.conditions().headers.is_empty());
        let codes = measurement.job.codes.iter().copied();
        Self {
            schedule: schedule(measurement, scenario.as_ref()),
            known: RefCell::default(),
            has_capacity: scenario.as_ref().is_some_and(|it| it.capacity().is_some()),
            header_rule: with_headers.next().map(|rule| rule.name().to_string()),
            places: codes.zip(0..).collect(),
        }
    }

    /// Those of so many workers.
    pub fn of_workers(&self, workers: NonZeroUsize) -> Result<Times, NoIdeal> {
        let schedule = self.schedule.as_ref().map_err(Clone::clone)?;
        let mut known = self.known.borrow_mut();
        let times = known.entry(workers);
        Ok(times.or_insert_with(|| schedule.times(workers)).clone())
    }

    /// The ideal time of so many workers.
    pub fn at(&self, workers: NonZeroUsize) -> Result<Duration, NoIdeal> {
        Ok(self.of_workers(workers)?.ideal?)
    }

    /// The ideal time of a series, and the time that nobody can beat in its place.
    pub fn of_series(&self, series: &Series) -> (Result<Duration, NoIdeal>, Option<Duration>) {
        let is_own_client = matches!(series.contender, ContenderRecord::Strategy { .. });
        if let Some(rule) = self.header_rule.as_ref().filter(|_| !is_own_client) {
            return (Err(NoIdeal::Headers(rule.clone())), None);
        }
        if series.has_own_run() {
            return (Err(NoIdeal::OwnRun), None);
        }
        let Times { ideal, bound } = match self.of_workers(series.workers) {
            Ok(times) => times,
            Err(reason) => return (Err(reason), None),
        };
        if matches!(series.contender, ContenderRecord::Command { .. }) {
            if series.rounds.iter().any(repeats_at_once) {
                return (Err(NoIdeal::Repeated), None);
            }
            if !self.is_in_order(series) {
                return (Err(NoIdeal::Order), bound);
            }
        }
        (ideal.map_err(NoIdeal::from), bound)
    }

    /// Whether the downloads of a command began in the order of the job. Those that are under way
    /// together may come in any order.
    fn is_in_order(&self, series: &Series) -> bool {
        series.rounds.iter().all(|round| {
            let mut seen = HashSet::new();
            let mut samples: Vec<&Sample> = round.samples.iter().collect();
            samples.sort_by_key(|sample| sample.sent);
            let firsts = samples.iter().filter(|sample| seen.insert(sample.code));
            let places = firsts.filter_map(|sample| self.places.get(&sample.code).copied());
            let mut places: Vec<usize> = places.collect();
            // A flag that was left out shifts those after it, and has a warning of its own.
            let mut sorted = places.clone();
            sorted.sort_unstable();
            let rank: HashMap<usize, usize> = sorted.into_iter().zip(0..).collect();
            places.iter_mut().for_each(|place| *place = rank[place]);
            let near =
                |(came, place): (usize, &usize)| came.abs_diff(*place) < series.workers.get();
            places.iter().enumerate().all(near)
        })
    }
}

/// Whether two requests for one flag were under way at the same time.
fn repeats_at_once(round: &Round) -> bool {
    let mut samples: Vec<&Sample> = round.samples.iter().collect();
    samples.sort_by_key(|sample| (sample.code, sample.sent));
    let overlap = |pair: &[&Sample]| pair[0].code == pair[1].code && pair[1].sent < pair[0].done;
    samples.windows(2).any(overlap)
}

fn schedule(measurement: &Measurement, scenario: Option<&Scenario>) -> Result<Schedule, NoIdeal> {
    let Some(plan) = &measurement.plan else {
        return Err(why_unknown(measurement));
    };
    if let Some(doubt) = plan.iter().find_map(|planned| planned.doubt.as_ref()) {
        return Err(NoIdeal::Doubt(doubt.reason.clone()));
    }
    let capacity = scenario.and_then(Scenario::capacity);
    let mut attempts = plan.iter().flat_map(|planned| &planned.attempts);
    if capacity.is_some() && attempts.any(|attempt| attempt.service.is_none()) {
        return Err(NoIdeal::NoServiceTimes);
    }
    let steps = |planned: &Planned| planned.attempts.iter().map(step).collect();
    Ok(Schedule {
        downloads: plan.iter().map(steps).collect(),
        time_limit: measurement.job.timeout,
        capacity: capacity.map(Slots::from),
    })
}

fn step(attempt: &PlannedAttempt) -> Step {
    Step {
        requests: attempt.requests,
        service: attempt.service.unwrap_or_default(),
        delay: attempt.delay,
        body: match attempt.outcome {
            // However long it waits before, it ends at the time limit.
            Outcome::Timeout => Duration::MAX,
            _ => attempt.time.saturating_sub(attempt.delay),
        },
        pause: attempt.pause,
    }
}

/// Why a server of which only the address is known did not report all of its plan.
fn why_unknown(measurement: &Measurement) -> NoIdeal {
    let samples = || measurement.series.iter().flat_map(Series::samples);
    if samples().any(|sample| sample.capacity.is_some()) {
        return NoIdeal::UnknownCapacity;
    }
    if !samples().any(Sample::reports_plan) {
        return NoIdeal::Silent;
    }
    let is_told = |sample: &&Sample| sample.ended_as_reported() && sample.plan.is_some();
    let mut told = AttemptTable::new();
    for sample in samples().filter(is_told) {
        told.get_or_insert(sample.code, sample.attempt, ());
    }
    let is_missing = |sample: &&Sample| told.get(sample.code, sample.attempt).is_none();
    match samples().find(is_missing) {
        Some(sample) => NoIdeal::Unreported {
            code: sample.code,
            attempt: sample.attempt,
        },
        None => NoIdeal::Inconsistent,
    }
}
