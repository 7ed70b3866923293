//! A running server: its listeners, and what they share.

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use flag_host::clock;
use thiserror::Error;
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::app::App;
use crate::changes::Changes;
#[cfg(feature = "tls")]
use crate::connection::TlsError;
use crate::connection::{self, NotListening, Options, Security, Sockets};
#[cfg(feature = "control")]
use crate::control::Served;
use crate::counts::Counts;
use crate::fault::{FaultInjector, TooManyScenarios};
use crate::json_lines::JsonLines;
use crate::listeners::{Endpoint, Listeners, NoSuchListener};
use crate::record::Record;
use crate::record_log::RecordLog;
use crate::scenario::Scenario;
use crate::shutdown::{LOG_GRACE, Shutdown, Stopped, Unfinished};
use crate::site::Site;
use crate::socket::reachable;
use crate::{Config, Listener};

/// A running server. It stops when it is dropped; [`shutdown`](Self::shutdown) lets its clients
/// finish.
#[derive(Debug)]
#[must_use = "it stops when it is dropped"]
pub struct FlagServer {
    listeners: Arc<Listeners>,
    shutdown: Arc<Shutdown>,
    grace: Duration,
    /// One per listener; each ends with the connections that it cut off.
    tasks: JoinSet<Unfinished>,
    log: Option<JsonLines<Record>>,
    #[cfg(feature = "control")]
    control: Option<Served>,
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
    /// No TLS.
    #[cfg(feature = "tls")]
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A decision log that cannot be created.
    #[error(
        "--decision-log {path}: cannot be written ({reason}); name a file in a folder that exists"
    )]
    Log {
        /// The file.
        path: String,
        /// What the system said.
        reason: io::Error,
    },
    /// The system's clock says a time that no answer can have as its date.
    #[error("the clock of this machine is before 1970; set it")]
    Clock,
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

fn log_error(path: &Path) -> impl FnOnce(io::Error) -> StartError {
    let path = path.display().to_string();
    |reason| StartError::Log { path, reason }
}

impl FlagServer {
    /// Opens all listeners, or none, and serves on the current runtime. When it returns, every
    /// listener accepts connections.
    ///
    /// # Errors
    /// When an address cannot be listened on, or there is no thread for the clock.
    pub async fn start(config: &Config) -> Result<Self, StartError> {
        Self::start_on(config, vec![Handle::current()]).await
    }

    /// The same with its connections on these runtimes in turn; it accepts them on the current one,
    /// which is the first.
    pub(crate) async fn start_on(
        config: &Config,
        runtimes: Vec<Handle>,
    ) -> Result<Self, StartError> {
        if SystemTime::now() < SystemTime::UNIX_EPOCH {
            return Err(StartError::Clock);
        }
        clock::start().map_err(StartError::Runtime)?;
        #[cfg(feature = "tls")]
        let security = match &config.tls {
            Some(tls) => Security::Tls(tls.acceptor()?),
            None => Security::Plain,
        };
        #[cfg(not(feature = "tls"))]
        let security = Security::Plain;
        let scheme = security.scheme();
        let mut listeners = Vec::new();
        let mut endpoints = Vec::new();
        for Listener {
            name,
            address,
            others,
            scenario,
            socket,
        } in &config.listeners
        {
            let of_first = |reason| NotListening {
                address: *address,
                reason,
            };
            let bind_error = |NotListening { address, reason }| StartError::Bind {
                name: name.clone(),
                address,
                reason,
            };
            let sockets = match socket {
                Some(socket) => Sockets::adopt(socket).map_err(of_first),
                None => Sockets::open(*address, others),
            };
            let sockets = sockets.map_err(bind_error)?;
            let real = sockets.local_addr().map_err(of_first).map_err(bind_error)?;
            let real = reachable(real);
            endpoints.push(Endpoint {
                name: name.clone(),
                url: format!("{scheme}://{real}"),
            });
            listeners.push((sockets, scenario));
        }

        #[cfg(feature = "control")]
        let control = match &config.control {
            None => None,
            Some(control) => {
                let opened = control.open().await;
                Some(opened.map_err(|reason| StartError::Bind {
                    name: "control".to_owned(),
                    address: control.address,
                    reason,
                })?)
            }
        };
        let log = match &config.decision_log {
            None => None,
            Some(path) => Some(JsonLines::create(path).map_err(log_error(path))?),
        };
        let site = Site::new(&config.catalogue);
        let changes = Arc::new(Changes::default());
        let shutdown = Arc::new(Shutdown::new());
        let (mut tasks, mut records, mut injectors) = (JoinSet::new(), Vec::new(), Vec::new());
        for (sockets, scenario) in listeners {
            let counts = Arc::new(Counts::new(config.has_control()));
            let record_log = Arc::new(RecordLog::new(
                config.keep_records,
                log.as_ref().map(JsonLines::sender),
                Arc::clone(&counts),
                Arc::clone(&changes),
            ));
            let injector = Arc::new(FaultInjector::new(
                scenario,
                config.scenarios_change,
                Arc::clone(&record_log),
                Arc::clone(&shutdown),
            ));
            let app = App {
                site: site.clone(),
                injector: Arc::clone(&injector),
                counts,
                has_cors: config.cors,
            };
            records.push(record_log);
            injectors.push(injector);
            tasks.spawn(connection::serve(
                sockets,
                app,
                security.clone(),
                Arc::clone(&shutdown),
                Options {
                    limits: config.limits,
                    has_fast_path: config.fast_path,
                    answers_half_closed: config.answers_half_closed,
                },
                runtimes.clone(),
            ));
        }
        let listeners = Arc::new(Listeners::new(endpoints, records, injectors, changes));
        #[cfg(feature = "control")]
        let control = control
            .map(|opened| opened.serve(Arc::clone(&listeners)))
            .transpose()
            .map_err(StartError::Runtime)?;
        Ok(Self {
            listeners,
            #[cfg(feature = "control")]
            control,
            shutdown,
            grace: config.limits.grace,
            tasks,
            log,
        })
    }

