//! Tells those who wait that something has changed, and costs next to nothing while nobody does.
//!
//! It knows nothing of what has changed: whoever waits looks again.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flag_host::clock;
use tokio::sync::Notify;

/// A place to wait for changes.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    waiting: AtomicUsize,
    notify: Notify,
}

/// One who waits, as long as it lives.
struct Waiting<'c>(&'c AtomicUsize);

impl<'c> Waiting<'c> {
    fn at(changes: &'c Changes) -> Self {
        changes.waiting.fetch_add(1, Ordering::SeqCst);
        Self(&changes.waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Changes {
    /// Something has changed. What it was has to be visible before this, in the one order of all
    /// sequentially consistent operations or under a lock.
    pub(crate) fn tell(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.notify.notify_waiters();
        }
    }

    /// Waits until this holds, at most for `timeout`, and returns whether it does.
    pub(crate) async fn wait_until(
        &self,
        timeout: Duration,
        mut holds: impl FnMut() -> bool,
    ) -> bool {
        let _waiting = Waiting::at(self); // before the first look, so that no change is missed
        let start = clock::now();
        let mut over = pin!(clock::hold(start, timeout));
        loop {
            let changed = self.notify.notified();
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
        for _ in 0..2_000 {
            let changes = Arc::new((Changes::default(), AtomicBool::new(false)));
            let shared = Arc::clone(&changes);
            let waiting = tokio::spawn(async move {
                let (changes, is_true) = &*shared;
                let holds = || is_true.load(Ordering::SeqCst);
                changes.wait_until(LONG, holds).await
            });
            changes.1.store(true, Ordering::SeqCst);
            changes.0.tell();
            assert!(waiting.await.unwrap());
            assert_eq!(changes.0.waiting.load(Ordering::SeqCst), 0);
        }
    }

    #[tokio::test]
    async fn what_holds_needs_no_time_and_what_never_holds_ends_with_it() {
        let changes = Changes::default();
        assert!(changes.wait_until(Duration::ZERO, || true).await);
        assert!(!changes.wait_until(Duration::ZERO, || false).await);
        assert!(!changes.wait_until(Duration::from_millis(5), || false).await);
    }
}
