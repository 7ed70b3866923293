//! The JSON Schema of scenario files and of files for `--config`, generated from types with the
//! keys of these files. The documentation of a key is what editors show.
//!
//! Nothing is read into these types: [`file`](crate::file) reads files and reports problems that a
//! schema cannot describe. The tests below compare the two.

#![expect(dead_code, reason = "only the shapes of these types are used")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use crate::Rule;
use crate::file::{ALIASES, MALFORMED, MAX_WORKERS};
use crate::profiles::PROFILES;
use crate::{Distribution, Fault, RuleName, Scenario, StatusNumber};

/// The key that names the kind of a rule.
const TAG: &str = "fault";

/// The JSON Schema (draft 2020-12) of scenario files and of files for `--config`.
pub fn schema() -> String {
    let settings = SchemaSettings::draft2020_12().with_transform(plain);
    let schema = settings.into_generator().into_root_schema_for::<FileKeys>();
    serde_json::to_string_pretty(&schema).expect("a schema can be written") + "\n"
}

/// TOML has no null, and formats like `uint32` are not standard: strict validators refuse them.
/// Descriptions are one line each.
fn plain(schema: &mut Schema) {
    schema.remove("format");
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|name| name != "null");
        if let [name] = &types[..] {
            let name = name.clone();
            schema.insert("type".to_owned(), name);
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|name| name != "null"));
        if let [Value::Object(only)] = &choices[..] {
            let only = only.clone();
            schema.remove("anyOf");
            for (key, value) in only {
                schema.ensure_object().entry(key).or_insert(value);
            }
        }
    }
    if let Some(Value::String(description)) = schema.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    transform_subschemas(&mut plain, schema);
}

/// Any file: which of the two it is depends on one key, so that problems are those of one of them.
struct FileKeys;

impl JsonSchema for FileKeys {
    fn schema_name() -> Cow<'static, str> {
        "A scenario or a configuration of flag-server".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A file with the key `listener` is a configuration (--config), any other \
                a scenario (--scenario). `flag-server check` also reports problems that a schema \
                cannot describe: lower above upper, delays beyond an hour, two rules of one name.",
            "if": { "type": "object", "required": ["listener"] },
            "then": generator.subschema_for::<ConfigKeys>(),
            "else": generator.subschema_for::<ScenarioKeys>(),
        })
    }
}

/// Several listeners.
#[derive(JsonSchema)]
#[schemars(rename = "config", deny_unknown_fields)]
struct ConfigKeys {
    /// The listeners. Each has a port and a scenario of its own.
    #[schemars(length(min = 1))]
    listener: Vec<ListenerKeys>,
    /// The address of the control plane, as `127.0.0.1:0`; port 0 is any free one.
    #[schemars(regex(pattern = r"^(localhost|[0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$"))]
    control: Option<String>,
}

/// One port, with a profile, a scenario file, or the keys of a scenario.
#[derive(JsonSchema)]
#[schemars(rename = "listener", deny_unknown_fields)]
#[schemars(extend("allOf" = [
    not_both("profile", "scenario"),
    not_both("profile", "rule"),
    not_both("scenario", "rule"),
]))]
struct ListenerKeys {
    /// The name of the listener in messages, logs and the ready file.
    #[schemars(regex(pattern = r"^\S+$"))]
    name: String,
    /// The port; 0 is any free one.
    port: u16,
    /// An embedded scenario.
    #[schemars(extend("enum" = profiles()))]
    profile: Option<String>,
    /// A scenario file, relative to the folder of this file.
    scenario: Option<String>,
    #[serde(flatten)]
    own: ScenarioKeys,
}

/// What a listener does to its clients.
#[derive(JsonSchema)]
#[schemars(rename = "scenario", deny_unknown_fields)]
struct ScenarioKeys {
    /// The seed of every decision. Another seed is another set of decisions.
    #[schemars(extend("default" = Scenario::DEFAULT_SEED))]
    seed: Option<u64>,
    /// Whether the server counts the attempts of requests without the header flag-attempt. If not,
    /// each of them is attempt 1: a program meets the same faults every time that it runs.
    #[schemars(extend("default" = true))]
    count_attempts: Option<bool>,
    /// How many requests the server works on at a time, and for how long.
    capacity: Option<CapacityKeys>,
    /// The rules, in the order in which they are tried.
    #[schemars(length(max = Rule::MAX_IN_SCENARIO))]
    rule: Option<Vec<RuleKeys>>,
}

