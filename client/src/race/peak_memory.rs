//! The most memory that a process and all that it has started have at one time. The system keeps no
//! such peak, so a thread looks again and again: for rounds that are not timed.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use flag_host::memory;

/// How long to wait between two looks. One takes about as long.
const PAUSE: Duration = Duration::from_millis(2);

/// Watches a process until it is stopped.
#[derive(Debug)]
pub(super) struct PeakMemory {
    stop: Sender<()>,
    thread: JoinHandle<Option<Peak>>,
}

/// What was seen, in bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peak {
    /// At the beginning.
    pub(super) first: u64,
    /// At most.
    pub(super) most: u64,
}

impl PeakMemory {
    /// Watches this process, and returns when it has looked at it once.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn watch(process: u32) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let (begin, begun) = mpsc::channel();
        let thread = thread::Builder::new().spawn(move || {
            let mut peak = memory::proportional(process).map(|first| Peak { first, most: first });
            begin.send(()).ok();
            loop {
                let is_last = stopped.recv_timeout(PAUSE) != Err(RecvTimeoutError::Timeout);
                let now = memory::proportional(process);
                peak = peak.zip(now).map(|(peak, now)| Peak {
                    most: peak.most.max(now),
                    ..peak
                });
                if is_last {
                    return peak.filter(|peak| peak.most > 0);
                }
            }
        })?;
        begun.recv().ok();
        Ok(Self { stop, thread })
    }

    /// Looks once more, and returns what was seen; none where the system does not report it.
    pub(super) fn stop(self) -> Option<Peak> {
        drop(self.stop);
        self.thread.join().ok()?
    }
}
