//! How the contenders of a sweep scale with the number of workers: throughputs, the knee, and the
//! time lost that grows with the workers. It decides from when on that growth is known, and words
//! nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::KnownPlan;
use super::series::SeriesAnalysis;
use crate::result::estimate::Estimate;
use crate::result::interval::{FEWEST, Looks};
use crate::result::measurement::{Kind, Measurement, Series};
use crate::result::stats::{self, Growth};

/// The fewest numbers of workers to which a growth is fitted.
pub const FEWEST_LEVELS: usize = 5;
/// One of them is 1, and one is at least this.
pub const MANY_WORKERS: usize = 16;
/// A peak beyond this many times the most workers measured is no finding.
const REACH: f64 = 2.0;

/// How one contender scales with the number of workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scaling {
    /// The contender.
    pub contender: String,
    /// One per number of workers, growing.
    pub points: Vec<ScalingPoint>,
    /// The time lost that grows with the workers; none if something is missing for that.
    pub usl: Option<Usl>,
    /// What is missing.
    #[serde(default)]
    pub usl_missing: Vec<Missing>,
    /// The number of workers with which a job that can be shared out perfectly would be the
    /// fastest: √((1 − σ) / κ). None unless κ is above zero for certain, and this is at most twice
    /// the most workers measured.
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
    /// The ideal throughput less the time lost that grows with the workers, as fitted.
    pub fitted_throughput: Option<f64>,
}

/// The time lost that grows with the workers, connecting included: the measured time of `N` workers
/// is that of the ideal times `a (1 + σ(N − 1) + κN(N − 1))`. Fitted to each round; medians, with
/// their 95 % intervals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Usl {
    /// The throughput of one worker, per second.
    pub lambda: f64,
    /// σ: by which share of the time of one worker each further one makes it longer.
    pub sigma: f64,
    /// The lower end of its interval.
    pub sigma_lower: f64,
    /// The upper end.
    pub sigma_upper: f64,
    /// κ: the same for each pair of workers.
    pub kappa: f64,
    /// The lower end of its interval.
    pub kappa_lower: f64,
    /// The upper end.
    pub kappa_upper: f64,
    /// R²: the share of the variation of the throughputs that the ideal and this explain.
    pub r_squared: f64,
}

/// What is missing for the time lost that grows with the workers to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Rounds: six are needed.
    Rounds,
    /// Numbers of workers: five are needed, with 1 and one of at least 16.
    Levels,
    /// An ideal at each number of workers.
    Ideal,
    /// Rounds without unplanned errors.
    WholeJob,
}

/// One number of workers with what is known of it.
struct Level<'m> {
    series: &'m Series,
    numbers: &'m SeriesAnalysis,
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
    let arrivals = plan.arrivals() as f64;
    let scaling = |contender: &str| {
        let both = measurement.series.iter().zip(all_series);
        let own = both.filter(|(series, _)| series.contender_name() == contender);
        let mut levels: Vec<Level<'_>> = own
            .map(|(series, numbers)| Level { series, numbers })
            .collect();
        levels.sort_by_key(|level| level.series.workers);
        Scaling::of(contender, &levels, arrivals, measurement.looks())
    };
    contenders.into_iter().map(scaling).collect()
}

impl Scaling {
    fn of(contender: &str, levels: &[Level<'_>], arrivals: f64, looks: Looks) -> Self {
        let mut points: Vec<ScalingPoint> = levels
            .iter()
            .filter_map(|level| level.point(arrivals))
            .collect();
        let pair = |point: &ScalingPoint| (point.workers as f64, point.throughput);
        let pairs: Vec<(f64, f64)> = points.iter().map(pair).collect();
        let usl_missing = missing(levels);
        let usl = if usl_missing.is_empty() {
            Usl::of(levels, &mut points, looks)
        } else {
            None
        };
        let most = points.last().map_or(0, |point| point.workers) as f64;
        Self {
            contender: contender.to_owned(),
            points,
            peak: usl
                .and_then(|law| law.peak())
                .filter(|peak| *peak <= REACH * most),
            usl,
            usl_missing,
            knee: stats::knee(&pairs),
        }
    }
}

impl Level<'_> {
    fn point(&self, arrivals: f64) -> Option<ScalingPoint> {
        let ideal = self.numbers.ideal;
        Some(ScalingPoint {
            workers: self.series.workers.get(),
            throughput: self.numbers.throughput?.median,
            ideal_throughput: ideal.map(|ideal| arrivals / ideal.as_secs_f64()),
            fitted_throughput: None,
        })
    }

