//! Rules written in code. Wrong values are kept and reported once, when a scenario is made of the
//! rules; what the values mean is for [`Rule`] and [`Fault`] to say.

use std::num::NonZeroU32;
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use crate::{
    Attempts, Conditions, Distribution, Fault, InvalidDistribution, InvalidRule, Pattern,
    Probability, ResponseHeader, Rule, RuleName, StatusFault, StatusNumber, Window,
};

/// A rule that is being written in code; [`Scenario::of`](crate::Scenario::of) checks it.
///
/// ```
/// use std::time::Duration;
///
/// use flag_scenario::{Distribution, Fault, Rule, Scenario};
///
/// let (least, most) = (Duration::from_millis(20), Duration::from_millis(80));
/// let scenario = Scenario::of([
///     Rule::status(503).retry_after(Duration::from_secs(1)).first(2),
///     Rule::random_latency(Distribution::uniform(least, most)).named("slow"),
///     Rule::of(Fault::Close).for_codes(["BR", "JP"]).probability(0.25),
/// ])?;
/// assert_eq!(
///     scenario.to_string(),
///     "status-1: all requests, on the first 2 attempts: status 503, with retry-after 1 s\n\
///      slow: all requests: a delay from 20ms to 80ms, each as likely\n\
///      close-3: 25 % of the requests, for BR or JP: a closed connection without a response\n"
/// );
/// # Ok::<(), flag_scenario::InvalidScenario>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a rule does nothing until a scenario is made of it"]
pub struct RuleBuilder(Result<Draft, InvalidRule>);

#[derive(Debug, Clone, PartialEq)]
struct Draft {
    name: Option<RuleName>,
    group: Option<RuleName>,
    probability: Probability,
    conditions: Conditions,
    fault: Fault,
}

impl Rule {
    /// A rule with this fault.
    pub fn of(fault: Fault) -> RuleBuilder {
        RuleBuilder::of(Ok(fault))
    }

    /// A rule that answers with this status instead of the flag: 200 to 599.
    pub fn status(status: u16) -> RuleBuilder {
        let status = StatusNumber::try_new(status.into());
        RuleBuilder::of(status.map(|status| Fault::Status(StatusFault::of(status))))
    }

    /// A rule that delays the response by this time, an hour at most.
    pub fn latency(delay: Duration) -> RuleBuilder {
        Self::random_latency(Distribution::fixed(delay))
    }

    /// A rule that delays the response by a time drawn from a distribution.
    pub fn random_latency(distribution: Result<Distribution, InvalidDistribution>) -> RuleBuilder {
        let distribution = distribution.map_err(InvalidRule::from);
        RuleBuilder::of(distribution.map(Fault::Latency))
    }
}

impl RuleBuilder {
    fn of(fault: Result<Fault, InvalidRule>) -> Self {
        Self(fault.map(|fault| Draft {
            name: None,
            group: None,
            probability: Probability::ALWAYS,
            conditions: Conditions::default(),
            fault,
        }))
    }

    /// The name of the rule, which its decisions depend on. By default the kind and the place of
    /// the rule, as in a file: `status-1`.
    pub fn named(self, name: &str) -> Self {
        self.and(|draft| {
            draft.name = Some(RuleName::try_new(name)?);
            Ok(())
        })
    }

    /// The name of a group: of its rules, at most one fires for a request. The sum of their
    /// probabilities is at most 1.
    pub fn group(self, name: &str) -> Self {
        self.and(|draft| {
            draft.group = Some(RuleName::try_new(name)?);
            Ok(())
        })
    }

    /// Fires for this share of the requests that meet the conditions: 0 to 1.
    pub fn probability(self, probability: f64) -> Self {
        self.and(|draft| {
            draft.probability = Probability::try_new(probability)?;
            Ok(())
        })
    }

    /// Only the first attempts: this many, at least 1.
    pub fn first(self, attempts: u32) -> Self {
        self.attempts(1..=attempts)
    }

