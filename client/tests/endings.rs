//! How the program ends when a signal asks for it, and when nobody reads what it prints.
#![cfg(unix)]

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use flag_server::{BlockingFlagServer, FlagServer};

#[path = "../../host/tests/support/endings.rs"]
mod endings;

use endings::{DELIVERIES, Delivery, SIGNALS, Unread, end_of, fill, start};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flag-client");

/// What measures, and goes on for hours.
const MEASURING: [&[&str]; 4] = [
    &["get", "--strategy", "sequential", "--every"],
    &[
        "bench",
        "-r",
        "100000",
        "-w",
        "0",
        "--strategy",
        "async",
        "BR",
    ],
    &[
        "sweep",
        "-r",
        "100000",
        "-w",
        "0",
        "--strategy",
        "async",
        "BR",
        "JP",
    ],
    &["load", "-d", "10h", "-w", "0s", "-c", "1", "BR"],
];

/// What measures nothing, and prints something.
const OTHERS: [&[&str]; 6] = [
    &["plan"],
    &["report", "result.json"],
    &["compare", "result.json", "result.json"],
    &["schema"],
    &["completions", "bash"],
    &["man"],
];

fn slow_server() -> BlockingFlagServer {
    let rules = "rule = [{ fault = 'latency', distribution = { fixed = '200ms' } }]";
    let server = FlagServer::builder().toml(rules).unwrap();
    server.start_blocking().unwrap()
}

/// Whether the file has the result of a measurement that ended early.
fn is_interrupted_result(file: &Path) -> bool {
    let Ok(text) = std::fs::read_to_string(file) else {
        return false;
    };
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    document["interrupted"] == true
}

/// The program measures, and gets a signal. Nobody reads its result yet, so it is still there when
/// the signal comes twice; then it is read, unless the second one has to end the program.
fn check_measuring(command: &[&str], delivery: Delivery, (signal, number): (&str, i32)) {
    let what = format!("{} {signal} {delivery:?}", command[0]);
    let (folder, server) = (tempfile::tempdir().unwrap(), slow_server());
    let (file, flags) = (
        folder.path().join("result.json"),
        folder.path().join("flags"),
    );
    let (file_name, url) = (file.to_str().unwrap(), server.flags_url());
    let mut args = [command, &["-s", &url, "--export-json", file_name]].concat();
    if command[0] == "get" {
        args.extend(["--out", flags.to_str().unwrap()]);
    }
    let (mut out, mut writer) = std::io::pipe().unwrap();
    let mut child = start(PROGRAM, &args, writer.try_clone().unwrap());
    while server.received() < 3 {
        assert!(child.try_wait().unwrap().is_none(), "{what}: it has ended");
        thread::sleep(Duration::from_millis(5));
    }
    // The opening is all that it has printed by then.
    assert!(out.read(&mut [0; 4096]).unwrap() > 0);
    fill(&mut writer);
    drop(writer);

    delivery.send(signal, child.id());
    if delivery == Delivery::Again {
        assert_eq!(end_of(&mut child), 128 + number, "{what}");
        assert!(!is_interrupted_result(&file), "{what}");
        return;
    }
    thread::sleep(Duration::from_millis(100));
    let ended = child.try_wait().unwrap();
    assert!(
        ended.is_none(),
        "{what}: it has ended without its result: {ended:?}"
    );
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(end_of(&mut child), 128 + number, "{what}: {text}");
    assert!(is_interrupted_result(&file), "{what}: {text}");
}

fn check_all_signals(command: &[&str]) {
    thread::scope(|scope| {
        for delivery in DELIVERIES {
            for signal in SIGNALS {
                scope.spawn(move || check_measuring(command, delivery, signal));
            }
        }
    });
}

#[test]
fn a_signal_ends_a_download_with_its_result() {
    check_all_signals(MEASURING[0]);
}

#[test]
fn a_signal_ends_a_race_with_its_result() {
    check_all_signals(MEASURING[1]);
}

