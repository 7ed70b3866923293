//! The result of a load, and the document that is made from it.

use std::time::{Duration, SystemTime};

use flag_host::{Busy, http_time};

use super::recorder::Recorder;
use super::schedule::Pace;
use crate::result::{
    Environment, GeneratorRecord, LoadJob, LoadKind, LoadPercentiles, LoadResult, LoadTimes,
    Neighbourhood, RequestCounts, SCHEMA_VERSION, ServerRecord, Times,
};

/// The result of a load.
#[derive(Debug, Clone)]
pub struct LoadOutcome {
    /// All requests that count.
    pub recorder: Recorder,
    /// The processor time of this program for each of them, user and system; none where it is not
    /// known.
    pub cpu_per_request: Option<Duration>,
    /// What other programs did meanwhile; none where it is not known.
    pub neighbours: Option<Busy>,
    /// Whether it was stopped: requests in flight at that time were cut off.
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
        let first_intended = job.rate.map_or(Duration::ZERO, |rate| {
            let pace = Pace::Open { rate };
            let first = pace.intended(pace.intended_before(job.warmup));
            first.unwrap_or_default().saturating_sub(job.warmup)
        });
        let mut result = LoadResult {
            schema_version: SCHEMA_VERSION,
            kind: LoadKind::Load,
            command,
            ended: humantime::format_rfc3339_seconds(http_time(SystemTime::now())).to_string(),
            interrupted: self.interrupted,
            job,
            server,
            environment: Environment::here(),
            neighbours: self.neighbours.map(Neighbourhood::from),
            elapsed: recorder.last_end,
            first_intended,
            last_answer: recorder.last_answer,
            longest_wait: recorder.longest_wait,
            cpu_per_request: self.cpu_per_request,
            requests: RequestCounts {
                sent: recorder.requests(),
                succeeded: recorder.succeeded.service.len(),
                failed: recorder.failed.service.len(),
                planned_failures: recorder.planned.service.len(),
                unsent: recorder.unsent,
                cut_off: recorder.cut_off,
            },
            generator: GeneratorRecord {
                busy: recorder.busy,
                late: Times(recorder.late),
            },
            throughput: None,
            percentiles: LoadPercentiles::default(),
            statuses: recorder.statuses,
            planned_statuses: recorder.planned_statuses,
            failures: recorder.failures,
            causes: recorder.causes,
            bytes: recorder.bytes,
            connections_made: recorder.connections,
            times: LoadTimes {
                response: Times(recorder.succeeded.response),
                service: Times(recorder.succeeded.service),
                lag: Times(recorder.lag),
                failed_response: Times(recorder.failed.response),
                failed_service: Times(recorder.failed.service),
                planned_response: Times(recorder.planned.response),
                planned_service: Times(recorder.planned.service),
                censored_response: Times(recorder.censored.response),
                censored_service: Times(recorder.censored.service),
                early_response: Times(recorder.early),
            },
        };
        result.compute();
        result
    }
}
