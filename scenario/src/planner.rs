//! The pure function at the heart of Flagbench: seed and request in, [`Plan`] out.
//!
//! For each rule, in the order of the scenario:
//!
//! 1. `rule key` = BLAKE3 `derive_key` with the context [`CONTEXT`] of
//!    `seed` (u64, little-endian) ‖ `len(name)` (u64, little-endian) ‖ `name`.
//! 2. `stream key` = BLAKE3 keyed hash, under the rule key, of run, method and path, each as
//!    `len` (u64, little-endian) ‖ bytes, and then `attempt` (u64, little-endian).
//! 3. The stream is ChaCha8 with the stream key, nonce 0, read as little-endian u64 words. Word 0
//!    is the coin: the rule fires when its upper 53 bits, as a fraction of 2⁵³, are below the
//!    probability. The words after it are the fault's own, so that a change of the probability
//!    moves no delay: one for a delay (more where it is drawn again), one for a status of several,
//!    one for each flipped bit, eight for garbage.
//! 4. The coin of a rule in a group is word 0 of the stream with the name `group NAME` instead, as
//!    a fraction of 2⁵³ too. The rules of a group have intervals one behind another, in the order
//!    of the scenario, each as wide as its probability: the rule fires in whose interval the coin
//!    is. Its own stream is read from word 1 on, as if word 0 had been its coin.
//!
//! Decisions depend on nothing else: neither on the order of arrival nor on other rules. The header
//! or time of a condition affects whether a rule fires, not what it then decides. The values are a
//! public contract; tests pin them, and changing one is a breaking change.

use std::time::Duration;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use thiserror::Error;

use crate::conditions::Certainty;
use crate::rule::fraction;
use crate::scenario::start_in_group;
use crate::{
    Circumstances, ClientHeaders, Distribution, Plan, RequestKey, Rule, RuleName, Scenario,
};

/// The domain of the decisions, as BLAKE3's `derive_key` wants it: unique, and never changed.
const CONTEXT: &str = "flagbench 2026-11-23 decision stream v1";

/// Decides what happens to each request of one scenario.
#[derive(Debug, Clone)]
pub struct Planner {
    seed: u64,
    rules: Vec<KeyedRule>,
    /// The keys of the groups' streams.
    groups: Vec<Key>,
    /// The key and the distribution of the capacity model's service time.
    service: Option<(Key, Distribution)>,
}

/// The part of a stream's key that no request changes.
type Key = [u8; blake3::KEY_LEN];

#[derive(Debug, Clone)]
struct KeyedRule {
    key: Key,
    rule: Rule,
    /// The place of its group among the keys, and where its interval begins.
    in_group: Option<(usize, f64)>,
}

/// The coins of the groups for one request. One after another they are computed once, as the rules
/// of a group mostly stand together.
struct GroupCoins<'p> {
    keys: &'p [Key],
    fields: &'p [u8],
    last: Option<(usize, f64)>,
}

impl GroupCoins<'_> {
    fn of(&mut self, group: usize) -> f64 {
        match self.last {
            Some((last, coin)) if last == group => coin,
            _ => {
                let coin = fraction(stream(&self.keys[group], self.fields).next_u64());
                self.last = Some((group, coin));
                coin
            }
        }
    }
}

impl KeyedRule {
    /// Whether the rule fires for a request that meets its conditions, and its stream from word 1
    /// on.
    fn toss(&self, fields: &[u8], groups: &mut GroupCoins<'_>) -> Option<ChaCha8Rng> {
        let probability = self.rule.probability();
        if let Some((group, start)) = self.in_group {
            let coin = groups.of(group);
            if coin < start || start + probability.get() <= coin {
                return None;
            }
        }
        let mut stream = stream(&self.key, fields);
        let own_coin = stream.next_u64();
        let fires = self.in_group.is_some() || probability.fires(own_coin);
        fires.then_some(stream)
    }
}

/// What will happen to a request, as far as it is known before it is sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Prospect {
    /// What will happen; where there is a doubt, what would happen at the start, without the
    /// headers that are not known.
    pub plan: Plan,
    /// Why something else may happen, and what.
    pub doubt: Option<(Doubt, Plan)>,
}

/// Why it is not known whether a rule fires.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Doubt {
    /// It has a time window.
    #[error("the rule {0} has a time window, so what it does depends on when a request comes")]
    Time(RuleName),
    /// It has a condition on a header.
    #[error("the rule {0} depends on the header {1}, which is not known before the request")]
    Header(RuleName, String),
}

