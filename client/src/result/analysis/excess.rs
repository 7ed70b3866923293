//! How much longer than planned the attempts took: what remains of their latencies when the plan is
//! taken away. It decides which attempts count, and as what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::KnownPlan;
use crate::download::Sample;
use crate::result::measurement::{Measurement, Series};
use crate::result::stats::{self, millis};

/// How much longer than planned the attempts took, in milliseconds; below zero if one was quicker.
/// The rule is that of [`percentile`](crate::result::stats::percentile). What went against the plan
/// ranks above everything, and a percentile that falls there is null.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Excess {
    /// All that were ranked.
    pub count: usize,
    /// Of these, those that went against the plan: attempts that ended otherwise, were not planned,
    /// or were planned and never made.
    pub unplanned: usize,
    /// The least.
    pub min: Option<f64>,
    /// The median.
    pub p50: Option<f64>,
    /// Nine tenths are not above it.
    pub p90: Option<f64>,
    /// 95 % are not above it.
    pub p95: Option<f64>,
    /// 99 % are not above it.
    pub p99: Option<f64>,
    /// The most.
    pub max: Option<f64>,
}

impl Excess {
    /// None without a plan, or if nothing was measured.
    pub(super) fn of(
        measurement: &Measurement,
        plan: &KnownPlan<'_>,
        series: &Series,
    ) -> Option<Self> {
        let values = sorted(measurement, plan, series)?;
        let at = |percent| stats::percentile(&values, percent).filter(|value| value.is_finite());
        Some(Self {
            count: values.len(),
            unplanned: values.iter().filter(|value| value.is_infinite()).count(),
            min: at(0.0),
            p50: at(50.0),
            p90: at(90.0),
            p95: at(95.0),
            p99: at(99.0),
            max: at(100.0),
        })
    }
}

/// The percentile of this series, in milliseconds; infinite if it is that of something that went
/// against the plan.
pub(crate) fn percentile(measurement: &Measurement, series: &Series, percent: f64) -> Option<f64> {
    let values = sorted(measurement, &KnownPlan::of(measurement), series)?;
    stats::percentile(&values, percent)
}

/// All of them in order; none if it is not known what was planned. Infinite where something went
/// against the plan.
fn sorted(measurement: &Measurement, plan: &KnownPlan<'_>, series: &Series) -> Option<Vec<f64>> {
    let all_planned = measurement.plan.as_ref()?.iter();
    if !plan.is_complete() {
        return None;
    }
    let all_planned: usize = all_planned.map(|planned| planned.attempts.len()).sum();
    let mut values = Vec::new();
    for round in &series.rounds {
        let made = round
            .samples
            .iter()
            .filter(|sample| plan.attempt(sample).is_some());
        let never_made = all_planned.saturating_sub(made.count());
        values.extend(std::iter::repeat_n(f64::INFINITY, never_made));
        values.extend(round.samples.iter().map(|sample| excess(plan, sample)));
    }
    (!values.is_empty()).then(|| stats::sorted(values))
}

/// The time of an attempt that ended as planned, less the planned one. The pause after it belongs
/// to neither.
fn excess(plan: &KnownPlan<'_>, sample: &Sample) -> f64 {
    match plan.attempt(sample) {
        Some(planned) if planned.outcome == sample.outcome => {
            let plan = planned.time + planned.total_service();
            millis(sample.done) - millis(sample.sent) - millis(plan)
        }
        _ => f64::INFINITY,
    }
}
