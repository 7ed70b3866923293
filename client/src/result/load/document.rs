//! The result of a load, as it is written to a file and read again: what was asked, where, and all
//! that is known of the requests. With the histograms in it, a report can be made again.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use flag_scenario::{Millis, OptionalMillis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::counts::{Failure, RequestCounts, Throughput};
use super::generator::GeneratorRecord;
use super::times::{LoadPercentiles, LoadTimes, Times};
use crate::result::censored::CensoredTimes;
use crate::result::environment::{Environment, Neighbourhood};
use crate::result::measurement::ServerRecord;

/// Everything that was measured, and all that is needed to understand it or to do it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "load")]
pub struct LoadResult {
    /// The version of this shape.
    pub schema_version: u32,
    /// Always `load`.
    pub kind: LoadKind,
    /// The command line that measured.
    pub command: Vec<String>,
    /// When it was done: RFC 3339, UTC.
    pub ended: String,
    /// Whether it was ended early by its user. What was under way then was cut off.
    pub interrupted: bool,
    /// What was to be done.
    pub job: LoadJob,
    /// Where the requests went.
    pub server: ServerRecord,
    /// The machine.
    pub environment: Environment,
    /// What else it did during the load; none where that is not known.
    #[serde(default)]
    pub neighbours: Option<Neighbourhood>,
    /// From the end of the warm-up until the last request ended, with an answer or without.
    #[serde(rename = "elapsed_ms", with = "Millis")]
    pub elapsed: Duration,
    /// When the first request that counts should have been sent, since the end of the warm-up; zero
    /// in a closed loop.
    #[serde(rename = "first_intended_ms", with = "Millis")]
    pub first_intended: Duration,
    /// From the end of the warm-up until the last answer; none if there was none.
    #[serde(rename = "last_answer_ms", with = "OptionalMillis")]
    pub last_answer: Option<Duration>,
    /// The longest that a request of an open loop waited for a free connection after it should have
    /// been sent.
    #[serde(rename = "longest_wait_ms", with = "Millis")]
    pub longest_wait: Duration,
    /// The processor time of the load generator for each request, user and system; none where it is
    /// not known.
    #[serde(rename = "cpu_per_request_ms", with = "OptionalMillis")]
    pub cpu_per_request: Option<Duration>,
    /// Whether the load generator kept up.
    pub generator: GeneratorRecord,
    /// How many requests there were.
    pub requests: RequestCounts,
    /// How many of them were answered as planned per second; none if there were none.
    pub throughput: Option<Throughput>,
    /// The percentiles of all requests, those without an answer included.
    pub percentiles: LoadPercentiles,
    /// How many answers had each status.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub statuses: BTreeMap<u16, u64>,
    /// How many of them had it as planned, of those from 400 up.
    #[schemars(with = "BTreeMap<String, u64>")]
    pub planned_statuses: BTreeMap<u16, u64>,
    /// How many requests had no answer, for each reason.
    pub failures: BTreeMap<Failure, u64>,
    /// What the first of them was, in words.
    pub causes: BTreeMap<Failure, String>,
    /// The bytes of all bodies.
    pub bytes: u64,
    /// The connections that were made, warm-up included.
    pub connections_made: u64,
    /// How long requests took.
    pub times: LoadTimes,
}

/// Which sub-command measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoadKind {
    /// `load`.
    Load,
}

/// What was to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadJob {
    /// The different paths that were asked for, in turns.
    pub paths: usize,
    /// The seed of their order.
    pub seed: u64,
    /// The connections.
    pub connections: NonZeroUsize,
    /// The threads that shared them.
    pub threads: NonZeroUsize,
    /// The requests per second of an open loop; none of a closed one.
    pub rate: Option<f64>,
    /// How many requests there should be, if that was said.
    pub requests: Option<u64>,
    /// How long requests were to be sent, if that was said.
    #[serde(rename = "duration_ms", with = "OptionalMillis")]
    pub duration: Option<Duration>,
    /// How long they were sent before they counted.
    #[serde(rename = "warmup_ms", with = "Millis")]
    pub warmup: Duration,
    /// The time limit of one.
    #[serde(rename = "timeout_ms", with = "Millis")]
    pub timeout: Duration,
    /// The longest body that was accepted; none in documents of older versions, which had no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<u64>,
    /// Whether connections were used for more than one request.
    pub keep_alive: bool,
    /// The run that the requests named, each with the number of its attempt; none if the server is
    /// not Flagbench's.
    pub run: Option<String>,
}

impl LoadResult {
    /// Computes what follows from the counts and histograms: after measuring, and after others were
    /// added.
    pub fn compute(&mut self) {
        self.percentiles = LoadPercentiles {
            response: self.response().percentiles(),
            service: self.service().percentiles(),
        };
        self.throughput = self.measured_throughput();
    }

    /// The response times of all requests.
    pub fn response(&self) -> CensoredTimes {
        let times = &self.times;
        self.all_times(
            &times.response,
            &times.planned_response,
            &times.censored_response,
        )
    }

