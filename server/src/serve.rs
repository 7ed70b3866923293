//! Listeners: accepting connections, the limits of each, and ending without cutting anybody off.
//!
//! It hands bytes to hyper and requests to a [`App`], and knows nothing of what they are about.

use std::io;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::app::App;

/// How long a client may take to send the head of a request, and how long it may stay idle before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait before the next accept when there is no file descriptor left for one.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Serves `app` on `listener` until `stop` turns true, then lets the requests in flight finish for at
/// most `grace`. Returns how many connections were still busy at the end of it, and were cut off.
pub(crate) async fn serve(
    listener: TcpListener,
    app: App,
    mut stop: watch::Receiver<bool>,
    grace: Duration,
) -> usize {
    let connections = GracefulShutdown::new();
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            // A sender that is gone stops the server too: nobody is left who could.
            _ = stop.changed() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, app.clone());
                    let watched = connections.watch(connection);
                    tasks.spawn(async move {
                        // The client's mistakes and departures are its own affair.
                        if let Err(error) = watched.await {
                            debug!(%error, "connection ended");
                        }
                    });
                }
                Err(error) => pause_after(&error).await,
            },
            // Ended connections are forgotten as they end.
            Some(_) = tasks.join_next() => {}
        }
    }
    drop(listener); // from here on, newcomers are refused
    if tokio::time::timeout(grace, connections.shutdown())
        .await
        .is_ok()
    {
        return 0;
    }
    while tasks.try_join_next().is_some() {}
    tasks.len() // dropping the set cuts the rest off
}

fn connection(
    stream: TcpStream,
    app: App,
) -> http1::Connection<TokioIo<TcpStream>, TowerToHyperService<App>> {
    // The last piece of a response must not wait for the acknowledgement of the one before it.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "the connection is gone already");
    }
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
}

/// A connection that died in the queue concerns nobody; want of resources passes, so it is waited for.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionReset | Interrupted
    ) {
        warn!(%error, "cannot accept a connection; trying again");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}
