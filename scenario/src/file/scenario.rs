//! The keys of a scenario file, and what becomes of their values.
//!
//! The types that the values become ([`Rule`], [`Distribution`], …) define which are allowed.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

use flags_data::{CountryCode, did_you_mean};
use thiserror::Error;

use super::reader::{
    Problem, Section, boolean, count, duration, number, read_text, size, text, texts, unsigned,
};
use crate::scenario::check_behind;
use crate::{
    Attempts, Capacity, Conditions, Cut, Distribution, Dribble, Fault, InvalidRule, Pattern,
    Probability, ResponseHeader, Rule, RuleName, Scenario, StatusFault, StatusNumber, Window,
};

/// The kinds of fault that a rule may name.
pub const KINDS: [&str; 11] = [
    "latency",
    "status",
    "reset",
    "close",
    "truncate",
    "stall",
    "bandwidth",
    "dribble",
    "garbage",
    "corrupt",
    "redirect",
];

/// WireMock's names, and the kinds that they stand for.
pub(crate) const ALIASES: [(&str, &str); 4] = [
    ("CONNECTION_RESET_BY_PEER", "reset"),
    ("EMPTY_RESPONSE", "close"),
    ("MALFORMED_RESPONSE_CHUNK", MALFORMED),
    ("RANDOM_DATA_THEN_CLOSE", "garbage"),
];

/// Garbage after the head of a chunked response: a kind that only WireMock's name stands for.
pub(crate) const MALFORMED: &str = "malformed chunk";

/// The most workers of a capacity.
pub(crate) const MAX_WORKERS: u32 = 1_000_000;

/// Everything that is wrong with the text of a scenario; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub struct ScenarioError {
    /// The problems, in the order of their lines.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Scenario {
    /// Reads a scenario from the text of a TOML file.
    ///
    /// # Errors
    /// With every problem of the text: syntax, unknown keys, missing keys, values out of range.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let read = read_text(text, |file| {
            let scenario = read_scenario(file);
            file.refuse_the_rest();
            scenario
        });
        read.map_err(|problems| ScenarioError { problems })
    }
}

/// The keys of a scenario, wherever it is written. `None` only where a problem was noted.
pub fn read_scenario(file: &mut Section<'_, '_>) -> Option<Scenario> {
    let seed = file
        .optional("seed", unsigned)
        .unwrap_or(Scenario::DEFAULT_SEED);
    let counts_attempts = file.optional("count_attempts", boolean).unwrap_or(true);
    let capacity = file.table("capacity", read_capacity);
    let mut earlier: Vec<Rule> = Vec::new();
    let rules = file.tables(
        "rule",
        "write each rule as a table that starts with [[rule]]",
        |rule, index| {
            if index >= Rule::MAX_IN_SCENARIO {
                if index == Rule::MAX_IN_SCENARIO {
                    rule.refuse_table(&InvalidRule::TooMany.to_string());
                }
                rule.accept_the_rest();
                return None;
            }
            let read = read_rule(rule, index)?;
            if let Err(problem) = check_behind(&earlier, &read) {
                let key = match problem {
                    InvalidRule::GroupTooWide { .. } => "group",
                    _ => "name",
                };
                rule.refuse(key, &problem.to_string());
            }
            earlier.push(read.clone());
            Some(read)
        },
    );
    let scenario = Scenario::try_new(seed, rules).ok()?;
    let scenario = scenario.with_counted_attempts(counts_attempts);
    Some(match capacity {
        Some(capacity) => scenario.with_capacity(capacity),
        None => scenario,
    })
}

/// The keys of a capacity.
pub fn read_capacity(section: &mut Section<'_, '_>) -> Option<Capacity> {
    let workers = section.required("workers", |value| count(value, MAX_WORKERS));
    let service_time = section.required_table("service_time", read_distribution);
    let queue = section.optional("queue", |value| {
        u32::try_from(unsigned(value)?).map_err(|_| "give a smaller number".to_owned())
    });
    Some(Capacity {
        workers: workers?,
        service_time: service_time?,
        queue: queue.unwrap_or(u32::MAX),
    })
}

