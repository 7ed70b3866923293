//! Time that stands still, for tests: they advance it by hand, and assert when a wait is planned to
//! end instead of how long it took.
//!
//! It is the time of the whole process, so tests that pause it run one after another, and in a test
//! program of their own: no test beside them may wait. It does not advance by itself when all is
//! idle, as tokio's paused time does, because nobody can know whether bytes are still on their way
//! through a socket. Nor does it reach tokio's timers, which the limits of connections use.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::now::{now, stop};
use super::timer::{deadlines, look_again};

/// Held by the test that has paused the time.
static TURN: Mutex<()> = Mutex::new(());

/// How long a test waits for waits to begin before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

const POLL_INTERVAL: Duration = Duration::from_micros(50);

fn set(time: Option<Instant>) {
    stop(time);
    look_again();
}

/// Stops the time of this process's clock until the guard is dropped. Another test that has stopped
/// it is waited for.
///
/// Whatever waits must have ended by then, for time continues where it would be without the pause.
pub fn pause() -> Paused {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    set(Some(Instant::now()));
    Paused { _turn: turn }
}

/// Time stands still as long as this exists.
#[derive(Debug)]
pub struct Paused {
    _turn: MutexGuard<'static, ()>,
}

impl Paused {
    /// Lets time pass, and wakes whoever waits for a moment that has come. It does not wait until
    /// they have run.
    pub fn advance(&self, by: Duration) {
        set(Some(now() + by));
    }

    /// How long each of the waits under way still takes, the shortest first.
    pub fn waits(&self) -> Vec<Duration> {
        let now = now();
        let left = |deadline: Instant| deadline.checked_duration_since(now);
        let all = deadlines().into_iter().filter_map(left);
        all.filter(|wait| !wait.is_zero()).collect() // those that are due are about to be woken
    }

    /// Blocks until the waits under way are these, the shortest first.
    ///
    /// # Panics
    /// When they are others after a minute.
    pub fn wait_for(&self, expected: &[Duration]) {
        self.find(&format!("{expected:?}"), |waits| waits == expected);
    }

    /// Blocks until at least `count` waits are under way, advances to the end of the first, and
    /// returns how long that was.
    ///
    /// # Panics
    /// When there are fewer after a minute, or `count` is zero.
    pub fn advance_to_next(&self, count: usize) -> Duration {
        let waits = self.find(&format!("{count} waits"), |waits| waits.len() >= count);
        self.advance(waits[0]);
        waits[0]
    }

    fn find(&self, what: &str, is_it: impl Fn(&[Duration]) -> bool) -> Vec<Duration> {
        let start = Instant::now();
        loop {
            let waits = self.waits();
            if is_it(&waits) {
                return waits;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "expected: {what}, found: {waits:?}"
            );
            thread::sleep(POLL_INTERVAL);
        }
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        set(None);
    }
}
