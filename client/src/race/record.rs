//! What is written down of a race before anything is measured.

use flag_cli::{one_line, without_credentials};

use super::contender::Contender;
use super::plan;
use super::server_plan::ServerPlan;
use super::target::Target;
use crate::download::Job;
use crate::result::{JobRecord, Kind, Measurement, Series, ServerRecord};

/// A measurement of this job on this server, with nothing measured yet. `command` is how to do it
/// again.
pub fn begin(kind: Kind, job: &Job, target: &Target, command: Vec<String>) -> Measurement {
    let record = JobRecord {
        codes: job.codes.clone(),
        max_workers: job.max_workers,
        timeout: job.timeout,
        first_attempt: job.retry.first.get(),
        retries: job.retry.retries,
        retry_seed: job.retry.seed,
        keep_alive: job.connection.keep_alive,
        http2: job.connection.http2,
        warmup: 0,
        adaptive_rounds: false,
    };
    let plan = plan::planned(job, target);
    Measurement::new(kind, command, record, target.record(), plan)
}

/// A series of this contender, with nothing measured yet.
pub fn series(contender: &dyn Contender, job: &Job) -> Series {
    Series {
        name: one_line(&contender.name()),
        contender: contender.record(),
        workers: contender.workers(job),
        memory_bytes: None,
        rounds: Vec::new(),
        unfinished: None,
    }
}

impl Target {
    /// What is written down of it.
    pub fn record(&self) -> ServerRecord {
        ServerRecord {
            label: self.label.clone(),
            url: without_credentials(&self.base_url),
            scenario: self.plan.as_ref().map(ServerPlan::record),
        }
    }
}
