//! The plan of a job, attempt by attempt, before the first request is sent: the retry policy
//! applied to the decisions of a server. It computes and never measures; for a server of which only
//! the address is known it uses what the server reported.

use std::time::Duration;

use flag_scenario::forecast::Outlook;
use flag_scenario::{ClientHeaders, Ending, Plan};
use flags_data::CountryCode;

use super::server_plan::Foreseen;
use super::target::Target;
use crate::download::retry::Attempt;
use crate::download::{AttemptTable, Job, Outcome, Sample, sent_headers};
use crate::result::{Planned, PlannedAttempt, PlannedDoubt, Series};

/// How far two reports of one time may be apart: `server-timing` has microseconds.
pub(super) const PRECISION: Duration = Duration::from_micros(2);

/// The plan of each download of the job, in its order, where that of the server is known. None
/// otherwise: see [`reported`].
pub fn planned(job: &Job, target: &Target) -> Option<Vec<Planned>> {
    let server = target.plan.as_ref()?;
    let client = headers(job);
    let plan =
        |&code| planned_download(job, code, |attempt| server.foresee(code, attempt, &client));
    Some(job.codes.iter().map(plan).collect())
}

/// The headers of the requests of this job.
pub(super) fn headers(job: &Job) -> ClientHeaders {
    sent_headers(Some(&job.base_url), job.connection.http2)
}

/// The plan that a named server reported in its responses: the delays and the bodies of all
/// attempts. None if that of any attempt is missing, if an attempt never ended as the server said,
/// if the server has a capacity, or if two reports of one attempt differ.
pub fn reported(job: &Job, all_series: &[Series]) -> Option<Vec<Planned>> {
    let mut told = AttemptTable::new();
    for sample in all_series.iter().flat_map(Series::samples) {
        if sample.capacity.is_some() {
            return None;
        }
        let Some(time) = reported_time(sample).filter(|_| sample.ended_as_reported()) else {
            continue;
        };
        let first = *told.get_or_insert(sample.code, sample.attempt, sample);
        let same = reported_time(first).is_some_and(|first| first.abs_diff(time) <= PRECISION);
        if !same || first.outcome != sample.outcome {
            return None;
        }
    }
    let download = |&code| {
        let mut attempts = Vec::with_capacity(1);
        for number in job.retry.first.get().. {
            let sample: &Sample = told.get(code, number)?;
            attempts.push(PlannedAttempt {
                outcome: sample.outcome,
                delay: sample.plan?,
                time: reported_time(sample)?,
                requests: 1,
                service: None,
                pause: sample.retry_in.unwrap_or_default(),
            });
            if sample.is_last() {
                break;
            }
        }
        Some(Planned {
            code,
            attempts,
            doubt: None,
        })
    };
    job.codes.iter().map(download).collect()
}

/// The planned time of an attempt that the server reported.
fn reported_time(sample: &Sample) -> Option<Duration> {
    Some(sample.plan? + sample.body.unwrap_or_default())
}

/// All attempts that the policy makes against these plans, with their delays, paced bodies, stalls
/// and pauses. No attempt takes longer than the job's time limit.
fn planned_download(job: &Job, code: CountryCode, foresee: impl Fn(u32) -> Foreseen) -> Planned {
    let mut attempts = Vec::with_capacity(1);
    let mut planned_doubt = None;
    for number in job.retry.first.get().. {
        let Foreseen {
            plan,
            outlook,
            service,
            doubt,
        } = foresee(number);
        let end = PlannedEnd::of(&plan, outlook, service, job.timeout);
        if let Some((doubt, other, outlook)) = doubt {
            planned_doubt.get_or_insert_with(|| PlannedDoubt {
                reason: doubt.to_string(),
                outcome: PlannedEnd::of(&other, outlook, service, job.timeout).outcome,
            });
        }
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
            requests: end.requests,
            service,
            pause: pause.unwrap_or_default(),
        });
        if pause.is_none() {
            break;
        }
    }
    Planned {
        code,
        attempts,
        doubt: planned_doubt,
    }
}

/// How an attempt with this plan ends for a client with a time limit.
struct PlannedEnd {
    outcome: Outcome,
    status: Option<u16>,
    retry_after: Option<Duration>,
    /// The requests of a chain of redirects.
    requests: u32,
    /// From the request to the end, less what a capacity takes.
    time: Duration,
}

