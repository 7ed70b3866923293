//! External programs in the race: their samples are what the server saw, and the race always ends.

#![cfg(unix)]

use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use flag_client::download::{Job, Outcome, RetryPolicy, Runner, Sample, Strategy};
use flag_client::race::command::ExternalCommand;
use flag_client::race::{CommandError, Contender, ContenderError, Race, Rounds, Target};
use flag_client::result::{Analysis, ContenderRecord, Round, UnaskedRequests, Warning};
use flag_scenario::{Scenario, ScenarioSource, named_scenario};
use flag_server::{BlockingFlagServer, FlagServer};
use flags_data::{Catalogue, CountryCode};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flag-client");

/// A program without an HTTP client: `get /flags/br/br.gif` sends a request and reads the answer,
/// `ask HEAD /flags/br/br.gif 'flag-run: mine'` one with another method and a header. It does not
/// number attempts.
const GET: &str = r#"
url={url}; host=${url#http://}; host=${host%/flags}
ask() {
    exec 3<>/dev/tcp/${host%:*}/${host#*:}
    printf '%s %s HTTP/1.0\r\n%s\r\n\r\n' "$1" "$2" "${3:-x: y}" >&3
    cat <&3 >/dev/null
}
get() { ask GET "$1"; }
"#;

fn scenario(toml: &str) -> Scenario {
    Scenario::from_toml(toml).unwrap()
}

fn codes(names: &[&str]) -> Vec<CountryCode> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn job(names: &[&str]) -> Job {
    Job::new("", codes(names))
}

fn line(words: &[&str]) -> String {
    shlex::try_join(words.iter().copied()).unwrap()
}

/// A script that can `get`.
fn bash(script: &str) -> String {
    line(&["bash", "-c", &format!("{GET}\n{script}")])
}

fn command(line: &str, scenario: &Scenario) -> ExternalCommand {
    ExternalCommand::try_new(line, scenario.clone(), None).unwrap()
}

/// One round of a program, the first.
fn round_of(line: &str, toml: &str) -> Result<Round, ContenderError> {
    command(line, &scenario(toml)).run(&job(&["BR", "JP"]))
}

fn refusal(line: &str, port: Option<u16>) -> String {
    let error = ExternalCommand::try_new(line, Scenario::faultless(), port).unwrap_err();
    error.to_string()
}

fn server(scenario: &Scenario) -> BlockingFlagServer {
    let server = FlagServer::builder().scenario(scenario.clone());
    server.start_blocking().unwrap()
}

/// The parts of a sample that depend neither on timing nor on the observer.
type Seen = (CountryCode, u32, Outcome, Option<u16>, usize, bool);

fn seen(samples: &[Sample]) -> Vec<Seen> {
    let seen = |sample: &Sample| {
        assert_eq!(sample.error.is_some(), sample.outcome.is_error());
        assert_eq!(sample.headers.is_some(), sample.status.is_some());
        assert!(sample.sent <= sample.done);
        let (outcome, is_last) = (sample.outcome, sample.is_last());
        (
            sample.code,
            sample.attempt,
            outcome,
            sample.status,
            sample.bytes,
            is_last,
        )
    };
    let mut seen: Vec<Seen> = samples.iter().map(seen).collect();
    seen.sort();
    seen
}

#[test]
fn the_samples_of_a_program_equal_those_of_a_strategy() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let (_, flaky) = named_scenario(&ScenarioSource::Profile("flaky")).unwrap();
    let job = Job {
        max_workers: 5.try_into().unwrap(),
        retry: RetryPolicy {
            retries: 1,
            seed: flaky.seed(),
            ..RetryPolicy::default()
        },
        ..Job::new("", Catalogue::embedded().codes().collect())
    };
    let line = line(&[
        PROGRAM,
        "get",
        "-s",
        "{url}",
        "-m",
        "{workers}",
        "--retries",
        "1",
        "--out",
        out,
        "{codes}",
    ]);
    let program = command(&line, &flaky);
    let server = server(&flaky);
    let own = Job {
        base_url: server.flags_url(),
        ..job.clone()
    };
    let runner = Runner::from(Strategy::Async).run(&own).unwrap();
    let expected = seen(&runner.samples);
    let wrong = |(_, attempt, outcome, ..): &&Seen| *attempt == 1 && *outcome == Outcome::WrongBody;
    assert!(expected.iter().find(wrong).is_some());
    let round = program.run(&job).unwrap();
    assert_eq!(round.exit_code, Some(1), "some downloads fail");
    let found = seen(&round.samples);
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected);
    }
}

