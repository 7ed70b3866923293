//! How the contenders of a sweep scale with the number of workers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::KnownPlan;
use super::series::SeriesAnalysis;
use crate::result::measurement::{Kind, Measurement, Series};
use crate::result::stats::{self, Usl};

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
    /// Where the line through the fewest workers meets the highest throughput: with a client and a
    /// server that scale perfectly up to there, more workers than that buy nothing. None if the
    /// throughput still grew almost in proportion at the most workers.
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

/// One per contender of a sweep, in the order of the race.
pub(super) fn all(
    measurement: &Measurement,
    plan: &KnownPlan<'_>,
    all_series: &[SeriesAnalysis],
) -> Vec<Scaling> {
    if measurement.kind != Kind::Sweep {
        return Vec::new();
    }
    let mut contenders: Vec<&str> = measurement
        .series
        .iter()
        .map(Series::contender_name)
        .collect();
    contenders.dedup();
    let both = || measurement.series.iter().zip(all_series);
    let arrivals = plan.arrivals() as f64;
    let point = |(series, numbers): (&Series, &SeriesAnalysis)| {
        Some(ScalingPoint {
            workers: series.workers.get(),
            throughput: numbers.throughput?.median,
            ideal_throughput: numbers.ideal.map(|ideal| arrivals / ideal.as_secs_f64()),
            fitted_throughput: None,
        })
    };
    let scaling = |contender: &str| {
        let own = both().filter(|(series, _)| series.contender_name() == contender);
        Scaling::of(contender, own.filter_map(point).collect())
    };
    contenders.into_iter().map(scaling).collect()
}

impl Scaling {
    fn of(contender: &str, mut points: Vec<ScalingPoint>) -> Self {
        points.sort_by_key(|point| point.workers);
        let pair = |point: &ScalingPoint| (point.workers as f64, point.throughput);
        let pairs: Vec<(f64, f64)> = points.iter().map(pair).collect();
        let usl = Usl::fit(&pairs);
        for point in &mut points {
            point.fitted_throughput = usl.map(|law| law.throughput(point.workers as f64));
        }
        Self {
            contender: contender.to_owned(),
            points,
            peak: usl.and_then(|law| law.peak()),
            usl,
            knee: stats::knee(&pairs),
        }
    }
}
