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
    /// Tasks on a tokio runtime, let through by a semaphore.
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

    /// What the command line and the reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Threaded => "threaded",
            Self::Async => "async",
            Self::Processes => "processes",
        }
    }

    /// How many downloads this strategy has under way at most.
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
    /// One: waiting is all that the tasks do.
    #[default]
    CurrentThread,
    /// One per core.
    MultiThread,
}

impl RuntimeFlavor {
    /// What the command line and the reports call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::CurrentThread => "current-thread",
            Self::MultiThread => "multi-thread",
        }
    }
}
