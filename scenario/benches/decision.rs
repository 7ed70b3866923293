//! The cost of a decision: `cargo bench -p flag-scenario --bench decision`.
//!
//! The throughput is in rules: a scenario with many has as many decisions to make for each request.

use divan::{Bencher, black_box, counter::ItemsCount};
use flag_scenario::profiles::{PROFILES, Profile};
use flag_scenario::{Planner, RequestKey, Scenario};

fn main() {
    divan::main();
}

fn decide(bencher: Bencher<'_, '_>, toml: &str) {
    let scenario = Scenario::from_toml(toml).expect("it is a scenario");
    let planner = Planner::new(&scenario);
    bencher
        .counter(ItemsCount::new(scenario.rules().len()))
        .with_inputs({
            let mut attempt = 0;
            move || {
                attempt += 1;
                attempt
            }
        })
        .bench_local_values(|attempt| {
            planner.plan(black_box(&RequestKey {
                run: "",
                method: "GET",
                path: "/flags/br/br.gif",
                attempt,
            }))
        });
}

#[divan::bench(args = PROFILES.iter().map(|profile| profile.name).filter(|name| *name != "local"))]
fn profile(bencher: Bencher<'_, '_>, name: &str) {
    let profile = |profile: &&Profile| profile.name == name;
    let toml = PROFILES
        .iter()
        .find(profile)
        .map_or("", |profile| profile.toml);
    decide(bencher, toml);
}

/// Rules that draw no more than whether they fire.
#[divan::bench(args = [1, 10, 100])]
fn rules(bencher: Bencher<'_, '_>, count: usize) {
    let rule = "[[rule]]\nfault = \"status\"\nstatus = 418\nprobability = 0.25\n";
    decide(bencher, &rule.repeat(count));
}
