//! The plan of a measurement, by download.

use std::collections::HashMap;

use flags_data::CountryCode;

use crate::result::{Measurement, Planned, PlannedAttempt};
use crate::sample::{Outcome, Sample};

/// What was planned. Of an unknown plan it knows nothing.
pub(super) struct Plan<'m> {
    downloads: HashMap<CountryCode, &'m Planned>,
    first_attempt: u32,
}

impl<'m> Plan<'m> {
    pub(super) fn of(measurement: &'m Measurement) -> Self {
        let downloads = measurement.plan.iter().flatten();
        Self {
            downloads: downloads.map(|planned| (planned.code, planned)).collect(),
            first_attempt: measurement.job.first_attempt,
        }
    }

    /// How this download is to end.
    pub(super) fn outcome(&self, code: CountryCode) -> Option<Outcome> {
        self.downloads.get(&code)?.outcome()
    }

    /// What was planned for this attempt.
    pub(super) fn attempt(&self, sample: &Sample) -> Option<PlannedAttempt> {
        let attempts = &self.downloads.get(&sample.code)?.attempts;
        let index = sample.attempt.checked_sub(self.first_attempt)?;
        attempts.get(index as usize).copied()
    }

    /// The flags that arrive if all goes as planned.
    pub(super) fn arrivals(&self) -> usize {
        let outcomes = self.downloads.values().map(|planned| planned.outcome());
        outcomes
            .filter(|outcome| *outcome == Some(Outcome::Downloaded))
            .count()
    }
}
