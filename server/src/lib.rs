//! A local HTTP server of flags with configurable, *reproducible* latency and faults.
//!
//! # The journey of one request
//!
//! ```text
//!            ┌ serve ─────────┐   ┌ fault ───────────────────────────────────────────┐   ┌ app ───────────┐
//! client ──▶ │ accept, parse, │──▶│ identify: run, method, path, attempt             │   │                │
//!            │ time limits    │   │   │                                              │   │                │
//!            └────────────────┘   │   ▼             ┌ scenario ───────────────────┐  │   │                │
//!                                 │ Plan ◀──────────│ Planner: a pure function    │  │   │                │
//!                                 │   │             │ of seed and request         │  │   │                │
//!                                 │   ▼             └─────────────────────────────┘  │   │                │
//!                                 │ hold the delay (clock)                           │   │ route → asset  │
//!                                 │   │                                              │   │      or list   │
//!                                 │   ├─ no ending ──────────────────────────────────│──▶│   │            │
//!                                 │   ▼                                              │   │   ▼            │
//! client ◀────────────────────────│ status        ◀──────────────────────────────────│───│ flag           │
//!          server-timing,         └──────────────────────────────────────────────────┘   └────────────────┘
//!          flag-plan
//! ```
//!
//! # Layout
//!
//! * [`scenario`] decides, and knows no HTTP and no clock: rules, distributions, the [planner](scenario::Planner).
//! * `fault` enforces, and decides nothing: one room per kind of effect.
//! * `app` routes; `asset` and `list` answer; `attempts` counts what clients do not.
//! * `serve` owns connections, their limits and their end; `clock` the delays.
//! * [`args`] is what was typed, [`config`] what it means, `main` a page that ties them together.
//!
//! # In a test
//!
//! ```
//! use flag_server::scenario::Scenario;
//! use flag_server::{Config, FlagServer};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let teapots = Scenario::from_toml(r#"
//!     [[rule]]
//!     fault = "status"
//!     status = 418
//! "#)?;
//! let server = FlagServer::start(&Config::embedded("teapots", teapots)).await?;
//! let flags = server.endpoints()[0].flags_url(); // http://127.0.0.1:40123/flags
//! // … point the client under test at it …
//! server.shutdown().await;
//! # Ok(()) }
//! ```

mod app;
pub mod args;
mod asset;
mod atomic_file;
mod attempts;
mod blocking;
mod clock;
pub mod config;
mod fault;
pub mod health;
mod list;
mod ready;
pub mod scenario;
mod serve;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use atomic_file::write_atomically;
pub use attempts::{MAX_PATHS_PER_RUN, MAX_RUNS};
pub use blocking::BlockingFlagServer;
pub use config::{Config, Listener};
pub use fault::{FLAG_ATTEMPT, FLAG_PLAN, FLAG_RUN, MAX_RUN_LEN, SERVER_TIMING};
pub use ready::write_ready_file;

/// A running server. It stops when it is dropped; [`shutdown`](Self::shutdown) lets its clients finish.
#[derive(Debug)]
pub struct FlagServer {
    endpoints: Vec<Endpoint>,
    stop: watch::Sender<bool>,
    /// One per listener; each ends with the number of connections that it cut off.
    tasks: JoinSet<usize>,
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
    /// When an address cannot be listened on.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
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
            let listener = TcpListener::bind(address).await.map_err(bind_error)?;
            let real = config::reachable(listener.local_addr().map_err(bind_error)?);
            endpoints.push(Endpoint {
                name: name.clone(),
                url: format!("http://{real}"),
            });
            listeners.push((listener, scenario));
        }

        let site = Arc::new(app::Site::new(&config.catalogue));
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for (listener, scenario) in listeners {
            let app = app::app(Arc::clone(&site), scenario);
            tasks.spawn(serve::serve(listener, app, stopped.clone(), config.grace));
        }
        Ok(Self {
            endpoints,
            stop,
            tasks,
        })
    }

    /// The real addresses, in the order of the configuration.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Refuses newcomers, lets the requests in flight finish for at most [`Config::grace`], and returns how many
    /// connections were still busy then and were cut off.
    pub async fn shutdown(mut self) -> usize {
        self.stop.send_replace(true);
        let mut cut_off = 0;
        while let Some(listener) = self.tasks.join_next().await {
            cut_off += listener.unwrap_or(0);
        }
        cut_off
    }
}
