//! Deciding: what is to happen to a request. Pure: no HTTP, no clock, no chance but the seed.
//!
//! A [`Scenario`] is a seed and a list of [`Rule`]s, read from TOML by [`Scenario::from_toml`] or
//! built in code. A [`Planner`] turns it and a [`RequestKey`] into a [`Plan`]. How a plan is carried
//! out is none of this module's business: that is the `fault` module.

mod distribution;
mod file;
mod planner;
pub mod profiles;
mod rule;

pub use distribution::{Distribution, InvalidDistribution};
pub use file::{Problem, ScenarioError};
pub use planner::{Ending, Plan, Planner, RequestKey};
pub use rule::{Fault, InvalidRule, Probability, Rule, RuleName, StatusNumber};

/// What a listener does to its clients: a seed, and rules in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    seed: u64,
    rules: Vec<Rule>,
}

impl Scenario {
    /// The seed of a scenario that names none.
    pub const DEFAULT_SEED: u64 = 20_150_223;

    /// A scenario of these rules, in this order.
    ///
    /// # Errors
    /// When two rules have the same name: the name is the rule's stream of chance.
    pub fn try_new(seed: u64, rules: Vec<Rule>) -> Result<Self, InvalidRule> {
        for (index, rule) in rules.iter().enumerate() {
            if rules[..index]
                .iter()
                .any(|earlier| earlier.name() == rule.name())
            {
                return Err(InvalidRule::NameTaken(rule.name().to_string()));
            }
        }
        Ok(Self { seed, rules })
    }

    /// The same rules with another seed: another fate for every request.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The seed of every decision.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The rules, in the order in which they are tried.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }
}
