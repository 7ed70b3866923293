//! A load generator: many requests over some connections, in a closed or an open loop, and their
//! results.
//!
//! ```text
//! Load ──▶ thread ─┬─▶ connection ─┐                        ┌ Recorder of the thread ┐
//!          thread  ├─▶ connection ─┼─ Turn ─▶ Exchange ──▶  │ histograms, counts     │ ──▶ total
//!            ⋮     └─▶    ⋮      ──┘                        └────────────────────────┘
//! ```
//!
//! Every thread has a runtime of its own and its share of the connections. A connection asks for
//! its next [`Turn`](super::dispatcher::Turn), waits until that is intended, sends it, and records
//! it. In an open loop a turn waits for a free connection, not for an answer, and its response time
//! counts from when it was intended: a server that stalls is charged for every request that should
//! have been sent meanwhile (G. Tene's remedy for *coordinated omission*).

use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use flag_host::{Neighbours, clock, cpu};
use thiserror::Error;

use super::connection::Connector;
use super::dispatcher::Dispatcher;
use super::outcome::LoadOutcome;
use super::recorder::Recorder;
use super::spec::Load;
use super::thread::LoadThread;
use crate::download::SetupError;

/// How often progress is reported.
pub const TICK: Duration = Duration::from_millis(200);

/// The progress of a load.
#[derive(Debug)]
pub struct Progress<'a> {
    /// The time since the warm-up; none before its end.
    pub elapsed: Option<Duration>,
    /// Requests that were sent and not answered yet.
    pub in_flight: usize,
    /// All requests so far that count.
    pub total: &'a Recorder,
    /// The requests since the last report.
    pub recent: &'a Recorder,
    /// The time since the last report.
    pub recent_time: Duration,
}

/// Why a load cannot start.
#[derive(Debug, Error)]
pub enum LoadError {
    /// HTTP cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// A thread or a runtime cannot be started.
    #[error("cannot start the threads of the load ({0}); raise the limit of processes")]
    Threads(#[from] io::Error),
}

/// Makes the load. Progress is reported to `watch` a few times a second, and at the end.
///
/// # Errors
/// When its threads cannot be started, or certificates for an `https` URL are missing.
pub fn run(load: &Load, mut watch: impl FnMut(&Progress<'_>)) -> Result<LoadOutcome, LoadError> {
    let mut load = load.clone();
    if !load.keep_alive {
        load.requests = load.requests.closing();
    }
    let load = Arc::new(load);
    let connector = Connector::new(&load)?;
    let threads = load.threads.min(load.connections);
    let dispatcher = Arc::new(Dispatcher::new(&load));
    // No thread begins before all have their first connections.
    let ready = Arc::new(Barrier::new(threads.get()));
    // Nothing is sent through it: it closes when the last thread ends.
    let (working, all_ended) = mpsc::channel::<()>();

    let (mut load_threads, mut running) = (Vec::new(), Vec::new());
    for index in 0..threads.get() {
        let load_thread = Arc::new(LoadThread {
            load: Arc::clone(&load),
            connector: connector.clone(),
            dispatcher: Arc::clone(&dispatcher),
            recorder: Mutex::default(),
            in_flight: AtomicUsize::new(0),
        });
        load_threads.push(Arc::clone(&load_thread));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let places = places(load.connections, threads, index);
        let (ready, working) = (Arc::clone(&ready), working.clone());
        let thread = thread::Builder::new().name(format!("load-{index}"));
        running.push(thread.spawn(move || {
            let _working = working;
            runtime.block_on(load_thread.run(places, &ready));
            // What is under way is cut off, and is recorded before the thread counts as ended.
            drop(runtime);
        })?);
    }
    drop(working);

    let mut total = Recorder::default();
    let (mut recent, mut spare) = (Recorder::default(), Recorder::default());
    let mut last = clock::now();
    let mut spent = CpuCost::default();
    let mut neighbours = None;
    loop {
        let is_over = all_ended.recv_timeout(TICK) == Err(RecvTimeoutError::Disconnected);
        if is_over
            && load.cancel.is_requested()
            && let Some(unsent) = dispatcher.interrupt(clock::now())
        {
            load_threads[0].give_up(&unsent);
        }
        for load_thread in &load_threads {
            // The threads must not wait while the results are added up.
            std::mem::swap(&mut *load_thread.record(), &mut spare);
            recent.add(&spare);
            spare.clear();
        }
        total.add(&recent);
        let now = clock::now();
        let elapsed = dispatcher.since_warmup(now);
        if elapsed.is_some() {
            spent.sample(total.requests());
            neighbours = neighbours.or_else(Neighbours::watch);
        }
        watch(&Progress {
            elapsed,
            in_flight: load_threads
                .iter()
                .map(|load_thread| load_thread.in_flight())
                .sum(),
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
    Ok(LoadOutcome {
        cpu_per_request: spent.per_request(),
        neighbours: neighbours.and_then(|neighbours| neighbours.so_far()),
        interrupted: load.cancel.is_requested(),
        recorder: total,
    })
}

/// The numbers of this thread's connections: split evenly, so that threads differ by one at most.
fn places(connections: NonZeroUsize, threads: NonZeroUsize, index: usize) -> Range<usize> {
    let begin = |index| connections.get() * index / threads.get();
    begin(index)..begin(index + 1)
}

/// The processor time that requests have cost, between the first sample and the last.
#[derive(Debug, Default)]
struct CpuCost {
    first: Option<(Duration, u64)>,
    last: Option<(Duration, u64)>,
}

impl CpuCost {
    fn sample(&mut self, requests: u64) {
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
