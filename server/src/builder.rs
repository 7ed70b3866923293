//! A server for one test: one listener on a free port, with its records kept.

use std::net::SocketAddr;

use flags_data::Catalogue;

#[cfg(feature = "tls")]
use crate::Tls;
use crate::scenario::{Scenario, ScenarioError};
use crate::{BlockingFlagServer, Config, FlagServer, Limits, Listener, StartError};

/// Builds a [`FlagServer`]; see its [example](crate#in-a-test).
///
/// ```
/// use std::time::Duration;
/// use flag_server::FlagServer;
/// use flag_server::scenario::{Rule, Scenario};
///
/// let late = Rule::latency(Duration::from_millis(20));
/// let server = FlagServer::builder()
///     .scenario(Scenario::of([late])?)
///     .start_blocking()?; // no tokio needed
/// assert!(server.flags_url().ends_with("/flags"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "it does nothing until it is started"]
pub struct Builder {
    config: Config,
}

impl FlagServer {
    /// A builder of a server with one listener, for tests.
    pub fn builder() -> Builder {
        Builder::new()
    }
}

impl Builder {
    fn new() -> Self {
        Self {
            config: Config {
                keep_records: true,
                ..Config::embedded("test", Scenario::faultless())
            },
        }
    }

    /// What its clients meet; without it, no faults.
    pub fn scenario(mut self, scenario: Scenario) -> Self {
        self.listener().scenario = scenario;
        self
    }

    /// The same from the text of a scenario file.
    ///
    /// # Errors
    /// With every problem of the text.
    pub fn toml(self, text: &str) -> Result<Self, ScenarioError> {
        Ok(self.scenario(Scenario::from_toml(text)?))
    }

    /// Another seed than the scenario's own.
    pub fn seed(mut self, seed: u64) -> Self {
        let scenario = std::mem::replace(&mut self.listener().scenario, Scenario::faultless());
        self.scenario(scenario.with_seed(seed))
    }

    /// Other flags than the embedded ones.
    pub fn catalogue(mut self, catalogue: Catalogue) -> Self {
        self.config.catalogue = catalogue;
        self
    }

    /// Another address than a free port of 127.0.0.1.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.listener().address = address;
        self
    }

    /// HTTPS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.config.tls = Some(tls);
        self
    }

    /// Other limits than the usual ones.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// Starts it on the current runtime.
    ///
    /// # Errors
    /// As [`FlagServer::start`].
    pub async fn start(self) -> Result<FlagServer, StartError> {
        FlagServer::start(&self.config).await
    }

    /// Starts it on a runtime of its own, for tests without one.
    ///
    /// # Errors
    /// As [`BlockingFlagServer::start`].
    pub fn start_blocking(self) -> Result<BlockingFlagServer, StartError> {
        BlockingFlagServer::start(&self.config)
    }

    fn listener(&mut self) -> &mut Listener {
        &mut self.config.listeners[0]
    }
}
