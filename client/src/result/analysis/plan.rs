//! What a measurement knows of the future that it met: the plan by download, the times of perfect
//! clients, and whether there was a capacity.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use flags_data::{Catalogue, CountryCode};

use crate::download::retry::Attempt;
use crate::download::{Outcome, RetryPolicy, Sample};
use crate::result::ideal::{IdealTimes, NoIdeal};
use crate::result::measurement::{Measurement, Planned, PlannedAttempt, PlannedDoubt, Series};

/// What was planned. Of an unknown plan it knows nothing.
pub(super) struct KnownPlan<'m> {
    downloads: HashMap<CountryCode, &'m Planned>,
    ideals: IdealTimes,
    retry: RetryPolicy,
    /// Whether the plan follows from a scenario, and not from what a server reported.
    has_scenario: bool,
    flags: Catalogue,
    /// Whether the server could do so much and no more, which no plan knows.
    pub(super) has_capacity: bool,
}

impl<'m> KnownPlan<'m> {
    pub(super) fn of(measurement: &'m Measurement) -> Self {
        let downloads = measurement.plan.iter().flatten();
        let ideals = IdealTimes::of(measurement);
        Self {
            downloads: downloads.map(|planned| (planned.code, planned)).collect(),
            has_capacity: ideals.has_capacity,
            ideals,
            retry: measurement.job.retry(),
            has_scenario: measurement.server.scenario.is_some(),
            flags: Catalogue::embedded(),
        }
    }

    /// The time of a perfect client with this many workers; none if it is not known, or if the plan
    /// takes no time.
    pub(super) fn ideal(&self, workers: NonZeroUsize) -> Option<Duration> {
        let ideal = self.ideals.at(workers).ok();
        ideal.filter(|ideal| !ideal.is_zero())
    }

    /// The same for a series, or why it has none; and the time that nobody can beat in its place. A
    /// plan that takes no time has no ideal, and no reason.
    pub(super) fn ideal_of(
        &self,
        series: &Series,
    ) -> (Result<Option<Duration>, NoIdeal>, Option<Duration>) {
        let (ideal, bound) = self.ideals.of_series(series);
        let longer = |time: Duration| Some(time).filter(|time| !time.is_zero());
        (ideal.map(longer), bound.and_then(longer))
    }

    /// Whether a download that ended so is done: the right flag has arrived, or it failed as
    /// planned. Without a scenario, only the server can have said so, in the head of a response
    /// that was an error. A 404 is right for a country without a flag; for another one it is what a
    /// wrong address gets, whatever rules were applied to it.
    pub(super) fn is_done(&self, series: &Series, ending: &Sample) -> bool {
        let planned = self.downloads.get(&ending.code);
        match (ending.outcome, planned) {
            (Outcome::Downloaded, _) => true,
            (outcome, Some(planned)) if self.has_scenario => {
                let reported = || outcome == Outcome::HttpError && ending.rules.is_some();
                let in_doubt = |doubt: &PlannedDoubt| doubt.outcome == outcome || reported();
                planned.outcome() == Some(outcome)
                    || planned.doubt.as_ref().is_some_and(in_doubt)
                    || (series.is_command() && self.is_served_failure(ending))
            }
            (Outcome::HttpError, _) => ending.rules.is_some(),
            (Outcome::NotFound, _) => self.flags.get(ending.code).is_none(),
            _ => false,
        }
    }

    /// Whether the server's rules made this attempt of a command fail, and the retry policy ends
    /// with it. The rules may depend on headers that only the command sends, so the plan of the
    /// race does not know it. A server breaks nothing off without a rule; a command that leaves
    /// early has a time limit of its own.
    fn is_served_failure(&self, ending: &Sample) -> bool {
        let outcome = ending.outcome;
        let is_of_server = matches!(
            outcome,
            Outcome::HttpError | Outcome::BrokenConnection | Outcome::WrongBody
        );
        let attempt = Attempt {
            code: ending.code,
            number: ending.attempt,
            outcome,
            status: ending.status,
            retry_after: None,
        };
        is_of_server && ending.rules.is_some() && self.retry.pause_after(&attempt).is_none()
    }

    /// Whether it is known of every download how it goes, and how long its requests are served.
    pub(super) fn is_complete(&self) -> bool {
        let has_service =
            |attempt: &PlannedAttempt| !self.has_capacity || attempt.service.is_some();
        self.downloads
            .values()
            .all(|planned| planned.doubt.is_none() && planned.attempts.iter().all(has_service))
    }

    /// Whether it is known how a download goes.
    pub(super) fn is_certain(&self, sample: &Sample) -> bool {
        let planned = self.downloads.get(&sample.code);
        planned.is_some_and(|planned| planned.doubt.is_none())
    }

    /// What was planned for this attempt.
    pub(super) fn attempt(&self, sample: &Sample) -> Option<PlannedAttempt> {
        let attempts = &self.downloads.get(&sample.code)?.attempts;
        let index = sample.attempt.checked_sub(self.retry.first.get())?;
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
