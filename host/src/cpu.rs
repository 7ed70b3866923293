//! The processor time of a client: what its process and its children used, less what the threads of
//! the servers that it embeds did. Which threads are a server's is for the server to say.
//!
//! Only on Linux can a thread read another's clock.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::lock;

struct Threads {
    alive: BTreeSet<ThreadClock>,
    /// What those that have ended used; `None` once one of them could not be measured.
    ended: Option<Duration>,
}

static THREADS: Mutex<Threads> = Mutex::new(Threads {
    alive: BTreeSet::new(),
    ended: Some(Duration::ZERO),
});

fn threads() -> MutexGuard<'static, Threads> {
    lock(&THREADS)
}

/// The processor time, user and system, that this process has used so far without its servers.
/// Children count when they have been waited for. `None` where the servers' share is unknown.
pub fn client_time() -> Option<Duration> {
    Some(process_time()?.saturating_sub(server_time()?))
}

/// The processor time, user and system, that all servers with a runtime of their own have used in
/// this process so far, the clock's thread with them. A thread that has ended still counts. `None`
/// where it is unknown: only on Linux can a thread read another's clock.
pub fn server_time() -> Option<Duration> {
    let threads = threads();
    let alive: Option<Duration> = threads.alive.iter().map(|clock| clock.read()).sum();
    Some(threads.ended? + alive?)
}

/// The processor time of this process so far, and of the children that have been waited for.
#[cfg(all(target_os = "linux", feature = "cpu"))]
pub(crate) fn process_time() -> Option<Duration> {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeVal;
    use nix::time::{ClockId, clock_gettime};

    let process = Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok()?);
    let children = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    let time = |time: TimeVal| {
        let secs = Duration::from_secs(time.tv_sec().try_into().unwrap_or(0));
        secs + Duration::from_micros(time.tv_usec().try_into().unwrap_or(0))
    };
    Some(process + time(children.user_time()) + time(children.system_time()))
}

/// Without the servers' share, which is unknown here, it would mean nothing.
#[cfg(not(all(target_os = "linux", feature = "cpu")))]
fn process_time() -> Option<Duration> {
    None
}

/// The processor time, user and system, that the calling thread has used so far. `None` where it is
/// unknown.
pub fn thread_time() -> Option<Duration> {
    ThreadClock::own().read()
}

/// Counts the calling thread as a server's from now on.
pub fn enter() {
    threads().alive.insert(ThreadClock::own());
}

/// Stops counting the calling thread, which ends.
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
    /// The clock of the calling thread.
    fn own() -> Self {
        Self {
            tid: rustix::thread::gettid().as_raw_nonzero().get(),
        }
    }

    /// The time; `None` if the thread has ended.
    ///
    /// The clock has the number `~tid << 3 | 6`: 4 for a thread and not a process, 2 for what the
    /// scheduler counted, in nanoseconds (Linux, `include/linux/posix-timers.h`).
    fn read(self) -> Option<Duration> {
        let clock = nix::time::ClockId::from_raw((!self.tid << 3) | 6);
        nix::time::clock_gettime(clock).ok().map(Duration::from)
    }
}

/// On other systems the time is unknown.
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

    /// Servers of other tests may run meanwhile, but their clocks never run backwards.
    #[test]
    fn a_thread_counts_from_registration_and_also_after_its_end() {
        let before = server_time().unwrap();
        let used = std::thread::spawn(|| {
            enter();
            let own = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
            let ten = Duration::from_millis(10);
            while own() < ten {
                std::hint::spin_loop();
            }
            assert!(server_time().unwrap() >= ten, "while it runs");
            leave();
            ten
        });
        let used = used.join().unwrap();
        assert!(server_time().unwrap() >= before + used, "when it is gone");
    }

    #[test]
    fn the_client_counts_its_own_work_and_that_of_a_child() {
        let before = client_time().unwrap();
        let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
        let status = std::process::Command::new("sh")
            .args(["-c", script])
            .status();
        assert!(status.unwrap().success());
        let with_child = client_time().unwrap();
        assert!(with_child > before + Duration::from_millis(1));
    }
}
