//! Listeners: the connections of their sockets, the limits of each, and ending without cutting
//! anybody off.
//!
//! It chooses who speaks on a connection, the fast path or hyper, and knows nothing of requests.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::Version;
use flag_host::clock;
use hyper::server::conn::http1;
#[cfg(feature = "http2")]
use hyper::server::conn::http2;
#[cfg(feature = "http2")]
use hyper_util::rt::TokioExecutor;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{self, JoinError, JoinSet};
use tracing::{debug, warn};

use super::fast_path;
use super::http::AppService;
use super::security::Security;
use super::sockets::Sockets;
#[cfg(feature = "http2")]
use super::untaken::Untaken;
use crate::app::App;
use crate::fault::{ConnectionHandle, FaultyStream};
use crate::shutdown::{REFUSAL_GRACE, Shutdown, Unfinished};
use crate::socket;
use crate::throttle::Throttle;

/// How long to wait before the next accept when there is no file descriptor left for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The longest interval between two checks of a client that has sent a part of HTTP/2's preface,
/// and no more.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// The largest head of a request, in bytes; more is a 431, as are more than 100 headers, hyper's
/// own limit (which costs an allocation for each request where it is set to anything, even to
/// that). hyper looks at the size when its buffer is full, so a head of nearly twice that may pass.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// What every HTTP/2 client says first (RFC 9113, section 3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the clients of a listener may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a client may take to send the head of a request, and how long it may stay idle
    /// before it.
    pub head_timeout: Duration,
    /// How long a client may take nothing of what is sent to it. Then its connection is ended, so
    /// that its place is free again. Waits that a scenario plans do not count. How much a client
    /// takes can be seen in steps of about 64 KiB.
    pub send_timeout: Duration,
    /// The connections at one time. More wait, in the kernel's queue, until one of these ends.
    pub max_connections: usize,
    /// How long requests in flight may take to finish once a shutdown is requested. Those whose
    /// plan takes longer are refused at once, with a 503.
    pub grace: Duration,
}

/// How connections are served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    pub(crate) limits: Limits,
    pub(crate) has_fast_path: bool,
    /// Whether a client that has sent its FIN may still wait for its answer.
    pub(crate) answers_half_closed: bool,
}

impl Default for Limits {
    /// 30 seconds for a head, 60 seconds for sending, 65,536 connections, and 8 seconds of grace: a
    /// container engine kills what takes 10 to stop.
    fn default() -> Self {
        Self {
            head_timeout: Duration::from_secs(30),
            send_timeout: Duration::from_mins(1),
            max_connections: 65_536,
            grace: Duration::from_secs(8),
        }
    }
}

/// Serves `app` on `sockets` until a shutdown is requested, then lets the requests in flight
/// finish until its deadline. Returns the connections that were still busy soon after it, or when
/// it was hurried, and were cut off.
pub(crate) async fn serve(
    sockets: Sockets,
    app: App,
    security: Security,
    shutdown: Arc<Shutdown>,
    options: Options,
    runtimes: Vec<Handle>,
) -> Unfinished {
    let mut runtimes = runtimes.iter().cycle();
    let mut requested = pin!(shutdown.requested());
    let connections = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(
        options.limits.max_connections.min(Semaphore::MAX_PERMITS),
    ));
    let (mut tasks, mut open) = (JoinSet::new(), HashMap::new());
    let forget = |open: &mut HashMap<_, _>, ended: Result<(task::Id, ()), JoinError>| {
        open.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
    };
    let failures = Throttle::default();
    let deadline = loop {
        tokio::select! {
            deadline = &mut requested => break deadline,
            accepted = accept(&sockets, &places) => match accepted {
                Ok((stream, place)) => {
                    let (app, security, watcher) = (app.clone(), security.clone(), connections.watcher());
                    let counted = app.counts.accept();
                    let (stop, handle) = (shutdown.requested(), ConnectionHandle::new(counted.number));
                    let shared = handle.clone();
                    let connection = async move {
                        // The client's mistakes and departures are its own affair, and so are
                        // planned faults.
                        if let Err(error) = connection(stream, handle, app, security, watcher, stop, options).await {
                            debug!(%error, "connection ended");
                        }
                        drop((place, counted));
                    };
                    let task = match runtimes.next() {
                        Some(runtime) => tasks.spawn_on(connection, runtime),
                        None => tasks.spawn(connection),
                    };
                    open.insert(task.id(), shared);
                }
                Err(error) => pause_after(&error, &failures).await,
            },
            // Ended connections are forgotten as they end.
            Some(ended) = tasks.join_next_with_id() => forget(&mut open, ended),
        }
    };
    drop(sockets); // from here on, newcomers are refused
    tokio::select! {
        biased;
        () = connections.shutdown() => return Unfinished::default(),
        () = shutdown.hurried() => {}
        () = clock::sleep_until(deadline + REFUSAL_GRACE) => {}
    }
    while let Some(ended) = tasks.try_join_next_with_id() {
        forget(&mut open, ended);
    }
    let silent = open.values().filter(|handle| handle.is_silent()).count();
    // Dropping the set cuts the rest off.
    Unfinished {
        cut_off: tasks.len() - silent,
        silent,
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    sockets: &Sockets,
    places: &Arc<Semaphore>,
) -> io::Result<(std::net::TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let stream = sockets.accept().await?;
    socket::keep_from_children(&stream)?;
    Ok((stream.into_std()?, place)) // the runtime that will watch over it may be another one
}