fn read_rule(section: &mut Section<'_, '_>, index: usize) -> Option<Rule> {
    let Some(kind) = section.required("fault", text) else {
        section.accept_the_rest(); // which keys there are depends on the kind
        return None;
    };
    let alias = ALIASES.iter().find(|(alias, _)| *alias == kind);
    let kind = alias.map_or(kind.as_str(), |(_, kind)| kind);
    if !KINDS.contains(&kind) && kind != MALFORMED {
        return unknown_kind(section, kind);
    }
    let name = section.optional("name", |value| checked(RuleName::try_new(&text(value)?)));
    let probability = section
        .optional("probability", probability)
        .unwrap_or(Probability::ALWAYS);
    let group = section.optional("group", |value| checked(RuleName::try_new(&text(value)?)));
    let conditions = read_conditions(section);
    let fault = read_fault(section, kind)?;

    let name = name.unwrap_or_else(|| RuleName::of_place(&fault, index + 1));
    Some(
        Rule::new(name, fault)
            .with_group(group)
            .with_probability(probability)
            .with_conditions(conditions),
    )
}

fn unknown_kind<T>(section: &mut Section<'_, '_>, kind: &str) -> Option<T> {
    let kinds = KINDS.join(", ");
    let hint = did_you_mean(kind, KINDS.iter().copied());
    section.refuse(
        "fault",
        &format!("unknown kind {kind:?}{hint}: use one of {kinds}"),
    );
    section.accept_the_rest();
    None
}

fn read_conditions(section: &mut Section<'_, '_>) -> Conditions {
    let mut conditions = section
        .table("match", |table| {
            let codes = table.optional("cc", |value| {
                let codes = texts(value)?;
                codes
                    .iter()
                    .map(|code| checked(code.parse::<CountryCode>()))
                    .collect::<Result<Vec<_>, _>>()
            });
            let path = table.optional("path", |value| Ok(Pattern::new(&text(value)?)));
            let methods = table.optional("method", |value| {
                Ok(texts(value)?
                    .iter()
                    .map(|method| method.to_uppercase())
                    .collect::<Vec<_>>())
            });
            let headers = table.table("header", |headers| {
                let pair =
                    |(name, pattern): (&str, String)| (name.to_lowercase(), Pattern::new(&pattern));
                Some(headers.texts().into_iter().map(pair).collect())
            });
            Some(Conditions {
                codes: codes.unwrap_or_default(),
                path,
                methods: methods.unwrap_or_default(),
                headers: headers.unwrap_or_default(),
                ..Conditions::default()
            })
        })
        .unwrap_or_default();
    conditions.attempts = section.table("attempts", read_attempts);
    conditions.window = section.table("window", read_window).unwrap_or_default();
    conditions
}

fn read_attempts(section: &mut Section<'_, '_>) -> Option<Attempts> {
    let [first, from, to, every] = ["first", "from", "to", "every"]
        .map(|key| section.optional(key, |value| count(value, u32::MAX)));
    let is_range = section.has("from") || section.has("to");
    let ways = [section.has("first"), is_range, section.has("every")];
    if ways.into_iter().filter(|is_there| *is_there).count() != 1 {
        section.refuse_table("give exactly one of first, every, or a range of from and to");
        return None;
    }
    let from_or_first = from.unwrap_or(NonZeroU32::MIN);
    if to.is_some_and(|to| to < from_or_first) {
        section.refuse("to", "is below `from`: no attempt is in such a range");
        return None;
    }
    match (first, every) {
        (Some(first), _) => Some(Attempts::first(first)),
        (None, Some(every)) => Some(Attempts::Every(every)),
        (None, None) => Some(Attempts::Range {
            from: from_or_first,
            to,
        }),
    }
}

fn read_window(section: &mut Section<'_, '_>) -> Option<Window> {
    let from = section.optional("from", duration).unwrap_or_default();
    let until = section.optional("until", duration);
    if until.is_some_and(|until| until <= from) {
        section.refuse("until", "is not after `from`: such a window never opens");
        return None;
    }
    Some(Window { from, until })
}

