//! The race itself, with contenders whose every time is known.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flag_client::download::{CancelToken, Job, Outcome, Sample};
use flag_client::race::{Contender, ContenderError, Race, RaceEvent, Rounds, Target};
use flag_client::result::{ContenderRecord, Measurement, Round};
use flag_scenario::ScenarioSource;

/// Does nothing, and says that it took so long.
#[derive(Debug)]
struct Scripted {
    name: &'static str,
    /// In turn, and again from the first.
    millis: Vec<u64>,
    outcome: Outcome,
    runs: AtomicUsize,
    log: Arc<Mutex<Vec<String>>>,
}

impl Contender for Scripted {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn record(&self) -> ContenderRecord {
        ContenderRecord::Custom
    }

    fn workers(&self, job: &Job) -> NonZeroUsize {
        job.workers()
    }

    fn run(&self, job: &Job) -> Result<Round, ContenderError> {
        let run = self.runs.fetch_add(1, Ordering::SeqCst);
        let line = format!("{} with {}", self.name, job.max_workers);
        self.log.lock().unwrap().push(line);
        let elapsed = Duration::from_millis(self.millis[run % self.millis.len()]);
        let sample = |&code| Sample {
            code,
            attempt: 1,
            worker: 0,
            outcome: self.outcome,
            error: None,
            status: None,
            bytes: 0,
            sent: Duration::ZERO,
            headers: None,
            done: elapsed,
            plan: None,
            wait: None,
            body: None,
            capacity: None,
            rules: None,
            retry_in: None,
        };
        Ok(Round {
            samples: job.codes.iter().map(sample).collect(),
            elapsed,
            ..Round::default()
        })
    }
}

/// A race course: who runs is written down.
#[derive(Default)]
struct Course {
    log: Arc<Mutex<Vec<String>>>,
}

impl Course {
    fn contender(&self, name: &'static str, millis: &[u64]) -> Box<dyn Contender> {
        self.ending(name, millis, Outcome::Downloaded)
    }

