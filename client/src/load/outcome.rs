//! The result of a load, and the document that is made from it.

use std::time::{Duration, SystemTime};

use super::recorder::Recorder;
use crate::result::{
    Environment, LoadJob, LoadKind, LoadResult, LoadTimes, RequestCounts, SCHEMA_VERSION,
    ServerRecord, Times,
};

/// The result of a load.
#[derive(Debug, Clone)]
pub struct LoadOutcome {
    /// All requests that count.
    pub recorder: Recorder,
    /// From the first of them until the last answer.
    pub elapsed: Duration,
    /// The processor time of this program for each of them, user and system; none where it is not
    /// known.
    pub cpu_per_request: Option<Duration>,
    /// Whether it was stopped: requests in flight at that time are not included.
    pub interrupted: bool,
}

impl LoadOutcome {
    /// The document of this load. `command` is the command line that repeats it.
    pub fn into_result(
        self,
        job: LoadJob,
        server: ServerRecord,
        command: Vec<String>,
    ) -> LoadResult {
        let recorder = self.recorder;
        LoadResult {
            schema_version: SCHEMA_VERSION,
            kind: LoadKind::Load,
            command,
            ended: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            interrupted: self.interrupted,
            job,
            server,
            environment: Environment::here(),
            elapsed: self.elapsed,
            cpu_per_request: self.cpu_per_request,
            requests: RequestCounts {
                sent: recorder.requests(),
                succeeded: recorder.succeeded.service.len(),
                failed: recorder.failed.service.len(),
                unsent: recorder.unsent,
            },
            statuses: recorder.statuses,
            failures: recorder.failures,
            bytes: recorder.bytes,
            connections_made: recorder.connections,
            times: LoadTimes {
                response: Times(recorder.succeeded.response),
                service: Times(recorder.succeeded.service),
                lag: Times(recorder.lag),
                failed_response: Times(recorder.failed.response),
                failed_service: Times(recorder.failed.service),
            },
        }
    }
}
