//! What a measurement means: numbers, outliers with their causes, and warnings as data. Pure.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use flag_server::forecast::ideal_makespan;
use flag_server::scenario::Scenario;
use flags_data::CountryCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ContenderRecord, Kind, Lane, Measurement, Planned, Round, millis};
use crate::sample::{Outcome, Sample};
use crate::stats::{self, Usl};

/// With fewer rounds an interval says little: the median of four can be any of them.
const ENOUGH_ROUNDS: usize = 5;
/// The width of an interval, as a share of the median, from which the machine counts as noisy.
const NOISY: f64 = 0.05;
/// The share of one processor (of all, for a contender that can use them) from which a client counts as saturated.
const SATURATED: f64 = 0.9;
/// How much longer than planned a server may hold a delay in one of a hundred responses.
const LATE: Duration = Duration::from_millis(2);
/// How far a told delay may be from the planned one: `server-timing` has microseconds.
const TOLD: Duration = Duration::from_micros(2);
/// The outliers that are kept of each lane.
const MOST_OUTLIERS: usize = 5;

/// What a measurement means. It is computed from the measurement alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Analysis {
    /// One per lane, in their order.
    pub lanes: Vec<LaneAnalysis>,
    /// How each contender of a sweep scales, in the order of the race; empty otherwise.
    pub scaling: Vec<Scaling>,
    /// What a reader should know before trusting the numbers.
    pub warnings: Vec<Warning>,
}

/// A value with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// The lower end of its 95 % bootstrap interval.
    pub lower: f64,
    /// The upper end.
    pub upper: f64,
}

/// The numbers of one lane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaneAnalysis {
    /// As the lane is called.
    pub name: String,
    /// The downloads under way at most.
    pub workers: usize,
    /// How long a round took, in milliseconds; none without a round.
    pub elapsed_ms: Option<Estimate>,
    /// The quickest round.
    #[serde(rename = "fastest_ms", with = "millis::optional")]
    #[schemars(with = "Option<f64>")]
    pub fastest: Option<Duration>,
    /// The slowest round.
    #[serde(rename = "slowest_ms", with = "millis::optional")]
    #[schemars(with = "Option<f64>")]
    pub slowest: Option<Duration>,
    /// The time of a perfect client with as many workers; none if the plan is not known.
    #[serde(rename = "ideal_ms", with = "millis::optional")]
    #[schemars(with = "Option<f64>")]
    pub ideal: Option<Duration>,
    /// How many times as fast as the first lane (in a sweep: as its contender's lane with the fewest workers), paired by round.
    pub speed_up: Option<Estimate>,
    /// The same for perfect clients.
    pub ideal_speed_up: Option<f64>,
    /// The ideal time divided by the median: the share of the time that could not have been saved, 0 to 1.
    pub efficiency: Option<f64>,
    /// Flags per second that arrived whole, in the median round.
    pub throughput: Option<Estimate>,
    /// From sending a request to the end of its response, of the attempts that brought a flag.
    pub latency: Option<Latencies>,
    /// The same of those that ended in an error: failures have a latency too.
    pub failed_latency: Option<Latencies>,
    /// The client's processor time per download, in milliseconds: the median of the rounds.
    pub cpu_ms_per_download: Option<f64>,
    /// The memory of the lane divided by its workers.
    pub memory_bytes_per_worker: Option<u64>,
    /// Downloads in all rounds, each counted once, as its last attempt.
    pub downloads: usize,
    /// Those that ended with 404.
    pub not_found: usize,
    /// Those that ended in an error.
    pub errors: usize,
    /// Those of them that the plan wanted to go well.
    pub unplanned_errors: usize,
    /// Attempts that were followed by another.
    pub retries: usize,
    /// Where the time beyond the ideal went; none if the plan is not known.
    pub loss: Option<Loss>,
    /// What was far from the rest, the farthest first.
    pub outliers: Vec<Outlier>,
}

/// Percentiles, in milliseconds. The rule is that of [`percentile`](crate::stats::percentile).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Latencies {
    /// Of how many attempts.
    pub count: usize,
    /// The arithmetic mean.
    pub mean: f64,
    /// The smallest.
    pub min: f64,
    /// The median.
    pub p50: f64,
    /// Nine tenths are not above it.
    pub p90: f64,
    /// 95 % are not above it.
    pub p95: f64,
    /// 99 % are not above it.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

/// Where the time beyond the ideal went, along the lane of the worker that ended last: its parts and the planned times add up to
/// the round. Each is the median over the rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The median round less the ideal, in milliseconds; the other fields say what it is made of.
    pub total_ms: f64,
    /// The server held its delays longer than planned.
    pub server_ms: f64,
    /// Connecting, sending, and waiting for the head of the response, beyond the delay.
    pub waiting_ms: f64,
    /// The body, beyond its planned pace.
    pub transfer_ms: f64,
    /// Before, between and after the downloads: the client's own work.
    pub client_ms: f64,
    /// What of that came before the first request. Of a command only, whose process has to start.
    pub startup_ms: Option<f64>,
    /// The downloads were shared out otherwise than the perfect client would have; below zero if that was luck.
    pub order_ms: f64,
}