    /// Only these attempts, counted from 1: `2..=4`, `3..`.
    pub fn attempts(self, range: impl RangeBounds<u32>) -> Self {
        let from = match range.start_bound() {
            Bound::Included(first) => *first,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 1,
        };
        let to = match range.end_bound() {
            Bound::Included(last) => Some(*last),
            Bound::Excluded(after) => Some(after.saturating_sub(1)),
            Bound::Unbounded => None,
        };
        self.and(|draft| {
            let from = counted("attempts", from)?;
            let to = to.map(|to| counted("attempts", to)).transpose()?;
            if to.is_some_and(|to| to < from) {
                return Err(InvalidRule::NoAttempt);
            }
            draft.conditions.attempts = Some(Attempts::Range { from, to });
            Ok(())
        })
    }

    /// Only every N-th attempt: with 3, the attempts 3, 6, 9 and so on.
    pub fn every(self, n: u32) -> Self {
        self.and(|draft| {
            draft.conditions.attempts = Some(Attempts::Every(counted("attempts", n)?));
            Ok(())
        })
    }

    /// Only requests for these countries.
    pub fn for_codes(self, codes: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.and(|draft| {
            for code in codes {
                draft.conditions.codes.push(code.as_ref().parse()?);
            }
            Ok(())
        })
    }

    /// Only requests with a canonical path that matches: `*` is any text, `?` one character.
    pub fn at_path(self, pattern: &str) -> Self {
        self.and(|draft| {
            draft.conditions.path = Some(Pattern::new(pattern));
            Ok(())
        })
    }

    /// Only requests with one of these methods.
    pub fn by_methods(self, methods: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        self.and(|draft| {
            let methods = methods
                .into_iter()
                .map(|method| method.as_ref().to_uppercase());
            draft.conditions.methods.extend(methods);
            Ok(())
        })
    }

    /// Only requests with this header, if its value matches: `*` is any text, `?` one character.
    pub fn with_header(self, name: &str, pattern: &str) -> Self {
        self.and(|draft| {
            let condition = (name.to_lowercase(), Pattern::new(pattern));
            draft.conditions.headers.push(condition);
            Ok(())
        })
    }

    /// Only from this time on, since the server started.
    pub fn from(self, from: Duration) -> Self {
        self.and(|draft| {
            draft.conditions.window.from = from;
            Ok(())
        })
    }

    /// Only until this time, since the server started.
    pub fn until(self, until: Duration) -> Self {
        self.and(|draft| {
            draft.conditions.window.until = Some(until);
            Ok(())
        })
    }

    /// The header `retry-after` of a status, in whole seconds, rounded up.
    pub fn retry_after(self, pause: Duration) -> Self {
        self.and(|draft| {
            draft.status("retry_after")?.retry_after = Some(pause);
            Ok(())
        })
    }

    /// The body of a status, instead of a short explanation.
    pub fn body(self, body: &str) -> Self {
        self.and(|draft| {
            draft.status("body")?.body = Some(body.into());
            Ok(())
        })
    }

    /// A header of a status, such as `content-type`; one more each time.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.and(|draft| {
            let status = draft.status("headers")?;
            let mut headers = status.headers().to_vec();
            headers.push(ResponseHeader::try_new(name, value)?);
            *status = status.clone().with_headers(headers)?;
            Ok(())
        })
    }

    /// The first problem stays.
    fn and(mut self, change: impl FnOnce(&mut Draft) -> Result<(), InvalidRule>) -> Self {
        if let Ok(draft) = &mut self.0
            && let Err(problem) = change(draft)
        {
            self.0 = Err(problem);
        }
        self
    }

    /// The rule at this place of a scenario, counted from 1.
    pub(crate) fn build(self, place: usize) -> Result<Rule, InvalidRule> {
        let draft = self.0?;
        check_fault(&draft.fault)?;
        check_window(draft.conditions.window)?;
        let default_name = || RuleName::of_place(&draft.fault, place);
        let name = draft.name.unwrap_or_else(default_name);
        Ok(Rule::new(name, draft.fault)
            .with_group(draft.group)
            .with_probability(draft.probability)
            .with_conditions(draft.conditions))
    }
}

impl Draft {
    fn status(&mut self, what: &'static str) -> Result<&mut StatusFault, InvalidRule> {
        match &mut self.fault {
            Fault::Status(status) => Ok(status),
            other => Err(InvalidRule::NotOfKind {
                what,
                kind: other.kind(),
            }),
        }
    }
}

