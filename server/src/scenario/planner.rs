//! The pure function at the heart of Flagbench: seed and request in, [`Plan`] out.
//!
//! For each rule, in the order of the scenario:
//!
//! 1. `rule key` = BLAKE3 `derive_key` with the context [`CONTEXT`] of
//!    `seed` (u64, little-endian) ‖ `len(name)` (u64, little-endian) ‖ `name`.
//! 2. `stream key` = BLAKE3 keyed hash, under the rule key, of run, method and path, each as
//!    `len` (u64, little-endian) ‖ bytes, and then `attempt` (u64, little-endian).
//! 3. The stream is ChaCha8 with the stream key, nonce 0, read as little-endian u64 words. Word 0 is the
//!    coin: the rule fires when its upper 53 bits, as a fraction of 2⁵³, are below the probability. The
//!    words after it are the fault's own, so that a change of the probability moves no delay.
//!
//! Nothing else enters: no clock, no order of arrival, no other rule. The values are a public contract;
//! tests pin them, and changing one is a breaking change.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::{Fault, Rule, RuleName, Scenario, StatusNumber};

/// The domain of the decisions, as BLAKE3's `derive_key` wants it: unique, and never changed.
const CONTEXT: &str = "flagbench 2026-11-23 decision stream v1";

/// Decides what happens to each request of one scenario.
#[derive(Debug, Clone)]
pub struct Planner {
    seed: u64,
    rules: Vec<KeyedRule>,
}

#[derive(Debug, Clone)]
struct KeyedRule {
    key: [u8; blake3::KEY_LEN],
    rule: Rule,
}

/// All that a decision depends on, besides the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestKey<'a> {
    /// The request header `flag-run`, or the empty string.
    pub run: &'a str,
    /// The method, in capitals.
    pub method: &'a str,
    /// The path in its canonical form: below `/flags/`, in lower case, without a query.
    pub path: &'a str,
    /// 1 for the first attempt at this path in this run.
    pub attempt: u32,
}

/// What is to happen to one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// The time before the first byte of the response: the sum of the latencies that fired.
    pub delay: Duration,
    /// How the request ends, when it does not end with the flag.
    pub ending: Option<Ending>,
    /// The rules that fired, in the order of the scenario.
    pub rules: Vec<RuleName>,
}

/// An end of a request other than its flag. The first rule that fires decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// This status.
    Status(StatusNumber),
}

impl Planner {
    /// A planner for this scenario; the part of the keys that no request changes is computed here.
    pub fn new(scenario: &Scenario) -> Self {
        let keyed = |rule: &Rule| {
            let name = rule.name().as_str();
            let mut hasher = blake3::Hasher::new_derive_key(CONTEXT);
            hasher.update(&scenario.seed().to_le_bytes());
            update_with_length(&mut hasher, name);
            KeyedRule {
                key: hasher.finalize().into(),
                rule: rule.clone(),
            }
        };
        Self {
            seed: scenario.seed(),
            rules: scenario.rules().iter().map(keyed).collect(),
        }
    }

    /// The seed of every decision.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What is to happen to this request. The same key always gets the same plan.
    pub fn plan(&self, request: &RequestKey<'_>) -> Plan {
        let mut plan = Plan::default();
        for KeyedRule { key, rule } in &self.rules {
            let mut stream = stream(key, request);
            if !rule.probability().fires(stream.next_u64()) {
                continue;
            }
            match rule.fault() {
                Fault::Latency(distribution) => {
                    plan.delay += distribution.sample(|| stream.next_u64());
                }
                Fault::Status(_) if plan.ending.is_some() => continue,
                Fault::Status(status) => plan.ending = Some(Ending::Status(*status)),
            }
            plan.rules.push(rule.name().clone());
        }
        plan
    }
}

fn stream(key: &[u8; blake3::KEY_LEN], request: &RequestKey<'_>) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new_keyed(key);
    for field in [request.run, request.method, request.path] {
        update_with_length(&mut hasher, field);
    }
    hasher.update(&u64::from(request.attempt).to_le_bytes());
    ChaCha8Rng::from_seed(hasher.finalize().into())
}

/// Length first, so that no two lists of fields have the same bytes.
fn update_with_length(hasher: &mut blake3::Hasher, field: &str) {
    hasher.update(&(field.len() as u64).to_le_bytes());
    hasher.update(field.as_bytes());
}