/// One attempt or round far from the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Outlier {
    /// The round, from 1.
    pub round: usize,
    /// The download; none if the whole round is meant.
    #[schemars(with = "Option<String>")]
    pub code: Option<CountryCode>,
    /// The attempt at it.
    pub attempt: Option<u32>,
    /// By how much it was longer than planned (a round: than the median).
    #[serde(rename = "excess_ms", with = "millis")]
    #[schemars(with = "f64")]
    pub excess: Duration,
    /// Why, as far as it is known.
    pub cause: Cause,
}

/// Why something was far from the rest.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The worker's first request, which makes its connection.
    FirstConnection,
    /// It is a retry, which may need a connection again.
    Retry,
    /// It ended in an error.
    Error,
    /// The first measured round.
    FirstRound,
    /// The server held the delay longer than planned.
    Server,
    /// The server has a capacity: it was served slowly, or waited its turn.
    Capacity,
    /// Not known.
    Unknown,
}

/// What a reader should know before trusting the numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "snake_case",
    deny_unknown_fields
)]
pub enum Warning {
    /// Too few rounds for an interval that means something.
    TooFewRounds {
        /// The fewest rounds of any lane.
        rounds: usize,
    },
    /// The rounds of a lane differ much.
    NoisyMachine {
        /// The lane.
        lane: String,
        /// The width of the interval of its time, as a share of the median.
        spread: f64,
    },
    /// Other programs were at work when the measurement began.
    BusyMachine {
        /// The load average over one minute.
        load: f64,
        /// The logical processors.
        cores: usize,
    },
    /// A client that is busy itself measures itself.
    ClientSaturated {
        /// The lane.
        lane: String,
        /// The share of its time in which it used a processor; above 1: several.
        busy: f64,
    },
    /// The server did not do what was planned.
    ServerNotAsPlanned {
        /// The lane.
        lane: String,
        /// Downloads that failed though the plan wanted them to go well, or the other way round.
        outcomes: usize,
        /// Responses that told another delay than the planned one.
        delays: usize,
    },
    /// The server held its delays longer than it should.
    ServerLate {
        /// The lane.
        lane: String,
        /// The 99th percentile of how much longer, in milliseconds.
        p99_ms: f64,
    },
    /// The plan is not known, so there is no ideal and no efficiency.
    NoPlan,
    /// Connections were slow because the program was built for debugging.
    DebugBuild,
    /// An external program did not end well.
    CommandFailed {
        /// The lane.
        lane: String,
        /// The exit code of the first such round.
        exit_code: i32,
        /// In how many rounds.
        rounds: usize,
    },
    /// An external program did not ask for each flag of the job exactly once.
    OtherRequests {
        /// The lane.
        lane: String,
        /// Flags of the job that it did not ask for, in all rounds.
        missing: usize,
        /// Images beyond that, in all rounds.
        extra: usize,
    },
    /// Its user ended it early.
    Interrupted,
    /// Nobody could reach the server any more.
    ServerGone,
}

/// How one contender scales with the number of workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// The contender.
    pub contender: String,
    /// One per number of workers, growing.
    pub points: Vec<ScalingPoint>,
    /// The Universal Scalability Law, fitted to the throughputs; none with fewer than three points.
    pub usl: Option<Usl>,
    /// Where the fitted throughput is highest, if it falls again after it.
    pub peak: Option<f64>,
    /// Where the line through the fewest workers meets the highest throughput: with a client and a server that scale perfectly up to
    /// there, more workers than that buy nothing. None if the throughput still grew almost in proportion at the most workers.
    pub knee: Option<f64>,
}

/// One number of workers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScalingPoint {
    /// The downloads at one time.
    pub workers: usize,
    /// Flags per second, measured.
    pub throughput: f64,
    /// Flags per second of a perfect client.
    pub ideal_throughput: Option<f64>,
    /// What the fitted law says.
    pub fitted_throughput: Option<f64>,
}

impl Analysis {
    /// Computes it.
    pub fn of(measurement: &Measurement) -> Self {
        let lanes: Vec<LaneAnalysis> = measurement
            .lanes
            .iter()
            .map(|lane| LaneAnalysis::of(measurement, lane))
            .collect();
        let scaling = match measurement.kind {
            Kind::Sweep => scaling(measurement, &lanes),
            Kind::Get | Kind::Bench => Vec::new(),
        };
        Self {
            warnings: warnings(measurement, &lanes),
            lanes,
            scaling,
        }
    }
}

impl Estimate {
    /// The median of these values and its interval; none of none.
    pub fn of(values: &[f64]) -> Option<Self> {
        let (lower, upper) = stats::median_interval(values)?;
        let median = stats::median(values)?;
        Some(Self {
            median,
            lower,
            upper,
        })
    }

    /// The width of the interval as a share of the median.
    pub fn spread(&self) -> f64 {
        (self.upper - self.lower) / self.median
    }
}

impl Latencies {
    fn of(latencies: Vec<f64>) -> Option<Self> {
        let values = stats::sorted(latencies);
        let at = |percent| stats::percentile(&values, percent);
        Some(Self {
            count: values.len(),
            mean: values.iter().sum::<f64>() / values.len() as f64,
            min: at(0.0)?,
            p50: at(50.0)?,
            p90: at(90.0)?,
            p95: at(95.0)?,
            p99: at(99.0)?,
            max: at(100.0)?,
        })
    }
}

