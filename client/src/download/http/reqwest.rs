//! Downloads with `reqwest`, once for threads and once for tasks.
//!
//! `reqwest::blocking` runs a hidden single-threaded tokio runtime, which does the input and output
//! of all its callers and blocks only them. It must never be called from async code.

use std::io;
use std::time::Instant;

use bytes::Bytes;
use flag_server::FLAG_ATTEMPT;
use reqwest::{Body, Error, Url, redirect};

use super::body;
use super::exchange::{
    Exchange, Head, MAX_REDIRECTS, USER_AGENT, announced_length, complete, head, install_crypto,
};
use crate::download::error::{AttemptError, SetupError, error_chain};
use crate::download::job::Job;

/// Builds either kind of client: both have the same options, but no trait in common.
macro_rules! client {
    ($builder:ty, $job:expr) => {{
        install_crypto();
        // A proxy from the environment would be measured instead of the server. Retries are
        // decided and counted here, so reqwest's own (of requests that an HTTP/2 server refused)
        // are off. hyper still repeats a request of which no byte was written because its pooled
        // connection had closed, and reqwest cannot disable that. The server never saw such a
        // request, so it is not an attempt.
        let mut builder = <$builder>::new()
            .user_agent(USER_AGENT)
            .no_proxy()
            .redirect(redirect::Policy::limited(MAX_REDIRECTS as usize))
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host($job.idle_connections());
        if !$job.is_https() {
            builder = builder.tls_certs_only([]); // saves reading the system's certificates
        }
        // With https the server would choose the version.
        builder = if $job.connection.http2 {
            builder.http2_prior_knowledge()
        } else {
            builder.http1_only()
        };
        builder
            .build()
            .map_err(|error| SetupError::Http(error_chain(&error)))
    }};
}

/// GETs for threads.
#[derive(Debug, Clone)]
pub(crate) struct ForThreads(reqwest::blocking::Client);

impl ForThreads {
    pub(crate) fn new(job: &Job) -> Result<Self, SetupError> {
        Ok(Self(client!(reqwest::blocking::ClientBuilder, job)?))
    }

    pub(crate) fn get(&self, job: &Job, url: &str, attempt: u32) -> Exchange {
        let request = self.0.get(url).timeout(job.timeout);
        let request = request.header(FLAG_ATTEMPT, attempt);
        match request.send() {
            Ok(response) => {
                let is_redirected = is_other(url, response.url());
                let head = head(response.status(), response.headers(), is_redirected);
                let announced = announced_length(response.status(), response.headers());
                let length = response.content_length();
                let body = body::read(response, length, job.max_body, failure);
                exchange(Some(head), body.and_then(|body| complete(announced, body)))
            }
            Err(error) => exchange(None, Err(error.into())),
        }
    }
}

/// GETs for tasks.
#[derive(Debug, Clone)]
pub(crate) struct ForTasks(reqwest::Client);

impl ForTasks {
    pub(crate) fn new(job: &Job) -> Result<Self, SetupError> {
        Ok(Self(client!(reqwest::ClientBuilder, job)?))
    }

    pub(crate) async fn get(&self, job: &Job, url: &str, attempt: u32) -> Exchange {
        let request = self.0.get(url).timeout(job.timeout);
        let request = request.header(FLAG_ATTEMPT, attempt);
        match request.send().await {
            Ok(response) => {
                let is_redirected = is_other(url, response.url());
                let head = head(response.status(), response.headers(), is_redirected);
                let announced = announced_length(response.status(), response.headers());
                let body = body::collect(Body::from(response), job.max_body).await;
                exchange(Some(head), body.and_then(|body| complete(announced, body)))
            }
            Err(error) => exchange(None, Err(error.into())),
        }
    }
}

/// Whether a response is that of another URL.
fn is_other(requested: &str, url: &Url) -> bool {
    url.as_str() != requested && Url::parse(requested).ok().as_ref() != Some(url)
}

/// What an error means that came out of a reader.
fn failure(error: io::Error) -> AttemptError {
    match error.downcast::<Error>() {
        Ok(error) => error.into(),
        Err(error) => error.into(),
    }
}

fn exchange(head: Option<Head>, body: Result<Bytes, AttemptError>) -> Exchange {
    Exchange {
        head,
        done: Instant::now(),
        body,
    }
}