fn read_fault(section: &mut Section<'_, '_>, kind: &str) -> Option<Fault> {
    Some(match kind {
        "latency" => {
            let max = section.optional("max", duration);
            let distribution = section.required_table("distribution", read_distribution);
            let limited = match (distribution?, max) {
                (distribution, None) => Ok(distribution),
                (distribution, Some(max)) => distribution.with_max(max),
            };
            Fault::Latency(section.built(limited)?)
        }
        "status" => Fault::Status(read_status(section)?),
        "reset" => Fault::Reset {
            after: section.optional("after", size),
        },
        "close" => Fault::Close,
        "truncate" => {
            let after = section.optional("after", size).map(Cut::After);
            let fraction = section.optional("fraction", probability).map(Cut::Fraction);
            section.exactly_one(&["after", "fraction"])?;
            Fault::Truncate(after.or(fraction)?)
        }
        "stall" => Fault::Stall {
            after: section.optional("after", size),
            hold: section.optional("hold", duration),
        },
        "bandwidth" => Fault::Bandwidth(section.required("rate", |value| {
            NonZeroU64::new(size(value)?).ok_or(
                "is zero, so nothing would ever come: give a rate above it, or a stall".to_owned(),
            )
        })?),
        "dribble" => {
            let chunks = section.required("chunks", |value| count(value, Fault::MAX_CHUNKS));
            let over = section.required("over", duration);
            Fault::Dribble(Dribble {
                chunks: chunks?,
                over: over?,
            })
        }
        "garbage" => Fault::Garbage { after_head: false },
        MALFORMED => Fault::Garbage { after_head: true },
        "corrupt" => {
            let bits = section.optional("bits", |value| count(value, Fault::MAX_BITS));
            Fault::Corrupt {
                bits: bits.unwrap_or(NonZeroU32::MIN),
            }
        }
        "redirect" => {
            let hops = section.optional("hops", |value| count(value, Fault::MAX_HOPS));
            Fault::Redirect {
                hops: hops.unwrap_or(NonZeroU32::MIN),
            }
        }
        _ => return unknown_kind(section, kind),
    })
}

fn read_status(section: &mut Section<'_, '_>) -> Option<StatusFault> {
    let retry_after = section.optional("retry_after", duration);
    let body = section.optional("body", text);
    let headers = section.table("headers", read_headers);
    let status = section.optional("status", status);
    let remedy = "write it as [{ status = 503, weight = 1 }, …]";
    let mut is_empty = section.is_array("one_of");
    let choices = section.tables("one_of", remedy, |choice, _| {
        is_empty = false;
        let number = choice.required("status", self::status);
        let weight = choice.optional("weight", |value| {
            u32::try_from(unsigned(value)?).map_err(|_| "give a smaller number".to_owned())
        });
        Some((number?, weight.unwrap_or(1)))
    });
    section.exactly_one(&["status", "one_of"])?;
    if is_empty {
        section.refuse("one_of", &format!("is empty: {remedy}"));
    }
    let mut fault = match status {
        Some(status) => StatusFault::of(status),
        None if choices.is_empty() => return None,
        None => section.built(StatusFault::one_of(choices))?,
    };
    fault.retry_after = retry_after;
    fault.body = body.map(Into::into);
    section.built(fault.with_headers(headers.unwrap_or_default()))
}

fn read_headers(section: &mut Section<'_, '_>) -> Option<Vec<ResponseHeader>> {
    let mut headers = Vec::new();
    for (name, value) in section.texts() {
        match ResponseHeader::try_new(name, &value) {
            Ok(header) => headers.push(header),
            Err(problem) => section.refuse(name, &problem.to_string()),
        }
    }
    Some(headers)
}