/// The latencies, in milliseconds, of the attempts with such an outcome.
pub(crate) fn latencies(lane: &Lane, wanted: impl Fn(Outcome) -> bool) -> Vec<f64> {
    lane.samples()
        .filter(|sample| wanted(sample.outcome))
        .map(|sample| stats::millis(sample.latency()))
        .collect()
}

impl LaneAnalysis {
    fn of(measurement: &Measurement, lane: &Lane) -> Self {
        let times: Vec<f64> = lane.times().into_iter().map(stats::millis).collect();
        let elapsed_ms = Estimate::of(&times);
        let median = elapsed_ms.map(|elapsed| Duration::from_secs_f64(elapsed.median / 1e3));
        let ideal = ideal(measurement, lane.workers);
        let reference = reference(measurement, lane);
        let downloads = lane.endings().count();
        let ended = |wanted: &dyn Fn(&Sample) -> bool| {
            lane.endings().filter(|sample| wanted(sample)).count()
        };
        let planned = outcomes(measurement);
        let is_planned = |sample: &Sample| {
            let outcome = planned.get(&sample.code).copied().flatten();
            outcome.is_some_and(Outcome::is_error)
        };
        Self {
            name: lane.name.clone(),
            workers: lane.workers.get(),
            elapsed_ms,
            fastest: lane.times().into_iter().min(),
            slowest: lane.times().into_iter().max(),
            ideal,
            speed_up: reference.and_then(|reference| speed_up(reference, lane)),
            ideal_speed_up: reference.and_then(|reference| {
                stats::ratio(self::ideal(measurement, reference.workers)?, ideal?)
            }),
            efficiency: ideal.and_then(|ideal| stats::ratio(ideal, median?)),
            throughput: throughput(lane),
            latency: Latencies::of(latencies(lane, |outcome| outcome == Outcome::Downloaded)),
            failed_latency: Latencies::of(latencies(lane, Outcome::is_error)),
            cpu_ms_per_download: cpu_per_download(lane),
            memory_bytes_per_worker: lane
                .memory_bytes
                .map(|bytes| bytes / lane.workers.get() as u64),
            downloads,
            not_found: ended(&|sample| sample.outcome == Outcome::NotFound),
            errors: lane.errors(),
            unplanned_errors: ended(&|sample| sample.outcome.is_error() && !is_planned(sample)),
            retries: lane.retries(),
            loss: loss(measurement, lane),
            outliers: outliers(measurement, lane),
        }
    }
}

/// The time of a perfect client with so many workers.
fn ideal(measurement: &Measurement, workers: NonZeroUsize) -> Option<Duration> {
    let ideal = ideal_makespan(measurement.planned_times()?, workers);
    (!ideal.is_zero()).then_some(ideal)
}

/// The lane that this one is compared with.
fn reference<'m>(measurement: &'m Measurement, lane: &Lane) -> Option<&'m Lane> {
    match measurement.kind {
        Kind::Sweep => {
            let own = |other: &&Lane| other.contender == lane.contender;
            let lanes = measurement.lanes.iter().filter(own);
            lanes.min_by_key(|lane| lane.workers)
        }
        Kind::Get | Kind::Bench => measurement.lanes.first(),
    }
}

/// Paired by round: what slowed the machine down in one round slowed both.
fn speed_up(reference: &Lane, lane: &Lane) -> Option<Estimate> {
    let pairs = reference.times().into_iter().zip(lane.times());
    let ratios: Option<Vec<f64>> = pairs
        .map(|(reference, time)| stats::ratio(reference, time))
        .collect();
    Estimate::of(&ratios?)
}

fn throughput(lane: &Lane) -> Option<Estimate> {
    let per_second = |round: &Round| {
        let whole = round
            .samples
            .iter()
            .filter(|sample| sample.outcome == Outcome::Downloaded)
            .count();
        (!round.elapsed.is_zero()).then(|| whole as f64 / round.elapsed.as_secs_f64())
    };
    let rates: Option<Vec<f64>> = lane.rounds.iter().map(per_second).collect();
    Estimate::of(&rates?)
}

fn cpu_per_download(lane: &Lane) -> Option<f64> {
    let share = |round: &Round| {
        let downloads = round
            .samples
            .iter()
            .filter(|sample| sample.is_last())
            .count();
        (downloads > 0).then_some(stats::millis(round.cpu?) / downloads as f64)
    };
    let shares: Option<Vec<f64>> = lane.rounds.iter().map(share).collect();
    stats::median(&shares?)
}

/// How each download is planned to end.
fn outcomes(measurement: &Measurement) -> HashMap<CountryCode, Option<Outcome>> {
    let plan = measurement.plan.iter().flatten();
    plan.map(|planned| (planned.code, planned.outcome()))
        .collect()
}

/// What was planned for this attempt.
fn planned_time(
    planned: &HashMap<CountryCode, &Planned>,
    first: u32,
    sample: &Sample,
) -> Option<super::PlannedAttempt> {
    let attempts = &planned.get(&sample.code)?.attempts;
    attempts
        .get(sample.attempt.checked_sub(first)? as usize)
        .copied()
}

