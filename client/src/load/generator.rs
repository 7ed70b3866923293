//! A load generator: many requests over some connections, in a closed or an open loop, and what became of them.
//!
//! ```text
//! Load ──▶ thread ─┬─▶ connection ─┐                        ┌ Recorder of the thread ┐
//!          thread  ├─▶ connection ─┼─ Turn ─▶ Exchange ──▶  │ histograms, counts     │ ──▶ Recorder of the load
//!            ⋮     └─▶    ⋮      ──┘                        └────────────────────────┘
//! ```
//!
//! Every thread has a runtime of its own and its share of the connections. A connection asks for its next [`Turn`](super::dispatcher::Turn), waits until that is
//! intended, sends it, and records it. In an open loop a turn waits for a free connection, not for an answer, and
//! its response time counts from when it was intended: a server that stalls is charged for every request that should have been sent
//! meanwhile (G. Tene's remedy for *coordinated omission*).

use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Barrier, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Url;
use thiserror::Error;
use tokio::task::JoinSet;

use super::connection::{Connection, Connector};
use super::dispatcher::Turns;
use super::recorder::Recorder;
use super::requests::Requests;
use super::schedule::{End, Pace};
use crate::download::{SetupError, Stop};
use crate::os::cpu;

/// How often a watcher is told.
pub const TICK: Duration = Duration::from_millis(200);

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where the connections go.
    pub url: Url,
    /// What is sent.
    pub requests: Requests,
    /// How many connections there are.
    pub connections: NonZeroUsize,
    /// How many threads share them.
    pub threads: NonZeroUsize,
    /// How requests follow each other.
    pub pace: Pace,
    /// Which of them count.
    pub end: End,
    /// How long requests are sent before they count.
    pub warmup: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// Whether a connection serves more than one.
    pub keep_alive: bool,
    /// Ends it early.
    pub stop: Stop,
}

/// What became of it.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// All requests that count.
    pub recorder: Recorder,
    /// From the first of them until the last answer.
    pub elapsed: Duration,
    /// The processor time of this program for each of them, user and system; none where it is not known.
    pub cpu_per_request: Option<Duration>,
    /// Whether it was stopped: what was under way then is not in it.
    pub interrupted: bool,
}

/// Where it is.
#[derive(Debug)]
pub struct Progress<'a> {
    /// Since the warm-up; none before its end.
    pub elapsed: Option<Duration>,
    /// Requests that have been sent and not been answered.
    pub in_flight: usize,
    /// All that count until now.
    pub total: &'a Recorder,
    /// What came since the last time.
    pub recent: &'a Recorder,
    /// How long ago that is.
    pub recent_time: Duration,
}

