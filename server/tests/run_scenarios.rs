//! Scenarios of runs: tests that run at once on one server each meet their own, and a change under
//! load is between two requests.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flag_scenario::{Rule, RuleBuilder, Scenario};
use flag_server::{BlockingFlagServer, FlagServer};
use support::{BRAZIL, Client, authority};

/// What sends a GET past the fast path.
const UNUSUAL: &str = "if-match: *";

const HOUR: Duration = Duration::from_secs(3600);

fn scenario(rules: impl IntoIterator<Item = RuleBuilder>) -> Scenario {
    Scenario::of(rules).unwrap()
}

fn status(client: &mut Client, path: &str, lines: &[&str]) -> String {
    client.send_request("GET", path, lines);
    client.reply().0.status_line[9..12].to_owned()
}

fn start() -> (Arc<BlockingFlagServer>, String) {
    let server = FlagServer::builder().start_blocking().unwrap();
    let authority = authority(server.endpoints());
    (Arc::new(server), authority)
}

#[test]
fn each_of_many_tests_at_once_meets_exactly_its_own_scenario() {
    const TESTS: usize = 400;
    let (server, authority) = start();
    let test = |number: usize| {
        let (run, own) = (format!("test {number}"), 500 + number as u16 % 100);
        let failures = 1 + number as u32 % 3;
        let broken = scenario([Rule::status(own).first(failures)]);
        server.set_run_scenario(&run, &broken, HOUR).unwrap();
        let mut client = Client::connect(&authority);
        let path = format!("/run/test%20{number}{BRAZIL}");
        let lane = if number.is_multiple_of(2) {
            &[][..]
        } else {
            &[UNUSUAL]
        };
        for _ in 0..failures {
            assert_eq!(status(&mut client, &path, lane), own.to_string());
        }
        assert_eq!(status(&mut client, &path, lane), "200");
        let count = failures as usize + 1;
        let records = server.wait_for_records(&run, count, support::SAFETY);
        let attempts: Vec<u32> = records.iter().map(|record| record.attempt).collect();
        let expected: Vec<u32> = (1..=failures + 1).collect();
        assert_eq!(attempts, expected, "{run}");
        server.forget_run(&run);
        assert_eq!(server.records(&run), []);
        // Nothing is left of it: neither the scenario nor the count.
        assert_eq!(status(&mut client, &path, lane), "200");
        let records = server.wait_for_records(&run, 1, support::SAFETY);
        assert_eq!(records[0].attempt, 1);
    };
    std::thread::scope(|scope| {
        for worker in 0..16 {
            scope.spawn(move || (worker..TESTS).step_by(16).for_each(test));
        }
    });
    assert_eq!(status(&mut Client::connect(&authority), BRAZIL, &[]), "200");
}

#[test]
fn a_scenario_of_a_run_ends_by_itself() {
    let (server, authority) = start();
    let broken = scenario([Rule::status(503)]);
    let short = Duration::from_millis(300);
    server.set_run_scenario("short", &broken, short).unwrap();
    server.set_run_scenario("long", &broken, HOUR).unwrap();
    let of_run = |run: &str| {
        let line = format!("flag-run: {run}");
        status(&mut Client::connect(&authority), BRAZIL, &[&line])
    };
    assert_eq!(of_run("long"), "503");
    support::eventually(|| (of_run("short") == "200").then_some(()));
    let listener = &server.endpoints()[0].name;
    assert_eq!(server.run_scenario(listener, "short"), Ok(None));
    let (found, remaining) = server.run_scenario(listener, "long").unwrap().unwrap();
    assert_eq!(found, broken);
    assert!(remaining.is_some_and(|remaining| remaining <= HOUR));
    assert!(server.remove_run_scenario("long") && !server.remove_run_scenario("long"));
    assert_eq!(of_run("long"), "200");
    assert!(server.run_scenario("no such listener", "long").is_err());
}

#[test]
fn no_request_meets_half_of_a_scenario_that_is_changed_under_load() {
    change_under_load(10_000);
}

#[test]
#[ignore = "takes half a minute"]
fn none_of_very_many_requests_meets_half_of_a_scenario_that_is_changed_under_load() {
    change_under_load(100_000);
}

/// Both rules of a scenario apply to a request, or none: the status and the header belong together.
fn change_under_load(requests: usize) {
    let (server, authority) = start();
    let listener = server.endpoints()[0].name.clone();
    let of = |status: u16| {
        let name = status.to_string();
        scenario([
            Rule::status(status).named(&name),
            Rule::latency(Duration::ZERO).named(&name.repeat(2)),
        ])
    };
    let scenarios = [of(500), of(501), of(502)];
    server.set_scenario(&listener, &scenarios[0]).unwrap();
    let is_over = AtomicBool::new(false);
    let changes = std::thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut changes = 0_usize;
            while !is_over.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_micros(50)); // requests need the processor too
                changes += 1;
                let next = &scenarios[changes % scenarios.len()];
                let is_temporary = changes.is_multiple_of(5);
                if is_temporary {
                    let lasts = Duration::from_micros(200);
                    server.set_scenario_for(&listener, next, lasts).unwrap();
                } else {
                    server.set_scenario(&listener, next).unwrap();
                }
            }
            changes
        });
        let loads: Vec<_> = (0..4)
            .map(|worker| {
                let authority = &authority;
                scope.spawn(move || {
                    let mut client = Client::connect(authority);
                    let lane = if worker % 2 == 0 { &[][..] } else { &[UNUSUAL] };
                    for _ in 0..requests / 4 {
                        client.send_request("GET", BRAZIL, lane);
                        let (head, _) = client.reply();
                        let status = head.status_line[9..12].to_owned();
                        let rules = format!("{status},{status}{status}");
                        assert_eq!(head.get("flag-plan"), Some(&*rules));
                    }
                })
            })
            .collect();
        for load in loads {
            load.join().unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        changing.join().unwrap()
    });
    assert!(changes > 100, "{changes}");
    let records = server.settled_records(support::SAFETY);
    assert_eq!(server.received(), requests as u64);
    assert_eq!(records.len(), flag_server::MAX_RECORDS_PER_RUN);
}
