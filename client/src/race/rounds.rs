//! The race: every contender does the same job in every round, in an order that alternates. It measures, and neither judges nor prints.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use super::contender::Contender;
use super::error::ContenderError;
use super::target::Target;
use super::{plan, record};
use crate::download::{Job, Outcome};
use crate::result::{Estimate, Kind, Lane, Measurement, Round, stats};

/// Who races, and how often.
#[derive(Debug)]
pub struct Race {
    kind: Kind,
    contenders: Vec<Box<dyn Contender>>,
    entries: Vec<Entry>,
    rounds: Rounds,
    warmup: usize,
    probes_memory: bool,
}

/// A contender with a number of workers: it has a lane.
#[derive(Debug)]
struct Entry {
    contender: usize,
    name: String,
    max_workers: NonZeroUsize,
}

/// How often each lane is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// So often.
    Exactly(NonZeroUsize),
    /// Until every lane's interval is [tight](Self::TIGHT), within [limits](Self::FEWEST).
    Enough,
}

impl Rounds {
    /// How far the ends of a tight interval are from its middle, as a share of the median.
    pub const TIGHT: f64 = 0.01;
    /// Fewer rounds are never enough.
    pub const FEWEST: usize = 5;
    /// More are never made.
    pub const MOST: usize = 30;
    /// After this time no further round is begun, unless there are too few.
    pub const TIME_LIMIT: Duration = Duration::from_secs(60);

    /// The rounds that there will be at least.
    pub fn at_least(self) -> usize {
        match self {
            Self::Exactly(rounds) => rounds.get(),
            Self::Enough => Self::FEWEST,
        }
    }

    fn are_done(self, lanes: &[Lane], begun: Instant) -> bool {
        let done = lanes
            .iter()
            .map(|lane| lane.rounds.len())
            .min()
            .unwrap_or(0);
        match self {
            Self::Exactly(rounds) => done >= rounds.get(),
            Self::Enough if done < Self::FEWEST => false,
            Self::Enough => {
                done >= Self::MOST
                    || begun.elapsed() >= Self::TIME_LIMIT
                    || lanes.iter().all(is_tight)
            }
        }
    }
}

fn is_tight(lane: &Lane) -> bool {
    let times: Vec<f64> = lane.times().into_iter().map(stats::millis).collect();
    Estimate::of(&times).is_some_and(|elapsed| elapsed.spread() / 2.0 <= Rounds::TIGHT)
}

/// What whoever watches a race is told.
#[derive(Debug)]
pub enum Moment<'a> {
    /// A lane sets out.
    Begins {
        /// Which lane.
        lane: usize,
        /// Rounds that it has behind it, warm-up included.
        rounds: usize,
    },
    /// It has arrived, and the round was measured: it is the last of its lane in the measurement.
    Measured {
        /// Which lane.
        lane: usize,
        /// Everything so far.
        measurement: &'a Measurement,
    },
}

