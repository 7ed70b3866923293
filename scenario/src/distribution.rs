//! How long a latency is: a distribution over durations, sampled from words that the caller draws.
//! Written by hand, because samples are a public contract: those of rand_distr may change with each
//! release, and take a varying number of words.
//!
//! Each sample is the quantile function of the distribution at one uniform draw ("inversion",
//! L. Devroye, *Non-Uniform Random Variate Generation*, 1986, chapter II.2), so it costs one word.
//! Fixed and uniform delays are integer arithmetic; the others use `libm`'s software functions and
//! not those of the platform. A sample is the same everywhere.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde_json::{Value, json};
use thiserror::Error;

use crate::truncation::Truncated;
use crate::wording::{listed, words};

/// The longest delay that a rule may ask for: an hour. More is a slip of the unit.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(3600);

/// The number of times that a sample beyond the maximum is drawn again before it is cut off.
const RESAMPLES: usize = 16;

/// The share from which on it is told that samples are cut off.
const NOTICED: f64 = 0.001;

/// A distribution over durations from 0 to a maximum; what cannot be sampled cannot be built.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    shape: Shape,
    max: Duration,
}

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Fixed(Duration),
    Uniform { lower: Duration, upper: Duration },
    Normal { mean: Duration, sd: Duration },
    LogNormal { median: Duration, sigma: f64 },
    Exponential { mean: Duration },
    Pareto { scale: Duration, shape: f64 },
}

/// Why a distribution cannot be built.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum InvalidDistribution {
    /// The lower bound lies above the upper one.
    #[error("lower ({}) is above upper ({}): swap them", words(*lower), words(*upper))]
    Crossed {
        /// The lower bound.
        lower: Duration,
        /// The upper bound.
        upper: Duration,
    },
    /// The 99th percentile lies below the median.
    #[error("p99 ({}) is below the median ({}): swap them", words(*p99), words(*median))]
    Falling {
        /// The median.
        median: Duration,
        /// The 99th percentile.
        p99: Duration,
    },
    /// A delay beyond an hour.
    #[error("{} is more than an hour: check its unit", words(*.0))]
    TooLong(Duration),
    /// A delay of zero where the shape needs one above it.
    #[error("{0} is zero: give a time above it")]
    Zero(&'static str),
    /// A number out of its range.
    #[error("{name} is {value}: give a number {range}")]
    OutOfRange {
        /// Which number.
        name: &'static str,
        /// What it is.
        value: f64,
        /// What it may be.
        range: &'static str,
    },
}

impl Distribution {
    /// What `sigma` of a log-normal distribution may be.
    pub(crate) const SIGMA: RangeInclusive<f64> = 0.0..=10.0;
    /// What `shape` of a Pareto distribution may be.
    pub(crate) const SHAPE: RangeInclusive<f64> = 0.1..=1000.0;

    /// Always the same delay.
    ///
    /// # Errors
    /// When it is longer than an hour.
    pub fn fixed(delay: Duration) -> Result<Self, InvalidDistribution> {
        Self::of(Shape::Fixed(delay), &[delay])
    }

    /// Every delay from `lower` to just below `upper` with the same chance.
    ///
    /// # Errors
    /// When the bounds are crossed, or `upper` is longer than an hour.
    pub fn uniform(lower: Duration, upper: Duration) -> Result<Self, InvalidDistribution> {
        if lower > upper {
            return Err(InvalidDistribution::Crossed { lower, upper });
        }
        Self::of(Shape::Uniform { lower, upper }, &[upper])
    }

    /// The normal distribution, without what lies below zero: such a sample is drawn again.
    ///
    /// # Errors
    /// When the mean or the standard deviation is longer than an hour.
    pub fn normal(mean: Duration, sd: Duration) -> Result<Self, InvalidDistribution> {
        Self::of(Shape::Normal { mean, sd }, &[mean, sd])
    }

