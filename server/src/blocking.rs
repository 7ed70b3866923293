//! The same server for callers without a runtime: it brings its own threads.

use std::ops::Deref;

use crate::connection::Threads;
use crate::{Config, FlagServer, StartError, Stopped};

/// A [`FlagServer`] on [threads of its own](Config::threads). It stops when it is dropped.
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
    // Dropped in this order: the server, then what it runs on.
    server: FlagServer,
    threads: Threads,
}

impl BlockingFlagServer {
    /// Opens all listeners, or none.
    ///
    /// # Errors
    /// As [`FlagServer::start`], and when the system gives no threads.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        let threads = Threads::start(config.threads).map_err(StartError::Runtime)?;
        let server = threads.block_on(FlagServer::start_on(config, threads.runtimes()))?;
        Ok(Self { server, threads })
    }

    /// As [`FlagServer::shutdown`].
    pub fn shutdown(self) -> Stopped {
        self.threads.block_on(self.server.shutdown())
    }
}

/// What can be asked of the server: its addresses, and what it received.
impl Deref for BlockingFlagServer {
    type Target = FlagServer;

    fn deref(&self) -> &FlagServer {
        &self.server
    }
}
