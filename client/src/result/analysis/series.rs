//! The numbers of one series.

use std::collections::HashMap;
use std::time::Duration;

use flag_scenario::OptionalMillis;
use flags_data::CountryCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::excess::Excess;
use super::loss::Loss;
use super::outlier::{self, Outlier};
use super::plan::KnownPlan;
use crate::download::{Outcome, Sample};
use crate::result::estimate::Estimate;
use crate::result::interval::Looks;
use crate::result::measurement::{Measurement, Round, Series};
use crate::result::stats;

/// The numbers of one series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LaneAnalysis")]
pub struct SeriesAnalysis {
    /// As the series is called.
    pub name: String,
    /// The downloads under way at most; of a command, as many as it was asked for.
    pub workers: usize,
    /// The most requests that the server saw in flight at one time; of a command only.
    pub max_in_flight: Option<usize>,
    /// Whether its time limit ended a round: it then ran no more, and is not ranked. Of a command
    /// only.
    pub timed_out: bool,
    /// Whether it did the whole job in every round: no download is missing, wrong, or failed
    /// against the plan. Without that it has no speed-up, no efficiency and no rank.
    pub ranked: bool,
    /// How long a round took, in milliseconds; none without a round.
    pub elapsed_ms: Option<Estimate>,
    /// From the start of the process to its first request, in milliseconds; the median of the
    /// rounds. Of a command only.
    pub startup_ms: Option<f64>,
    /// How long a round took from the first request on, in milliseconds. Of a command only.
    pub from_first_request_ms: Option<Estimate>,
    /// The quickest round.
    #[serde(rename = "fastest_ms", with = "OptionalMillis")]
    pub fastest: Option<Duration>,
    /// The slowest round.
    #[serde(rename = "slowest_ms", with = "OptionalMillis")]
    pub slowest: Option<Duration>,
    /// The time of a perfect client that takes the flags in the order of the job with as many
    /// workers; none if it is not known.
    #[serde(rename = "ideal_ms", with = "OptionalMillis")]
    pub ideal: Option<Duration>,
    /// Why it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_ideal: Option<String>,
    /// What nobody can beat in whatever order: less than this is not possible.
    #[serde(rename = "bound_ms", with = "OptionalMillis", default)]
    pub bound: Option<Duration>,
    /// How many times as fast as its reference: the first series or the one that was named; in a
    /// sweep, its contender's series with the fewest workers. Paired by round.
    pub speed_up: Option<Estimate>,
    /// The same for perfect clients.
    pub ideal_speed_up: Option<f64>,
    /// The ideal time divided by the median.
    pub efficiency: Option<f64>,
    /// Flags per second that arrived whole, in the median round.
    pub throughput: Option<Estimate>,
    /// From sending a request to the end of its response, of the attempts that brought a flag.
    pub latency: Option<Latencies>,
    /// The same of those that ended in an error: failures have a latency too.
    pub failed_latency: Option<Latencies>,
    /// How much longer than planned the attempts took, whatever the plan wanted of them; none if
    /// the plan is not known.
    #[serde(default)]
    pub excess: Option<Excess>,
    /// The client's processor time per download, in milliseconds: the median of the rounds.
    pub cpu_ms_per_download: Option<f64>,
    /// The memory of the series divided by its workers.
    pub memory_bytes_per_worker: Option<u64>,
    /// Downloads in all rounds, each counted once, as its last attempt.
    pub downloads: usize,
    /// Those that ended with 404.
    pub not_found: usize,
    /// Those that ended in an error.
    pub errors: usize,
    /// Downloads of the job that are missing, wrong, or failed against the plan, in all rounds.
    pub unplanned_errors: usize,
    /// Attempts that were followed by another.
    pub retries: usize,
    /// Where the time beyond the ideal went; none if the plan is not known.
    pub loss: Option<Loss>,
    /// What was far from the rest, the farthest first.
    pub outliers: Vec<Outlier>,
}

/// Percentiles, in milliseconds. The rule is that of
/// [`percentile`](crate::result::stats::percentile).
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
pub(crate) fn latencies(series: &Series, wanted: impl Fn(Outcome) -> bool) -> Vec<f64> {
    series
        .samples()
        .filter(|sample| wanted(sample.outcome))
        .map(|sample| stats::millis(sample.latency()))
        .collect()
}

