//! The pool of worker processes when a worker or its parent fails.

#![cfg(unix)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use flag_client::download::{Http, Job, Outcome, Runner, RuntimeFlavor, Sample, Strategy};
use flag_server::{BlockingFlagServer, FlagServer};
use flags_data::Catalogue;

const PROGRAM: &str = env!("CARGO_BIN_EXE_flag-client");
const CODES: usize = 10;

/// A job of ten flags whose workers are this shell script; `$PROGRAM` is the real one.
fn job(server: &BlockingFlagServer, folder: &Path, script: &str, max_workers: usize) -> Job {
    let program = folder.join("worker");
    let text = format!(
        "#!/bin/sh\nPROGRAM='{PROGRAM}'\ncd '{}'\n{script}\n",
        folder.display()
    );
    // Another process writes it: a concurrent test could pass our own descriptor on to a child,
    // and a file that is open for writing cannot be executed.
    let mut writer = Command::new("sh");
    writer.args(["-c", "printf %s \"$1\" >worker && chmod +x worker", "sh"]);
    let written = writer.arg(text).current_dir(folder).status();
    assert!(written.unwrap().success());
    let codes = Catalogue::embedded().codes().take(CODES).collect();
    Job {
        max_workers: max_workers.try_into().unwrap(),
        worker_program: program,
        ..Job::new(server.flags_url(), codes)
    }
}

fn faultless() -> BlockingFlagServer {
    FlagServer::builder().start_blocking().unwrap()
}

/// With either library that blocks: the samples, one for each code.
fn run(http: Http, job: &Job) -> Vec<Sample> {
    let runner = Runner::try_new(Strategy::Processes, http, RuntimeFlavor::default()).unwrap();
    let mut samples = runner.prepare(job).unwrap().download_many(job);
    samples.sort_by_key(|sample| sample.code);
    let codes: Vec<_> = samples.iter().map(|sample| sample.code).collect();
    assert_eq!(codes, job.codes, "every code is accounted for, once");
    samples
}

fn count(samples: &[Sample], outcome: Outcome) -> usize {
    let of_it = samples.iter().filter(|sample| sample.outcome == outcome);
    of_it.count()
}

fn errors(samples: &[Sample]) -> BTreeSet<&str> {
    let errors = samples.iter().filter_map(|sample| sample.error.as_deref());
    errors.collect()
}

#[test]
fn a_worker_that_dies_fails_one_download_and_is_replaced() {
    // The first worker dies after it has read the order and a task.
    let script = r#"mkdir first 2>/dev/null && { read order; read task; kill -9 $$; }
                    exec "$PROGRAM" "$@""#;
    for max_workers in [1, 4] {
        let folder = tempfile::tempdir().unwrap();
        let server = faultless();
        let samples = run(
            Http::Reqwest,
            &job(&server, folder.path(), script, max_workers),
        );
        assert_eq!(count(&samples, Outcome::Downloaded), CODES - 1);
        assert_eq!(count(&samples, Outcome::WorkerDied), 1);
        let error = *errors(&samples).first().unwrap();
        assert!(error.starts_with("a worker process failed ("), "{error}");
        assert!(error.contains("signal: 9"), "{error}");
        assert_eq!(server.received(), CODES as u64 - 1);
    }
}

#[test]
fn every_code_has_a_sample_when_workers_answer_nonsense() {
    for (script, expected) in [
        ("exit 3", "exit status: 3"),
        ("while read line; do echo nonsense; done", "expected "),
        // A sample, but of another flag.
        (
            r#"read order; read task; { echo "$order"; echo '{"code":"ZZ","attempt":1}'; } | "$PROGRAM" worker; read more"#,
            "an answer to another task",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let server = faultless();
        let samples = run(Http::Ureq, &job(&server, folder.path(), script, 3));
        assert_eq!(count(&samples, Outcome::WorkerDied), CODES, "{script}");
        let errors = errors(&samples);
        assert!(
            errors.iter().all(|error| error.contains(expected)),
            "{script}: {errors:?}"
        );
        assert!(samples.iter().all(Sample::is_last));
    }
}

#[test]
fn a_worker_that_cannot_be_started_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = faultless();
    let job = Job {
        worker_program: PathBuf::from("/no/such/flag-client"),
        ..job(&server, folder.path(), "", 3)
    };
    let samples = run(Http::Reqwest, &job);
    assert_eq!(count(&samples, Outcome::WorkerDied), CODES);
    let error = *errors(&samples).first().unwrap();
    assert!(
        error.starts_with("cannot start /no/such/flag-client ("),
        "{error}"
    );
}

