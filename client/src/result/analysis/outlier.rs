//! What was far from the rest, and why, as far as it is known.

use std::cmp::Reverse;
use std::time::Duration;

use flag_scenario::Millis;
use flags_data::CountryCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::KnownPlan;
use crate::download::Sample;
use crate::result::measurement::{Round, Series};
use crate::result::stats;

/// The outliers that are kept of each series.
const MOST: usize = 5;

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
    #[serde(rename = "excess_ms", with = "Millis")]
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

/// The farthest of a series: whole rounds, and attempts that took longer than planned.
pub(super) fn all(plan: &KnownPlan<'_>, series: &Series) -> Vec<Outlier> {
    let mut outliers = rounds(series);
    outliers.extend(attempts(plan, series));
    outliers.sort_by_key(|outlier| Reverse(outlier.excess));
    outliers.truncate(MOST);
    outliers
}

fn rounds(series: &Series) -> Vec<Outlier> {
    let times: Vec<f64> = series.times().into_iter().map(stats::millis).collect();
    let middle = stats::median(&times).unwrap_or_default();
    let far = stats::high_outliers(&times).into_iter();
    far.map(|index| Outlier {
        round: index + 1,
        code: None,
        attempt: None,
        excess: Duration::from_secs_f64((times[index] - middle).max(0.0) / 1e3),
        cause: if index == 0 {
            Cause::FirstRound
        } else {
            Cause::Unknown
        },
    })
    .collect()
}

fn attempts(plan: &KnownPlan<'_>, series: &Series) -> Vec<Outlier> {
    let excess = |sample: &Sample| {
        let planned = plan.attempt(sample).map(|planned| planned.time);
        let planned = planned.or(sample.plan).unwrap_or_default();
        sample.latency().saturating_sub(planned)
    };
    let rounds = series.rounds.iter().enumerate();
    let samples: Vec<(usize, &Round, &Sample)> = rounds
        .flat_map(|(index, round)| {
            round
                .samples
                .iter()
                .map(move |sample| (index, round, sample))
        })
        .collect();
    let excesses = samples
        .iter()
        .map(|(.., sample)| stats::millis(excess(sample)));
    let far = stats::high_outliers(&excesses.collect::<Vec<_>>());
    // What is not known otherwise, a capacity explains.
    let unknown = if plan.has_capacity {
        Cause::Capacity
    } else {
        Cause::Unknown
    };
    far.into_iter()
        .map(|place| {
            let (index, round, sample) = samples[place];
            Outlier {
                round: index + 1,
                code: Some(sample.code),
                attempt: Some(sample.attempt),
                excess: excess(sample),
                cause: cause(round, sample, excess(sample)).unwrap_or(unknown),
            }
        })
        .collect()
}

fn cause(round: &Round, sample: &Sample, excess: Duration) -> Option<Cause> {
    let told = sample.wait.zip(sample.plan);
    let late = told.map_or(Duration::ZERO, |(wait, plan)| wait.saturating_sub(plan));
    let of_worker = |other: &&Sample| other.worker == sample.worker;
    let mut own = round.samples.iter().filter(of_worker);
    let earlier = |other: &Sample| other.code == sample.code && other.attempt < sample.attempt;
    if sample.outcome.is_error() {
        Some(Cause::Error)
    } else if own.clone().any(earlier) {
        Some(Cause::Retry)
    } else if late > excess / 2 {
        Some(Cause::Server)
    } else if own.all(|other| other.sent >= sample.sent) {
        Some(Cause::FirstConnection)
    } else {
        None
    }
}
