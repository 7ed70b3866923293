//! Signals to programs, and standard streams that nobody reads.
//!
//! The tests of both programs cross these with their sub-commands.

#![allow(
    dead_code,
    reason = "each test program uses a part of it, and is compiled with all of it"
)]

use std::fs::{self, OpenOptions};
use std::io::{PipeReader, PipeWriter, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use flag_host::process::ignores;
use tokio::signal::unix::{SignalKind, signal};

/// Longer than anything here takes on any machine: a test that waits this long has failed.
pub(crate) const SAFETY: Duration = Duration::from_secs(60);
/// What a pipe holds.
const PIPE: usize = 64 * 1024;

/// A signal, and its number.
pub(crate) const SIGNALS: [(&str, i32); 3] = [("HUP", 1), ("INT", 2), ("TERM", 15)];

/// How often a signal comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Once,
    /// To the process and then to its group, as `timeout` does.
    Twice,
    /// Once more when it can be no copy.
    Again,
}

pub(crate) const DELIVERIES: [Delivery; 3] = [Delivery::Once, Delivery::Twice, Delivery::Again];

impl Delivery {
    /// Sends the signal to a process that leads its group.
    pub(crate) fn send(self, signal: &str, process: u32) {
        match self {
            Self::Once => send(signal, &format!("{process}")),
            Self::Twice => send(signal, &format!("{process} -{process}")),
            Self::Again => {
                send(signal, &format!("{process}"));
                thread::sleep(Duration::from_millis(600));
                send(signal, &format!("-{process}"));
            }
        }
    }
}

fn send(signal: &str, to: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("kill -s {signal} -- {to}")]);
    shell.stderr(Stdio::null()).status().unwrap(); // it may have ended
}

/// The exit code as a shell reports it.
pub(crate) fn shell_code(status: ExitStatus) -> i32 {
    let signal = status.signal().map(|signal| 128 + signal);
    status.code().or(signal).unwrap()
}

/// Starts a program in a group of its own, as a shell does. Each of the signals ends it, also if
/// `nohup` or a shell in the background has started the tests.
pub(crate) fn start(program: &str, args: &[&str], out: impl Into<Stdio>) -> Child {
    for (_, number) in SIGNALS
        .into_iter()
        .filter(|(_, number)| ignores(*number as u32))
    {
        // A program that is started inherits what is ignored, and not what is handled.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let handled = runtime.block_on(async { signal(SignalKind::from_raw(number)) });
        drop(handled.unwrap());
    }
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(out);
    command.stderr(Stdio::null()).process_group(0);
    command.spawn().unwrap()
}

/// Waits for its end.
pub(crate) fn end_of(child: &mut Child) -> i32 {
    let end = Instant::now() + SAFETY;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return shell_code(status);
        }
        if Instant::now() > end {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a process handles this signal itself.
#[cfg(target_os = "linux")]
pub(crate) fn wait_until_heard(process: u32, number: i32) {
    let end = Instant::now() + SAFETY;
    let is_heard = || {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        caught & 1 << (number - 1) != 0
    };
    while !is_heard() {
        assert!(Instant::now() < end, "it does not listen");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A pipe that is full, so that whoever writes to it waits for the reader.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    fill(&mut writer);
    (reader, writer)
}

/// Fills a pipe that is empty.
pub(crate) fn fill(writer: &mut PipeWriter) {
    writer.write_all(&[b'.'; PIPE]).unwrap();
}

/// What nobody reads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unread {
    /// A pipe whose reader has gone.
    Closed,
    /// A full disk.
    Full,
}

impl Unread {
    /// Those of this system.
    pub(crate) fn all() -> Vec<Self> {
        let full = fs::exists("/dev/full").unwrap_or(false);
        [Some(Self::Closed), full.then_some(Self::Full)]
            .into_iter()
            .flatten()
            .collect()
    }

    pub(crate) fn stream(self) -> Stdio {
        match self {
            Self::Closed => {
                let (reader, writer) = std::io::pipe().unwrap();
                drop(reader);
                writer.into()
            }
            Self::Full => OpenOptions::new()
                .write(true)
                .open("/dev/full")
                .unwrap()
                .into(),
        }
    }
}
