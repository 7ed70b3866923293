//! The limit of open files: a job works, or is refused before it starts, with the limit that would
//! do.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flag_client::download::{Http, Runner, Strategy};
use flags_data::Catalogue;

/// A user who is not root.
const NOBODY: u32 = 65_534;

/// Where a program runs that cannot raise its hard limit.
struct Place {
    folder: tempfile::TempDir,
    program: PathBuf,
    /// Root may raise any limit, so it has to be somebody else.
    is_root: bool,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let raise = "ulimit -Hn 64 && ulimit -Hn 65";
        let raised = Command::new("sh").args(["-c", raise]).output().unwrap();
        let is_root = raised.status.success();
        let mut program = PathBuf::from(env!("CARGO_BIN_EXE_flag-client"));
        if is_root {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
            // Where it was built may be closed to others.
            let copy = folder.path().join("flag-client");
            fs::hard_link(&program, &copy)
                .or_else(|_| fs::copy(&program, &copy).map(drop))
                .unwrap();
            program = copy;
        }
        Self {
            folder,
            program,
            is_root,
        }
    }

    /// Runs the program with a soft limit that it has to raise, up to a hard limit.
    fn run(&self, hard: u64, args: &[&str]) -> Output {
        let soft = hard.min(32);
        let script = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(&self.program).args(args);
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        if self.is_root {
            command.gid(NOBODY).uid(NOBODY);
        }
        command.output().unwrap()
    }

    /// The limit that would do, if the job is refused with this one; otherwise it has to work.
    fn refusal(&self, hard: u64, args: &[&str]) -> Option<u64> {
        let output = self.run(hard, args);
        let stderr = String::from_utf8_lossy(&output.stderr);
        if output.status.code() == Some(0) {
            return None;
        }
        assert_eq!(output.status.code(), Some(2), "{args:?} {hard}: {output:?}");
        assert_eq!(output.stdout, b"", "{args:?} {hard}: nothing has started");
        let rest = stderr.split_once(" takes ").unwrap().1;
        let (wanted, rest) = rest.split_once(' ').unwrap();
        let expected = format!(
            "open files, and the system allows {hard}; raise the limit (ulimit -n {wanted})"
        );
        assert!(rest.starts_with(&expected), "{args:?} {hard}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        let wanted = wanted.parse().unwrap();
        assert!(wanted > hard, "{stderr}");
        Some(wanted)
    }
}

const GET: &[&str] = &["get", "-a", "-m", "100", "--profile", "local"];
const BENCH: &[&str] = &[
    "bench",
    "-a",
    "-m",
    "100",
    "--profile",
    "local",
    "-r",
    "1",
    "-w",
    "0",
    "--quiet",
];
const SWEEP: &[&str] = &[
    "sweep",
    "-a",
    "-m",
    "1,100",
    "--strategy",
    "async",
    "--profile",
    "local",
    "-r",
    "1",
    "-w",
    "0",
    "--quiet",
];
const LOAD: &[&str] = &["load", "-c", "100", "-n", "500", "--quiet"];

/// How many processors there are decides about some numbers: a server has a thread for each.
#[test]
fn a_job_works_or_is_refused_with_the_limit_that_would_do() {
    let place = Place::new();
    for args in [GET, BENCH, SWEEP, LOAD] {
        let wanted = place.refusal(64, args).expect("100 connections");
        assert!(
            wanted > 200,
            "{args:?}: both ends of each connection: {wanted}"
        );
        if wanted <= 1024 {
            assert_eq!(place.refusal(1024, args), None, "{args:?}");
        }
        match place.refusal(256, args) {
            None => assert!(wanted <= 256, "{args:?}: {wanted}"),
            Some(again) => assert_eq!(again, wanted, "{args:?}"),
        }
        assert_eq!(place.refusal(wanted - 1, args), Some(wanted), "{args:?}");
    }
}

/// The descriptors of idle connections must not be those that saving needs.
#[test]
fn with_the_limit_that_is_named_every_runner_saves_every_flag() {
    let place = Place::new();
    let all = Catalogue::embedded().len();
    for runner in Runner::all() {
        if runner.strategy() == Strategy::Sequential {
            continue;
        }
        let (strategy, http) = (runner.strategy().name(), runner.http().name());
        let args = [
            GET,
            &["--strategy", strategy, "--http", http, "--out", strategy],
        ]
        .concat();
        let wanted = place.refusal(64, &args).expect("100 connections");
        assert_eq!(place.refusal(wanted, &args), None, "{runner:?}");
        assert_eq!(images_in(&place.folder.path().join(strategy)), all);
        fs::remove_dir_all(place.folder.path().join(strategy)).unwrap();
    }
    assert!(Http::ALL.len() > 1);
}

fn images_in(folder: &Path) -> usize {
    folder.read_dir().unwrap().count()
}

/// With a named server, its ends of the connections are another program's.
#[test]
fn the_ends_of_a_named_server_do_not_count() {
    let place = Place::new();
    let server = flag_server::FlagServer::builder().start_blocking().unwrap();
    let url = server.flags_url();
    for args in [GET, LOAD] {
        let embedded = place.refusal(64, args).expect("100 connections");
        let args: Vec<&str> = args
            .iter()
            .copied()
            .filter(|arg| !["--profile", "local"].contains(arg))
            .chain(["-s", &url])
            .collect();
        let wanted = place.refusal(64, &args).expect("100 connections");
        assert!(wanted + 100 <= embedded, "{wanted} {embedded}");
        assert_eq!(place.refusal(wanted, &args), None, "{args:?}");
    }
}

#[test]
fn a_refusal_names_what_would_work_with_the_limit_that_there_is() {
    let place = Place::new();
    let output = place.run(1024, &["get", "-e", "-m", "676"]);
    let text = String::from_utf8(output.stderr).unwrap();
    let fewer = text
        .trim_end()
        .split_once(", or take --max-req ")
        .unwrap()
        .1;
    assert_eq!(place.refusal(1024, &["get", "-e", "-m", fewer]), None);
    assert!(place.refusal(20, &["get", "BR"]).is_some());
}
