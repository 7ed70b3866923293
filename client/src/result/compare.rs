//! Whether a result is faster or slower than an older one, and whether the two may be compared at
//! all. Pure: it reads no files and words little.

use std::collections::HashMap;
use std::num::NonZeroUsize;

use flag_scenario::Scenario;
use schemars::JsonSchema;
use serde::Serialize;

use super::analysis::Analysis;
use super::estimate::Estimate;
use super::interval::{CONFIDENCE, Interval};
use super::measurement::{Measurement, SCHEMA_VERSION, ScenarioRecord, Series};
use super::stats;

/// The change that counts as none, by default, as a share of the older time.
pub const MARGIN: f64 = 0.05;

/// What has become faster or slower.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The version of the shape.
    pub schema_version: u32,
    /// `comparison`.
    pub kind: ComparisonKind,
    /// How many results there are of the older and of the newer side.
    pub runs: [usize; 2],
    /// The change that counted as none, as a share of the older time.
    pub margin: f64,
    /// In what the two differ though they should not: then the verdicts are about more than the
    /// speed.
    pub differences: Vec<String>,
    /// In what the machines differ.
    pub notes: Vec<String>,
    /// One per series that both have, in the order of the older.
    #[serde(rename = "lanes")]
    pub series: Vec<SeriesComparison>,
}

/// Tells a comparison from a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ComparisonKind {
    /// This is one.
    Comparison,
}

/// One series, then and now.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LaneComparison")]
pub struct SeriesComparison {
    /// As the series is called in all results.
    pub name: String,
    /// The older median time, in milliseconds; of several results, the median of theirs.
    pub old_ms: f64,
    /// The newer one.
    pub new_ms: f64,
    /// The newer divided by the older: above 1 it is slower.
    pub ratio: Estimate,
    /// The least slowdown that these results could have shown, as a share of the older time; none
    /// if no slowdown could be shown at all.
    pub least_change: Option<f64>,
    /// What follows.
    pub verdict: Verdict,
}

/// What follows from an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// All of the interval is below the margin.
    Faster,
    /// All of it is above.
    Slower,
    /// All of it is within.
    Same,
    /// It lies across an end of the margin, or rests on too little.
    Inconclusive,
    /// Downloads of one side are missing, wrong, or failed against the plan: it did not do the job,
    /// so its times are not those of the job.
    Failed,
}

impl Verdict {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::Same => "same",
            Self::Inconclusive => "inconclusive",
            Self::Failed => "failed",
        }
    }

    /// A change smaller than `margin` (0.05: 5 %) is none: with enough rounds every difference
    /// would be *significant*, and no build should fail for a thousandth.
    fn of(ratio: Option<Interval>, margin: f64) -> Self {
        let Some(ratio) = ratio else {
            return Self::Inconclusive;
        };
        let (low, high) = (1.0 - margin, 1.0 + margin);
        if ratio.lower > high {
            Self::Slower
        } else if ratio.upper < low {
            Self::Faster
        } else if low <= ratio.lower && ratio.upper <= high {
            Self::Same
        } else {
            Self::Inconclusive
        }
    }
}

impl Comparison {
    /// Compares older results with newer ones, series by series.
    ///
    /// With one result a side, what is compared is these two runs, and how much a run drifts within
    /// itself stands for how much it would differ from another: [`of_two_runs`]. With at least four
    /// a side, what is compared is runs: [`of_several_runs`].
    pub fn of(old: &[&Measurement], new: &[&Measurement], margin: f64) -> Self {
        let first = old.first();
        let mut found = Vec::new();
        for other in old.iter().skip(1).chain(new) {
            for difference in first.map_or_else(Vec::new, |first| differences(first, other)) {
                if !found.contains(&difference) {
                    found.push(difference);
                }
            }
        }
        let mut notes = (first.zip(new.first())).map_or_else(Vec::new, |(a, b)| notes(a, b));
        if old.len() + new.len() > 2 && !alternates(old, new) {
            notes.push(
                "one side was measured after the other, so drift of the machine counts as change"
                    .to_owned(),
            );
        }
        let runs = |side: &[&Measurement]| -> Vec<HashMap<String, Run>> {
            side.iter().map(|run| Run::all_of(run)).collect()
        };
        let (before, after) = (runs(old), runs(new));
        let names = first.into_iter().flat_map(|first| &first.series);
        Self {
            schema_version: SCHEMA_VERSION,
            kind: ComparisonKind::Comparison,
            runs: [old.len(), new.len()],
            margin,
            differences: found,
            notes,
            series: names
                .filter_map(|series| compare(&series.name, &before, &after, margin))
                .collect(),
        }
    }