/// What was planned for an attempt that the job does not have, and a command made: all that is known is the delay.
fn unasked(sample: &Sample) -> Option<super::PlannedAttempt> {
    let delay = sample.plan?;
    Some(super::PlannedAttempt {
        outcome: sample.outcome,
        delay,
        time: delay,
        pause: Duration::ZERO,
    })
}

fn by_code(measurement: &Measurement) -> HashMap<CountryCode, &Planned> {
    let plan = measurement.plan.iter().flatten();
    plan.map(|planned| (planned.code, planned)).collect()
}

fn signed_millis(longer: Duration, shorter: Duration) -> f64 {
    stats::millis(longer) - stats::millis(shorter)
}

fn loss(measurement: &Measurement, lane: &Lane) -> Option<Loss> {
    let ideal = ideal(measurement, lane.workers)?;
    let planned = by_code(measurement);
    let is_command = matches!(lane.contender, ContenderRecord::Command { .. });
    let mut startups = Vec::new();
    let mut parts: [Vec<f64>; 6] = Default::default();
    for round in &lane.rounds {
        let last = round.samples.iter().max_by_key(|sample| sample.done)?;
        let (mut server, mut waiting, mut transfer, mut plan) = (0.0, 0.0, 0.0, Duration::ZERO);
        let mut busy = Duration::ZERO;
        for sample in round
            .samples
            .iter()
            .filter(|sample| sample.worker == last.worker)
        {
            let expected = planned_time(&planned, measurement.job.first_attempt, sample);
            let expected = expected.or_else(|| unasked(sample).filter(|_| is_command))?;
            let pause = sample.retry_in.unwrap_or_default();
            plan += expected.time + pause;
            busy += sample.latency() + pause;
            let told = sample.wait.zip(sample.plan);
            let late = told.map_or(0.0, |(wait, plan)| signed_millis(wait, plan));
            let body = expected.time.saturating_sub(expected.delay);
            match sample.headers {
                Some(headers) => {
                    server += late;
                    waiting +=
                        signed_millis(headers.saturating_sub(sample.sent), expected.delay) - late;
                    transfer += signed_millis(sample.done.saturating_sub(headers), body);
                }
                None => waiting += signed_millis(sample.latency(), expected.time),
            }
        }
        let client = signed_millis(round.elapsed, busy);
        let first = round.samples.iter().map(|sample| sample.sent).min();
        startups.extend(first.filter(|_| is_command).map(stats::millis));
        let order = signed_millis(plan, ideal);
        let total = signed_millis(round.elapsed, ideal);
        for (all, part) in parts
            .iter_mut()
            .zip([total, server, waiting, transfer, client, order])
        {
            all.push(part);
        }
    }
    let [total, server, waiting, transfer, client, order] = parts.map(|part| stats::median(&part));
    Some(Loss {
        total_ms: total?,
        server_ms: server?,
        waiting_ms: waiting?,
        transfer_ms: transfer?,
        client_ms: client?,
        startup_ms: stats::median(&startups),
        order_ms: order?,
    })
}

fn outliers(measurement: &Measurement, lane: &Lane) -> Vec<Outlier> {
    let times: Vec<f64> = lane.times().into_iter().map(stats::millis).collect();
    let middle = stats::median(&times).unwrap_or_default();
    let rounds = stats::high_outliers(&times)
        .into_iter()
        .map(|index| Outlier {
            round: index + 1,
            code: None,
            attempt: None,
            excess: Duration::from_secs_f64((times[index] - middle).max(0.0) / 1e3),
            cause: if index == 0 {
                Cause::FirstRound
            } else {
                Cause::Unknown
            },
        });

    let scenario = measurement.server.scenario.as_ref();
    let scenario = scenario.and_then(|scenario| Scenario::from_toml(&scenario.toml).ok());
    let has_capacity = scenario.is_some_and(|scenario| scenario.capacity().is_some());
    let planned = by_code(measurement);
    let excess = |sample: &Sample| {
        let expected = planned_time(&planned, measurement.job.first_attempt, sample);
        let expected = expected.map(|expected| expected.time).or(sample.plan);
        sample
            .latency()
            .saturating_sub(expected.unwrap_or_default())
    };
    let samples: Vec<(usize, &Round, &Sample)> = lane
        .rounds
        .iter()
        .enumerate()
        .flat_map(|(index, round)| {
            round
                .samples
                .iter()
                .map(move |sample| (index, round, sample))
        })
        .collect();
    let excesses: Vec<f64> = samples
        .iter()
        .map(|(.., sample)| stats::millis(excess(sample)))
        .collect();
    let far = stats::high_outliers(&excesses).into_iter().map(|place| {
        let (index, round, sample) = samples[place];
        Outlier {
            round: index + 1,
            code: Some(sample.code),
            attempt: Some(sample.attempt),
            excess: excess(sample),
            cause: match cause(round, sample, excess(sample)) {
                Cause::Unknown if has_capacity => Cause::Capacity,
                cause => cause,
            },
        }
    });
    let mut outliers: Vec<Outlier> = rounds.chain(far).collect();
    outliers.sort_by_key(|outlier| Reverse(outlier.excess));
    outliers.truncate(MOST_OUTLIERS);
    outliers
}

