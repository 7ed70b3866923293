//! Downloads with `reqwest`, once for threads and once for tasks.
//!
//! `reqwest::blocking` is not what its name says: it runs a hidden single-threaded tokio runtime,
//! which does the input and output of all its callers, and blocks only them. It must never be called
//! from async code.

use std::time::{Instant, SystemTime};

use bytes::Bytes;
use flag_server::FLAG_ATTEMPT;
use reqwest::header::HeaderMap;
use reqwest::{Error, StatusCode};

use super::{Exchange, Failure, Head, SetupError, server_timing};
use crate::job::Job;
use crate::retry::retry_after;
use crate::sample::Outcome;

const USER_AGENT: &str = concat!("flag-client/", env!("CARGO_PKG_VERSION"));

/// Builds either kind of client: both have the same options, but no trait in common.
macro_rules! client {
    ($builder:ty, $job:expr) => {{
        install_crypto();
        // A proxy of the environment would be what is measured. Retries are ours to decide and to count: reqwest's
        // own (of requests that an HTTP/2 server refused) are off. What hyper still repeats, and reqwest cannot
        // forbid, is a request of which no byte was written because its pooled connection had closed: the
        // server never saw it, so it is no attempt.
        let mut builder = <$builder>::new()
            .user_agent(USER_AGENT)
            .no_proxy()
            .retry(reqwest::retry::never());
        if !$job.is_https() {
            builder = builder.tls_certs_only([]); // saves reading the system's certificates
        }
        builder
            .build()
            .map_err(|error| SetupError(whole_story(&error)))
    }};
}

/// GETs for threads.
#[derive(Debug, Clone)]
pub(crate) struct BlockingHttp(reqwest::blocking::Client);

impl BlockingHttp {
    pub(crate) fn new(job: &Job) -> Result<Self, SetupError> {
        Ok(Self(client!(reqwest::blocking::ClientBuilder, job)?))
    }

    pub(crate) fn get(&self, job: &Job, url: &str, attempt: u32) -> Exchange {
        let request = self.0.get(url).timeout(job.timeout);
        let request = request.header(FLAG_ATTEMPT, attempt);
        match request.send() {
            Ok(response) => {
                let head = head(response.status(), response.headers());
                exchange(Some(head), response.bytes())
            }
            Err(error) => exchange(None, Err(error)),
        }
    }
}

/// GETs for tasks.
#[derive(Debug, Clone)]
pub(crate) struct AsyncHttp(reqwest::Client);

impl AsyncHttp {
    pub(crate) fn new(job: &Job) -> Result<Self, SetupError> {
        Ok(Self(client!(reqwest::ClientBuilder, job)?))
    }

    pub(crate) async fn get(&self, job: &Job, url: &str, attempt: u32) -> Exchange {
        let request = self.0.get(url).timeout(job.timeout);
        let request = request.header(FLAG_ATTEMPT, attempt);
        match request.send().await {
            Ok(response) => {
                let head = head(response.status(), response.headers());
                exchange(Some(head), response.bytes().await)
            }
            Err(error) => exchange(None, Err(error)),
        }
    }
}

fn head(status: StatusCode, headers: &HeaderMap) -> Head {
    let at = Instant::now();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let timing = text("server-timing").unwrap_or_default();
    Head {
        at,
        status: status.as_u16(),
        plan: server_timing(timing, "plan"),
        wait: server_timing(timing, "wait"),
        retry_after: text("retry-after").and_then(|header| retry_after(header, SystemTime::now())),
    }
}

fn exchange(head: Option<Head>, body: Result<Bytes, Error>) -> Exchange {
    let done = Instant::now();
    let body = body.map_err(|error| {
        let outcome = if error.is_timeout() {
            Outcome::Timeout
        } else if error.is_connect() {
            Outcome::NoConnection
        } else {
            Outcome::BrokenConnection
        };
        Failure {
            outcome,
            error: whole_story(&error),
        }
    });
    Exchange { head, body, done }
}

/// The error with all its causes: the outermost alone says only "error sending request".
fn whole_story(error: &Error) -> String {
    let mut story = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        story = format!("{story}: {error}");
        cause = error.source();
    }
    story
}

/// TLS wants its cryptography named, once per process. A second call changes nothing.
fn install_crypto() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}
