//! A scenario: a seed, rules, and a capacity.

use std::fmt;
use std::num::NonZeroU32;

use thiserror::Error;

use crate::wording::counted;
use crate::{Distribution, InvalidRule, Rule, RuleBuilder};

/// What a listener does to its clients: a seed, rules in the order of the file, and a capacity.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    seed: u64,
    rules: Vec<Rule>,
    capacity: Option<Capacity>,
    counts_attempts: bool,
}

/// A limited server: it works on some requests at a time, queues others, and refuses those beyond
/// the queue.
///
/// How long a request waits depends on other requests, so plans do not include it.
#[derive(Debug, Clone, PartialEq)]
pub struct Capacity {
    /// The requests that are worked on at one time.
    pub workers: NonZeroU32,
    /// How long each is worked on.
    pub service_time: Distribution,
    /// The requests that may wait for a worker; the next one gets a 503.
    pub queue: u32,
}

/// A scenario cannot be made of rules: one of them is wrong.
#[derive(Debug, Clone, PartialEq, Error)]
#[error("rule {place}: {reason}")]
#[non_exhaustive]
pub struct InvalidScenario {
    /// The place of the rule, counted from 1.
    pub place: usize,
    /// What is wrong with it.
    pub reason: InvalidRule,
}

impl Scenario {
    /// The seed of a scenario that names none.
    pub const DEFAULT_SEED: u64 = 20_150_223;

    /// A scenario of these rules, in this order, with the default seed.
    ///
    /// # Errors
    /// With the first rule that has a wrong value or the name of an earlier rule.
    pub fn of(rules: impl IntoIterator<Item = RuleBuilder>) -> Result<Self, InvalidScenario> {
        let build = |(place, rule): (usize, RuleBuilder)| {
            rule.build(place)
                .map_err(|reason| InvalidScenario { place, reason })
        };
        let rules: Result<Vec<Rule>, _> = (1..).zip(rules).map(build).collect();
        Self::try_new(Self::DEFAULT_SEED, rules?)
    }

    /// A scenario of these rules, which have different names: a name is a rule's stream of chance.
    pub(crate) fn try_new(seed: u64, rules: Vec<Rule>) -> Result<Self, InvalidScenario> {
        for (index, rule) in rules.iter().enumerate() {
            let place = index + 1;
            let checked = check_behind(&rules[..index], rule);
            checked.map_err(|reason| InvalidScenario { place, reason })?;
        }
        Ok(Self {
            seed,
            rules,
            ..Self::faultless()
        })
    }

    /// A scenario without any fault.
    pub fn faultless() -> Self {
        Self {
            seed: Self::DEFAULT_SEED,
            rules: Vec::new(),
            capacity: None,
            counts_attempts: true,
        }
    }

    /// The same rules with another seed: another decision for every request.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The same rules on a server of this capacity.
    #[must_use]
    pub fn with_capacity(self, capacity: Capacity) -> Self {
        Self {
            capacity: Some(capacity),
            ..self
        }
    }

    /// The same rules, where requests that do not number their attempts are counted or not: without
    /// counting, each of them is attempt 1, so a program meets the same faults every time that it
    /// runs.
    #[must_use]
    pub fn with_counted_attempts(self, counts_attempts: bool) -> Self {
        Self {
            counts_attempts,
            ..self
        }
    }

    /// Whether requests that do not number their attempts are counted.
    pub fn counts_attempts(&self) -> bool {
        self.counts_attempts
    }

    /// The seed of every decision.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The rules, in the order in which they are tried.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The capacity, if it has a limit.
    pub fn capacity(&self) -> Option<&Capacity> {
        self.capacity.as_ref()
    }
}

/// How far the sum of the probabilities of a group may be above 1: tenths have no exact double.
const ROUNDING: f64 = 1e-9;

/// Checks a rule behind those before it: its name, and the room that is left in its group.
pub(crate) fn check_behind(earlier: &[Rule], rule: &Rule) -> Result<(), InvalidRule> {
    if earlier.len() >= Rule::MAX_IN_SCENARIO {
        return Err(InvalidRule::TooMany);
    }
    if earlier.iter().any(|earlier| earlier.name() == rule.name()) {
        return Err(InvalidRule::NameTaken(rule.name().to_string()));
    }
    if let Some(group) = rule.group() {
        let sum = start_in_group(earlier, rule) + rule.probability().get();
        if sum > 1.0 + ROUNDING {
            let group = group.to_string();
            return Err(InvalidRule::GroupTooWide { group, sum });
        }
    }
    Ok(())
}

/// Where the interval of a rule begins in its group: behind those of the rules before it. 0 for a
/// rule without a group.
pub(crate) fn start_in_group(earlier: &[Rule], rule: &Rule) -> f64 {
    let of_group = |one: &&Rule| rule.group().is_some() && one.group() == rule.group();
    let widths = earlier.iter().filter(of_group);
    widths.map(|one| one.probability().get()).sum()
}

impl fmt::Display for Scenario {
    /// What it means, in words: a line for the capacity if there is one, and a line for each rule.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(capacity) = &self.capacity {
            writeln!(f, "capacity: {capacity}")?;
        }
        if !self.counts_attempts {
            writeln!(
                f,
                "attempts: not counted, so a request without flag-attempt is attempt 1"
            )?;
        }
        if self.rules.is_empty() {
            return writeln!(f, "no faults");
        }
        self.rules.iter().try_for_each(|rule| writeln!(f, "{rule}"))
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = counted(self.workers.get().into(), "request");
        write!(
            f,
            "{workers} at a time, each for a time {}; ",
            self.service_time
        )?;
        match self.queue {
            0 => f.write_str("none may wait, the rest get status 503"),
            u32::MAX => f.write_str("the rest wait"),
            queue => write!(f, "{queue} more may wait, the rest get status 503"),
        }
    }
}
