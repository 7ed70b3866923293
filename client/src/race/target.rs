//! The server that the downloads come from: a named one, or an embedded one; and its plan, if that
//! is known.

use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use flag_cli::without_credentials;
use flag_scenario::{ScenarioSource, SourceError};
use flag_server::{BlockingFlagServer, Config, StartError};
use flags_data::did_you_mean;
use reqwest::Url;
use thiserror::Error;

use super::server_plan::ServerPlan;
use crate::result::EMBEDDED;

/// The labels of the book's second edition. Another URL for one of them, or another label, comes
/// from the environment.
const LABELS: [(&str, &str); 4] = [
    ("DELAY", "http://localhost:8001/flags"),
    ("ERROR", "http://localhost:8002/flags"),
    ("LOCAL", "http://localhost:8000/flags"),
    ("REMOTE", "https://www.fluentpython.com/data/flags"),
];

/// How long a named server may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A server to download from.
#[derive(Debug)]
pub struct Target {
    /// `LOCAL`, `DELAY`, `ERROR`, `REMOTE`, `EMBEDDED` or `CUSTOM`.
    pub label: String,
    /// The folder of the flags, without a slash at the end; or the URL that a load is for.
    pub base_url: String,
    /// What the server does to its clients, if that is known before it says so.
    pub plan: Option<ServerPlan>,
    /// The embedded server, if this is one, on its own threads. It runs as long as the target
    /// exists.
    embedded: Option<BlockingFlagServer>,
}

/// Why there is no server to download from.
#[derive(Debug, Error)]
pub enum TargetError {
    /// Neither a label nor a URL.
    #[error(
        "--server {0}: give one of DELAY, ERROR, LOCAL, REMOTE, or a URL like http://localhost:8000/flags"
    )]
    NotAServer(String),
    /// The scenario of the embedded server is wrong.
    #[error(transparent)]
    Scenario(#[from] SourceError),
    /// The embedded server does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The named server does not answer.
    #[error(
        "no server answers at {url} ({reason}); start one with `flag-server`, or name none for an embedded one"
    )]
    Dead {
        /// Where it should be.
        url: String,
        /// What the system said.
        reason: io::Error,
    },
}

impl TargetError {
    /// Whether the command line is wrong.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::NotAServer(_) | Self::Scenario(_))
    }
}

impl Target {
    /// The server with this label (case-insensitive) or URL.
    ///
    /// # Errors
    /// When it is neither, or no connection is accepted there.
    pub fn named(server: &str) -> Result<Self, TargetError> {
        let not_a_server = || TargetError::NotAServer(shown(server));
        let label = server.to_uppercase();
        let of_the_book = LABELS.iter().find(|(name, _)| *name == label);
        let of_the_book = of_the_book.map(|(_, url)| (*url).to_owned());
        let (label, url) = match labelled(&label).or(of_the_book) {
            Some(url) => (label, url),
            None => ("CUSTOM".to_owned(), server.to_owned()),
        };
        let mut url: Url = url.parse().map_err(|_| not_a_server())?;
        if !matches!(url.scheme(), "http" | "https")
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return Err(not_a_server());
        }
        if url.path() == "/" {
            url.set_path("/flags"); // as `flag-server` prints its addresses
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self {
            label,
            ..Self::of_url(&url)?
        })
    }

    /// Any URL, unchanged.
    ///
    /// # Errors
    /// When no connection is accepted there.
    pub fn of_url(url: &Url) -> Result<Self, TargetError> {
        let dead = |reason| TargetError::Dead {
            url: without_credentials(url.as_str()),
            reason,
        };
        check_accepts(url).map_err(dead)?;
        Ok(Self {
            label: "CUSTOM".to_owned(),
            base_url: url.to_string(),
            plan: None,
            embedded: None,
        })
    }

    /// The same server with this plan, which it is checked against.
    #[must_use]
    pub fn with_plan(self, plan: ServerPlan) -> Self {
        Self {
            plan: Some(plan),
            ..self
        }
    }

    /// Starts an embedded server on a free port.
    ///
    /// # Errors
    /// When there is no such scenario, or the server does not start.
    pub fn embedded(source: &ScenarioSource<'_>, seed: Option<u64>) -> Result<Self, TargetError> {
        let plan = ServerPlan::load(source, seed)?;
        let config = Config::embedded(&plan.name, plan.scenario().clone());
        let server = BlockingFlagServer::start(&config)?;
        Ok(Self {
            label: EMBEDDED.to_owned(),
            base_url: server.endpoints()[0].flags_url(),
            plan: Some(plan),
            embedded: Some(server),
        })
    }

    /// Whether the server is an embedded one.
    pub fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }
}

/// What was meant for a server, without what may be a password: that is before the last `@`.
fn shown(server: &str) -> String {
    match server.rsplit_once('@') {
        Some((_, host)) => format!("***@{host}"),
        None if server.contains(':') => server.to_owned(),
        None => {
            let hint = did_you_mean(server, LABELS.iter().map(|(label, _)| *label));
            format!("{server}{hint}")
        }
    }
}

/// The URL of this label in the environment, for servers on other machines:
/// `FLAG_CLIENT_SERVER_QUICK_DELAY` for `quick-delay`.
fn labelled(label: &str) -> Option<String> {
    std::env::var(format!("FLAG_CLIENT_SERVER_{}", label.replace('-', "_"))).ok()
}

/// Connects once, so that an unreachable server is one error and not hundreds of failed downloads.
fn check_accepts(url: &Url) -> io::Result<()> {
    let no_address = || io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    let host = url
        .host_str()
        .ok_or_else(no_address)?
        .trim_matches(['[', ']']);
    let port = url.port_or_known_default().ok_or_else(no_address)?;
    let mut result = Err(no_address());
    for address in (host, port).to_socket_addrs()? {
        result = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).map(drop);
        if result.is_ok() {
            break;
        }
    }
    result
}