fn check_fault(fault: &Fault) -> Result<(), InvalidRule> {
    match fault {
        Fault::Status(status) => within_a_day("retry_after", status.retry_after),
        Fault::Stall { hold, .. } => within_a_day("hold", *hold),
        Fault::Dribble(dribble) => {
            within("chunks", dribble.chunks.get(), Fault::MAX_CHUNKS)?;
            within_a_day("over", Some(dribble.over))
        }
        Fault::Corrupt { bits } => within("bits", bits.get(), Fault::MAX_BITS),
        Fault::Redirect { hops } => within("hops", hops.get(), Fault::MAX_HOPS),
        Fault::Latency(_)
        | Fault::Reset { .. }
        | Fault::Close
        | Fault::Truncate(_)
        | Fault::Bandwidth(_)
        | Fault::Garbage { .. } => Ok(()),
    }
}

fn check_window(window: Window) -> Result<(), InvalidRule> {
    within_a_day("from", Some(window.from))?;
    within_a_day("until", window.until)?;
    if window.until.is_some_and(|until| until <= window.from) {
        return Err(InvalidRule::NeverOpen);
    }
    Ok(())
}

fn within_a_day(what: &'static str, duration: Option<Duration>) -> Result<(), InvalidRule> {
    match duration {
        Some(duration) if duration > Fault::MAX_DURATION => {
            Err(InvalidRule::TooLong { what, duration })
        }
        _ => Ok(()),
    }
}

fn counted(what: &'static str, value: u32) -> Result<NonZeroU32, InvalidRule> {
    let max = u32::MAX;
    NonZeroU32::new(value).ok_or(InvalidRule::Count { what, value, max })
}

