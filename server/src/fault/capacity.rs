//! A server that can do so much and no more: workers, a queue in front of them, and a refusal beyond it.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use flag_host::clock;
use tokio::sync::Semaphore;

use super::status::whole_seconds;
use crate::scenario::Capacity;

/// The workers of one listener and their queue.
#[derive(Debug)]
pub(super) struct Station {
    workers: Semaphore,
    /// The places of those who work and those who wait.
    places: Semaphore,
}

impl Station {
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

    /// Waits for a worker and is worked on for `service_time`.
    ///
    /// # Errors
    /// With the answer to a request for which there is no place.
    pub(super) async fn serve(&self, service_time: Duration) -> Result<(), Response> {
        let Ok(_place) = self.places.try_acquire() else {
            // By then at least one of those who are served now is done.
            let retry_after = [(
                RETRY_AFTER,
                whole_seconds(service_time.max(Duration::from_secs(1))),
            )];
            return Err((
                StatusCode::SERVICE_UNAVAILABLE,
                retry_after,
                "the queue is full\n",
            )
                .into_response());
        };
        // Never closed, so there is always a worker in the end.
        let _worker = self.workers.acquire().await;
        clock::hold(Instant::now(), service_time).await;
        Ok(())
    }
}
