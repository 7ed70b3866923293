//! Downloads with `ureq`, for threads: each does its own input and output, without background
//! threads.
//!
//! By default, ureq resolves the host before every request, even for a pooled connection, and
//! starts a thread for that whenever there is a time limit. Here the calling thread resolves it:
//! addresses need no waiting, and the time limit does not cover the wait for a name server.
//!
//! ureq never retries. It checks that a pooled connection is open before it uses it; if the
//! connection closes just after that, the attempt is a broken connection, even if the server never
//! saw the request.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flag_server::FLAG_ATTEMPT;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::time::Duration as Limit;
use ureq::unversioned::transport::{
    ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};
use ureq::{Agent, Body, Error};

use super::body;
use super::exchange::{
    Exchange, Head, MAX_REDIRECTS, USER_AGENT, announced_length, complete, head, install_crypto,
    redirect, too_many_redirects,
};
use crate::download::error::{AttemptError, SetupError};
use crate::download::job::Job;

/// As long as reqwest and hyper keep them.
const IDLE: Duration = Duration::from_secs(90);

/// GETs for threads. Clones share the connections.
#[derive(Debug, Clone)]
pub(crate) struct ForThreads(Agent);

impl ForThreads {
    pub(crate) fn new(job: &Job) -> Result<Self, SetupError> {
        install_crypto();
        let pooled = job.idle_connections();
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier);
        // All options are set here: a request with its own options would not share its TLS
        // connection with the next one.
        let config = Config::builder()
            .user_agent(USER_AGENT)
            .timeout_global(Some(job.timeout))
            .max_idle_connections(pooled)
            .max_idle_connections_per_host(pooled)
            .max_idle_age(IDLE)
            .tls_config(tls.build())
            .proxy(None) // one from the environment would be measured instead
            .http_status_as_error(false)
            .max_redirects(0)
            .build();
        Ok(Self(Agent::with_parts(
            config,
            Marking(DefaultConnector::new()),
            InPlace(DefaultResolver::default()),
        )))
    }

    pub(crate) fn get(&self, job: &Job, url: &str, attempt: u32) -> Exchange {
        let mut head = None;
        let body = self.follow(job, url, attempt, &mut head);
        Exchange {
            head,
            done: Instant::now(),
            body,
        }
    }

    /// Stores the head, even if the body then fails or times out. ureq itself would report a
    /// redirect without a valid target as an error, without its status.
    fn follow(
        &self,
        job: &Job,
        url: &str,
        attempt: u32,
        arrived: &mut Option<Head>,
    ) -> Result<Bytes, AttemptError> {
        let begun = Instant::now();
        let mut url = Cow::Borrowed(url);
        for hop in 0..=MAX_REDIRECTS {
            let request = self.0.get(&*url);
            let request = request.header(FLAG_ATTEMPT, attempt.to_string());
            let response = if hop == 0 {
                request.call()
            } else {
                let left = job.timeout.saturating_sub(begun.elapsed());
                let request = request.config().timeout_global(Some(left)).build();
                request.call()
            };
            let mut response = response.map_err(failure)?;
            let Some(next) = redirect(&url, response.status(), response.headers()) else {
                *arrived = Some(head(response.status(), response.headers(), hop > 0));
                let announced = announced_length(response.status(), response.headers());
                return complete(announced, read(response.body_mut(), job.max_body)?);
            };
            // Otherwise its connection could not be reused.
            read(response.body_mut(), job.max_body)?;
            url = Cow::Owned(next);
        }
        Err(too_many_redirects())
    }
}

fn read(body: &mut Body, limit: u64) -> Result<Bytes, AttemptError> {
    let announced = body.content_length();
    body::read(body.as_reader(), announced, limit, |error| {
        failure(error.into())
    })
}

fn failure(error: Error) -> AttemptError {
    match error {
        Error::Other(error) if error.is::<NoConnection>() => AttemptError::no_connection(error),
        error => error.into(),
    }
}

/// An error before there was a connection: the same errors mean something else after that.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect: {0}")]
struct NoConnection(Error);

fn no_connection(error: Error) -> Error {
    match error {
        Error::Timeout(_) => error,
        error => Error::Other(Box::new(NoConnection(error))),
    }
}

/// The usual connector, whose errors can be distinguished from those of a connection.
#[derive(Debug)]
struct Marking(DefaultConnector);

impl Connector for Marking {
    type Out = Box<dyn Transport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, Error> {
        self.0.connect(details, chained).map_err(no_connection)
    }
}

/// The usual resolver, on the calling thread.
#[derive(Debug)]
struct InPlace(DefaultResolver);

impl Resolver for InPlace {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        limit: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let without_limit = NextTimeout {
            after: Limit::NotHappening,
            ..limit
        };
        self.0
            .resolve(uri, config, without_limit)
            .map_err(no_connection)
    }
}