#[test]
fn a_program_that_disconnects_counts_as_a_timeout() {
    let line = line(&[
        "sh",
        "-c",
        "$0 get -s {url} --timeout 200ms --out \"$1\" BR; true",
        PROGRAM,
        "/tmp",
    ]);
    for rule in ["fault = 'stall'", "fault = 'stall', after = '512B'"] {
        let round = round_of(&line, &format!("rule = [{{ {rule} }}]")).unwrap();
        let outcomes: Vec<_> = round.samples.iter().map(|sample| sample.outcome).collect();
        assert_eq!(outcomes, [Outcome::Timeout], "{rule}");
        // Minus the time of the transfer.
        assert!(round.samples[0].latency() >= Duration::from_millis(150));
    }
}

#[test]
fn every_round_starts_with_first_attempts() {
    let scenario =
        scenario("rule = [{ fault = 'status', status = 503, attempts = { first = 1 } }]");
    let command = command(
        &bash("for i in 1 2; do get /flags/br/br.gif; done"),
        &scenario,
    );
    for _ in 0..3 {
        let round = command.run(&job(&["BR"])).unwrap();
        let [first, second] = &round.samples[..] else {
            panic!("{round:?}");
        };
        assert_eq!((first.attempt, first.outcome), (1, Outcome::HttpError));
        assert_eq!((second.attempt, second.outcome), (2, Outcome::Downloaded));
        // The pause between them is measured, not computed.
        assert_eq!(first.retry_in, Some(second.sent - first.done));
        assert!(second.is_last());
        assert_eq!((first.worker, second.worker), (0, 0));
    }
}

#[test]
fn only_requests_for_images_are_samples() {
    let script = "for path in / br/br.gif br/metadata.json XX/xx.gif jp/jp.gif jp/jp.gif; do get /flags/$path; done; get /data/flags/de/de.gif";
    let round = round_of(&bash(script), "").unwrap();
    let found: Vec<_> = round
        .samples
        .iter()
        .map(|sample| (sample.code.as_str(), sample.outcome))
        .collect();
    let downloaded = Outcome::Downloaded;
    assert_eq!(
        found,
        [
            ("BR", downloaded),
            ("XX", Outcome::NotFound),
            ("JP", downloaded),
            ("JP", downloaded),
            ("DE", downloaded)
        ]
    );
    assert!(
        round.samples.iter().all(Sample::is_last),
        "nothing had failed"
    );
    assert_eq!(round.exit_code, None);
    // The list has no record; the metadata is a request of another kind.
    let requests = round.requests.unwrap();
    assert_eq!((requests.received, requests.unrecorded), (7, 1));
    assert_eq!(requests.own_run, 0);
    let [other] = &requests.others[..] else {
        panic!("{requests:?}");
    };
    let named = (other.method.as_str(), other.path.as_str(), other.status);
    assert_eq!(named, ("GET", "/flags/br/metadata.json", Some(200)));
}

#[test]
fn every_request_of_a_program_is_its_own_whatever_it_says() {
    let toml = "rule = [{ fault = 'latency', distribution = { fixed = '20ms' } }]";
    let script = "ask GET /flags/br/br.gif 'flag-run: mine'
        ask GET /flags/jp/jp.gif 'flag-run: yours'
        ask HEAD /flags/jp/jp.gif
        ask GET /flags/jp/jp.gif 'flag-attempt: 0'
        ask POST /flags/br/metadata.json";
    let round = round_of(&bash(script), toml).unwrap();
    let codes = round.samples.iter().map(|sample| sample.code.as_str());
    assert_eq!(codes.collect::<Vec<_>>(), ["BR", "JP"]);
    let requests = round.requests.as_ref().unwrap();
    assert_eq!((requests.received, requests.own_run), (5, 2));
    assert_eq!(requests.unrecorded, 1, "it was refused");
    let others = requests.others.iter();
    let others = others.map(|other| (other.method.as_str(), other.path.as_str()));
    assert_eq!(
        others.collect::<Vec<_>>(),
        [
            ("HEAD", "/flags/jp/jp.gif"),
            ("POST", "/flags/br/metadata.json")
        ]
    );
    for other in &requests.others {
        assert_eq!(other.plan, Duration::from_millis(20));
        assert!(other.latency() >= other.plan, "{other:?}");
        assert_eq!(other.worker, 0, "one after the other");
    }
    assert_eq!(round.first_request(), Some(round.samples[0].sent));
}