fn read_distribution(section: &mut Section<'_, '_>) -> Option<Distribution> {
    let fixed = section.optional("fixed", duration).map(Distribution::fixed);
    let uniform = section.table("uniform", |table| {
        let (lower, upper) = (
            table.required("lower", duration),
            table.required("upper", duration),
        );
        Some(Distribution::uniform(lower?, upper?))
    });
    let normal = section.table("normal", |table| {
        let (mean, sd) = (
            table.required("mean", duration),
            table.required("sd", duration),
        );
        Some(Distribution::normal(mean?, sd?))
    });
    let lognormal = section.table("lognormal", |table| {
        let median = table.required("median", duration);
        let p99 = table.optional("p99", duration);
        let sigma = table.optional("sigma", number);
        table.exactly_one(&["p99", "sigma"])?;
        match (p99, sigma) {
            (Some(p99), _) => Some(Distribution::lognormal_p99(median?, p99)),
            (None, Some(sigma)) => Some(Distribution::lognormal(median?, sigma)),
            (None, None) => None,
        }
    });
    let exponential = section.table("exponential", |table| {
        Some(Distribution::exponential(table.required("mean", duration)?))
    });
    let pareto = section.table("pareto", |table| {
        let (scale, shape) = (
            table.required("scale", duration),
            table.required("shape", number),
        );
        Some(Distribution::pareto(scale?, shape?))
    });
    section.exactly_one(&[
        "fixed",
        "uniform",
        "normal",
        "lognormal",
        "exponential",
        "pareto",
    ])?;
    let built = [fixed, uniform, normal, lognormal, exponential, pareto]
        .into_iter()
        .flatten()
        .next()?;
    section.built(built)
}

fn probability(value: &super::reader::Value<'_>) -> Result<Probability, String> {
    checked(Probability::try_new(number(value)?))
}

fn status(value: &super::reader::Value<'_>) -> Result<StatusNumber, String> {
    checked(StatusNumber::try_new(super::reader::integer(value)?))
}

