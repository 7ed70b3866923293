//! Reading a scenario from TOML: every problem of the text at once, each with its line, key and remedy.
//!
//! It knows the shape of the file and nothing of its place on disk. What the values mean, and which
//! are allowed, is for the types that they become ([`Rule`], [`Distribution`], …) to say.

use std::fmt;
use std::time::Duration;

use thiserror::Error;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    Distribution, Fault, InvalidRule, Probability, Rule, RuleName, Scenario, StatusNumber,
};

/// The kinds of fault that a rule may name.
const KINDS: [&str; 2] = ["latency", "status"];

/// Everything that is wrong with the text of a scenario; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ScenarioError {
    /// The problems, in the order of their lines.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line of the text, counted from 1.
    pub line: usize,
    /// The key, from the root of the file; empty where the text is no TOML.
    pub key: String,
    /// What is wrong with it, and the remedy.
    pub message: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let line_break = if index == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key[..] {
            "" => write!(f, "line {}: {}", self.line, self.message),
            key => write!(f, "line {}: {key}: {}", self.line, self.message),
        }
    }
}

impl Scenario {
    /// Reads a scenario from the text of a TOML file.
    ///
    /// # Errors
    /// With every problem of the text: syntax, unknown keys, missing keys, values out of range.
    pub fn from_toml(text: &str) -> Result<Self, ScenarioError> {
        let mut problems = Problems {
            text,
            found: Vec::new(),
        };
        let (root, syntax) = DeTable::parse_recoverable(text);
        for error in syntax {
            problems.add(
                error.span().map_or(0, |span| span.start),
                "",
                error.message(),
            );
        }
        // What follows a syntax error is a guess of the parser: only sound text is read further.
        let scenario = if problems.found.is_empty() {
            read_scenario(&root, &mut problems)
        } else {
            None
        };
        match scenario {
            Some(scenario) if problems.found.is_empty() => Ok(scenario),
            _ => {
                problems.found.sort_by_key(|problem| problem.line);
                Err(ScenarioError {
                    problems: problems.found,
                })
            }
        }
    }
}

/// `None` only where a problem was noted.
fn read_scenario(root: &Spanned<DeTable<'_>>, problems: &mut Problems<'_>) -> Option<Scenario> {
    let mut file = Section::new(root.get_ref(), 0, String::new(), problems);
    let seed = file
        .optional("seed", unsigned)
        .unwrap_or(Scenario::DEFAULT_SEED);
    let tables = file.optional("rule", tables).unwrap_or_default();
    file.refuse_the_rest();

    let mut rules: Vec<Rule> = Vec::new();
    for (index, (table, at)) in tables.iter().enumerate() {
        let section = Section::new(table, *at, format!("rule[{}].", index + 1), problems);
        let Some(rule) = read_rule(section, index) else {
            continue;
        };
        if rules.iter().any(|earlier| earlier.name() == rule.name()) {
            let taken = InvalidRule::NameTaken(rule.name().to_string());
            problems.add(
                *at,
                &format!("rule[{}].name", index + 1),
                &taken.to_string(),
            );
        }
        rules.push(rule);
    }
    Scenario::try_new(seed, rules).ok()
}

fn read_rule(mut section: Section<'_, '_, '_>, index: usize) -> Option<Rule> {
    let kind = section.required("fault", text)?;
    let name = section.optional("name", |value| {
        RuleName::try_new(&text(value)?).map_err(|invalid| invalid.to_string())
    });
    let probability = section
        .optional("probability", |value| {
            Probability::try_new(number(value)?).map_err(|invalid| invalid.to_string())
        })
        .unwrap_or(Probability::ALWAYS);
    let fault = match kind.as_str() {
        "latency" => {
            let distribution = section.required("distribution", inline_table);
            distribution
                .and_then(|(table, at)| {
                    let path = section.path_of("distribution.");
                    read_distribution(Section::new(table, at, path, section.problems))
                })
                .map(Fault::Latency)
        }
        "status" => section
            .required("status", |value| {
                StatusNumber::try_new(integer(value)?).map_err(|invalid| invalid.to_string())
            })
            .map(Fault::Status),
        other => {
            section.refuse(
                "fault",
                &format!(
                    "{other:?} is no kind of fault: take one of {}",
                    KINDS.join(", ")
                ),
            );
            return None; // its other keys mean nothing without the kind
        }
    };
    section.refuse_the_rest();

    let default_name = || RuleName::try_new(&format!("{kind}-{}", index + 1)).ok();
    Some(Rule::new(name.or_else(default_name)?, fault?).with_probability(probability))
}

