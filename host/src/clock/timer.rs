//! Delays that end when they should: never early, and as little late as the machine allows.
//!
//! It knows deadlines, and not what the waits are for.
//!
//! tokio's timers end on its next millisecond, about one late. Here all waits of the servers share
//! one thread that sleeps until exactly the next deadline and then wakes the task that waits for
//! it; the waits of a client share another. There is no thread and no file descriptor per wait, no
//! spinning, and no runtime is needed, so runtimes can share it and waits may move between them. A
//! wait that is dropped is removed at once.
//!
//! There is no coarse sleep before the precise one: that would wake each task twice and spare the
//! thread nothing, since it orders every deadline sooner or later. Compare them with
//! `cargo bench -p flag-host --bench lateness`.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let deadline = Instant::now() + Duration::from_micros(2_345);
//! flag_host::clock::sleep_until(deadline).await;
//! assert!(Instant::now() >= deadline);
//! # }
//! ```

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

use super::deadlines::{BATCH, Deadlines, Ticket};
use super::now::now;
use super::timer_slack::be_precise;
use crate::cpu;

/// The timer of the servers in this process.
static TIMER: Timer = Timer::new(Owner::Server);
/// The timer of a client, which pays for its thread itself.
static CLIENT_TIMER: Timer = Timer::new(Owner::Client);

/// Whose processor time the thread of a timer uses.
#[derive(Clone, Copy)]
enum Owner {
    Server,
    Client,
}

/// Starts the timer thread if it does not run yet, so that no wait fails because it cannot start.
///
/// # Errors
/// When the system gives no thread.
pub fn start() -> io::Result<()> {
    TIMER.start(&mut TIMER.lock())
}

/// Waits until `delay` after `start`, and returns how long after `start` it really is: never less
/// than `delay`.
///
/// A delay of zero, or one that is over, does not yield. One beyond the clock's range never ends.
pub async fn hold(start: Instant, delay: Duration) -> Duration {
    if !delay.is_zero() {
        match start.checked_add(delay) {
            Some(deadline) => sleep_until(deadline).await,
            None => future::pending().await,
        }
    }
    now().saturating_duration_since(start)
}

/// Waits until `deadline`. A deadline that has passed does not yield.
pub fn sleep_until(deadline: Instant) -> Sleep {
    TIMER.sleep_until(deadline)
}

/// The same for a client: on another thread, whose processor time is not counted as a server's.
pub fn client_sleep_until(deadline: Instant) -> Sleep {
    CLIENT_TIMER.sleep_until(deadline)
}

/// When the waits of this process end.
#[cfg(feature = "test-util")]
pub(super) fn deadlines() -> Vec<Instant> {
    let mut all = [TIMER.deadlines(), CLIENT_TIMER.deadlines()].concat();
    all.sort();
    all
}

/// Has both threads look at the deadlines, because the time has changed.
#[cfg(feature = "test-util")]
pub(super) fn look_again() {
    TIMER.look_again();
    CLIENT_TIMER.look_again();
}

/// The wait for a deadline, see [`sleep_until`].
///
/// It is `Unpin`, and can be used again after a [`reset`](Self::reset): a body that is paced keeps
/// one and polls it with `Pin::new(&mut sleep).poll(context)`. Nothing is registered before the
/// first poll.
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    timer: &'static Timer,
    deadline: Instant,
    /// The ticket of the wait, once it waits. The timer may have taken the wait.
    ticket: Option<Ticket>,
}

