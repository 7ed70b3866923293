//! What a command requested in a round besides each flag of the job once, as counts.

use std::collections::HashSet;

use flags_data::CountryCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::result::measurement::{OtherRequest, Round};

/// By how much the requests of a command differ from those of the job, in one round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnaskedRequests {
    /// Flags of the job that were never requested.
    pub missing: usize,
    /// Downloads of a flag of the job that had been downloaded.
    pub repeated: usize,
    /// Downloads of flags that are not of the job.
    pub foreign: usize,
    /// HEAD requests.
    pub head: usize,
    /// Other requests: for metadata, for paths that no file has, or with other methods.
    pub other: usize,
    /// Requests without a record.
    pub unrecorded: usize,
    /// Requests that named a run of their own; each is also one of the others or of the job.
    pub own_run: usize,
}

impl UnaskedRequests {
    /// Of a round.
    pub(super) fn of(round: &Round, wanted: &[CountryCode]) -> Self {
        let wanted: HashSet<CountryCode> = wanted.iter().copied().collect();
        let endings = round.samples.iter().filter(|sample| sample.is_last());
        let codes: Vec<CountryCode> = endings.map(|sample| sample.code).collect();
        let of_job = codes.iter().filter(|code| wanted.contains(code));
        let distinct: HashSet<&CountryCode> = of_job.clone().collect();
        let of_job = of_job.count();
        let is_head = |request: &&OtherRequest| request.method == "HEAD";
        let head = round.other_requests().filter(is_head).count();
        let requests = round.requests.as_ref();
        Self {
            missing: wanted.len() - distinct.len(),
            repeated: of_job - distinct.len(),
            foreign: codes.len() - of_job,
            head,
            other: round.other_requests().count() - head,
            unrecorded: requests.map_or(0, |requests| requests.unrecorded),
            own_run: requests.map_or(0, |requests| requests.own_run),
        }
    }

    /// The larger of each count.
    pub(super) fn max(self, other: Self) -> Self {
        Self {
            missing: self.missing.max(other.missing),
            repeated: self.repeated.max(other.repeated),
            foreign: self.foreign.max(other.foreign),
            head: self.head.max(other.head),
            other: self.other.max(other.other),
            unrecorded: self.unrecorded.max(other.unrecorded),
            own_run: self.own_run.max(other.own_run),
        }
    }
}
