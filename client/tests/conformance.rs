//! Every runner against the real server: the same plan, the same outcomes, the same bytes, the same
//! records.

use std::collections::BTreeMap;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use flag_client::download::{
    ConnectionOptions, Job, Outcome, RetryPolicy, Runner, Sample, Strategy,
};
use flag_client::race::memory_probe as memory;
use flag_server::{BlockingFlagServer, End, FlagServer};
use flags_data::{Catalogue, CountryCode};

const PLAIN: ConnectionOptions = ConnectionOptions {
    keep_alive: true,
    http2: false,
};

/// One fault and its result: the code that it applies to, the keys of its rule, the outcome of the
/// attempt, the status.
type Case = (&'static str, &'static str, Outcome, Option<u16>);

/// Faults that end by themselves.
const CASES: &[Case] = &[
    ("AD", "", Outcome::Downloaded, Some(200)),
    ("AE", "fault = 'reset'", Outcome::BrokenConnection, None),
    #[cfg(not(windows))] // an RST discards unread data there, so the result is not deterministic
    (
        "AF",
        "fault = 'reset', after = '512B'",
        Outcome::BrokenConnection,
        Some(200),
    ),
    ("AG", "fault = 'close'", Outcome::BrokenConnection, None),
    ("AL", "fault = 'garbage'", Outcome::BrokenConnection, None),
    (
        "AM",
        "fault = 'truncate', after = '512B'",
        Outcome::BrokenConnection,
        Some(200),
    ),
    (
        "AO",
        "fault = 'truncate', fraction = 0.5",
        Outcome::BrokenConnection,
        Some(200),
    ),
    (
        "AR",
        "fault = 'stall', hold = '50ms'",
        Outcome::BrokenConnection,
        None,
    ),
    (
        "AT",
        "fault = 'stall', after = '512B', hold = '50ms'",
        Outcome::BrokenConnection,
        Some(200),
    ),
    (
        "AU",
        "fault = 'corrupt', bits = 3",
        Outcome::WrongBody,
        Some(200),
    ),
    ("AZ", "fault = 'redirect'", Outcome::Downloaded, Some(200)),
    (
        "BA",
        "fault = 'redirect', hops = 100",
        Outcome::Downloaded,
        Some(200),
    ),
    (
        "BD",
        "fault = 'status', status = 503",
        Outcome::HttpError,
        Some(503),
    ),
    (
        "BE",
        "fault = 'status', status = 404",
        Outcome::NotFound,
        Some(404),
    ),
    (
        "BF",
        "fault = 'bandwidth', rate = '200kB'",
        Outcome::Downloaded,
        Some(200),
    ),
    (
        "BG",
        "fault = 'dribble', chunks = 5, over = '50ms'",
        Outcome::Downloaded,
        Some(200),
    ),
    // A redirect to the flag.
    (
        "BJ",
        "fault = 'status', status = 307",
        Outcome::Downloaded,
        Some(200),
    ),
];

/// Faults that only a time limit ends.
const ENDLESS: [Case; 2] = [
    ("BH", "fault = 'stall'", Outcome::Timeout, None),
    (
        "BI",
        "fault = 'stall', after = '512B'",
        Outcome::Timeout,
        Some(200),
    ),
];

fn server(cases: &[Case]) -> BlockingFlagServer {
    let rule = |(cc, keys, ..): &Case| format!("{{ match = {{ cc = ['{cc}'] }}, {keys} }},\n");
    let faulty = cases.iter().filter(|(_, keys, ..)| !keys.is_empty());
    let text = format!("rule = [\n{}]", faulty.map(rule).collect::<String>());
    let server = FlagServer::builder().toml(&text).unwrap();
    // No record of an endless stall would come.
    let server = server.without_half_closed_clients();
    server.start_blocking().unwrap()
}

fn job(base_url: &str, codes: Vec<CountryCode>, connection: ConnectionOptions) -> Job {
    Job {
        max_workers: 4.try_into().unwrap(),
        timeout: Duration::from_secs(60),
        connection,
        worker_program: env!("CARGO_BIN_EXE_flag-client").into(),
        ..Job::new(base_url, codes)
    }
}

fn run(runner: &Runner, job: &Job) -> Vec<Sample> {
    let mut samples = runner.prepare(job).unwrap().download_many(job);
    samples.sort_by_key(|sample| (sample.code, sample.attempt));
    samples
}