    /// The real addresses, in the order of the configuration.
    pub fn endpoints(&self) -> &[Endpoint] {
        self.listeners.endpoints()
    }

    /// The root of the control plane, if there is one: `http://127.0.0.1:40124`.
    pub fn control_url(&self) -> Option<&str> {
        #[cfg(feature = "control")]
        return self.control.as_ref().map(|control| &*control.url);
        #[cfg(not(feature = "control"))]
        None
    }

    /// The base of the flags of the first listener: `http://127.0.0.1:40123/flags`.
    pub fn flags_url(&self) -> String {
        self.endpoints()
            .first()
            .map(Endpoint::flags_url)
            .unwrap_or_default()
    }

    /// Applies another scenario to the requests that come to this listener from now on, and returns
    /// whether it is another one. Requests under way keep their decision, and attempts and records
    /// go on. The windows of the scenario count from now on; those of the same one just go on.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use flag_server::{FlagServer, scenario::Scenario};
    ///
    /// let server = FlagServer::builder().start_blocking()?;
    /// let broken = Scenario::from_toml("rule = [{ fault = 'status', status = 503 }]")?;
    /// let name = &server.endpoints()[0].name;
    /// assert_eq!(server.set_scenario(name, &broken), Ok(true));
    /// assert_eq!(server.set_scenario(name, &broken), Ok(false));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When no listener has this name.
    pub fn set_scenario(
        &self,
        listener: &str,
        scenario: &Scenario,
    ) -> Result<bool, NoSuchListener> {
        self.listeners.set_scenario(listener, scenario, None)
    }

    /// The same for a limited time: then the scenario before it comes back, with its windows
    /// counted anew. Whatever changes the scenario before that cancels it.
    ///
    /// # Errors
    /// When no listener has this name.
    pub fn set_scenario_for(
        &self,
        listener: &str,
        scenario: &Scenario,
        lasts: Duration,
    ) -> Result<bool, NoSuchListener> {
        self.listeners.set_scenario(listener, scenario, Some(lasts))
    }

    /// The scenario of a listener, and for how long it is still in effect, if that is limited.
    ///
    /// # Errors
    /// When no listener has this name.
    pub fn scenario(&self, listener: &str) -> Result<(Scenario, Option<Duration>), NoSuchListener> {
        self.listeners.scenario(listener)
    }

    /// Applies a scenario to the requests of one run only, on all listeners, for this time: so
    /// tests that run at once on one server each meet what they ask for. It has the seed, the
    /// windows and the capacity of its own; attempts and records go on.
    ///
    /// ```
    /// # use std::time::Duration;
    /// use flag_server::{FlagServer, scenario::{Rule, Scenario}};
    ///
    /// let server = FlagServer::builder().start_blocking()?;
    /// let broken = Scenario::of([Rule::status(503).first(2)])?;
    /// server.set_run_scenario("this test", &broken, Duration::from_secs(60))?;
    /// // … the client under test sends `flag-run: this test`, or fetches {url} …
    /// let url = format!("{}/run/this%20test/flags/br/br.gif", server.endpoints()[0].url);
    /// # assert!(url.starts_with("http://127.0.0.1:"));
    /// server.forget_run("this test");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When too many runs have a scenario; then this run has none.
    pub fn set_run_scenario(
        &self,
        run: &str,
        scenario: &Scenario,
        lasts: Duration,
    ) -> Result<(), TooManyScenarios> {
        self.listeners.set_run_scenario(run, scenario, lasts)
    }

    /// The scenario of a run on this listener, and for how long it is still in effect; none if the
    /// run meets the listener's own.
    ///
    /// # Errors
    /// When no listener has this name.
    pub fn run_scenario(
        &self,
        listener: &str,
        run: &str,
    ) -> Result<Option<(Scenario, Option<Duration>)>, NoSuchListener> {
        self.listeners.run_scenario(listener, run)
    }

