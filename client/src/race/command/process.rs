//! How a program that was started ends: its exit, by itself or by its time limit, and the end of
//! its standard error.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::process::{Child, ChildStderr, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flag_host::{lock, process};
use wait4::{ResUse, Wait4};

use crate::download::CancelToken;

/// How often to check whether the program is to be ended. Its exit is noticed at once.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long the program may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(2);
/// How many bytes of the end of standard error are kept.
const STDERR_TAIL: usize = 4096;
/// How long to wait for standard error to close after the program ended: a child that inherited it
/// may keep it open.
const STDERR_GRACE: Duration = Duration::from_millis(200);

/// A process that has ended.
pub(super) struct Ended {
    pub(super) used: ResUse,
    pub(super) at: Instant,
    /// Whether it was ended because it took too long.
    pub(super) timed_out: bool,
}

/// Waits until the process ends, or ends it when there is a stop, or when it has run for `limit`
/// since `start`. What it has started ends with it: the next contender races alone.
pub(super) fn wait(
    child: Child,
    start: Instant,
    limit: Duration,
    cancel: &CancelToken,
) -> io::Result<Ended> {
    let process = child.id();
    let (sender, exits) = mpsc::channel();
    // A dedicated thread records the exact time of the exit.
    thread::Builder::new().spawn(move || {
        let used = child.wait4();
        sender.send((used, Instant::now())).ok();
    })?;
    let mut timed_out = false;
    let mut asked_at: Option<Instant> = None;
    loop {
        let pause = match asked_at {
            None => POLL_INTERVAL.min(limit.saturating_sub(start.elapsed())),
            Some(_) => POLL_INTERVAL,
        };
        match exits.recv_timeout(pause) {
            Ok((used, at)) => {
                // The rest of its group, where a group outlives the process that began it.
                if cfg!(unix) || asked_at.is_some() {
                    process::end(process, true);
                }
                return Ok(Ended {
                    used: used?,
                    at,
                    timed_out,
                });
            }
            Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::Other.into()),
            Err(RecvTimeoutError::Timeout) => match asked_at {
                None if cancel.is_requested() || start.elapsed() >= limit => {
                    timed_out = !cancel.is_requested();
                    process::end(process, false);
                    asked_at = Some(Instant::now());
                }
                Some(since) if since.elapsed() >= GRACE => process::end(process, true),
                _ => {}
            },
        }
    }
}

/// The exit code as a shell reports it; none after success.
pub(super) fn exit_code(status: ExitStatus) -> Option<i32> {
    let signal = process::signal(status);
    let code = status.code().or(signal.map(|signal| 128 + signal));
    code.filter(|code| *code != 0)
}

/// The end of a program's standard error. All of it is read; otherwise a program that writes much
/// would block forever.
pub(super) struct StderrTail {
    bytes: Arc<Mutex<VecDeque<u8>>>,
    end: Receiver<()>,
}

impl StderrTail {
    pub(super) fn of(mut pipe: ChildStderr) -> Self {
        let bytes = Arc::new(Mutex::new(VecDeque::new()));
        let (closed, end) = mpsc::channel::<()>();
        let kept = Arc::clone(&bytes);
        thread::spawn(move || {
            let mut buffer = [0; STDERR_TAIL];
            while let Ok(len @ 1..) = pipe.read(&mut buffer) {
                let mut kept = lock(&kept);
                kept.extend(&buffer[..len]);
                let surplus = kept.len().saturating_sub(STDERR_TAIL);
                kept.drain(..surplus);
            }
            drop(closed);
        });
        Self { bytes, end }
    }

    /// The text as the end of a sentence; empty if there is none.
    pub(super) fn quoted(&self) -> String {
        // Nothing is sent: this waits for the end of the pipe, or for the grace period.
        self.end.recv_timeout(STDERR_GRACE).ok();
        let bytes: Vec<u8> = lock(&self.bytes).iter().copied().collect();
        match String::from_utf8_lossy(&bytes).trim() {
            "" => String::new(),
            text => format!(". It said:\n{text}"),
        }
    }
}
