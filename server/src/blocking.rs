//! The same server for callers without a runtime: it brings its own, on its own threads.

use std::io;
use std::ops::Deref;

use tokio::runtime::{Builder, Runtime};

use crate::{Config, FlagServer, StartError, Stopped, cpu};

/// A [`FlagServer`] with a runtime of its own. It stops when it is dropped.
///
/// ```
/// use flag_server::scenario::Scenario;
/// use flag_server::{BlockingFlagServer, Config};
///
/// let scenario = Scenario::from_toml("")?; // no faults
/// let server = BlockingFlagServer::start(&Config::embedded("local", scenario))?;
/// let url = format!("{}/br/br.gif", server.flags_url());
/// assert!(url.starts_with("http://127.0.0.1:"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "it stops when it is dropped"]
pub struct BlockingFlagServer {
    // Dropped in this order: the server, then the runtime that runs it.
    server: FlagServer,
    runtime: Runtime,
}

impl BlockingFlagServer {
    /// Opens all listeners, or none.
    ///
    /// # Errors
    /// As [`FlagServer::start`], and when the system gives no threads.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        let runtime = runtime().map_err(StartError::Runtime)?;
        let server = runtime.block_on(FlagServer::start(config))?;
        Ok(Self { server, runtime })
    }

    /// As [`FlagServer::shutdown`].
    pub fn shutdown(self) -> Stopped {
        self.runtime.block_on(self.server.shutdown())
    }
}

/// What can be asked of the server: its addresses, and what it received.
impl Deref for BlockingFlagServer {
    type Target = FlagServer;

    fn deref(&self) -> &FlagServer {
        &self.server
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .thread_name("flag-server")
        .on_thread_start(cpu::enter)
        .on_thread_stop(cpu::leave)
        .enable_all()
        .build()
}
