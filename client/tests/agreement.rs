//! The ideal of a race is a matter of the server's plan, not of where the server runs: embedded,
//! named with its scenario, or named alone.

use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use flag_client::download::{Http, Job, Runner, RuntimeFlavor, Strategy};
use flag_client::race::{Contender, ContenderError, Race, Rounds, ServerPlan, Target};
use flag_client::result::{Analysis, IdealTimes, Measurement, SeriesAnalysis};
use flag_scenario::ScenarioSource;
use flag_scenario::file::KINDS;
use flag_server::{BlockingFlagServer, FlagServer};
use flags_data::CountryCode;

const CODES: [&str; 4] = ["BR", "CN", "JP", "US"];

/// Keys of rules of this kind. One that has required keys needs a case here.
fn rules(kind: &str) -> &'static [&'static str] {
    match kind {
        "latency" => &["distribution = { uniform = { lower = '1ms', upper = '30ms' } }"],
        "status" => &[
            "status = 503",
            "status = 404",
            "status = 204",
            "status = 200",
        ],
        "reset" => &["", "after = '50B'", "after = '1MB'"],
        "truncate" => &["after = '50B'", "fraction = 0.5", "fraction = 1"],
        "stall" => &[
            "hold = '30ms'",
            "after = '50B', hold = '30ms'",
            "after = '1MB', hold = '30ms'",
        ],
        "bandwidth" => &["rate = '200kB'"],
        "dribble" => &["chunks = 3, over = '30ms'"],
        "redirect" => &["hops = 2", "hops = 100"],
        _ => &[""],
    }
}

/// A scenario for each rule, alone and with a delay and a slow line beside it.
fn scenarios() -> Vec<String> {
    let mut scenarios = vec![
        "rule = [{ fault = 'latency', distribution = { fixed = '20ms' }, match = { header = { user-agent = 'flag-client/*' } } }]"
            .to_owned(),
        "rule = [{ fault = 'close', match = { header = { user-agent = 'curl/*' } } }]".to_owned(),
    ];
    for kind in KINDS {
        for keys in rules(kind) {
            let separator = if keys.is_empty() { "" } else { ", " };
            let rule =
                format!("{{ fault = '{kind}', attempts = {{ first = 1 }}{separator}{keys} }}");
            let delay = "{ fault = 'latency', distribution = { fixed = '20ms' } }";
            let line = "{ fault = 'bandwidth', rate = '500kB' }";
            scenarios.push(format!("rule = [{rule}]"));
            scenarios.push(format!("rule = [{rule}, {delay}, {line}]"));
        }
    }
    scenarios
}

/// A scenario in a file, and a server that runs it.
struct Case {
    folder: tempfile::TempDir,
    server: BlockingFlagServer,
}

impl Case {
    fn new(toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("own.toml"), toml).unwrap();
        let builder = FlagServer::builder().toml(toml).unwrap();
        Self {
            folder,
            server: builder.start_blocking().unwrap(),
        }
    }

    fn plan(&self) -> ServerPlan {
        let file = self.folder.path().join("own.toml");
        ServerPlan::load(&ScenarioSource::File(&file), None).unwrap()
    }

    fn embedded(&self) -> Target {
        let file = self.folder.path().join("own.toml");
        Target::embedded(&ScenarioSource::File(&file), None).unwrap()
    }

    fn named(&self) -> Target {
        Target::named(&self.server.flags_url()).unwrap()
    }
}

fn job(target: &Target, workers: usize) -> Job {
    let codes = CODES.map(|code| code.parse::<CountryCode>().unwrap());
    let mut job = Job {
        max_workers: NonZeroUsize::new(workers).unwrap(),
        timeout: Duration::from_secs(60),
        ..Job::new(&target.base_url, codes.to_vec())
    };
    job.retry.retries = 1;
    job
}

/// The HTTP libraries, which follow redirects each in its own way.
fn race(target: &Target, workers: usize) -> Race {
    let runners = [
        (Strategy::Async, Http::Reqwest),
        (Strategy::Async, Http::Hyper),
        (Strategy::Threaded, Http::Ureq),
    ];
    let contender = |(strategy, http)| -> Box<dyn Contender> {
        Box::new(Runner::try_new(strategy, http, RuntimeFlavor::CurrentThread).unwrap())
    };
    Race::bench(runners.map(contender).into(), job(target, workers))
        .rounds(Rounds::Exactly(NonZeroUsize::MIN))
        .warmup(0)
}

fn run(target: &Target, workers: usize) -> Result<Measurement, ContenderError> {
    race(target, workers).run_on(target)
}