    /// Whether some series has become slower.
    pub fn is_slower(&self) -> bool {
        self.has(Verdict::Slower)
    }

    /// Whether some series did not do the job, on either side.
    pub fn has_failed(&self) -> bool {
        self.has(Verdict::Failed)
    }

    fn has(&self, verdict: Verdict) -> bool {
        self.series.iter().any(|series| series.verdict == verdict)
    }
}

/// One series of one result.
struct Run {
    times: Vec<f64>,
    median: f64,
    /// Whether it did the whole job.
    ranked: bool,
}

impl Run {
    /// All series of a result that have a round, by their names.
    fn all_of(measurement: &Measurement) -> HashMap<String, Self> {
        let analysis = Analysis::of(measurement);
        let both = measurement.series.iter().zip(analysis.series);
        both.filter_map(|(series, numbers)| {
            let run = Self {
                times: series.times_ms(),
                median: numbers.elapsed_ms?.median,
                ranked: numbers.ranked,
            };
            Some((numbers.name, run))
        })
        .collect()
    }
}

/// Compares the series of this name; none if a result does not have it.
fn compare(
    name: &str,
    old: &[HashMap<String, Run>],
    new: &[HashMap<String, Run>],
    margin: f64,
) -> Option<SeriesComparison> {
    let old: Vec<&Run> = old
        .iter()
        .map(|runs| runs.get(name))
        .collect::<Option<_>>()?;
    let new: Vec<&Run> = new
        .iter()
        .map(|runs| runs.get(name))
        .collect::<Option<_>>()?;
    let medians = |runs: &[&Run]| -> Vec<f64> { runs.iter().map(|run| run.median).collect() };
    let (old_medians, new_medians) = (medians(&old), medians(&new));
    let (old_ms, new_ms) = (stats::median(&old_medians)?, stats::median(&new_medians)?);
    let interval = match (&old[..], &new[..]) {
        ([old], [new]) => of_two_runs(&old.times, &new.times),
        _ => of_several_runs(&old_medians, &new_medians),
    };
    let ratio = new_ms / old_ms;
    Some(SeriesComparison {
        name: name.to_owned(),
        old_ms,
        new_ms,
        ratio: Estimate {
            median: ratio,
            interval,
        },
        least_change: interval.map(|interval| ratio / interval.lower * (1.0 + margin) - 1.0),
        verdict: if old.iter().chain(&new).all(|run| run.ranked) {
            Verdict::of(interval, margin)
        } else {
            Verdict::Failed
        },
    })
}

/// The blocks of consecutive rounds that a run is divided into.
const BLOCKS: usize = 5;
/// Two single runs with fewer rounds show nothing: a block has two at least.
pub const FEWEST_ROUNDS: usize = 2 * BLOCKS;
/// How many times the deviation of the blocks an interval reaches to either side. Found by racing
/// programs against themselves, quiet and beside busy neighbours: it is what holds the false alarms
/// of a comparison of two single runs down, at the price of seeing only large changes.
const REACH: f64 = 2.9;

