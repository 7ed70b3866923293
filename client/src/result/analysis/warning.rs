//! What a reader should know before trusting the numbers, as data; `report::words` has the
//! sentences.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::KnownPlan;
use super::requests::UnaskedRequests;
use super::series::SeriesAnalysis;
use crate::download::Sample;
use crate::result::environment::Neighbourhood;
use crate::result::ideal::NoIdeal;
use crate::result::interval::{FEWEST, is_autocorrelated};
use crate::result::measurement::{ContenderRecord, Kind, Measurement, Round, Series};
use crate::result::stats;

/// How far a speed-up may be from the ratio of the medians beside it.
const FAR: f64 = 0.05;
/// The width of an interval, as a share of the median, from which the machine counts as noisy.
const NOISY: f64 = 0.05;
/// The share of one processor (of all, for a contender that can use them) from which a client
/// counts as saturated.
const SATURATED: f64 = 0.9;
/// How much longer than planned a server may hold a delay in one of a hundred responses.
const LATE: Duration = Duration::from_millis(2);
/// How much quicker than planned an attempt may be, in milliseconds.
const QUICK_MS: f64 = 1.0;
/// How far a reported delay may be from the planned one: `server-timing` has microseconds.
const TOLD: Duration = Duration::from_micros(2);

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
        /// The fewest rounds of any series.
        rounds: usize,
    },
    /// The rounds of a series differ much.
    NoisyMachine {
        /// The series.
        #[serde(rename = "lane")]
        series: String,
        /// The width of the interval of its time, as a share of the median.
        spread: f64,
    },
    /// Each round of a series depends on the one before it: the machine drifts.
    DependentRounds {
        /// The series.
        #[serde(rename = "lane")]
        series: String,
    },
    /// The speed-up, which is paired by round, is not the ratio of the medians in the table.
    PairedOtherwise {
        /// The series.
        #[serde(rename = "lane")]
        series: String,
        /// The median of the ratios.
        speed_up: f64,
        /// The ratio of the medians.
        ratio: f64,
    },
    /// The series did not do the whole job.
    NotRanked {
        /// The series.
        #[serde(rename = "lane")]
        series: String,
        /// Downloads that are missing, wrong, or failed against the plan.
        unplanned: usize,
        /// The downloads that there should be, in all rounds.
        wanted: usize,
    },
    /// Other programs were at work during the measurement.
    BusyMachine {
        /// How much they did.
        #[serde(flatten)]
        neighbours: Neighbourhood,
    },
    /// A client that is busy itself measures itself.
    ClientSaturated {
        /// The series.
        #[serde(rename = "lane")]
        series: String,
        /// The share of its time in which it used a processor; above 1: several.
        busy: f64,
    },
    /// The server did not do what was planned.
    ServerNotAsPlanned {
        /// The series.
        #[serde(rename = "lane")]
        series: String,
        /// Downloads that failed though the plan wanted them to go well, or the other way round.
        outcomes: usize,
        /// Responses that reported another delay than the planned one.
        delays: usize,
    },
    /// Attempts were quicker than planned, which they cannot be.
    BelowPlan {
        /// The series.
        #[serde(rename = "lane")]
        series: String,
        /// By how much at most, in milliseconds.
        most_ms: f64,
    },
    /// The server held its delays longer than it should.
    ServerLate {
        /// The series.
        #[serde(rename = "lane")]
        series: String,
        /// The 99th percentile of how much longer, in milliseconds.
        p99_ms: f64,
    },
    /// The server reports no plan, so there is no ideal and no efficiency.
    NoPlan,
    /// There is no ideal for the series, and so no efficiency and no list of losses.
    NoIdeal {
        /// The series.
        #[serde(rename = "lane")]
        series: String,
        /// Why.
        reason: String,
    },
    /// The program was built for debugging: its figures mean little.
    DebugBuild,
    /// An external program did not end well.
    CommandFailed {
        /// The series.
        #[serde(rename = "lane")]
        series: String,
        /// The exit code of the first such round.
        exit_code: i32,
        /// In how many rounds.
        rounds: usize,
    },
    /// An external program took longer than it may, and was ended.
    CommandTimedOut {
        /// The series.
        #[serde(rename = "lane")]
        series: String,
        /// Its time limit, in milliseconds.
        limit_ms: f64,
        /// The rounds that were complete before.
        rounds: usize,
    },
    /// An external program did not ask for each flag of the job exactly once, or asked for more.
    OtherRequests {
        /// The series.
        #[serde(rename = "lane")]
        series: String,
        /// Flags of the job that it did not ask for, in all rounds.
        missing: usize,
        /// Images beyond that, in all rounds.
        extra: usize,
        /// The flags of the job.
        flags: usize,
        /// The most of each kind in one round.
        in_one_round: UnaskedRequests,
    },
    /// Its user ended it early.
    Interrupted,
    /// The server could not be reached any more.
    ServerGone,
}

