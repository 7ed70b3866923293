//! The parameters of a load: the server, the requests, and their rate.

use std::num::NonZeroUsize;
use std::time::Duration;

use reqwest::Url;

use super::requests::Requests;
use super::schedule::{End, Pace};
use crate::download::CancelToken;
use crate::result::LoadJob;

/// The parameters of a load.
#[derive(Debug, Clone)]
pub struct Load {
    /// The server that the connections go to.
    pub url: Url,
    /// The requests.
    pub requests: Requests,
    /// The number of connections.
    pub connections: NonZeroUsize,
    /// The number of threads that share them.
    pub threads: NonZeroUsize,
    /// How requests follow each other.
    pub pace: Pace,
    /// When it ends.
    pub end: End,
    /// The warm-up, whose requests do not count.
    pub warmup: Duration,
    /// The time limit of a request.
    pub timeout: Duration,
    /// The longest body that is accepted, in bytes.
    pub max_body: u64,
    /// Whether a connection serves more than one request.
    pub keep_alive: bool,
    /// Ends it early.
    pub cancel: CancelToken,
}

impl Load {
    /// The record of these parameters. The seed is that of the order of the paths.
    pub fn record(&self, seed: u64) -> LoadJob {
        LoadJob {
            paths: self.requests.paths(),
            seed,
            connections: self.connections,
            threads: self.threads,
            rate: match self.pace {
                Pace::Closed => None,
                Pace::Open { rate } => Some(rate),
            },
            requests: match self.end {
                End::After(count) => Some(count),
                End::Within(_) => None,
            },
            duration: match self.end {
                End::After(_) => None,
                End::Within(duration) => Some(duration),
            },
            warmup: self.warmup,
            timeout: self.timeout,
            max_body_bytes: Some(self.max_body),
            keep_alive: self.keep_alive,
            run: self.requests.run().map(str::to_owned),
        }
    }
}
