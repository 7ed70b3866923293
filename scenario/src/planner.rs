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
//!
//! Decisions depend on nothing else: neither on the order of arrival nor on other rules. The header
//! or time of a condition affects whether a rule fires, not what it then decides. The values are a
//! public contract; tests pin them, and changing one is a breaking change.

use std::time::Duration;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};

use crate::{Circumstances, Distribution, Plan, RequestKey, Rule, Scenario};

/// The domain of the decisions, as BLAKE3's `derive_key` wants it: unique, and never changed.
const CONTEXT: &str = "flagbench 2026-11-23 decision stream v1";

/// Decides what happens to each request of one scenario.
#[derive(Debug, Clone)]
pub struct Planner {
    seed: u64,
    rules: Vec<KeyedRule>,
    /// The key and the distribution of the capacity model's service time.
    service: Option<([u8; blake3::KEY_LEN], Distribution)>,
}

#[derive(Debug, Clone)]
struct KeyedRule {
    key: [u8; blake3::KEY_LEN],
    rule: Rule,
}

impl Planner {
    /// A planner for this scenario; the part of the keys that no request changes is computed here.
    pub fn new(scenario: &Scenario) -> Self {
        let keyed = |rule: &Rule| KeyedRule {
            key: stream_key(scenario.seed(), rule.name().as_str()),
            rule: rule.clone(),
        };
        let service = scenario.capacity().map(|capacity| {
            (
                stream_key(scenario.seed(), CAPACITY),
                capacity.service_time.clone(),
            )
        });
        Self {
            seed: scenario.seed(),
            rules: scenario.rules().iter().map(keyed).collect(),
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
        for KeyedRule { key, rule } in &self.rules {
            if !rule.conditions().hold(request, circumstances) {
                continue;
            }
            let mut stream = stream(key, &fields);
            let fires = rule.probability().fires(stream.next_u64());
            if fires && plan.add(rule.fault(), || stream.next_u64()) {
                plan.rules.push(rule.name().clone());
            }
        }
        plan
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

fn stream_key(seed: u64, name: &str) -> [u8; blake3::KEY_LEN] {
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

fn stream(key: &[u8; blake3::KEY_LEN], fields: &[u8]) -> ChaCha8Rng {
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

    /// The value was computed by `e2e/decision.py`, with the name `capacity model`.
    #[test]
    fn the_service_time_has_its_own_stream() {
        let service_time = Distribution::uniform(Duration::ZERO, Duration::from_secs(1)).unwrap();
        let scenario = Scenario::faultless().with_capacity(Capacity {
            workers: std::num::NonZeroU32::MIN,
            service_time,
            queue: 0,
        });
        let request = RequestKey {
            run: "",
            method: "GET",
            path: "/flags/br/br.gif",
            attempt: 1,
        };
        let time = Planner::new(&scenario).service_time(&request);
        assert_eq!(time, Duration::from_nanos(43_353_255));
    }
}
