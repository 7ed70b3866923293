//! A local HTTP server of flags with configurable, *reproducible* latency and faults.
//!
//! # The journey of one request
//!
//! ```text
//!          ┌ connection ────────┐  ┌ fault ────────────────────────────────┐  ┌ site ──────────┐
//! client ─▶│ accept, TLS,       │─▶│ decide: run, resource, attempt        │  │                │
//!          │ fast path or hyper │  │   │             ┌ flag-scenario ────┐ │  │                │
//!          └────────────────────┘  │   └────────────▶│ Planner: pure     │ │  │                │
//!                    ▲             │ Plan ◀──────────└───────────────────┘ │  │                │
//!                    │             │   ▼                                   │  │                │
//!                    │             │ apply: wait for a worker,             │  │                │
//!                    │             │        hold the delay                 │  │                │
//!                    │             │   ▼                                   │  │                │
//!          ┌ connection ────────┐  │ Reply: refuse, break, or respond      │  │ the file       │
//! client ◀─│ encode the reply:  │◀─│        with a status, a redirect,     │─▶│                │
//!          │ hyper or fast path │  │        or the file ───────────────────│◀─│                │
//!          └────────────────────┘  └───────────────────────────────────────┘  └────────────────┘
//! ```
//!
//! The record of a request is opened when it is decided, and written when its response is over.
//!
//! # Layout
//!
//! * [`scenario`] (a crate of its own) decides, and knows no HTTP and no clock.
//! * `fault` applies decisions: one file per kind of effect. `injector` is the journey.
//! * `site` has the routes and the files.
//! * `connection` owns listeners, TLS and limits, and has the two encoders of replies: `http` for
//!   hyper, and `fast_path` for the usual request on plain HTTP/1.1.
//! * `control` (a feature) is the control plane: an HTTP API to ask and change the listeners.
//! * `record` keeps what was decided and what was sent, and `json_lines` writes it; `shutdown` has
//!   the deadline that all waits observe.
//! * `server` ties them together, `builder` is for tests, `blocking` for callers without a runtime.
//!
//! The program `flag-server` (feature `cli`) is in `src/bin/flag-server`: what was typed, what it
//! means, and what it prints.
//!
//! # Features
//!
//! All are on by default. A test needs none of them, unless it speaks HTTPS or HTTP/2.
//!
//! * `cli`: the program.
//! * `control`: the control plane.
//! * `http2`: HTTP/2.
//! * `schema`: the JSON Schema of scenario files.
//! * `tls`: HTTPS.
//!
//! # In a test
//!
//! ```
//! use flag_server::FlagServer;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
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
//! Each server is a world of its own: its port, its attempt counters, its records. Clients that
//! share one can name their run with the header `flag-run`; [`FlagServer::records`] separates one
//! run's requests from another's.

mod app;
mod blocking;
mod builder;
mod changes;
mod config;
mod connection;
#[cfg(feature = "control")]
mod control;
mod counts;
mod fault;
mod json_lines;
mod listeners;
#[cfg(doctest)]
mod readme;
mod record;
mod record_log;
mod response;
mod server;
mod shutdown;
mod site;
mod socket;
mod throttle;

pub use flag_scenario as scenario;

pub use blocking::BlockingFlagServer;
pub use builder::Builder;
pub use config::{Config, Listener};
pub use connection::{Limits, OtherAddress};
#[cfg(feature = "tls")]
pub use connection::{Tls, TlsError};
#[cfg(feature = "control")]
pub use control::Control;
pub use fault::{
    FLAG_ATTEMPT, FLAG_PLAN, FLAG_RUN, MAX_ATTEMPT_COUNTERS, MAX_PATHS_PER_RUN,
    MAX_RUN_SCENARIO_BYTES, MAX_RUN_SCENARIOS, SERVER_TIMING, TooManyScenarios,
};
pub use listeners::{Endpoint, NoSuchListener};
pub use record::{
    AttemptFrom, End, Protocol, ReceivedBody, ReceivedHeaders, ReceivedRequest, Record, Sent, Times,
};
pub use record_log::{MAX_RECORD_BYTES, MAX_RECORDS_PER_RUN, MAX_RUNS};
pub use scenario::MAX_RUN_LEN;
pub use server::{FlagServer, StartError};
pub use shutdown::Stopped;
pub use site::MAX_UPLOAD;
pub use socket::reachable;
