//! Where the time beyond the ideal went.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::KnownPlan;
use crate::download::Sample;
use crate::result::measurement::{ContenderRecord, PlannedAttempt, Round, Series};
use crate::result::stats;

/// Where the time beyond the ideal went, over the attempts of the worker that ended last: its parts
/// and the planned times add up to the round. Each is the median over the rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The median round less the ideal, in milliseconds; the other fields say what it is made of.
    pub total_ms: f64,
    /// The server held its delays longer than planned.
    pub server_ms: f64,
    /// Connecting, sending, and waiting for the head of the response, beyond the delay.
    pub waiting_ms: f64,
    /// The body, beyond its planned pace.
    pub transfer_ms: f64,
    /// Before, between and after the downloads: the client's own work.
    pub client_ms: f64,
    /// What of that came before the first request. Of a command only, whose process has to start.
    pub startup_ms: Option<f64>,
    /// The downloads were shared out otherwise than the perfect client would have, or waited for a
    /// capacity in another order; below zero if that was luck.
    pub order_ms: f64,
}

impl Loss {
    /// Of a series; none if the plan is not known, or nothing was measured.
    pub(super) fn of(plan: &KnownPlan<'_>, series: &Series) -> Option<Self> {
        let ideal = plan.ideal(series.workers)?;
        let is_command = matches!(series.contender, ContenderRecord::Command { .. });
        let planned = |sample: &Sample| {
            let unasked = || unasked(sample).filter(|_| is_command);
            plan.attempt(sample).or_else(unasked)
        };
        let rounds = series.rounds.iter();
        let rounds: Vec<Self> = rounds
            .map(|round| Self::of_round(round, ideal, planned))
            .collect::<Option<_>>()?;
        let median = |part: fn(&Self) -> f64| {
            let parts: Vec<f64> = rounds.iter().map(part).collect();
            stats::median(&parts)
        };
        Some(Self {
            total_ms: median(|loss| loss.total_ms)?,
            server_ms: median(|loss| loss.server_ms)?,
            waiting_ms: median(|loss| loss.waiting_ms)?,
            transfer_ms: median(|loss| loss.transfer_ms)?,
            client_ms: median(|loss| loss.client_ms)?,
            startup_ms: median(|loss| loss.startup_ms.unwrap_or_default()).filter(|_| is_command),
            order_ms: median(|loss| loss.order_ms)?,
        })
    }

    /// Over the attempts of the worker that ended last. None without a sample, or if one has no
    /// plan.
    fn of_round(
        round: &Round,
        ideal: Duration,
        planned: impl Fn(&Sample) -> Option<PlannedAttempt>,
    ) -> Option<Self> {
        let last = round.samples.iter().max_by_key(|sample| sample.done)?;
        let first = round.samples.iter().map(|sample| sample.sent).min()?;
        let mut loss = Self {
            total_ms: more(round.elapsed, ideal),
            server_ms: 0.0,
            waiting_ms: 0.0,
            transfer_ms: 0.0,
            client_ms: 0.0,
            startup_ms: Some(stats::millis(first)),
            order_ms: 0.0,
        };
        let (mut wanted, mut busy) = (Duration::ZERO, Duration::ZERO);
        let own = |sample: &&Sample| sample.worker == last.worker;
        for sample in round.samples.iter().filter(own) {
            let planned = planned(sample)?;
            let pause = sample.retry_in.unwrap_or_default();
            // In the queue of a capacity who comes first matters, as in the order of the job.
            let capacity = sample.capacity.unwrap_or_default();
            wanted += planned.time + capacity + pause;
            busy += sample.latency() + pause;
            let Some(headers) = sample.headers else {
                loss.waiting_ms += more(sample.latency(), planned.time + capacity);
                continue;
            };
            let told = sample.wait.zip(sample.plan);
            let late = told.map_or(0.0, |(wait, plan)| more(wait, plan));
            let until_head = headers.saturating_sub(sample.sent);
            let body = planned.time.saturating_sub(planned.delay);
            loss.server_ms += late;
            loss.waiting_ms += more(until_head, planned.delay + capacity) - late;
            loss.transfer_ms += more(sample.done.saturating_sub(headers), body);
        }
        loss.client_ms = more(round.elapsed, busy);
        loss.order_ms = more(wanted, ideal);
        Some(loss)
    }
}

/// By how many milliseconds the first is longer; below zero if it is shorter.
fn more(longer: Duration, shorter: Duration) -> f64 {
    stats::millis(longer) - stats::millis(shorter)
}

/// What was planned for an attempt that the job does not have, and a command made: all that is
/// known is the delay.
fn unasked(sample: &Sample) -> Option<PlannedAttempt> {
    let delay = sample.plan?;
    Some(PlannedAttempt {
        outcome: sample.outcome,
        delay,
        time: delay,
        requests: 1,
        service: None,
        pause: Duration::ZERO,
    })
}