fn ideal(measurement: &Measurement, workers: usize) -> Duration {
    let ideals = IdealTimes::of(measurement);
    ideals.at(NonZeroUsize::new(workers).unwrap()).unwrap()
}

/// Most of the time of a case is waiting, so some run at once.
const AT_ONCE: usize = 8;

#[test]
fn a_named_server_has_the_ideal_of_an_embedded_one() {
    let scenarios = scenarios();
    thread::scope(|scope| {
        for own in scenarios.chunks(scenarios.len().div_ceil(AT_ONCE)) {
            scope.spawn(|| own.iter().for_each(|toml| assert_agreement(toml)));
        }
    });
}

fn assert_agreement(toml: &str) {
    let case = Case::new(toml);
    let embedded = case.embedded();
    let expected = ideal(&race(&embedded, 2).begin(&embedded, Vec::new()), 2);
    let is_near = |found: Duration| found.abs_diff(expected) < Duration::from_millis(1);

    let measurement = run(&case.named().with_plan(case.plan()), 2).unwrap();
    for numbers in Analysis::of(&measurement).series {
        let SeriesAnalysis { name, ideal, .. } = &numbers;
        assert!(is_near(ideal.unwrap_or_default()), "{toml}: {numbers:?}");
        assert_eq!(numbers.unplanned_errors, 0, "{toml}: {name}");
    }
    for numbers in Analysis::of(&run(&case.named(), 2).unwrap()).series {
        let is_silent = numbers.no_ideal.is_some() || expected.is_zero();
        let agrees = numbers.ideal.map_or(is_silent, is_near);
        assert!(agrees, "{toml}: {expected:?}, {numbers:?}");
    }
}

#[test]
fn what_responses_report_is_enough_where_all_have_a_head() {
    for rule in [
        "fault = 'latency', distribution = { fixed = '20ms' }",
        "fault = 'bandwidth', rate = '200kB'",
        "fault = 'dribble', chunks = 3, over = '30ms'",
        "fault = 'status', status = 503",
        "fault = 'stall', after = '1MB', hold = '30ms'",
    ] {
        let delay = "{ fault = 'latency', distribution = { fixed = '5ms' } }";
        let case = Case::new(&format!("rule = [{{ {rule} }}, {delay}]"));
        for numbers in Analysis::of(&run(&case.named(), 2).unwrap()).series {
            assert_eq!(
                (numbers.no_ideal, numbers.ideal.is_some()),
                (None, true),
                "{rule}"
            );
        }
    }
}

#[test]
fn a_capacity_is_known_from_the_scenario_only() {
    let case = Case::new(
        "capacity = { workers = 2, service_time = { fixed = '40ms' } }
        rule = [{ fault = 'latency', distribution = { fixed = '20ms' } }]",
    );
    let embedded = case.embedded();
    let begun = race(&embedded, 4).begin(&embedded, Vec::new());
    // Two turns, and a delay.
    assert_eq!(ideal(&begun, 4), Duration::from_millis(100));
    assert_eq!(ideal(&begun, 1), Duration::from_millis(240));
    let measurement = run(&case.named().with_plan(case.plan()), 4).unwrap();
    assert_eq!(ideal(&measurement, 4), Duration::from_millis(100));
    for numbers in Analysis::of(&run(&case.named(), 4).unwrap()).series {
        assert_eq!((numbers.ideal, numbers.efficiency), (None, None));
        assert!(numbers.no_ideal.unwrap().contains("has a capacity"));
    }
}

fn flag_client(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flag-client"))
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn a_named_server_that_does_something_else_than_its_plan_is_an_error() {
    let case = Case::new(
        "rule = [{ fault = 'latency', distribution = { uniform = { lower = '1ms', upper = '9ms' } } }]",
    );
    let url = case.server.flags_url();
    let run = |args: &[&str]| {
        let common = ["-s", &url, "BR", "JP"];
        let output = flag_client(&[args, &common].concat(), case.folder.path());
        let message = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), message)
    };
    let bench = ["bench", "-q", "-r", "1", "--strategy", "async"];
    for command in [&["get"] as &[&str], &bench] {
        let with = |more: &[&'static str]| run(&[command, more].concat());
        let (code, message) = with(&["--scenario", "own.toml"]);
        assert_eq!(code, Some(0), "{message}");
        for other in [
            &["--scenario", "own.toml", "--seed", "7"] as &[&str],
            &["--profile", "flaky"],
            &["--profile", "local"],
        ] {
            let (code, message) = with(other);
            assert_eq!(code, Some(2), "{message}");
            assert!(
                message.contains("error: --scenario, --profile, --seed: the plan ")
                    && message.contains("; name the scenario and the seed that this server runs with, or leave them out"),
                "{message}"
            );
        }
    }
}
