//! Whether a result is faster or slower than an older one, and whether the two may be compared at
//! all. Pure: it reads no files and words little.

use schemars::JsonSchema;
use serde::Serialize;

use super::estimate::Estimate;
use super::measurement::{Measurement, SCHEMA_VERSION, Series};
use super::stats;

/// The change that counts as none, by default, as a share of the older time.
pub const MARGIN: f64 = 0.05;
/// With fewer rounds on either side nothing can be said.
const FEWEST_ROUNDS: usize = 3;

/// What has become faster or slower.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The version of the shape.
    pub schema_version: u32,
    /// `comparison`.
    pub kind: ComparisonKind,
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
    /// As the series is called in both.
    pub name: String,
    /// The older median time, in milliseconds.
    pub old_ms: f64,
    /// The newer one.
    pub new_ms: f64,
    /// The newer divided by the older: above 1 it is slower.
    pub ratio: Estimate,
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
}

impl Verdict {
    /// In a word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::Same => "same",
            Self::Inconclusive => "inconclusive",
        }
    }

    /// A change smaller than `margin` (0.05: 5 %) is none: with enough rounds every difference
    /// would be *significant*, and no build should fail for a thousandth.
    fn of(ratio: &Estimate, margin: f64) -> Self {
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
    /// Compares two results series by series.
    ///
    /// The rounds of two runs have nothing in common but their plan, which never changes, so they
    /// are not paired: both medians are resampled by themselves ([`stats::ratio_interval`]).
    pub fn of(old: &Measurement, new: &Measurement, margin: f64) -> Self {
        let all_series = old.series.iter().filter_map(|series| {
            let other = new.series.iter().find(|other| other.name == series.name)?;
            compare(series, other, margin)
        });
        Self {
            schema_version: SCHEMA_VERSION,
            kind: ComparisonKind::Comparison,
            margin,
            differences: differences(old, new),
            notes: notes(old, new),
            series: all_series.collect(),
        }
    }

    /// Whether some series has become slower.
    pub fn is_slower(&self) -> bool {
        self.series
            .iter()
            .any(|series| series.verdict == Verdict::Slower)
    }
}

fn compare(old: &Series, new: &Series, margin: f64) -> Option<SeriesComparison> {
    let millis =
        |series: &Series| -> Vec<f64> { series.times().into_iter().map(stats::millis).collect() };
    let (before, after) = (millis(old), millis(new));
    let (old_ms, new_ms) = (stats::median(&before)?, stats::median(&after)?);
    let (lower, upper) = stats::ratio_interval(&after, &before)?;
    let ratio = Estimate {
        median: new_ms / old_ms,
        lower,
        upper,
    };
    let enough = before.len().min(after.len()) >= FEWEST_ROUNDS;
    // A contender that gives up is quick.
    let errors = |series: &Series| series.errors() as f64 / series.endings().count().max(1) as f64;
    let verdict = match Verdict::of(&ratio, margin) {
        _ if !enough => Verdict::Inconclusive,
        Verdict::Faster if errors(new) > errors(old) => Verdict::Inconclusive,
        verdict => verdict,
    };
    Some(SeriesComparison {
        name: old.name.clone(),
        old_ms,
        new_ms,
        ratio,
        verdict,
    })
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
            differ("scenario", a.name.clone(), b.name.clone());
            if a.name == b.name && a.toml != b.toml {
                found.push(format!("scenario: {} has another text", a.name));
            }
        }
        _ => differ(
            "address of the server",
            old.server.url.clone(),
            new.server.url.clone(),
        ),
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

/// In what the machines differ: worth knowing, and often the very thing that is compared.
fn notes(old: &Measurement, new: &Measurement) -> Vec<String> {
    let (a, b) = (&old.environment, &new.environment);
    let unknown = || "unknown".to_owned();
    let cores = |cores: Option<std::num::NonZeroUsize>| {
        cores.map_or_else(unknown, |cores| cores.to_string())
    };
    let text = |text: &Option<String>| text.clone().unwrap_or_else(unknown);
    let pairs = [
        ("flag-client", a.flag_client.clone(), b.flag_client.clone()),
        ("build", a.build.clone(), b.build.clone()),
        ("processor", text(&a.cpu), text(&b.cpu)),
        ("processors", cores(a.cores), cores(b.cores)),
        ("kernel", text(&a.kernel), text(&b.kernel)),
        ("architecture", a.arch.clone(), b.arch.clone()),
    ];
    let differ = pairs.into_iter().filter(|(_, old, new)| old != new);
    differ
        .map(|(what, old, new)| format!("{what}: {old} and {new}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lower: f64, upper: f64) -> Verdict {
        let ratio = Estimate {
            median: f64::midpoint(lower, upper),
            lower,
            upper,
        };
        Verdict::of(&ratio, MARGIN)
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
    }
}
