//! The plan of a job, attempt by attempt, before the first request is sent: the retry policy
//! applied to the decisions of a server. It computes and never measures; for a named server it uses
//! what the server reported.

use std::collections::HashMap;
use std::time::Duration;

use flag_scenario::forecast::Outlook;
use flag_scenario::{Ending, Plan};
use flags_data::CountryCode;

use super::target::Target;
use crate::download::retry::Attempt;
use crate::download::{Job, Outcome};
use crate::result::{Planned, PlannedAttempt, Series};

/// The plan of each download of the job, in its order, with an embedded server. None with a named
/// one: see [`reported`].
pub fn planned(job: &Job, target: &Target) -> Option<Vec<Planned>> {
    let embedded = target.embedded.as_ref()?;
    let plan = |&code| planned_download(job, code, |attempt| embedded.forecast(code, attempt));
    Some(job.codes.iter().map(plan).collect())
}

/// The plan that a named server reported in its responses: the delays of all attempts. None if any
/// is missing, or if an attempt failed and the server did not say that it would.
pub fn reported(job: &Job, all_series: &[Series]) -> Option<Vec<Planned>> {
    let samples = all_series.iter().flat_map(Series::samples);
    let told: HashMap<_, _> = samples
        .filter(|sample| match sample.outcome {
            Outcome::Downloaded | Outcome::NotFound => true,
            Outcome::HttpError => sample.rules.is_some(),
            _ => false,
        })
        .filter_map(|sample| Some(((sample.code, sample.attempt), (sample.plan?, sample))))
        .collect();
    let download = |&code| {
        let mut attempts = Vec::with_capacity(1);
        for number in job.retry.first.get().. {
            let (delay, sample) = *told.get(&(code, number))?;
            attempts.push(PlannedAttempt {
                outcome: sample.outcome,
                delay,
                time: delay,
                pause: sample.retry_in.unwrap_or_default(),
            });
            if sample.is_last() {
                break;
            }
        }
        Some(Planned { code, attempts })
    };
    job.codes.iter().map(download).collect()
}

/// All attempts that the policy makes against these plans, with their delays, paced bodies, stalls
/// and pauses. No attempt takes longer than the job's time limit.
fn planned_download(
    job: &Job,
    code: CountryCode,
    forecast: impl Fn(u32) -> (Plan, Outlook),
) -> Planned {
    let mut attempts = Vec::with_capacity(1);
    for number in job.retry.first.get().. {
        let (plan, outlook) = forecast(number);
        let end = PlannedEnd::of(&plan, outlook, job.timeout);
        let pause = job.retry.pause_after(&Attempt {
            code,
            number,
            outcome: end.outcome,
            status: end.status,
            retry_after: end.retry_after,
        });
        attempts.push(PlannedAttempt {
            outcome: end.outcome,
            delay: plan.delay.min(job.timeout),
            time: end.time,
            pause: pause.unwrap_or_default(),
        });
        if pause.is_none() {
            break;
        }
    }
    Planned { code, attempts }
}

/// How an attempt with this plan ends for a client with a time limit.
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
        let outcome = match outlook {
            Outlook {
                is_whole: false, ..
            } => Outcome::BrokenConnection,
            Outlook {
                status: Some(404), ..
            } => Outcome::NotFound,
            Outlook {
                status: Some(200),
                is_right: true,
                ..
            } => Outcome::Downloaded,
            Outlook {
                status: Some(200), ..
            } => Outcome::WrongBody,
            _ => Outcome::HttpError,
        };
        let retry_after = match &plan.ending {
            Some(Ending::Status { retry_after, .. }) => *retry_after,
            _ => None,
        };
        if time >= timeout {
            Self {
                outcome: Outcome::Timeout,
                status: None,
                retry_after: None,
                time: timeout,
            }
        } else {
            // The client sees it in a header of whole seconds.
            let retry_after =
                retry_after.map(|pause| Duration::from_secs_f64(pause.as_secs_f64().ceil()));
            Self {
                outcome,
                status: outlook.status,
                retry_after,
                time,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    use crate::download::RetryPolicy;
    use flag_scenario::StatusNumber;

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

    /// The pause after a transient failure.
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

    /// A plan of a delay and a status, and its outlook.
    fn bare(plan: Plan) -> (Plan, Outlook) {
        let status = match &plan.ending {
            Some(Ending::Status { status, .. }) => status.get(),
            _ => 200,
        };
        let outlook = Outlook {
            time: Some(plan.delay),
            status: Some(status),
            bytes: 0,
            is_whole: true,
            is_right: plan.ending.is_none(),
        };
        (plan, outlook)
    }

    #[test]
    fn the_outlook_decides_how_an_attempt_ends() {
        let end = |ending, time, is_whole| {
            let plan = Plan {
                ending: Some(ending),
                ..Plan::default()
            };
            let outlook = Outlook {
                time,
                status: Some(200),
                bytes: 0,
                is_whole,
                is_right: true,
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
            planned_download(&job(retries), brazil(), |n| bare(plan(n))).time()
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
        assert_eq!(time(2, &failing(2, 403)), secs(1), "not transient");
    }

    #[test]
    fn a_delay_beyond_the_time_limit_is_a_timeout_that_is_retried() {
        let plan = |attempt| Plan {
            delay: Duration::from_secs(if attempt == 1 { 60 } else { 1 }),
            ..Plan::default()
        };
        let time = planned_download(&job(1), brazil(), |n| bare(plan(n))).time();
        assert_eq!(time, Duration::from_secs(10 + 1) + pause(1));
        let time = planned_download(&job(0), brazil(), |n| bare(plan(n))).time();
        assert_eq!(time, Duration::from_secs(10));
    }
}