#[test]
fn the_cpu_time_and_the_memory_of_the_process_are_reported() {
    let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; get /flags/br/br.gif";
    let command = command(&bash(script), &scenario(""));
    let job = job(&["BR", "JP"]);
    let round = command.run(&job).unwrap();
    let cpu = round.cpu.unwrap();
    assert!(
        cpu > Duration::from_millis(10) && cpu < round.elapsed * 2,
        "{round:?}"
    );
    let memory = command.memory(&job);
    assert_eq!(memory.is_some(), cfg!(target_os = "linux"));
    // What a shell shares with other programs counts in part.
    let bytes = memory.unwrap_or(1_000_000);
    assert!(bytes > 300_000 && bytes < 20_000_000, "{bytes}");
    // The elapsed time is that of the process, and its first request comes late.
    assert!(round.samples[0].sent > cpu / 2 && round.samples[0].done <= round.elapsed);
}

#[test]
fn an_exit_code_is_an_error_unless_a_failed_download_explains_it() {
    let failing = "rule = [{ fault = 'status', status = 503 }]";
    let explained = round_of(&bash("get /flags/br/br.gif; exit 3"), failing).unwrap();
    assert_eq!(explained.exit_code, Some(3));
    let killed = round_of(&bash("get /flags/br/br.gif; kill -9 $$"), failing).unwrap();
    assert_eq!(killed.exit_code, Some(128 + 9));

    let error = round_of(&bash("echo oh dear >&2; exit 3"), "")
        .unwrap_err()
        .to_string();
    let (start, words) = error.rsplit_once(". It said:\n").unwrap();
    assert!(start.ends_with(
        "ended with exit code 3 before it had requested a flag; correct the command line or the program"
    ), "{error}");
    assert_eq!(words, "oh dear");
    let error = round_of(&bash("get /flags/br/br.gif; exit 3"), "")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("exit code 3 although its only download had succeeded"),
        "{error}"
    );
    assert!(!error.contains("It said"), "{error}");

    // After a round without an error, it is data.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("been-here").display().to_string();
    let again = command(
        &bash(&format!("[ -e {file} ] && exit 4; touch {file}")),
        &scenario(""),
    );
    assert_eq!(again.run(&job(&["BR"])).unwrap().exit_code, None);
    assert_eq!(again.run(&job(&["BR"])).unwrap().exit_code, Some(4));
}

#[test]
fn a_program_with_much_output_is_read_to_the_end() {
    let script =
        "i=0; while [ $i -lt 20000 ]; do echo \"line $i of many\" >&2; i=$((i+1)); done; exit 7";
    let error = round_of(&bash(script), "").unwrap_err().to_string();
    assert!(error.ends_with("line 19999 of many"), "{error}");
    let (_, words) = error.split_once("It said:\n").unwrap();
    assert!((3000..=4096).contains(&words.len()), "{}", words.len());
}