impl Race {
    /// Every contender with as many workers as the job allows. Of those with one name the second is called `name-2`, and so on.
    pub fn bench(contenders: Vec<Box<dyn Contender>>, job: &Job) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for (index, contender) in contenders.iter().enumerate() {
            let own = contender.name();
            let more = (2..).map(|number| format!("{own}-{number}"));
            let is_free = |name: &String| entries.iter().all(|entry| entry.name != *name);
            let name = std::iter::once(own.clone()).chain(more).find(is_free);
            entries.push(Entry {
                contender: index,
                name: name.unwrap_or(own),
                max_workers: job.max_workers,
            });
        }
        Self::of(Kind::Bench, contenders, entries)
    }

    /// Every contender with each of these numbers of workers that makes a difference.
    pub fn sweep(contenders: Vec<Box<dyn Contender>>, job: &Job, levels: &[NonZeroUsize]) -> Self {
        let mut entries: Vec<Entry> = Vec::new();
        for (index, contender) in contenders.iter().enumerate() {
            for &max_workers in levels {
                let job = Job {
                    max_workers,
                    ..job.clone()
                };
                let workers = contender.workers(&job).unwrap_or(max_workers);
                let name = format!("{}@{workers}", contender.name());
                if entries.iter().all(|entry| entry.name != name) {
                    entries.push(Entry {
                        contender: index,
                        name,
                        max_workers,
                    });
                }
            }
        }
        Self::of(Kind::Sweep, contenders, entries)
    }

    fn of(kind: Kind, contenders: Vec<Box<dyn Contender>>, entries: Vec<Entry>) -> Self {
        Self {
            kind,
            contenders,
            entries,
            rounds: Rounds::Enough,
            warmup: 1,
            probes_memory: false,
        }
    }

    /// How often each lane is measured; without it, [enough](Rounds::Enough).
    #[must_use]
    pub fn rounds(self, rounds: Rounds) -> Self {
        Self { rounds, ..self }
    }

    /// How often each lane runs before it is measured; without it, once.
    #[must_use]
    pub fn warmup(self, warmup: usize) -> Self {
        Self { warmup, ..self }
    }

    /// Whether each lane does the job once more before it is measured, in a process of its own that is asked for its memory; without it, not.
    #[must_use]
    pub fn probes_memory(self, probes_memory: bool) -> Self {
        Self {
            probes_memory,
            ..self
        }
    }

    /// The names of the lanes, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// The lanes before anything is measured.
    pub fn lanes(&self, job: &Job) -> Vec<Lane> {
        let lane = |(entry, job): (&Entry, Job)| Lane {
            name: entry.name.clone(),
            ..record::lane(&*self.contenders[entry.contender], &job)
        };
        self.entries.iter().zip(self.jobs(job)).map(lane).collect()
    }

    /// The job as each lane gets it.
    fn jobs(&self, job: &Job) -> Vec<Job> {
        let with = |entry: &Entry| Job {
            max_workers: entry.max_workers,
            ..job.clone()
        };
        self.entries.iter().map(with).collect()
    }

    /// Runs the race on this server, and gives back what was measured.
    ///
    /// # Errors
    /// When a contender cannot be set up.
    pub fn run_on(&self, job: &Job, target: &Target) -> Result<Measurement, ContenderError> {
        let command = std::env::args().collect();
        let mut measurement = record::begin(self.kind, job, target, command);
        self.run(job, &mut measurement, |_| {})?;
        Ok(measurement)
    }

    /// Runs the race, or as much of it as the job's [stop](Job::stop) allows, into `measurement`, and tells `watch` how it goes. When
    /// nobody can reach the server any more, it is over too.
    ///
    /// # Errors
    /// When a contender cannot be set up. What was measured before is in `measurement`.
    pub fn run(
        &self,
        job: &Job,
        measurement: &mut Measurement,
        mut watch: impl FnMut(Moment<'_>),
    ) -> Result<(), ContenderError> {
        measurement.job.warmup = self.warmup;
        let jobs = self.jobs(job);
        measurement.lanes = self.lanes(job);
        let mut begun = Instant::now();
        for round in 0.. {
            if round == self.warmup {
                if self.probes_memory {
                    self.probe_memory(&jobs, measurement);
                }
                begun = Instant::now();
            }
            // Whatever the machine's speed drifts by in a round, it does not always favour the same ones.
            let mut order: Vec<usize> = (0..self.entries.len()).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for lane in order {
                watch(Moment::Begins {
                    lane,
                    rounds: round,
                });
                let (contender, job) =
                    (&self.contenders[self.entries[lane].contender], &jobs[lane]);
                let since = begun.elapsed();
                let result = Round {
                    began: since,
                    ..contender.run(job)?
                };
                let is_gone = is_gone(&result);
                let stopped = job.stop.is_requested();
                let into = &mut measurement.lanes[lane];
                if stopped || is_gone {
                    into.unfinished = Some(result);
                    measurement.interrupted = stopped;
                    measurement.server_gone = is_gone && !stopped;
                    return Ok(());
                }
                if round < self.warmup {
                    continue;
                }
                into.memory_bytes = into.memory_bytes.max(result.memory_bytes);
                if contender.workers(job).is_none() {
                    into.workers = into.workers.max(lanes_used(&result));
                }
                into.rounds.push(result);
                if measurement.server.scenario.is_none() {
                    measurement.plan = plan::told(job, &measurement.lanes);
                }
                watch(Moment::Measured { lane, measurement });
            }
            if round >= self.warmup && self.rounds.are_done(&measurement.lanes, begun) {
                break;
            }
        }
        Ok(())
    }

    /// Lets each lane do the job once more, in a process of its own that is asked for its memory.
    fn probe_memory(&self, jobs: &[Job], measurement: &mut Measurement) {
        for ((entry, job), lane) in self.entries.iter().zip(jobs).zip(&mut measurement.lanes) {
            if !job.stop.is_requested() {
                lane.memory_bytes = self.contenders[entry.contender].memory(job);
            }
        }
    }
}

/// Whether not one download found a server.
fn is_gone(round: &Round) -> bool {
    let outcomes = || round.samples.iter().map(|sample| sample.outcome);
    outcomes().next().is_some() && outcomes().all(|outcome| outcome == Outcome::NoConnection)
}

/// The lanes that the samples are in.
fn lanes_used(round: &Round) -> NonZeroUsize {
    let last = round.samples.iter().map(|sample| sample.worker).max();
    NonZeroUsize::MIN.saturating_add(last.unwrap_or(0))
}
