//! One thread of the load, and the requests of its connections, one after another on each.

use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, MutexGuard};
use std::time::Duration;

use flag_host::clock;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep_until};

use super::answer::Answer;
use super::connection::{Connection, Connector};
use super::dispatcher::{Dispatcher, Turn};
use super::recorder::{Exchange, Recorder, RequestOutcome};
use super::spec::Load;
use crate::result::Failure;
use flag_host::lock;

/// One thread, and the state that its connections share.
#[derive(Debug)]
pub(super) struct LoadThread {
    pub(super) load: Arc<Load>,
    pub(super) connector: Connector,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) recorder: Mutex<Recorder>,
    pub(super) in_flight: AtomicUsize,
}

impl LoadThread {
    pub(super) async fn run(self: Arc<Self>, places: Range<usize>, ready: &Barrier) {
        let opened = self.open(places).await;
        ready.wait();
        self.dispatcher.begin();
        let mut sending = JoinSet::new();
        for (place, connection) in opened {
            let station = Arc::clone(&self);
            sending.spawn(async move { station.serve(place, connection).await });
        }
        tokio::select! {
            _ = sending.join_all() => {}
            _ = self.load.cancel.pause_async(Duration::MAX) => {}
        }
    }

    /// The first connections, which are not part of any request's time; none where one fails.
    async fn open(self: &Arc<Self>, places: Range<usize>) -> Vec<(usize, Option<Connection>)> {
        let mut connecting = JoinSet::new();
        for place in places {
            let station = Arc::clone(self);
            connecting.spawn(async move { (place, station.connect(place).await.ok()) });
        }
        connecting.join_all().await
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Recorder> {
        lock(&self.recorder)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Makes a connection, and counts it.
    async fn connect(&self, number: usize) -> Result<Connection, Failure> {
        let connection = self.connector.connect(number).await?;
        self.record().connections += 1;
        Ok(connection)
    }

    /// Sends requests over the connection with this number until none are left.
    async fn serve(&self, place: usize, mut connection: Option<Connection>) {
        let mut free = clock::now();
        let mut limit = pin!(sleep_until(free.into()));
        loop {
            let (number, intended, counts) = match self.dispatcher.next(free) {
                Turn::Over => return,
                Turn::Unsent(count) => {
                    self.record().unsent += count;
                    return;
                }
                Turn::Send {
                    number,
                    intended,
                    counts,
                } => (number, intended, counts),
            };
            if let Some(intended) = intended {
                clock::sleep_until(intended).await;
            }
            let sent = clock::now();
            // From here on, any delay is the load generator's own.
            let possible = intended.map_or(free, |intended| intended.max(free));
            limit.as_mut().reset((sent + self.load.timeout).into());
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            let mut answer = Answer::new();
            let outcome = self
                .exchange(number, place, &mut connection, &mut answer, limit.as_mut())
                .await;
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            free = clock::now();
            if counts {
                let exchange = Exchange {
                    outcome,
                    service: free.saturating_duration_since(sent),
                    response: free.saturating_duration_since(intended.unwrap_or(sent)),
                    lag: sent.saturating_duration_since(possible),
                    bytes: answer.bytes,
                };
                self.dispatcher.record_answer(free);
                self.record().record(&exchange);
            }
        }
    }

    /// One request and its answer, on this connection or, if there is none, on a new one.
    async fn exchange(
        &self,
        number: u64,
        place: usize,
        connection: &mut Option<Connection>,
        answer: &mut Answer,
        limit: Pin<&mut Sleep>,
    ) -> RequestOutcome {
        let exchange = async {
            if let Some(open) = connection
                && open.has_ended().await
            {
                *connection = None; // closed by the server while idle
            }
            let open = match &mut *connection {
                Some(open) => open,
                none => none.insert(self.connect(place).await?),
            };
            let request = self.load.requests.request(number);
            open.request(request, answer).await
        };
        let exchange = tokio::select! {
            biased;
            exchange = exchange => exchange,
            () = limit => Err(Failure::Timeout),
        };
        if exchange.is_err() || !answer.keeps_alive || !self.load.keep_alive {
            *connection = None;
        }
        match exchange {
            Ok(()) => RequestOutcome::Status(answer.status),
            Err(failure) => RequestOutcome::Failed(failure),
        }
    }
}
