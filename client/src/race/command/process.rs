//! How a program that was started ends: its exit, its memory, and the end of its standard error.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::process::{Child, ChildStderr, ExitStatus};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flag_host::{lock, memory, process};
use wait4::{ResUse, Wait4};

use crate::download::CancelToken;

/// How often to check whether the program is to be ended, and what memory it has. Its own end is
/// known at once.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long the program may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(2);
/// What is kept of all that the program says on standard error: the end, in bytes.
const STDERR_TAIL: usize = 4096;
/// How long to wait for those when the program is gone: who has inherited its standard error may
/// never close it.
const STDERR_GRACE: Duration = Duration::from_millis(200);

/// A process that is gone.
pub(super) struct Ended {
    pub(super) used: ResUse,
    pub(super) at: Instant,
    /// The most memory that was seen from outside.
    seen_bytes: Option<u64>,
}

impl Ended {
    /// The most that was resident at one time. Linux counts from before the process became its own
    /// program, when it still was a copy of ours, so its figure says something only where it is
    /// above `ours`; else there is what was seen at the last glance.
    pub(super) fn memory_bytes(&self, ours: Option<u64>) -> Option<u64> {
        let told = Some(self.used.rusage.maxrss).filter(|bytes| *bytes > ours.unwrap_or(0));
        told.max(self.seen_bytes)
    }
}

/// Waits until the process ends, or ends it when there is a stop.
pub(super) fn wait(child: Child, cancel: &CancelToken) -> io::Result<Ended> {
    let process = child.id();
    let (sender, news) = mpsc::channel();
    // A thread that does nothing else knows the moment.
    thread::Builder::new().spawn(move || {
        let used = child.wait4();
        sender.send((used, Instant::now())).ok();
    })?;
    let mut seen_bytes = None;
    let mut asked: Option<Instant> = None;
    loop {
        match news.recv_timeout(POLL_INTERVAL) {
            Ok((used, at)) => {
                if asked.is_some() {
                    process::end(process, true); // the rest of its group
                }
                return Ok(Ended {
                    used: used?,
                    at,
                    seen_bytes,
                });
            }
            Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::Other.into()),
            Err(RecvTimeoutError::Timeout) => {
                seen_bytes = seen_bytes.max(memory::peak_of(process));
                match asked {
                    None if cancel.is_requested() => {
                        process::end(process, false);
                        asked = Some(Instant::now());
                    }
                    Some(since) if since.elapsed() >= GRACE => process::end(process, true),
                    _ => {}
                }
            }
        }
    }
}

/// As a shell reports it; none if all went well.
pub(super) fn exit_code(status: ExitStatus) -> Option<i32> {
    let signal = process::signal(status);
    let code = status.code().or(signal.map(|signal| 128 + signal));
    code.filter(|code| *code != 0)
}

/// The end of what a program says on standard error. All of it is read, or a program that says much
/// would wait for ever.
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

    /// As the end of a sentence; nothing if it said nothing.
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
