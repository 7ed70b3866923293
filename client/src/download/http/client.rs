//! One GET with any of the libraries: for threads, or for tasks.

use super::exchange::Exchange;
use super::library::Http;
use super::{hyper, reqwest, ureq};
use crate::download::error::SetupError;
use crate::download::job::Job;

/// GETs for threads.
#[derive(Debug)]
pub(crate) enum BlockingHttp {
    Reqwest(reqwest::ForThreads),
    Ureq(ureq::ForThreads),
}

impl BlockingHttp {
    pub(crate) fn new(http: Http, job: &Job) -> Result<Self, SetupError> {
        match http {
            Http::Reqwest => reqwest::ForThreads::new(job).map(Self::Reqwest),
            Http::Ureq => ureq::ForThreads::new(job).map(Self::Ureq),
            Http::Hyper => Err(SetupError::Http("hyper never blocks".to_owned())),
        }
    }

    pub(crate) fn get(&self, job: &Job, url: &str, attempt: u32) -> Exchange {
        match self {
            Self::Reqwest(http) => http.get(job, url, attempt),
            Self::Ureq(http) => http.get(job, url, attempt),
        }
    }
}

/// GETs for tasks. Clones share the connections.
#[derive(Debug, Clone)]
pub(crate) enum AsyncHttp {
    Reqwest(reqwest::ForTasks),
    Hyper(hyper::ForTasks),
}

impl AsyncHttp {
    pub(crate) fn new(http: Http, job: &Job) -> Result<Self, SetupError> {
        match http {
            Http::Reqwest => reqwest::ForTasks::new(job).map(Self::Reqwest),
            Http::Hyper => hyper::ForTasks::new(job).map(Self::Hyper),
            Http::Ureq => Err(SetupError::Http("ureq only blocks".to_owned())),
        }
    }

    pub(crate) async fn get(&self, job: &Job, url: &str, attempt: u32) -> Exchange {
        match self {
            Self::Reqwest(http) => http.get(job, url, attempt).await,
            Self::Hyper(http) => http.get(job, url, attempt).await,
        }
    }
}
