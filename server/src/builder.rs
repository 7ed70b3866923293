//! A server for one test: one listener on a free port, with its records kept.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use flags_data::Catalogue;

#[cfg(feature = "tls")]
use crate::Tls;
use crate::scenario::{InvalidScenario, RuleBuilder, Scenario, ScenarioError};
use crate::{BlockingFlagServer, Config, FlagServer, Limits, Listener, StartError};

/// Builds a [`FlagServer`]; see its [example](crate#in-a-test).
///
/// ```
/// use std::time::Duration;
/// use flag_server::FlagServer;
/// use flag_server::scenario::Rule;
///
/// let server = FlagServer::builder()
///     .rules([Rule::latency(Duration::from_millis(20)), Rule::status(503).first(2)])?
///     .start_blocking()?; // no tokio needed
/// let flags = server.flags_url();
/// // … the client under test fetches {flags}/br/br.gif …
/// # assert!(flags.ends_with("/flags"));
/// let records = server.wait_for_records("", 1, Duration::from_millis(10));
/// assert_eq!(records.len(), 0); // no client was here
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
        self.only_listener().scenario = scenario;
        self
    }

    /// The same from rules.
    ///
    /// # Errors
    /// With everything that is wrong with the rules.
    pub fn rules(
        self,
        rules: impl IntoIterator<Item = RuleBuilder>,
    ) -> Result<Self, InvalidScenario> {
        Ok(self.scenario(Scenario::of(rules)?))
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
        let scenario = std::mem::replace(&mut self.only_listener().scenario, Scenario::faultless());
        self.scenario(scenario.with_seed(seed))
    }

    /// Other flags than the embedded ones.
    pub fn catalogue(mut self, catalogue: Catalogue) -> Self {
        self.config.catalogue = catalogue;
        self
    }

    /// Another address than a free port of 127.0.0.1.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.only_listener().address = address;
        self
    }

    /// A socket that listens already: its opener knows the port before the server
    /// starts.
    ///
    /// ```
    /// # use flag_server::FlagServer;
    /// let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let url = format!("http://{}/flags", socket.local_addr()?);
    /// let server = FlagServer::builder().listener(socket).start_blocking()?;
    /// assert_eq!(server.flags_url(), url);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listener(mut self, socket: TcpListener) -> Self {
        self.only_listener().socket = Some(Arc::new(socket));
        self
    }

    /// HTTPS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.config.tls = Some(tls);
        self
    }

    /// Opens the control plane on a free port of 127.0.0.1: see
    /// [`FlagServer::control_url`].
    #[cfg(feature = "control")]
    pub fn control(mut self) -> Self {
        self.config.scenarios_change = true;
        self.config.control = Some(crate::Control {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: None,
        });
        self
    }

    /// Lets pages of other sites read the answers: see [`Config::cors`].
    pub fn cors(mut self) -> Self {
        self.config.cors = true;
        self
    }

    /// Other limits than the usual ones.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// Takes a FIN for a departure: see [`Config::answers_half_closed`].
    pub fn without_half_closed_clients(mut self) -> Self {
        self.config.answers_half_closed = false;
        self
    }

    /// Answers every request by way of hyper: for tests that compare the fast path with it.
    #[doc(hidden)]
    pub fn without_fast_path(mut self) -> Self {
        self.config.fast_path = false;
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

    fn only_listener(&mut self) -> &mut Listener {
        &mut self.config.listeners[0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_limits_do_not_turn_the_fast_path_on_again() {
        let builder = FlagServer::builder().without_fast_path();
        assert!(!builder.limits(Limits::default()).config.fast_path);
    }
}
