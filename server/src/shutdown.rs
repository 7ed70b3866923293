//! Graceful shutdown, as requests see it: those that can be answered before the deadline are
//! answered, the others get a 503 at once.
//!
//! It knows the deadline, and counts what became of the requests in flight. Connections are the
//! listener's.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::http::header::{CONNECTION, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use flag_host::clock;
use tokio::sync::watch;

use crate::response::{Complete, text_response};

/// How long writing a refusal may take after the deadline.
pub(crate) const REFUSAL_GRACE: Duration = Duration::from_millis(250);

/// How long writing the decision log may take after the last connection has ended, also if that is
/// after the deadline. With the usual grace period all is over in less than the 10 seconds after
/// which a container engine kills.
pub(crate) const LOG_GRACE: Duration = Duration::from_secs(1);

/// What became of the requests that were in flight when a shutdown was requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// Those that were answered as planned.
    pub answered: u64,
    /// Those that were answered with a 503, because the grace period was too short for their plan.
    pub refused: u64,
    /// The connections that were still busy at the end, and were cut off.
    pub cut_off: usize,
    /// Those that had nothing more to come than a planned silence: a stall, or the one before a
    /// planned break. They were cut off too, and are not counted in `cut_off`.
    pub silent: usize,
    /// The records that are missing from the decision log, because it could not be written, or not
    /// as fast as they came.
    pub lost_records: u64,
}

/// The connections of a listener that were still busy at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Unfinished {
    pub(crate) cut_off: usize,
    pub(crate) silent: usize,
}

/// What all requests of a server watch while they wait.
#[derive(Debug)]
pub(crate) struct Shutdown {
    /// By when all has to be over, once it is known.
    deadline: watch::Sender<Option<Instant>>,
    /// Whether connections that are busy are cut off now.
    at_once: watch::Sender<bool>,
    answered: AtomicU64,
    refused: AtomicU64,
}

impl Shutdown {
    pub(crate) fn new() -> Self {
        Self {
            deadline: watch::Sender::new(None),
            at_once: watch::Sender::new(false),
            answered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Requests it. The first deadline holds.
    pub(crate) fn request(&self, deadline: Instant) {
        self.deadline.send_if_modified(|requested| {
            let is_new = requested.is_none();
            requested.get_or_insert(deadline);
            is_new
        });
    }

    /// Asks for the end of what is still under way.
    pub(crate) fn hurry(&self) {
        self.at_once.send_replace(true);
    }

    /// Waits until that is asked for.
    pub(crate) fn hurried(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut at_once = self.at_once.subscribe();
        async move {
            if at_once.wait_for(|at_once| *at_once).await.is_err() {
                std::future::pending().await // as in `requested`
            }
        }
    }

    /// Whether it is requested.
    pub(crate) fn is_requested(&self) -> bool {
        self.deadline.borrow().is_some()
    }

    /// Waits until it is requested, and returns the deadline.
    pub(crate) fn requested(&self) -> impl Future<Output = Instant> + Send + 'static {
        let mut deadline = self.deadline.subscribe();
        async move {
            loop {
                if let Some(deadline) = *deadline.borrow_and_update() {
                    return deadline;
                }
                // A server that was dropped has aborted its tasks, or is about to.
                if deadline.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }

    /// Waits until `delay` after `start` and returns how long after `start` it is, as
    /// [`clock::hold`] does.
    ///
    /// # Errors
    /// With the answer to a request that would have to wait until after the deadline, as soon as
    /// that is known.
    pub(crate) async fn hold(&self, start: Instant, delay: Duration) -> Result<Duration, Complete> {
        if delay.is_zero() {
            return Ok(clock::now().saturating_duration_since(start));
        }
        let mut wait = std::pin::pin!(clock::hold(start, delay));
        let deadline = tokio::select! {
            biased;
            waited = &mut wait => return Ok(waited),
            deadline = self.requested() => deadline,
        };
        if start.checked_add(delay).is_none_or(|end| end > deadline) {
            return Err(self.refuse());
        }
        Ok(wait.await)
    }

    /// Waits for an operation without a deadline of its own.
    ///
    /// # Errors
    /// With the answer to a request for which it has not happened by the deadline.
    pub(crate) async fn wait_for<T>(&self, event: impl Future<Output = T>) -> Result<T, Complete> {
        let deadline = async { clock::sleep_until(self.requested().await).await };
        tokio::select! {
            biased;
            it = event => Ok(it),
            () = deadline => Err(self.refuse()),
        }
    }

    /// The deadline, for a body that waits piece by piece.
    pub(crate) fn deadline(self: &Arc<Self>) -> Deadline {
        Deadline::Unwatched(Arc::clone(self))
    }

    /// Counts a request that was answered although it was in flight.
    pub(crate) fn count_answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// What became of the requests in flight, when these connections were still busy at the end,
    /// and this many records are lost.
    pub(crate) fn stopped(&self, unfinished: Unfinished, lost_records: u64) -> Stopped {
        let Unfinished { cut_off, silent } = unfinished;
        Stopped {
            answered: self.answered.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            cut_off,
            silent,
            lost_records,
        }
    }

    fn refuse(&self) -> Complete {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let mut refusal = text_response(status, "the server is stopping\n");
        let headers = refusal.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        refusal
    }
}

/// The deadline of a shutdown that may be requested. It costs nothing until it is polled.
pub(crate) enum Deadline {
    /// Not polled yet.
    Unwatched(Arc<Shutdown>),
    /// Not requested yet.
    Watched(Pin<Box<dyn Future<Output = Instant> + Send>>),
    /// Requested.
    At(Instant),
}

impl Deadline {
    /// The deadline; none until the shutdown is requested, upon which the task is woken.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Option<Instant> {
        if let Self::Unwatched(shutdown) = self {
            *self = Self::Watched(Box::pin(shutdown.requested()));
        }
        if let Self::Watched(requested) = self
            && let Poll::Ready(deadline) = requested.as_mut().poll(cx)
        {
            *self = Self::At(deadline);
        }
        match self {
            Self::At(deadline) => Some(*deadline),
            _ => None,
        }
    }
}
