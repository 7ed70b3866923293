//! The race: every contender does the same job in every round, in an order that alternates. It
//! measures, and neither judges nor prints.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use flag_host::Neighbours;

use super::contender::Contender;
use super::error::ContenderError;
use super::plan_check::check_plan;
use super::server_plan::ServerPlan;
use super::target::Target;
use super::{plan, record};
use crate::download::{Job, Outcome, Watcher};
use crate::result::interval::{Looks, is_autocorrelated};
use crate::result::{ContenderRecord, Estimate, Kind, Measurement, Neighbourhood, Round, Series};

/// Who does which job, and how often.
#[derive(Debug)]
pub struct Race {
    kind: Kind,
    job: Job,
    contenders: Vec<Box<dyn Contender>>,
    entrants: Vec<Entrant>,
    rounds: Rounds,
    warmup: usize,
    reference: Option<String>,
    probes_memory: bool,
    command_timeout: Option<Duration>,
}

/// A contender with a number of workers: it has a series.
#[derive(Debug)]
struct Entrant {
    contender: usize,
    name: String,
    max_workers: NonZeroUsize,
}

/// How often each series is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// This often.
    Exactly(NonZeroUsize),
    /// Until the interval of every series is [tight](Self::TIGHT) at one of these
    /// [looks](Self::LOOKS).
    Enough,
}

impl Rounds {
    /// After how many rounds their times are looked at: fewer are never enough, more are never
    /// made.
    pub const LOOKS: [usize; 4] = [6, 10, 20, 30];
    /// How far the ends of a tight interval are from its middle, as a share of the median.
    pub const TIGHT: f64 = 0.01;
    /// After this time the next look is the last.
    pub const TIME_LIMIT: Duration = Duration::from_secs(60);

    /// The rounds that there will be at least.
    pub fn at_least(self) -> usize {
        match self {
            Self::Exactly(rounds) => rounds.get(),
            Self::Enough => Self::LOOKS[0],
        }
    }

    /// Whether no more rounds follow, after these times (in milliseconds) of each series and this
    /// long.
    pub fn are_done(self, all_series: &[Vec<f64>], elapsed: Duration) -> bool {
        let done = all_series.iter().map(Vec::len).min().unwrap_or(0);
        match self {
            Self::Exactly(rounds) => done >= rounds.get(),
            Self::Enough if !Self::LOOKS.contains(&done) => false,
            Self::Enough => {
                done >= Self::LOOKS[Self::LOOKS.len() - 1]
                    || elapsed >= Self::TIME_LIMIT
                    || all_series.iter().all(|times| is_tight(times))
            }
        }
    }
}

/// Whether the median is known well enough. Rounds that depend on each other only look so.
fn is_tight(times: &[f64]) -> bool {
    let spread = Estimate::of(times, Looks::Several).and_then(|elapsed| elapsed.spread());
    spread.is_some_and(|spread| spread / 2.0 <= Rounds::TIGHT) && !is_autocorrelated(times)
}

/// The order in which so many contenders run in this round (from 0): a permutation that is always
/// the same, begun one later every second round, and backwards in every odd one. So each of them
/// runs at every place, and after others than the one before it.
fn order(contenders: usize, round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..contenders).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(ORDER_SEED);
    for last in (1..contenders).rev() {
        let other = (u64::from(rng.next_u32()) * (last as u64 + 1)) >> 32;
        order.swap(last, other as usize);
    }
    order.rotate_left(round / 2 % contenders.max(1));
    if round % 2 == 1 {
        order.reverse();
    }
    order
}

/// Of the order within a round.
const ORDER_SEED: u64 = 1;

/// What is reported while a race runs.
#[derive(Debug)]
pub enum RaceEvent<'a> {
    /// A round of a series begins.
    Begins {
        /// Which series.
        series: usize,
        /// Rounds that it has behind it, warm-up included.
        rounds: usize,
    },
    /// The round has ended and was measured: it is the last of its series in the measurement.
    Measured {
        /// Which series.
        series: usize,
        /// Everything so far.
        measurement: &'a Measurement,
    },
}

impl Race {
    /// Every contender with as many workers as the job allows. Of those with one name the second is
    /// called `name-2`, and so on.
    pub fn bench(contenders: Vec<Box<dyn Contender>>, job: Job) -> Self {
        let mut entrants: Vec<Entrant> = Vec::new();
        for (index, contender) in contenders.iter().enumerate() {
            let own = contender.name();
            let more = (2..).map(|number| format!("{own}-{number}"));
            let is_free = |name: &String| entrants.iter().all(|entrant| entrant.name != *name);
            let name = std::iter::once(own.clone()).chain(more).find(is_free);
            entrants.push(Entrant {
                contender: index,
                name: name.unwrap_or(own),
                max_workers: job.max_workers,
            });
        }
        Self::of(Kind::Bench, job, contenders, entrants)
    }

