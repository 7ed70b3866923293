//! The processor time of a server's own threads, for a benchmark that shares its process and must not count them.
//!
//! Only Linux lets one thread read the clock of another.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::lock;

struct Threads {
    alive: BTreeSet<ThreadClock>,
    /// What those that have ended used; none once one of them did not tell.
    ended: Option<Duration>,
}

static THREADS: Mutex<Threads> = Mutex::new(Threads {
    alive: BTreeSet::new(),
    ended: Some(Duration::ZERO),
});

fn threads() -> MutexGuard<'static, Threads> {
    lock(&THREADS)
}

/// The processor time, user and system, that all servers with a runtime of their own have used in this process
/// so far, the clock's thread with them. A thread that ends keeps its share. None where it cannot be known: only Linux tells one
/// thread about another's clock.
pub fn cpu_time() -> Option<Duration> {
    let threads = threads();
    let alive: Option<Duration> = threads.alive.iter().map(|clock| clock.read()).sum();
    Some(threads.ended? + alive?)
}

/// The calling thread is a server's from now on.
pub fn enter() {
    threads().alive.insert(ThreadClock::own());
}

/// It ends.
pub fn leave() {
    let clock = ThreadClock::own();
    let mut threads = threads();
    if threads.alive.remove(&clock) {
        let ended = threads.ended.zip(clock.read());
        threads.ended = ended.map(|(ended, own)| ended + own);
    }
}

/// The clock of a thread's processor time, user and system, for any thread of the process to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ThreadClock {
    #[cfg(all(target_os = "linux", feature = "cpu"))]
    tid: i32,
}

#[cfg(all(target_os = "linux", feature = "cpu"))]
impl ThreadClock {
    /// That of the calling thread.
    fn own() -> Self {
        Self {
            tid: rustix::thread::gettid().as_raw_nonzero().get(),
        }
    }

    /// None when the thread is gone.
    ///
    /// The clock has the number `~tid << 3 | 6`: 4 for a thread and not a process, 2 for what the scheduler counted, in nanoseconds
    /// (Linux, `include/linux/posix-timers.h`).
    fn read(self) -> Option<Duration> {
        let clock = nix::time::ClockId::from_raw((!self.tid << 3) | 6);
        nix::time::clock_gettime(clock).ok().map(Duration::from)
    }
}

/// No thread can ask for another's: nothing is known, and nothing is guessed.
#[cfg(not(all(target_os = "linux", feature = "cpu")))]
impl ThreadClock {
    fn own() -> Self {
        Self {}
    }

    #[expect(clippy::unused_self, reason = "elsewhere there is something to read")]
    fn read(self) -> Option<Duration> {
        None
    }
}

#[cfg(all(test, target_os = "linux", feature = "cpu"))]
mod tests {
    use super::*;
    use nix::time::{ClockId, clock_gettime};

    /// Other tests' servers may run meanwhile: what is known is that their clocks never run backwards.
    #[test]
    fn a_thread_counts_from_when_it_enters_and_after_it_has_left() {
        let before = cpu_time().unwrap();
        let used = std::thread::spawn(|| {
            enter();
            let own = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
            let ten = Duration::from_millis(10);
            while own() < ten {
                std::hint::spin_loop();
            }
            assert!(cpu_time().unwrap() >= ten, "while it runs");
            leave();
            ten
        });
        let used = used.join().unwrap();
        assert!(cpu_time().unwrap() >= before + used, "when it is gone");
    }
}