    fn ending(&self, name: &'static str, millis: &[u64], outcome: Outcome) -> Box<dyn Contender> {
        Box::new(Scripted {
            name,
            millis: millis.to_vec(),
            outcome,
            runs: AtomicUsize::new(0),
            log: Arc::clone(&self.log),
        })
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

fn job() -> Job {
    let codes = ["BR", "JP", "US"].map(|code| code.parse().unwrap());
    Job::new("http://127.0.0.1:1/flags", codes.to_vec())
}

fn run(race: &Race, watch: impl FnMut(RaceEvent<'_>)) -> Measurement {
    let target = Target::embedded(&ScenarioSource::Profile("local"), None).unwrap();
    let mut measurement = race.begin(&target, Vec::new());
    race.run(&mut measurement, watch).unwrap();
    measurement
}

fn exactly(rounds: usize) -> Rounds {
    Rounds::Exactly(NonZeroUsize::new(rounds).unwrap())
}

#[test]
fn every_contender_runs_in_every_round_in_an_order_that_alternates() {
    let course = Course::default();
    let contenders = vec![course.contender("a", &[1]), course.contender("b", &[2])];
    let race = Race::bench(contenders, job()).rounds(exactly(3)).warmup(1);
    let measurement = run(&race, |_| {});
    let order: Vec<char> = course
        .log()
        .iter()
        .filter_map(|line| line.chars().next())
        .collect();
    assert_eq!(order, ['a', 'b', 'b', 'a', 'b', 'a', 'a', 'b']);
    let times = |series: usize| measurement.series[series].times();
    assert_eq!(
        times(0),
        [Duration::from_millis(1); 3],
        "the warm-up is not measured"
    );
    assert_eq!(times(1), [Duration::from_millis(2); 3]);
    assert_eq!(measurement.job.warmup, 1);
}

#[test]
fn rounds_go_on_until_every_interval_is_tight_or_there_are_enough() {
    let rounds = |millis: &[u64]| {
        let course = Course::default();
        let steady = course.contender("steady", &[100]);
        let race = Race::bench(vec![steady, course.contender("other", millis)], job());
        let measurement = run(&race, |_| {});
        let rounds: Vec<usize> = measurement
            .series
            .iter()
            .map(|series| series.rounds.len())
            .collect();
        assert_eq!(rounds[0], rounds[1]);
        rounds[0]
    };
    let [first, .., last] = Rounds::LOOKS;
    assert_eq!(rounds(&[100]), first);
    // 1 % of the median on either side is tight.
    assert_eq!(rounds(&[1000, 1010, 990]), first);
    assert_eq!(rounds(&[100, 200]), last);
}

#[test]
fn whoever_watches_sees_every_measured_round_as_the_last_of_its_lane() {
    let course = Course::default();
    let race = Race::bench(vec![course.contender("a", &[7])], job());
    let mut seen = Vec::new();
    run(&race.rounds(exactly(2)).warmup(1), |moment| {
        seen.push(match moment {
            RaceEvent::Begins { series, rounds } => format!("{series} begins after {rounds}"),
            RaceEvent::Measured {
                series,
                measurement,
            } => {
                format!("{series} has {}", measurement.series[series].rounds.len())
            }
        });
    });
    let expected = [
        "0 begins after 0",
        "0 begins after 1",
        "0 has 1",
        "0 begins after 2",
        "0 has 2",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_stop_keeps_what_was_measured_and_the_round_under_way_apart() {
    let course = Course::default();
    let contenders = vec![course.contender("a", &[1]), course.contender("b", &[2])];
    let cancel = CancelToken::default();
    let stopped = Job {
        cancel: cancel.clone(),
        ..job()
    };
    let race = Race::bench(contenders, stopped)
        .rounds(exactly(9))
        .warmup(0);
    let measurement = run(&race, |moment| {
        // In the second round b is the first, so it is a that is stopped.
        if let RaceEvent::Begins {
            series: 0,
            rounds: 1,
        } = moment
        {
            cancel.request();
        }
    });
    assert!(measurement.interrupted && !measurement.server_gone);
    let [a, b] = &measurement.series[..] else {
        panic!("two lanes")
    };
    assert_eq!((a.rounds.len(), b.rounds.len()), (1, 2));
    assert_eq!(
        a.unfinished.as_ref().map(|round| round.samples.len()),
        Some(3)
    );
    assert!(b.unfinished.is_none());
}

#[test]
fn when_nobody_can_reach_the_server_the_race_is_over() {
    let course = Course::default();
    let gone = course.ending("b", &[2], Outcome::NoConnection);
    let race = Race::bench(vec![course.contender("a", &[1]), gone], job()).warmup(0);
    let measurement = run(&race, |_| {});
    assert!(measurement.server_gone && !measurement.interrupted);
    assert_eq!(course.log().len(), 2);
    assert_eq!(measurement.series[0].rounds.len(), 1);
    assert!(measurement.series[1].rounds.is_empty() && measurement.series[1].unfinished.is_some());
}

#[test]
fn a_sweep_has_a_lane_for_every_number_of_workers_that_makes_a_difference() {
    let course = Course::default();
    let levels = [1, 2, 5, 30].map(|level| NonZeroUsize::new(level).unwrap());
    let race = Race::sweep(vec![course.contender("a", &[1])], job(), &levels);
    // Three flags keep three workers busy at most.
    assert_eq!(race.names().collect::<Vec<_>>(), ["a@1", "a@2", "a@3"]);
    let measurement = run(&race.rounds(exactly(1)).warmup(0), |_| {});
    let mut log = course.log();
    log.sort();
    assert_eq!(log, ["a with 1", "a with 2", "a with 5"]);
    let workers: Vec<usize> = measurement
        .series
        .iter()
        .map(|series| series.workers.get())
        .collect();
    assert_eq!(workers, [1, 2, 3]);
}
