//! The processor time of a server's own threads, for a benchmark that shares its process and must not count them.
//!
//! Only Linux tells one thread about another's clock; elsewhere nothing is known, and nothing is guessed.

use std::time::Duration;

/// The processor time, user and system, that all servers with a runtime of their own ([`BlockingFlagServer`]) have used in this process
/// so far, the clock's thread with them. A thread that ends keeps its share. None where it cannot be known.
///
/// [`BlockingFlagServer`]: crate::BlockingFlagServer
pub fn cpu_time() -> Option<Duration> {
    threads::cpu_time()
}

pub(crate) use threads::{enter, leave};

#[cfg(target_os = "linux")]
mod threads {
    use std::collections::BTreeSet;
    use std::sync::{Mutex, MutexGuard, PoisonError};
    use std::time::Duration;

    use nix::time::{ClockId, clock_gettime};
    use rustix::thread::gettid;

    /// A system's thread number.
    type Tid = i32;

    struct Threads {
        alive: BTreeSet<Tid>,
        /// What those that have ended used.
        ended: Duration,
    }

    static THREADS: Mutex<Threads> = Mutex::new(Threads {
        alive: BTreeSet::new(),
        ended: Duration::ZERO,
    });

    fn threads() -> MutexGuard<'static, Threads> {
        THREADS.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calling thread is a server's from now on.
    pub(crate) fn enter() {
        threads().alive.insert(gettid().as_raw_nonzero().get());
    }

    /// It ends.
    pub(crate) fn leave() {
        let tid = gettid().as_raw_nonzero().get();
        let mut threads = threads();
        if threads.alive.remove(&tid) {
            threads.ended += used(tid).unwrap_or_default();
        }
    }

    pub(super) fn cpu_time() -> Option<Duration> {
        let threads = threads();
        let alive: Option<Duration> = threads.alive.iter().map(|&tid| used(tid)).sum();
        Some(threads.ended + alive?)
    }

    /// The clock of a thread's processor time has the number `~tid << 3 | 6`: 4 for a thread and not a process, 2 for what the scheduler
    /// counted, in nanoseconds (Linux, `include/linux/posix-timers.h`).
    fn used(tid: Tid) -> Option<Duration> {
        let clock = ClockId::from_raw((!tid << 3) | 6);
        clock_gettime(clock).ok().map(Duration::from)
    }
}

#[cfg(not(target_os = "linux"))]
mod threads {
    pub(crate) fn enter() {}

    pub(crate) fn leave() {}

    pub(super) fn cpu_time() -> Option<std::time::Duration> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
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