impl SeriesAnalysis {
    pub(super) fn of(measurement: &Measurement, plan: &KnownPlan<'_>, series: &Series) -> Self {
        let looks = measurement.looks();
        let elapsed_ms = Estimate::of(&series.times_ms(), looks);
        let median = elapsed_ms.map(|elapsed| Duration::from_secs_f64(elapsed.median / 1e3));
        let (ideal, bound) = plan.ideal_of(series);
        let no_ideal = ideal.as_ref().err().map(ToString::to_string);
        let ideal = ideal.unwrap_or_default();
        let unplanned_errors = unplanned_errors(measurement, plan, series);
        let ranked = is_ranked(measurement, plan, series);
        let startups = startups(series);
        let reference = (measurement.reference(series))
            .filter(|reference| ranked && is_ranked(measurement, plan, reference));
        let downloads = series.endings().count();
        let ended = |wanted: &dyn Fn(&Sample) -> bool| {
            series.endings().filter(|sample| wanted(sample)).count()
        };
        Self {
            name: series.name.clone(),
            workers: series.workers.get(),
            max_in_flight: series.max_in_flight(),
            timed_out: series.timed_out().is_some(),
            ranked,
            elapsed_ms,
            startup_ms: startups.as_deref().and_then(stats::median),
            from_first_request_ms: startups
                .and_then(|startups| from_first_request(series, &startups, looks)),
            fastest: series.times().into_iter().min(),
            slowest: series.times().into_iter().max(),
            ideal,
            no_ideal,
            bound,
            speed_up: reference.and_then(|reference| speed_up(reference, series, looks)),
            ideal_speed_up: reference
                .and_then(|reference| stats::ratio(plan.ideal_of(reference).0.ok()??, ideal?)),
            efficiency: ideal
                .filter(|_| ranked)
                .and_then(|ideal| stats::ratio(ideal, median?)),
            throughput: throughput(series, looks),
            latency: Latencies::of(latencies(series, |outcome| outcome == Outcome::Downloaded)),
            failed_latency: Latencies::of(latencies(series, Outcome::is_error)),
            excess: Excess::of(measurement, plan, series),
            cpu_ms_per_download: cpu_per_download(series),
            memory_bytes_per_worker: series
                .memory_bytes
                .map(|bytes| bytes / series.workers.get() as u64),
            downloads,
            not_found: ended(&|sample| sample.outcome == Outcome::NotFound),
            errors: series.errors(),
            unplanned_errors,
            retries: series.retries(),
            loss: ideal
                .filter(|_| ranked)
                .and_then(|_| Loss::of(plan, series)),
            outliers: outlier::all(plan, series),
        }
    }
}

/// Whether it did the whole job, in at least one round and in every one.
fn is_ranked(measurement: &Measurement, plan: &KnownPlan<'_>, series: &Series) -> bool {
    !series.rounds.is_empty()
        && series.timed_out().is_none()
        && unplanned_errors(measurement, plan, series) == 0
}

/// How many downloads of the job are missing, wrong, or failed against the plan, in all rounds.
fn unplanned_errors(measurement: &Measurement, plan: &KnownPlan<'_>, series: &Series) -> usize {
    let of_round = |round: &Round| {
        let mut left: HashMap<CountryCode, usize> = HashMap::new();
        for code in &measurement.job.codes {
            *left.entry(*code).or_default() += 1;
        }
        let endings = round.samples.iter().filter(|sample| sample.is_last());
        for sample in endings.filter(|sample| plan.is_done(series, sample)) {
            if let Some(count) = left.get_mut(&sample.code) {
                *count = count.saturating_sub(1);
            }
        }
        left.into_values().sum::<usize>()
    };
    let rounds = series.rounds.iter().chain(series.timed_out());
    rounds.map(of_round).sum()
}

/// When the first request of each round of a command was sent, in milliseconds; none if a round had
/// no request.
fn startups(series: &Series) -> Option<Vec<f64>> {
    if !series.is_command() {
        return None;
    }
    let firsts = series.rounds.iter().map(Round::first_request);
    firsts.map(|first| first.map(stats::millis)).collect()
}

fn from_first_request(series: &Series, startups: &[f64], looks: Looks) -> Option<Estimate> {
    let times = series.times_ms().into_iter().zip(startups);
    let times: Vec<f64> = times.map(|(time, startup)| time - startup).collect();
    Estimate::of(&times, looks)
}

/// Paired by round: what slowed the machine down in one round slowed both.
fn speed_up(reference: &Series, series: &Series, looks: Looks) -> Option<Estimate> {
    let pairs = reference.times().into_iter().zip(series.times());
    let ratios: Option<Vec<f64>> = pairs
        .map(|(reference, time)| stats::ratio(reference, time))
        .collect();
    Estimate::of_ratios(&ratios?, looks)
}

fn throughput(series: &Series, looks: Looks) -> Option<Estimate> {
    let per_second = |round: &Round| {
        let whole = round
            .samples
            .iter()
            .filter(|sample| sample.outcome == Outcome::Downloaded)
            .count();
        (!round.elapsed.is_zero()).then(|| whole as f64 / round.elapsed.as_secs_f64())
    };
    let rates: Option<Vec<f64>> = series.rounds.iter().map(per_second).collect();
    Estimate::of(&rates?, looks)
}

fn cpu_per_download(series: &Series) -> Option<f64> {
    let share = |round: &Round| {
        let downloads = round
            .samples
            .iter()
            .filter(|sample| sample.is_last())
            .count();
        (downloads > 0).then_some(stats::millis(round.cpu?) / downloads as f64)
    };
    let shares: Option<Vec<f64>> = series.rounds.iter().map(share).collect();
    stats::median(&shares?)
}
