//! One connection: it sends a request, reads the answer, records it, and takes its next turn.
//!
//! hyper's connection and the loop that uses it are one task, so that neither has to wake the other through the scheduler.

use std::future::{Future, poll_fn};
use std::net::{IpAddr, Ipv4Addr};
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use flag_server::clock;
use http_body_util::{BodyExt, Empty};
use hyper::Uri;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_rustls::{ConfigBuilderExt, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, RootCertStore};
use tokio::time::{Sleep, sleep_until};
use tower::Service as _;

use super::recorder::{Exchange, Failure, Outcome};
use super::turns::Turn;
use super::{Load, Station};
use crate::fetch::{SetupError, install_crypto};

/// Makes connections to one server.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    tls: ClientConfig,
    is_loopback: bool,
    uri: Uri,
}

/// The connections that one address may have to a server: systems have some 28,000 ports for them.
const PORTS: usize = 20_000;

/// hyper's end of a connection: it has to be polled for anything to happen.
type Driver = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection that has been made.
pub(super) struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: Driver,
}

impl Connector {
    pub(super) fn new(load: &Load) -> Result<Self, SetupError> {
        install_crypto();
        let http = |error: &dyn std::fmt::Display| SetupError::Http(error.to_string());
        let tls = ClientConfig::builder();
        let tls = if load.url.scheme() == "https" {
            tls.try_with_platform_verifier()
                .map_err(|error| http(&error))?
        } else {
            tls.with_root_certificates(RootCertStore::empty())
        };
        let host = load.url.host_str().unwrap_or_default();
        let address = host.parse::<Ipv4Addr>();
        let is_loopback = address.map_or(host == "localhost", |address| address.is_loopback());
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(load.timeout));
        Ok(Self {
            tcp,
            tls: tls.with_no_client_auth(),
            is_loopback,
            uri: load.url.as_str().parse().map_err(|error| http(&error))?,
        })
    }

    /// Makes the connection with this number (the first is 0).
    async fn connect(&self, number: usize) -> Result<Connection, Failure> {
        let mut tcp = self.tcp.clone();
        if self.is_loopback {
            tcp.set_local_address(source(number).map(IpAddr::V4));
        }
        let mut connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let stream = connector.call(self.uri.clone()).await;
        let stream = stream.map_err(|_| Failure::Connect)?;
        let (sender, driver) = http1::handshake(stream)
            .await
            .map_err(|_| Failure::Broken)?;
        Ok(Connection {
            sender,
            driver: Box::pin(async { driver.await.unwrap_or_default() }),
        })
    }
}

/// The address from which a connection to this machine is made, once those before have taken the ports of the usual one.
fn source(number: usize) -> Option<Ipv4Addr> {
    let more = u8::try_from(number / PORTS).ok()?;
    (more > 0).then(|| Ipv4Addr::new(127, 0, 0, more.saturating_add(1)))
}

impl Connection {
    /// Whether it is of no use any more.
    async fn has_ended(&mut self) -> bool {
        let look = |context: &mut Context<'_>| Poll::Ready(self.driver.as_mut().poll(context));
        poll_fn(look).await.is_ready()
    }
}

impl Station {
    /// Makes a connection, and counts it.
    pub(super) async fn connect(&self, number: usize) -> Result<Connection, Failure> {
        let connection = self.connector.connect(number).await?;
        self.record().connections += 1;
        Ok(connection)
    }

    /// Sends requests over the connection with this number until there are no more turns.
    pub(super) async fn serve(&self, place: usize, mut connection: Option<Connection>) {
        let mut free = Instant::now();
        let mut limit = pin!(sleep_until(free.into()));
        loop {
            let (number, intended, counts) = match self.turns.next(free) {
                Turn::Over => return,
                Turn::Unsent(count) => {
                    self.record().unsent += count;
                    return;
                }
                Turn::Send {
                    number,
                    intended,
                    counts,
                } => (number, intended, counts),
            };
            if let Some(intended) = intended {
                clock::sleep_until(intended).await;
            }
            let sent = Instant::now();
            // When nothing but this program kept it back any more.
            let possible = intended.map_or(free, |intended| intended.max(free));
            limit.as_mut().reset((sent + self.load.timeout).into());
            self.in_flight.fetch_add(1, Ordering::Relaxed);
            let (outcome, bytes) = self
                .exchange(number, place, &mut connection, limit.as_mut())
                .await;
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            free = Instant::now();
            if counts {
                let exchange = Exchange {
                    outcome,
                    service: free.saturating_duration_since(sent),
                    response: free.saturating_duration_since(intended.unwrap_or(sent)),
                    lag: sent.saturating_duration_since(possible),
                    bytes,
                };
                self.turns.answered(free);
                self.record().record(&exchange);
            }
        }
    }

    /// One request and its answer, on this connection or, if there is none, on a new one.
    async fn exchange(
        &self,
        number: u64,
        place: usize,
        connection: &mut Option<Connection>,
        limit: Pin<&mut Sleep>,
    ) -> (Outcome, u64) {
        let mut bytes = 0;
        let answer = async {
            if let Some(open) = connection
                && open.has_ended().await
            {
                *connection = None; // the server was tired of waiting
            }
            let Connection { sender, driver } = match &mut *connection {
                Some(open) => open,
                none => none.insert(self.connect(place).await?),
            };
            let answering = async {
                let broken = |_| Failure::Broken;
                let response = sender
                    .send_request(self.load.requests.request(number))
                    .await
                    .map_err(broken)?;
                let status = response.status();
                let mut body = response.into_body();
                while let Some(frame) = body.frame().await {
                    bytes += frame
                        .map_err(broken)?
                        .data_ref()
                        .map_or(0, |data| data.len() as u64);
                }
                Ok(status)
            };
            let mut answering = pin!(answering);
            tokio::select! {
                biased;
                () = driver => answering.await, // it tells how the connection ended
                answer = &mut answering => answer,
            }
        };
        let answer = tokio::select! {
            biased;
            answer = answer => answer,
            () = limit => Err(Failure::Timeout),
        };
        match answer {
            Ok(status) => {
                let is_usable = connection
                    .as_ref()
                    .is_some_and(|connection| !connection.sender.is_closed());
                if !self.load.keep_alive || !is_usable {
                    *connection = None;
                }
                (Outcome::Status(status.as_u16()), bytes)
            }
            Err(failure) => {
                *connection = None;
                (Outcome::Failed(failure), bytes)
            }
        }
    }
}