#[test]
fn a_stop_ends_a_hanging_program_and_its_children() {
    for (trap, least) in [("", 0), ("trap '' TERM;", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let script = format!(
            "{trap} echo {{url}}; echo $$ >{pids}; sleep 1000 & echo $! >>{pids}; wait; sleep 1000",
            pids = pids.display()
        );
        let command = command(&line(&["sh", "-c", &script]), &scenario(""));
        let job = job(&["BR"]);
        let cancel = job.cancel.clone();
        let written = pids.clone();
        let stopping = thread::spawn(move || {
            while std::fs::read_to_string(&written)
                .unwrap_or_default()
                .lines()
                .count()
                < 2
            {
                thread::sleep(Duration::from_millis(5));
            }
            cancel.request();
            Instant::now()
        });
        let round = command.run(&job).unwrap();
        let took = stopping.join().unwrap().elapsed();
        assert!(
            took >= Duration::from_secs(least) && took < Duration::from_secs(30),
            "{took:?}"
        );
        assert!(round.exit_code.is_some());
        let pids = std::fs::read_to_string(&pids).unwrap();
        for pid in pids.lines() {
            assert!(!is_running(pid), "{pid}");
        }
    }
}

/// Whether the process runs, and is not a zombie.
fn is_running(pid: &str) -> bool {
    let mut ps = Command::new("sh");
    ps.args([
        "-c",
        &format!("kill -0 {pid} && ! grep -q '^State:\tZ' /proc/{pid}/status"),
    ]);
    ps.stderr(Stdio::null()).status().unwrap().success()
}

#[test]
fn placeholders_are_replaced_by_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("words").display().to_string();
    let line = line(&[
        "sh",
        "-c",
        &format!("printf '%s\\n' \"$@\" >{file}"),
        "sh",
        "{url}/",
        "-m{workers}",
        "{codes}",
        "--only={codes}",
        "{other}",
    ]);
    round_of(&line, "").unwrap();
    let words = std::fs::read_to_string(file).unwrap();
    let (url, rest) = words.split_once('\n').unwrap();
    assert!(
        url.starts_with("http://127.0.0.1:") && url.ends_with("/flags/"),
        "{url}"
    );
    assert_eq!(rest, "-m2\nBR\nJP\n--only=BR,JP\n{other}\n");
}

#[test]
fn an_invalid_command_line_is_refused_with_the_flag_and_the_remedy() {
    insta::assert_snapshot!(refusal("curl 'http://localhost", None), @"--command curl 'http://localhost: a quotation mark or what a backslash stands before is missing; quote the words as for a shell");
    insta::assert_snapshot!(refusal(" ", None), @r#"--command " ": names no program; give one, like --command 'python3 my_flags.py {url}'"#);
    insta::assert_snapshot!(refusal("'' {url}", None), @r#"--command "'' {url}": names no program; give one, like --command 'python3 my_flags.py {url}'"#);
    insta::assert_snapshot!(refusal("sh my_flags.sh", None), @"--command sh my_flags.sh: does not tell the program where the flags are; put {url} where it wants the URL, or give the port that it uses by itself with --port");
    insta::assert_snapshot!(refusal("no-such-program {url}", None), @"--command no-such-program {url}: there is no program no-such-program; check its name, or give its path");
    // A folder, and a file that is not executable.
    for program in ["/", "/etc/passwd", "./no-such-program"] {
        let error = refusal(&format!("{program} {{url}}"), None);
        assert!(
            error.contains(&format!("there is no program {program};")),
            "{error}"
        );
    }
}

#[test]
fn a_program_with_a_fixed_port_needs_no_url() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let script =
        bash("get /flags/br/br.gif").replace("{url}", &format!("http://127.0.0.1:{port}/flags"));
    let error = refusal(&script, Some(port));
    assert!(
        error.starts_with(&format!(
            "--port {port}: the server for --command cannot listen there ("
        )),
        "{error}"
    );
    assert!(
        error.ends_with("); stop the program that has the port, or give another one"),
        "{error}"
    );
    drop(taken);
    let command = ExternalCommand::try_new(&script, Scenario::faultless(), Some(port)).unwrap();
    for _ in 0..3 {
        assert_eq!(command.run(&job(&["BR"])).unwrap().samples.len(), 1);
    }
}

#[test]
fn a_command_is_named_after_its_script_or_program_and_names_are_unique() {
    let lines = [
        "sh -c 'echo {url}'",
        "sh /some/where/my_flags.py {url}",
        "sh -u my_flags.py {url} other.py",
        "/bin/sh {url}",
        "sh my.flags.js {url}",
    ];
    let mut contenders: Vec<Box<dyn Contender>> = vec![Box::new(Runner::from(Strategy::Async))];
    for line in lines {
        contenders.push(Box::new(command(line, &Scenario::faultless())));
    }
    let race = Race::bench(contenders, job(&["BR"]));
    let names: Vec<&str> = race.names().collect();
    assert_eq!(
        names,
        [
            "async",
            "sh",
            "my_flags.py",
            "my_flags.py-2",
            "sh-2",
            "my.flags.js"
        ]
    );
}

#[test]
fn what_is_left_of_a_program_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!(
        "sleep 1000 & echo $! >{}; get /flags/br/br.gif",
        pid.display()
    );
    let round = round_of(&bash(&script), "").unwrap();
    assert_eq!((round.exit_code, round.time_limit), (None, None));
    let pid = std::fs::read_to_string(&pid).unwrap();
    let start = Instant::now();
    while is_running(pid.trim()) {
        assert!(start.elapsed() < Duration::from_secs(30), "{pid}");
    }
}