impl Sleep {
    /// When the wait ends.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Ends the wait at another moment, earlier or later. It must be polled again to wake its task.
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
        if now() >= sleep.deadline {
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

/// The deadlines, and what notifies the thread that keeps them.
///
/// No foreign code runs under the lock: wakers are cloned before it, and woken and dropped after
/// it.
struct Timer {
    owner: Owner,
    state: Mutex<State>,
    wakeup: Condvar,
}

const UNPOISONED: &str = "nothing panics under the lock of the clock";

struct State {
    deadlines: Deadlines<Waker>,
    /// Whether the thread was started. It never ends.
    runs: bool,
}

impl Timer {
    const fn new(owner: Owner) -> Self {
        Self {
            owner,
            state: Mutex::new(State {
                deadlines: Deadlines::new(),
                runs: false,
            }),
            wakeup: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect(UNPOISONED)
    }

    fn start(&'static self, state: &mut State) -> io::Result<()> {
        if !state.runs {
            thread::Builder::new()
                .name("flag-clock".to_owned())
                .spawn(|| {
                    if let Owner::Server = self.owner {
                        cpu::enter(); // it never ends
                    }
                    self.keep();
                })?;
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

    /// Has `waker` woken at `deadline`: instead of the one that has the ticket, if that still
    /// waits.
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
        let (ticket, notify) = state.deadlines.insert(deadline, waker);
        drop(state); // before notifying, or the thread would wake only to wait for the lock
        if notify {
            self.wakeup.notify_one();
        }
        ticket
    }

    /// When the waits end, the earliest first.
    #[cfg(feature = "test-util")]
    fn deadlines(&self) -> Vec<Instant> {
        self.lock().deadlines.all().collect()
    }

    /// Has the thread look at the deadlines.
    #[cfg(feature = "test-util")]
    fn look_again(&self) {
        drop(self.lock()); // it is asleep, or reads the time after this
        self.wakeup.notify_one();
    }

    /// The timer thread.
    fn keep(&self) {
        be_precise();
        let mut due = Vec::with_capacity(BATCH);
        let mut state = self.lock();
        loop {
            state.deadlines.take_due(now(), &mut due);
            if !due.is_empty() {
                drop(state);
                due.drain(..).for_each(wake);
                state = self.lock();
                continue;
            }
            state = match state.deadlines.fall_asleep() {
                None => self.wakeup.wait(state).expect(UNPOISONED),
                #[cfg(feature = "test-util")]
                Some(_) if super::now::stopped().is_some() => {
                    self.wakeup.wait(state).expect(UNPOISONED)
                }
                Some(next) => {
                    let nap = next.saturating_duration_since(now());
                    let woken = self.wakeup.wait_timeout(state, nap);
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

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use tokio::runtime::{Builder, Runtime};

    use super::*;

    const FAR: Duration = Duration::from_secs(3600);

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A separate timer, so that the test can count its waits.
    fn timer() -> &'static Timer {
        Box::leak(Box::new(Timer::new(Owner::Server)))
    }

    fn waiting(timer: &Timer) -> usize {
        timer.lock().deadlines.len()
    }

    fn runtimes() -> [Runtime; 2] {
        [Builder::new_current_thread(), Builder::new_multi_thread()]
            .map(|mut builder| builder.build().unwrap()) // without tokio's time: it is not needed
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct WakeCounter(AtomicUsize);

    impl Wake for WakeCounter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    impl WakeCounter {
        fn poll(self: &Arc<Self>, sleep: &mut Sleep) -> Poll<()> {
            let waker = Waker::from(Arc::clone(self));
            Pin::new(sleep).poll(&mut Context::from_waker(&waker))
        }

        fn wakes(&self) -> usize {
            self.0.load(Ordering::SeqCst)
        }

        fn wait_for_wake(&self) {
            while self.wakes() == 0 {
                thread::sleep(ms(1));
            }
        }
    }

    /// Unparks a thread when woken; std only.
    struct Unpark(thread::Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }

    /// Hundreds at the same time, of lengths that are not whole milliseconds.
    async fn hundreds_that_are_never_early() {
        let tasks: Vec<_> = (0..300_u64)
            .map(|n| {
                let delay = Duration::from_nanos(n * n * 531 + n * 7); // up to 47 ms
                tokio::spawn(async move {
                    let start = Instant::now();
                    let held = hold(start, delay).await;
                    assert!(start.elapsed() >= held);
                    assert!(held >= delay, "{held:?} of {delay:?}");
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }

    #[test]
    fn no_delay_ends_early_on_any_runtime() {
        for runtime in runtimes() {
            runtime.block_on(hundreds_that_are_never_early());
        }
    }

    #[test]
    fn several_runtimes_share_the_clock() {
        thread::scope(|scope| {
            for runtime in runtimes().into_iter().chain(runtimes()) {
                scope.spawn(move || runtime.block_on(hundreds_that_are_never_early()));
            }
        });
    }

    #[test]
    fn no_runtime_is_needed() {
        let start = Instant::now();
        assert!(block_on(hold(start, ms(3))) >= ms(3));
    }

    #[test]
    fn a_passed_deadline_does_not_yield() {
        let now = Instant::now();
        let context = &mut Context::from_waker(Waker::noop());
        assert!(pin!(hold(now, Duration::ZERO)).poll(context).is_ready());
        assert!(pin!(sleep_until(now)).poll(context).is_ready());
    }

    #[test]
    fn a_delay_beyond_the_clock_waits_instead_of_panicking() {
        let mut sleep = pin!(hold(Instant::now(), Duration::MAX));
        let context = &mut Context::from_waker(Waker::noop());
        assert!(sleep.as_mut().poll(context).is_pending());
    }

    #[test]
    fn dropped_waits_leave_nothing_behind() {
        let timer = timer();
        let counter = Arc::new(WakeCounter::default());
        let deadline = Instant::now() + FAR;
        for _ in 0..100_000 {
            let mut sleep = timer.sleep_until(deadline);
            assert!(counter.poll(&mut sleep).is_pending());
            assert_eq!(waiting(timer), 1);
        }
        assert_eq!(waiting(timer), 0);
        assert_eq!(Arc::strong_count(&counter), 1, "no waker is kept");
        assert_eq!(counter.wakes(), 0);
    }

    #[test]
    fn many_waits_dropped_together_leave_nothing_behind() {
        let timer = timer();
        let counter = Arc::new(WakeCounter::default());
        let deadline = Instant::now() + FAR;
        let mut sleeps: Vec<_> = (0..20_000).map(|_| timer.sleep_until(deadline)).collect();
        for sleep in &mut sleeps {
            assert!(counter.poll(sleep).is_pending());
        }
        assert_eq!(waiting(timer), 20_000);
        sleeps.truncate(1);
        assert_eq!(waiting(timer), 1);
        sleeps.clear();
        assert_eq!(waiting(timer), 0);
        assert_eq!(Arc::strong_count(&counter), 1);
    }

    #[test]
    fn a_runtime_that_ends_drops_its_waits() {
        let timer = timer();
        for runtime in runtimes() {
            let sleep = timer.sleep_until(Instant::now() + FAR);
            runtime.block_on(async {
                tokio::spawn(sleep);
                while waiting(timer) == 0 {
                    tokio::task::yield_now().await;
                }
            });
            drop(runtime);
            assert_eq!(waiting(timer), 0);
        }
    }

    #[test]
    fn a_leaked_wait_is_removed_at_its_deadline() {
        let timer = timer();
        let counter = Arc::new(WakeCounter::default());
        let mut sleep = timer.sleep_until(Instant::now() + ms(2));
        // The poll is ready at once if the machine was suspended for long.
        if counter.poll(&mut sleep).is_pending() {
            mem::forget(sleep);
            counter.wait_for_wake();
        }
        assert_eq!(waiting(timer), 0);
    }

    #[test]
    fn a_wait_that_moves_to_another_task_wakes_that_one() {
        let timer = timer();
        let [first, last] = [(); 2].map(|()| Arc::new(WakeCounter::default()));
        let mut sleep = timer.sleep_until(Instant::now() + FAR);
        assert!(first.poll(&mut sleep).is_pending());
        assert!(last.poll(&mut sleep).is_pending());
        assert_eq!(waiting(timer), 1);
        assert_eq!(Arc::strong_count(&first), 1, "forgotten");
        assert_eq!(Arc::strong_count(&last), 2);

        sleep.reset(Instant::now() + ms(20));
        let _ = first.poll(&mut sleep);
        block_on(sleep); // would hang if the first were woken instead
    }

    #[test]
    fn a_reset_moves_the_deadline_both_ways() {
        let timer = timer();
        let start = Instant::now();
        let mut sleep = timer.sleep_until(start + FAR);
        let counter = Arc::new(WakeCounter::default());
        assert!(counter.poll(&mut sleep).is_pending());
        for delay in [ms(5), ms(2), ms(9)] {
            sleep.reset(start + delay);
            assert_eq!(waiting(timer), 0);
            block_on(&mut sleep);
            assert!(Instant::now() >= start + delay);
        }
        sleep.reset(start + FAR);
        assert!(counter.poll(&mut sleep).is_pending());
        assert_eq!(waiting(timer), 1);
    }

    /// The last waker of a task may own waits, whose drop needs the lock.
    #[test]
    fn a_waker_that_owns_waits_is_dropped_without_a_deadlock() {
        struct Owner(#[expect(dead_code, reason = "it is there to be dropped")] Sleep);

        impl Wake for Owner {
            fn wake(self: Arc<Self>) {}
        }

        let timer = timer();
        let owner = || {
            let mut owned = timer.sleep_until(Instant::now() + FAR);
            assert!(
                Arc::new(WakeCounter::default())
                    .poll(&mut owned)
                    .is_pending()
            );
            Waker::from(Arc::new(Owner(owned)))
        };
        let mut sleep = timer.sleep_until(Instant::now() + FAR);
        for _ in 0..2 {
            // The second replaces the first.
            let polled = Pin::new(&mut sleep).poll(&mut Context::from_waker(&owner()));
            assert!(polled.is_pending());
        }
        assert_eq!(waiting(timer), 2);
        drop(sleep);
        assert_eq!(waiting(timer), 0);
    }

    #[test]
    fn a_panicking_waker_does_not_affect_others() {
        struct Panics;

        impl Wake for Panics {
            fn wake(self: Arc<Self>) {
                panic!("expected: the test wants this panic");
            }
        }

        let timer = timer();
        let deadline = Instant::now() + ms(5);
        let mut bad = timer.sleep_until(deadline);
        let waker = Waker::from(Arc::new(Panics));
        let _ = Pin::new(&mut bad).poll(&mut Context::from_waker(&waker));
        block_on(timer.sleep_until(deadline));
        block_on(timer.sleep_until(deadline + ms(5)));
        assert!(Instant::now() >= deadline + ms(5));
    }

    #[test]
    fn coinciding_deadlines_end_together() {
        let timer = timer();
        let counter = Arc::new(WakeCounter::default());
        let deadline = Instant::now() + ms(50);
        let mut sleeps: Vec<_> = (0..2_000).map(|_| timer.sleep_until(deadline)).collect();
        let pending = sleeps
            .iter_mut()
            .filter_map(|sleep| counter.poll(sleep).is_pending().then_some(()))
            .count();
        while counter.wakes() < pending {
            thread::sleep(ms(1));
        }
        assert!(Instant::now() >= deadline || pending == 0);
        assert!(
            sleeps
                .iter_mut()
                .all(|sleep| counter.poll(sleep).is_ready())
        );
        assert_eq!(waiting(timer), 0);
    }
}