/// How many requests the server works on at a time, and for how long.
#[derive(JsonSchema)]
#[schemars(rename = "capacity", deny_unknown_fields)]
struct CapacityKeys {
    /// The requests that are worked on at one time.
    #[schemars(range(min = 1, max = MAX_WORKERS))]
    workers: u32,
    /// How long each is worked on.
    service_time: DistributionKeys,
    /// The requests that may wait for a worker; the next one gets a 503. Without it, any number may
    /// wait.
    #[schemars(range(max = u32::MAX))]
    queue: Option<u32>,
}

/// A rule: the keys of all rules, and those of its kind.
struct RuleKeys;

/// Under some conditions, with some probability, one fault.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct CommonKeys {
    /// The name of the rule, unique in the scenario: its decisions depend on it. By default the
    /// kind and the place of the rule: `status-1`.
    #[schemars(extend("pattern" = format!("^[A-Za-z0-9._-]{{1,{}}}$", RuleName::MAX_LEN)))]
    name: Option<String>,
    /// The kind. Names in capitals are WireMock's.
    fault: String,
    /// The share of the requests for which the rule fires.
    #[schemars(extend("default" = 1))]
    probability: Option<Share>,
    /// The name of a group: of its rules, at most one fires for a request. The sum of their
    /// probabilities is at most 1.
    #[schemars(extend("pattern" = format!("^[A-Za-z0-9._-]{{1,{}}}$", RuleName::MAX_LEN)))]
    group: Option<String>,
    /// Which requests the rule is about; every key has to hold.
    r#match: Option<MatchKeys>,
    /// Only some attempts at each path.
    attempts: Option<AttemptsKeys>,
    /// Only in this time.
    window: Option<WindowKeys>,
}

/// The keys of each kind.
#[derive(JsonSchema)]
#[schemars(tag = "fault", rename_all = "snake_case")]
enum KindKeys {
    /// The response starts later.
    Latency {
        /// How long the delay is.
        distribution: DistributionKeys,
        /// The longest delay.
        max: Option<DurationText>,
    },
    /// A status instead of the flag.
    #[schemars(extend("oneOf" = exactly_one(["status", "one_of"])))]
    Status {
        /// The status.
        #[schemars(range(min = StatusNumber::MIN, max = StatusNumber::MAX))]
        status: Option<u16>,
        /// One of these, chosen by their weights.
        #[schemars(length(min = 1))]
        one_of: Option<Vec<ChoiceKeys>>,
        /// The header `retry-after`, in whole seconds, rounded up.
        retry_after: Option<DurationText>,
        /// The body, instead of a short explanation.
        body: Option<String>,
        /// Headers of the response, `content-type` included.
        headers: Option<BTreeMap<String, String>>,
    },
    /// A TCP reset.
    Reset {
        /// After this many bytes of the body.
        after: Option<SizeText>,
    },
    /// A closed connection without a response.
    Close {},
    /// A part of the body, and then a closed connection.
    #[schemars(extend("oneOf" = exactly_one(["after", "fraction"])))]
    Truncate {
        /// After this many bytes of the body.
        after: Option<SizeText>,
        /// After this share of the body.
        fraction: Option<Share>,
    },
    /// Silence, and then a closed connection.
    Stall {
        /// After this many bytes of the body.
        after: Option<SizeText>,
        /// How long until the connection is closed; without it, for ever.
        hold: Option<DurationText>,
    },
    /// The body at a limited rate.
    Bandwidth {
        /// The bytes per second, above zero.
        #[schemars(extend("pattern" = "[1-9]"))]
        rate: SizeText,
    },
    /// The body in pieces.
    Dribble {
        /// How many pieces.
        #[schemars(range(min = 1, max = Fault::MAX_CHUNKS))]
        chunks: u32,
        /// The time from the first piece to the last.
        over: DurationText,
    },
    /// Bytes that are not HTTP, and then a closed connection.
    Garbage {},
    /// A body of the right length with flipped bits.
    Corrupt {
        /// How many bits are flipped.
        #[schemars(range(min = 1, max = Fault::MAX_BITS), extend("default" = 1))]
        bits: Option<u32>,
    },
    /// Redirects to the same flag.
    Redirect {
        /// How many in a row.
        #[schemars(range(min = 1, max = Fault::MAX_HOPS), extend("default" = 1))]
        hops: Option<u32>,
    },
}