fn within(what: &'static str, value: u32, max: u32) -> Result<(), InvalidRule> {
    if (1..=max).contains(&value) {
        Ok(())
    } else {
        Err(InvalidRule::Count { what, value, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dribble, Scenario};

    fn problem(rule: RuleBuilder) -> String {
        Scenario::of([rule]).unwrap_err().to_string()
    }

    #[test]
    fn rules_in_code_equal_those_in_a_file() {
        let file = r#"
            [[rule]]
            fault = "status"
            status = 503
            retry_after = "1s"
            body = "later"
            headers = { X-Reason = "busy", content-type = "application/json" }
            attempts = { first = 2 }
            [[rule]]
            name = "slow"
            fault = "latency"
            distribution = { fixed = "20ms" }
            match = { path = "*.gif", method = "get", header = { User-Agent = "curl/*" } }
            [[rule]]
            fault = "close"
            probability = 0.25
            match = { cc = ["br", "JP"] }
            window = { from = "5s", until = "8s" }
            [[rule]]
            fault = "close"
            attempts = { from = 2, to = 4 }
            [[rule]]
            fault = "close"
            attempts = { from = 2 }
            [[rule]]
            fault = "close"
            attempts = { every = 3 }
        "#;
        let secs = Duration::from_secs;
        let code = Scenario::of([
            Rule::status(503)
                .retry_after(secs(1))
                .body("later")
                .header("X-Reason", "busy")
                .header("content-type", "application/json")
                .first(2),
            Rule::latency(Duration::from_millis(20))
                .named("slow")
                .at_path("*.gif")
                .by_methods(["get"])
                .with_header("User-Agent", "curl/*"),
            Rule::of(Fault::Close)
                .probability(0.25)
                .for_codes(["br", "JP"])
                .from(secs(5))
                .until(secs(8)),
            Rule::of(Fault::Close).attempts(2..5),
            Rule::of(Fault::Close).attempts(2..),
            Rule::of(Fault::Close).every(3),
        ]);
        assert_eq!(code.unwrap(), Scenario::from_toml(file).unwrap());
    }

    #[test]
    fn an_invalid_value_is_reported_when_the_scenario_is_built() {
        let status = || Rule::status(503);
        let day = Duration::from_secs(24 * 60 * 60);
        let past_a_day = day + Duration::from_nanos(1);
        let crossed = Distribution::uniform(day, Duration::ZERO);
        let many = NonZeroU32::new(100_000).unwrap();
        let dribble = |chunks, over| Rule::of(Fault::Dribble(Dribble { chunks, over }));
        let stall = Rule::of(Fault::Stall {
            after: None,
            hold: Some(past_a_day),
        });
        let problems = [
            Rule::status(199),
            Rule::latency(day),
            Rule::random_latency(crossed),
            status().named("a b"),
            status().probability(1.5),
            status().probability(f64::NAN),
            status().first(0),
            status().attempts((Bound::Included(4), Bound::Included(2))),
            status().attempts(3..3),
            status().every(0),
            status().for_codes(["BR", "BRA"]),
            status().from(day).until(day),
            status().until(past_a_day),
            status().retry_after(past_a_day),
            stall,
            dribble(many, day),
            dribble(NonZeroU32::MIN, past_a_day),
            Rule::of(Fault::Corrupt { bits: many }),
            Rule::of(Fault::Redirect { hops: many }),
            Rule::of(Fault::Close).retry_after(day),
            Rule::of(Fault::Close).body("text"),
            Rule::of(Fault::Close).header("x", "y"),
            status().header("a b", "y"),
            status().header("x", "é"),
            status().header("Content-Length", "7"),
            status().header("x", "y").header("X", "z"),
            (0..33).fold(status(), |rule, n| rule.header(&format!("x-{n}"), "y")),
            status().group("two words"),
        ]
        .map(problem);
        insta::assert_snapshot!(problems.join("\n"), @r#"
        rule 1: invalid status 199: give one from 200 to 599
        rule 1: 1day is more than an hour: check its unit
        rule 1: lower (1day) is above upper (0s): swap them
        rule 1: invalid name "a b": use 1 to 64 letters, digits, '-', '_' or '.'
        rule 1: 1.5 is not between 0 and 1: give a number from 0 to 1
        rule 1: NaN is not between 0 and 1: give a number from 0 to 1
        rule 1: attempts: 0 is out of range: give a whole number from 1 to 4294967295
        rule 1: `to` is below `from`: no attempt is in such a range
        rule 1: `to` is below `from`: no attempt is in such a range
        rule 1: attempts: 0 is out of range: give a whole number from 1 to 4294967295
        rule 1: "BRA" is not a country code: write two letters from A to Z, such as BR
        rule 1: `until` is not after `from`: such a window never opens
        rule 1: until: 1day 1ns is more than a day: check its unit
        rule 1: retry_after: 1day 1ns is more than a day: check its unit
        rule 1: hold: 1day 1ns is more than a day: check its unit
        rule 1: chunks: 100000 is out of range: give a whole number from 1 to 10000
        rule 1: over: 1day 1ns is more than a day: check its unit
        rule 1: bits: 100000 is out of range: give a whole number from 1 to 1024
        rule 1: hops: 100000 is out of range: give a whole number from 1 to 100
        rule 1: a rule of the kind close has no retry_after: only status rules have one
        rule 1: a rule of the kind close has no body: only status rules have one
        rule 1: a rule of the kind close has no headers: only status rules have one
        rule 1: "a b" is no name of a header: use letters, digits and '-', at most 64 characters
        rule 1: x: is no value of a header: use visible ASCII characters without spaces at the ends, at most 4096 of them
        rule 1: content-length: is a header of the server's own: leave it out
        rule 1: x: there are two headers of this name: give one value
        rule 1: 33 headers are too many: give at most 32
        rule 1: invalid name "two words": use 1 to 64 letters, digits, '-', '_' or '.'
        "#);
    }

    #[test]
    fn the_first_invalid_value_and_the_position_of_its_rule_are_reported() {
        let wrong = Rule::status(503).first(0).probability(2.0);
        let problem = Scenario::of([Rule::status(418), wrong]).unwrap_err();
        assert_eq!(problem.place, 2);
        assert!(matches!(problem.reason, InvalidRule::Count { .. }));
    }

    #[test]
    fn two_rules_of_one_name_are_refused() {
        let named = || Rule::status(503).named("x");
        let problem = Scenario::of([named(), named()]).unwrap_err();
        assert_eq!(problem.place, 2);
        assert_eq!(problem.reason, InvalidRule::NameTaken("x".to_owned()));
    }
}