fn cause(round: &Round, sample: &Sample, excess: Duration) -> Cause {
    let late = sample
        .wait
        .unwrap_or_default()
        .saturating_sub(sample.plan.unwrap_or_default());
    let mut own = round
        .samples
        .iter()
        .filter(|other| other.worker == sample.worker);
    if sample.outcome.is_error() {
        Cause::Error
    } else if sample.attempt > 1
        && own
            .clone()
            .any(|other| other.code == sample.code && other.attempt < sample.attempt)
    {
        Cause::Retry
    } else if late > excess / 2 {
        Cause::Server
    } else if own.all(|other| other.sent >= sample.sent) {
        Cause::FirstConnection
    } else {
        Cause::Unknown
    }
}

fn warnings(measurement: &Measurement, lanes: &[LaneAnalysis]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if measurement.interrupted {
        warnings.push(Warning::Interrupted);
    }
    if measurement.server_gone {
        warnings.push(Warning::ServerGone);
    }
    if measurement.environment.build == "debug" {
        warnings.push(Warning::DebugBuild);
    }
    let fewest = measurement.lanes.iter().map(|lane| lane.rounds.len()).min();
    if measurement.kind != Kind::Get
        && let Some(rounds) = fewest
        && rounds < ENOUGH_ROUNDS
    {
        warnings.push(Warning::TooFewRounds { rounds });
    }
    let environment = &measurement.environment;
    if let Some((load, cores)) = environment.load.zip(environment.cores)
        && load > cores.get() as f64 / 2.0
    {
        warnings.push(Warning::BusyMachine {
            load,
            cores: cores.get(),
        });
    }
    if measurement.plan.is_none() {
        warnings.push(Warning::NoPlan);
    }
    for (lane, numbers) in measurement.lanes.iter().zip(lanes) {
        warnings.extend(warnings_of(measurement, lane, numbers));
    }
    warnings
}

fn warnings_of(measurement: &Measurement, lane: &Lane, numbers: &LaneAnalysis) -> Vec<Warning> {
    let name = || lane.name.clone();
    let mut warnings = Vec::new();
    let spread = numbers.elapsed_ms.map_or(0.0, |elapsed| elapsed.spread());
    if lane.rounds.len() >= ENOUGH_ROUNDS && spread > NOISY {
        warnings.push(Warning::NoisyMachine {
            lane: name(),
            spread,
        });
    }
    let busy: Option<Vec<f64>> = lane
        .rounds
        .iter()
        .map(|round| stats::ratio(round.cpu?, round.elapsed))
        .collect();
    let busy = busy
        .and_then(|shares| stats::median(&shares))
        .unwrap_or_default();
    if busy > SATURATED * processors(measurement, lane) {
        warnings.push(Warning::ClientSaturated { lane: name(), busy });
    }
    let planned = by_code(measurement);
    if measurement.server.scenario.is_some() {
        let first = measurement.job.first_attempt;
        let attempt = |sample: &Sample| planned_time(&planned, first, sample);
        let differs =
            |sample: &&Sample| attempt(sample).is_some_and(|plan| plan.outcome != sample.outcome);
        let told = |sample: &&Sample| {
            // The last response of a chain of redirects tells none: the delay was held before the first.
            let told = sample.plan.filter(|told| !told.is_zero());
            let pair = attempt(sample).zip(told);
            pair.is_some_and(|(plan, told)| plan.delay.abs_diff(told) > TOLD)
        };
        let outcomes = lane.samples().filter(differs).count();
        let delays = lane.samples().filter(told).count();
        if outcomes + delays > 0 {
            warnings.push(Warning::ServerNotAsPlanned {
                lane: name(),
                outcomes,
                delays,
            });
        }
    }
    let late = lane
        .samples()
        .filter_map(|sample| Some(stats::millis(sample.wait?.saturating_sub(sample.plan?))));
    if let Some(p99_ms) = stats::percentile(&stats::sorted(late.collect()), 99.0)
        && p99_ms > stats::millis(LATE)
    {
        warnings.push(Warning::ServerLate {
            lane: name(),
            p99_ms,
        });
    }
    let failed: Vec<i32> = lane
        .rounds
        .iter()
        .filter_map(|round| round.exit_code)
        .collect();
    if let Some(&exit_code) = failed.first() {
        warnings.push(Warning::CommandFailed {
            lane: name(),
            exit_code,
            rounds: failed.len(),
        });
    }
    if let ContenderRecord::Command { .. } = lane.contender {
        let wanted = measurement.job.codes.len() * lane.rounds.len();
        let found = lane.rounds.iter().map(|round| {
            let endings = round.samples.iter().filter(|sample| sample.is_last());
            let mut codes: Vec<CountryCode> = endings.map(|sample| sample.code).collect();
            let all = codes.len();
            codes.sort_unstable();
            codes.dedup();
            codes.retain(|code| measurement.job.codes.contains(code));
            (codes.len(), all - codes.len())
        });
        let (asked, extra) = found.fold((0, 0), |sum, round| (sum.0 + round.0, sum.1 + round.1));
        if wanted > asked || extra > 0 {
            warnings.push(Warning::OtherRequests {
                lane: name(),
                missing: wanted - asked,
                extra,
            });
        }
    }
    warnings
}