impl PlannedEnd {
    fn of(plan: &Plan, outlook: Outlook, service: Option<Duration>, timeout: Duration) -> Self {
        let hops = plan.ending.as_ref().map_or(0, Ending::hops);
        let requests = hops + 1; // every library follows as many as a scenario can plan
        let service = service.unwrap_or_default().saturating_mul(requests);
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
            Some(Ending::Status { retry_after, .. }) if hops == 0 => *retry_after,
            _ => None,
        };
        if time.saturating_add(service) >= timeout {
            Self {
                outcome: Outcome::Timeout,
                status: None,
                retry_after: None,
                requests,
                time: timeout.saturating_sub(service),
            }
        } else {
            // The client sees it in a header of whole seconds.
            let retry_after =
                retry_after.map(|pause| Duration::from_secs_f64(pause.as_secs_f64().ceil()));
            Self {
                outcome,
                status: outlook.status,
                retry_after,
                requests,
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
    use crate::result::{ContenderRecord, Round};
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
            ending: (attempt <= failures)
                .then(|| Ending::status(StatusNumber::try_new(status).unwrap())),
            ..Plan::default()
        }
    }

    /// A plan of a delay and a status, and its outlook.
    fn bare(plan: Plan) -> Foreseen {
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
        Foreseen {
            plan,
            outlook,
            service: None,
            doubt: None,
        }
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
            let end = PlannedEnd::of(&plan, outlook, None, Duration::from_secs(10));
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

    #[test]
    fn what_a_capacity_takes_counts_against_the_time_limit() {
        let served = |service: u64, hops: u32| {
            let plan = Plan {
                delay: Duration::from_secs(1),
                ending: (hops > 0).then_some(Ending::Redirect { hops }),
                ..Plan::default()
            };
            let mut foreseen = bare(plan);
            foreseen.outlook.is_right = true;
            foreseen.service = Some(Duration::from_secs(service));
            let planned = planned_download(&job(0), brazil(), |_| foreseen.clone());
            (planned.outcome().unwrap(), planned.time().as_secs())
        };
        assert_eq!(served(2, 0), (Outcome::Downloaded, 3));
        assert_eq!(served(2, 2), (Outcome::Downloaded, 7));
        assert_eq!(served(9, 0), (Outcome::Timeout, 10));
        assert_eq!(served(3, 2), (Outcome::Timeout, 10));
        // Every library follows as many as can be planned.
        assert_eq!(served(0, 100), (Outcome::Downloaded, 1));
    }

    /// What is reported by a round for each of these changes of a response.
    fn told(changes: &[&dyn Fn(&mut Sample)]) -> Option<Duration> {
        let whole = Sample {
            code: brazil(),
            attempt: 1,
            worker: 0,
            outcome: Outcome::Downloaded,
            error: None,
            status: Some(200),
            bytes: 1,
            sent: Duration::ZERO,
            headers: None,
            done: Duration::ZERO,
            plan: Some(Duration::from_millis(20)),
            wait: None,
            body: None,
            capacity: None,
            rules: None,
            retry_in: None,
        };
        let round = |change: &&dyn Fn(&mut Sample)| {
            let mut sample = whole.clone();
            change(&mut sample);
            Round {
                samples: vec![sample],
                ..Round::default()
            }
        };
        let series = Series {
            name: "one".to_owned(),
            contender: ContenderRecord::Custom,
            workers: NonZeroUsize::MIN,
            memory_bytes: None,
            rounds: changes.iter().map(round).collect(),
            unfinished: None,
        };
        let planned = reported(&job(0), &[series])?;
        Some(planned[0].time())
    }

    #[test]
    fn the_reported_plan_is_the_delay_and_the_body() {
        let millis = |millis| Some(Duration::from_millis(millis));
        assert_eq!(told(&[&|_| {}]), millis(20));
        let paced = |sample: &mut Sample| sample.body = millis(30);
        assert_eq!(told(&[&paced]), millis(50));
        let failed = |sample: &mut Sample| {
            sample.outcome = Outcome::HttpError;
            sample.rules = Some("teapot".to_owned());
        };
        assert_eq!(told(&[&failed]), millis(20));
        // The same attempt ended as planned in another round.
        let broken = |sample: &mut Sample| sample.outcome = Outcome::BrokenConnection;
        assert_eq!(told(&[&broken, &|_| {}]), millis(20));
    }

    #[test]
    fn a_plan_that_is_not_reported_in_full_is_none() {
        let broken = |sample: &mut Sample| sample.outcome = Outcome::BrokenConnection;
        let redirected = |sample: &mut Sample| sample.plan = None;
        let unplanned = |sample: &mut Sample| sample.outcome = Outcome::HttpError;
        let served = |sample: &mut Sample| sample.capacity = Some(Duration::from_millis(9));
        let other = |sample: &mut Sample| sample.plan = Some(Duration::from_millis(21));
        assert_eq!(told(&[&broken]), None);
        assert_eq!(told(&[&redirected]), None);
        assert_eq!(told(&[&unplanned]), None);
        assert_eq!(told(&[&|_| {}, &served]), None);
        assert_eq!(told(&[&|_| {}, &other]), None);
    }
}