    /// Takes the scenario of a run away, from all listeners: its requests meet the listener's own
    /// again. False if it had none.
    pub fn remove_run_scenario(&self, run: &str) -> bool {
        self.listeners.remove_run_scenario(run)
    }

    /// Forgets the scenario, the attempts and the records of a run, on all listeners. Requests
    /// under way keep their decision, and get a record.
    pub fn forget_run(&self, run: &str) {
        self.listeners.forget_run(run);
    }

    /// How many requests have come that meet faults, on all listeners: for what is below `/flags/`,
    /// and uploads.
    pub fn received(&self) -> u64 {
        self.listeners.received()
    }

    /// What was received, decided and sent in this run (`""`: requests that name none), in the
    /// order in which the responses ended. Empty unless [`Config::keep_records`] says so, as a
    /// [builder](Self::builder)'s does. The last
    /// [`MAX_RECORDS_PER_RUN`](crate::MAX_RECORDS_PER_RUN) of the last
    /// [`MAX_RUNS`](crate::MAX_RUNS) runs are kept, in at most
    /// [`MAX_RECORD_BYTES`](crate::MAX_RECORD_BYTES).
    pub fn records(&self, run: &str) -> Vec<Record> {
        self.listeners
            .records_by_listener(run)
            .map(|(_, record)| Arc::unwrap_or_clone(record))
            .collect()
    }

    /// How many other requests have come that have no record: health checks that name no run, and
    /// where records are not kept in memory, all that meet no faults.
    pub fn unrecorded(&self) -> u64 {
        self.listeners.unrecorded()
    }

    /// Opens the decision log anew, after somebody has renamed it: the records of responses that
    /// end from now on are in a new file of the old name. A file that is still there is appended
    /// to. Without a decision log it does nothing.
    ///
    /// # Errors
    /// When it cannot be opened. Then the old file is written on.
    pub fn reopen_log(&self) -> Result<(), StartError> {
        match &self.log {
            None => Ok(()),
            Some(log) => log.reopen().map_err(log_error(log.path())),
        }
    }

    /// Waits until no request is under way, at most for `timeout`, and returns the
    /// [records](Self::records) of all runs. Those that are under way after it, or that the limits
    /// made the server forget, are missing: [`received`](Self::received) counts them.
    pub async fn settled_records(&self, timeout: Duration) -> Vec<Record> {
        let is_settled = || self.listeners.is_settled();
        self.listeners.wait_until(None, timeout, is_settled).await;
        self.listeners.all_records()
    }

    /// Waits until there are `count` [records](Self::records) of this run, and returns them. If
    /// there are still fewer after `timeout`, it returns those that there are.
    ///
    /// A record is written when its response is over, which the client may know a moment earlier.
    pub async fn wait_for_records(
        &self,
        run: &str,
        count: usize,
        timeout: Duration,
    ) -> Vec<Record> {
        let are_there = || self.listeners.count_of(run) >= count;
        (self.listeners.wait_until(Some(run), timeout, are_there)).await;
        self.records(run)
    }

    /// Refuses newcomers, lets the requests in flight finish for as long as the
    /// [limits](Config::limits) allow, answers those that would take longer with a 503, sends the
    /// rest of the bodies that take their time, and returns what became of all of them.
    pub async fn shutdown(self) -> Stopped {
        self.shutdown_until(pending()).await
    }

    /// As [`shutdown`](Self::shutdown), and when `hurry` is over, what is still under way is cut
    /// off.
    pub async fn shutdown_until(mut self, hurry: impl Future<Output = ()>) -> Stopped {
        let deadline = clock::now() + self.grace;
        self.shutdown.request(deadline);
        let shutdown = Arc::clone(&self.shutdown);
        let mut hurry = pin!(async move {
            hurry.await;
            shutdown.hurry();
            pending::<()>().await
        });
        let mut all = Unfinished::default();
        loop {
            let ended = tokio::select! {
                biased;
                ended = self.tasks.join_next() => ended,
                () = &mut hurry => continue, // never
            };
            let Some(listener) = ended else { break };
            let Unfinished { cut_off, silent } = listener.unwrap_or_default();
            all.cut_off += cut_off;
            all.silent += silent;
        }
        #[cfg(feature = "control")]
        if let Some(control) = self.control.take() {
            control.stop().await;
        }
        let lost_records = self.finish_log(deadline);
        self.shutdown.stopped(all, lost_records)
    }

    /// Waits until the decision log is written, and returns how many records are missing.
    fn finish_log(&mut self, deadline: Instant) -> u64 {
        self.listeners = Arc::default(); // the senders of records go with it
        let timeout = deadline.saturating_duration_since(clock::now());
        let log = self.log.take();
        log.map_or(0, |log| log.finish(timeout.max(LOG_GRACE)))
    }
}
