//! The decision function is a public contract: its values are pinned, and depend on its inputs
//! only.

use std::time::Duration;

use flag_scenario::profiles::Profile;
use flag_scenario::{
    Cut, Distribution, Dribble, Ending, Plan, Planner, RequestKey, Rule, RuleName, Scenario,
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

/// Every kind and every distribution. The values were computed by `e2e/decision.py` and agree to
/// the nanosecond.
#[test]
fn the_golden_vectors_of_every_kind_and_distribution_hold() {
    let vectors: Vectors =
        serde_json::from_str(include_str!("../../docs/golden-vectors.json")).unwrap();
    assert!(vectors.decisions.len() > 100);
    for vector in vectors.decisions {
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

/// Rules that fire or not by the coins of their groups.
#[test]
fn the_golden_vectors_of_groups_hold() {
    let vectors: Vectors =
        serde_json::from_str(include_str!("../../docs/golden-vectors.json")).unwrap();
    assert!(vectors.groups.len() >= 20);
    for vector in vectors.groups {
        let scenario = Scenario::from_toml(&format!("rule = {}", toml_of(&vector.rules)));
        let planner = Planner::new(&scenario.unwrap().with_seed(vector.seed));
        let plan = planner.plan(&RequestKey {
            run: &vector.run,
            method: &vector.method,
            path: &vector.path,
            attempt: vector.attempt,
        });
        let fired = plan.rules.iter().map(|rule| rule.as_str().to_owned());
        let mut fired: Vec<String> = fired.collect();
        fired.sort();
        let expected: Vec<String> = vector.decisions.keys().cloned().collect();
        assert_eq!(fired, expected, "{vector:?}");
        let delays = vector.decisions.values();
        let delay: u64 = delays.map(|one| one["delay_ns"].as_u64().unwrap()).sum();
        assert_eq!(plan.delay, Duration::from_nanos(delay), "{vector:?}");
    }
}

#[derive(serde::Deserialize)]
struct Vectors {
    decisions: Vec<Vector>,
    groups: Vec<GroupVector>,
}

#[derive(Debug, serde::Deserialize)]
struct GroupVector {
    rules: Value,
    seed: u64,
    run: String,
    method: String,
    path: String,
    attempt: u32,
    decisions: std::collections::BTreeMap<String, Value>,
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

/// The decision of a plan with one rule, in the form of the vectors.
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
        // The rest is written as in the log.
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
fn the_first_ending_in_the_file_wins_and_delays_add_up() {
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
fn adding_a_rule_changes_no_decision_of_another() {
    let delay = || {
        let second = Duration::from_secs(1);
        Rule::random_latency(Distribution::uniform(Duration::ZERO, second)).named("delay")
    };
    let late = Rule::latency(Duration::from_secs(10)).named("added");
    let alone = Planner::new(&Scenario::of([delay()]).unwrap().with_seed(1));
    let joined = Planner::new(&Scenario::of([late, delay()]).unwrap().with_seed(1));
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
fn raising_a_probability_adds_firings_and_changes_no_delay() {
    let planner = |probability: f64| {
        let (lower, upper) = (Duration::from_secs(1), Duration::from_secs(2));
        let rule = Rule::random_latency(Distribution::uniform(lower, upper));
        let scenario = Scenario::of([rule.named("delay").probability(probability)]).unwrap();
        Planner::new(&scenario.with_seed(1))
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

/// Rules of one group, with these probabilities.
fn group(probabilities: &[f64], more: &str) -> Planner {
    let rules = probabilities.iter().enumerate().map(|(place, probability)| {
        format!("{{ fault = 'latency', name = 'r{place}', group = 'g', probability = {probability}, distribution = {{ fixed = '1ms' }} }}")
    });
    let rules: Vec<String> = rules.collect();
    let text = format!("rule = [{}{more}]", rules.join(", "));
    Planner::new(&Scenario::from_toml(&text).unwrap())
}

#[test]
fn of_a_group_exactly_one_rule_fires_if_their_probabilities_add_up_to_1() {
    let planner = group(&[0.1, 0.2, 0.7], "");
    let mut counts = std::collections::BTreeMap::new();
    for attempt in 1..=20_000 {
        let plan = planner.plan(&get("", "/flags/br/br.gif", attempt));
        let [rule] = &plan.rules[..] else {
            panic!("{attempt}: {:?}", plan.rules);
        };
        *counts.entry(rule.as_str().to_owned()).or_insert(0) += 1;
    }
    // Binomial(20000, 0.1): sd 42.4; with 0.2: sd 56.6.
    assert!((1830..=2170).contains(&counts["r0"]), "{counts:?}");
    assert!((3773..=4227).contains(&counts["r1"]), "{counts:?}");
}

#[test]
fn a_rule_of_a_group_that_is_not_about_a_request_leaves_its_interval_empty() {
    let all = group(&[0.5, 0.5], "");
    let rule = |attempts: &str| {
        let rules = ["r0", "r1"].map(|name| {
            let attempts = if name == "r0" { attempts } else { "" };
            format!("{{ fault = 'latency', name = '{name}', group = 'g', probability = 0.5, distribution = {{ fixed = '1ms' }}{attempts} }}")
        });
        Planner::new(&Scenario::from_toml(&format!("rule = [{}]", rules.join(", "))).unwrap())
    };
    let some = rule(", attempts = { every = 2 }");
    let mut empty = 0;
    for attempt in 1..=1000 {
        let request = get("", "/flags/br/br.gif", attempt);
        let (all, some) = (all.plan(&request), some.plan(&request));
        if attempt % 2 == 1 && all.rules[0].as_str() == "r0" {
            assert_eq!(some.rules, [], "{attempt}");
            empty += 1;
        } else {
            assert_eq!(some, all, "{attempt}");
        }
    }
    assert!(empty > 200, "{empty}");
}

/// What vaurien did for the book's first edition: an error, or half a second, or neither.
#[test]
fn of_the_first_editions_error_server_no_error_is_late() {
    let profile = flag_server::scenario::profiles::Profile::find("error-1e").unwrap();
    let planner = Planner::new(&Scenario::from_toml(profile.toml).unwrap());
    let mut counts = std::collections::BTreeMap::new();
    for attempt in 1..=20_000 {
        let plan = planner.plan(&get("", "/flags/br/br.gif", attempt));
        let status = match plan.ending {
            None => None,
            Some(Ending::Status { status, .. }) => Some(status.get()),
            other => panic!("{other:?}"),
        };
        *counts.entry((status, plan.delay.as_millis())).or_insert(0) += 1;
    }
    // Binomial(20000, 1/16): sd 34.2; with 1/2: 70.7; with 1/4: 61.2.
    for status in [500, 501, 502, 503] {
        let count = counts.remove(&(Some(status), 0)).unwrap();
        assert!((1113..=1387).contains(&count), "{status}: {count}");
    }
    let late = counts.remove(&(None, 500)).unwrap();
    assert!((9717..=10_283).contains(&late), "{late}");
    let rest = counts.remove(&(None, 0)).unwrap();
    assert!((4755..=5245).contains(&rest), "{rest}");
    assert!(counts.is_empty(), "{counts:?}");
}

/// 5,000 draws of a fixed seed: the numbers are always the same, so this cannot fail by chance.
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

/// 20,000 delays of a fixed seed under one rule of this distribution, in milliseconds.
fn samples(distribution: &str) -> Vec<f64> {
    let text = format!("[[rule]]\nname = \"delay\"\nfault = \"latency\"\n{distribution}");
    let planner = Planner::new(&Scenario::from_toml(&text).unwrap());
    (1..=20_000)
        .map(|attempt| planner.plan(&get("", "/flags/br/br.gif", attempt)).delay)
        .map(|delay| delay.as_secs_f64() * 1000.0)
        .collect()
}

/// The mean is within four standard errors of `mean`, and of the samples as many lie below each
/// quantile as should, within four standard deviations of a binomial count.
fn assert_distributed(distribution: &str, (mean, sd): (f64, f64), quantiles: &[(f64, f64)]) {
    let samples = samples(distribution);
    let count = samples.len() as f64;
    let found = samples.iter().sum::<f64>() / count;
    let error = 4.0 * sd / count.sqrt();
    assert!(
        (found - mean).abs() <= error,
        "{distribution}: mean {found} is not {mean} ± {error}"
    );
    for (share, quantile) in quantiles {
        let below = samples.iter().filter(|sample| *sample < quantile).count() as f64;
        let error = 4.0 * (count * share * (1.0 - share)).sqrt();
        let expected = count * share;
        assert!(
            (below - expected).abs() <= error,
            "{distribution}: {below} are below {quantile}, not {expected} ± {error}"
        );
    }
}

/// Moments and quantiles as in N. L. Johnson, S. Kotz, N. Balakrishnan, *Continuous Univariate
/// Distributions*, volume 1, 2nd edition, 1994: chapters 13 (normal), 14 (log-normal), 19
/// (exponential), 20 (Pareto). The numbers are always the same, so this cannot fail by chance.
#[test]
fn each_distribution_has_its_moments_and_quantiles() {
    // Of the standard normal distribution.
    const Z: [(f64, f64); 5] = [
        (0.01, -2.326_347_874),
        (0.1, -1.281_551_566),
        (0.5, 0.0),
        (0.9, 1.281_551_566),
        (0.99, 2.326_347_874),
    ];
    const SHARES: [f64; 5] = [0.01, 0.1, 0.5, 0.9, 0.99];

    let uniform = SHARES.map(|share| (share, 50.0 + 100.0 * share));
    let sd = 100.0 / 12_f64.sqrt();
    assert_distributed(
        "distribution.uniform = { lower = \"50ms\", upper = \"150ms\" }",
        (100.0, sd),
        &uniform,
    );

    let normal = Z.map(|(share, z)| (share, 100.0 + 15.0 * z));
    assert_distributed(
        "distribution.normal = { mean = \"100ms\", sd = \"15ms\" }",
        (100.0, 15.0),
        &normal,
    );

    // mean = median · exp(σ²/2), variance = mean² · (exp(σ²) − 1).
    let lognormal = |sigma: f64| {
        let mean = 90.0 * (sigma * sigma / 2.0).exp();
        let sd = mean * (sigma * sigma).exp_m1().sqrt();
        (
            (mean, sd),
            Z.map(|(share, z)| (share, 90.0 * (sigma * z).exp())),
        )
    };
    let (moments, quantiles) = lognormal(0.5);
    let by_sigma = "distribution.lognormal = { median = \"90ms\", sigma = 0.5 }";
    assert_distributed(by_sigma, moments, &quantiles);
    let (moments, quantiles) = lognormal((350.0_f64 / 90.0).ln() / Z[4].1);
    assert!((quantiles[4].1 - 350.0).abs() < 1e-6);
    let by_p99 = "distribution.lognormal = { median = \"90ms\", p99 = \"350ms\" }";
    assert_distributed(by_p99, moments, &quantiles);

    // mean = sd = mean, quantile = −mean · ln(1 − p).
    let exponential = SHARES.map(|share| (share, -100.0 * (1.0 - share).ln()));
    assert_distributed(
        "distribution.exponential = { mean = \"100ms\" }",
        (100.0, 100.0),
        &exponential,
    );
    // Cut at its quantile c: the distribution below c, made to fill it. E = m − c·(1−F)/F of F = 1
    // − exp(−c/m).
    let inside = 1.0 - (-2.0_f64).exp();
    let mean = 100.0 - 200.0 * (1.0 - inside) / inside;
    let cut = SHARES.map(|share| (share, -100.0 * (1.0 - share * inside).ln()));
    assert_distributed(
        "distribution.exponential = { mean = \"100ms\" }\nmax = \"200ms\"",
        (mean, 60.0), // the sd is below that of a uniform on 0 to 200 ms
        &cut,
    );

    // mean = scale · a / (a − 1), variance = scale² · a / ((a − 1)² · (a − 2)), quantile = scale ·
    // (1 − p)^(−1/a).
    let a = 5.0_f64;
    let sd = 200.0 * (a / (a - 2.0)).sqrt() / (a - 1.0);
    let pareto = SHARES.map(|share| (share, 200.0 * (1.0 - share).powf(-1.0 / a)));
    assert_distributed(
        "distribution.pareto = { scale = \"200ms\", shape = 5 }",
        (200.0 * a / (a - 1.0), sd),
        &pareto,
    );
}

#[test]
fn statuses_are_chosen_by_weight() {
    let scenario = Scenario::from_toml(
        "rule = [{ fault = \"status\", one_of = [{ status = 503, weight = 5 }, { status = 500, weight = 0 }, { status = 429, weight = 3 }] }]",
    );
    let planner = Planner::new(&scenario.unwrap());
    let mut counts = std::collections::BTreeMap::new();
    for attempt in 1..=20_000 {
        match planner.plan(&get("", "/flags/br/br.gif", attempt)).ending {
            Some(Ending::Status { status, .. }) => *counts.entry(status.get()).or_insert(0) += 1,
            other => panic!("{other:?}"),
        }
    }
    // Binomial(20000, 5/8): sd 68.5.
    assert!((12_226..=12_774).contains(&counts[&503]), "{counts:?}");
    assert_eq!(counts[&503] + counts[&429], 20_000);
}

/// A fault in TOML, of any kind.
fn faults() -> impl Strategy<Value = String> {
    let bytes = "[0-9]{1,4}(B|kB|KiB)";
    let times = "[1-9][0-9]{0,2}ms";
    let sized = |kind: &'static str| {
        prop::option::of(bytes).prop_map(move |after| match after {
            Some(after) => format!("fault = \"{kind}\", after = \"{after}\""),
            None => format!("fault = \"{kind}\""),
        })
    };
    let distributions = prop_oneof![
        times.prop_map(|time| format!("fixed = \"{time}\"")),
        (0..50_u32, 50..99_u32)
            .prop_map(|(a, b)| format!("uniform = {{ lower = \"{a}ms\", upper = \"{b}ms\" }}")),
        (times, times).prop_map(|(a, b)| format!("normal = {{ mean = \"{a}\", sd = \"{b}\" }}")),
        (times, 0.0..3.0)
            .prop_map(|(a, b)| format!("lognormal = {{ median = \"{a}\", sigma = {b:.3} }}")),
        times.prop_map(|time| format!("exponential = {{ mean = \"{time}\" }}")),
        (times, 0.5..9.0)
            .prop_map(|(a, b)| format!("pareto = {{ scale = \"{a}\", shape = {b:.3} }}")),
    ];
    prop_oneof![
        distributions.prop_map(|shape| format!(
            "fault = \"latency\", max = \"500ms\", distribution = {{ {shape} }}"
        )),
        (200..600_u16).prop_map(|status| format!("fault = \"status\", status = {status}")),
        prop::collection::vec((200..600_u16, 1..9_u32), 1..5).prop_map(|choices| {
            let choices = choices
                .iter()
                .map(|(status, weight)| format!("{{ status = {status}, weight = {weight} }}"));
            let choices: Vec<String> = choices.collect();
            format!("fault = \"status\", one_of = [{}]", choices.join(", "))
        }),
        sized("reset"),
        sized("stall"),
        (0.0..=1.0).prop_map(|share| format!("fault = \"truncate\", fraction = {share:.3}")),
        (1..9999_u32).prop_map(|rate| format!("fault = \"bandwidth\", rate = \"{rate}B\"")),
        (1..99_u32, times)
            .prop_map(|(a, b)| format!("fault = \"dribble\", chunks = {a}, over = \"{b}\"")),
        (1..99_u32).prop_map(|bits| format!("fault = \"corrupt\", bits = {bits}")),
        (1..9_u32).prop_map(|hops| format!("fault = \"redirect\", hops = {hops}")),
        Just("fault = \"close\"".to_owned()),
        Just("fault = \"garbage\"".to_owned()),
        Just("fault = \"MALFORMED_RESPONSE_CHUNK\"".to_owned()),
    ]
}

/// Rules of any kind, with any conditions except headers and windows, which are not part of the
/// decision's key.
fn scenarios() -> impl Strategy<Value = Scenario> {
    let conditions = prop_oneof![
        Just(String::new()),
        Just(", match = { cc = [\"BR\", \"JP\"] }".to_owned()),
        Just(", match = { path = \"*.gif\" }".to_owned()),
        Just(", match = { method = \"HEAD\", path = \"/flags/?r/*\" }".to_owned()),
        (1..4_u32).prop_map(|first| format!(", attempts = {{ first = {first} }}")),
    ];
    let rule = (faults(), 0.0..=1.0, conditions).prop_map(|(fault, probability, conditions)| {
        format!("{{ {fault}, probability = {probability:.3}{conditions} }}")
    });
    (any::<u64>(), prop::collection::vec(rule, 0..8)).prop_map(|(seed, rules)| {
        let text = format!("rule = [{}]", rules.join(", "));
        Scenario::from_toml(&text).unwrap().with_seed(seed)
    })
}

/// A few attempts at the files of a few countries, by two methods, in two runs.
fn requests() -> Vec<(&'static str, &'static str, String, u32)> {
    let mut requests = Vec::new();
    for run in ["", "suite-7"] {
        for method in ["GET", "HEAD"] {
            for cc in ["br", "jp", "fr", "zz"] {
                for path in [
                    format!("/flags/{cc}/{cc}.gif"),
                    format!("/flags/{cc}/metadata.json"),
                ] {
                    for attempt in 1..=4 {
                        requests.push((run, method, path.clone(), attempt));
                    }
                }
            }
        }
    }
    requests
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_scenario_decides_the_same_in_any_order_and_on_any_number_of_planners(
        scenario in scenarios(),
        order in Just(requests()).prop_shuffle(),
        threads in 1..5_usize,
    ) {
        let decide = |planner: &Planner, requests: &[(&'static str, &'static str, String, u32)]| {
            let decided = requests.iter().map(|(run, method, path, attempt)| {
                let plan = planner.plan(&RequestKey { run, method, path, attempt: *attempt });
                format!("{run} {method} {path} {attempt} {plan:?}")
            });
            decided.collect::<Vec<String>>()
        };
        let mut in_order = decide(&Planner::new(&scenario), &requests());
        let share = order.len().div_ceil(threads);
        let mut spread: Vec<String> = std::thread::scope(|scope| {
            let workers: Vec<_> = order
                .chunks(share)
                .map(|share| scope.spawn(|| decide(&Planner::new(&scenario), share)))
                .collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        });
        in_order.sort();
        spread.sort();
        prop_assert_eq!(in_order, spread);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_decisions_of_a_run_do_not_depend_on_the_order_of_its_requests(
        seed: u64,
        run in "[a-z]{0,8}",
        order in Just((0..676_u32).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let path = |index: u32| format!("/flags/{0}/{0}.gif", index);
        let planner = error_server(seed);
        let in_order: Vec<Plan> = (0..676).map(|index| planner.plan(&get(&run, &path(index), 1))).collect();
        // A second planner, as in another server.
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
