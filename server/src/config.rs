//! What a server is made from: listeners, flags, limits.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use flags_data::Catalogue;

#[cfg(feature = "tls")]
use crate::connection::Tls;
use crate::connection::{Limits, OtherAddress};
#[cfg(feature = "control")]
use crate::control::Control;
use crate::scenario::Scenario;

/// All that a [`FlagServer`](crate::FlagServer) needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// At least one.
    pub listeners: Vec<Listener>,
    /// The flags that are served.
    pub catalogue: Catalogue,
    /// HTTPS on every listener.
    #[cfg(feature = "tls")]
    pub tls: Option<Tls>,
    /// What clients may take, on each listener.
    pub limits: Limits,
    /// Whether usual requests take the fast path. Only the tests that compare it with hyper turn it
    /// off.
    #[doc(hidden)]
    pub fast_path: bool,
    /// Whether a client that has sent its FIN is answered: it may still listen, as `nc -N` does.
    /// Without it, a FIN is a departure, which ends a request at once: for a server all of whose
    /// clients are known to close their connections only when they leave.
    pub answers_half_closed: bool,
    /// Whether pages of other sites may read the answers (CORS), and may send every method.
    pub cors: bool,
    /// The control plane: one more listener, with an API to change and ask the others.
    #[cfg(feature = "control")]
    pub control: Option<Control>,
    /// A file that gets one JSON line for each request.
    pub decision_log: Option<PathBuf>,
    /// The threads of a server that brings its own.
    pub threads: NonZeroUsize,
    /// Whether the same records are kept in memory for
    /// [`FlagServer::records`](crate::FlagServer::records).
    pub keep_records: bool,
    /// Whether [`FlagServer::set_scenario`](crate::FlagServer::set_scenario) is going to be called:
    /// attempts are counted from the start then, also where nothing depends on them yet.
    pub scenarios_change: bool,
}

/// One address and what its clients meet there.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Names it in messages, logs and the ready file.
    pub name: String,
    /// Port 0 stands for any free port.
    pub address: SocketAddr,
    /// More addresses, which have the port of the first.
    pub others: Vec<OtherAddress>,
    /// What it does to its clients.
    pub scenario: Scenario,
    /// A socket that listens already, instead of one for `address`.
    pub socket: Option<Arc<TcpListener>>,
}

impl Listener {
    /// A listener on this address.
    pub fn new(name: impl Into<String>, address: SocketAddr, scenario: Scenario) -> Self {
        Self {
            name: name.into(),
            address,
            others: Vec::new(),
            scenario,
            socket: None,
        }
    }
}

impl Config {
    /// One listener on a free port of 127.0.0.1, serving the embedded flags.
    pub fn embedded(name: &str, scenario: Scenario) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listeners: vec![Listener::new(name, address, scenario)],
            catalogue: Catalogue::embedded(),
            #[cfg(feature = "tls")]
            tls: None,
            limits: Limits::default(),
            fast_path: true,
            answers_half_closed: true,
            cors: false,
            #[cfg(feature = "control")]
            control: None,
            decision_log: None,
            threads: Self::one_thread_per_processor(),
            keep_records: false,
            scenarios_change: false,
        }
    }

    /// Whether there is a control plane.
    pub(crate) fn has_control(&self) -> bool {
        #[cfg(feature = "control")]
        return self.control.is_some();
        #[cfg(not(feature = "control"))]
        false
    }

    /// How many threads there are by default.
    pub fn one_thread_per_processor() -> NonZeroUsize {
        std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
    }
}