    /// Every contender with each of these numbers of workers that makes a difference.
    pub fn sweep(contenders: Vec<Box<dyn Contender>>, job: Job, levels: &[NonZeroUsize]) -> Self {
        let mut entrants: Vec<Entrant> = Vec::new();
        for (index, contender) in contenders.iter().enumerate() {
            for &max_workers in levels {
                let job = Job {
                    max_workers,
                    ..job.clone()
                };
                let workers = contender.workers(&job);
                let name = format!("{}@{workers}", contender.name());
                if entrants.iter().all(|entrant| entrant.name != name) {
                    entrants.push(Entrant {
                        contender: index,
                        name,
                        max_workers,
                    });
                }
            }
        }
        Self::of(Kind::Sweep, job, contenders, entrants)
    }

    fn of(
        kind: Kind,
        job: Job,
        contenders: Vec<Box<dyn Contender>>,
        entrants: Vec<Entrant>,
    ) -> Self {
        Self {
            kind,
            job,
            contenders,
            entrants,
            rounds: Rounds::Enough,
            warmup: 1,
            reference: None,
            probes_memory: false,
            command_timeout: None,
        }
    }

    /// How often each series is measured; without it, [enough](Rounds::Enough).
    #[must_use]
    pub fn rounds(self, rounds: Rounds) -> Self {
        Self { rounds, ..self }
    }

    /// How often each series runs before it is measured; without it, once.
    #[must_use]
    pub fn warmup(self, warmup: usize) -> Self {
        Self { warmup, ..self }
    }

    /// The name of the series that the others are compared with; without it, the first. A sweep
    /// compares each contender with itself.
    #[must_use]
    pub fn reference(self, name: impl Into<String>) -> Self {
        let reference = Some(name.into());
        Self { reference, ..self }
    }

    /// Whether each series does the job once more before it is measured, in a process of its own
    /// that is asked for its memory; without it, not.
    #[must_use]
    pub fn probes_memory(self, probes_memory: bool) -> Self {
        Self {
            probes_memory,
            ..self
        }
    }

    /// How long a round of an external program may take; without it, [`TIMES_SLOWEST`] times as
    /// long as the slowest round so far, or as the planned downloads one after the other, and
    /// [a minute](Job::COMMAND_TIMEOUT) at least. A program that takes longer is ended, and runs
    /// no more.
    ///
    /// [`TIMES_SLOWEST`]: Self::TIMES_SLOWEST
    #[must_use]
    pub fn command_timeout(self, command_timeout: Option<Duration>) -> Self {
        Self {
            command_timeout,
            ..self
        }
    }

    /// How many times as long as the slowest round an external program may take by default.
    pub const TIMES_SLOWEST: u32 = 10;

    /// What sees each attempt as it ends, instead of the job's own.
    #[must_use]
    pub fn watcher(mut self, watcher: Watcher) -> Self {
        self.job.watcher = watcher;
        self
    }