#[test]
fn the_memory_of_a_program_has_all_that_it_has_started_and_counts_what_they_share_once() {
    // 20 MB that eight children share with the shell from which they were forked.
    let script = "text=$(head -c 20000000 /dev/zero | tr '\\0' x); get /flags/br/br.gif
        for i in 1 2 3 4 5 6 7 8; do (sleep 0.5; :) & done; wait";
    let command = command(&bash(script), &scenario(""));
    let memory = command.memory(&job(&["BR"]));
    assert_eq!(memory.is_some(), cfg!(target_os = "linux"));
    let bytes = memory.unwrap_or(20_000_000);
    assert!((20_000_000..120_000_000).contains(&bytes), "{bytes}");
}

#[test]
fn a_program_that_takes_too_long_is_ended_with_all_that_it_has_started() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!(
        "get /flags/br/br.gif; sleep 1000 & echo $! >{}; wait",
        pid.display()
    );
    let command = command(&bash(&script), &scenario(""));
    let limit = Duration::from_millis(1500);
    let job = Job {
        command_timeout: limit,
        ..job(&["BR"])
    };
    let round = command.run(&job).unwrap();
    assert_eq!(round.time_limit, Some(limit));
    assert!(round.elapsed >= limit, "{round:?}");
    assert_eq!(round.exit_code, Some(128 + 15));
    // A slow machine may not have come so far.
    let pid = std::fs::read_to_string(&pid).unwrap_or_default();
    let start = Instant::now();
    while !pid.is_empty() && is_running(pid.trim()) {
        assert!(start.elapsed() < Duration::from_secs(30), "{pid}");
    }
}

#[test]
fn a_command_has_as_many_workers_as_it_was_asked_for_and_what_it_reached_is_told() {
    let toml = "rule = [{ fault = 'latency', distribution = { fixed = '100ms' } }]";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("late.toml"), toml).unwrap();
    let file = folder.path().join("late.toml");
    let target = Target::embedded(&ScenarioSource::File(&file), None).unwrap();
    let out = folder.path().to_str().unwrap();
    let job = Job {
        max_workers: 4.try_into().unwrap(),
        ..Job::new(
            &target.base_url,
            Catalogue::embedded().codes().take(12).collect(),
        )
    };
    let scenario = target.plan.as_ref().unwrap().scenario().clone();
    let contender = |strategy, workers| -> Box<dyn Contender> {
        let line = line(&[
            PROGRAM,
            "get",
            "-s",
            "{url}",
            "--strategy",
            strategy,
            "-m",
            workers,
            "--out",
            out,
            "{codes}",
        ]);
        Box::new(command(&line, &scenario))
    };
    let others = "for path in ad/ad.gif ad/ad.gif ae/ae.gif; do get /flags/$path; done";
    let contenders = vec![
        contender("sequential", "4"),
        contender("threaded", "4"),
        Box::new(command(&bash(others), &scenario)),
    ];
    let race = Race::bench(contenders, job).rounds(Rounds::Exactly(2.try_into().unwrap()));
    let measurement = race.run_on(&target).unwrap();
    let analysis = Analysis::of(&measurement);
    let [one, four, other] = &analysis.series[..] else {
        panic!("{analysis:?}");
    };
    assert_eq!((one.workers, four.workers, other.workers), (4, 4, 4));
    let reached = [one, four, other].map(|series| series.max_in_flight);
    assert_eq!(reached, [Some(1), Some(4), Some(1)]);
    for series in [one, four] {
        assert_eq!(series.ideal, Some(Duration::from_millis(300)));
    }
    assert!(one.efficiency.unwrap() < 0.25, "{one:?}");
    assert_eq!(
        (one.downloads, four.downloads, other.downloads),
        (24, 24, 6)
    );
    assert_eq!(one.errors + four.errors + other.errors, 0);
    for series in [one, four] {
        let loss = series.loss.unwrap();
        let startup = loss.startup_ms.unwrap();
        assert!(startup > 0.0 && startup <= loss.client_ms, "{loss:?}");
        assert!(series.startup_ms.unwrap() > 0.0, "{series:?}");
        let rest = series.from_first_request_ms.unwrap().median;
        let whole = series.elapsed_ms.unwrap().median;
        assert!(rest >= 300.0 && rest < whole, "{series:?}");
        assert_eq!(loss.other_requests_ms, Some(0.0));
        assert!(series.efficiency.unwrap() < 1.0);
    }
    let said: Vec<&Warning> = analysis
        .warnings
        .iter()
        .filter(|warning| {
            matches!(
                warning,
                Warning::OtherRequests { .. } | Warning::ServerNotAsPlanned { .. }
            )
        })
        .collect();
    let expected = Warning::OtherRequests {
        series: "bash".to_owned(),
        missing: 2 * 10,
        extra: 2,
        flags: 12,
        in_one_round: UnaskedRequests {
            missing: 10,
            repeated: 1,
            ..UnaskedRequests::default()
        },
    };
    assert_eq!(said, [&expected]);
}

