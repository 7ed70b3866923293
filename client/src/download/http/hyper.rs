//! Downloads with `hyper`, for tasks: its connection pool, and the few features of reqwest that a
//! download needs.
//!
//! It never retries. reqwest does, where no byte of a request was written because its pooled
//! connection had closed.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use flag_server::FLAG_ATTEMPT;
use http_body_util::Empty;
use hyper::Request;
use hyper::header::{ACCEPT, USER_AGENT};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};

use super::body;
use super::exchange::{
    Exchange, Head, MAX_REDIRECTS, announced_length, complete, head, install_crypto, redirect,
    too_many_redirects,
};
use crate::download::error::{AttemptError, SetupError, error_chain};
use crate::download::job::Job;

/// GETs for tasks. Clones share the connections.
#[derive(Debug, Clone)]
pub(crate) struct ForTasks(Arc<Client<HttpsConnector<HttpConnector>, Empty<Bytes>>>);

impl ForTasks {
    pub(crate) fn new(job: &Job) -> Result<Self, SetupError> {
        install_crypto();
        let tls = ClientConfig::builder();
        let tls = if job.is_https() {
            tls.try_with_platform_verifier()
                .map_err(|error| SetupError::Http(error.to_string()))?
        } else {
            // This saves reading the system's certificates.
            tls.with_root_certificates(RootCertStore::empty())
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.with_no_client_auth())
            .https_or_http();
        let connector = if job.connection.http2 {
            connector.enable_http2().wrap_connector(tcp)
        } else {
            connector.enable_http1().wrap_connector(tcp)
        };
        let mut client = Client::builder(TokioExecutor::new());
        client
            .http2_only(job.connection.http2)
            .retry_canceled_requests(false)
            .pool_timer(TokioTimer::new());
        client.pool_max_idle_per_host(job.idle_connections());
        Ok(Self(Arc::new(client.build(connector))))
    }

    pub(crate) async fn get(&self, job: &Job, url: &str, attempt: u32) -> Exchange {
        let mut head = None;
        let body =
            tokio::time::timeout(job.timeout, self.follow(job, url, attempt, &mut head)).await;
        let done = Instant::now();
        let body = body.unwrap_or_else(|elapsed| Err(elapsed.into()));
        Exchange { head, body, done }
    }

    /// Stores the head, even if the body then fails or times out.
    async fn follow(
        &self,
        job: &Job,
        url: &str,
        attempt: u32,
        arrived: &mut Option<Head>,
    ) -> Result<Bytes, AttemptError> {
        let mut url = Cow::Borrowed(url);
        for hop in 0..=MAX_REDIRECTS {
            let request = request(&url, attempt)?;
            let response = self.0.request(request).await.map_err(|error| {
                let text = error_chain(&error);
                if error.is_connect() {
                    AttemptError::no_connection(text)
                } else {
                    AttemptError::broken(text)
                }
            })?;
            let Some(next) = redirect(&url, response.status(), response.headers()) else {
                *arrived = Some(head(response.status(), response.headers(), hop > 0));
                let announced = announced_length(response.status(), response.headers());
                let body = body::collect(response.into_body(), job.max_body).await?;
                return complete(announced, body);
            };
            url = Cow::Owned(next);
        }
        Err(too_many_redirects())
    }
}

fn request(url: &str, attempt: u32) -> Result<Request<Empty<Bytes>>, hyper::http::Error> {
    Request::get(url)
        .header(ACCEPT, "*/*")
        .header(USER_AGENT, super::exchange::USER_AGENT)
        .header(FLAG_ATTEMPT, attempt)
        .body(Empty::new())
}
