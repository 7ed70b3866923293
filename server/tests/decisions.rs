//! The decision function is a public contract: its values are pinned, and nothing but its inputs
//! moves them.

use std::time::Duration;

use flag_server::scenario::profiles::Profile;
use flag_server::scenario::{
    Cut, Distribution, Dribble, Ending, Fault, Plan, Planner, Probability, RequestKey, Rule,
    RuleName, Scenario,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn error_server(seed: u64) -> Planner {
    let scenario = Profile::find("error").unwrap().scenario().unwrap();
    Planner::new(&scenario.with_seed(seed))
}

fn get<'a>(run: &'a str, path: &'a str, attempt: u32) -> RequestKey<'a> {
    RequestKey {
        run,
        method: "GET",
        path,
        attempt,
    }
}

/// The values were computed by `e2e/decision.py`, which shares no code with this crate.
/// A change here breaks the plans of every user.
#[test]
fn the_golden_vectors_hold() {
    let vectors = [
        (20_150_223, "", "/flags/br/br.gif", 1, 200, 4_456_995_011),
        (20_150_223, "", "/flags/br/br.gif", 2, 200, 4_695_613_286),
        (20_150_223, "", "/flags/jp/jp.gif", 1, 200, 1_069_206_841),
        (
            20_150_223,
            "suite-7",
            "/flags/br/br.gif",
            1,
            418,
            2_265_620_541,
        ),
        (20_150_224, "", "/flags/br/br.gif", 1, 200, 3_020_901_218),
        (
            20_150_223,
            "",
            "/flags/br/metadata.json",
            1,
            200,
            1_967_188_668,
        ),
        (
            u64::MAX,
            "é",
            "/flags/zz/zz.gif",
            u32::MAX,
            200,
            2_396_147_744,
        ),
    ];
    for (seed, run, path, attempt, status, nanos) in vectors {
        let plan = error_server(seed).plan(&get(run, path, attempt));
        let planned = match plan.ending {
            Some(Ending::Status { status, .. }) => status.get(),
            _ => 200,
        };
        assert_eq!(
            (planned, plan.delay.as_nanos()),
            (status, nanos),
            "{seed} {run} {path} {attempt}"
        );
    }
}

/// Every kind and every distribution. The values were computed by `e2e/decision.py` and agree to the nanosecond.
#[test]
fn the_golden_vectors_of_every_kind_and_distribution_hold() {
    let vectors: Vec<Vector> =
        serde_json::from_str(include_str!("../../docs/golden-vectors.json")).unwrap();
    assert!(vectors.len() > 100);
    for vector in vectors {
        let text = format!("rule = [{}]", toml_of(&vector.rule));
        let scenario = Scenario::from_toml(&text).unwrap().with_seed(vector.seed);
        let plan = Planner::new(&scenario).plan(&RequestKey {
            run: &vector.run,
            method: &vector.method,
            path: &vector.path,
            attempt: vector.attempt,
        });
        assert_eq!(decision(&plan), vector.decision, "{vector:?}");
    }
}

#[derive(Debug, serde::Deserialize)]
struct Vector {
    rule: Value,
    seed: u64,
    run: String,
    method: String,
    path: String,
    attempt: u32,
    decision: Value,
}

/// A rule in JSON as TOML: strings, numbers and arrays are written alike.
fn toml_of(value: &Value) -> String {
    match value {
        Value::Object(table) => {
            let pairs = table
                .iter()
                .map(|(key, value)| format!("{key} = {}", toml_of(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(toml_of).collect();
            format!("[{}]", items.join(", "))
        }
        plain => plain.to_string(),
    }
}

/// The one decision of a plan of one rule, as the vectors have it.
fn decision(plan: &Plan) -> Value {
    let nanos = |duration: Option<Duration>| {
        duration.map(|duration| u64::try_from(duration.as_nanos()).unwrap())
    };
    if plan.rules.is_empty() {
        return Value::Null;
    }
    if let Some(rate) = plan.pace.rate {
        return json!({ "rate": rate.get() });
    }
    if let Some(Dribble { chunks, over }) = plan.pace.dribble {
        return json!({ "dribble": { "chunks": chunks.get(), "over_ns": nanos(Some(over)) } });
    }
    match &plan.ending {
        None => json!({ "delay_ns": nanos(Some(plan.delay)) }),
        Some(Ending::Status {
            status,
            retry_after,
            ..
        }) => {
            let retry_after = nanos(*retry_after);
            json!({ "kind": "status", "status": status.get(), "retry_after_ns": retry_after })
        }
        Some(Ending::Truncate(Cut::After(after))) => json!({ "kind": "truncate", "after": after }),
        Some(Ending::Truncate(Cut::Fraction(share))) => {
            json!({ "kind": "truncate", "fraction": share.get() })
        }
        Some(Ending::Stall { after, hold }) => {
            json!({ "kind": "stall", "after": after, "hold_ns": nanos(*hold) })
        }
        // These are written as they are logged.
        Some(ending) => serde_json::to_value(ending).unwrap(),
    }
}

#[test]
fn a_plan_names_the_rules_that_fired_in_the_order_of_the_file() {
    let names = |plan: Plan| {
        plan.rules
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    let planner = error_server(20_150_223);
    assert_eq!(
        names(planner.plan(&get("suite-7", "/flags/br/br.gif", 1))),
        ["teapot", "delay"]
    );
    assert_eq!(
        names(planner.plan(&get("", "/flags/br/br.gif", 1))),
        ["delay"]
    );
}

#[test]
fn of_two_endings_the_first_in_the_file_wins_and_delays_add_up() {
    let scenario = Scenario::from_toml(
        r#"
        rule = [
            { name = "one", fault = "status", status = 503 },
            { name = "wait", fault = "latency", distribution = { fixed = "250ms" } },
            { name = "two", fault = "status", status = 418 },
            { name = "wait-more", fault = "latency", distribution = { fixed = "1.5s" } },
        ]"#,
    )
    .unwrap();
    let plan = Planner::new(&scenario).plan(&get("", "/flags/br/br.gif", 1));
    assert!(matches!(plan.ending, Some(Ending::Status { status, .. }) if status.get() == 503));
    assert_eq!(plan.delay, Duration::from_millis(1750));
    let fired: Vec<_> = plan.rules.iter().map(RuleName::as_str).collect();
    assert_eq!(fired, ["one", "wait", "wait-more"]);
}

#[test]
fn adding_a_rule_moves_no_decision_of_another() {
    let delay = || {
        let distribution = Distribution::uniform(Duration::ZERO, Duration::from_secs(1)).unwrap();
        Rule::new(
            RuleName::try_new("delay").unwrap(),
            Fault::Latency(distribution),
        )
    };
    let late = Rule::new(
        RuleName::try_new("added").unwrap(),
        Fault::Latency(Distribution::fixed(Duration::from_secs(10)).unwrap()),
    );
    let alone = Planner::new(&Scenario::try_new(1, vec![delay()]).unwrap());
    let joined = Planner::new(&Scenario::try_new(1, vec![late, delay()]).unwrap());
    for attempt in 1..100 {
        let request = get("", "/flags/br/br.gif", attempt);
        let before = alone.plan(&request).delay;
        assert_eq!(
            joined.plan(&request).delay,
            before + Duration::from_secs(10)
        );
    }
}

#[test]
fn raising_a_probability_adds_firings_and_moves_no_delay() {
    let planner = |probability: f64| {
        let distribution =
            Distribution::uniform(Duration::from_secs(1), Duration::from_secs(2)).unwrap();
        let rule = Rule::new(
            RuleName::try_new("delay").unwrap(),
            Fault::Latency(distribution),
        )
        .with_probability(Probability::try_new(probability).unwrap());
        Planner::new(&Scenario::try_new(1, vec![rule]).unwrap())
    };
    let (rare, frequent) = (planner(0.2), planner(0.6));
    let mut fired = 0;
    for attempt in 1..=1000 {
        let request = get("", "/flags/br/br.gif", attempt);
        let (rarely, often) = (rare.plan(&request), frequent.plan(&request));
        if !rarely.rules.is_empty() {
            fired += 1;
            assert_eq!(rarely, often);
        }
    }
    assert!((150..=250).contains(&fired), "{fired} of 1000 at 20 %");
}

/// 5,000 draws of a fixed seed: no statement about luck, the numbers are always the same.
#[test]
fn a_quarter_of_the_requests_are_teapots_and_delays_are_uniform() {
    let planner = error_server(7);
    let plans: Vec<Plan> = (1..=5000)
        .map(|attempt| planner.plan(&get("", "/flags/br/br.gif", attempt)))
        .collect();
    let teapots = plans.iter().filter(|plan| plan.ending.is_some()).count();
    // Binomial(5000, 0.25): sd 30.6, so within 4 sd.
    assert!((1128..=1372).contains(&teapots), "{teapots}");
    // Uniform on 0.5 s to 5 s: mean 2.75 s, sd of the mean 4.5 / √12 / √5000 = 18.4 ms.
    let mean = plans
        .iter()
        .map(|plan| plan.delay.as_secs_f64())
        .sum::<f64>()
        / 5000.0;
    assert!((mean - 2.75).abs() < 4.0 * 0.0184, "{mean}");
    // Each tenth of the range gets a tenth of the draws: sd 21.2.
    for tenth in 0..10_u32 {
        let lower = Duration::from_millis(500) + Duration::from_millis(450) * tenth;
        let within = plans
            .iter()
            .filter(|plan| (lower..lower + Duration::from_millis(450)).contains(&plan.delay));
        let count = within.count();
        assert!((415..=585).contains(&count), "{tenth}: {count}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_fate_of_a_run_does_not_depend_on_the_order_of_its_requests(
        seed: u64,
        run in "[a-z]{0,8}",
        order in Just((0..676_u32).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let path = |index: u32| format!("/flags/{0}/{0}.gif", index);
        let planner = error_server(seed);
        let in_order: Vec<Plan> = (0..676).map(|index| planner.plan(&get(&run, &path(index), 1))).collect();
        // A second planner, as of another server on another day.
        let again = error_server(seed);
        for index in order {
            prop_assert_eq!(&again.plan(&get(&run, &path(index), 1)), &in_order[index as usize]);
        }
    }

    #[test]
    fn every_field_of_a_request_matters(seed: u64, attempt in 1..u32::MAX) {
        let planner = error_server(seed);
        let delay = |run, method, path, attempt| planner.plan(&RequestKey { run, method, path, attempt }).delay;
        let original = delay("ab", "GET", "c", attempt);
        // With 4.5e9 nanoseconds to choose from, two of these are equal once in a billion cases.
        prop_assert_ne!(original, delay("a", "GET", "bc", attempt));
        prop_assert_ne!(original, delay("ab", "HEAD", "c", attempt));
        prop_assert_ne!(original, delay("ab", "GET", "d", attempt));
        prop_assert_ne!(original, delay("ab", "GET", "c", attempt + 1));
        prop_assert_ne!(original, error_server(seed.wrapping_add(1)).plan(&RequestKey { run: "ab", method: "GET", path: "c", attempt }).delay);
    }
}