fn bench(args: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("bench").args(args).current_dir(folder);
    command.stdin(Stdio::null()).output().unwrap()
}

/// A race of `async` and this program for two flags, and what it printed.
fn race_of_two(line: &str, args: &[&str]) -> (Option<i32>, String, serde_json::Value) {
    let folder = tempfile::tempdir().unwrap();
    let toml = "rule = [{ fault = 'latency', distribution = { fixed = '30ms' } }]";
    std::fs::write(folder.path().join("late.toml"), toml).unwrap();
    let always = "BR JP --strategy async -w 0 -r 3 --scenario late.toml --export-json r.json";
    let mut all: Vec<&str> = always.split(' ').collect();
    all.extend(["--command", line]);
    all.extend(args);
    let output = bench(&all, folder.path());
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr);
    let document = std::fs::read(folder.path().join("r.json")).unwrap();
    let document = serde_json::from_slice(&document).unwrap();
    (output.status.code(), text, document)
}

#[test]
fn a_program_with_a_run_of_its_own_has_done_the_job_and_is_told() {
    let script = "for cc in br jp; do ask GET /flags/$cc/$cc.gif 'flag-run: mine'; done";
    let (code, text, document) = race_of_two(&bash(script), &[]);
    assert_eq!(code, Some(0), "{text}");
    let told = "warning: bash, in one round: 2 requests with a flag-run of its own. \
                Without flag-run it meets the same delays and faults as the rest.\n";
    assert!(text.contains(told), "{text}");
    assert!(!text.contains("never requested"), "{text}");
    let [own, program] = [0, 1].map(|series| &document["analysis"]["lanes"][series]);
    assert_eq!(program["ranked"], true);
    assert_eq!(program["errors"], 0);
    // The plan is that of another run, so nothing is measured against it.
    assert!(own["ideal_ms"].is_number() && program["ideal_ms"].is_null());
    assert!(program["efficiency"].is_null() && program["loss"].is_null());
}

#[test]
fn requests_that_are_not_of_the_job_are_told_and_are_not_the_programs_own_work() {
    let script = "for cc in br jp; do
            ask HEAD /flags/$cc/$cc.gif; get /flags/$cc/$cc.gif; get /flags/$cc/metadata.json
        done; get /flags/jp/jp.gif; get /flags/de/de.gif; get /flags/";
    let (code, text, document) = race_of_two(&bash(script), &["-m", "1"]);
    assert_eq!(code, Some(0), "{text}");
    let told = "warning: bash, in one round: 1 flag downloaded again, 1 flag that the job does not have, \
                2 HEAD requests, 2 requests for something else, 1 request without a record. \
                Its time is that of another job than the rest's.\n";
    assert!(text.contains(told), "{text}");
    let program = &document["analysis"]["lanes"][1];
    assert_eq!(program["ranked"], true, "it has all flags");
    let loss = &program["loss"];
    let part = |name: &str| loss[name].as_f64().unwrap();
    // Six delays of 30 ms were held for what nobody had asked for.
    assert!(part("other_requests_ms") >= 180.0, "{loss}");
    assert!(part("total_ms") >= part("other_requests_ms"), "{loss}");
    assert_eq!(part("order_ms"), 0.0, "{loss}");
    let requests = &document["lanes"][1]["rounds"][0]["requests"];
    assert_eq!(requests["received"], 9);
}

