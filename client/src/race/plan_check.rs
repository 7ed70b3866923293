//! Whether a named server does what was given as its plan: the plan is compared with what its
//! responses report.

use std::time::Duration;

use thiserror::Error;

use super::plan::{PRECISION, headers};
use super::server_plan::ServerPlan;
use crate::download::{Job, Sample};

/// A named server does something else than what was given as its plan.
#[derive(Debug, Error)]
#[error(
    "--scenario, --profile, --seed: the plan {name} with seed {seed} is not that of the server at {url}: {difference}; name the scenario \
     and the seed that this server runs with, or leave them out"
)]
pub struct OtherPlan {
    /// The name of the scenario.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// The server.
    pub url: String,
    /// The first difference.
    pub difference: String,
}

/// Compares what the responses of a round say with the plan.
///
/// # Errors
/// With the first response that reports something else, or if none of them reports anything.
pub fn check_plan(server: &ServerPlan, job: &Job, samples: &[Sample]) -> Result<(), OtherPlan> {
    let error = |difference| OtherPlan {
        name: server.name.clone(),
        seed: server.seed(),
        url: job.base_url.clone(),
        difference,
    };
    let difference = samples
        .iter()
        .find_map(|sample| difference(server, job, sample));
    if let Some(difference) = difference {
        return Err(error(difference));
    }
    let answers = || samples.iter().filter(|sample| sample.status.is_some());
    if answers().next().is_some() && !answers().any(Sample::reports_plan) {
        return Err(error(
            "it reports no plan in server-timing, as flag-server does".to_owned(),
        ));
    }
    Ok(())
}

/// How a response differs from the plan, if it does.
fn difference(server: &ServerPlan, job: &Job, sample: &Sample) -> Option<String> {
    // An error of something between the client and the server reports nothing.
    if !sample.reports_plan() {
        return None;
    }
    let foreseen = server.foresee(sample.code, sample.attempt, &headers(job));
    let differs = |what: &str, planned: String, reported: String| {
        let (code, attempt) = (sample.code, sample.attempt);
        format!(
            "{code}, attempt {attempt}: {what} is planned as {planned}, and it reports {reported}"
        )
    };
    let is_served = foreseen.service.is_some_and(|service| service > PRECISION);
    if sample.capacity.is_some() && foreseen.service.is_none() {
        return Some(differs("the capacity", "none".to_owned(), "one".to_owned()));
    }
    if sample.capacity.is_none() && is_served {
        return Some(differs("the capacity", "one".to_owned(), "none".to_owned()));
    }
    if foreseen.doubt.is_some() {
        return None;
    }
    let plan = foreseen.plan;
    let rules: Vec<&str> = plan.rules.iter().map(|rule| rule.as_str()).collect();
    let (planned, reported) = (rules.join(","), sample.rules.as_deref().unwrap_or_default());
    if planned != reported {
        let quoted = |rules: &str| format!("\"{rules}\"");
        return Some(differs("flag-plan", quoted(&planned), quoted(reported)));
    }
    // The head is sent before the time limit, so its delay was not cut. An older server does not
    // report the time of a body.
    let body = (foreseen.outlook.time).map(|time| time.saturating_sub(plan.delay));
    let times = [
        ("the delay", Some(plan.delay), sample.plan),
        ("the time of the body", body, sample.body),
    ];
    times.into_iter().find_map(|(what, planned, reported)| {
        let (planned, reported) = planned.zip(reported)?;
        (planned.abs_diff(reported) > PRECISION)
            .then(|| differs(what, millis(planned), millis(reported)))
    })
}

fn millis(duration: Duration) -> String {
    format!("{:.3} ms", duration.as_secs_f64() * 1e3)
}

#[cfg(test)]
mod tests {
    use flag_scenario::ScenarioSource;

    use super::*;
    use crate::download::Outcome;

    fn plan(text: &str) -> ServerPlan {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.toml");
        std::fs::write(&file, text).unwrap();
        ServerPlan::load(&ScenarioSource::File(&file), None).unwrap()
    }

    /// What is wrong with a response that reports this.
    fn check(toml: &str, delay: Option<u64>, rules: Option<&str>) -> Option<String> {
        check_with(toml, |sample| {
            sample.plan = delay.map(Duration::from_millis);
            sample.rules = rules.map(str::to_owned);
        })
    }

    fn check_with(toml: &str, report: impl Fn(&mut Sample)) -> Option<String> {
        let job = Job::new("http://127.0.0.1:1/flags", Vec::new());
        let mut sample = Sample {
            code: "BR".parse().unwrap(),
            attempt: 1,
            worker: 0,
            outcome: Outcome::Downloaded,
            error: None,
            status: Some(200),
            bytes: 0,
            sent: Duration::ZERO,
            headers: None,
            done: Duration::ZERO,
            plan: Some(Duration::ZERO),
            wait: None,
            body: None,
            capacity: None,
            rules: None,
            retry_in: None,
        };
        report(&mut sample);
        let checked = check_plan(&plan(toml), &job, &[sample]);
        checked.err().map(|error| error.difference)
    }

    #[test]
    fn a_response_that_reports_something_else_is_named() {
        let toml =
            "rule = [{ name = 'late', fault = 'latency', distribution = { fixed = '20ms' } }]";
        assert_eq!(check(toml, Some(20), Some("late")), None);
        assert_eq!(
            check(toml, Some(30), Some("late")).unwrap(),
            "BR, attempt 1: the delay is planned as 20.000 ms, and it reports 30.000 ms"
        );
        assert_eq!(
            check(toml, Some(0), None).unwrap(),
            "BR, attempt 1: flag-plan is planned as \"late\", and it reports \"\""
        );
        assert_eq!(
            check("", Some(20), Some("late")).unwrap(),
            "BR, attempt 1: flag-plan is planned as \"\", and it reports \"late\""
        );
        // The delay of a chain of redirects is reported before its last response.
        assert_eq!(check(toml, None, Some("late")), None);
        assert_eq!(
            check(toml, None, None).unwrap(),
            "it reports no plan in server-timing, as flag-server does"
        );
    }

    #[test]
    fn a_body_and_a_capacity_are_compared_too() {
        let dribble = "rule = [{ name = 'd', fault = 'dribble', chunks = 2, over = '20ms' }]";
        let body = |millis| {
            check_with(dribble, |sample| {
                sample.rules = Some("d".to_owned());
                sample.body = Some(Duration::from_millis(millis));
            })
        };
        assert_eq!(body(20), None);
        assert!(
            body(30)
                .unwrap()
                .contains("the time of the body is planned as 20.000 ms")
        );
        let capacity = "capacity = { workers = 1, service_time = { fixed = '1ms' } }";
        let served = |sample: &mut Sample| sample.capacity = Some(Duration::from_millis(3));
        assert_eq!(check_with(capacity, served), None);
        assert!(
            check_with(capacity, |_| {})
                .unwrap()
                .contains("the capacity is planned as one")
        );
        assert!(
            check_with("", served)
                .unwrap()
                .contains("the capacity is planned as none")
        );
    }

    #[test]
    fn a_rule_in_doubt_is_not_checked() {
        let toml = "rule = [{ fault = 'close', window = { from = '5s' } }]";
        assert_eq!(check(toml, Some(0), None), None);
        assert_eq!(check(toml, Some(0), Some("close-1")), None);
    }
}
