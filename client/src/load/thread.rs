//! One thread of the load, and the requests of its connections, one after another on each.

use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use flag_host::{clock, cpu};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep_until, timeout};

use super::answer::Answer;
use super::connection::{Connection, Connector, RequestError};
use super::dispatcher::{Dispatcher, Turn, Unsent};
use super::recorder::{Exchange, Recorder, RequestOutcome};
use super::spec::Load;
use flag_host::lock;

/// How often a thread looks at itself.
const BEAT: Duration = Duration::from_millis(50);
/// How long a server has to close a connection that is not used again, before this side does.
const CLOSING: Duration = Duration::from_secs(1);

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
            let thread = Arc::clone(&self);
            sending.spawn(async move { thread.serve(place, connection).await });
        }
        let thread = Arc::clone(&self);
        let watching = tokio::spawn(async move { thread.watch_itself().await });
        tokio::select! {
            _ = sending.join_all() => {}
            _ = self.load.cancel.pause_async(Duration::MAX) => {}
        }
        watching.abort();
    }

    /// Records again and again how busy this thread is, and how late it does what is due: an answer
    /// that has arrived waits as long before it is read.
    async fn watch_itself(&self) {
        let (mut last, mut spent) = (Instant::now(), cpu::thread_time());
        loop {
            let due = last + BEAT;
            sleep_until(due.into()).await;
            let (now, spent_now) = (Instant::now(), cpu::thread_time());
            if self.dispatcher.since_warmup(now).is_some() {
                let used = spent_now
                    .zip(spent)
                    .map(|(now, before)| now.saturating_sub(before));
                let share = used.map(|used| used.as_secs_f64() / (now - last).as_secs_f64());
                let late = now.saturating_duration_since(due);
                self.record().record_beat(late, share);
            }
            (last, spent) = (now, spent_now);
        }
    }

    /// The first connections, which are not part of any request's time; none where one fails, or
    /// has no handshake in time.
    async fn open(self: &Arc<Self>, places: Range<usize>) -> Vec<(usize, Option<Connection>)> {
        let mut connecting = JoinSet::new();
        for place in places {
            let thread = Arc::clone(self);
            connecting.spawn(async move {
                let connected = timeout(thread.load.timeout, thread.connect(place)).await;
                (place, connected.ok().and_then(Result::ok))
            });
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
    async fn connect(&self, number: usize) -> Result<Connection, RequestError> {
        let connection = self.connector.connect(number).await?;
        self.record().connections += 1;
        Ok(connection)
    }

    /// Sends requests over the connection with this number until none are left.
    async fn serve(&self, place: usize, mut connection: Option<Connection>) {
        let mut free = clock::now();
        let mut limit = pin!(sleep_until(free.into()));
        loop {
            let (number, intended, counts, is_early) = match self.dispatcher.next(free) {
                Turn::Over => return,
                Turn::Unsent(unsent) => return self.give_up(&unsent),
                Turn::Send {
                    number,
                    intended,
                    counts,
                    is_early,
                } => (number, intended, counts, is_early),
            };
            let mut pending = Pending {
                thread: self,
                counts,
                intended,
                sent: None,
            };
            if let Some(intended) = intended {
                clock::client_sleep_until(intended).await;
            }
            let sent = clock::now();
            pending.sent = Some(sent);
            // From here on, any delay is the load generator's own.
            let possible = intended.map_or(free, |intended| intended.max(free));
            limit.as_mut().reset((sent + self.load.timeout).into());
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            let mut answer = Answer::new();
            let exchange = self
                .exchange(number, place, &mut connection, &mut answer, limit.as_mut())
                .await;
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            let ended = clock::now();
            pending.counts = false;
            let is_answered = exchange.is_ok();
            let (outcome, cause) = match exchange {
                Ok(outcome) => (outcome, None),
                Err(RequestError { failure, cause }) => {
                    (RequestOutcome::Failed(failure), Some((failure, cause)))
                }
            };
            if counts {
                let exchange = Exchange {
                    outcome,
                    service: ended.saturating_duration_since(sent),
                    response: ended.saturating_duration_since(intended.unwrap_or(sent)),
                    lag: sent.saturating_duration_since(possible),
                    wait: possible.saturating_duration_since(intended.unwrap_or(possible)),
                    ended: self.dispatcher.since_warmup(ended).unwrap_or_default(),
                    is_early,
                    bytes: answer.bytes,
                };
                let mut recorder = self.record();
                recorder.record(&exchange);
                if let Some((failure, cause)) = cause {
                    let path = self.load.requests.path(number);
                    recorder.explain(failure, || format!("GET {path}: {cause}"));
                }
            }
            free = ended;
            if !(is_answered && answer.keeps_alive && self.load.keep_alive)
                && let Some(mut used) = connection.take()
                && is_answered
            {
                timeout(CLOSING, used.closed()).await.ok();
                free = clock::now();
            }
        }
    }

    /// Counts requests for which no connection was free.
    pub(super) fn give_up(&self, Unsent { numbers, end }: &Unsent) {
        self.record().record_unsent(self.load.pace, numbers, *end);
    }

    /// One request and its answer, on this connection or, if there is none, on a new one.
    async fn exchange(
        &self,
        number: u64,
        place: usize,
        connection: &mut Option<Connection>,
        answer: &mut Answer,
        limit: Pin<&mut Sleep>,
    ) -> Result<RequestOutcome, RequestError> {
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
            open.request(&request, answer).await
        };
        // A server that sends without a pause leaves nothing of tokio's budget for this task, and a
        // timer would then seem never to end.
        let limit = tokio::task::coop::unconstrained(limit);
        tokio::select! {
            biased;
            exchange = exchange => exchange?,
            () = limit => return Err(RequestError::timeout(self.load.timeout)),
        }
        let status = answer.status;
        let is_planned =
            status >= 400 && (self.load.requests).is_planned(number, status, answer.is_planned);
        Ok(if is_planned {
            RequestOutcome::Planned(status)
        } else {
            RequestOutcome::Status(status)
        })
    }
}

/// A request from its turn until its end. If it is dropped before, the load was interrupted, and
/// the request was cut off, or not sent although its time had come.
struct Pending<'t> {
    thread: &'t LoadThread,
    /// Whether that is to be recorded.
    counts: bool,
    intended: Option<Instant>,
    sent: Option<Instant>,
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        if !self.counts {
            return;
        }
        let now = clock::now();
        let ended = self.thread.dispatcher.since_warmup(now).unwrap_or_default();
        let since = |moment| now.saturating_duration_since(moment);
        match (self.sent, self.intended) {
            (Some(sent), intended) => {
                let response = since(intended.unwrap_or(sent));
                self.thread
                    .record()
                    .record_cut_off(since(sent), response, ended);
            }
            (None, Some(intended)) if intended <= now => {
                self.thread.record().record_late(since(intended));
            }
            (None, _) => {}
        }
    }
}