#[test]
fn no_more_flags_are_missing_than_the_job_has() {
    let (code, text, document) = race_of_two(&bash("get /flags/br/br.gif"), &[]);
    assert_eq!(code, Some(1), "{text}");
    let told = "warning: bash, in one round: 1 of 2 flags never requested.";
    assert!(text.contains(told), "{text}");
    let warnings = document["analysis"]["warnings"].as_array().unwrap();
    let other = warnings
        .iter()
        .find(|warning| warning["kind"] == "other_requests");
    let other = other.unwrap();
    assert_eq!((&other["missing"], &other["flags"]), (&3.into(), &2.into()));
    assert_eq!(other["in_one_round"]["missing"], 1);
}

#[test]
fn a_program_that_never_ends_does_not_hang_the_race() {
    let script = "get /flags/br/br.gif; get /flags/jp/jp.gif; sleep 1000";
    let (code, text, document) = race_of_two(&bash(script), &["--command-timeout", "1500ms"]);
    assert_eq!(code, Some(1), "{text}");
    let told = "warning: bash: the command had not ended when its time limit of 1.500 s was over. It was ended with all \
                that it had started, runs no more, and has no rank. Give it longer with --command-timeout.\n";
    assert!(text.contains(told), "{text}");
    let headline = "\nOnly async did the whole job, so there is nothing to compare.\n";
    assert!(text.contains(headline), "{text}");
    let row = text
        .lines()
        .find(|line| line.starts_with(" bash "))
        .unwrap();
    assert!(row.trim_end().ends_with("timed out"), "{row}");
    assert!(!text.contains("0 rounds are too few"), "{text}");
    let [own, program] = [0, 1].map(|series| &document["lanes"][series]);
    assert_eq!(
        own["rounds"].as_array().unwrap().len(),
        3,
        "the rest went on"
    );
    assert_eq!(program["rounds"].as_array().unwrap().len(), 0);
    assert_eq!(program["unfinished"]["time_limit_ms"], 1500.0);
    assert_eq!(program["unfinished"]["exit_code"], 128 + 15);
    assert_eq!(document["analysis"]["lanes"][1]["timed_out"], true);
}

#[test]
fn thresholds_on_a_program_that_never_ends_have_no_data() {
    let threshold = ["--threshold", "bash.elapsed < 1h"];
    let args = [&threshold[..], &["--command-timeout", "200ms"]].concat();
    let (code, text, _) = race_of_two(&bash("get /flags/br/br.gif; sleep 1000"), &args);
    assert_eq!(code, Some(99), "{text}");
}

#[test]
fn an_impossible_time_limit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let program = ["BR", "--command", "true {url}"];
    for (args, expected) in [
        (&["--command-timeout", "0s"][..], "give a time above zero"),
        (&["--command-timeout", "100h"], "more than a day"),
        (&["--command-timeout", "soon"], "invalid duration"),
    ] {
        let output = bench(&[&program, args].concat(), folder.path());
        assert_eq!(output.status.code(), Some(2));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expected), "{error}");
    }
    let output = bench(&["BR", "--command-timeout", "1s"], folder.path());
    assert_eq!(output.status.code(), Some(2), "there is no command");
}

