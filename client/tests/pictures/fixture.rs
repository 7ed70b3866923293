//! Realistic measurements that are computed instead of measured: the same planner, perfect workers,
//! and small deterministic delays.

use std::num::NonZeroUsize;
use std::time::Duration;

use flag_client::download::{Outcome, Sample};
use flag_client::result::{
    ContenderRecord, Environment, JobRecord, Kind, Measurement, Planned, PlannedAttempt, Round,
    SCHEMA_VERSION, ScenarioRecord, Series, ServerRecord,
};
use flag_scenario::forecast::Outlook;
use flag_scenario::profiles::Profile;
use flag_scenario::{Content, Ending, Plan, Planner, RequestKey, Scenario};
use flag_scenario::{ScenarioSource, named_scenario};
use flags_data::{Catalogue, CountryCode, POP20, Resource};

/// The book's race: three strategies, five rounds, no faults.
pub(crate) fn bench() -> Measurement {
    let codes = pop20();
    race(
        Kind::Bench,
        "bench",
        &codes,
        0,
        5,
        &[("sequential", 1), ("threaded", 20), ("async", 20)],
    )
}

/// Faults of every kind, with retries, and one code without a flag.
pub(crate) fn flaky() -> Measurement {
    let mut codes = pop20();
    codes.push("XX".parse().unwrap());
    race(
        Kind::Bench,
        "flaky",
        &codes,
        2,
        5,
        &[("sequential", 1), ("threaded", 5), ("async", 21)],
    )
}

/// Every flag, and the most rounds.
pub(crate) fn all() -> Measurement {
    let codes: Vec<CountryCode> = Catalogue::embedded()
        .flags()
        .map(|flag| flag.code)
        .collect();
    race(
        Kind::Bench,
        "bench",
        &codes,
        0,
        30,
        &[("sequential", 1), ("threaded", 30), ("async", 194)],
    )
}

/// Two strategies at seven numbers of workers.
pub(crate) fn sweep() -> Measurement {
    let codes: Vec<CountryCode> = Catalogue::embedded()
        .flags()
        .map(|flag| flag.code)
        .collect();
    let workers = [1, 2, 5, 10, 30, 100, 194];
    let all_series: Vec<(&str, usize)> = ["threaded", "async"]
        .into_iter()
        .flat_map(|strategy| workers.map(|workers| (strategy, workers)))
        .collect();
    race(Kind::Sweep, "bench", &codes, 0, 6, &all_series)
}

fn pop20() -> Vec<CountryCode> {
    let mut codes = POP20.to_vec();
    codes.sort_unstable();
    codes
}

fn race(
    kind: Kind,
    profile: &str,
    codes: &[CountryCode],
    retries: u32,
    rounds: u64,
    all_series: &[(&str, usize)],
) -> Measurement {
    let (_, scenario) = named_scenario(&ScenarioSource::Profile(profile)).unwrap();
    let plan: Vec<Planned> = codes
        .iter()
        .map(|code| planned(&scenario, *code, retries))
        .collect();
    let mut began = Duration::ZERO;
    let all_series = all_series.iter().map(|&(strategy, workers)| {
        let rounds = (0..rounds).map(|round| {
            let samples = samples(&plan, workers, strategy, round);
            let elapsed = samples.iter().map(|sample| sample.done).max().unwrap() + micros(400);
            let cpu = Some(micros(260) * codes.len() as u32);
            began += elapsed;
            Round {
                began: began - elapsed,
                elapsed,
                cpu,
                exit_code: None,
                samples,
                ..Round::default()
            }
        });
        let rounds = rounds.collect();
        Series {
            name: if kind == Kind::Sweep {
                format!("{strategy}@{workers}")
            } else {
                strategy.to_owned()
            },
            contender: ContenderRecord::Strategy {
                strategy: strategy.to_owned(),
                http: "reqwest".to_owned(),
                runtime: None,
            },
            workers: NonZeroUsize::new(workers).unwrap(),
            memory_bytes: Some(90_000 * workers as u64 + 700_000),
            rounds,
            unfinished: None,
        }
    });
    let all_series: Vec<Series> = all_series.collect();
    let command = format!("flag-client bench --profile {profile} --retries {retries} -r {rounds}");
    Measurement {
        schema_version: SCHEMA_VERSION,
        kind,
        command: command.split(' ').map(str::to_owned).collect(),
        started: "2026-11-23T08:00:00Z".to_owned(),
        interrupted: false,
        server_gone: false,
        job: JobRecord {
            codes: codes.to_vec(),
            max_workers: all_series
                .iter()
                .map(|series| series.workers)
                .max()
                .unwrap(),
            timeout: Duration::from_secs(10),
            max_body_bytes: None,
            first_attempt: 1,
            retries,
            retry_seed: scenario.seed(),
            keep_alive: true,
            http2: false,
            warmup: 1,
            adaptive_rounds: false,
        },
        server: ServerRecord {
            label: "EMBEDDED".to_owned(),
            url: "http://127.0.0.1:40123/flags".to_owned(),
            scenario: Some(ScenarioRecord {
                name: profile.to_owned(),
                seed: scenario.seed(),
                toml: Profile::find(profile).unwrap().toml.to_owned(),
            }),
        },
        plan: Some(plan),
        neighbours: None,
        reference: None,
        environment: Environment {
            flag_client: "0.1.0".to_owned(),
            build: "release".to_owned(),
            cpu: Some("Example CPU at 3 GHz".to_owned()),
            cores: NonZeroUsize::new(8),
            memory_bytes: Some(16 << 30),
            os: "linux".to_owned(),
            os_version: Some("Linux (Debian 12)".to_owned()),
            kernel: Some("6.1.0".to_owned()),
            arch: "x86_64".to_owned(),
            load: Some(0.21),
        },
        series: all_series,
    }
}