    /// The log-normal distribution: `median · exp(sigma · z)` with `z` standard normal.
    ///
    /// # Errors
    /// When the median is zero or longer than an hour, or `sigma` is not a number from 0 to 10.
    pub fn lognormal(median: Duration, sigma: f64) -> Result<Self, InvalidDistribution> {
        above_zero("median", median)?;
        if !Self::SIGMA.contains(&sigma) {
            return Err(InvalidDistribution::OutOfRange {
                name: "sigma",
                value: sigma,
                range: "from 0 to 10",
            });
        }
        Self::of(Shape::LogNormal { median, sigma }, &[median])
    }

    /// The log-normal distribution with this median and 99th percentile:
    /// `sigma = ln(p99 / median) / z` with `z` the 99th percentile of the standard normal
    /// distribution.
    ///
    /// # Errors
    /// When the median is zero, `p99` is below it, or one of them is longer than an hour.
    pub fn lognormal_p99(median: Duration, p99: Duration) -> Result<Self, InvalidDistribution> {
        above_zero("median", median)?;
        if p99 < median {
            return Err(InvalidDistribution::Falling { median, p99 });
        }
        within_limit(p99)?;
        let sigma =
            libm::log(p99.as_secs_f64() / median.as_secs_f64()) / standard_normal_quantile(0.99);
        Self::of(Shape::LogNormal { median, sigma }, &[median])
    }

    /// The exponential distribution: `−mean · ln(1 − u)`.
    ///
    /// # Errors
    /// When the mean is zero or longer than an hour.
    pub fn exponential(mean: Duration) -> Result<Self, InvalidDistribution> {
        above_zero("mean", mean)?;
        Self::of(Shape::Exponential { mean }, &[mean])
    }

    /// The Pareto distribution (type I): `scale · (1 − u)^(−1/shape)`; `scale` is its minimum.
    ///
    /// # Errors
    /// When the scale is zero or longer than an hour, or `shape` is not a number from 0.1 to 1000.
    pub fn pareto(scale: Duration, shape: f64) -> Result<Self, InvalidDistribution> {
        above_zero("scale", scale)?;
        if !Self::SHAPE.contains(&shape) {
            return Err(InvalidDistribution::OutOfRange {
                name: "shape",
                value: shape,
                range: "from 0.1 to 1000",
            });
        }
        Self::of(Shape::Pareto { scale, shape }, &[scale])
    }

    fn of(shape: Shape, delays: &[Duration]) -> Result<Self, InvalidDistribution> {
        delays.iter().try_for_each(|delay| within_limit(*delay))?;
        Ok(Self {
            shape,
            max: MAX_DELAY,
        })
    }

    /// The same shape, truncated at `max`: a sample above it is drawn again, 16 times at most;
    /// after that it is `max`.
    ///
    /// # Errors
    /// When `max` is longer than an hour.
    pub fn with_max(self, max: Duration) -> Result<Self, InvalidDistribution> {
        within_limit(max)?;
        Ok(Self { max, ..self })
    }

    /// The maximum, if it is another than that of every distribution.
    pub(crate) fn max(&self) -> Option<Duration> {
        (self.max != MAX_DELAY).then_some(self.max)
    }

    /// The shape as a file writes it.
    pub(crate) fn to_json(&self) -> Value {
        let time = |duration: &Duration| words(*duration).to_string();
        match &self.shape {
            Shape::Fixed(delay) => json!({ "fixed": time(delay) }),
            Shape::Uniform { lower, upper } => {
                json!({ "uniform": { "lower": time(lower), "upper": time(upper) } })
            }
            Shape::Normal { mean, sd } => {
                json!({ "normal": { "mean": time(mean), "sd": time(sd) } })
            }
            Shape::LogNormal { median, sigma } => {
                json!({ "lognormal": { "median": time(median), "sigma": sigma } })
            }
            Shape::Exponential { mean } => json!({ "exponential": { "mean": time(mean) } }),
            Shape::Pareto { scale, shape } => {
                json!({ "pareto": { "scale": time(scale), "shape": shape } })
            }
        }
    }

