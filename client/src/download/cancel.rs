//! A request to end early, for threads and for tasks.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// A request to end early. Every clone of it sees the request, which also ends every pause.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<Switch>);

/// A flag that wakes threads and tasks.
#[derive(Debug, Default)]
struct Switch {
    requested: Mutex<bool>,
    threads: Condvar,
    tasks: Notify,
}

impl CancelToken {
    /// Asks to end early.
    pub fn request(&self) {
        *self.requested() = true;
        self.0.threads.notify_all();
        self.0.tasks.notify_waiters();
    }

    /// Whether it was requested.
    pub fn is_requested(&self) -> bool {
        *self.requested()
    }

    /// Lets a thread wait for `pause`; `false`, at once, when a stop is or was requested.
    pub fn pause(&self, pause: Duration) -> bool {
        let waiting = self
            .0
            .threads
            .wait_timeout_while(self.requested(), pause, |requested| !*requested);
        let (requested, _) = waiting.unwrap_or_else(PoisonError::into_inner);
        !*requested
    }

    /// Like [`pause`](Self::pause), for tasks.
    pub async fn pause_async(&self, pause: Duration) -> bool {
        let notified = self.0.tasks.notified(); // created before the check, so that no request is missed
        if self.is_requested() {
            return false;
        }
        tokio::select! {
            () = notified => {}
            () = tokio::time::sleep(pause) => {}
        }
        !self.is_requested()
    }

    /// A panic cannot leave a bool half written, so a poisoned lock is still good.
    fn requested(&self) -> MutexGuard<'_, bool> {
        let requested = self.0.requested.lock();
        requested.unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_held_in_full_unless_a_stop_is_requested() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let for_threads: &dyn Fn(&CancelToken, Duration) -> bool = &CancelToken::pause;
        let for_tasks = |cancel: &CancelToken, pause| runtime.block_on(cancel.pause_async(pause));
        let short = Duration::from_millis(20);
        for pause in [for_threads, &for_tasks] {
            let cancel = CancelToken::default();
            let start = std::time::Instant::now();
            assert!(pause(&cancel, short));
            assert!(start.elapsed() >= short);

            // Held in full, either would outlast the test.
            let other = cancel.clone();
            let requesting = std::thread::spawn(move || {
                std::thread::sleep(short);
                other.request();
            });
            assert!(!pause(&cancel, Duration::MAX));
            requesting.join().unwrap();
            assert!(!pause(&cancel, Duration::MAX));
        }
    }
}