/// The interval of the ratio of two runs. How much the medians of five consecutive blocks of rounds
/// deviate from each other stands for how much another run would deviate. None with fewer than ten
/// rounds on either side.
fn of_two_runs(old: &[f64], new: &[f64]) -> Option<Interval> {
    let deviation = (block_variance(old)? + block_variance(new)?).sqrt();
    let shift = (stats::median(new)? / stats::median(old)?).ln();
    Some(Interval {
        lower: (shift - REACH * deviation).exp(),
        upper: (shift + REACH * deviation).exp(),
        confidence: None,
    })
}

/// The variance of the logarithms of the medians of consecutive blocks.
fn block_variance(times: &[f64]) -> Option<f64> {
    if times.len() < FEWEST_ROUNDS {
        return None;
    }
    let block = |index| &times[times.len() * index / BLOCKS..times.len() * (index + 1) / BLOCKS];
    let logarithms: Option<Vec<f64>> = (0..BLOCKS)
        .map(|index| Some(stats::median(block(index))?.ln()))
        .collect();
    let logarithms = logarithms?;
    let mean = logarithms.iter().sum::<f64>() / BLOCKS as f64;
    let squares = logarithms.iter().map(|value| (value - mean).powi(2));
    Some(squares.sum::<f64>() / (BLOCKS - 1) as f64)
}

/// Of several runs, fewer on a side show nothing.
pub const FEWEST_RUNS: usize = 4;

/// The interval of the ratio of two groups of runs: the exact one of H. B. Mann and D. R. Whitney's
/// test (1947), from the k-th smallest to the k-th largest of all differences between the logarithm
/// of a newer and of an older median. None with fewer than four runs on a side.
fn of_several_runs(old: &[f64], new: &[f64]) -> Option<Interval> {
    if old.len().min(new.len()) < FEWEST_RUNS {
        return None;
    }
    let shifts = new
        .iter()
        .flat_map(|new| old.iter().map(move |old| (new / old).ln()));
    let shifts = stats::sorted(shifts.collect());
    let (rank, confidence) = mann_whitney_rank(old.len(), new.len());
    Some(Interval {
        lower: shifts[rank - 1].exp(),
        upper: shifts[shifts.len() - rank].exp(),
        confidence: Some(confidence),
    })
}

/// The largest k for which the interval from the k-th smallest to the k-th largest difference has
/// at least 95 %, and what it has: `1 − 2 P(U ≤ k − 1)`, by counting all orders of two groups of
/// these sizes.
fn mann_whitney_rank(old: usize, new: usize) -> (usize, f64) {
    // How many orders of the first `a` and the first `b` have u pairs in which the newer is first:
    // either the last one is a newer one, or it is an older one, behind all b newer ones.
    let most = old * new;
    let mut orders = vec![vec![0.0_f64; most + 1]; new + 1];
    for row in &mut orders {
        row[0] = 1.0;
    }
    for _ in 0..old {
        let mut next = vec![vec![0.0; most + 1]; new + 1];
        next[0][0] = 1.0;
        for b in 1..=new {
            for u in 0..=most {
                let behind = if u >= b { orders[b][u - b] } else { 0.0 };
                next[b][u] = next[b - 1][u] + behind;
            }
        }
        orders = next;
    }
    let counts = &orders[new];
    let all: f64 = counts.iter().sum();
    let (mut rank, mut confidence, mut tail) = (1, 1.0, 0.0);
    for (below, count) in counts.iter().enumerate() {
        tail += count / all;
        let next = 1.0 - 2.0 * tail;
        if below > 0 && next < CONFIDENCE {
            break;
        }
        (rank, confidence) = (below + 1, next);
    }
    (rank, confidence)
}

/// Whether the runs of both sides were made in turns, by the times at which they began.
fn alternates(old: &[&Measurement], new: &[&Measurement]) -> bool {
    let of = |side: &[&Measurement], is_new| -> Vec<(String, bool)> {
        side.iter()
            .map(|run| (run.started.clone(), is_new))
            .collect()
    };
    let mut runs = of(old, false);
    runs.extend(of(new, true));
    runs.sort();
    let changes = runs.windows(2).filter(|pair| pair[0].1 != pair[1].1);
    // In turns there are almost as many changes as runs; one after the other there is one.
    changes.count() * 2 >= runs.len()
}

