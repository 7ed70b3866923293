//! Where output goes: every option that writes, crossed with everything that a path can be.
#![cfg(unix)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

#[path = "../../host/tests/support/cells.rs"]
mod cells;

use cells::{Cell, Place};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flag-server");

/// Starts it, makes a request, and ends it, if it does not end by itself.
fn run(mut command: Command, announces_on_stderr: bool) -> Output {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut line = Vec::new();
    if announces_on_stderr {
        err.read_until(b'\n', &mut line).unwrap();
        stderr.extend_from_slice(&line);
    } else {
        out.read_until(b'\n', &mut line).unwrap();
        stdout.extend_from_slice(&line);
    }
    if let Some((_, url)) = String::from_utf8(line)
        .unwrap()
        .trim()
        .split_once(" http://")
    {
        request(url);
        terminate(&child);
    }
    out.read_to_end(&mut stdout).unwrap();
    err.read_to_end(&mut stderr).unwrap();
    let status = child.wait().unwrap();
    if !announces_on_stderr && status.code() == Some(0) {
        stdout.clear(); // the announcement
    }
    Output {
        status,
        stdout,
        stderr,
    }
}

fn request(authority: &str) {
    // It may have failed to write its ready file, and be gone.
    let Ok(mut stream) = TcpStream::connect(authority) else {
        return;
    };
    let head = "GET /flags/br/br.gif HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).ok();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok();
}

fn terminate(child: &Child) {
    let mut kill = Command::new("kill");
    assert!(kill.arg(child.id().to_string()).status().unwrap().success());
}

#[test]
fn files_go_where_their_paths_lead() {
    for (option, is_replaced) in [("--ready-file", true), ("--decision-log", false)] {
        for cell in Cell::ALL {
            let Some(place) = Place::make(cell, "document") else {
                continue;
            };
            let args = ["--port", "0", "--profile", "local", option, place.text()];
            let Some(command) = place.command(PROGRAM, &args) else {
                continue;
            };
            let output = run(command, cell == Cell::Dash);
            // Nothing survives in a ready file: it was removed at the start.
            let survives = is_replaced && cell != Cell::FullDisk;
            place.check(option, &output, cell.ending(), "{", survives);
        }
    }
}

#[test]
fn the_ready_file_of_an_earlier_server_is_removed_even_if_this_one_cannot_start() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        &["--profile", "none"] as &[&str],
        &["--tls-cert", "x", "--tls-key", "x"],
    ] {
        let ready = folder.path().join("ready.json");
        std::fs::write(&ready, "{\"listeners\": []}").unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(args).arg("--ready-file").arg(&ready);
        assert_ne!(command.output().unwrap().status.code(), Some(0));
        assert!(!ready.exists(), "{args:?}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_a_failure_of_every_command() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("s.toml"), "seed = 1").unwrap();
    for args in [
        &["--help"] as &[&str],
        &["-h"],
        &["--version"],
        &["help", "check"],
        &["profiles"],
        &["profiles", "local"],
        &["check", "s.toml"],
        &["schema"],
        &["plan"],
        &["completions", "bash"],
        &["man"],
        &["--port", "0", "--profile", "local"],
    ] {
        let (code, message) = cells::on_a_full_device(PROGRAM, args, &folder);
        assert_eq!(code, Some(1), "{args:?}: {message}");
        let expected = "error: standard output: No space left on device (os error 28)\n";
        assert_eq!(message, expected, "{args:?}");
    }
}