fn read_distribution(mut section: Section<'_, '_, '_>) -> Option<Distribution> {
    let fixed = section.optional("fixed", duration);
    let uniform = section.optional("uniform", inline_table);
    let (found, at) = (
        section
            .known
            .iter()
            .filter(|key| section.table.contains_key(**key))
            .count(),
        section.at,
    );
    section.refuse_the_rest();
    if found != 1 {
        section.problems.add(
            at,
            section.path.trim_end_matches('.'),
            "name exactly one shape: fixed = \"…\" or uniform = { lower = \"…\", upper = \"…\" }",
        );
        return None;
    }
    let built = if let Some((table, at)) = uniform {
        let path = section.path_of("uniform.");
        let mut bounds = Section::new(table, at, path, section.problems);
        let lower = bounds.required("lower", duration);
        let upper = bounds.required("upper", duration);
        bounds.refuse_the_rest();
        Distribution::uniform(lower?, upper?)
    } else {
        Distribution::fixed(fixed?)
    };
    built
        .map_err(|invalid| {
            section
                .problems
                .add(at, section.path.trim_end_matches('.'), &invalid.to_string())
        })
        .ok()
}

/// The problems found so far in one text.
struct Problems<'t> {
    text: &'t str,
    found: Vec<Problem>,
}

impl Problems<'_> {
    fn add(&mut self, at: usize, key: &str, message: &str) {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        self.found.push(Problem {
            line,
            key: key.to_owned(),
            message: message.to_owned(),
        });
    }
}

/// One table of the file, read key by key; what nobody asked for is refused at the end.
struct Section<'v, 't, 'p> {
    table: &'v DeTable<'v>,
    /// Where the table starts, for what is missing from it.
    at: usize,
    /// The key of the table with a dot behind it, or nothing for the root.
    path: String,
    known: Vec<&'static str>,
    problems: &'p mut Problems<'t>,
}

impl<'v, 't, 'p> Section<'v, 't, 'p> {
    fn new(
        table: &'v DeTable<'v>,
        at: usize,
        path: String,
        problems: &'p mut Problems<'t>,
    ) -> Self {
        Self {
            table,
            at,
            path,
            known: Vec::new(),
            problems,
        }
    }

    fn path_of(&self, key: &str) -> String {
        format!("{}{key}", self.path)
    }

    /// The key's value, if it is there and reads well; a problem if it does not.
    fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'v Spanned<DeValue<'v>>) -> Result<T, String>,
    ) -> Option<T> {
        self.known.push(key);
        let value = self.table.get(key)?;
        read(value)
            .map_err(|message| self.refuse(key, &message))
            .ok()
    }

    /// The same, where a missing key is a problem too.
    fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'v Spanned<DeValue<'v>>) -> Result<T, String>,
    ) -> Option<T> {
        if !self.table.contains_key(key) {
            self.known.push(key);
            self.problems
                .add(self.at, &self.path_of(key), "is missing: add it");
            return None;
        }
        self.optional(key, read)
    }

    /// Notes a problem with a key that is there.
    fn refuse(&mut self, key: &str, message: &str) {
        let at = self
            .table
            .get(key)
            .map_or(self.at, |value| value.span().start);
        self.problems.add(at, &self.path_of(key), message);
    }

    fn refuse_the_rest(&mut self) {
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) {
                let message = format!(
                    "is no key here: remove it, or use one of {}",
                    self.known.join(", ")
                );
                self.problems
                    .add(key.span().start, &self.path_of(name), &message);
            }
        }
    }
}