#[test]
fn the_default_time_limit_follows_from_the_slowest_round() {
    /// Takes this long, or as it is told.
    #[derive(Debug)]
    struct Slow(Duration, Mutex<Vec<Duration>>);

    impl Contender for &'static Slow {
        fn name(&self) -> String {
            "slow".to_owned()
        }
        fn record(&self) -> ContenderRecord {
            ContenderRecord::Custom
        }
        fn workers(&self, job: &Job) -> NonZeroUsize {
            job.workers()
        }
        fn run(&self, job: &Job) -> Result<Round, ContenderError> {
            self.1.lock().unwrap().push(job.command_timeout);
            Ok(Round {
                elapsed: self.0,
                ..Round::default()
            })
        }
    }

    let limits = |seconds, timeout| {
        let slow: &'static Slow = Box::leak(Box::new(Slow(
            Duration::from_secs(seconds),
            Mutex::default(),
        )));
        let target = Target::embedded(&ScenarioSource::Profile("local"), None).unwrap();
        let race = Race::bench(vec![Box::new(slow)], job(&["BR"])).command_timeout(timeout);
        let race = race.rounds(Rounds::Exactly(1.try_into().unwrap()));
        race.run_on(&target).unwrap();
        let limits = slow.1.lock().unwrap();
        limits.iter().map(Duration::as_secs).collect::<Vec<_>>()
    };
    assert_eq!(limits(1, None), [60, 60]);
    assert_eq!(limits(7, None), [60, 70]);
    assert_eq!(limits(7, Some(Duration::from_secs(5))), [5, 5]);
}

#[test]
fn commands_race_after_the_strategies() {
    let folder = tempfile::tempdir().unwrap();
    let program = bash("get /flags/br/br.gif");
    let all_series = |args: &[&str]| {
        let always = [
            "BR",
            "-r",
            "1",
            "-w",
            "0",
            "--profile",
            "local",
            "--format",
            "json",
            "--command",
            &program,
        ];
        let output = bench(&[&always, args].concat(), folder.path());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let all_series = document["measurement"]["lanes"]
            .as_array()
            .or(document["lanes"].as_array());
        let names = all_series
            .unwrap()
            .iter()
            .map(|series| series["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<_>>()
    };
    assert_eq!(all_series(&[]), ["sequential", "threaded", "async", "bash"]);
    assert_eq!(
        all_series(&["--strategy", "async", "--command", &program]),
        ["async", "bash", "bash-2"]
    );
}

#[test]
fn a_command_that_fails_at_once_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    for (line, expected) in [
        ("sh no_such.sh {url}", "ended with exit code "),
        ("no-such-program {url}", "there is no program"),
        ("sh my.sh", "--port"),
    ] {
        let output = bench(
            &["BR", "--strategy", "async", "--command", line],
            folder.path(),
        );
        assert_eq!(output.status.code(), Some(2), "{line}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            error.starts_with(&format!("error: --command {line}: ")),
            "{error}"
        );
        assert!(error.contains(expected), "{error}");
        let table = String::from_utf8(output.stdout).unwrap();
        assert!(!table.contains("strategy"), "nothing was measured: {table}");
    }
}

#[test]
fn a_program_deleted_before_the_race_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("program");
    // Another process writes it: a file that is open for writing cannot be executed.
    let script = "printf '#!/bin/sh\\n' >program && chmod +x program";
    let written = Command::new("sh")
        .args(["-c", script])
        .current_dir(folder.path())
        .status();
    assert!(written.unwrap().success());
    let command = command(
        &format!("{} {{url}}", file.display()),
        &Scenario::faultless(),
    );
    std::fs::remove_file(&file).unwrap();
    let error = command.run(&job(&["BR"])).unwrap_err();
    assert!(
        matches!(error, ContenderError::Command(CommandError::Start { .. })),
        "{error}"
    );
}

#[test]
fn a_followed_redirect_belongs_to_its_download_and_another_is_an_answer() {
    let redirect = "rule = [{ fault = 'redirect', hops = 2 }]";
    let alone = round_of(&bash("get /flags/br/br.gif"), redirect).unwrap();
    let [sample] = &alone.samples[..] else {
        panic!("{alone:?}");
    };
    assert_eq!(
        (sample.outcome, sample.status),
        (Outcome::HttpError, Some(302))
    );
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let get = line(&[PROGRAM, "get", "-s", "{url}", "--out", out, "{codes}"]);
    let followed = round_of(&get, redirect).unwrap();
    let seen = seen(&followed.samples).into_iter();
    let seen: Vec<_> = seen
        .map(|(_, attempt, outcome, status, ..)| (attempt, outcome, status))
        .collect();
    assert_eq!(seen, [(1, Outcome::Downloaded, Some(200)); 2]);
}
