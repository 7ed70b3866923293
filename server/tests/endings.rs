//! How the program ends when a signal asks for it, what SIGHUP does instead, and what becomes of
//! it when nobody reads what it prints.
#![cfg(unix)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

#[path = "../../host/tests/support/endings.rs"]
mod endings;
mod support;

use endings::{DELIVERIES, Delivery, SIGNALS, Unread, end_of, start};
use support::{BRAZIL, Client, eventually};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flag-server");

/// A server, its log in a file, and its scenario in another.
struct Running {
    child: Child,
    folder: tempfile::TempDir,
    authority: String,
}

impl Running {
    /// With this file as `option`, and these arguments.
    fn with(option: &str, text: &str, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (file, log) = (folder.path().join("file.toml"), folder.path().join("log"));
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args([option, file.to_str().unwrap()]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(File::create(log).unwrap()).process_group(0);
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let (_, authority) = line.trim().split_once(" http://").unwrap();
        let authority = authority.to_owned();
        Self {
            child,
            folder,
            authority,
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    fn wait_for_log(&self, count: usize, text: &str) {
        eventually(|| (self.log().matches(text).count() >= count).then_some(()));
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("file.toml")
    }

    fn status(&self) -> u16 {
        let mut client = Client::connect(&self.authority);
        client.send_request("GET", BRAZIL, &["connection: close"]);
        client.head().status_line[9..12].parse().unwrap()
    }

    /// A request that is under way.
    fn request(&self) -> Client {
        let mut client = Client::connect(&self.authority);
        client.send_request("GET", BRAZIL, &[]);
        // It is under way when a later connection is answered, if one thread serves both.
        let mut later = TcpStream::connect(&self.authority).unwrap();
        write!(
            later,
            "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        )
        .unwrap();
        later.read_to_end(&mut Vec::new()).unwrap();
        client
    }

    fn signal(&self, delivery: Delivery, signal: &str) {
        delivery.send(signal, self.child.id());
    }

    /// The exit code.
    fn end(&mut self) -> i32 {
        end_of(&mut self.child)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn late(delay: &str) -> String {
    format!("rule = [{{ fault = 'latency', distribution = {{ fixed = '{delay}' }} }}]")
}

/// One thread serves its connections in the order in which their requests came.
const FREE: [&str; 6] = ["--port", "0", "--grace", "1h", "--threads", "1"];

/// A request is under way when the signal comes.
fn check_serving(delivery: Delivery, signal: &str) {
    let what = format!("{signal} {delivery:?}");
    // Long enough for a second signal that counts to come before the answer.
    let delay = if delivery == Delivery::Again {
        "1h"
    } else {
        "400ms"
    };
    let delay = if signal == "HUP" { "900ms" } else { delay };
    let mut server = Running::with("--scenario", &late(delay), &FREE);
    let mut client = server.request();
    server.signal(delivery, signal);
    if signal == "HUP" {
        server.wait_for_log(1, "no scenario is different");
        assert_eq!(client.head().status_line, "HTTP/1.1 200 OK", "{what}");
        server.signal(Delivery::Once, "TERM");
        assert_eq!(server.end(), 0, "{what}");
    } else if delivery == Delivery::Again {
        let (code, log) = (server.end(), server.log());
        assert_eq!(code, 1, "{what}: {log}");
        for text in [
            "stopping at once",
            "cut_off=1",
            "error: 1 connection had to be cut off",
        ] {
            assert!(log.contains(text), "{what}: {log}");
        }
    } else {
        assert_eq!(client.head().status_line, "HTTP/1.1 200 OK", "{what}");
        assert_eq!(server.end(), 0, "{what}");
        let log = server.log();
        assert!(
            log.contains("every request was answered answered=1"),
            "{what}: {log}"
        );
    }
}

#[test]
fn no_signal_cuts_a_request_but_a_second_one_that_is_no_copy() {
    thread::scope(|scope| {
        for delivery in DELIVERIES {
            for (signal, _) in SIGNALS {
                scope.spawn(move || check_serving(delivery, signal));
            }
        }
    });
}

#[test]
fn a_planned_silence_that_is_cut_off_is_no_failure() {
    for fault in [
        "fault = 'stall'",
        "fault = 'stall', hold = '1h'",
        "fault = 'stall', after = '100B', hold = '1h'",
    ] {
        let mut server = Running::with("--scenario", &format!("rule = [{{ {fault} }}]"), &FREE);
        let _client = server.request();
        server.signal(Delivery::Again, "TERM");
        let (code, log) = (server.end(), server.log());
        assert_eq!(code, 0, "{fault}: {log}");
        assert!(log.contains("silent=1"), "{fault}: {log}");
    }
}

#[test]
fn other_commands_end_with_the_signal() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.toml");
    std::fs::write(&file, late("1s")).unwrap();
    let file = file.to_str().unwrap();
    let commands: [&[&str]; 6] = [
        &["plan"],
        &["check", file],
        &["schema"],
        &["profiles"],
        &["completions", "bash"],
        &["man"],
    ];
    for command in commands {
        for (signal, number) in SIGNALS {
            let (_out, writer) = endings::full_pipe();
            let mut child = start(PROGRAM, command, writer);
            Delivery::Once.send(signal, child.id());
            assert_eq!(end_of(&mut child), 128 + number, "{command:?} {signal}");
        }
    }
}

/// A scenario that answers with this status.
fn status(status: u16) -> String {
    format!("rule = [{{ fault = 'status', status = {status} }}]")
}

#[test]
fn sighup_reads_a_scenario_again() {
    let server = Running::with("--scenario", &status(503), &["--port", "0"]);
    for (round, code) in [(1, 418), (2, 429), (3, 500)] {
        std::fs::write(server.file(), status(code)).unwrap();
        server.signal(Delivery::Once, "HUP");
        server.wait_for_log(round, "other scenarios from now on");
        assert_eq!(server.status(), code);
    }
}

#[test]
fn sighup_that_would_open_or_close_a_listener_or_finds_problems_changes_nothing() {
    let listener = |name: &str, port: u16, code: u16| {
        let rules = status(code);
        format!("[[listener]]\nname = '{name}'\nport = {port}\n{rules}\n")
    };
    let server = Running::with("--config", &listener("one", 0, 503), &[]);
    let address = "one on 127.0.0.1:0 would be closed";
    let cases = [
        ("listener = 1".to_owned(), "invalid configuration"),
        (listener("one", 0, 418) + "more = 1", "unknown key"),
        (
            listener("two", 0, 418),
            "two on 127.0.0.1:0 would be opened",
        ),
        (listener("one", 1, 418), address),
        (
            listener("one", 0, 418) + &listener("two", 0, 418),
            "two on 127.0.0.1:0 would be opened",
        ),
        ("x".repeat(2 << 20), "larger than the limit"),
    ];
    for (round, (text, problem)) in (1..).zip(&cases) {
        std::fs::write(server.file(), text).unwrap();
        server.signal(Delivery::Once, "HUP");
        server.wait_for_log(round, "SIGHUP changes nothing: ");
        let log = server.log();
        let (_, last) = log.rsplit_once("SIGHUP changes nothing: ").unwrap();
        assert!(last.contains(problem), "{last}");
        assert_eq!(server.status(), 503, "{problem}");
    }
    std::fs::remove_file(server.file()).unwrap();
    server.signal(Delivery::Once, "HUP");
    server.wait_for_log(cases.len() + 1, "SIGHUP changes nothing: ");
    // A pipe, as of `<(…)`, would be empty now.
    let made = Command::new("mkfifo").arg(server.file()).status().unwrap();
    assert!(made.success());
    server.signal(Delivery::Once, "HUP");
    server.wait_for_log(1, "is not a file that can be read again");
    assert_eq!(server.status(), 503);
    std::fs::remove_file(server.file()).unwrap();
    std::fs::write(server.file(), listener("one", 0, 418)).unwrap();
    server.signal(Delivery::Once, "HUP");
    server.wait_for_log(1, "other scenarios from now on");
    assert_eq!(server.status(), 418);
}

#[test]
fn no_stream_that_nobody_reads_is_a_panic() {
    let commands: [&[&str]; 8] = [
        &["--help"],
        &["--no-such-option"],
        &["plan"],
        &["check", "no-such-file"],
        &["schema"],
        &["profiles", "none"],
        &["healthcheck", "http://127.0.0.1:1"],
        &["--scenario", "no-such-file"],
    ];
    let run = |args: &[&str], out: Stdio, err: Stdio| {
        let mut command = Command::new(PROGRAM);
        let status = command.args(args).stdout(out).stderr(err).status();
        endings::shell_code(status.unwrap())
    };
    for args in commands {
        for unread in Unread::all() {
            let codes = [
                run(args, unread.stream(), Stdio::null()),
                run(args, Stdio::null(), unread.stream()),
                run(args, unread.stream(), unread.stream()),
            ];
            let is_right = codes.iter().all(|code| [0, 1, 2].contains(code));
            assert!(is_right, "{args:?} {unread:?}: {codes:?}");
        }
    }
}

#[test]
fn a_server_whose_log_nobody_reads_serves_on() {
    for unread in Unread::all() {
        for format in ["text", "json"] {
            let folder = tempfile::tempdir().unwrap();
            let ready = folder.path().join("ready.json");
            let mut command = Command::new(PROGRAM);
            command.args(["--profile", "local", "--port", "0", "--log", format]);
            command.arg("--ready-file").arg(&ready);
            command.stdout(Stdio::null()).stderr(unread.stream());
            let mut child = command.process_group(0).spawn().unwrap();
            let authority = authority(&ready);
            Delivery::Once.send("HUP", child.id()); // which is logged
            for _ in 0..3 {
                Client::connect(&authority).assert_usable();
            }
            Delivery::Once.send("TERM", child.id());
            assert_eq!(end_of(&mut child), 0, "{unread:?} {format}");
        }
    }
}

/// Where the server that wrote this ready file listens.
fn authority(ready: &Path) -> String {
    let text = eventually(|| std::fs::read_to_string(ready).ok());
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let url = json["listeners"][0]["url"].as_str().unwrap();
    url.strip_prefix("http://").unwrap().to_owned()
}
