//! One rule of a scenario: who it is, how often it fires, and what it then does.
//!
//! Types that cannot be wrong: whoever holds a [`Rule`] holds a valid one.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::Distribution;

/// One rule: with some probability, one fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    name: RuleName,
    probability: Probability,
    fault: Fault,
}

/// What a rule does when it fires.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The response starts later. Delays of several rules add up.
    Latency(Distribution),
    /// This status instead of the flag.
    Status(StatusNumber),
}

/// Why a rule, or one of its values, cannot be built.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum InvalidRule {
    /// Not a number from 0 to 1.
    #[error("{0} is not a probability: give a number from 0 to 1")]
    Probability(f64),
    /// Not the status of a final response.
    #[error("{0} is no status of a response: give one from 200 to 599")]
    Status(i64),
    /// Empty, too long, or with characters that a header cannot carry.
    #[error(
        "{0:?} is no name for a rule: take 1 to {max} letters, digits, '-', '_' or '.'",
        max = RuleName::MAX_LEN
    )]
    Name(String),
    /// A second rule of that name.
    #[error("two rules are named {0:?}: each name is a stream of chance of its own, so rename one")]
    NameTaken(String),
}

impl Rule {
    /// A rule that always fires; see [`with_probability`](Self::with_probability).
    pub fn new(name: RuleName, fault: Fault) -> Self {
        Self {
            name,
            probability: Probability::ALWAYS,
            fault,
        }
    }

    /// The same rule, fired for this share of the requests.
    #[must_use]
    pub fn with_probability(self, probability: Probability) -> Self {
        Self {
            probability,
            ..self
        }
    }

    /// The name: unique in its scenario, and the rule's stream of chance.
    pub fn name(&self) -> &RuleName {
        &self.name
    }

    /// The share of the requests for which the rule fires.
    pub fn probability(&self) -> Probability {
        self.probability
    }

    /// What happens when it does.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

/// The name of a rule: 1 to 64 letters, digits, `-`, `_` or `.`, so that a header can list it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RuleName(Arc<str>);

impl RuleName {
    /// The most characters that a name may have.
    pub const MAX_LEN: usize = 64;

    /// Parses a name.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters than those above.
    pub fn try_new(name: &str) -> Result<Self, InvalidRule> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if (1..=Self::MAX_LEN).contains(&name.len()) && name.chars().all(allowed) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidRule::Name(name.to_owned()))
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Probability(f64);

impl Probability {
    /// Every time.
    pub const ALWAYS: Self = Self(1.0);

    /// Parses a probability.
    ///
    /// # Errors
    /// When it is below 0, above 1 or not a number.
    pub fn try_new(value: f64) -> Result<Self, InvalidRule> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(InvalidRule::Probability(value))
        }
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Whether these 64 uniform bits fall below the probability: their upper 53 as a fraction of 2⁵³.
    pub(crate) fn fires(self, bits: u64) -> bool {
        ((bits >> 11) as f64) * (1.0 / (1_u64 << 53) as f64) < self.0
    }
}

/// The status of a final response: 200 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StatusNumber(u16);

impl StatusNumber {
    /// Parses a status.
    ///
    /// # Errors
    /// When it is not one of a final response.
    pub fn try_new(status: i64) -> Result<Self, InvalidRule> {
        u16::try_from(status)
            .ok()
            .filter(|number| (200..600).contains(number))
            .map(Self)
            .ok_or(InvalidRule::Status(status))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coin_of_probability_zero_never_falls_and_of_one_always_does() {
        let never = Probability::try_new(0.0).unwrap();
        for bits in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(!never.fires(bits));
            assert!(Probability::ALWAYS.fires(bits));
        }
    }

    #[test]
    fn a_coin_falls_exactly_below_its_probability() {
        let quarter = Probability::try_new(0.25).unwrap();
        assert!(quarter.fires((1 << 62) - 1));
        assert!(!quarter.fires(1 << 62));
    }

    #[test]
    fn what_is_no_probability_is_refused() {
        for value in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
            assert!(Probability::try_new(value).is_err(), "{value}");
        }
    }

    #[test]
    fn only_statuses_of_final_responses_are_accepted() {
        for status in [200, 204, 304, 418, 599] {
            assert_eq!(
                StatusNumber::try_new(status).map(|s| i64::from(s.get())),
                Ok(status)
            );
        }
        for status in [-1, 0, 100, 199, 600, 70_000] {
            assert_eq!(
                StatusNumber::try_new(status),
                Err(InvalidRule::Status(status))
            );
        }
    }

    #[test]
    fn a_name_fits_into_a_header() {
        assert!(RuleName::try_new("tea-pot_2.a").is_ok());
        for name in ["", "a b", "a,b", "é", "a\n", &"x".repeat(65)] {
            assert!(RuleName::try_new(name).is_err(), "{name:?}");
        }
    }
}
