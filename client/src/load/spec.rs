//! What a load is to do: where the connections go, what is sent, and how often.

use std::num::NonZeroUsize;
use std::time::Duration;

use reqwest::Url;

use super::requests::Requests;
use super::schedule::{End, Pace};
use crate::download::CancelToken;
use crate::result::LoadJob;

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Load {
    /// Where the connections go.
    pub url: Url,
    /// What is sent.
    pub requests: Requests,
    /// How many connections there are.
    pub connections: NonZeroUsize,
    /// How many threads share them.
    pub threads: NonZeroUsize,
    /// How requests follow each other.
    pub pace: Pace,
    /// Which of them count.
    pub end: End,
    /// How long requests are sent before they count.
    pub warmup: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// Whether a connection serves more than one.
    pub keep_alive: bool,
    /// Ends it early.
    pub cancel: CancelToken,
}

impl Load {
    /// What is written down of it. The seed is that of the order of its paths.
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
            keep_alive: self.keep_alive,
            run: self.requests.run().map(str::to_owned),
        }
    }
}