#[test]
fn no_worker_outlives_its_round() {
    for http in [Http::Reqwest, Http::Ureq] {
        let folder = tempfile::tempdir().unwrap();
        let server = faultless();
        let script = r#"echo $$ >>pids; exec "$PROGRAM" "$@""#;
        let samples = run(http, &job(&server, folder.path(), script, 4));
        assert_eq!(count(&samples, Outcome::Downloaded), CODES);
        let pids = std::fs::read_to_string(folder.path().join("pids")).unwrap();
        assert_eq!(pids.lines().count(), 4);
        assert!(pids.lines().all(|pid| !exists(pid)), "{pids}");
    }
}

/// Whether the process exists, even as a zombie.
fn exists(pid: &str) -> bool {
    signal("0", pid)
}

fn signal(signal: &str, pid: &str) -> bool {
    let mut kill = Command::new("sh");
    kill.args(["-c", &format!("kill -{signal} {pid}")]);
    kill.stderr(Stdio::null()).status().unwrap().success()
}

/// `flag-client` in a process group of its own, as a shell starts it.
fn flag_client(args: &[&str], folder: &Path) -> Child {
    let mut command = Command::new(PROGRAM);
    command.args(args).current_dir(folder).process_group(0);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

#[test]
fn ctrl_c_lets_the_workers_finish_their_attempts() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = flag_client(
        &[
            "bench",
            "-v",
            "-r",
            "1000",
            "-w",
            "0",
            "--strategy",
            "processes",
            "BR",
            "JP",
        ],
        folder.path(),
    );
    let mut rounds = BufReader::new(child.stderr.take().unwrap()).lines();
    let second = rounds.nth(1).unwrap().unwrap();
    assert!(second.starts_with("round 2: processes took "), "{second}");
    // To the whole group, as a terminal does.
    assert!(signal("INT", &format!("-{}", child.id())));
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(text.contains("warning: It ended early"), "{text}");
    assert!(!text.contains("worker process"), "{text}");
    let rest: Vec<String> = rounds.map_while(Result::ok).collect();
    assert!(
        rest.iter().all(|line| line.starts_with("round ")),
        "{rest:?}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn workers_do_not_outlive_a_killed_parent() {
    use std::thread;
    use std::time::{Duration, Instant};

    let server = FlagServer::builder()
        .toml("rule = [{ fault = 'stall' }]")
        .unwrap();
    let server = server.start_blocking().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = server.flags_url();
    let mut child = flag_client(
        &[
            "get",
            "--strategy",
            "processes",
            "-s",
            &url,
            "-m",
            "3",
            "--timeout",
            "1s",
            "--retries",
            "100",
        ],
        folder.path(),
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    let wait_until = |what: &str, done: &dyn Fn() -> bool| {
        while !done() {
            assert!(Instant::now() < deadline, "{what}");
            thread::sleep(Duration::from_millis(10));
        }
    };
    wait_until("three requests are in flight", &|| server.received() >= 3);
    let workers = children(child.id());
    assert_eq!(workers.len(), 3);
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the workers have ended", &|| {
        !workers.iter().any(|pid| exists(pid))
    });
}

/// The processes that a process has started.
#[cfg(target_os = "linux")]
fn children(parent: u32) -> Vec<String> {
    let is_child = |pid: &String| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // pid (name) state parent: the name may contain any character.
        let after_name = stat.rsplit(") ").next().unwrap_or_default();
        after_name.split(' ').nth(1) == Some(&parent.to_string())
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(is_child).collect()
}