impl Warning {
    /// The series that it is about, if it is about one.
    pub fn series(&self) -> Option<&str> {
        match self {
            Self::NoisyMachine { series, .. }
            | Self::DependentRounds { series }
            | Self::PairedOtherwise { series, .. }
            | Self::NotRanked { series, .. }
            | Self::ClientSaturated { series, .. }
            | Self::ServerNotAsPlanned { series, .. }
            | Self::BelowPlan { series, .. }
            | Self::ServerLate { series, .. }
            | Self::CommandFailed { series, .. }
            | Self::CommandTimedOut { series, .. }
            | Self::NoIdeal { series, .. }
            | Self::OtherRequests { series, .. } => Some(series),
            Self::TooFewRounds { .. }
            | Self::BusyMachine { .. }
            | Self::NoPlan
            | Self::DebugBuild
            | Self::Interrupted
            | Self::ServerGone => None,
        }
    }

    /// The same warning about both series, with the worse of their figures; none if each has to be
    /// told by itself.
    pub fn merged(&self, other: &Self) -> Option<Self> {
        let mut merged = self.clone();
        match (&mut merged, other) {
            (Self::DependentRounds { .. }, Self::DependentRounds { .. }) => {}
            (Self::NoIdeal { reason, .. }, Self::NoIdeal { reason: other, .. })
                if reason == other => {}
            (
                Self::NoisyMachine { spread: worse, .. },
                Self::NoisyMachine { spread: figure, .. },
            )
            | (
                Self::ClientSaturated { busy: worse, .. },
                Self::ClientSaturated { busy: figure, .. },
            )
            | (
                Self::BelowPlan { most_ms: worse, .. },
                Self::BelowPlan {
                    most_ms: figure, ..
                },
            )
            | (Self::ServerLate { p99_ms: worse, .. }, Self::ServerLate { p99_ms: figure, .. }) => {
                *worse = worse.max(*figure);
            }
            _ => return None,
        }
        Some(merged)
    }
}

/// All of them: those of the whole first.
pub(super) fn all(
    measurement: &Measurement,
    plan: &KnownPlan<'_>,
    all_series: &[SeriesAnalysis],
) -> Vec<Warning> {
    let mut warnings = of_the_whole(measurement, all_series);
    for (series, numbers) in measurement.series.iter().zip(all_series) {
        let of_series = [
            not_ranked(measurement, series, numbers),
            no_ideal(numbers),
            noisy(series, numbers),
            dependent(series),
            paired_otherwise(measurement, series, numbers),
            saturated(measurement, series),
            not_as_planned(measurement, plan, series),
            below_plan(numbers),
            late(series),
            failed(series),
            timed_out(series),
            other_requests(measurement, series),
        ];
        warnings.extend(of_series.into_iter().flatten());
    }
    warnings
}

fn of_the_whole(measurement: &Measurement, all_series: &[SeriesAnalysis]) -> Vec<Warning> {
    let environment = &measurement.environment;
    let rounds = measurement
        .series
        .iter()
        .filter(|series| series.timed_out().is_none())
        .map(|series| series.rounds.len())
        .min();
    let few = rounds.filter(|rounds| *rounds < FEWEST && measurement.kind != Kind::Get);
    let busy = measurement.neighbours.filter(Neighbourhood::is_busy);
    let is_debug = environment.build == "debug";
    let silent = NoIdeal::Silent.to_string();
    let is_silent = |series: &SeriesAnalysis| series.no_ideal.as_ref() == Some(&silent);
    let has_no_plan = all_series.iter().any(is_silent);
    let warnings = [
        measurement.interrupted.then_some(Warning::Interrupted),
        measurement.server_gone.then_some(Warning::ServerGone),
        is_debug.then_some(Warning::DebugBuild),
        few.map(|rounds| Warning::TooFewRounds { rounds }),
        busy.map(|neighbours| Warning::BusyMachine { neighbours }),
        has_no_plan.then_some(Warning::NoPlan),
    ];
    warnings.into_iter().flatten().collect()
}

fn no_ideal(numbers: &SeriesAnalysis) -> Option<Warning> {
    let reason = numbers.no_ideal.as_ref()?;
    (*reason != NoIdeal::Silent.to_string()).then(|| Warning::NoIdeal {
        series: numbers.name.clone(),
        reason: reason.clone(),
    })
}

fn noisy(series: &Series, numbers: &SeriesAnalysis) -> Option<Warning> {
    let spread = numbers.elapsed_ms?.spread()?;
    (series.rounds.len() >= FEWEST && spread > NOISY).then(|| Warning::NoisyMachine {
        series: series.name.clone(),
        spread,
    })
}

fn dependent(series: &Series) -> Option<Warning> {
    is_autocorrelated(&series.times_ms()).then(|| Warning::DependentRounds {
        series: series.name.clone(),
    })
}

fn not_ranked(
    measurement: &Measurement,
    series: &Series,
    numbers: &SeriesAnalysis,
) -> Option<Warning> {
    // Of what was ended early, another warning speaks.
    (numbers.unplanned_errors > 0 && !numbers.timed_out).then(|| Warning::NotRanked {
        series: series.name.clone(),
        unplanned: numbers.unplanned_errors,
        wanted: measurement.job.codes.len() * series.rounds.len(),
    })
}