impl Planner {
    /// A planner for this scenario; the part of the keys that no request changes is computed here.
    pub fn new(scenario: &Scenario) -> Self {
        let mut names: Vec<&RuleName> = Vec::new();
        let mut rules = Vec::new();
        for (index, rule) in scenario.rules().iter().enumerate() {
            let in_group = rule.group().map(|group| {
                let place = names.iter().position(|name| *name == group);
                let place = place.unwrap_or_else(|| {
                    names.push(group);
                    names.len() - 1
                });
                (place, start_in_group(&scenario.rules()[..index], rule))
            });
            rules.push(KeyedRule {
                key: stream_key(scenario.seed(), rule.name().as_str()),
                rule: rule.clone(),
                in_group,
            });
        }
        let group_key = |name| stream_key(scenario.seed(), &format!("{GROUP}{name}"));
        let service = scenario.capacity().map(|capacity| {
            (
                stream_key(scenario.seed(), CAPACITY),
                capacity.service_time.clone(),
            )
        });
        Self {
            seed: scenario.seed(),
            rules,
            groups: names.into_iter().map(group_key).collect(),
            service,
        }
    }

    /// The seed of every decision.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What happens to this request, as far as it is known in advance: at the start, without
    /// headers.
    pub fn plan(&self, request: &RequestKey<'_>) -> Plan {
        self.plan_under(request, &Circumstances::default())
    }

    /// What happens to this request. Rules without conditions on headers or time give the same plan
    /// for the same key, always; the others are part of it when their conditions hold.
    pub fn plan_under(&self, request: &RequestKey<'_>, circumstances: &Circumstances<'_>) -> Plan {
        let mut plan = Plan::default();
        if self.rules.is_empty() {
            return plan;
        }
        let fields = fields(request);
        let mut groups = self.group_coins(&fields);
        for keyed in &self.rules {
            let rule = &keyed.rule;
            if !rule.conditions().hold(request, circumstances) {
                continue;
            }
            if let Some(mut stream) = keyed.toss(&fields, &mut groups)
                && plan.add(rule.fault(), || stream.next_u64())
            {
                plan.rules.push(rule.name().clone());
            }
        }
        plan
    }

    /// What will happen to this request of a client with these headers.
    pub fn foresee(&self, request: &RequestKey<'_>, client: &ClientHeaders) -> Prospect {
        let (mut plan, mut other, mut doubt) = (Plan::default(), Plan::default(), None);
        let fields = fields(request);
        let mut groups = self.group_coins(&fields);
        for keyed in &self.rules {
            let rule = &keyed.rule;
            let certainty = rule.conditions().certainty(request, client);
            if certainty == Certainty::Fails {
                continue;
            }
            if keyed.toss(&fields, &mut groups).is_none() {
                continue;
            }
            let fire = |plan: &mut Plan| {
                let mut stream = stream(&keyed.key, &fields);
                stream.next_u64(); // the coin
                let has_fired = plan.add(rule.fault(), || stream.next_u64());
                if has_fired {
                    plan.rules.push(rule.name().clone());
                }
                has_fired
            };
            let (is_in_doubt, cause) = match certainty {
                Certainty::Fails => continue,
                Certainty::Holds => {
                    fire(&mut plan);
                    fire(&mut other);
                    continue;
                }
                Certainty::DependsOnTime { at_start: true } => {
                    (fire(&mut plan), Doubt::Time(rule.name().clone()))
                }
                Certainty::DependsOnTime { at_start: false } => {
                    (fire(&mut other), Doubt::Time(rule.name().clone()))
                }
                Certainty::DependsOnHeader(header) => {
                    (fire(&mut other), Doubt::Header(rule.name().clone(), header))
                }
            };
            if is_in_doubt {
                doubt.get_or_insert(cause);
            }
        }
        Prospect {
            plan,
            doubt: doubt.map(|doubt| (doubt, other)),
        }
    }

    fn group_coins<'p>(&'p self, fields: &'p [u8]) -> GroupCoins<'p> {
        GroupCoins {
            keys: &self.groups,
            fields,
            last: None,
        }
    }

    /// How long a server of limited capacity works on this request. It is drawn from a stream with
    /// a name that no rule can have.
    pub fn service_time(&self, request: &RequestKey<'_>) -> Duration {
        let Some((key, service_time)) = &self.service else {
            return Duration::ZERO;
        };
        let mut stream = stream(key, &fields(request));
        service_time.sample(|| stream.next_u64())
    }
}

/// The name of the capacity model's stream: no rule can have it, because names have no spaces.
const CAPACITY: &str = "capacity model";

/// What the name of a group's stream begins with; no rule can have such a name either.
const GROUP: &str = "group ";

fn stream_key(seed: u64, name: &str) -> Key {
    let mut fields = seed.to_le_bytes().to_vec();
    push_with_length(&mut fields, name);
    blake3::derive_key(CONTEXT, &fields)
}

/// What decisions depend on, as bytes: the same for all rules, and mostly a single block of the
/// hash.
fn fields(request: &RequestKey<'_>) -> Vec<u8> {
    let RequestKey {
        run,
        method,
        path,
        attempt,
    } = request;
    let mut fields =
        Vec::with_capacity(4 * size_of::<u64>() + run.len() + method.len() + path.len());
    for field in [run, method, path] {
        push_with_length(&mut fields, field);
    }
    fields.extend(u64::from(*attempt).to_le_bytes());
    fields
}

