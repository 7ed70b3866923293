//! `flag-client bench`: every runner does the same job in every round. It measures, and prints nothing.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use flag_server::forecast::Outlook;
use flag_server::scenario::{Ending, Plan};
use flags_data::CountryCode;

use crate::downloader::Runner;
use crate::fetch::SetupError;
use crate::job::Job;
use crate::retry::Attempt;
use crate::round::{Round, run_round};
use crate::sample::{Outcome, Sample};
use crate::stats;
use crate::target::Target;

/// Who races, and how often.
#[derive(Debug, Clone)]
pub struct Race {
    /// Who; the first is what the others are compared with.
    pub runners: Vec<Runner>,
    /// Rounds that are measured.
    pub rounds: NonZeroUsize,
    /// Rounds before them, which are not.
    pub warmup: usize,
}

/// What was measured.
#[derive(Debug)]
pub struct RaceResult {
    /// One per runner, in the order of the race.
    pub lanes: Vec<Lane>,
    /// Whether it ended early; the last round of a lane may be missing then.
    pub interrupted: bool,
}

/// One runner's part of the race.
#[derive(Debug)]
pub struct Lane {
    /// Who.
    pub runner: Runner,
    /// The downloads under way at most.
    pub workers: NonZeroUsize,
    /// The measured rounds that were complete.
    pub rounds: Vec<Round>,
}

impl Race {
    /// The number of times that some runner does the whole job.
    pub fn heats(&self) -> usize {
        self.runners.len() * (self.warmup + self.rounds.get())
    }

    /// Runs the race, or as much of it as the job's [stop](Job::stop) allows, and tells `watch` of each
    /// measured round as it ends.
    ///
    /// # Errors
    /// When a runner cannot be set up.
    pub fn run(
        &self,
        job: &Job,
        mut watch: impl FnMut(usize, &Runner, &Round),
    ) -> Result<RaceResult, SetupError> {
        let lane = |&runner: &Runner| Lane {
            runner,
            workers: runner.workers(job),
            rounds: Vec::new(),
        };
        let mut lanes: Vec<Lane> = self.runners.iter().map(lane).collect();
        for round in 0..self.warmup + self.rounds.get() {
            // Whatever the machine's speed drifts by in a round, it does not always favour the same ones.
            let mut order: Vec<&mut Lane> = lanes.iter_mut().collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for lane in order {
                let result = run_round(&lane.runner, job)?;
                if job.stop.is_requested() {
                    return Ok(RaceResult {
                        lanes,
                        interrupted: true,
                    });
                }
                if let Some(measured) = round.checked_sub(self.warmup) {
                    watch(measured, &lane.runner, &result);
                    lane.rounds.push(result);
                }
            }
        }
        Ok(RaceResult {
            lanes,
            interrupted: false,
        })
    }
}

impl Lane {
    /// The time that each round took.
    pub fn times(&self) -> Vec<Duration> {
        self.rounds.iter().map(|round| round.elapsed).collect()
    }

    /// All the attempts of all the rounds.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.rounds.iter().flat_map(|round| &round.samples)
    }

    /// The last attempt of each download of each round: how the downloads ended.
    pub fn endings(&self) -> impl Iterator<Item = &Sample> {
        self.samples().filter(|sample| sample.is_last())
    }

    /// How many downloads ended in an error.
    pub fn errors(&self) -> usize {
        self.endings()
            .filter(|sample| sample.outcome.is_error())
            .count()
    }

    /// How many attempts followed a first one.
    pub fn retries(&self) -> usize {
        self.samples().filter(|sample| !sample.is_last()).count()
    }
}

impl RaceResult {
    /// The delays of the job in its order: for each code those of all its attempts and the pauses between them,
    /// as our own server plans them, or as another one told in every response. `None` if it did not.
    pub fn planned_delays(&self, job: &Job, target: &Target) -> Option<Vec<Duration>> {
        if let Some(embedded) = &target.embedded {
            let plan = |&code| planned_time(job, code, |attempt| embedded.forecast(code, attempt));
            return Some(job.codes.iter().map(plan).collect());
        }
        let samples = self.lanes.iter().flat_map(Lane::samples);
        let told: HashMap<_, _> = samples
            .filter_map(|sample| {
                Some((
                    (sample.code, sample.attempt),
                    (sample.plan?, sample.retry_in),
                ))
            })
            .collect();
        let told_time = |&code| {
            let mut time = Duration::ZERO;
            for attempt in job.retry.first.get().. {
                let (delay, retry_in) = *told.get(&(code, attempt))?;
                time += delay;
                let Some(pause) = retry_in else { break };
                time += pause;
            }
            Some(time)
        };
        job.codes.iter().map(told_time).collect()
    }