    /// The service times of all requests.
    pub fn service(&self) -> CensoredTimes {
        let times = &self.times;
        self.all_times(
            &times.service,
            &times.planned_service,
            &times.censored_service,
        )
    }

    /// The service times of those that were sent.
    pub fn service_of_sent(&self) -> CensoredTimes {
        let times = &self.times;
        let mut unsent = times.censored_service.0.clone();
        unsent.reset();
        let mut censored = times.censored_service.clone();
        // Each of them is there with a time of zero, or else the document contradicts itself.
        if unsent.record_n(0, self.requests.unsent).is_ok() {
            censored.0.subtract(&unsent).ok();
        }
        self.all_times(&times.service, &times.planned_service, &censored)
    }

    fn all_times(&self, succeeded: &Times, planned: &Times, censored: &Times) -> CensoredTimes {
        let timeouts = self.failures.get(&Failure::Timeout).copied();
        let has_time = self.requests.planned_failures + timeouts.unwrap_or(0);
        let failed = self.requests.failed.saturating_sub(has_time);
        CensoredTimes::new(&succeeded.0, &planned.0, &censored.0, failed)
    }

    fn measured_throughput(&self) -> Option<Throughput> {
        let (right, intended) = (self.requests.right(), self.requests.intended());
        let Some(rate) = self.job.rate else {
            return Throughput::over(right, self.elapsed);
        };
        if intended == 0 {
            return None;
        }
        let last = self.last_answer.unwrap_or_default();
        let last = last.saturating_sub(self.first_intended);
        let usual = self.times.early_response.percentile(99.0).unwrap_or(0.0);
        let usual = Duration::try_from_secs_f64(usual / 1e3).unwrap_or(Duration::MAX);
        Throughput::of_schedule(right, intended, rate, last, usual)
    }

