//! Tells those who wait that something has changed, and costs next to nothing while nobody does.
//!
//! It knows nothing of what has changed: whoever waits looks again.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flag_host::{clock, lock};
use tokio::sync::Notify;

/// A place to wait for changes, of one run or of any.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    waiting: AtomicUsize,
    any: Arc<Notify>,
    /// Only of runs for which somebody waits, so that a change wakes nobody in vain.
    of_runs: Mutex<HashMap<String, OfRun>>,
}

#[derive(Debug, Default)]
struct OfRun {
    waiting: usize,
    notify: Arc<Notify>,
}

/// One who waits, as long as it lives.
struct Waiting<'c> {
    changes: &'c Changes,
    run: Option<&'c str>,
    notify: Arc<Notify>,
}

impl<'c> Waiting<'c> {
    fn at(changes: &'c Changes, run: Option<&'c str>) -> Self {
        let notify = match run {
            None => Arc::clone(&changes.any),
            Some(run) => {
                let mut of_runs = lock(&changes.of_runs);
                let of_run = of_runs.entry(run.to_owned()).or_default();
                of_run.waiting += 1;
                Arc::clone(&of_run.notify)
            }
        };
        changes.waiting.fetch_add(1, Ordering::SeqCst);
        Self {
            changes,
            run,
            notify,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.changes.waiting.fetch_sub(1, Ordering::SeqCst);
        if let Some(run) = self.run {
            let mut of_runs = lock(&self.changes.of_runs);
            if let Some(of_run) = of_runs.get_mut(run) {
                of_run.waiting -= 1;
                if of_run.waiting == 0 {
                    of_runs.remove(run);
                }
            }
        }
    }
}

impl Changes {
    /// Something has changed of this run. What it was has to be visible before this, in the one
    /// order of all sequentially consistent operations or under a lock.
    pub(crate) fn tell(&self, run: &str) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            let of_run = lock(&self.of_runs)
                .get(run)
                .map(|of_run| Arc::clone(&of_run.notify));
            if let Some(notify) = of_run {
                notify.notify_waiters();
            }
            self.any.notify_waiters();
        }
    }

    /// Waits until this holds, which depends on one run or on any, at most for `timeout`, and
    /// returns whether it does.
    pub(crate) async fn wait_until(
        &self,
        run: Option<&str>,
        timeout: Duration,
        mut holds: impl FnMut() -> bool,
    ) -> bool {
        let waiting = Waiting::at(self, run); // before the first look, so that no change is missed
        let start = clock::now();
        let mut over = pin!(clock::hold(start, timeout));
        loop {
            let changed = waiting.notify.notified();
            if holds() {
                return true;
            }
            tokio::select! {
                biased;
                () = changed => {}
                _ = &mut over => return holds(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_change_is_missed() {
        for number in 0..2_000 {
            let run = (number % 2 == 0).then_some("mine");
            let changes = Arc::new((Changes::default(), AtomicBool::new(false)));
            let shared = Arc::clone(&changes);
            let waiting = tokio::spawn(async move {
                let (changes, is_true) = &*shared;
                let holds = || is_true.load(Ordering::SeqCst);
                changes.wait_until(run, LONG, holds).await
            });
            changes.1.store(true, Ordering::SeqCst);
            changes.0.tell("mine");
            assert!(waiting.await.unwrap());
            assert_eq!(changes.0.waiting.load(Ordering::SeqCst), 0);
            assert!(lock(&changes.0.of_runs).is_empty());
        }
    }

    #[tokio::test]
    async fn a_change_of_another_run_wakes_nobody() {
        let changes = Changes::default();
        let mut looks = 0;
        let holds = || {
            looks += 1;
            looks > 2
        };
        let mut waiting = pin!(changes.wait_until(Some("mine"), LONG, holds));
        for (run, is_over) in [
            ("yours", false),
            ("mine", false),
            ("", false),
            ("mine", true),
        ] {
            let now = std::future::poll_fn(|cx| {
                std::task::Poll::Ready(waiting.as_mut().poll(cx).is_ready())
            });
            assert!(!now.await, "{run}");
            changes.tell(run);
            if is_over {
                assert!(waiting.as_mut().await);
            }
        }
    }

    #[tokio::test]
    async fn what_holds_needs_no_time_and_what_never_holds_ends_with_it() {
        let changes = Changes::default();
        for run in [None, Some("mine")] {
            assert!(changes.wait_until(run, Duration::ZERO, || true).await);
            assert!(!changes.wait_until(run, Duration::ZERO, || false).await);
            let short = Duration::from_millis(5);
            assert!(!changes.wait_until(run, short, || false).await);
        }
    }
}
