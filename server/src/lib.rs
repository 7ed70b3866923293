//! A local HTTP server of flags with configurable, *reproducible* latency and faults.
//!
//! # The journey of one request
//!
//! ```text
//!            ┌ serve ─────────┐   ┌ fault ───────────────────────────────────────────┐   ┌ app ───────────┐
//! client ──▶ │ accept, TLS,   │──▶│ identify: run, method, path, attempt             │   │                │
//!            │ HTTP, limits   │   │   │                                              │   │                │
//!            └────────────────┘   │   ▼             ┌ scenario ───────────────────┐  │   │                │
//!                    ▲            │ Plan ◀──────────│ Planner: a pure function    │  │   │                │
//!                    │            │   │             │ of seed and request         │  │   │                │
//!                    │            │   ▼             └─────────────────────────────┘  │   │                │
//!                    │            │ capacity: a worker, a queue, or 503              │   │                │
//!                    │            │   ▼                                              │   │                │
//!                    │            │ hold the delay (clock)                           │   │ route → asset  │
//!                    │            │   │                                              │   │      or list   │
//!                    │            │   ├─ no ending, or one of the body ──────────────│──▶│   │            │
//!        RST, FIN,   │            │   ├─ reset, close, garbage, stall ──▶ Broken     │   │   │            │
//!        garbage ◀───┴────────────│◀──┘       ▼                                      │   │   ▼            │
//! client ◀────────────────────────│ status, redirect, or ◀───────────────────────────│───│ flag           │
//!          server-timing,         │ body: pace, flip, cut         journal: what was sent │                │
//!          flag-plan              └──────────────────────────────────────────────────┘   └────────────────┘
//! ```
//!
//! # Layout
//!
//! * [`scenario`] decides, and knows no HTTP and no clock: rules, distributions, the [planner](scenario::Planner).
//! * `fault` enforces, and decides nothing: one room per kind of effect.
//! * `app` routes; `asset` and `list` answer; `attempts` counts what clients do not; `journal` records what was sent.
//! * `express` answers the usual request for a flag, at once or after a delay, ahead of hyper and of the router: the same journey with fewer stops.
//! * `serve` owns connections and their limits; `closing` what requests in flight are owed at the end; `tls` the secrets; [`clock`] the
//!   delays.
//! * `platform` does what not every system can.
//! * [`forecast`] tells the decisions before they are met, [`check`] what a file means.
//! * [`args`] is what was typed, [`config`] what it means, `main` a page that ties them together; [`cli_docs`] tells shells and
//!   readers of manuals what can be typed.
//!
//! # In a test
//!
//! ```
//! use flag_server::FlagServer;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = FlagServer::builder()
//!     .toml(r#"
//!         [[rule]]
//!         fault = "status"
//!         status = 503
//!         attempts = { first = 2 }
//!     "#)?
//!     .start()
//!     .await?;
//! let flags = server.flags_url(); // http://127.0.0.1:40123/flags
//! // … point the client under test at it …
//! # let _ = flags;
//! assert_eq!(server.received(), 0);
//! # Ok(()) }
//! ```
//!
//! Each server is a world of its own: its port, its attempt counters, its records. Clients that share one can name
//! their run with the header `flag-run`; [`FlagServer::records`] tells one run's requests from another's.

mod app;
pub mod args;
mod asset;
mod atomic_file;
mod attempts;
mod blocking;
mod builder;
pub mod check;
pub mod cli_docs;
pub mod clock;
mod closing;
pub mod config;
mod cpu;
mod express;
mod fault;
pub mod forecast;
pub mod health;
mod journal;
mod list;
mod platform;
mod ready;
pub mod scenario;
mod serve;
mod threads;
mod tls;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::closing::Closing;
use crate::journal::{Journal, LogFile};

pub use atomic_file::{stream_atomically, write_atomically};
pub use attempts::{MAX_PATHS_PER_RUN, MAX_RUNS};
pub use blocking::BlockingFlagServer;
pub use builder::Builder;
pub use closing::Stopped;
pub use config::{Config, Listener};
pub use cpu::cpu_time;
pub use fault::{FLAG_ATTEMPT, FLAG_PLAN, FLAG_RUN, MAX_RUN_LEN, SERVER_TIMING};
pub use journal::{End, MAX_RECORDS_PER_RUN, Record, Sent, Times};
pub use platform::allow_files;
pub use ready::write_ready_file;
pub use serve::Limits;
pub use tls::{Tls, TlsError};

/// A running server. It stops when it is dropped; [`shutdown`](Self::shutdown) lets its clients finish.
#[derive(Debug)]
#[must_use = "it stops when it is dropped"]
pub struct FlagServer {
    endpoints: Vec<Endpoint>,
    journals: Vec<Arc<Journal>>,
    closing: Arc<Closing>,
    grace: Duration,
    /// One per listener; each ends with the number of connections that it cut off.
    tasks: JoinSet<usize>,
    log: Option<LogFile>,
}

/// Where one listener can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Endpoint {
    /// The name of the listener.
    pub name: String,
    /// Its root, without a slash at the end: `http://127.0.0.1:8001`.
    pub url: String,
}