    /// The least delay and the maximum, if the first is above the second: then every delay is the
    /// maximum.
    pub(crate) fn always_cut(&self) -> Option<(Duration, Duration)> {
        let least = match &self.shape {
            Shape::Fixed(delay) => *delay,
            Shape::Uniform { lower, .. } => *lower,
            Shape::Pareto { scale, .. } => *scale,
            Shape::Normal { .. } | Shape::LogNormal { .. } | Shape::Exponential { .. } => {
                return None;
            }
        };
        (least > self.max).then_some((least, self.max))
    }

    /// The delay that the next words of a stream stand for: mostly one, more where it draws again.
    pub(crate) fn sample(&self, mut next_word: impl FnMut() -> u64) -> Duration {
        for _ in 0..RESAMPLES {
            if let Some(delay) = self
                .shape
                .quantile(&mut next_word)
                .filter(|delay| *delay <= self.max)
            {
                return delay;
            }
        }
        // Below zero counts as zero, beyond the maximum as the maximum.
        self.shape
            .quantile(&mut next_word)
            .map_or(Duration::ZERO, |delay| delay.min(self.max))
    }
}

impl Shape {
    /// The quantile at a uniform draw; `None` below zero.
    fn quantile(&self, next_word: &mut impl FnMut() -> u64) -> Option<Duration> {
        let seconds = match self {
            Self::Fixed(delay) => return Some(*delay),
            // lower + ⌊(upper − lower) × word / 2⁶⁴⌋, which never reaches upper.
            Self::Uniform { lower, upper } => {
                let width = (*upper - *lower).as_nanos();
                let offset = (width * u128::from(next_word())) >> 64;
                return Some(*lower + Duration::from_nanos(offset as u64));
            }
            Self::Normal { mean, sd } => {
                mean.as_secs_f64()
                    + sd.as_secs_f64() * standard_normal_quantile(open_unit(next_word()))
            }
            Self::LogNormal { median, sigma } => {
                let z = standard_normal_quantile(open_unit(next_word()));
                median.as_secs_f64() * libm::exp(sigma * z)
            }
            Self::Exponential { mean } => {
                -mean.as_secs_f64() * libm::log(1.0 - open_unit(next_word()))
            }
            Self::Pareto { scale, shape } => {
                scale.as_secs_f64() * libm::exp(-libm::log(1.0 - open_unit(next_word())) / shape)
            }
        };
        // A duration is never negative. One that does not fit becomes the longest, which is drawn
        // again.
        (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    }
}

/// A uniform number above 0 and below 1: the middle of one of 2⁵² equal parts.
fn open_unit(word: u64) -> f64 {
    ((word >> 12) as f64 + 0.5) * (1.0 / (1_u64 << 52) as f64)
}

/// The quantile function of the standard normal distribution, to about 16 digits: algorithm AS 241,
/// routine PPND16 (M. J. Wichura, "The percentage points of the normal distribution", *Applied
/// Statistics* 37, 1988).
#[allow(
    clippy::excessive_precision,
    reason = "the coefficients as they were published"
)]
fn standard_normal_quantile(p: f64) -> f64 {
    const CENTRE: ([f64; 8], [f64; 8]) = (
        [
            3.387_132_872_796_366_608,
            1.331_416_678_917_843_774_5e2,
            1.971_590_950_306_551_442_7e3,
            1.373_169_376_550_946_112_5e4,
            4.592_195_393_154_987_145_7e4,
            6.726_577_092_700_870_085_3e4,
            3.343_057_558_358_812_810_5e4,
            2.509_080_928_730_122_672_7e3,
        ],
        [
            1.0,
            4.231_333_070_160_091_125_2e1,
            6.871_870_074_920_579_083e2,
            5.394_196_021_424_751_107_7e3,
            2.121_379_430_158_659_586_7e4,
            3.930_789_580_009_271_061e4,
            2.872_908_573_572_194_267_4e4,
            5.226_495_278_852_854_561e3,
        ],
    );
    const NEAR_TAIL: ([f64; 8], [f64; 8]) = (
        [
            1.423_437_110_749_683_577_34,
            4.630_337_846_156_545_295_9,
            5.769_497_221_460_691_405_5,
            3.647_848_324_763_204_605_04,
            1.270_458_252_452_368_382_58,
            2.417_807_251_774_506_117_7e-1,
            2.272_384_498_926_918_458_33e-2,
            7.745_450_142_783_414_076_4e-4,
        ],
        [
            1.0,
            2.053_191_626_637_758_821_87,
            1.676_384_830_183_803_849_4,
            6.897_673_349_851_000_045_5e-1,
            1.481_039_764_274_800_745_9e-1,
            1.519_866_656_361_645_719_66e-2,
            5.475_938_084_995_344_946e-4,
            1.050_750_071_644_416_843_24e-9,
        ],
    );
    const FAR_TAIL: ([f64; 8], [f64; 8]) = (
        [
            6.657_904_643_501_103_777_2,
            5.463_784_911_164_114_369_9,
            1.784_826_539_917_291_335_8,
            2.965_605_718_285_048_912_3e-1,
            2.653_218_952_657_612_309_3e-2,
            1.242_660_947_388_078_438_6e-3,
            2.711_555_568_743_487_578_15e-5,
            2.010_334_399_292_288_132_65e-7,
        ],
        [
            1.0,
            5.998_322_065_558_879_376_9e-1,
            1.369_298_809_227_358_053_1e-1,
            1.487_536_129_085_061_485_25e-2,
            7.868_691_311_456_132_591e-4,
            1.846_318_317_510_054_681_8e-5,
            1.421_511_758_316_445_888_7e-7,
            2.044_263_103_389_939_785_64e-15,
        ],
    );
    let rational = |(numerator, denominator): ([f64; 8], [f64; 8]), x: f64| {
        let polynomial = |terms: [f64; 8]| terms.iter().rev().fold(0.0, |sum, term| sum * x + term);
        polynomial(numerator) / polynomial(denominator)
    };

    let q = p - 0.5;
    if q.abs() <= 0.425 {
        return q * rational(CENTRE, 0.180_625 - q * q);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = libm::sqrt(-libm::log(tail));
    let z = if r <= 5.0 {
        rational(NEAR_TAIL, r - 1.6)
    } else {
        rational(FAR_TAIL, r - 5.0)
    };
    if q < 0.0 { -z } else { z }
}

impl Distribution {
    /// What its ends cut off; none of a shape without any spread.
    fn truncated(&self) -> Option<Truncated> {
        let max = self.max.as_secs_f64();
        let secs = Duration::as_secs_f64;
        Some(match &self.shape {
            Shape::Fixed(_) => return None,
            Shape::Uniform { lower, upper } => Truncated::uniform(secs(lower), secs(upper), max),
            Shape::Normal { sd, .. } if sd.is_zero() => return None,
            Shape::Normal { mean, sd } => Truncated::normal(secs(mean), secs(sd), max),
            Shape::LogNormal { sigma, .. } if *sigma == 0.0 => return None,
            Shape::LogNormal { median, sigma } => Truncated::lognormal(secs(median), *sigma, max),
            Shape::Exponential { mean } => Truncated::exponential(secs(mean), max),
            Shape::Pareto { scale, shape } => Truncated::pareto(secs(scale), *shape, max),
        })
    }
}

impl fmt::Display for Distribution {
    /// In words, to follow "a delay": `of 500ms`, `from 500ms to 5s`, ….
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shape {
            Shape::Fixed(delay) => return write!(f, "of {}", words(self.max.min(*delay))),
            Shape::Uniform { lower, upper } => {
                write!(
                    f,
                    "from {} to {}, each as likely",
                    words(*lower),
                    words(*upper)
                )
            }
            Shape::Normal { mean, sd } => {
                write!(
                    f,
                    "with a normal distribution, mean {} and standard deviation {}",
                    words(*mean),
                    words(*sd)
                )
            }
            Shape::LogNormal { median, sigma } => {
                let p99 = median.mul_f64(libm::exp(sigma * standard_normal_quantile(0.99)));
                let p99 = Duration::from_micros(p99.as_micros() as u64);
                write!(
                    f,
                    "with a log-normal distribution, median {} and 99th percentile {}",
                    words(*median),
                    words(p99)
                )
            }
            Shape::Exponential { mean } => {
                write!(f, "with an exponential distribution, mean {}", words(*mean))
            }
            Shape::Pareto { scale, shape } => {
                write!(
                    f,
                    "with a Pareto distribution, {} or more, shape {shape}",
                    words(*scale)
                )
            }
        }?;
        if self.max < MAX_DELAY {
            write!(f, ", {} at most", words(self.max))?;
        }
        match self.truncated() {
            Some(truncated) => self.write_cut(truncated, f),
            None => Ok(()),
        }
    }
}

