//! The end of a server, as its requests see it: whoever can be answered in time is, whoever cannot is told so at once.
//!
//! It knows when all has to be over, and counts what became of the requests that were in flight. It knows nothing of
//! connections: [`listener`](super::listener) ends those.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::response::{IntoResponse, Response};
use flag_host::clock;
use tokio::sync::watch;

/// How long the last words of a request may take, once its time is over.
pub(crate) const LAST_WORDS: Duration = Duration::from_millis(250);

/// What became of the requests that were in flight when a server was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Those that were answered as planned.
    pub answered: u64,
    /// Those that were answered with a 503, because the grace period was too short for their plan.
    pub refused: u64,
    /// The connections that were still busy at the end, and were cut off.
    pub cut_off: usize,
}

/// What all requests of a server watch while they wait.
#[derive(Debug)]
pub(crate) struct Closing {
    /// When all has to be over, once it is known.
    curfew: watch::Sender<Option<Instant>>,
    answered: AtomicU64,
    refused: AtomicU64,
}

impl Closing {
    pub(crate) fn new() -> Self {
        Self {
            curfew: watch::Sender::new(None),
            answered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Tells everybody to be done by then. What was said first holds.
    pub(crate) fn tell(&self, curfew: Instant) {
        self.curfew.send_if_modified(|told| {
            let is_new = told.is_none();
            told.get_or_insert(curfew);
            is_new
        });
    }

    /// Whether the server is told to stop.
    pub(crate) fn is_told(&self) -> bool {
        self.curfew.borrow().is_some()
    }

    /// Waits until the server is told to stop, and returns when all has to be over.
    pub(crate) fn told(&self) -> impl Future<Output = Instant> + Send + 'static {
        let mut curfew = self.curfew.subscribe();
        async move {
            loop {
                if let Some(curfew) = *curfew.borrow_and_update() {
                    return curfew;
                }
                // A server that is gone without a word has aborted its tasks, or is about to.
                if curfew.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Waits until `delay` after `start` and returns how long after `start` it is, as [`clock::hold`] does.
    ///
    /// # Errors
    /// With the answer to a request that would have to wait until after the curfew, as soon as that is known.
    pub(crate) async fn hold(&self, start: Instant, delay: Duration) -> Result<Duration, Response> {
        if delay.is_zero() {
            return Ok(start.elapsed());
        }
        let mut wait = std::pin::pin!(clock::hold(start, delay));
        let curfew = tokio::select! {
            biased;
            waited = &mut wait => return Ok(waited),
            curfew = self.told() => curfew,
        };
        if start.checked_add(delay).is_none_or(|end| end > curfew) {
            return Err(self.refuse());
        }
        Ok(wait.await)
    }

    /// Waits for what takes nobody knows how long.
    ///
    /// # Errors
    /// With the answer to a request for which it has not happened by the curfew.
    pub(crate) async fn wait_for<T>(&self, event: impl Future<Output = T>) -> Result<T, Response> {
        let curfew = async { clock::sleep_until(self.told().await).await };
        tokio::select! {
            biased;
            it = event => Ok(it),
            () = curfew => Err(self.refuse()),
        }
    }

    /// What one that waits step by step watches.
    pub(crate) fn curfew(self: &Arc<Self>) -> Curfew {
        Curfew::Unwatched(Arc::clone(self))
    }

    /// A request was answered that was in flight when the server was told to stop.
    pub(crate) fn count_answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// What became of those in flight, when so many connections had to be cut off.
    pub(crate) fn stopped(&self, cut_off: usize) -> Stopped {
        Stopped {
            answered: self.answered.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            cut_off,
        }
    }

    fn refuse(&self) -> Response {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let headers = [(RETRY_AFTER, "1"), (CONNECTION, "close")];
        let text = "the server is stopping\n";
        (StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response()
    }
}

/// When all has to be over, for one that waits step by step. It costs nothing until it is asked.
pub(crate) enum Curfew {
    /// Nobody has asked.
    Unwatched(Arc<Closing>),
    /// To be told.
    Watched(Pin<Box<dyn Future<Output = Instant> + Send>>),
    /// Told.
    At(Instant),
}

impl Curfew {
    /// When all has to be over; none until the server is told to stop, upon which the task is woken.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Option<Instant> {
        if let Self::Unwatched(closing) = self {
            *self = Self::Watched(Box::pin(closing.told()));
        }
        if let Self::Watched(told) = self
            && let Poll::Ready(curfew) = told.as_mut().poll(cx)
        {
            *self = Self::At(curfew);
        }
        match self {
            Self::At(curfew) => Some(*curfew),
            _ => None,
        }
    }
}
