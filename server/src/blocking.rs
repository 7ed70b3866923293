//! The same server for callers without a runtime: it brings its own threads.

use std::time::Duration;

use crate::connection::Threads;
use crate::scenario::Scenario;
use crate::{
    Config, Endpoint, FlagServer, NoSuchListener, Record, StartError, Stopped, TooManyScenarios,
};

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
        let server = threads
            .first()
            .block_on(FlagServer::start_on(config, threads.runtimes()))?;
        Ok(Self { server, threads })
    }

    /// As [`FlagServer::endpoints`].
    pub fn endpoints(&self) -> &[Endpoint] {
        self.server.endpoints()
    }

    /// As [`FlagServer::control_url`].
    pub fn control_url(&self) -> Option<&str> {
        self.server.control_url()
    }

    /// As [`FlagServer::flags_url`].
    pub fn flags_url(&self) -> String {
        self.server.flags_url()
    }

    /// As [`FlagServer::set_scenario`].
    ///
    /// # Errors
    /// As [`FlagServer::set_scenario`].
    pub fn set_scenario(
        &self,
        listener: &str,
        scenario: &Scenario,
    ) -> Result<bool, NoSuchListener> {
        self.server.set_scenario(listener, scenario)
    }

    /// As [`FlagServer::set_scenario_for`].
    ///
    /// # Errors
    /// The same.
    pub fn set_scenario_for(
        &self,
        listener: &str,
        scenario: &Scenario,
        lasts: Duration,
    ) -> Result<bool, NoSuchListener> {
        self.server.set_scenario_for(listener, scenario, lasts)
    }

    /// As [`FlagServer::scenario`].
    ///
    /// # Errors
    /// The same.
    pub fn scenario(&self, listener: &str) -> Result<(Scenario, Option<Duration>), NoSuchListener> {
        self.server.scenario(listener)
    }

    /// As [`FlagServer::set_run_scenario`].
    ///
    /// # Errors
    /// The same.
    pub fn set_run_scenario(
        &self,
        run: &str,
        scenario: &Scenario,
        lasts: Duration,
    ) -> Result<(), TooManyScenarios> {
        self.server.set_run_scenario(run, scenario, lasts)
    }

    /// As [`FlagServer::run_scenario`].
    ///
    /// # Errors
    /// The same.
    pub fn run_scenario(
        &self,
        listener: &str,
        run: &str,
    ) -> Result<Option<(Scenario, Option<Duration>)>, NoSuchListener> {
        self.server.run_scenario(listener, run)
    }

    /// As [`FlagServer::remove_run_scenario`].
    pub fn remove_run_scenario(&self, run: &str) -> bool {
        self.server.remove_run_scenario(run)
    }

    /// As [`FlagServer::forget_run`].
    pub fn forget_run(&self, run: &str) {
        self.server.forget_run(run);
    }

    /// As [`FlagServer::received`].
    pub fn received(&self) -> u64 {
        self.server.received()
    }

    /// As [`FlagServer::records`].
    pub fn records(&self, run: &str) -> Vec<Record> {
        self.server.records(run)
    }

    /// As [`FlagServer::unrecorded`].
    pub fn unrecorded(&self) -> u64 {
        self.server.unrecorded()
    }

    /// As [`FlagServer::settled_records`].
    pub fn settled_records(&self, timeout: Duration) -> Vec<Record> {
        self.threads
            .first()
            .block_on(self.server.settled_records(timeout))
    }

    /// As [`FlagServer::wait_for_records`].
    pub fn wait_for_records(&self, run: &str, count: usize, timeout: Duration) -> Vec<Record> {
        let waiting = self.server.wait_for_records(run, count, timeout);
        self.threads.first().block_on(waiting)
    }

    /// As [`FlagServer::reopen_log`].
    ///
    /// # Errors
    /// The same.
    pub fn reopen_log(&self) -> Result<(), StartError> {
        self.server.reopen_log()
    }

    /// As [`FlagServer::shutdown`].
    pub fn shutdown(self) -> Stopped {
        self.threads.first().block_on(self.server.shutdown())
    }

    /// As [`FlagServer::shutdown_until`].
    pub fn shutdown_until(self, hurry: impl Future<Output = ()>) -> Stopped {
        self.threads
            .first()
            .block_on(self.server.shutdown_until(hurry))
    }
}