impl Endpoint {
    /// The base of its flags, as the book's programs want it: `http://127.0.0.1:8001/flags`.
    pub fn flags_url(&self) -> String {
        format!("{}/flags", self.url)
    }
}

/// Why a server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address that cannot be listened on.
    #[error("cannot listen on {address} for {name:?} ({reason}); {remedy}", remedy = bind_remedy(reason))]
    Bind {
        /// The name of the listener.
        name: String,
        /// The address it wanted.
        address: SocketAddr,
        /// What the system said.
        reason: io::Error,
    },
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A decision log that cannot be created.
    #[error(
        "--decision-log {path}: cannot be written ({reason}); name a file in a folder that exists"
    )]
    Log {
        /// The file.
        path: String,
        /// What the system said.
        reason: io::Error,
    },
    /// No threads for a runtime.
    #[error("cannot start the server's threads ({0}); raise the limit of processes")]
    Runtime(io::Error),
}

fn bind_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "stop the program that has it, or choose others with --port (0: any free ports)"
        }
        io::ErrorKind::PermissionDenied => "choose a port from 1024 up with --port",
        io::ErrorKind::AddrNotAvailable => "give an address of this machine with --bind",
        _ => "choose another address with --bind and --port",
    }
}

impl FlagServer {
    /// Opens all listeners, or none, and serves on the current runtime. When it returns, every
    /// listener accepts connections.
    ///
    /// # Errors
    /// When an address cannot be listened on, or there is no thread for the clock.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_on(config, vec![Handle::current()]).await
    }

    /// The same with its connections on these runtimes in turn; it accepts them on the current one, which is the first.
    async fn start_on(config: &Config, runtimes: Vec<Handle>) -> Result<Self, StartError> {
        clock::start().map_err(StartError::Runtime)?;
        let tls = config.tls.as_ref().map(Tls::acceptor).transpose()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut listeners = Vec::new();
        let mut endpoints = Vec::new();
        for Listener {
            name,
            address,
            scenario,
        } in &config.listeners
        {
            let bind_error = |reason| StartError::Bind {
                name: name.clone(),
                address: *address,
                reason,
            };
            let listener = serve::listen(*address).map_err(bind_error)?;
            let real = config::reachable(listener.local_addr().map_err(bind_error)?);
            endpoints.push(Endpoint {
                name: name.clone(),
                url: format!("{scheme}://{real}"),
            });
            listeners.push((listener, scenario));
        }

        let log = match &config.decision_log {
            None => None,
            Some(path) => Some(LogFile::create(path).map_err(|reason| StartError::Log {
                path: path.display().to_string(),
                reason,
            })?),
        };
        let site = Arc::new(app::Site::new(&config.catalogue));
        let closing = Arc::new(Closing::new());
        let (mut tasks, mut journals) = (JoinSet::new(), Vec::new());
        for (listener, scenario) in listeners {
            let journal = Arc::new(Journal::new(
                config.keep_records,
                log.as_ref().map(LogFile::sender),
            ));
            let app = app::App::new(
                Arc::clone(&site),
                scenario,
                Arc::clone(&journal),
                Arc::clone(&closing),
            );
            journals.push(journal);
            tasks.spawn(serve::serve(
                listener,
                app,
                tls.clone(),
                Arc::clone(&closing),
                config.limits,
                runtimes.clone(),
            ));
        }
        Ok(Self {
            endpoints,
            journals,
            closing,
            grace: config.limits.grace,
            tasks,
            log,
        })
    }

    /// A builder of a server with one listener, for tests.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The real addresses, in the order of the configuration.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The base of the flags of the first listener: `http://127.0.0.1:40123/flags`.
    pub fn flags_url(&self) -> String {
        self.endpoints
            .first()
            .map(Endpoint::flags_url)
            .unwrap_or_default()
    }

    /// How many requests have come for what is below `/flags/`, on all listeners.
    pub fn received(&self) -> u64 {
        self.journals.iter().map(|journal| journal.received()).sum()
    }

    /// What was decided and sent in this run (`""`: requests without the header `flag-run`), in the order in which the
    /// responses ended. Empty unless [`Config::keep_records`] says so, as a [builder](Self::builder)'s does. The
    /// last [`MAX_RECORDS_PER_RUN`] of the last [`MAX_RUNS`] runs are kept.
    pub fn records(&self, run: &str) -> Vec<Record> {
        self.journals
            .iter()
            .flat_map(|journal| journal.records(run))
            .collect()
    }

    /// Refuses newcomers, lets the requests in flight finish for as long as the [limits](Config::limits) allow, answers those
    /// that would take longer with a 503, sends the rest of the bodies that take their time, and returns what became of all of them.
    pub async fn shutdown(mut self) -> Stopped {
        self.closing.tell(Instant::now() + self.grace);
        let mut cut_off = 0;
        while let Some(listener) = self.tasks.join_next().await {
            cut_off += listener.unwrap_or(0);
        }
        self.finish_log();
        self.closing.stopped(cut_off)
    }

    /// Waits until the decision log is written.
    fn finish_log(&mut self) {
        self.journals.clear();
        if let Some(log) = self.log.take() {
            log.finish();
        }
    }
}
