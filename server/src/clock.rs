//! Delays that end when they should: never early, and as little late as the timer allows.
//!
//! It knows deadlines and nothing of why somebody waits for one.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Waits until `delay` after `start`, and returns how long after `start` it really is.
///
/// A delay of zero does not yield.
pub(crate) async fn hold(start: Instant, delay: Duration) -> Duration {
    if !delay.is_zero() {
        Sleep::until(start + delay).await;
    }
    start.elapsed()
}

/// A future that is ready at a moment, and not before it.
#[derive(Debug)]
pub(crate) struct Sleep(Pin<Box<tokio::time::Sleep>>);

impl Sleep {
    /// Ready at `deadline`.
    pub(crate) fn until(deadline: Instant) -> Self {
        Self(Box::pin(tokio::time::sleep_until(deadline.into())))
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}
