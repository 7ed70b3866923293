//! What time it is. Whatever waits with this clock reads the time here too, so that both agree in a
//! test in which time stands still.

#[cfg(feature = "test-util")]
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

/// The time, while it stands still.
#[cfg(feature = "test-util")]
static STOPPED: RwLock<Option<Instant>> = RwLock::new(None);

/// The time of this clock: the system's, unless a test has paused it.
pub fn now() -> Instant {
    #[cfg(feature = "test-util")]
    if let Some(stopped) = stopped() {
        return stopped;
    }
    Instant::now()
}

/// The time at which it stands still, if it does.
#[cfg(feature = "test-util")]
pub(super) fn stopped() -> Option<Instant> {
    *STOPPED.read().unwrap_or_else(PoisonError::into_inner)
}

/// Stops the time at this moment, or lets it go on.
#[cfg(feature = "test-util")]
pub(super) fn stop(at: Option<Instant>) {
    *STOPPED.write().unwrap_or_else(PoisonError::into_inner) = at;
}
