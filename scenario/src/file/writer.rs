//! A scenario as the text of a file, in TOML or in JSON: what [`Scenario::from_toml`] reads.
//!
//! Every rule has its name, and nothing that is a default is written.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::wording::words;
use crate::{
    Attempts, Capacity, Conditions, Cut, Fault, Probability, Rule, Scenario, StatusFault, Window,
};

impl Scenario {
    /// The scenario as JSON, with the keys of a TOML file.
    pub fn to_json(&self) -> Value {
        let mut keys = Map::new();
        keys.insert("seed".to_owned(), self.seed().into());
        if !self.counts_attempts() {
            keys.insert("count_attempts".to_owned(), false.into());
        }
        if let Some(capacity) = self.capacity() {
            keys.insert("capacity".to_owned(), of_capacity(capacity));
        }
        if !self.rules().is_empty() {
            let rules = self.rules().iter().map(of_rule);
            keys.insert("rule".to_owned(), rules.collect());
        }
        keys.into()
    }

    /// The scenario as the text of a TOML file.
    ///
    /// ```
    /// use flag_scenario::Scenario;
    ///
    /// let text = "rule = [{ fault = 'status', status = 503, attempts = { first = 2 } }]";
    /// let scenario = Scenario::from_toml(text)?;
    /// assert_eq!(Scenario::from_toml(&scenario.to_toml())?, scenario);
    /// # Ok::<(), flag_scenario::ScenarioError>(())
    /// ```
    pub fn to_toml(&self) -> String {
        toml_of(&self.to_json()).expect("a scenario has no nulls")
    }

    /// Reads a scenario from JSON with the keys of a TOML file.
    ///
    /// # Errors
    /// With every problem, the lines of which are those of the same scenario in TOML; and when it
    /// is no object, or has a null.
    pub fn from_json(value: &Value) -> Result<Self, String> {
        let text = toml_of(value)?;
        Self::from_toml(&text).map_err(|error| {
            let problems = error.problems.iter().map(|problem| {
                let key = &problem.key;
                let separator = if key.is_empty() { "" } else { ": " };
                format!("{key}{separator}{}", problem.message)
            });
            problems.collect::<Vec<_>>().join("\n")
        })
    }
}

fn of_rule(rule: &Rule) -> Value {
    let mut keys = Map::new();
    let mut insert = |key: &str, value: Value| drop(keys.insert(key.to_owned(), value));
    insert("name", rule.name().as_str().into());
    if let Some(group) = rule.group() {
        insert("group", group.as_str().into());
    }
    if rule.probability() != Probability::ALWAYS {
        insert("probability", rule.probability().get().into());
    }
    let conditions = rule.conditions();
    let matched = of_matched(conditions);
    if !matched.is_empty() {
        insert("match", matched.into());
    }
    if let Some(attempts) = conditions.attempts {
        insert("attempts", of_attempts(attempts));
    }
    if conditions.window != Window::default() {
        insert("window", of_window(conditions.window));
    }
    let kind = match rule.fault() {
        Fault::Garbage { after_head: true } => "MALFORMED_RESPONSE_CHUNK",
        fault => fault.kind(),
    };
    insert("fault", kind.into());
    for (key, value) in of_fault(rule.fault()) {
        insert(key, value);
    }
    keys.into()
}

/// The keys of its kind.
fn of_fault(fault: &Fault) -> Vec<(&'static str, Value)> {
    let bytes = |count: u64| Value::from(format!("{count}B"));
    let time = |duration: Duration| Value::from(words(duration).to_string());
    match fault {
        Fault::Latency(distribution) => {
            let max = distribution.max().map(|max| ("max", time(max)));
            let distribution = ("distribution", distribution.to_json());
            [Some(distribution), max].into_iter().flatten().collect()
        }
        Fault::Status(status) => of_status(status),
        Fault::Reset { after } => after.iter().map(|after| ("after", bytes(*after))).collect(),
        Fault::Close | Fault::Garbage { .. } => Vec::new(),
        Fault::Truncate(Cut::After(after)) => vec![("after", bytes(*after))],
        Fault::Truncate(Cut::Fraction(share)) => vec![("fraction", share.get().into())],
        Fault::Stall { after, hold } => {
            let after = after.map(|after| ("after", bytes(after)));
            let hold = hold.map(|hold| ("hold", time(hold)));
            [after, hold].into_iter().flatten().collect()
        }
        Fault::Bandwidth(rate) => vec![("rate", bytes(rate.get()))],
        Fault::Dribble(dribble) => vec![
            ("chunks", dribble.chunks.get().into()),
            ("over", time(dribble.over)),
        ],
        Fault::Corrupt { bits } => vec![("bits", bits.get().into())],
        Fault::Redirect { hops } => vec![("hops", hops.get().into())],
    }
}

