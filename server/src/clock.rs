//! Delays that end when they should: never early, and as little late as the machine allows.
//!
//! It knows deadlines and nothing of why somebody waits for one.
//!
//! tokio's timers end on its next millisecond, about one late. Here all waits of the process share one thread
//! that sleeps until exactly the next deadline and then wakes the task that waits for it. There is no thread and no
//! file descriptor per wait, no spinning, and no runtime is needed, so runtimes can share it and waits may move
//! between them. Whoever stops waiting is forgotten at once.
//!
//! There is no coarse sleep before the precise one: that would wake each task twice and spare the thread nothing,
//! since it orders every deadline sooner or later. Compare them with `cargo bench -p flag-server --bench lateness`.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let deadline = Instant::now() + Duration::from_micros(2_345);
//! flag_server::clock::sleep_until(deadline).await;
//! assert!(Instant::now() >= deadline);
//! # }
//! ```

mod deadlines;

use std::fmt;
use std::future::{self, Future};
use std::io;
use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::pin::Pin;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use deadlines::{BATCH, Deadlines, Ticket};

/// The timer of this process.
static TIMER: Timer = Timer::new();

/// Starts the timer thread if it does not run yet, so that no wait can fail for want of it.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn start() -> io::Result<()> {
    TIMER.start(&mut TIMER.lock())
}

/// Waits until `delay` after `start`, and returns how long after `start` it really is: never less than `delay`.
///
/// A delay of zero, or one that is over, does not yield. One that no clock can count to never ends.
pub(crate) async fn hold(start: Instant, delay: Duration) -> Duration {
    if !delay.is_zero() {
        match start.checked_add(delay) {
            Some(deadline) => sleep_until(deadline).await,
            None => future::pending().await,
        }
    }
    start.elapsed()
}

/// Waits until `deadline`. A deadline that has passed does not yield.
pub fn sleep_until(deadline: Instant) -> Sleep {
    TIMER.sleep_until(deadline)
}

/// The wait for a deadline, see [`sleep_until`].
///
/// It is `Unpin`, and can be used again after a [`reset`](Self::reset): a body that is paced keeps one and polls it
/// with `Pin::new(&mut sleep).poll(context)`. Nothing is registered before the first poll.
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    timer: &'static Timer,
    deadline: Instant,
    /// Where it waits, once it does. The timer may have taken it from there.
    ticket: Option<Ticket>,
}

impl Sleep {
    /// When the wait ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Ends the wait at another moment, earlier or later. It must be polled again, or it wakes nobody.
    pub fn reset(&mut self, deadline: Instant) {
        self.leave();
        self.deadline = deadline;
    }

    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            let waker = self.timer.lock().deadlines.remove(ticket);
            drop(waker); // after the lock: it may be the last of a task that has waits of its own
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.get_mut();
        if Instant::now() >= sleep.deadline {
            sleep.leave();
            return Poll::Ready(());
        }
        let waker = context.waker().clone();
        sleep.ticket = Some(sleep.timer.wait(sleep.ticket, sleep.deadline, waker));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// The deadlines, and the bell of the thread that keeps them.
///
/// No foreign code runs under the lock: wakers are cloned before it, and woken and dropped after it.
struct Timer {
    state: Mutex<State>,
    bell: Condvar,
}

const UNPOISONED: &str = "nothing panics under the lock of the clock";

struct State {
    deadlines: Deadlines<Waker>,
    /// Whether the thread was started. It never ends.
    runs: bool,
}

impl Timer {
    const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                deadlines: Deadlines::new(),
                runs: false,
            }),
            bell: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(UNPOISONED)
    }

    fn start(&'static self, state: &mut State) -> io::Result<()> {
        if !state.runs {
            thread::Builder::new()
                .name("flag-clock".to_owned())
                .spawn(|| self.keep())?;
            state.runs = true;
        }
        Ok(())
    }

    fn sleep_until(&'static self, deadline: Instant) -> Sleep {
        Sleep {
            timer: self,
            deadline,
            ticket: None,
        }
    }

    /// Has `waker` woken at `deadline`: instead of the one that has the ticket, if that still waits.
    fn wait(&'static self, ticket: Option<Ticket>, deadline: Instant, waker: Waker) -> Ticket {
        let mut state = self.lock();
        if let Some(ticket) = ticket
            && let Some(known) = state.deadlines.get_mut(ticket)
        {
            let old = mem::replace(known, waker);
            drop(state);
            drop(old);
            return ticket;
        }
        if let Err(error) = self.start(&mut state) {
            drop(state);
            panic!("the system gives no thread to the clock: {error}");
        }
        let (ticket, tell) = state.deadlines.insert(deadline, waker);
        drop(state); // before the bell, or the thread would wake only to wait for the lock
        if tell {
            self.bell.notify_one();
        }
        ticket
    }

    /// The timer thread.
    fn keep(&self) {
        be_precise();
        let mut due = Vec::with_capacity(BATCH);
        let mut state = self.lock();
        loop {
            state.deadlines.take_due(Instant::now(), &mut due);
            if !due.is_empty() {
                drop(state);
                due.drain(..).for_each(wake);
                state = self.lock();
                continue;
            }
            state = match state.deadlines.fall_asleep() {
                None => self.bell.wait(state).expect(UNPOISONED),
                Some(next) => {
                    let nap = next.saturating_duration_since(Instant::now());
                    let woken = self.bell.wait_timeout(state, nap);
                    woken.expect(UNPOISONED).0
                }
            };
            state.deadlines.wake_up();
        }
    }
}

/// Wakes a task. If that panics it is the fault of its runtime, and no other task shall pay for it.
fn wake(waker: Waker) {
    // The hook has printed the panic.
    let _ = panic::catch_unwind(AssertUnwindSafe(|| waker.wake()));
}

/// Asks the kernel to wake this thread when it wanted, not up to 50 µs later together with others.
#[cfg(target_os = "linux")]
fn be_precise() {
    // Where that is forbidden the waits are a little later, and still right.
    let _ = rustix::thread::set_current_timer_slack(Some(std::num::NonZeroU64::MIN)); // 1 ns
}

/// No such wish can be uttered here.
#[cfg(not(target_os = "linux"))]
fn be_precise() {}