#[test]
fn a_signal_ends_a_sweep_with_its_result() {
    check_all_signals(MEASURING[2]);
}

#[test]
fn a_signal_ends_a_load_with_its_result() {
    check_all_signals(MEASURING[3]);
}

/// A folder with a result.
fn folder_with_result() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut race = Command::new(PROGRAM);
    race.args(["bench", "-q", "-r", "1", "-w", "0", "--strategy", "async"]);
    race.args(["--profile", "local", "--export-json", "result.json", "BR"]);
    let output = race.current_dir(&folder).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    folder
}

#[cfg(target_os = "linux")]
#[test]
fn a_signal_ends_what_measures_nothing_at_once() {
    let folder = folder_with_result();
    let result = folder.path().join("result.json");
    for command in OTHERS {
        let args: Vec<&str> = (command.iter())
            .map(|&arg| {
                if arg == "result.json" {
                    result.to_str().unwrap()
                } else {
                    arg
                }
            })
            .collect();
        for (signal, number) in SIGNALS {
            let (_out, writer) = endings::full_pipe();
            let mut child = start(PROGRAM, &args, writer);
            endings::wait_until_heard(child.id(), number);
            Delivery::Once.send(signal, child.id());
            assert_eq!(end_of(&mut child), 128 + number, "{command:?} {signal}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn nohup_lets_a_load_outlive_its_terminal() {
    let args = [
        PROGRAM, "load", "-d", "10h", "-w", "0s", "-c", "1", "-q", "BR",
    ];
    let mut child = start("nohup", &args, Stdio::null());
    endings::wait_until_heard(child.id(), 15);
    Delivery::Once.send("HUP", child.id());
    Delivery::Once.send("TERM", child.id());
    assert_eq!(end_of(&mut child), 143);
}

#[test]
fn no_stream_that_nobody_reads_is_a_panic() {
    let folder = folder_with_result();
    let server = "http://127.0.0.1:1/flags"; // nobody is there
    let local = ["-w", "0", "--strategy", "async", "--profile", "local", "BR"];
    let race = |args: &[&'static str]| [&["bench", "-r", "2"], args, &local].concat();
    let load = [
        "load",
        "-n",
        "20",
        "-r",
        "15",
        "-c",
        "1",
        "-w",
        "0s",
        "--profile",
        "local",
        "BR",
    ];
    // What is printed on both streams, and all that is an error.
    let mut commands: Vec<Vec<&str>> = vec![
        vec!["--help"],
        vec!["--no-such-option"],
        vec!["get", "-v", "BR", "--out", "flags"],
        vec!["get", "QQ", "--out", "flags"],
        vec!["get", "BR", "--out", "result.json"],
        vec!["bench", "-s", server, "-r", "1", "BR"],
        race(&[]),
        race(&["-v"]),
        race(&["-q", "--threshold", "median < 1ns"]),
        race(&["--format", "json", "--baseline", "result.json", "--anyway"]),
        load.to_vec(),
        [&load, &["-q", "--threshold", "p99 < 1ns"] as &[&str]].concat(),
        vec!["report", "no-such-file"],
    ];
    commands.extend(OTHERS.map(<[&str]>::to_vec));
    let run = |args: &[&str], out: Stdio, err: Stdio| {
        let mut command = Command::new(PROGRAM);
        command.args(args).current_dir(&folder);
        let status = command.stdout(out).stderr(err).status().unwrap();
        endings::shell_code(status)
    };
    let check = |args: &[&str], unread: Unread| {
        let codes = [
            run(args, unread.stream(), Stdio::null()),
            run(args, Stdio::null(), unread.stream()),
            run(args, unread.stream(), unread.stream()),
        ];
        let is_right = codes.iter().all(|code| [0, 1, 2, 99].contains(code));
        assert!(is_right, "{args:?} {unread:?}: {codes:?}");
    };
    thread::scope(|scope| {
        for args in &commands {
            for unread in Unread::all() {
                let check = &check;
                scope.spawn(move || check(args, unread));
            }
        }
    });
}