    /// How many downloads went wrong whose last attempt the plan wanted to go well.
    pub fn unplanned_errors(&self, job: &Job, target: &Target) -> usize {
        let planned = |sample: &Sample| {
            target.embedded.as_ref().is_some_and(|server| {
                let (plan, outlook) = server.forecast(sample.code, sample.attempt);
                PlannedEnd::of(&plan, outlook, job.timeout)
                    .outcome
                    .is_error()
            })
        };
        let endings = self.lanes.iter().flat_map(Lane::endings);
        endings
            .filter(|sample| sample.outcome.is_error() && !planned(sample))
            .count()
    }

    /// For each lane, the median over the rounds of how much faster it was than the first lane in the
    /// same round. `None` without a common round.
    pub fn speed_ups(&self) -> Vec<Option<f64>> {
        let reference = self.lanes.first().map(Lane::times).unwrap_or_default();
        let speed_up = |lane: &Lane| {
            let pairs = reference.iter().zip(lane.times());
            let ratios: Option<Vec<f64>> = pairs
                .map(|(reference, time)| stats::speed_up(*reference, time))
                .collect();
            stats::median(&ratios?)
        };
        self.lanes.iter().map(speed_up).collect()
    }
}

/// The time that a perfect client is busy with this code: the delays, the paced bodies and the silence of all the attempts
/// that the policy makes of these plans, and the pauses between them. No attempt takes longer than the job's time limit.
fn planned_time(
    job: &Job,
    code: CountryCode,
    forecast: impl Fn(u32) -> (Plan, Outlook),
) -> Duration {
    let mut time = Duration::ZERO;
    for number in job.retry.first.get().. {
        let (plan, outlook) = forecast(number);
        let PlannedEnd {
            outcome,
            status,
            retry_after,
            time: attempt,
        } = PlannedEnd::of(&plan, outlook, job.timeout);
        time += attempt;
        let pause = job.retry.pause_after(&Attempt {
            code,
            number,
            outcome,
            status,
            retry_after,
        });
        let Some(pause) = pause else { break };
        time += pause;
    }
    time
}

/// What a plan comes to for a client with this time limit.
struct PlannedEnd {
    outcome: Outcome,
    status: Option<u16>,
    retry_after: Option<Duration>,
    /// From the request to the end.
    time: Duration,
}

