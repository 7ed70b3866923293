//! The listener of the control plane, with its limits.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware;
use axum::routing::{delete, get};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::guard::Guard;
use super::{api, guard, openapi};
use crate::connection::Threads;
use crate::listeners::Listeners;
use crate::socket::reachable;

/// How many connections are served at a time; more wait.
const MAX_CONNECTIONS: usize = 1024;

/// How long the head of a request may take to come, and how long a connection may be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait before the next accept when there is no file descriptor left for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The control plane as it is configured.
#[derive(Debug, Clone)]
pub struct Control {
    /// Where it listens; port 0 stands for any free port.
    pub address: SocketAddr,
    /// The bearer token that every request has to have. Without one, the address has to be a
    /// loopback address, and only programs of this machine are answered.
    pub token: Option<String>,
}

/// A control plane whose address is taken.
#[derive(Debug)]
pub(crate) struct Opened {
    control: Control,
    socket: std::net::TcpListener,
    url: String,
}

/// A control plane that answers, until it is dropped.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) url: String,
    tasks: JoinSet<()>,
    /// One, for nothing else: what a request makes it compute holds up no flag.
    _thread: Threads,
}

impl Opened {
    /// Answers what concerns these listeners.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn serve(self, listeners: Arc<Listeners>) -> io::Result<Served> {
        let Self {
            control,
            socket,
            url,
        } = self;
        let thread = Threads::start(NonZeroUsize::MIN)?;
        let mut tasks = JoinSet::new();
        let served = async move {
            match TcpListener::from_std(socket) {
                Ok(socket) => control.serve(socket, listeners).await,
                Err(error) => warn!(%error, "control plane: its socket cannot be watched"),
            }
        };
        tasks.spawn_on(served, thread.first());
        Ok(Served {
            url,
            tasks,
            _thread: thread,
        })
    }
}

impl Served {
    /// Stops it.
    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Control {
    /// Takes the address.
    ///
    /// # Errors
    /// When it cannot be listened on, or needs a token.
    pub(crate) async fn open(&self) -> io::Result<Opened> {
        if self.needs_token() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an address that others can reach needs a token",
            ));
        }
        let socket = TcpListener::bind(self.address).await?;
        let url = format!("http://{}", reachable(socket.local_addr()?));
        Ok(Opened {
            control: self.clone(),
            socket: socket.into_std()?,
            url,
        })
    }

    /// Whether others can reach the address, and there is no token for them.
    pub fn needs_token(&self) -> bool {
        self.token.is_none() && !self.address.ip().is_loopback()
    }

    /// Serves what concerns these listeners, until it is dropped.
    async fn serve(self, socket: TcpListener, listeners: Arc<Listeners>) {
        let router = self.router(listeners);
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {} // those that have ended are forgotten
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return; // it is never closed
            };
            let stream = match socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    debug!(%error, "control plane: cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            stream.set_nodelay(true).ok();
            let service = TowerToHyperService::new(router.clone());
            connections.spawn(async move {
                let mut builder = http1::Builder::new();
                builder
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT);
                let served = builder.serve_connection(TokioIo::new(stream), service);
                if let Err(error) = served.await {
                    debug!(%error, "control plane: connection ended");
                }
                drop(place);
            });
        }
    }

    fn router(self, listeners: Arc<Listeners>) -> Router {
        let guard = Guard {
            bound: self.address.ip(),
            token: self.token.map(Into::into),
        };
        let listener = get(api::listener_scenario).put(api::put_listener_scenario);
        let run = get(api::run_scenario)
            .put(api::put_run_scenario)
            .delete(api::delete_run_scenario);
        Router::new()
            .route("/api/listeners", get(api::listeners))
            .route("/api/listeners/{listener}/scenario", listener)
            .route("/api/runs/{run}", delete(api::delete_run))
            .route("/api/runs/{run}/scenario", run)
            .route("/api/runs/{run}/records", get(api::run_records))
            .route("/api/records", get(api::records))
            .route("/metrics", get(api::metrics))
            .route("/openapi.json", get(openapi::document))
            .fallback(api::unknown)
            .method_not_allowed_fallback(api::unsupported)
            .with_state(listeners)
            .layer(middleware::from_fn_with_state(guard, guard::check))
    }
}