#[derive(JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
struct ChoiceKeys {
    /// The status.
    #[schemars(range(min = StatusNumber::MIN, max = StatusNumber::MAX))]
    status: u16,
    /// How often, compared with the others.
    #[schemars(range(max = u32::MAX), extend("default" = 1))]
    weight: Option<u32>,
}

/// Which requests the rule is about; every key has to hold.
#[derive(JsonSchema)]
#[schemars(rename = "match", deny_unknown_fields)]
struct MatchKeys {
    /// One of these countries.
    cc: Option<OneOrSeveral<CodeText>>,
    /// A pattern for the canonical path: `*` is any text, `?` one character.
    path: Option<String>,
    /// One of these methods.
    method: Option<OneOrSeveral<String>>,
    /// For each header a pattern of its value.
    header: Option<BTreeMap<String, String>>,
}

#[derive(JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
#[schemars(extend("oneOf" = ways_to_choose_attempts()))]
struct AttemptsKeys {
    /// The first attempts: how many.
    #[schemars(range(min = 1, max = u32::MAX))]
    first: Option<u32>,
    /// From this attempt on; without it, from the first.
    #[schemars(range(min = 1, max = u32::MAX))]
    from: Option<u32>,
    /// Up to this attempt, itself included; without it, all that follow.
    #[schemars(range(min = 1, max = u32::MAX))]
    to: Option<u32>,
    /// Every N-th attempt: with 3, the attempts 3, 6, 9 and so on.
    #[schemars(range(min = 1, max = u32::MAX))]
    every: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
struct WindowKeys {
    /// From when on, since the server started.
    from: Option<DurationText>,
    /// Until when; without it, for ever.
    until: Option<DurationText>,
}

/// Exactly one of these.
#[derive(JsonSchema)]
#[schemars(rename = "distribution", deny_unknown_fields)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
struct DistributionKeys {
    /// Always this.
    fixed: Option<DurationText>,
    /// Every duration in a range with the same probability.
    uniform: Option<UniformKeys>,
    /// Normal, truncated at zero.
    normal: Option<NormalKeys>,
    /// Log-normal.
    lognormal: Option<LognormalKeys>,
    /// Exponential.
    exponential: Option<ExponentialKeys>,
    /// Pareto, type I.
    pareto: Option<ParetoKeys>,
}

#[derive(JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
struct UniformKeys {
    /// The shortest.
    lower: DurationText,
    /// The end of the range, itself excluded.
    upper: DurationText,
}

#[derive(JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
struct NormalKeys {
    /// The mean.
    mean: DurationText,
    /// The standard deviation.
    sd: DurationText,
}

#[derive(JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
#[schemars(extend("oneOf" = exactly_one(["p99", "sigma"])))]
struct LognormalKeys {
    /// The median.
    median: DurationText,
    /// The 99th percentile.
    p99: Option<DurationText>,
    /// The standard deviation of the logarithm.
    #[schemars(range(min = *Distribution::SIGMA.start(), max = *Distribution::SIGMA.end()))]
    sigma: Option<f64>,
}

#[derive(JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
struct ExponentialKeys {
    /// The mean.
    mean: DurationText,
}

#[derive(JsonSchema)]
#[schemars(inline, deny_unknown_fields)]
struct ParetoKeys {
    /// The minimum.
    scale: DurationText,
    /// The lower, the heavier the tail.
    #[schemars(range(min = *Distribution::SHAPE.start(), max = *Distribution::SHAPE.end()))]
    shape: f64,
}

/// From 0 to 1.
#[derive(JsonSchema)]
#[schemars(rename = "share")]
struct Share(#[schemars(range(min = 0, max = 1))] f64);

/// A number with its unit, or several.
#[derive(JsonSchema)]
#[schemars(rename = "duration", extend("examples" = ["250ms", "1.5s", "1m 30s"]))]
struct DurationText(
    #[schemars(regex(pattern = concat!(
        r"^\s*(?:[0-9]+(?:\.[0-9]+)?\s*",
        "(?:nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds|second|secs|sec|s",
        "|minutes|minute|mins|min|m|hours|hour|hrs|hr|h|days|day|d)",
        r"\s*)+$",
    )))]
    String,
);

