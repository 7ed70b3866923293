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
mod blocking;
mod builder;
mod config;
mod connection;
mod fault;
mod record;
mod response;
mod server;
mod shutdown;
mod site;
mod socket;

pub use flag_scenario as scenario;

pub use blocking::BlockingFlagServer;
pub use builder::Builder;
pub use config::{Config, Listener, reachable};
pub use connection::Limits;
#[cfg(feature = "tls")]
pub use connection::{Tls, TlsError};
pub use fault::{FLAG_ATTEMPT, FLAG_PLAN, FLAG_RUN, MAX_PATHS_PER_RUN, SERVER_TIMING};
pub use record::{End, MAX_RECORDS_PER_RUN, MAX_RUNS, Record, Sent, Times};
pub use scenario::MAX_RUN_LEN;
pub use server::{Endpoint, FlagServer, StartError};
pub use shutdown::Stopped;