    /// The share of the requests that should have succeeded and did not, those that were never sent
    /// among them.
    pub fn error_rate(&self) -> Option<f64> {
        let RequestCounts {
            sent,
            failed,
            unsent,
            ..
        } = self.requests;
        let all = sent + unsent;
        (all > 0).then(|| (failed + unsent) as f64 / all as f64)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::times::times;
    use super::super::warning::LoadWarning;
    use super::*;
    use crate::result::threshold::{self, Judgement};

    /// An open loop in which every request was sent in time and answered after a millisecond.
    pub(in crate::result::load) fn well(rate: f64, sent: u64) -> LoadResult {
        let none = || times([]);
        let mut result = LoadResult {
            schema_version: 1,
            kind: LoadKind::Load,
            command: Vec::new(),
            ended: String::new(),
            interrupted: false,
            job: LoadJob {
                paths: 1,
                seed: 1,
                connections: NonZeroUsize::MIN,
                threads: NonZeroUsize::MIN,
                rate: Some(rate),
                requests: None,
                duration: None,
                warmup: Duration::ZERO,
                timeout: Duration::from_secs(10),
                max_body_bytes: None,
                keep_alive: true,
                run: None,
            },
            server: ServerRecord {
                label: "CUSTOM".to_owned(),
                url: "http://localhost:8000/x".to_owned(),
                scenario: None,
            },
            environment: Environment {
                build: "release".to_owned(),
                ..Environment::here()
            },
            neighbours: None,
            elapsed: after(rate, sent),
            first_intended: Duration::ZERO,
            last_answer: Some(after(rate, sent)),
            longest_wait: Duration::ZERO,
            cpu_per_request: None,
            generator: GeneratorRecord {
                busy: 0,
                late: times([1; 40]),
            },
            requests: RequestCounts {
                sent,
                succeeded: sent,
                failed: 0,
                planned_failures: 0,
                unsent: 0,
                cut_off: 0,
            },
            throughput: None,
            percentiles: LoadPercentiles::default(),
            statuses: [(200, sent)].into(),
            planned_statuses: BTreeMap::new(),
            failures: BTreeMap::new(),
            causes: BTreeMap::new(),
            bytes: 0,
            connections_made: 1,
            times: LoadTimes {
                response: times((0..sent).map(|_| 1)),
                service: times((0..sent).map(|_| 1)),
                lag: times((0..sent).map(|_| 0)),
                failed_response: none(),
                failed_service: none(),
                planned_response: none(),
                planned_service: none(),
                censored_response: none(),
                censored_service: none(),
                early_response: times((0..sent.div_ceil(2)).map(|_| 1)),
            },
        };
        result.compute();
        result
    }

    /// When the last of so many requests is answered that take a millisecond.
    fn after(rate: f64, sent: u64) -> Duration {
        Duration::from_secs_f64((sent - 1) as f64 / rate) + Duration::from_millis(1)
    }

    pub(in crate::result::load) fn computed(mut result: LoadResult) -> LoadResult {
        result.compute();
        result
    }

    /// What is sent on schedule and answered has the rate of the schedule: neither the last
    /// interval nor the last answer changes it.
    #[test]
    fn a_load_that_is_served_in_time_has_the_throughput_that_was_wanted() {
        // `-r 0.5 -d 3s`, `-r 1 -d 1s`, `-r 150 -d 2s`, `-r 150 -d 10s`, `-r 1000 -n 1`.
        for (rate, sent) in [(0.5, 2), (1.0, 1), (150.0, 300), (150.0, 1500), (1000.0, 1)] {
            let result = well(rate, sent);
            let throughput = result.throughput.unwrap();
            assert_eq!(throughput.per_second, rate, "{sent} requests");
            assert_eq!(throughput.over, Duration::from_secs_f64(sent as f64 / rate));
            assert_eq!(throughput.behind, None);
            assert_eq!(result.warnings(), []);
        }
    }

    #[test]
    fn a_load_that_was_interrupted_has_the_throughput_of_what_was_intended_until_then() {
        let mut result = well(100.0, 150);
        result.interrupted = true;
        result.requests.cut_off = 50; // the server had stopped to answer
        let throughput = computed(result).throughput.unwrap();
        assert_eq!(throughput.per_second, 75.0);
        assert_eq!(throughput.over, Duration::from_secs(2));
    }

    #[test]
    fn after_a_warm_up_time_counts_from_the_first_request_that_counts() {
        // -r 0.3 -w 1s: the second request, at 3.3 s, is the first that counts.
        let mut result = well(0.3, 3);
        result.first_intended = Duration::from_secs_f64(1.0 / 0.3) - Duration::from_secs(1);
        result.last_answer = result.last_answer.map(|last| last + result.first_intended);
        let throughput = computed(result).throughput.unwrap();
        assert_eq!((throughput.per_second, throughput.behind), (0.3, None));
    }

    /// A server that answers the last requests of `-r 100 -d 1s` after 3 s.
    #[test]
    fn a_last_answer_that_comes_clearly_late_lengthens_the_time_and_no_request_was_late() {
        let mut result = well(100.0, 100);
        result.last_answer = Some(Duration::from_secs(4));
        let result = computed(result);
        let throughput = result.throughput.unwrap();
        assert_eq!(throughput.per_second, 25.0);
        assert_eq!(throughput.behind, Some(Duration::from_secs(3)));
        assert_eq!(result.warnings(), [], "all were sent in time");
    }

    #[test]
    fn a_server_that_takes_long_for_every_answer_is_not_late_with_the_last() {
        let mut result = well(100.0, 100);
        result.times.early_response = times([3000; 50]);
        result.last_answer = Some(Duration::from_secs(4) - Duration::from_millis(10));
        let throughput = computed(result).throughput.unwrap();
        assert_eq!((throughput.per_second, throughput.behind), (100.0, None));
    }

    #[test]
    fn of_a_closed_loop_the_throughput_is_that_of_the_time_measured() {
        let mut result = well(100.0, 100);
        result.job.rate = None;
        result.elapsed = Duration::from_secs(4);
        let throughput = computed(result).throughput.unwrap();
        assert_eq!(throughput.per_second, 25.0);
        assert_eq!(throughput.over, Duration::from_secs(4));
    }

    #[test]
    fn the_throughput_counts_what_was_answered_as_planned() {
        let mut result = well(100.0, 100);
        result.requests = RequestCounts {
            succeeded: 40,
            failed: 60,
            planned_failures: 10,
            ..result.requests
        };
        assert_eq!(computed(result).throughput.unwrap().per_second, 50.0);
    }

    /// `-r 1000 -d 1s` of which 160 were sent: 840 had waited up to 0.84 s.
    #[test]
    fn an_overload_has_no_p99_and_fails() {
        let mut result = well(1000.0, 160);
        result.requests.unsent = 840;
        result.times.censored_response = times(1..=840);
        result.times.censored_service = times((0..840).map(|_| 0));
        let result = computed(result);
        let response = result.percentiles.response.unwrap();
        assert_eq!((response.count, response.censored), (1000, 840));
        assert_eq!(response.p99.upper, None);
        assert!(response.p99.lower.unwrap() > Duration::from_millis(829));
        assert_eq!(result.throughput.unwrap().per_second, 160.0);
        let of_sent = result.service_of_sent();
        assert_eq!(of_sent.count(), 160);
        assert!(of_sent.percentile(99.0).unwrap().is_exact());
        assert!(!result.requests.are_well());
        let warnings = result.warnings();
        assert!(
            warnings.contains(&LoadWarning::MostFailed { share: 0.84 }),
            "{warnings:?}"
        );
        let too_slow = LoadWarning::TooSlow {
            wanted: 1000.0,
            sent: 160.0,
        };
        assert!(warnings.contains(&too_slow), "{warnings:?}");
        for (text, is_met) in [
            ("response.p(99) < 1s", false),
            ("response.avg < 1s", false),
            ("response.max < 1h", false),
            ("response.p(99) > 100ms", true),
            ("response.p(99) > 1s", false),
            ("service.p(99) < 1s", false),
            ("service.p(10) < 1s", true),
            ("lag.p(99) < 1s", true),
        ] {
            let checked = threshold::check_load(&[text.parse().unwrap()], &result);
            let expected = if is_met {
                Judgement::Met
            } else {
                Judgement::Missed
            };
            assert_eq!(checked[0].judgement(), expected, "{text}");
        }
    }
}