/// A number of bytes with its unit.
#[derive(JsonSchema)]
#[schemars(rename = "size", extend("examples" = ["1000B", "32KiB"]))]
struct SizeText(
    #[schemars(regex(pattern = r"^[0-9]+(?:\.[0-9]+)?\s*(?:[kKmMgGtTpPeE][iI]?)?[bB]$"))] String,
);

#[derive(JsonSchema)]
#[schemars(inline)]
struct CodeText(#[schemars(regex(pattern = "^[A-Za-z]{2}$"))] String);

#[derive(JsonSchema)]
#[schemars(inline, untagged)]
enum OneOrSeveral<T> {
    One(T),
    Several(#[schemars(length(min = 1))] Vec<T>),
}

impl JsonSchema for RuleKeys {
    fn schema_name() -> Cow<'static, str> {
        "rule".into()
    }

    /// One closed table with the keys of all kinds, and for each kind which of them it has. Editors
    /// complete these keys and name the wrong one; of a choice of eleven tables they say only that
    /// none fits.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut rule = CommonKeys::json_schema(generator).to_value();
        let kinds = KindKeys::json_schema(generator).to_value();
        let kinds: Vec<Kind<'_>> = array(&kinds["oneOf"]).iter().map(Kind::of).collect();

        let common: Vec<String> = keys(&rule["properties"]);
        rule["properties"]["fault"]["enum"] = kinds.iter().flat_map(Kind::names).collect();
        rule["allOf"] = kinds.iter().map(|kind| kind.condition(&common)).collect();
        for (key, value) in kinds.iter().flat_map(|kind| kind.own.clone()) {
            let has_it = kinds.iter().filter(|kind| kind.own.contains_key(&key));
            let names: Vec<&str> = has_it.map(|kind| kind.name).collect();
            let description = value["description"].as_str().unwrap_or_default();
            let description = format!("{}: {description}", names.join(", "));
            rule["properties"][&key] = value;
            rule["properties"][&key]["description"] = description.into();
        }
        rule.try_into().expect("an object is a schema")
    }
}

/// A kind of fault, as [`KindKeys`] describes it.
struct Kind<'s> {
    name: &'s str,
    /// The keys that not every rule has.
    own: Map<String, Value>,
    schema: &'s Value,
}

impl<'s> Kind<'s> {
    fn of(schema: &'s Value) -> Self {
        let mut own = schema["properties"]
            .as_object()
            .cloned()
            .unwrap_or_default();
        own.remove(TAG);
        Self {
            name: schema["properties"][TAG]["const"]
                .as_str()
                .unwrap_or_default(),
            own,
            schema,
        }
    }

    /// The name, and those that stand for it.
    fn names(&self) -> impl Iterator<Item = &'s str> {
        let name = self.name;
        let is_garbage = name == "garbage";
        let aliases = ALIASES
            .iter()
            .filter(move |(_, kind)| *kind == name || (is_garbage && *kind == MALFORMED));
        std::iter::once(name).chain(aliases.map(|(alias, _)| *alias))
    }

    /// If a rule is of this kind, then it has these keys.
    fn condition(&self, common: &[String]) -> Value {
        let names: Vec<&str> = self.names().collect();
        let keys: Vec<&String> = common.iter().chain(self.own.keys()).collect();
        let mut then = json!({
            "description": self.schema["description"],
            "propertyNames": { "enum": keys },
            "required": self.schema["required"],
        });
        if let Some(one_of) = self.schema.get("oneOf") {
            then["oneOf"] = one_of.clone();
        }
        json!({
            "if": { "properties": { TAG: { "enum": names } }, "required": [TAG] },
            "then": then,
        })
    }
}