/// The parts of a sample that do not depend on timing.
type Seen = (CountryCode, u32, Outcome, Option<u16>, usize, bool);

fn seen(samples: &[Sample]) -> Vec<Seen> {
    let seen = |sample: &Sample| {
        (
            sample.code,
            sample.attempt,
            sample.outcome,
            sample.status,
            sample.bytes,
            sample.is_last(),
        )
    };
    samples.iter().map(seen).collect()
}

/// The server's record of each request: path, attempt, hop → status, end.
type Records = BTreeMap<(String, u32, u32), (Option<u16>, End)>;

/// Waits for the last record: the server may notice the end of a response after its client.
fn records(server: &BlockingFlagServer) -> Records {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let records = server.records("");
        if records.len() as u64 == server.received() {
            let count = records.len();
            let records: Records = records
                .into_iter()
                .map(|record| {
                    let key = (record.path, record.attempt, record.hop);
                    (key, (record.sent.status, record.sent.end))
                })
                .collect();
            assert_eq!(records.len(), count, "nothing was requested twice");
            return records;
        }
        assert!(Instant::now() < deadline, "a response has no end");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs every runner, compares its outcomes with the table, and its samples and records with those
/// of the first runner.
fn assert_conformance(cases: &[Case], connection: ConnectionOptions, limit: Duration) {
    let mut first: Option<(Vec<Seen>, Records)> = None;
    for runner in Runner::all() {
        if connection.http2 && !runner.http().has_http2() {
            continue;
        }
        let server = server(cases);
        let codes = cases.iter().map(|(cc, ..)| cc.parse().unwrap()).collect();
        let job = Job {
            timeout: limit,
            retry: RetryPolicy {
                retries: 1,
                ..RetryPolicy::default()
            },
            ..job(&server.flags_url(), codes, connection)
        };
        let samples = run(&runner, &job);
        let (name, seen) = (runner.name(), seen(&samples));
        for (cc, keys, outcome, status) in cases {
            let mut attempts = samples
                .iter()
                .filter(|sample| sample.code.as_str() == *cc)
                .peekable();
            assert!(attempts.peek().is_some(), "{name}: {cc}");
            for sample in attempts {
                let found = (sample.outcome, sample.status);
                assert_eq!(found, (*outcome, *status), "{name}: {keys}: {sample:?}");
                assert_eq!(sample.headers.is_some(), status.is_some(), "{name}: {keys}");
                assert_eq!(sample.error.is_some(), outcome.is_error(), "{name}: {keys}");
            }
        }
        let records = records(&server);
        match &first {
            None => first = Some((seen, records)),
            Some((expected, _)) if seen != *expected => panic!("{name}: {seen:?}"),
            Some((_, expected)) => assert_eq!(records, *expected, "{name}"),
        }
    }
}

#[test]
fn every_fault_has_the_same_outcome_and_the_same_records_in_every_runner() {
    assert_conformance(CASES, PLAIN, Duration::from_secs(60));
}

#[test]
fn every_fault_has_the_same_outcome_without_keep_alive() {
    let connection = ConnectionOptions {
        keep_alive: false,
        ..PLAIN
    };
    assert_conformance(CASES, connection, Duration::from_secs(60));
}

#[test]
fn every_fault_has_the_same_outcome_over_http_2() {
    for keep_alive in [true, false] {
        let connection = ConnectionOptions {
            keep_alive,
            http2: true,
        };
        assert_conformance(CASES, connection, Duration::from_secs(60));
    }
}

#[test]
fn an_endless_stall_is_a_timeout_that_keeps_the_status() {
    for http2 in [false, true] {
        let connection = ConnectionOptions { http2, ..PLAIN };
        assert_conformance(&ENDLESS, connection, Duration::from_millis(500));
    }
}

/// A proxy that forwards all bytes and counts connections.
struct Forwarder {
    base_url: String,
    accepted: Arc<AtomicUsize>,
}

impl Forwarder {
    fn start(base_url: &str) -> Self {
        let address = base_url.strip_prefix("http://").unwrap();
        let address = address.strip_suffix("/flags").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}/flags", listener.local_addr().unwrap());
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&address).unwrap());
                count.fetch_add(1, Ordering::SeqCst);
                for (mut from, mut to) in [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server, client),
                ] {
                    thread::spawn(move || {
                        io::copy(&mut from, &mut to).ok();
                        to.shutdown(Shutdown::Write).ok();
                    });
                }
            }
        });
        Self { base_url, accepted }
    }
}