fn micros(count: u64) -> Duration {
    Duration::from_micros(count)
}

/// The plan, with pauses of 60 ms.
fn planned(scenario: &Scenario, code: CountryCode, retries: u32) -> Planned {
    let planner = Planner::new(scenario);
    let path = format!("/flags/{cc}/{cc}.gif", cc = code.to_lowercase());
    let mut attempts = Vec::new();
    for attempt in 1..=retries + 1 {
        let request = RequestKey {
            run: "",
            method: "GET",
            path: &path,
            attempt,
        };
        let plan = planner.plan(&request);
        let outlook = Outlook::of(&plan, &request, Content::of(&Resource::image(code)));
        let outcome = outcome(&plan, &outlook, code);
        let is_transient = outcome.is_error() && attempt <= retries;
        attempts.push(PlannedAttempt {
            outcome,
            delay: plan.delay,
            time: outlook.time.unwrap_or(Duration::from_secs(10)),
            requests: 1,
            service: None,
            pause: if is_transient {
                Duration::from_millis(60)
            } else {
                Duration::ZERO
            },
        });
        if !is_transient {
            break;
        }
    }
    Planned {
        code,
        attempts,
        doubt: None,
    }
}

fn outcome(plan: &Plan, outlook: &Outlook, code: CountryCode) -> Outcome {
    match &plan.ending {
        Some(Ending::Status { .. }) => Outcome::HttpError,
        Some(Ending::Corrupt { .. }) => Outcome::WrongBody,
        None | Some(Ending::Redirect { .. }) if Catalogue::embedded().get(code).is_none() => {
            Outcome::NotFound
        }
        None | Some(Ending::Redirect { .. }) => Outcome::Downloaded,
        Some(_) if outlook.is_whole => Outcome::Downloaded,
        Some(_) => Outcome::BrokenConnection,
    }
}

/// List scheduling, with one connection per worker.
fn samples(plan: &[Planned], workers: usize, strategy: &str, round: u64) -> Vec<Sample> {
    let mut free_at = vec![Duration::ZERO; workers];
    let own: u64 = strategy.bytes().map(u64::from).sum();
    let mut noise = own * 7919 + round * 104_729;
    let mut noise = |up_to: u64| {
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        micros((noise >> 33) % up_to)
    };
    let mut samples = Vec::new();
    for planned in plan {
        let worker = (0..workers).min_by_key(|&worker| free_at[worker]).unwrap();
        let is_first = free_at[worker].is_zero();
        let mut now = free_at[worker] + micros(30) + noise(40);
        // Threads start one after the other.
        if is_first && strategy == "threaded" {
            now += micros(60) * worker as u32;
        }
        for (number, attempt) in (1..).zip(&planned.attempts) {
            let sent = now;
            let connecting = if is_first && number == 1 {
                micros(450) + noise(500)
            } else {
                micros(90)
            };
            let crowd = micros(4) * workers as u32;
            let answers = attempt.outcome != Outcome::BrokenConnection;
            let held = attempt.delay + noise(120);
            let headers = answers.then(|| sent + connecting + crowd + held);
            let rest = attempt.time.saturating_sub(attempt.delay) + micros(120) + noise(250);
            let done = headers.unwrap_or(sent + connecting + attempt.delay) + rest;
            let pause = (!attempt.pause.is_zero()).then_some(attempt.pause);
            samples.push(Sample {
                code: planned.code,
                attempt: number,
                worker,
                outcome: attempt.outcome,
                error: attempt.outcome.is_error().then(|| "it failed".to_owned()),
                status: answers.then_some(200),
                bytes: 5000,
                sent,
                headers,
                done,
                plan: answers.then_some(attempt.delay),
                wait: answers.then_some(held),
                body: None,
                capacity: None,
                rules: None,
                retry_in: pause,
            });
            now = done + attempt.pause;
        }
        free_at[worker] = now;
    }
    samples
}