fn paired_otherwise(
    measurement: &Measurement,
    series: &Series,
    numbers: &SeriesAnalysis,
) -> Option<Warning> {
    if series.rounds.len() < FEWEST {
        return None;
    }
    let speed_up = numbers.speed_up?.median;
    let reference = measurement.reference(series)?;
    let ratio = stats::median(&reference.times_ms())? / numbers.elapsed_ms?.median;
    ((speed_up / ratio).ln().abs() > (1.0 + FAR).ln()).then(|| Warning::PairedOtherwise {
        series: numbers.name.clone(),
        speed_up,
        ratio,
    })
}

fn saturated(measurement: &Measurement, series: &Series) -> Option<Warning> {
    let share = |round: &Round| stats::ratio(round.cpu?, round.elapsed);
    let shares: Vec<f64> = series.rounds.iter().map(share).collect::<Option<_>>()?;
    let busy = stats::median(&shares)?;
    (busy > SATURATED * processors(measurement, series)).then(|| Warning::ClientSaturated {
        series: series.name.clone(),
        busy,
    })
}

/// How many processors the contender can keep busy.
fn processors(measurement: &Measurement, series: &Series) -> f64 {
    let cores = measurement.environment.cores;
    let cores = cores.map_or(1.0, |cores| cores.get() as f64);
    match &series.contender {
        ContenderRecord::Strategy {
            strategy, runtime, ..
        } => match (strategy.as_str(), runtime.as_deref()) {
            ("sequential", _) | ("async", Some("current-thread")) => 1.0,
            _ => cores.min(series.workers.get() as f64),
        },
        ContenderRecord::Custom | ContenderRecord::Command { .. } => cores,
    }
}

/// Of a server whose scenario is known; the plan of another one is what it reported.
fn not_as_planned(
    measurement: &Measurement,
    plan: &KnownPlan<'_>,
    series: &Series,
) -> Option<Warning> {
    measurement.server.scenario.as_ref()?;
    if series.has_own_run() {
        return None; // another warning says why
    }
    let ended_otherwise = |sample: &&Sample| {
        let planned = plan.attempt(sample).filter(|_| plan.is_certain(sample));
        planned.is_some_and(|planned| planned.outcome != sample.outcome)
    };
    let told_otherwise = |sample: &&Sample| {
        let planned = plan.attempt(sample).filter(|_| plan.is_certain(sample));
        let both = planned.zip(sample.plan);
        both.is_some_and(|(planned, told)| planned.delay.abs_diff(told) > TOLD)
    };
    let outcomes = series.samples().filter(ended_otherwise).count();
    let delays = series.samples().filter(told_otherwise).count();
    (outcomes + delays > 0).then(|| Warning::ServerNotAsPlanned {
        series: series.name.clone(),
        outcomes,
        delays,
    })
}

fn below_plan(numbers: &SeriesAnalysis) -> Option<Warning> {
    let least = numbers.excess?.min?;
    (least < -QUICK_MS).then(|| Warning::BelowPlan {
        series: numbers.name.clone(),
        most_ms: -least,
    })
}

fn late(series: &Series) -> Option<Warning> {
    let late = |sample: &Sample| Some(stats::millis(sample.wait?.saturating_sub(sample.plan?)));
    let sorted = stats::sorted(series.samples().filter_map(late).collect());
    let p99_ms = stats::percentile(&sorted, 99.0)?;
    (p99_ms > stats::millis(LATE)).then(|| Warning::ServerLate {
        series: series.name.clone(),
        p99_ms,
    })
}

fn failed(series: &Series) -> Option<Warning> {
    let codes = series.rounds.iter().filter_map(|round| round.exit_code);
    let codes: Vec<i32> = codes.collect();
    Some(Warning::CommandFailed {
        series: series.name.clone(),
        exit_code: *codes.first()?,
        rounds: codes.len(),
    })
}

fn timed_out(series: &Series) -> Option<Warning> {
    Some(Warning::CommandTimedOut {
        series: series.name.clone(),
        limit_ms: stats::millis(series.timed_out()?.time_limit?),
        rounds: series.rounds.len(),
    })
}

fn other_requests(measurement: &Measurement, series: &Series) -> Option<Warning> {
    if !series.is_command() {
        return None;
    }
    let wanted = &measurement.job.codes;
    let rounds = series.rounds.iter();
    let rounds = rounds.map(|round| UnaskedRequests::of(round, wanted));
    let all: Vec<UnaskedRequests> = rounds.collect();
    let in_one_round = all.iter().copied().reduce(UnaskedRequests::max)?;
    (in_one_round != UnaskedRequests::default()).then(|| Warning::OtherRequests {
        series: series.name.clone(),
        missing: all.iter().map(|of_round| of_round.missing).sum(),
        extra: all
            .iter()
            .map(|of_round| of_round.repeated + of_round.foreign)
            .sum(),
        flags: wanted.len(),
        in_one_round,
    })
}
