//! How long a latency is: a distribution over durations, sampled from bits that the caller draws.
//!
//! Everything is integer arithmetic on nanoseconds, so that a sample is the same on every platform.

use std::time::Duration;

use thiserror::Error;

/// The longest delay that a rule may ask for: an hour. More is a slip of the unit.
pub(crate) const MAX_DELAY: Duration = Duration::from_secs(3600);

/// A distribution over durations; what cannot be sampled cannot be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution(Shape);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Shape {
    Fixed(Duration),
    Uniform { lower: Duration, upper: Duration },
}

/// Why a distribution cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum InvalidDistribution {
    /// The lower bound lies above the upper one.
    #[error("lower ({lower:?}) is above upper ({upper:?}): swap them")]
    Crossed {
        /// The lower bound.
        lower: Duration,
        /// The upper bound.
        upper: Duration,
    },
    /// A delay beyond [`MAX_DELAY`].
    #[error("{0:?} is more than an hour: check its unit")]
    TooLong(Duration),
}

impl Distribution {
    /// Always the same delay.
    ///
    /// # Errors
    /// When it is longer than an hour.
    pub fn fixed(delay: Duration) -> Result<Self, InvalidDistribution> {
        within_limit(delay)?;
        Ok(Self(Shape::Fixed(delay)))
    }

    /// Every delay from `lower` to just below `upper` with the same chance.
    ///
    /// # Errors
    /// When the bounds are crossed, or `upper` is longer than an hour.
    pub fn uniform(lower: Duration, upper: Duration) -> Result<Self, InvalidDistribution> {
        if lower > upper {
            return Err(InvalidDistribution::Crossed { lower, upper });
        }
        within_limit(upper)?;
        Ok(Self(Shape::Uniform { lower, upper }))
    }

    /// The delay that these 64 uniform bits stand for.
    pub(crate) fn sample(&self, bits: impl FnOnce() -> u64) -> Duration {
        match self.0 {
            Shape::Fixed(delay) => delay,
            // lower + ⌊(upper − lower) × bits / 2⁶⁴⌋, which never reaches upper.
            Shape::Uniform { lower, upper } => {
                let width = (upper - lower).as_nanos();
                let offset = (width * u128::from(bits())) >> 64;
                lower + Duration::from_nanos(offset as u64)
            }
        }
    }

    /// The mean of the distribution.
    pub fn mean(&self) -> Duration {
        match self.0 {
            Shape::Fixed(delay) => delay,
            Shape::Uniform { lower, upper } => (lower + upper) / 2,
        }
    }
}

fn within_limit(delay: Duration) -> Result<(), InvalidDistribution> {
    if delay > MAX_DELAY {
        Err(InvalidDistribution::TooLong(delay))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(
            Distribution::fixed(long),
            Err(InvalidDistribution::TooLong(long))
        );
        assert_eq!(
            Distribution::uniform(MS(0), long),
            Err(InvalidDistribution::TooLong(long))
        );
    }
}
