//! `flag-client bench`: every strategy does the same job in every round. It measures, and prints nothing.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::downloader::Strategy;
use crate::fetch::SetupError;
use crate::job::Job;
use crate::round::{Round, run_round};
use crate::sample::{Outcome, Sample};
use crate::stats;
use crate::target::Target;

/// Who races, and how often.
#[derive(Debug, Clone)]
pub struct Race {
    /// Who; the first is what the others are compared with.
    pub strategies: Vec<Strategy>,
    /// Rounds that are measured.
    pub rounds: NonZeroUsize,
    /// Rounds before them, which are not.
    pub warmup: usize,
}

/// What was measured.
#[derive(Debug)]
pub struct RaceResult {
    /// One per strategy, in the order of the race.
    pub lanes: Vec<Lane>,
    /// Whether it ended early; the last round of a lane may be missing then.
    pub interrupted: bool,
}

/// One strategy's part of the race.
#[derive(Debug)]
pub struct Lane {
    /// Who.
    pub strategy: Strategy,
    /// The downloads under way at most.
    pub workers: NonZeroUsize,
    /// The measured rounds that were complete.
    pub rounds: Vec<Round>,
}

impl Race {
    /// The number of times that some strategy does the whole job.
    pub fn heats(&self) -> usize {
        self.strategies.len() * (self.warmup + self.rounds.get())
    }

    /// Runs the race, or as much of it as the job's [stop](Job::stop) allows, and tells `watch` of each
    /// measured round as it ends.
    ///
    /// # Errors
    /// When a strategy cannot be set up.
    pub fn run(
        &self,
        job: &Job,
        mut watch: impl FnMut(usize, Strategy, &Round),
    ) -> Result<RaceResult, SetupError> {
        let lane = |&strategy: &Strategy| Lane {
            strategy,
            workers: strategy.workers(job),
            rounds: Vec::new(),
        };
        let mut lanes: Vec<Lane> = self.strategies.iter().map(lane).collect();
        for round in 0..self.warmup + self.rounds.get() {
            // Whatever the machine's speed drifts by in a round, it does not always favour the same ones.
            let mut order: Vec<&mut Lane> = lanes.iter_mut().collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for lane in order {
                let result = run_round(lane.strategy, job)?;
                if job.stop.is_requested() {
                    return Ok(RaceResult {
                        lanes,
                        interrupted: true,
                    });
                }
                if let Some(measured) = round.checked_sub(self.warmup) {
                    watch(measured, lane.strategy, &result);
                    lane.rounds.push(result);
                }
            }
        }
        Ok(RaceResult {
            lanes,
            interrupted: false,
        })
    }
}

impl Lane {
    /// The time that each round took.
    pub fn times(&self) -> Vec<Duration> {
        self.rounds.iter().map(|round| round.elapsed).collect()
    }

    /// All the downloads of all the rounds.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.rounds.iter().flat_map(|round| &round.samples)
    }

    /// How many downloads ended in an error.
    pub fn errors(&self) -> usize {
        self.samples()
            .filter(|sample| sample.outcome.is_error())
            .count()
    }
}

impl RaceResult {
    /// The delays of the job in its order: as our own server plans them, or as another one told in
    /// every response. `None` if it did not.
    pub fn planned_delays(&self, job: &Job, target: &Target) -> Option<Vec<Duration>> {
        if let Some(embedded) = &target.embedded {
            return Some(
                job.codes
                    .iter()
                    .map(|&code| embedded.plan(code).delay)
                    .collect(),
            );
        }
        let samples = self.lanes.iter().flat_map(Lane::samples);
        let told: HashMap<_, _> = samples
            .filter_map(|sample| Some((sample.code, sample.plan?)))
            .collect();
        job.codes
            .iter()
            .map(|code| told.get(code).copied())
            .collect()
    }

    /// How many downloads went wrong that the plan wanted to go well.
    pub fn unplanned_errors(&self, target: &Target) -> usize {
        let planned = |sample: &Sample| {
            sample.outcome == Outcome::HttpError
                && target
                    .embedded
                    .as_ref()
                    .is_some_and(|server| server.plan(sample.code).ending.is_some())
        };
        let samples = self.lanes.iter().flat_map(Lane::samples);
        samples
            .filter(|sample| sample.outcome.is_error() && !planned(sample))
            .count()
    }

    /// For each lane, the median over the rounds of how much faster it was than the first lane in the
    /// same round. `None` without a common round.
    pub fn speed_ups(&self) -> Vec<Option<f64>> {
        let reference = self.lanes.first().map(Lane::times).unwrap_or_default();
        let speed_up = |lane: &Lane| {
            let pairs = reference.iter().zip(lane.times());
            let ratios: Option<Vec<f64>> = pairs
                .map(|(reference, time)| stats::speed_up(*reference, time))
                .collect();
            stats::median(&ratios?)
        };
        self.lanes.iter().map(speed_up).collect()
    }
}