/// Why there is no load.
#[derive(Debug, Error)]
pub enum LoadError {
    /// No HTTP.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// No thread, or no runtime.
    #[error("cannot start the threads of the load ({0}); raise the limit of processes")]
    Threads(#[from] io::Error),
}

/// Makes the load. `watch` is told a few times a second how far it is, and at the end.
///
/// # Errors
/// When there are no threads for it, or no certificates for an `https` URL.
pub fn run(load: &Load, mut watch: impl FnMut(&Progress<'_>)) -> Result<Outcome, LoadError> {
    let load = Arc::new(load.clone());
    let connector = Connector::new(&load)?;
    let threads = load.threads.min(load.connections);
    let turns = Arc::new(Turns::new(&load));
    // Nobody begins before all have their first connections.
    let ready = Arc::new(Barrier::new(threads.get()));
    // Nothing is sent through it: it closes when the last thread ends.
    let (working, all_ended) = mpsc::channel::<()>();

    let (mut stations, mut running) = (Vec::new(), Vec::new());
    for index in 0..threads.get() {
        let station = Arc::new(Station {
            load: Arc::clone(&load),
            connector: connector.clone(),
            turns: Arc::clone(&turns),
            recorder: Mutex::default(),
            in_flight: AtomicUsize::new(0),
        });
        stations.push(Arc::clone(&station));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let places = places(load.connections, threads, index);
        let (ready, working) = (Arc::clone(&ready), working.clone());
        let thread = thread::Builder::new().name(format!("load-{index}"));
        running.push(thread.spawn(move || {
            let _working = working;
            runtime.block_on(station.run(places, &ready));
        })?);
    }
    drop(working);

    let mut total = Recorder::default();
    let (mut recent, mut spare) = (Recorder::default(), Recorder::default());
    let mut last = Instant::now();
    let mut spent = Spent::default();
    loop {
        let is_over = all_ended.recv_timeout(TICK) == Err(RecvTimeoutError::Disconnected);
        for station in &stations {
            // The threads must not wait for the sum.
            std::mem::swap(&mut *station.record(), &mut spare);
            recent.add(&spare);
            spare.clear();
        }
        total.add(&recent);
        let now = Instant::now();
        let elapsed = turns.since_warmup(now);
        if elapsed.is_some() {
            spent.look(total.requests());
        }
        watch(&Progress {
            elapsed,
            in_flight: stations.iter().map(|station| station.in_flight()).sum(),
            total: &total,
            recent: &recent,
            recent_time: now.saturating_duration_since(last),
        });
        recent.clear();
        last = now;
        if is_over {
            break;
        }
    }
    for thread in running {
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    }
    Ok(Outcome {
        elapsed: turns.elapsed(),
        cpu_per_request: spent.per_request(),
        interrupted: load.stop.is_requested(),
        recorder: total,
    })
}

/// The numbers of the connections that are this thread's: as many as the others have, or one more.
fn places(connections: NonZeroUsize, threads: NonZeroUsize, index: usize) -> Range<usize> {
    let begin = |index| connections.get() * index / threads.get();
    begin(index)..begin(index + 1)
}

/// The processor time that requests have cost, from the first look to the last.
#[derive(Debug, Default)]
struct Spent {
    first: Option<(Duration, u64)>,
    last: Option<(Duration, u64)>,
}

impl Spent {
    fn look(&mut self, requests: u64) {
        self.last = cpu::client_time().map(|time| (time, requests));
        self.first = self.first.or(self.last);
    }

    fn per_request(&self) -> Option<Duration> {
        let ((before, some), (after, all)) = self.first.zip(self.last)?;
        let requests = all.checked_sub(some).filter(|requests| *requests > 0)?;
        let spent = after.saturating_sub(before);
        Some(Duration::from_secs_f64(
            spent.as_secs_f64() / requests as f64,
        ))
    }
}

/// One thread, and what its connections share.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) load: Arc<Load>,
    pub(super) connector: Connector,
    pub(super) turns: Arc<Turns>,
    pub(super) recorder: Mutex<Recorder>,
    pub(super) in_flight: AtomicUsize,
}

impl Station {
    async fn run(self: Arc<Self>, places: Range<usize>, ready: &Barrier) {
        let opened = self.open(places).await;
        ready.wait();
        self.turns.begin();
        let mut sending = JoinSet::new();
        for (place, connection) in opened {
            let station = Arc::clone(&self);
            sending.spawn(async move { station.serve(place, connection).await });
        }
        tokio::select! {
            _ = sending.join_all() => {}
            _ = self.load.stop.pause_async(Duration::MAX) => {}
        }
    }

    /// The first connections, which are no part of any request's time; none where one cannot be made.
    async fn open(self: &Arc<Self>, places: Range<usize>) -> Vec<(usize, Option<Connection>)> {
        let mut connecting = JoinSet::new();
        for place in places {
            let station = Arc::clone(self);
            connecting.spawn(async move { (place, station.connect(place).await.ok()) });
        }
        connecting.join_all().await
    }

    pub(super) fn record(&self) -> MutexGuard<'_, Recorder> {
        // A panic under it ends the load anyway.
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }
}