#[test]
fn connections_are_reused_unless_keep_alive_is_off() {
    for runner in Runner::all() {
        for (keep_alive, http2) in [(true, false), (false, false), (true, true), (false, true)] {
            if http2 && !runner.http().has_http2() {
                continue;
            }
            let server = FlagServer::builder().start_blocking().unwrap();
            let forwarder = Forwarder::start(&server.flags_url());
            let codes: Vec<CountryCode> = Catalogue::embedded().codes().take(20).collect();
            let connection = ConnectionOptions { keep_alive, http2 };
            let samples = run(&runner, &job(&forwarder.base_url, codes, connection));
            assert!(samples.iter().all(|s| s.outcome == Outcome::Downloaded));
            let accepted = forwarder.accepted.load(Ordering::SeqCst);
            let name = runner.name();
            if keep_alive {
                assert!(
                    accepted < 20,
                    "{name}, {connection:?}: {accepted} connections"
                );
            } else {
                assert_eq!(accepted, 20, "{name}, {connection:?}");
            }
        }
    }
}

#[test]
fn a_runner_without_http_2_is_refused_before_the_round() {
    let connection = ConnectionOptions {
        http2: true,
        ..PLAIN
    };
    let job = job("http://127.0.0.1:1/flags", Vec::new(), connection);
    let without = Runner::all().into_iter();
    let without: Vec<Runner> = without.filter(|r| !r.http().has_http2()).collect();
    assert_eq!(without.len(), 3);
    for runner in without {
        let error = runner.prepare(&job).map(drop).unwrap_err().to_string();
        assert!(error.contains("--http ureq --http2: "), "{error}");
    }
}

#[test]
fn a_multi_threaded_runtime_gives_the_same_outcomes() {
    use flag_client::download::{Http, RuntimeFlavor};

    for http in [Http::Reqwest, Http::Hyper] {
        let runner = Runner::try_new(Strategy::Async, http, RuntimeFlavor::MultiThread).unwrap();
        let server = server(CASES);
        let codes = CASES.iter().map(|(cc, ..)| cc.parse().unwrap()).collect();
        let job = job(&server.flags_url(), codes, PLAIN);
        let found = run(&runner, &job);
        let found = found.iter().map(|sample| (sample.outcome, sample.status));
        let expected: Vec<_> = CASES.iter().map(|case| (case.2, case.3)).collect();
        assert_eq!(found.collect::<Vec<_>>(), expected, "{}", runner.name());
    }
}

#[test]
fn the_memory_of_a_runner_is_known_on_linux_and_never_fails_a_round() {
    let server = FlagServer::builder().start_blocking().unwrap();
    let codes: Vec<CountryCode> = Catalogue::embedded().codes().take(8).collect();
    let job = job(&server.flags_url(), codes, PLAIN);
    let mut peaks = BTreeMap::new();
    for runner in Runner::all() {
        let before = server.received();
        let peak = memory::probe(&runner, &job);
        assert_eq!(peak.is_some(), cfg!(target_os = "linux"), "{runner:?}");
        assert_eq!(server.received() - before, 8, "{runner:?}: one round");
        peaks.insert(runner.name(), peak);
    }
    // Each process has an HTTP client of its own; the program, which they share, counts once.
    assert!(peaks["processes"] >= peaks["threaded"], "{peaks:?}");
    if let Some(all) = peaks["processes"] {
        let alone = resident_size_of_a_worker();
        assert!(
            all < 8 * alone / 2,
            "{all} of 8 processes with {alone} each"
        );
    }

    let elsewhere = Job {
        worker_program: "no-such-program".into(),
        ..job.clone()
    };
    assert_eq!(memory::probe(&Runner::default(), &elsewhere), None);
    job.cancel.request();
    assert_eq!(memory::probe(&Runner::default(), &job), None);
}

/// What a worker process has in memory, with all that it shares.
fn resident_size_of_a_worker() -> u64 {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_flag-client"));
    command.arg("worker").stdin(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::null());
    let mut worker = command.spawn().unwrap();
    let file = format!("/proc/{}/status", worker.id());
    let resident = || {
        let status = std::fs::read_to_string(&file).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kib.unwrap().parse::<u64>().unwrap() * 1024
    };
    // It grows until it waits for its order.
    let mut size = 0;
    while resident() > size {
        size = resident();
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    drop(worker.stdin.take());
    worker.wait().unwrap();
    size
}