fn of_status(fault: &StatusFault) -> Vec<(&'static str, Value)> {
    let mut keys = Vec::new();
    match fault.choices() {
        [(status, _)] => keys.push(("status", status.get().into())),
        choices => {
            let choice = |(status, weight): &(crate::StatusNumber, u32)| json!({ "status": status.get(), "weight": weight });
            keys.push(("one_of", choices.iter().map(choice).collect()));
        }
    }
    if let Some(pause) = fault.retry_after {
        keys.push(("retry_after", words(pause).to_string().into()));
    }
    if let Some(body) = &fault.body {
        keys.push(("body", (**body).into()));
    }
    if !fault.headers().is_empty() {
        let headers = fault.headers().iter();
        let pair = |header: &crate::ResponseHeader| {
            (header.name().to_owned(), Value::from(header.value()))
        };
        keys.push(("headers", headers.map(pair).collect::<Map<_, _>>().into()));
    }
    keys
}

fn of_matched(conditions: &Conditions) -> Map<String, Value> {
    let mut keys = Map::new();
    if !conditions.codes.is_empty() {
        let codes = conditions.codes.iter().map(ToString::to_string);
        keys.insert("cc".to_owned(), codes.collect());
    }
    if let Some(path) = &conditions.path {
        keys.insert("path".to_owned(), path.to_string().into());
    }
    if !conditions.methods.is_empty() {
        let methods = conditions.methods.iter().cloned();
        keys.insert("method".to_owned(), methods.collect());
    }
    if !conditions.headers.is_empty() {
        let headers = conditions.headers.iter();
        let pair = |(name, pattern): &(String, crate::Pattern)| {
            (name.clone(), Value::from(pattern.to_string()))
        };
        keys.insert(
            "header".to_owned(),
            headers.map(pair).collect::<Map<_, _>>().into(),
        );
    }
    keys
}

fn of_attempts(attempts: Attempts) -> Value {
    match attempts {
        Attempts::Every(n) => json!({ "every": n }),
        Attempts::Range { from, to: None } => json!({ "from": from }),
        Attempts::Range { from, to: Some(to) } if from.get() == 1 => json!({ "first": to }),
        Attempts::Range { from, to: Some(to) } => json!({ "from": from, "to": to }),
    }
}

fn of_window(window: Window) -> Value {
    let mut keys = Map::new();
    if !window.from.is_zero() {
        keys.insert("from".to_owned(), words(window.from).to_string().into());
    }
    if let Some(until) = window.until {
        keys.insert("until".to_owned(), words(until).to_string().into());
    }
    keys.into()
}

fn of_capacity(capacity: &Capacity) -> Value {
    let mut keys = Map::new();
    keys.insert("workers".to_owned(), capacity.workers.get().into());
    keys.insert("service_time".to_owned(), capacity.service_time.to_json());
    if capacity.queue != u32::MAX {
        keys.insert("queue".to_owned(), capacity.queue.into());
    }
    keys.into()
}

/// The text of a TOML file with these keys: an array of tables at the top becomes `[[key]]`.
fn toml_of(value: &Value) -> Result<String, String> {
    let keys = value
        .as_object()
        .ok_or("give an object with the keys of a scenario file")?;
    let (mut lines, mut tables) = (String::new(), String::new());
    for (name, value) in keys {
        let items = value.as_array().filter(|items| !items.is_empty());
        let items = items.filter(|items| items.iter().all(Value::is_object));
        let Some(items) = items else {
            lines += &format!("{} = {}\n", key(name), inline(value)?);
            continue;
        };
        for item in items.iter().filter_map(Value::as_object) {
            tables += &format!("\n[[{}]]\n", key(name));
            // What people look for comes first.
            let (first, rest): (Vec<_>, Vec<_>) = item
                .iter()
                .partition(|(name, _)| matches!(name.as_str(), "name" | "fault"));
            for (name, value) in first.into_iter().rev().chain(rest) {
                tables += &format!("{} = {}\n", key(name), inline(value)?);
            }
        }
    }
    Ok(lines + &tables)
}

/// A value in one line.
fn inline(value: &Value) -> Result<String, String> {
    Ok(match value {
        Value::Null => return Err("null: leave the key out instead".to_owned()),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Result<Vec<String>, String> = items.iter().map(inline).collect();
            format!("[{}]", items?.join(", "))
        }
        Value::Object(keys) => {
            let pair = |(name, value): (&String, &Value)| {
                Ok(format!("{} = {}", key(name), inline(value)?))
            };
            let pairs: Result<Vec<String>, String> = keys.iter().map(pair).collect();
            format!("{{ {} }}", pairs?.join(", "))
        }
    })
}

fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(is_bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

/// A text as both JSON and TOML write it, but for one character that TOML wants escaped.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiles::PROFILES;

    /// Everything that a file can say.
    const EVERYTHING: &str = include_str!("every-fault.toml");

    fn texts() -> Vec<String> {
        let profiles = PROFILES.iter().map(|profile| profile.toml.to_owned());
        let more = [
            "seed = 18446744073709551615\ncount_attempts = false",
            "capacity = { workers = 3, service_time = { pareto = { scale = '1ms', shape = 1.5 } } }",
            "capacity = { workers = 3, service_time = { fixed = '1ns' }, queue = 0 }",
            "rule = [{ fault = 'latency', distribution = { uniform = { lower = '1ms', upper = '2ms' } }, max = '1500us' }]",
            "rule = [{ fault = 'latency', distribution = { lognormal = { median = '90ms', p99 = '350ms' } } }]",
            "rule = [{ fault = 'latency', distribution = { normal = { mean = '1ms', sd = '300us' } }, probability = 0.1 }]",
            "rule = [{ fault = 'latency', distribution = { exponential = { mean = '59m 59s 999ms 999us 999ns' } } }]",
            "rule = [{ fault = 'status', one_of = [{ status = 500 }, { status = 503, weight = 7 }], retry_after = '1s' }]",
            "rule = [{ fault = 'status', status = 503, body = \"a\\nb\\u007f\\\"\\\\é😀\", headers = { x-a = 'b; \"c\"' } }]",
            "rule = [{ fault = 'close', match = { cc = ['BR'], path = '/flags/**/?.gif', method = 'get', header = { 'x.y' = '\"' } } }]",
            "rule = [{ fault = 'close', attempts = { first = 2 } }, { fault = 'close', attempts = { from = 2 } }]",
            "rule = [{ fault = 'close', attempts = { from = 2, to = 4 } }, { fault = 'close', attempts = { every = 3 } }]",
            "rule = [{ fault = 'close', window = { from = '1s', until = '23h 59m' }, group = 'g', probability = 0.5 }]",
            "rule = [{ fault = 'stall', after = '1KiB', hold = '1m' }, { fault = 'stall' }]",
            "rule = [{ fault = 'MALFORMED_RESPONSE_CHUNK' }, { fault = 'RANDOM_DATA_THEN_CLOSE' }]",
        ];
        let more = more.into_iter().map(str::to_owned);
        profiles
            .chain(more)
            .chain([EVERYTHING.to_owned()])
            .collect()
    }

    #[test]
    fn what_is_written_is_read_back_as_the_same_scenario() {
        for text in texts() {
            let scenario = Scenario::from_toml(&text).unwrap();
            let written = scenario.to_toml();
            assert_eq!(
                Scenario::from_toml(&written).as_ref(),
                Ok(&scenario),
                "{written}"
            );
            assert_eq!(
                Scenario::from_json(&scenario.to_json()).as_ref(),
                Ok(&scenario),
                "{text}"
            );
        }
    }

    #[test]
    fn a_file_is_written_as_people_would() {
        let text = "rule = [{ fault = 'status', status = 503, attempts = { first = 2 }, match = { cc = 'BR' } }, { fault = 'close', name = 'x' }]";
        let scenario = Scenario::from_toml(text).unwrap();
        insta::assert_snapshot!(scenario.to_toml(), @r#"
        seed = 20150223

        [[rule]]
        name = "status-1"
        fault = "status"
        attempts = { first = 2 }
        match = { cc = ["BR"] }
        status = 503

        [[rule]]
        name = "x"
        fault = "close"
        "#);
    }

    #[test]
    fn json_that_is_no_scenario_is_refused_with_the_key() {
        let refused = |value: Value| Scenario::from_json(&value).unwrap_err();
        let problems = [
            refused(json!([])),
            refused(json!({ "seed": null })),
            refused(json!({ "sede": 1 })),
            refused(json!({ "rule": [{ "fault": "status", "status": 99 }, {}] })),
        ];
        insta::assert_snapshot!(problems.join("\n"), @"
        give an object with the keys of a scenario file
        null: leave the key out instead
        sede: unknown key (did you mean seed?): remove it, or use one of seed, count_attempts, capacity, rule
        rule[1].status: invalid status 99: give one from 200 to 599
        rule[2].fault: is missing: add it
        ");
    }
}