fn stream(key: &Key, fields: &[u8]) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(blake3::keyed_hash(key, fields).into())
}

/// Length first, so that no two lists of fields have the same bytes.
fn push_with_length(fields: &mut Vec<u8>, field: &str) {
    fields.extend((field.len() as u64).to_le_bytes());
    fields.extend(field.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Capacity;

    fn brazil(attempt: u32) -> RequestKey<'static> {
        RequestKey {
            run: "",
            method: "GET",
            path: "/flags/br/br.gif",
            attempt,
        }
    }

    fn foreseen(toml: &str, client: &ClientHeaders) -> (Vec<String>, Option<String>) {
        let planner = Planner::new(&Scenario::from_toml(toml).unwrap());
        let prospect = planner.foresee(&brazil(1), client);
        let rules = prospect.plan.rules.iter().map(ToString::to_string);
        (
            rules.collect(),
            prospect.doubt.map(|(doubt, _)| doubt.to_string()),
        )
    }

    #[test]
    fn a_rule_on_a_header_that_the_client_sends_is_part_of_the_plan() {
        let rule = |header: &str| {
            format!(
                "rule = [{{ fault = 'close', name = 'r', match = {{ header = {{ {header} }} }} }}]"
            )
        };
        let client = ClientHeaders::none()
            .with("User-Agent", "flag-client/1")
            .with_attempts()
            .perhaps("referer");
        let fires = (vec!["r".to_owned()], None);
        let never = (Vec::new(), None);
        for (header, expected) in [
            ("user-agent = 'flag*'", &fires),
            ("user-agent = 'curl*'", &never),
            ("flag-attempt = '1'", &fires),
            ("flag-attempt = '2'", &never),
            ("flag-run = '*'", &never),
            ("x-user = '*'", &never),
            ("referer = '*', x-user = '*'", &never),
        ] {
            assert_eq!(foreseen(&rule(header), &client), *expected, "{header}");
        }
        let doubt =
            "the rule r depends on the header referer, which is not known before the request";
        let (rules, found) = foreseen(&rule("referer = '*'"), &client);
        assert_eq!((rules.len(), found.as_deref()), (0, Some(doubt)));
        let (_, found) = foreseen(&rule("user-agent = 'flag*'"), &ClientHeaders::unknown());
        assert!(found.is_some());
    }

    #[test]
    fn the_run_of_a_request_is_its_header() {
        let toml = "rule = [{ fault = 'close', match = { header = { flag-run = 'down*' } } }]";
        let planner = Planner::new(&Scenario::from_toml(toml).unwrap());
        let fires = |run| {
            let request = RequestKey { run, ..brazil(1) };
            let prospect = planner.foresee(&request, &ClientHeaders::unknown());
            assert_eq!(prospect.doubt, None);
            !prospect.plan.rules.is_empty()
        };
        assert!(fires("down-1") && !fires("up-1") && !fires(""));
    }

    #[test]
    fn a_window_is_in_doubt_where_its_rule_would_change_something() {
        let client = ClientHeaders::none();
        let rule = |more: &str| format!("{{ fault = 'close', name = 'r', window = {{ {more} }} }}");
        let (open, closed) = (rule("until = '5s'"), rule("from = '5s'"));
        let doubt = "the rule r has a time window, so what it does depends on when a request comes";
        let one = foreseen(&format!("rule = [{open}]"), &client);
        assert_eq!(one, (vec!["r".to_owned()], Some(doubt.to_owned())));
        let one = foreseen(&format!("rule = [{closed}]"), &client);
        assert_eq!(one, (Vec::new(), Some(doubt.to_owned())));
        // Another country, a coin that falls otherwise, an end that is decided already.
        for (before, more) in [
            ("", "match = { cc = 'JP' }"),
            ("", "probability = 0"),
            (
                "{ fault = 'garbage', name = 'g' },",
                "attempts = { first = 9 }",
            ),
        ] {
            let toml = format!(
                "rule = [{before} {{ fault = 'close', name = 'r', window = {{ from = '5s' }}, {more} }}]"
            );
            assert_eq!(foreseen(&toml, &client).1, None, "{toml}");
        }
    }

    /// The value was computed by `e2e/decision.py`, with the name `capacity model`.
    #[test]
    fn the_service_time_has_its_own_stream() {
        let service_time = Distribution::uniform(Duration::ZERO, Duration::from_secs(1)).unwrap();
        let scenario = Scenario::faultless().with_capacity(Capacity {
            workers: std::num::NonZeroU32::MIN,
            service_time,
            queue: 0,
        });
        let time = Planner::new(&scenario).service_time(&brazil(1));
        assert_eq!(time, Duration::from_nanos(43_353_255));
    }
}
