//! Downloads with `hyper`, for tasks: its pool of connections, and the little that reqwest adds and a download needs.
//!
//! Nothing is repeated: not even, as reqwest does, a request of which no byte was written because its pooled
//! connection had closed.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use flag_server::FLAG_ATTEMPT;
use http_body_util::{BodyExt, Empty};
use hyper::header::{ACCEPT, LOCATION, USER_AGENT};
use hyper::{Request, Response};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use reqwest::Url;
use rustls::{ClientConfig, RootCertStore};

use super::{Exchange, Failure, Head, SetupError, head, install_crypto, whole_story};
use crate::job::Job;
use crate::sample::Outcome;

/// As many as reqwest and ureq follow.
const MAX_REDIRECTS: usize = 10;

/// GETs for tasks. Clones share the connections.
#[derive(Debug, Clone)]
pub(crate) struct ForTasks(Arc<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>>);

impl ForTasks {
    pub(crate) fn new(job: &Job) -> Result<Self, SetupError> {
        install_crypto();
        let tls = ClientConfig::builder();
        let tls = if job.is_https() {
            tls.try_with_platform_verifier()
                .map_err(|error| SetupError(error.to_string()))?
        } else {
            tls.with_root_certificates(RootCertStore::empty()) // saves reading the system's certificates
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.with_no_client_auth())
            .https_or_http();
        let connector = if job.wire.http2 {
            connector.enable_http2().wrap_connector(tcp)
        } else {
            connector.enable_http1().wrap_connector(tcp)
        };
        let mut client = Client::builder(TokioExecutor::new());
        client
            .http2_only(job.wire.http2)
            .retry_canceled_requests(false)
            .pool_timer(TokioTimer::new());
        if !job.wire.keep_alive {
            client.pool_max_idle_per_host(0);
        }
        Ok(Self(Arc::new(client.build(connector))))
    }

    pub(crate) async fn get(&self, job: &Job, url: &str, attempt: u32) -> Exchange {
        let mut head = None;
        let body = tokio::time::timeout(job.timeout, self.follow(url, attempt, &mut head)).await;
        let done = Instant::now();
        let body = body.unwrap_or_else(|elapsed| {
            Err(Failure {
                outcome: Outcome::Timeout,
                error: elapsed.to_string(),
            })
        });
        Exchange { head, body, done }
    }

    /// Leaves the head behind, also where the body fails or does not come in time.
    async fn follow(
        &self,
        url: &str,
        attempt: u32,
        arrived: &mut Option<Head>,
    ) -> Result<Bytes, Failure> {
        let mut url = Url::parse(url).map_err(|error| broken(&error))?;
        for _ in 0..=MAX_REDIRECTS {
            let request = request(&url, attempt).map_err(|error| broken(&error))?;
            let response = self.0.request(request).await.map_err(|error| {
                let outcome = if error.is_connect() {
                    Outcome::NoConnection
                } else {
                    Outcome::BrokenConnection
                };
                Failure {
                    outcome,
                    error: whole_story(&error),
                }
            })?;
            let Some(next) = next(&url, &response) else {
                *arrived = Some(head(response.status().as_u16(), response.headers()));
                let body = response.into_body().collect().await;
                return body
                    .map(http_body_util::Collected::to_bytes)
                    .map_err(|error| broken(&error));
            };
            url = next;
        }
        Err(Failure {
            outcome: Outcome::BrokenConnection,
            error: format!("more than {MAX_REDIRECTS} redirects"),
        })
    }
}

fn request(url: &Url, attempt: u32) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    Request::get(url.as_str())
        .header(ACCEPT, "*/*")
        .header(USER_AGENT, super::USER_AGENT)
        .header(FLAG_ATTEMPT, attempt)
        .body(Empty::new())
}

/// Where a redirect leads to; `None` if it is none.
fn next<B>(url: &Url, response: &Response<B>) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    url.join(location).ok()
}

fn broken(error: &dyn std::error::Error) -> Failure {
    Failure {
        outcome: Outcome::BrokenConnection,
        error: whole_story(error),
    }
}