/// How many processors the contender can keep busy.
fn processors(measurement: &Measurement, lane: &Lane) -> f64 {
    let cores = measurement
        .environment
        .cores
        .map_or(1.0, |cores| cores.get() as f64);
    match &lane.contender {
        ContenderRecord::Strategy {
            strategy, runtime, ..
        } => match (strategy.as_str(), runtime.as_deref()) {
            ("sequential", _) | ("async", Some("current-thread")) => 1.0,
            _ => cores.min(lane.workers.get() as f64),
        },
        ContenderRecord::Custom | ContenderRecord::Command { .. } => cores,
    }
}

fn scaling(measurement: &Measurement, lanes: &[LaneAnalysis]) -> Vec<Scaling> {
    let mut contenders: Vec<&ContenderRecord> = Vec::new();
    for lane in &measurement.lanes {
        if !contenders.contains(&&lane.contender) {
            contenders.push(&lane.contender);
        }
    }
    let whole = |numbers: &LaneAnalysis| {
        let ideal_s = numbers.ideal?.as_secs_f64();
        let planned = outcomes(measurement);
        let whole = planned
            .values()
            .filter(|outcome| **outcome == Some(Outcome::Downloaded))
            .count();
        Some(whole as f64 / ideal_s)
    };
    contenders
        .into_iter()
        .map(|contender| {
            let mut points: Vec<ScalingPoint> = measurement
                .lanes
                .iter()
                .zip(lanes)
                .filter(|(lane, _)| lane.contender == *contender)
                .filter_map(|(lane, numbers)| {
                    Some(ScalingPoint {
                        workers: lane.workers.get(),
                        throughput: numbers.throughput?.median,
                        ideal_throughput: whole(numbers),
                        fitted_throughput: None,
                    })
                })
                .collect();
            points.sort_by_key(|point| point.workers);
            let pairs: Vec<(f64, f64)> = points
                .iter()
                .map(|point| (point.workers as f64, point.throughput))
                .collect();
            let usl = Usl::fit(&pairs);
            for point in &mut points {
                point.fitted_throughput = usl.map(|law| law.throughput(point.workers as f64));
            }
            let of_it = |lane: &&Lane| lane.contender == *contender;
            let name = measurement
                .lanes
                .iter()
                .find(of_it)
                .map(|lane| lane.name.as_str())
                .unwrap_or_default();
            Scaling {
                contender: name.split('@').next().unwrap_or(name).to_owned(),
                points,
                peak: usl.and_then(|law| law.peak()),
                usl,
                knee: stats::knee(&pairs),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Job;
    use crate::result::{Kind, PlannedAttempt};
    use crate::target::Target;
    use flag_server::config::ScenarioSource;

    fn ms(millis: f64) -> Duration {
        Duration::from_secs_f64(millis / 1e3)
    }

    fn code(text: &str) -> CountryCode {
        text.parse().unwrap()
    }

    /// BR, CN and JP are delayed by 100, 200 and 300 ms.
    fn measurement(lanes: Vec<Lane>) -> Measurement {
        let target = Target::embedded(&ScenarioSource::Profile("local"), None).unwrap();
        let job = Job::new("", ["BR", "CN", "JP"].map(code).to_vec());
        let planned = |(&code, millis): (&CountryCode, f64)| Planned {
            code,
            attempts: vec![PlannedAttempt {
                outcome: Outcome::Downloaded,
                delay: ms(millis),
                time: ms(millis),
                pause: Duration::ZERO,
            }],
        };
        let plan = job.codes.iter().zip([100.0, 200.0, 300.0]).map(planned);
        Measurement {
            plan: Some(plan.collect()),
            lanes,
            ..Measurement::new(Kind::Bench, &job, &target, Vec::new())
        }
    }

    fn lane(name: &str, workers: usize, rounds: Vec<Round>) -> Lane {
        Lane {
            name: name.to_owned(),
            contender: ContenderRecord::Custom,
            workers: NonZeroUsize::new(workers).unwrap(),
            memory_bytes: Some(3000),
            rounds,
            unfinished: None,
        }
    }

    /// A flag that was asked for at `sent`: the server held `wait`, the head came at `headers` and the end at `done`.
    fn sample(text: &str, worker: usize, [sent, wait, headers, done]: [f64; 4]) -> Sample {
        let plan = match text {
            "BR" => 100.0,
            "CN" => 200.0,
            _ => 300.0,
        };
        Sample {
            code: code(text),
            attempt: 1,
            worker,
            outcome: Outcome::Downloaded,
            error: None,
            status: Some(200),
            bytes: 1,
            queued: Duration::ZERO,
            sent: ms(sent),
            headers: Some(ms(headers)),
            done: ms(done),
            plan: Some(ms(plan)),
            wait: Some(ms(wait)),
            retry_in: None,
        }
    }

    fn round(elapsed: f64, cpu: f64, samples: Vec<Sample>) -> Round {
        Round {
            began: Duration::ZERO,
            elapsed: ms(elapsed),
            cpu: Some(ms(cpu)),
            exit_code: None,
            samples,
        }
    }

    /// One after the other: 5 ms before, 1 ms of lateness in each wait, 3, 4 and 5 ms of connecting and so on, 2 ms for each body, 1 ms
    /// between two.
    fn one_after_the_other(elapsed: f64) -> Round {
        let samples = vec![
            sample("BR", 0, [5.0, 101.0, 109.0, 111.0]),
            sample("CN", 0, [112.0, 201.0, 317.0, 319.0]),
            sample("JP", 0, [320.0, 301.0, 626.0, 628.0]),
        ];
        round(elapsed, 6.0, samples)
    }

    /// BR and CN at once, then JP where BR was.
    fn two_at_a_time(elapsed: f64) -> Round {
        let samples = vec![
            sample("BR", 0, [1.0, 100.0, 103.0, 104.0]),
            sample("CN", 1, [1.0, 200.0, 203.0, 204.0]),
            sample("JP", 0, [105.0, 300.0, 407.0, 408.0]),
        ];
        round(elapsed, 9.0, samples)
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    fn both() -> Analysis {
        Analysis::of(&measurement(vec![
            lane(
                "one",
                1,
                [630.0, 640.0, 630.0].map(one_after_the_other).to_vec(),
            ),
            lane("two", 2, [420.0, 410.0, 420.0].map(two_at_a_time).to_vec()),
        ]))
    }

    #[test]
    fn the_ideal_is_that_of_as_many_workers_and_the_efficiency_its_share_of_the_median() {
        let analysis = both();
        let [one, two] = &analysis.lanes[..] else {
            panic!("two lanes")
        };
        assert_eq!(one.ideal, Some(ms(600.0)));
        // BR ends at 100, so JP begins there and ends at 400; CN ends at 200.
        assert_eq!(two.ideal, Some(ms(400.0)));
        close(one.elapsed_ms.unwrap().median, 630.0);
        close(two.elapsed_ms.unwrap().median, 420.0);
        close(one.efficiency.unwrap(), 600.0 / 630.0);
        close(two.efficiency.unwrap(), 400.0 / 420.0);
        close(two.ideal_speed_up.unwrap(), 1.5);
        assert_eq!(
            (two.fastest, two.slowest),
            (Some(ms(410.0)), Some(ms(420.0)))
        );
    }

    #[test]
    fn speed_ups_are_paired_by_round() {
        let analysis = both();
        // 630/420, 640/410, 630/420: the median is 1.5, the interval goes to the second.
        let speed_up = analysis.lanes[1].speed_up.unwrap();
        close(speed_up.median, 1.5);
        close(speed_up.lower, 1.5);
        close(speed_up.upper, 640.0 / 410.0);
        close(analysis.lanes[0].speed_up.unwrap().upper, 1.0);
    }

    #[test]
    fn rates_are_per_flag_and_per_worker() {
        let analysis = both();
        let [one, two] = &analysis.lanes[..] else {
            panic!("two lanes")
        };
        close(one.throughput.unwrap().median, 3.0 / 0.63);
        close(one.cpu_ms_per_download.unwrap(), 2.0);
        close(two.cpu_ms_per_download.unwrap(), 3.0);
        assert_eq!(
            (one.memory_bytes_per_worker, two.memory_bytes_per_worker),
            (Some(3000), Some(1500))
        );
        // 106, 207 and 308, three times each: of nine, h = 8 × 0.5 = 4 is the fifth.
        let latency = one.latency.unwrap();
        close(latency.p50, 207.0);
        close(latency.mean, 207.0);
        close(latency.max, 308.0);
        assert_eq!(latency.count, 9);
        assert_eq!(one.failed_latency, None);
    }

    #[test]
    fn what_was_lost_is_divided_among_its_causes_and_adds_up() {
        let analysis = Analysis::of(&measurement(vec![lane(
            "one",
            1,
            vec![one_after_the_other(630.0)],
        )]));
        let loss = analysis.lanes[0].loss.unwrap();
        close(loss.total_ms, 30.0);
        close(loss.server_ms, 3.0);
        // Heads after 104, 205 and 306 ms, less the plan and the lateness: 3 + 4 + 5.
        close(loss.waiting_ms, 12.0);
        close(loss.transfer_ms, 6.0);
        // 5 before, 1 + 1 between, 2 after.
        close(loss.client_ms, 9.0);
        close(loss.order_ms, 0.0);
        close(
            loss.server_ms + loss.waiting_ms + loss.transfer_ms + loss.client_ms + loss.order_ms,
            loss.total_ms,
        );
    }

    #[test]
    fn another_order_than_the_ideal_one_is_named_as_such() {
        // JP begins where CN was: its worker is busy for 500 planned milliseconds instead of 400.
        let samples = vec![
            sample("BR", 0, [0.0, 100.0, 100.0, 100.0]),
            sample("CN", 1, [0.0, 200.0, 200.0, 200.0]),
            sample("JP", 1, [200.0, 300.0, 500.0, 500.0]),
        ];
        let analysis = Analysis::of(&measurement(vec![lane(
            "two",
            2,
            vec![round(500.0, 1.0, samples)],
        )]));
        let loss = analysis.lanes[0].loss.unwrap();
        close(loss.total_ms, 100.0);
        close(loss.order_ms, 100.0);
        close(loss.client_ms, 0.0);
    }

    #[test]
    fn an_outlier_has_the_cause_that_is_known() {
        let mut rounds = vec![one_after_the_other(630.0); 6];
        // All of them are 6, 7 or 8 ms longer than planned, but these.
        rounds[1].samples[0].done += ms(40.0);
        rounds[2].samples[1].done += ms(50.0);
        rounds[3].samples[2].outcome = Outcome::HttpError;
        rounds[3].samples[2].done += ms(60.0);
        rounds[4].samples[1].wait = Some(ms(270.0));
        rounds[4].samples[1].done += ms(70.0);
        let analysis = Analysis::of(&measurement(vec![lane("one", 1, rounds)]));
        let found: Vec<_> = analysis.lanes[0]
            .outliers
            .iter()
            .map(|outlier| {
                (
                    outlier.round,
                    outlier.code.unwrap().to_string(),
                    outlier.cause,
                )
            })
            .collect();
        let expected = [
            (5, "CN", Cause::Server),
            (4, "JP", Cause::Error),
            (3, "CN", Cause::Unknown),
            (2, "BR", Cause::FirstConnection),
        ];
        assert_eq!(
            found,
            expected.map(|(round, code, cause)| (round, code.to_owned(), cause))
        );
        assert_eq!(analysis.lanes[0].outliers[3].excess, ms(46.0));
    }

    #[test]
    fn warnings_are_given_for_what_a_reader_should_know() {
        let kinds = |measurement: &Measurement| -> Vec<Warning> {
            let all = Analysis::of(measurement).warnings.into_iter();
            // What depends on the machine of the test.
            let here = |warning: &Warning| {
                matches!(warning, Warning::DebugBuild | Warning::BusyMachine { .. })
            };
            all.filter(|warning| !here(warning)).collect()
        };
        let steady = || vec![one_after_the_other(630.0); 5];
        assert_eq!(kinds(&measurement(vec![lane("one", 1, steady())])), []);

        let few = measurement(vec![
            lane("one", 1, steady()),
            lane("two", 2, vec![two_at_a_time(420.0)]),
        ]);
        assert_eq!(kinds(&few), [Warning::TooFewRounds { rounds: 1 }]);

        let noisy = [600.0, 700.0, 650.0, 800.0, 620.0]
            .map(one_after_the_other)
            .to_vec();
        let found = kinds(&measurement(vec![lane("one", 1, noisy)]));
        assert!(
            matches!(&found[..], [Warning::NoisyMachine { spread, .. }] if *spread > 0.2),
            "{found:?}"
        );

        let mut busy = steady();
        for round in &mut busy {
            round.cpu = Some(ms(10_000.0));
        }
        let found = kinds(&measurement(vec![lane("one", 1, busy)]));
        assert!(
            matches!(&found[..], [Warning::ClientSaturated { busy, .. }] if *busy > 15.0),
            "{found:?}"
        );

        let mut other = steady();
        other[0].samples[0].outcome = Outcome::HttpError;
        other[1].samples[1].plan = Some(ms(150.0));
        let found = kinds(&measurement(vec![lane("one", 1, other)]));
        let expected = Warning::ServerNotAsPlanned {
            lane: "one".to_owned(),
            outcomes: 1,
            delays: 1,
        };
        assert!(found.contains(&expected), "{found:?}");

        let mut unknown = measurement(vec![lane("one", 1, steady())]);
        unknown.plan = None;
        unknown.interrupted = true;
        assert_eq!(kinds(&unknown), [Warning::Interrupted, Warning::NoPlan]);
    }

    #[test]
    fn a_sweep_is_compared_with_its_own_fewest_workers_and_its_knee_is_named() {
        let lanes = [(1, 600.0), (2, 300.0), (4, 200.0), (8, 200.0)];
        let lanes = lanes.map(|(workers, elapsed)| {
            let mut lane = lane(
                &format!("own@{workers}"),
                workers,
                vec![one_after_the_other(elapsed); 2],
            );
            lane.contender = ContenderRecord::Custom;
            lane
        });
        let sweep = Measurement {
            kind: Kind::Sweep,
            ..measurement(lanes.to_vec())
        };
        let analysis = Analysis::of(&sweep);
        close(analysis.lanes[3].speed_up.unwrap().median, 3.0);
        let [scaling] = &analysis.scaling[..] else {
            panic!("one contender")
        };
        assert_eq!(scaling.contender, "own");
        // Five per second and worker; fifteen is the most.
        close(scaling.points[0].throughput, 5.0);
        close(scaling.points[3].throughput, 15.0);
        close(scaling.knee.unwrap(), 3.0);
        assert!(scaling.usl.is_some());
    }

    #[test]
    fn nothing_measured_is_nothing_said() {
        let analysis = Analysis::of(&measurement(vec![lane("one", 1, Vec::new())]));
        let numbers = &analysis.lanes[0];
        assert_eq!(
            (numbers.elapsed_ms, numbers.latency, numbers.loss),
            (None, None, None)
        );
        assert_eq!(numbers.downloads, 0);
    }
}