impl Distribution {
    /// What the ends change, if anything that a reader would notice: the parameters are those of
    /// the whole shape.
    fn write_cut(&self, truncated: Truncated, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| format!("{:.1} %", share * 100.0);
        let parts = [
            (truncated.below, "below zero".to_owned()),
            (truncated.above, format!("above {}", words(self.max))),
        ];
        let noticed = parts.into_iter().filter(|(share, _)| *share >= NOTICED);
        let noticed: Vec<String> = noticed
            .map(|(share, place)| format!("{} {place}", percent(share)))
            .collect();
        if noticed.is_empty() {
            return Ok(());
        }
        let mean = Duration::from_secs_f64(truncated.mean_of_samples(RESAMPLES));
        let mean = Duration::from_micros(mean.as_micros() as u64);
        write!(
            f,
            "; without the {}, which are drawn again, {} on average",
            listed(noticed, "and"),
            words(mean)
        )
    }
}

fn within_limit(delay: Duration) -> Result<(), InvalidDistribution> {
    if delay > MAX_DELAY {
        Err(InvalidDistribution::TooLong(delay))
    } else {
        Ok(())
    }
}

fn above_zero(name: &'static str, delay: Duration) -> Result<(), InvalidDistribution> {
    if delay.is_zero() {
        Err(InvalidDistribution::Zero(name))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use chacha20::ChaCha8Rng;
    use chacha20::rand_core::{Rng, SeedableRng};

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_uniform_delay_starts_at_lower_and_never_reaches_upper() {
        let uniform = Distribution::uniform(MS(50), MS(150)).unwrap();
        assert_eq!(uniform.sample(|| 0), MS(50));
        assert_eq!(uniform.sample(|| 1 << 63), MS(100));
        assert_eq!(
            uniform.sample(|| u64::MAX),
            MS(150) - Duration::from_nanos(1)
        );
    }

    #[test]
    fn an_empty_uniform_range_is_its_one_value() {
        let point = Distribution::uniform(MS(7), MS(7)).unwrap();
        assert_eq!(point.sample(|| u64::MAX), MS(7));
    }

    #[test]
    fn crossed_bounds_and_endless_delays_are_refused() {
        assert_eq!(
            Distribution::uniform(MS(2), MS(1)),
            Err(InvalidDistribution::Crossed {
                lower: MS(2),
                upper: MS(1)
            })
        );
        let long = MAX_DELAY + MS(1);
        let too_long = Err(InvalidDistribution::TooLong(long));
        assert_eq!(Distribution::fixed(long), too_long);
        assert_eq!(Distribution::uniform(MS(0), long), too_long);
        assert_eq!(Distribution::normal(MS(1), long), too_long);
        assert_eq!(Distribution::lognormal_p99(MS(1), long), too_long);
        assert_eq!(Distribution::exponential(long), too_long);
        assert_eq!(Distribution::fixed(MS(1)).unwrap().with_max(long), too_long);
    }

    #[test]
    fn invalid_parameters_of_a_distribution_are_refused() {
        assert_eq!(
            Distribution::exponential(MS(0)),
            Err(InvalidDistribution::Zero("mean"))
        );
        assert_eq!(
            Distribution::lognormal(MS(0), 1.0),
            Err(InvalidDistribution::Zero("median"))
        );
        assert_eq!(
            Distribution::pareto(MS(0), 1.0),
            Err(InvalidDistribution::Zero("scale"))
        );
        assert_eq!(
            Distribution::lognormal_p99(MS(2), MS(1)),
            Err(InvalidDistribution::Falling {
                median: MS(2),
                p99: MS(1)
            })
        );
        for wrong in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(Distribution::lognormal(MS(1), wrong).is_err());
            assert!(Distribution::pareto(MS(1), wrong).is_err());
        }
    }

    /// Reference values from tables: Φ⁻¹ of 0.5, 0.975, 0.99, 0.999999.
    #[test]
    fn the_normal_quantile_function_agrees_with_the_tables() {
        for (p, z) in [
            (0.5, 0.0),
            (0.975, 1.959_963_984_540_054),
            (0.99, 2.326_347_874_040_841),
            (0.999_999, 4.753_424_308_822_899),
            (1e-10, -6.361_340_902_404_056),
        ] {
            assert!((standard_normal_quantile(p) - z).abs() < 1e-11, "{p}");
            if p > 1e-9 {
                assert!((standard_normal_quantile(1.0 - p) + z).abs() < 1e-9, "{p}");
            }
        }
    }

    /// Half of the uniform draws lie below the middle word, so it gives the median.
    #[test]
    fn the_middle_word_is_the_median_of_each_shape() {
        let middle = || 1_u64 << 63;
        let close = |distribution: Result<Distribution, _>, median: Duration| {
            let sample = distribution.unwrap().sample(middle);
            assert!(
                sample.abs_diff(median) < Duration::from_nanos(10),
                "{sample:?} {median:?}"
            );
        };
        close(Distribution::normal(MS(100), MS(20)), MS(100));
        close(Distribution::lognormal(MS(100), 0.7), MS(100));
        close(Distribution::lognormal_p99(MS(100), MS(900)), MS(100));
        close(
            Distribution::exponential(MS(100)),
            MS(100).mul_f64(std::f64::consts::LN_2),
        );
        close(
            Distribution::pareto(MS(100), 2.0),
            MS(100).mul_f64(std::f64::consts::SQRT_2),
        );
    }

    #[test]
    fn the_99th_percentile_of_a_lognormal_is_the_requested_one() {
        let lognormal = Distribution::lognormal_p99(MS(100), MS(900)).unwrap();
        let word = (0.99 * 2_f64.powi(64)) as u64;
        assert!(lognormal.sample(|| word).abs_diff(MS(900)) < Duration::from_micros(1));
    }

    #[test]
    fn a_sample_beyond_the_maximum_is_redrawn_and_finally_clamped() {
        let distribution = Distribution::uniform(MS(0), MS(100))
            .unwrap()
            .with_max(MS(50))
            .unwrap();
        let mut words = [u64::MAX, u64::MAX, 1 << 62].into_iter();
        assert_eq!(distribution.sample(|| words.next().unwrap()), MS(25));
        let mut drawn = 0;
        let stubborn = distribution.sample(|| {
            drawn += 1;
            u64::MAX
        });
        assert_eq!((stubborn, drawn), (MS(50), RESAMPLES + 1));
    }

    #[test]
    fn a_normal_sample_below_zero_is_redrawn_and_finally_zero() {
        let normal = Distribution::normal(MS(1), MS(100)).unwrap();
        let mut words = [0, 1 << 63].into_iter();
        assert_eq!(normal.sample(|| words.next().unwrap()), MS(1));
        assert_eq!(normal.sample(|| 0), Duration::ZERO);
    }

    /// `check` says what is sampled, and not what the parameters would give without the ends.
    #[test]
    fn the_mean_in_words_is_that_of_the_samples() {
        let cut =
            |shape: Result<Distribution, _>, max: u64| shape.unwrap().with_max(MS(max)).unwrap();
        for distribution in [
            cut(Distribution::normal(MS(10), MS(100)), 3_600_000),
            cut(Distribution::normal(MS(10), MS(100)), 50),
            cut(Distribution::normal(MS(100), MS(1)), 50),
            cut(Distribution::uniform(MS(20), MS(100)), 50),
            cut(Distribution::uniform(MS(80), MS(100)), 50),
            cut(Distribution::lognormal(MS(40), 1.0), 50),
            cut(Distribution::lognormal(MS(40), 1.0), 3_600_000),
            cut(Distribution::exponential(MS(100)), 50),
            cut(Distribution::exponential(MS(100)), 1),
            cut(Distribution::pareto(MS(10), 1.5), 50),
            cut(Distribution::pareto(MS(10), 1.0), 50),
            cut(Distribution::pareto(MS(49), 0.1), 50),
            cut(Distribution::pareto(MS(80), 3.0), 50),
        ] {
            let samples = 40_000;
            let mut rng = ChaCha8Rng::seed_from_u64(7);
            let all: Duration = (0..samples)
                .map(|_| distribution.sample(|| rng.next_u64()))
                .sum();
            let found = all.as_secs_f64() / f64::from(samples);
            let expected = distribution.truncated().unwrap().mean_of_samples(RESAMPLES);
            assert!(
                (found / expected - 1.0).abs() < 0.02,
                "{distribution}: {found} s"
            );
        }
    }

    #[test]
    fn what_is_cut_off_is_told_where_it_changes_the_mean() {
        let told = |shape: Result<Distribution, _>, max: u64| {
            shape.unwrap().with_max(MS(max)).unwrap().to_string()
        };
        insta::assert_snapshot!(told(Distribution::normal(MS(10), MS(100)), 3_600_000), @"with a normal distribution, mean 10ms and standard deviation 100ms; without the 46.0 % below zero, which are drawn again, 83ms 533us on average");
        insta::assert_snapshot!(told(Distribution::normal(MS(10), MS(100)), 200), @"with a normal distribution, mean 10ms and standard deviation 100ms, 200ms at most; without the 46.0 % below zero and 2.9 % above 200ms, which are drawn again, 74ms 826us on average");
        insta::assert_snapshot!(told(Distribution::normal(MS(100), MS(10)), 200), @"with a normal distribution, mean 100ms and standard deviation 10ms, 200ms at most");
        insta::assert_snapshot!(told(Distribution::exponential(MS(100)), 3_600_000), @"with an exponential distribution, mean 100ms");
        insta::assert_snapshot!(told(Distribution::uniform(MS(80), MS(100)), 50), @"from 80ms to 100ms, each as likely, 50ms at most; without the 100.0 % above 50ms, which are drawn again, 50ms on average");
    }

    #[test]
    fn the_extremes_of_every_shape_stay_within_the_limits() {
        for distribution in [
            Distribution::normal(MS(100), MS(20)),
            Distribution::lognormal(MS(100), 10.0),
            Distribution::exponential(MAX_DELAY),
            Distribution::pareto(MAX_DELAY, 0.1),
        ] {
            let distribution = distribution.unwrap();
            for word in [0, 1, u64::MAX - 1, u64::MAX] {
                assert!(distribution.sample(|| word) <= MAX_DELAY);
            }
        }
    }
}