fn profiles() -> Vec<&'static str> {
    PROFILES.iter().map(|profile| profile.name).collect()
}

fn exactly_one<const N: usize>(keys: [&str; N]) -> Value {
    keys.iter()
        .map(|key| json!({ "required": [key] }))
        .collect()
}

fn ways_to_choose_attempts() -> Value {
    let required = |key| json!({ "required": [key] });
    let range = json!({ "anyOf": [required("from"), required("to")] });
    json!([required("first"), range, required("every")])
}

fn not_both(one: &str, other: &str) -> Value {
    json!({ "not": { "required": [one, other] } })
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn keys(value: &Value) -> Vec<String> {
    value
        .as_object()
        .into_iter()
        .flat_map(Map::keys)
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::KINDS;

    fn generated() -> Value {
        serde_json::from_str(&schema()).unwrap()
    }

    fn rule(rest: &str) -> String {
        format!("rule = [{{ {rest} }}]")
    }

    fn latency(distribution: &str) -> String {
        rule(&format!(
            "fault = 'latency', distribution = {{ {distribution} }}"
        ))
    }

    /// The keys that the reader names in its message about an unknown one.
    fn keys_of_the_reader(text: &str) -> Vec<String> {
        let error = Scenario::from_toml(text).unwrap_err().to_string();
        let line = error.lines().find(|line| line.contains("unknown: "));
        let (_, keys) = line
            .and_then(|line| line.split_once("use one of "))
            .unwrap_or_else(|| panic!("{text}: {error}"));
        sorted(keys.split(", ").map(str::to_owned))
    }

    fn sorted(keys: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut keys: Vec<String> = keys.into_iter().collect();
        keys.sort();
        keys
    }

    #[test]
    fn the_kinds_are_those_of_the_reader() {
        let schema = generated();
        let kinds = array(&schema["$defs"]["rule"]["properties"]["fault"]["enum"]);
        let kinds = kinds.iter().map(|kind| kind.as_str().unwrap().to_owned());
        let aliases = ALIASES.iter().map(|(alias, _)| *alias);
        let known = KINDS.into_iter().chain(aliases).map(str::to_owned);
        assert_eq!(sorted(kinds), sorted(known));
    }

    #[test]
    fn each_kind_has_the_keys_of_the_reader() {
        let schema = generated();
        let mut kinds = 0;
        for condition in array(&schema["$defs"]["rule"]["allOf"]) {
            let keys = array(&condition["then"]["propertyNames"]["enum"]);
            let keys = sorted(keys.iter().map(|key| key.as_str().unwrap().to_owned()));
            for kind in array(&condition["if"]["properties"][TAG]["enum"]) {
                let text = rule(&format!("fault = {kind}, unknown = 1"));
                assert_eq!(keys, keys_of_the_reader(&text), "{kind}");
                kinds += 1;
            }
        }
        assert_eq!(kinds, KINDS.len() + ALIASES.len());
    }

    /// The server parses the tables of listeners: `e2e/test_schema.py` compares those.
    #[test]
    fn each_table_has_the_keys_of_the_reader() {
        let rules = "/$defs/rule/properties";
        let distribution = "/$defs/distribution/properties";
        let mut tables = vec![
            ("/$defs/scenario".to_owned(), "unknown = 1".to_owned()),
            (
                "/$defs/capacity".to_owned(),
                "capacity = { unknown = 1 }".to_owned(),
            ),
            (
                "/$defs/match".to_owned(),
                rule("fault = 'close', match = { unknown = 1 }"),
            ),
            (
                format!("{rules}/attempts"),
                rule("fault = 'close', attempts = { unknown = 1 }"),
            ),
            (
                format!("{rules}/window"),
                rule("fault = 'close', window = { unknown = 1 }"),
            ),
            (
                format!("{rules}/one_of/items"),
                rule("fault = 'status', one_of = [{ unknown = 1 }]"),
            ),
            ("/$defs/distribution".to_owned(), latency("unknown = 1")),
        ];
        for shape in ["uniform", "normal", "lognormal", "exponential", "pareto"] {
            let text = latency(&format!("{shape} = {{ unknown = 1 }}"));
            tables.push((format!("{distribution}/{shape}"), text));
        }
        let schema = generated();
        for (table, text) in tables {
            let properties = &schema.pointer(&table).unwrap()["properties"];
            assert_eq!(
                sorted(keys(properties)),
                keys_of_the_reader(&text),
                "{table}"
            );
        }
    }

    #[test]
    fn each_limit_is_that_of_the_reader() {
        let seconds = "service_time = { fixed = '1s' }";
        let texts = [
            (
                "capacity/workers",
                format!("capacity = {{ workers = N, {seconds} }}"),
            ),
            (
                "capacity/queue",
                format!("capacity = {{ workers = 1, {seconds}, queue = N }}"),
            ),
            (
                "distribution/sigma",
                latency("lognormal = { median = '1s', sigma = N }"),
            ),
            (
                "distribution/shape",
                latency("pareto = { scale = '1s', shape = N }"),
            ),
            ("rule/bits", rule("fault = 'corrupt', bits = N")),
            (
                "rule/chunks",
                rule("fault = 'dribble', over = '1s', chunks = N"),
            ),
            (
                "rule/first",
                rule("fault = 'close', attempts = { first = N }"),
            ),
            (
                "rule/from",
                rule("fault = 'close', attempts = { from = N }"),
            ),
            ("rule/to", rule("fault = 'close', attempts = { to = N }")),
            (
                "rule/every",
                rule("fault = 'close', attempts = { every = N }"),
            ),
            ("rule/hops", rule("fault = 'redirect', hops = N")),
            ("rule/status", rule("fault = 'status', status = N")),
            (
                "rule/weight",
                rule("fault = 'status', one_of = [{ status = 418 }, { status = 418, weight = N }]"),
            ),
            ("share/", rule("fault = 'truncate', fraction = N")),
        ];
        let mut limits = Vec::new();
        for (name, definition) in generated()["$defs"].as_object().unwrap() {
            collect_limits(definition, &format!("{name}/"), &mut limits);
        }
        limits.retain(|(key, _)| key != "listener/port"); // parsed by the server
        for (key, limits) in limits {
            let (_, text) = texts
                .iter()
                .find(|(known, _)| *known == key)
                .unwrap_or_else(|| panic!("add a text for {key}"));
            let accepts = |number: &Value| {
                Scenario::from_toml(&text.replace('N', &number.to_string())).is_ok()
            };
            let [minimum, maximum] = limits;
            assert!(accepts(&minimum) && accepts(&maximum), "{key}");
            assert!(!accepts(&next_to(&minimum, -1)), "{key}");
            assert!(!accepts(&next_to(&maximum, 1)), "{key}");
        }
    }

    /// Each number with a minimum and a maximum.
    fn collect_limits(schema: &Value, key: &str, limits: &mut Vec<(String, [Value; 2])>) {
        if let (Some(minimum), Some(maximum)) = (schema.get("minimum"), schema.get("maximum")) {
            limits.push((key.to_owned(), [minimum.clone(), maximum.clone()]));
        }
        let definition = key.split('/').next().unwrap_or_default();
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            collect_limits(property, &format!("{definition}/{name}"), limits);
        }
        if let Some(items) = schema.get("items") {
            collect_limits(items, key, limits);
        }
    }

    fn next_to(number: &Value, step: i64) -> Value {
        match number.as_i64() {
            Some(whole) => (whole + step).into(),
            None => (number.as_f64().unwrap() + step as f64 / 1024.0).into(),
        }
    }
}
