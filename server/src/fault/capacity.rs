//! Limited capacity: workers, a queue in front of them, and a refusal when the queue is full.

use std::time::Duration;

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use flag_host::clock;
use tokio::sync::Semaphore;

use super::status::whole_seconds;
use crate::response::{Complete, text_response};
use crate::scenario::Capacity;

/// The workers of one listener and their queue.
#[derive(Debug)]
pub(super) struct Workers {
    workers: Semaphore,
    /// One for each request that is served or waits.
    places: Semaphore,
}

impl Workers {
    pub(super) fn new(capacity: &Capacity) -> Self {
        let workers = capacity.workers.get() as usize;
        let places = workers
            .saturating_add(capacity.queue as usize)
            .min(Semaphore::MAX_PERMITS);
        Self {
            workers: Semaphore::new(workers),
            places: Semaphore::new(places),
        }
    }

    /// Waits for a worker, who is busy for `service_time`.
    ///
    /// # Errors
    /// With the answer to a request for which the queue has no place.
    pub(super) async fn serve(&self, service_time: Duration) -> Result<(), Complete> {
        let Ok(_place) = self.places.try_acquire() else {
            let status = StatusCode::SERVICE_UNAVAILABLE;
            let mut refusal = text_response(status, "the queue is full\n");
            // By then at least one of the requests that are served now is done.
            let pause = whole_seconds(service_time.max(Duration::from_secs(1)));
            refusal.headers_mut().insert(RETRY_AFTER, pause);
            return Err(refusal);
        };
        // Never closed, so there is always a worker in the end.
        let _worker = self.workers.acquire().await;
        clock::hold(clock::now(), service_time).await;
        Ok(())
    }
}