fn checked<T, E: fmt::Display>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems_of(text: &str) -> String {
        Scenario::from_toml(text)
            .expect_err("the text has a problem")
            .to_string()
    }

    #[test]
    fn one_rule_too_many_is_refused_once_and_quickly() {
        let rules = |count| "[[rule]]\nfault = 'close'\n".repeat(count);
        let most = Rule::MAX_IN_SCENARIO;
        assert_eq!(
            Scenario::from_toml(&rules(most)).unwrap().rules().len(),
            most
        );
        let problems = Scenario::from_toml(&rules(40 * most)).unwrap_err().problems;
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let expected = "line 2001: rule[1001]: a scenario has at most 1000 rules: leave some out";
        assert_eq!(problems, [expected]);
        let built = Scenario::of(std::iter::repeat_with(|| Rule::status(503)).take(most + 1));
        assert_eq!(built.unwrap_err().reason, InvalidRule::TooMany);
    }

    #[test]
    fn a_thousand_problems_are_listed_and_the_rest_is_mentioned() {
        let keys: String = (0..50_000).map(|key| format!("x{key} = 1\n")).collect();
        let problems = Scenario::from_toml(&keys).unwrap_err().problems;
        assert_eq!(problems.len(), 1001);
        let last = problems.iter().find(|problem| problem.key.is_empty());
        assert!(last.unwrap().message.starts_with("there are more problems"));
    }

    #[test]
    fn a_rule_without_a_name_is_named_after_its_kind_and_position() {
        let text = "[[rule]]\nfault = \"status\"\nstatus = 418\n[[rule]]\nfault = \"latency\"\ndistribution = { fixed = \"1ms\" }";
        let scenario = Scenario::from_toml(text).unwrap();
        let names: Vec<_> = scenario
            .rules()
            .iter()
            .map(|rule| rule.name().as_str())
            .collect();
        assert_eq!(names, ["status-1", "latency-2"]);
        assert_eq!(scenario.seed(), Scenario::DEFAULT_SEED);
    }

    #[test]
    fn an_empty_file_is_a_scenario_without_faults() {
        assert_eq!(Scenario::from_toml("").unwrap().rules(), []);
    }

    #[test]
    fn a_seed_is_any_number_of_64_bits() {
        for (text, seed) in [
            ("0", 0),
            ("9223372036854775807", 9_223_372_036_854_775_807),
            ("9223372036854775808", 9_223_372_036_854_775_808),
            ("18446744073709551615", u64::MAX),
            ("18_446_744_073_709_551_615", u64::MAX),
            ("0xffffffffffffffff", u64::MAX),
        ] {
            let scenario = Scenario::from_toml(&format!("seed = {text}")).unwrap();
            assert_eq!(scenario.seed(), seed, "{text}");
        }
        for (text, problem) in [
            (
                "18446744073709551616",
                "give a number up to 18446744073709551615",
            ),
            ("-1", "give a whole number that is not negative"),
            ("1.0", "give a whole number"),
            ("'1'", "give a whole number"),
        ] {
            let problems = Scenario::from_toml(&format!("seed = {text}")).unwrap_err();
            assert_eq!(problems.to_string(), format!("line 1: seed: {problem}"));
        }
    }

    #[test]
    fn every_problem_is_reported_at_once_with_line_key_and_remedy() {
        let text = r#"
            seed = -1
            sede = 2
            [[rule]]
            name = "late"
            fault = "latency"
            probability = 1.5
            distribution = { uniform = { lower = "2s", upper = "1s" } }
            [[rule]]
            name = "late"
            fault = "status"
            status = 99
            colour = "red"
            [[rule]]
            fault = "teapot"
            [[rule]]
            fault = "latency"
            distribution = { fixed = 3 }
            [[rule]]
            fault = "latency"
            distribution = { }
            [[rule]]
            status = 418
            [[rule]]
            fault = "latency"
            distribution = { fixed = "3 parsecs", uniform = { lower = "1s" } }
        "#;
        insta::assert_snapshot!(problems_of(text), @r#"
        line 2: seed: give a whole number that is not negative
        line 3: sede: unknown key (did you mean seed?): remove it, or use one of seed, count_attempts, capacity, rule
        line 7: rule[1].probability: 1.5 is not between 0 and 1: give a number from 0 to 1
        line 8: rule[1].distribution: lower (2s) is above upper (1s): swap them
        line 12: rule[2].status: invalid status 99: give one from 200 to 599
        line 13: rule[2].colour: unknown key: remove it, or use one of fault, name, probability, group, match, attempts, window, retry_after, body, headers, status, one_of
        line 15: rule[3].fault: unknown kind "teapot": use one of latency, status, reset, close, truncate, stall, bandwidth, dribble, garbage, corrupt, redirect
        line 18: rule[4].distribution.fixed: give a duration with its unit in quotes, like "250ms" or "1.5s"
        line 21: rule[5].distribution: give exactly one of fixed, uniform, normal, lognormal, exponential, pareto
        line 22: rule[6].fault: is missing: add it
        line 26: rule[7].distribution.fixed: invalid duration "3 parsecs": give a duration with its unit, like "250ms" or "1.5s"
        line 26: rule[7].distribution.uniform.upper: is missing: add it
        line 26: rule[7].distribution: give exactly one of fixed, uniform, normal, lognormal, exponential, pareto
        "#);
    }

    #[test]
    fn two_rules_of_one_name_are_refused() {
        let rule = "[[rule]]\nname = \"x\"\nfault = \"status\"\nstatus = 418\n";
        insta::assert_snapshot!(problems_of(&rule.repeat(2)), @r#"line 6: rule[2].name: two rules are named "x": each name is a stream of chance of its own, so rename one"#);
    }

    #[test]
    fn an_empty_choice_is_refused() {
        let rule = "[[rule]]\nfault = \"status\"\none_of = []\n";
        insta::assert_snapshot!(problems_of(rule), @"line 3: rule[1].one_of: is empty: write it as [{ status = 503, weight = 1 }, …]");
        let rule = "[[rule]]\nfault = \"status\"\none_of = 3\n";
        insta::assert_snapshot!(problems_of(rule), @"line 3: rule[1].one_of: write it as [{ status = 503, weight = 1 }, …]");
    }

    #[test]
    fn invalid_toml_is_reported_with_its_line() {
        insta::assert_snapshot!(problems_of("seed = 1\n[[rule]\n"), @"line 2: unclosed array table, expected `]`");
    }

    #[test]
    fn a_rule_that_is_not_a_table_is_refused() {
        insta::assert_snapshot!(problems_of("rule = 3"), @"line 1: rule: write each rule as a table that starts with [[rule]]");
        insta::assert_snapshot!(problems_of("rule = [3]"), @"line 1: rule: write each rule as a table that starts with [[rule]]");
    }
}