    /// How many times the ideal each round took.
    fn ratios(&self) -> Option<(f64, Vec<f64>)> {
        let ideal = self.numbers.ideal?;
        let times = self.series.times().into_iter();
        let ratios = times.map(|time| stats::ratio(time, ideal));
        Some((
            self.series.workers.get() as f64,
            ratios.collect::<Option<_>>()?,
        ))
    }
}

fn missing(levels: &[Level<'_>]) -> Vec<Missing> {
    let workers = || levels.iter().map(|level| level.series.workers.get());
    let rounds = levels.iter().map(|level| level.series.rounds.len()).min();
    let has_levels = workers().count() >= FEWEST_LEVELS
        && workers().any(|workers| workers == 1)
        && workers().any(|workers| workers >= MANY_WORKERS);
    let has_ideals = levels.iter().all(|level| level.numbers.ideal.is_some());
    // Without a round nobody has done anything, and the rounds are missing anyway.
    let has_failed = |level: &Level<'_>| !level.numbers.ranked && !level.series.rounds.is_empty();
    let all = [
        (rounds.unwrap_or(0) >= FEWEST, Missing::Rounds),
        (has_levels, Missing::Levels),
        (has_ideals, Missing::Ideal),
        (!levels.iter().any(has_failed), Missing::WholeJob),
    ];
    let missing = all.into_iter().filter(|(is_there, _)| !is_there);
    missing.map(|(_, what)| what).collect()
}

impl Usl {
    /// Of levels for which nothing is missing. It completes their points.
    fn of(levels: &[Level<'_>], points: &mut [ScalingPoint], looks: Looks) -> Option<Self> {
        let levels: Vec<_> = levels.iter().map(Level::ratios).collect::<Option<_>>()?;
        let rounds = Growth::per_round(&levels)?;
        let of = |part: fn(&Growth) -> f64| {
            let parts: Vec<f64> = rounds.iter().map(part).collect();
            let Estimate { median, interval } = Estimate::of(&parts, looks)?;
            Some((median, interval?))
        };
        let (scale, _) = of(|growth| growth.scale)?;
        let (sigma, of_sigma) = of(|growth| growth.sigma)?;
        let (kappa, of_kappa) = of(|growth| growth.kappa)?;
        let mut law = Self {
            lambda: points.first()?.ideal_throughput? / scale,
            sigma,
            sigma_lower: of_sigma.lower,
            sigma_upper: of_sigma.upper,
            kappa,
            kappa_lower: of_kappa.lower,
            kappa_upper: of_kappa.upper,
            r_squared: 0.0,
        };
        for point in points.iter_mut() {
            let factor = scale * law.factor(point.workers as f64);
            point.fitted_throughput = point.ideal_throughput.map(|ideal| ideal / factor);
        }
        law.r_squared = r_squared(points);
        Some(law)
    }

    /// How many times as long this many workers take as they would if nothing grew with them.
    pub fn factor(&self, workers: f64) -> f64 {
        let others = workers - 1.0;
        1.0 + self.sigma * others + self.kappa * workers * others
    }

    fn peak(&self) -> Option<f64> {
        let is_known = self.kappa_lower > 0.0 && self.sigma < 1.0;
        is_known.then(|| ((1.0 - self.sigma) / self.kappa).sqrt())
    }
}

fn r_squared(points: &[ScalingPoint]) -> f64 {
    let mean = points.iter().map(|point| point.throughput).sum::<f64>() / points.len() as f64;
    let total: f64 = points
        .iter()
        .map(|point| (point.throughput - mean).powi(2))
        .sum();
    let rest: f64 = points
        .iter()
        .filter_map(|point| Some((point.throughput - point.fitted_throughput?).powi(2)))
        .sum();
    if total == 0.0 {
        1.0
    } else {
        1.0 - rest / total
    }
}