/// In what two results differ that must be the same for a comparison to mean something: the job,
/// the server, the scenario, the seed, the contenders. A sentence each, with both values.
pub fn differences(old: &Measurement, new: &Measurement) -> Vec<String> {
    let mut found = Vec::new();
    let mut differ = |what: &str, old: String, new: String| {
        if old != new {
            found.push(format!("{what}: {old} and {new}"));
        }
    };
    let (a, b) = (&old.job, &new.job);
    differ(
        "sub-command",
        format!("{:?}", old.kind).to_lowercase(),
        format!("{:?}", new.kind).to_lowercase(),
    );
    let codes = |codes: &[_]| format!("{} flags, {codes:?}", codes.len());
    differ("flags", codes(&a.codes), codes(&b.codes));
    differ(
        "workers (-m)",
        a.max_workers.to_string(),
        b.max_workers.to_string(),
    );
    differ(
        "time limit (--timeout)",
        format!("{:?}", a.timeout),
        format!("{:?}", b.timeout),
    );
    // Older documents do not say, and had no limit.
    if let (Some(old), Some(new)) = (a.max_body_bytes, b.max_body_bytes) {
        differ(
            "longest body (--max-body)",
            old.to_string(),
            new.to_string(),
        );
    }
    differ(
        "first attempt (--attempt)",
        a.first_attempt.to_string(),
        b.first_attempt.to_string(),
    );
    differ(
        "retries (--retries)",
        a.retries.to_string(),
        b.retries.to_string(),
    );
    if a.retries.max(b.retries) > 0 {
        differ(
            "seed of the retries (--seed)",
            a.retry_seed.to_string(),
            b.retry_seed.to_string(),
        );
    }
    differ(
        "keep-alive",
        a.keep_alive.to_string(),
        b.keep_alive.to_string(),
    );
    differ("HTTP/2", a.http2.to_string(), b.http2.to_string());
    differ("server", old.server.label.clone(), new.server.label.clone());
    match (&old.server.scenario, &new.server.scenario) {
        (Some(a), Some(b)) => {
            differ(
                "seed of the scenario (--seed)",
                a.seed.to_string(),
                b.seed.to_string(),
            );
            if !is_same_scenario(a, b) {
                found.push(format!(
                    "scenario: {} and {} do not say the same",
                    a.name, b.name
                ));
            }
        }
        _ => differ(
            "address of the server",
            old.server.url.clone(),
            new.server.url.clone(),
        ),
    }
    let (a, b) = (&old.environment, &new.environment);
    let cores = |cores: Option<NonZeroUsize>| {
        cores.map_or_else(|| "unknown".to_owned(), |cores| cores.to_string())
    };
    for (what, old, new) in [
        ("build", a.build.clone(), b.build.clone()),
        ("processors", cores(a.cores), cores(b.cores)),
        ("architecture", a.arch.clone(), b.arch.clone()),
        (
            "rounds to warm up (-w)",
            old.job.warmup.to_string(),
            new.job.warmup.to_string(),
        ),
    ] {
        if old != new {
            found.push(format!("{what}: {old} and {new}"));
        }
    }
    for (measurement, whose) in [(old, "older"), (new, "newer")] {
        if measurement.interrupted || measurement.server_gone {
            found.push(format!("the {whose} result ended early"));
        }
    }
    for (all_series, others, whose) in [
        (&old.series, &new.series, "older"),
        (&new.series, &old.series, "newer"),
    ] {
        for series in all_series {
            if others.iter().all(|other| other.name != series.name) {
                found.push(format!("{}: only the {whose} result has it", series.name));
            }
        }
    }
    for series in &old.series {
        let same = |other: &&Series| other.name == series.name;
        if let Some(other) = new.series.iter().find(same)
            && other.contender != series.contender
        {
            found.push(format!("{}: another program or library", series.name));
        }
    }
    found
}