impl PlannedEnd {
    fn of(plan: &Plan, outlook: Outlook, timeout: Duration) -> Self {
        let time = outlook.time.unwrap_or(Duration::MAX);
        let (outcome, status, retry_after) = match &plan.ending {
            None | Some(Ending::Redirect { .. }) => (Outcome::Downloaded, Some(200), None),
            Some(Ending::Status {
                status,
                retry_after,
                ..
            }) => {
                let outcome = match status.get() {
                    200 => Outcome::WrongBody,
                    404 => Outcome::NotFound,
                    _ => Outcome::HttpError,
                };
                (outcome, Some(status.get()), *retry_after)
            }
            Some(Ending::Corrupt { .. }) => (Outcome::WrongBody, Some(200), None),
            Some(Ending::Reset { after: None } | Ending::Close | Ending::Garbage { .. }) => {
                (Outcome::BrokenConnection, None, None)
            }
            Some(Ending::Stall { after: None, .. }) => (Outcome::BrokenConnection, None, None),
            Some(Ending::Reset { .. } | Ending::Truncate(_) | Ending::Stall { .. }) => {
                let outcome = if outlook.is_whole {
                    Outcome::Downloaded
                } else {
                    Outcome::BrokenConnection
                };
                (outcome, Some(200), None)
            }
        };
        if time >= timeout {
            Self {
                outcome: Outcome::Timeout,
                status: None,
                retry_after: None,
                time: timeout,
            }
        } else {
            // A header in whole seconds tells what the client sees of it.
            let retry_after =
                retry_after.map(|pause| Duration::from_secs_f64(pause.as_secs_f64().ceil()));
            Self {
                outcome,
                status,
                retry_after,
                time,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::RetryPolicy;
    use flag_server::scenario::StatusNumber;

    fn job(retries: u32) -> Job {
        Job {
            max_workers: NonZeroUsize::MIN,
            timeout: Duration::from_secs(10),
            retry: RetryPolicy {
                retries,
                ..RetryPolicy::default()
            },
            ..Job::new("", vec![brazil()])
        }
    }

    fn brazil() -> CountryCode {
        "BR".parse().unwrap()
    }

    /// The pause after an attempt that may pass.
    fn pause(number: u32) -> Duration {
        let attempt = Attempt {
            code: brazil(),
            number,
            outcome: Outcome::Timeout,
            status: None,
            retry_after: None,
        };
        job(9).retry.pause_after(&attempt).unwrap()
    }

    /// Attempt n takes n seconds; the first `failures` end with this status.
    fn failing(failures: u32, status: i64) -> impl Fn(u32) -> Plan {
        move |attempt| Plan {
            delay: Duration::from_secs(attempt.into()),
            ending: (attempt <= failures).then(|| Ending::Status {
                status: StatusNumber::try_new(status).unwrap(),
                retry_after: None,
                body: None,
            }),
            ..Plan::default()
        }
    }

    /// A plan of a delay and a status, and what it comes to.
    fn bare(plan: Plan) -> (Plan, Outlook) {
        let outlook = Outlook {
            time: Some(plan.delay),
            bytes: 0,
            is_whole: true,
        };
        (plan, outlook)
    }

    #[test]
    fn what_a_plan_comes_to_tells_how_the_attempt_ends() {
        let end = |ending, time, is_whole| {
            let plan = Plan {
                ending: Some(ending),
                ..Plan::default()
            };
            let outlook = Outlook {
                time,
                bytes: 0,
                is_whole,
            };
            let end = PlannedEnd::of(&plan, outlook, Duration::from_secs(10));
            (end.outcome, end.time)
        };
        let second = Duration::from_secs(1);
        let reset = Ending::Reset { after: Some(512) };
        let stall = |hold| Ending::Stall {
            after: Some(512),
            hold,
        };
        let broken = (Outcome::BrokenConnection, second);
        assert_eq!(end(reset.clone(), Some(second), false), broken);
        assert_eq!(
            end(reset, Some(second), true),
            (Outcome::Downloaded, second)
        );
        assert_eq!(end(stall(Some(second)), Some(second), false), broken);
        let endless = (Outcome::Timeout, Duration::from_secs(10));
        assert_eq!(end(stall(None), None, false), endless);
    }

    #[test]
    fn the_planned_time_has_all_attempts_and_the_pauses_between_them() {
        let time = |retries, plan: &dyn Fn(u32) -> Plan| {
            planned_time(&job(retries), brazil(), |n| bare(plan(n)))
        };
        let secs = Duration::from_secs;
        assert_eq!(time(0, &failing(0, 503)), secs(1));
        assert_eq!(time(5, &failing(0, 503)), secs(1));
        assert_eq!(time(0, &failing(2, 503)), secs(1), "no retries");
        assert_eq!(time(1, &failing(2, 503)), secs(1 + 2) + pause(1), "used up");
        let all = secs(1 + 2 + 3) + pause(1) + pause(2);
        assert_eq!(time(2, &failing(2, 503)), all);
        assert_eq!(time(9, &failing(2, 503)), all, "the third succeeds");
        assert_eq!(time(2, &failing(2, 200)), all, "a wrong body");
        assert_eq!(time(2, &failing(2, 404)), secs(1), "not found");
        assert_eq!(time(2, &failing(2, 403)), secs(1), "it would not pass");
    }

    #[test]
    fn a_delay_beyond_the_time_limit_is_a_timeout_that_is_retried() {
        let plan = |attempt| Plan {
            delay: Duration::from_secs(if attempt == 1 { 60 } else { 1 }),
            ..Plan::default()
        };
        let time = planned_time(&job(1), brazil(), |n| bare(plan(n)));
        assert_eq!(time, Duration::from_secs(10 + 1) + pause(1));
        let time = planned_time(&job(0), brazil(), |n| bare(plan(n)));
        assert_eq!(time, Duration::from_secs(10));
    }
}