type ConnectionError = Box<dyn std::error::Error + Send + Sync>;

/// One connection, from its first byte to its last.
async fn connection(
    stream: std::net::TcpStream,
    handle: ConnectionHandle,
    app: App,
    security: Security,
    watcher: Watcher,
    stop: impl Future<Output = Instant>,
    options: Options,
) -> Result<(), ConnectionError> {
    // The last piece of a response must not wait for the acknowledgement of the one before it.
    stream.set_nodelay(true)?;
    let limits = options.limits;
    let stream = TcpStream::from_std(stream)?;
    let stream = FaultyStream::new(
        stream,
        handle.clone(),
        limits.send_timeout,
        options.answers_half_closed,
    );
    // Until the client has said something, stopping the server ends it.
    let greeting = async {
        match security {
            Security::Plain => {
                let version = spoken_version(&stream).await?;
                io::Result::Ok(Greeted::Plain(version, Box::new(stream)))
            }
            #[cfg(feature = "tls")]
            Security::Tls(tls) => {
                let stream = Box::pin(tls.accept(stream)).await?;
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                let version = if is_http2 {
                    Version::HTTP_2
                } else {
                    Version::HTTP_11
                };
                Ok(Greeted::Tls(version, Box::new(stream)))
            }
        }
    };
    let mut stop = pin!(stop);
    let greeted = tokio::select! {
        greeted = tokio::time::timeout(limits.head_timeout, greeting) => greeted??,
        _ = stop.as_mut() => return Ok(()),
    };
    let service = AppService {
        app,
        connection: handle,
        #[cfg(feature = "http2")]
        untaken: None,
    };
    // What hyper needs is put elsewhere: most connections never get there.
    match greeted {
        Greeted::Plain(Version::HTTP_11, stream) if options.has_fast_path => {
            let driven = fast_path::drive(*stream, &service.app, stop, limits.head_timeout);
            let Some(stream) = driven.await? else {
                return Ok(());
            };
            Box::pin(speak(Version::HTTP_11, stream, service, watcher, options)).await
        }
        Greeted::Plain(version, stream) => {
            Box::pin(speak(version, *stream, service, watcher, options)).await
        }
        #[cfg(feature = "tls")]
        Greeted::Tls(version, stream) => {
            Box::pin(speak(version, *stream, service, watcher, options)).await
        }
    }
}

/// A connection whose protocol is known.
enum Greeted {
    Plain(Version, Box<FaultyStream>),
    #[cfg(feature = "tls")]
    Tls(Version, Box<tokio_rustls::server::TlsStream<FaultyStream>>),
}

/// Whether the client begins with HTTP/2's preface. Its bytes stay where they are.
async fn spoken_version(stream: &FaultyStream) -> io::Result<Version> {
    let mut first = [0; HTTP2_PREFACE.len()];
    let mut pause = Duration::from_millis(1);
    loop {
        let len = stream.peek(&mut first).await?;
        let (said, preface) = (&first[..len], &HTTP2_PREFACE[..len]);
        if said != preface || said.is_empty() || stream.has_finished() {
            return Ok(Version::HTTP_11);
        }
        if len == HTTP2_PREFACE.len() {
            return Ok(Version::HTTP_2);
        }
        // A part of the preface: the rest is under way, and there is no event for its arrival.
        tokio::time::sleep(pause).await;
        pause = (2 * pause).min(LONGEST_PAUSE);
    }
}

async fn speak<S>(
    version: Version,
    stream: S,
    service: AppService,
    watcher: Watcher,
    options: Options,
) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, limits) = (TokioIo::new(stream), options.limits);
    #[cfg(feature = "http2")]
    if version == Version::HTTP_2 {
        // No request may end a connection that it shares.
        let connection = service.connection.shared();
        let untaken = Arc::new(Untaken::default());
        let service = AppService {
            connection,
            untaken: Some(Arc::clone(&untaken)),
            ..service
        };
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            // A client that sends nothing, not even an answer to a ping, is gone.
            .keep_alive_interval(limits.head_timeout)
            .keep_alive_timeout(limits.head_timeout)
            .max_header_list_size(MAX_HEAD_BYTES as u32)
            .max_concurrent_streams(1000);
        let served = watcher.watch(builder.serve_connection(io, service));
        let timeout = limits.send_timeout;
        tokio::select! {
            biased; // what can be written is written first
            served = served => return Ok(served?),
            () = untaken.stalled(timeout) => {
                let text = format!("the client has taken nothing for {timeout:?} (--send-timeout)");
                return Err(text.into());
            }
        }
    }
    #[cfg(not(feature = "http2"))]
    if version == Version::HTTP_2 {
        return Err("HTTP/2 needs the feature http2".into());
    }
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .half_close(options.answers_half_closed)
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(MAX_HEAD_BYTES);
    watcher.watch(builder.serve_connection(io, service)).await?;
    Ok(())
}

/// A connection that died in the queue is ignored. A lack of resources is transient: the next
/// accept waits for a moment, and is reported once in a while.
async fn pause_after(error: &io::Error, failures: &Throttle) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    ) {
        if let Some(times) = failures.count() {
            warn!(%error, times, "cannot accept a connection; trying again. If there are too many open files, raise the limit (ulimit -n) \
                 or lower --max-connections");
        }
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