/// Whether two scenarios do the same to every request, whatever their files are called and however
/// they are written.
fn is_same_scenario(a: &ScenarioRecord, b: &ScenarioRecord) -> bool {
    let parsed = |record: &ScenarioRecord| {
        let scenario = Scenario::from_toml(&record.toml).ok()?;
        Some(scenario.with_seed(record.seed))
    };
    a.toml == b.toml || parsed(a).is_some_and(|scenario| Some(scenario) == parsed(b))
}

/// In what the machines differ: worth knowing, and often the very thing that is compared.
fn notes(old: &Measurement, new: &Measurement) -> Vec<String> {
    let (a, b) = (&old.environment, &new.environment);
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let pairs = [
        ("flag-client", a.flag_client.clone(), b.flag_client.clone()),
        ("processor", text(&a.cpu), text(&b.cpu)),
        ("kernel", text(&a.kernel), text(&b.kernel)),
    ];
    let differ = pairs.into_iter().filter(|(_, old, new)| old != new);
    differ
        .map(|(what, old, new)| format!("another {what}: {old} and {new}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 5e-4, "{found} is not {expected}");
    }

    fn of(lower: f64, upper: f64) -> Verdict {
        let interval = Interval {
            lower,
            upper,
            confidence: Some(CONFIDENCE),
        };
        Verdict::of(Some(interval), MARGIN)
    }

    #[test]
    fn a_verdict_follows_from_where_the_interval_lies() {
        assert_eq!(of(1.06, 1.20), Verdict::Slower);
        assert_eq!(of(1.04, 1.20), Verdict::Inconclusive);
        assert_eq!(of(0.96, 1.04), Verdict::Same);
        assert_eq!(of(0.80, 0.94), Verdict::Faster);
        assert_eq!(of(0.80, 0.96), Verdict::Inconclusive);
        assert_eq!(of(0.50, 2.00), Verdict::Inconclusive);
        assert_eq!(of(1.0, 1.0), Verdict::Same);
        assert_eq!(Verdict::of(None, MARGIN), Verdict::Inconclusive);
    }

    /// 70 orders of four and four: 1 − 2/70. Of five and five, 252: 1 − 2 (1 + 1 + 2)/252. Of six
    /// and six, 924: 1 − 2 (1 + 1 + 2 + 3 + 5 + 7)/924.
    #[test]
    fn the_rank_of_the_differences_is_found_by_counting_orders() {
        for (runs, rank, confidence) in [
            (4, 1, 1.0 - 2.0 / 70.0),
            (5, 3, 1.0 - 8.0 / 252.0),
            (6, 6, 1.0 - 38.0 / 924.0),
        ] {
            let (found, found_confidence) = mann_whitney_rank(runs, runs);
            assert_eq!(found, rank, "{runs} a side");
            close(found_confidence, confidence);
        }
        assert_eq!(mann_whitney_rank(4, 6), mann_whitney_rank(6, 4));
    }

    #[test]
    fn fewer_than_four_runs_a_side_show_nothing() {
        assert_eq!(of_several_runs(&[1.0; 3], &[9.0; 30]), None);
        let interval = of_several_runs(&[1.0; 4], &[2.0; 4]).unwrap();
        close(interval.lower, 2.0);
        close(interval.upper, 2.0);
    }

    /// Blocks of two: medians 100, 102, 104, 106, 108.
    #[test]
    fn a_run_that_drifts_shows_only_more_than_its_drift() {
        let drifting: Vec<f64> = (0..10).map(|n| 100.0 + f64::from(n / 2) * 2.0).collect();
        let twice: Vec<f64> = drifting.iter().map(|time| time * 2.0).collect();
        let interval = of_two_runs(&drifting, &twice).unwrap();
        // The logarithms of the blocks deviate by 0.0304, those of both by 0.0430.
        close(interval.lower, 2.0 * (-2.9 * 0.0430_f64).exp());
        assert_eq!(of_two_runs(&drifting[1..], &twice), None, "nine rounds");
    }
}