fn text(value: &Spanned<DeValue<'_>>) -> Result<String, String> {
    let found = value.get_ref().as_str().ok_or("give a text in quotes")?;
    Ok(found.to_owned())
}

fn integer(value: &Spanned<DeValue<'_>>) -> Result<i64, String> {
    let found = value.get_ref().as_integer();
    found
        .and_then(|int| i64::from_str_radix(int.as_str(), int.radix()).ok())
        .ok_or("give a whole number".to_owned())
}

fn unsigned(value: &Spanned<DeValue<'_>>) -> Result<u64, String> {
    u64::try_from(integer(value)?)
        .map_err(|_| "give a whole number that is not negative".to_owned())
}

fn number(value: &Spanned<DeValue<'_>>) -> Result<f64, String> {
    let found = match value.get_ref() {
        DeValue::Float(float) => float.as_str().parse().ok(),
        DeValue::Integer(int) => int.as_str().parse().ok(),
        _ => None,
    };
    found.ok_or("give a number".to_owned())
}

fn duration(value: &Spanned<DeValue<'_>>) -> Result<Duration, String> {
    let remedy = "give a duration with its unit in quotes, like \"250ms\" or \"1.5s\"";
    let found = text(value).map_err(|_| remedy)?;
    humantime::parse_duration(&found).map_err(|_| format!("{found:?} is no duration: {remedy}"))
}

fn inline_table<'v>(value: &'v Spanned<DeValue<'v>>) -> Result<(&'v DeTable<'v>, usize), String> {
    let table = value
        .get_ref()
        .as_table()
        .ok_or("give a table: { key = value }")?;
    Ok((table, value.span().start))
}

fn tables<'v>(value: &'v Spanned<DeValue<'v>>) -> Result<Vec<(&'v DeTable<'v>, usize)>, String> {
    let remedy = "write each rule as a table that starts with [[rule]]";
    value
        .get_ref()
        .as_array()
        .ok_or(remedy)?
        .iter()
        .map(|item| inline_table(item).map_err(|_| remedy.to_owned()))
        .collect()
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
    fn a_rule_without_a_name_is_called_after_its_kind_and_place() {
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
        line 3: sede: is no key here: remove it, or use one of seed, rule
        line 7: rule[1].probability: 1.5 is not a probability: give a number from 0 to 1
        line 8: rule[1].distribution: lower (2s) is above upper (1s): swap them
        line 12: rule[2].status: 99 is no status of a response: give one from 200 to 599
        line 13: rule[2].colour: is no key here: remove it, or use one of fault, name, probability, status
        line 15: rule[3].fault: "teapot" is no kind of fault: take one of latency, status
        line 18: rule[4].distribution.fixed: give a duration with its unit in quotes, like "250ms" or "1.5s"
        line 21: rule[5].distribution: name exactly one shape: fixed = "…" or uniform = { lower = "…", upper = "…" }
        line 22: rule[6].fault: is missing: add it
        line 26: rule[7].distribution.fixed: "3 parsecs" is no duration: give a duration with its unit in quotes, like "250ms" or "1.5s"
        line 26: rule[7].distribution: name exactly one shape: fixed = "…" or uniform = { lower = "…", upper = "…" }
        "#);
    }

    #[test]
    fn two_rules_of_one_name_are_refused() {
        let rule = "[[rule]]\nname = \"x\"\nfault = \"status\"\nstatus = 418\n";
        insta::assert_snapshot!(problems_of(&rule.repeat(2)), @r#"line 5: rule[2].name: two rules are named "x": each name is a stream of chance of its own, so rename one"#);
    }

    #[test]
    fn text_that_is_no_toml_is_reported_with_its_line() {
        insta::assert_snapshot!(problems_of("seed = 1\n[[rule]\n"), @"line 2: unclosed array table, expected `]`");
    }

    #[test]
    fn a_rule_that_is_no_table_is_refused() {
        insta::assert_snapshot!(problems_of("rule = 3"), @"line 1: rule: write each rule as a table that starts with [[rule]]");
        insta::assert_snapshot!(problems_of("rule = [3]"), @"line 1: rule: write each rule as a table that starts with [[rule]]");
    }
}
