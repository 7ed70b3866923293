//! The strategies, by name.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::download::job::Job;

/// The strategies that come with the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// One blocking request after the other.
    Sequential,
    /// A pool of OS threads that take codes from a queue, with blocking requests.
    Threaded,
    /// Tasks on a tokio runtime, limited by a semaphore.
    Async,
    /// A pool of processes that are fed from a queue, with blocking requests.
    Processes,
}

impl Strategy {
    /// Those that race by default, in the order of the race.
    pub const DEFAULT: [Self; 3] = [Self::Sequential, Self::Threaded, Self::Async];

    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Sequential,
        Self::Threaded,
        Self::Async,
        Self::Processes,
    ];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Threaded => "threaded",
            Self::Async => "async",
            Self::Processes => "processes",
        }
    }

    /// The most downloads that this strategy has in flight.
    pub fn workers(self, job: &Job) -> NonZeroUsize {
        match self {
            Self::Sequential => NonZeroUsize::MIN,
            Self::Threaded | Self::Async | Self::Processes => job.workers(),
        }
    }
}

/// The threads that run the tasks of `async`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeFlavor {
    /// One thread: the tasks only wait.
    #[default]
    CurrentThread,
    /// One thread per core.
    MultiThread,
}

impl RuntimeFlavor {
    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::CurrentThread => "current-thread",
            Self::MultiThread => "multi-thread",
        }
    }
}