    /// The names of the series, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entrants.iter().map(|entrant| entrant.name.as_str())
    }

    /// The job as each series gets it.
    fn jobs(&self) -> Vec<Job> {
        let with = |entrant: &Entrant| Job {
            max_workers: entrant.max_workers,
            ..self.job.clone()
        };
        self.entrants.iter().map(with).collect()
    }

    /// The measurement that this race on this server will be, with nothing measured yet. `command`
    /// is how to do it again.
    pub fn begin(&self, target: &Target, command: Vec<String>) -> Measurement {
        let mut measurement = record::begin(self.kind, &self.job, target, command);
        measurement.job.warmup = self.warmup;
        measurement.job.adaptive_rounds = self.rounds == Rounds::Enough;
        measurement.reference.clone_from(&self.reference);
        measurement.series = (self.entrants.iter().zip(self.jobs()))
            .map(|(entrant, job)| Series {
                name: entrant.name.clone(),
                ..record::series(&*self.contenders[entrant.contender], &job)
            })
            .collect();
        measurement
    }

    /// Runs the race on this server, and returns what was measured. The measurement has no command
    /// line: that is the program's.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_on(&self, target: &Target) -> Result<Measurement, ContenderError> {
        let mut measurement = self.begin(target, Vec::new());
        self.run(&mut measurement, |_| {})?;
        Ok(measurement)
    }

    /// Runs the race, or as much of it as the job's [stop](Job::cancel) allows, into a measurement
    /// that it [began](Self::begin), and reports its progress to `watch`. It also ends when the
    /// server cannot be reached any more.
    ///
    /// # Errors
    /// When a contender cannot be set up, or a named server does something else than what was given
    /// as its plan. What was measured before is in `measurement`.
    pub fn run(
        &self,
        measurement: &mut Measurement,
        mut watch: impl FnMut(RaceEvent<'_>),
    ) -> Result<(), ContenderError> {
        let mut jobs = self.jobs();
        let planned = measurement.planned_times();
        let mut slowest: Duration = planned.iter().flatten().sum();
        let plan = plan_to_check(measurement);
        let mut begun = Instant::now();
        let mut neighbours = None;
        for round in 0.. {
            if round == self.warmup {
                if self.probes_memory {
                    self.probe_memory(&jobs, slowest, measurement);
                }
                begun = Instant::now();
                neighbours = Neighbours::watch();
            }
            for series in order(self.entrants.len(), round) {
                if measurement.series[series].timed_out().is_some() {
                    continue;
                }
                watch(RaceEvent::Begins {
                    series,
                    rounds: round,
                });
                jobs[series].command_timeout = self.time_limit(slowest);
                let (contender, job) = (
                    &self.contenders[self.entrants[series].contender],
                    &jobs[series],
                );
                let since = begun.elapsed();
                let result = Round {
                    began: since,
                    ..contender.run(job)?
                };
                if let Some(plan) = &plan
                    && !matches!(contender.record(), ContenderRecord::Custom)
                {
                    check_plan(plan, job, &result.samples)?;
                }
                let is_gone = is_gone(&result);
                let stopped = job.cancel.is_requested();
                let into = &mut measurement.series[series];
                if stopped || is_gone {
                    into.unfinished = Some(result);
                    measurement.interrupted = stopped;
                    measurement.server_gone = is_gone && !stopped;
                    return Ok(());
                }
                if result.time_limit.is_some() {
                    into.unfinished = Some(result);
                    continue;
                }
                slowest = slowest.max(result.elapsed);
                if round < self.warmup {
                    continue;
                }
                into.rounds.push(result);
                let busy = neighbours.and_then(|neighbours| neighbours.so_far());
                measurement.neighbours = busy.map(Neighbourhood::from);
                if measurement.server.scenario.is_none() {
                    measurement.plan = plan::reported(job, &measurement.series);
                }
                watch(RaceEvent::Measured {
                    series,
                    measurement,
                });
            }
            let racing = measurement
                .series
                .iter()
                .filter(|series| series.timed_out().is_none());
            let times: Vec<_> = racing.map(Series::times_ms).collect();
            if times.is_empty()
                || (round >= self.warmup && self.rounds.are_done(&times, begun.elapsed()))
            {
                break;
            }
        }
        Ok(())
    }

    /// How long a round of an external program may take.
    fn time_limit(&self, slowest: Duration) -> Duration {
        let default = slowest.saturating_mul(Self::TIMES_SLOWEST);
        self.command_timeout
            .unwrap_or_else(|| default.max(Job::COMMAND_TIMEOUT))
    }

    /// Lets each series do the job once more, in a process of its own that is asked for its memory.
    fn probe_memory(&self, jobs: &[Job], slowest: Duration, measurement: &mut Measurement) {
        for ((entrant, job), series) in self.entrants.iter().zip(jobs).zip(&mut measurement.series)
        {
            if !job.cancel.is_requested() && series.timed_out().is_none() {
                let job = Job {
                    command_timeout: self.time_limit(slowest),
                    ..job.clone()
                };
                series.memory_bytes = self.contenders[entrant.contender].memory(&job);
            }
        }
    }
}

/// The plan that was given for a named server. An embedded one runs what is planned.
fn plan_to_check(measurement: &Measurement) -> Option<ServerPlan> {
    let server = &measurement.server;
    let scenario = (server.scenario.as_ref()).filter(|_| !server.is_embedded())?;
    ServerPlan::recorded(scenario).ok()
}

/// Whether not one download found a server.
fn is_gone(round: &Round) -> bool {
    let outcomes = || round.samples.iter().map(|sample| sample.outcome);
    outcomes().next().is_some() && outcomes().all(|outcome| outcome == Outcome::NoConnection)
}
