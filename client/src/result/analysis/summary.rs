//! What a measurement means: the numbers of all series, how they scale, and what to be warned of.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::KnownPlan;
use super::ranking::Ranking;
use super::scaling::{self, Scaling};
use super::series::SeriesAnalysis;
use super::warning::{self, Warning};
use crate::result::measurement::Measurement;

/// What a measurement means. It is computed from the measurement alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Analysis {
    /// One per series, in their order.
    #[serde(rename = "lanes")]
    pub series: Vec<SeriesAnalysis>,
    /// Who won.
    pub ranking: Ranking,
    /// How each contender of a sweep scales, in the order of the race; empty otherwise.
    pub scaling: Vec<Scaling>,
    /// What a reader should know before trusting the numbers.
    pub warnings: Vec<Warning>,
}

impl Analysis {
    /// Computes it.
    pub fn of(measurement: &Measurement) -> Self {
        let plan = KnownPlan::of(measurement);
        let all_series: Vec<SeriesAnalysis> = measurement
            .series
            .iter()
            .map(|series| SeriesAnalysis::of(measurement, &plan, series))
            .collect();
        let ranked: Vec<(&str, Vec<f64>)> = (measurement.series.iter().zip(&all_series))
            .filter(|(_, numbers)| numbers.ranked)
            .map(|(series, _)| (&*series.name, series.times_ms()))
            .collect();
        Self {
            ranking: Ranking::of(&ranked, measurement.looks()),
            warnings: warning::all(measurement, &plan, &all_series),
            scaling: scaling::all(measurement, &plan, &all_series),
            series: all_series,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use flag_scenario::ScenarioSource;
    use flags_data::CountryCode;

    use super::*;
    use crate::download::{Job, Outcome, Sample};
    use crate::race::{Target, begin};
    use crate::result::analysis::excess::Excess;
    use crate::result::analysis::outlier::Cause;
    use crate::result::analysis::scaling::Missing;
    use crate::result::compare::{Comparison, Verdict};
    use crate::result::measurement::{
        ContenderRecord, Kind, Planned, PlannedAttempt, PlannedDoubt, Round, Series,
    };

    fn ms(millis: f64) -> Duration {
        Duration::from_secs_f64(millis / 1e3)
    }

    fn code(text: &str) -> CountryCode {
        text.parse().unwrap()
    }

    /// BR, CN and JP are delayed by 100, 200 and 300 ms.
    fn measurement(all_series: Vec<Series>) -> Measurement {
        let target = Target::embedded(&ScenarioSource::Profile("local"), None).unwrap();
        let job = Job::new("", ["BR", "CN", "JP"].map(code).to_vec());
        let planned = |(&code, millis): (&CountryCode, f64)| Planned {
            code,
            attempts: vec![PlannedAttempt {
                outcome: Outcome::Downloaded,
                delay: ms(millis),
                time: ms(millis),
                requests: 1,
                service: None,
                pause: Duration::ZERO,
            }],
            doubt: None,
        };
        let plan = job.codes.iter().zip([100.0, 200.0, 300.0]).map(planned);
        Measurement {
            plan: Some(plan.collect()),
            series: all_series,
            ..begin(Kind::Bench, &job, &target, Vec::new())
        }
    }

    fn series(name: &str, workers: usize, rounds: Vec<Round>) -> Series {
        Series {
            name: name.to_owned(),
            contender: ContenderRecord::Custom,
            workers: NonZeroUsize::new(workers).unwrap(),
            memory_bytes: Some(3000),
            rounds,
            unfinished: None,
        }
    }

    /// A flag that was asked for at `sent`: the server held `wait`, the head came at `headers` and
    /// the end at `done`.
    fn sample(text: &str, worker: usize, [sent, wait, headers, done]: [f64; 4]) -> Sample {
        let plan = match text {
            "BR" => 100.0,
            "CN" => 200.0,
            _ => 300.0,
        };
        Sample {
            code: code(text),
            attempt: 1,
            worker,
            outcome: Outcome::Downloaded,
            error: None,
            status: Some(200),
            bytes: 1,
            sent: ms(sent),
            headers: Some(ms(headers)),
            done: ms(done),
            plan: Some(ms(plan)),
            wait: Some(ms(wait)),
            body: None,
            capacity: None,
            rules: None,
            retry_in: None,
        }
    }

    fn round(elapsed: f64, cpu: f64, samples: Vec<Sample>) -> Round {
        Round {
            began: Duration::ZERO,
            elapsed: ms(elapsed),
            cpu: Some(ms(cpu)),
            samples,
            ..Round::default()
        }
    }

    /// One after the other: 5 ms before, 1 ms of lateness in each wait, 3, 4 and 5 ms of connecting
    /// and so on, 2 ms for each body, 1 ms between two.
    fn one_after_the_other(elapsed: f64) -> Round {
        let samples = vec![
            sample("BR", 0, [5.0, 101.0, 109.0, 111.0]),
            sample("CN", 0, [112.0, 201.0, 317.0, 319.0]),
            sample("JP", 0, [320.0, 301.0, 626.0, 628.0]),
        ];
        round(elapsed, 6.0, samples)
    }

    /// BR and CN at once, then JP where BR was.
    fn two_at_a_time(elapsed: f64) -> Round {
        let samples = vec![
            sample("BR", 0, [1.0, 100.0, 103.0, 104.0]),
            sample("CN", 1, [1.0, 200.0, 203.0, 204.0]),
            sample("JP", 0, [105.0, 300.0, 407.0, 408.0]),
        ];
        round(elapsed, 9.0, samples)
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }

    fn both() -> Analysis {
        Analysis::of(&measurement(vec![
            series(
                "one",
                1,
                [630.0, 640.0, 630.0].map(one_after_the_other).to_vec(),
            ),
            series("two", 2, [420.0, 410.0, 420.0].map(two_at_a_time).to_vec()),
        ]))
    }

    #[test]
    fn the_ideal_is_that_of_as_many_workers_and_the_efficiency_its_share_of_the_median() {
        let analysis = both();
        let [one, two] = &analysis.series[..] else {
            panic!("two lanes")
        };
        assert_eq!(one.ideal, Some(ms(600.0)));
        // BR ends at 100, so JP begins there and ends at 400; CN ends at 200.
        assert_eq!(two.ideal, Some(ms(400.0)));
        close(one.elapsed_ms.unwrap().median, 630.0);
        close(two.elapsed_ms.unwrap().median, 420.0);
        close(one.efficiency.unwrap(), 600.0 / 630.0);
        close(two.efficiency.unwrap(), 400.0 / 420.0);
        close(two.ideal_speed_up.unwrap(), 1.5);
        assert_eq!(
            (two.fastest, two.slowest),
            (Some(ms(410.0)), Some(ms(420.0)))
        );
    }

    #[test]
    fn speed_ups_are_paired_by_round() {
        let analysis = both();
        // 630/420, 640/410, 630/420: the median is 1.5. Three have their lowest and their highest.
        let speed_up = analysis.series[1].speed_up.unwrap();
        close(speed_up.median, 1.5);
        let interval = speed_up.interval.unwrap();
        close(interval.lower, 1.5);
        close(interval.upper, 640.0 / 410.0);
        close(interval.confidence.unwrap(), 0.75);
        close(
            analysis.series[0].speed_up.unwrap().interval.unwrap().upper,
            1.0,
        );
    }

    #[test]
    fn rates_are_per_flag_and_per_worker() {
        let analysis = both();
        let [one, two] = &analysis.series[..] else {
            panic!("two lanes")
        };
        close(one.throughput.unwrap().median, 3.0 / 0.63);
        close(one.cpu_ms_per_download.unwrap(), 2.0);
        close(two.cpu_ms_per_download.unwrap(), 3.0);
        assert_eq!(
            (one.memory_bytes_per_worker, two.memory_bytes_per_worker),
            (Some(3000), Some(1500))
        );
        // 106, 207 and 308, three times each: of nine, h = 8 × 0.5 = 4 is the fifth.
        let latency = one.latency.unwrap();
        close(latency.p50, 207.0);
        close(latency.mean, 207.0);
        close(latency.max, 308.0);
        assert_eq!(latency.count, 9);
        assert_eq!(one.failed_latency, None);
    }

    /// The excess of one series with one round of these samples.
    fn excess_of(
        samples: Vec<Sample>,
        server: impl Fn(&mut Measurement),
    ) -> (Option<Excess>, Vec<Warning>) {
        let mut measurement = measurement(vec![series("one", 1, vec![round(630.0, 1.0, samples)])]);
        server(&mut measurement);
        let mut analysis = Analysis::of(&measurement);
        (analysis.series.remove(0).excess, analysis.warnings)
    }

    /// Longer than planned by 6, 7 and 8 ms.
    fn all_three() -> Vec<Sample> {
        one_after_the_other(630.0).samples
    }

    #[test]
    fn the_excess_of_an_attempt_is_its_time_less_the_planned_one() {
        let (excess, _) = excess_of(all_three(), |_| {});
        let excess = excess.unwrap();
        assert_eq!((excess.count, excess.unplanned), (3, 0));
        close(excess.min.unwrap(), 6.0);
        close(excess.p50.unwrap(), 7.0);
        // h = 2 × 0.99
        close(excess.p99.unwrap(), 7.98);
        close(excess.max.unwrap(), 8.0);
        let (unknown, _) = excess_of(all_three(), |measurement| measurement.plan = None);
        assert_eq!(unknown, None);
    }

    #[test]
    fn attempts_that_failed_as_planned_count_and_their_pauses_do_not() {
        for outcome in [Outcome::Timeout, Outcome::HttpError, Outcome::NotFound] {
            let mut samples = all_three();
            samples[0].outcome = outcome;
            samples[0].retry_in = Some(ms(50.0));
            let again = sample("BR", 0, [400.0, 100.0, 501.0, 502.0]);
            samples.push(Sample {
                attempt: 2,
                ..again
            });
            let (excess, _) = excess_of(samples, |measurement| {
                let attempts = &mut measurement.plan.as_mut().unwrap()[0].attempts;
                attempts.push(attempts[0]);
                attempts[0].outcome = outcome;
                attempts[0].pause = ms(50.0);
            });
            let excess = excess.unwrap();
            assert_eq!((excess.count, excess.unplanned), (4, 0), "{outcome:?}");
            close(excess.min.unwrap(), 2.0);
            close(excess.max.unwrap(), 8.0);
        }
    }

    #[test]
    fn what_went_against_the_plan_ranks_above_everything() {
        let against = |change: &dyn Fn(&mut Vec<Sample>)| {
            let mut samples = all_three();
            change(&mut samples);
            let excess = excess_of(samples, |_| {}).0.unwrap();
            assert_eq!((excess.p99, excess.max), (None, None));
            (excess.count, excess.unplanned)
        };
        assert_eq!(against(&|all| all[0].outcome = Outcome::HttpError), (3, 1));
        assert_eq!(against(&|all| drop(all.remove(0))), (3, 1), "never made");
        assert_eq!(against(&|all| all.clear()), (3, 3), "nothing was made");
        let again = |all: &mut Vec<Sample>| {
            let again = all[0].clone();
            all.push(Sample {
                attempt: 2,
                ..again
            });
        };
        assert_eq!(against(&again), (4, 1), "not planned");
    }

    #[test]
    fn an_attempt_quicker_than_planned_keeps_its_sign_and_is_warned_about() {
        let quicker = |by: f64| {
            let mut samples = all_three();
            samples[0].done = samples[0].sent + ms(100.0 - by);
            let (excess, warnings) = excess_of(samples, |_| {});
            close(excess.unwrap().min.unwrap(), -by);
            let mut warnings = warnings.into_iter();
            warnings.find(|warning| matches!(warning, Warning::BelowPlan { .. }))
        };
        assert_eq!(quicker(0.9), None);
        let Some(Warning::BelowPlan { series, most_ms }) = quicker(2.5) else {
            panic!("no warning")
        };
        assert_eq!(series, "one");
        close(most_ms, 2.5);
    }

    #[test]
    fn what_was_lost_is_divided_among_its_causes_and_adds_up() {
        let analysis = Analysis::of(&measurement(vec![series(
            "one",
            1,
            vec![one_after_the_other(630.0)],
        )]));
        let loss = analysis.series[0].loss.unwrap();
        close(loss.total_ms, 30.0);
        close(loss.server_ms, 3.0);
        // Heads after 104, 205 and 306 ms, less the plan and the lateness: 3 + 4 + 5.
        close(loss.waiting_ms, 12.0);
        close(loss.transfer_ms, 6.0);
        // 5 before, 1 + 1 between, 2 after.
        close(loss.client_ms, 9.0);
        close(loss.order_ms, 0.0);
        close(loss.unexplained_ms, 0.0);
    }

    #[test]
    fn what_was_lost_is_that_of_the_median_round() {
        // In order: 615, 630, 640 and 660 ms; of four, the second is the lower of the two in the
        // middle. The median of the server's parts would be 0, and of the others 3 less.
        let mut rounds = [640.0, 660.0, 630.0, 615.0].map(one_after_the_other);
        for round in [0, 1, 3] {
            for sample in &mut rounds[round].samples {
                sample.wait = sample.plan;
            }
        }
        let analysis = Analysis::of(&measurement(vec![series("one", 1, rounds.to_vec())]));
        let loss = analysis.series[0].loss.unwrap();
        assert_eq!(loss.round, 3);
        close(loss.total_ms, 30.0);
        close(loss.server_ms, 3.0);
        close(loss.client_ms, 9.0);
    }

    /// The body is paced over 50 of the 350 ms, and its head was read 20 ms late: of the 350 ms
    /// that it took all were planned but 3.
    #[test]
    fn a_head_that_is_read_late_shortens_the_body_and_loses_no_more_time() {
        let mut measurement = measurement(vec![series(
            "one",
            1,
            vec![round(
                653.0,
                1.0,
                vec![
                    sample("BR", 0, [0.0, 100.0, 100.0, 100.0]),
                    sample("CN", 0, [100.0, 200.0, 300.0, 300.0]),
                    sample("JP", 0, [300.0, 300.0, 620.0, 653.0]),
                ],
            )],
        )]);
        measurement.plan.as_mut().unwrap()[2].attempts[0].time = ms(350.0);
        let loss = Analysis::of(&measurement).series[0].loss.unwrap();
        close(loss.total_ms, 3.0);
        close(loss.waiting_ms, 3.0);
        close(loss.transfer_ms, 0.0);
        close(loss.unexplained_ms, 0.0);
    }

    #[test]
    fn what_a_capacity_took_is_planned_or_waited_for_and_unexplained_if_it_is_not_known() {
        let loss = |capacity: Option<f64>| {
            let round = one_after_the_other(630.0);
            let mut measurement = measurement(vec![series("one", 1, vec![round])]);
            let scenario = measurement.server.scenario.as_mut().unwrap();
            scenario.toml =
                "capacity = { workers = 4, service_time = { fixed = \"1ms\" } }".to_owned();
            for planned in measurement.plan.iter_mut().flatten() {
                planned.attempts[0].service = Some(ms(1.0));
            }
            for sample in &mut measurement.series[0].rounds[0].samples {
                sample.capacity = capacity.map(ms);
            }
            let loss = Analysis::of(&measurement).series[0].loss.unwrap();
            close(loss.total_ms, 27.0);
            loss
        };
        close(loss(None).unexplained_ms, 27.0);
        close(loss(None).waiting_ms, 0.0);
        // Two milliseconds more than the service, three times.
        close(loss(Some(3.0)).order_ms, 6.0);
        close(loss(Some(1.0)).order_ms, 0.0);
    }

    #[test]
    fn another_order_than_the_ideal_one_is_named_as_such() {
        // JP begins where CN was: its worker is busy for 500 planned milliseconds instead of 400.
        let samples = vec![
            sample("BR", 0, [0.0, 100.0, 100.0, 100.0]),
            sample("CN", 1, [0.0, 200.0, 200.0, 200.0]),
            sample("JP", 1, [200.0, 300.0, 500.0, 500.0]),
        ];
        let analysis = Analysis::of(&measurement(vec![series(
            "two",
            2,
            vec![round(500.0, 1.0, samples)],
        )]));
        let loss = analysis.series[0].loss.unwrap();
        close(loss.total_ms, 100.0);
        close(loss.order_ms, 100.0);
        close(loss.client_ms, 0.0);
    }

    #[test]
    fn an_outlier_has_the_cause_that_is_known() {
        let mut rounds = vec![one_after_the_other(630.0); 6];
        // All of them are 6, 7 or 8 ms longer than planned, but these.
        rounds[1].samples[0].done += ms(40.0);
        rounds[2].samples[1].done += ms(50.0);
        rounds[3].samples[2].outcome = Outcome::HttpError;
        rounds[3].samples[2].done += ms(60.0);
        rounds[4].samples[1].wait = Some(ms(270.0));
        rounds[4].samples[1].done += ms(70.0);
        let analysis = Analysis::of(&measurement(vec![series("one", 1, rounds)]));
        let found: Vec<_> = analysis.series[0]
            .outliers
            .iter()
            .map(|outlier| {
                (
                    outlier.round,
                    outlier.code.unwrap().to_string(),
                    outlier.cause,
                )
            })
            .collect();
        let expected = [
            (5, "CN", Cause::Server),
            (4, "JP", Cause::Error),
            (3, "CN", Cause::Unknown),
            (2, "BR", Cause::FirstConnection),
        ];
        assert_eq!(
            found,
            expected.map(|(round, code, cause)| (round, code.to_owned(), cause))
        );
        assert_eq!(analysis.series[0].outliers[3].excess, ms(46.0));
    }

    #[test]
    fn warnings_are_given_for_what_a_reader_should_know() {
        let kinds = |measurement: &Measurement| -> Vec<Warning> {
            let all = Analysis::of(measurement).warnings.into_iter();
            // What depends on the machine of the test.
            let here = |warning: &Warning| {
                matches!(warning, Warning::DebugBuild | Warning::BusyMachine { .. })
            };
            all.filter(|warning| !here(warning)).collect()
        };
        let steady = || vec![one_after_the_other(630.0); 6];
        assert_eq!(kinds(&measurement(vec![series("one", 1, steady())])), []);

        let few = measurement(vec![
            series("one", 1, steady()),
            series("two", 2, vec![two_at_a_time(420.0)]),
        ]);
        assert_eq!(kinds(&few), [Warning::TooFewRounds { rounds: 1 }]);

        let noisy = [600.0, 700.0, 650.0, 800.0, 620.0, 710.0]
            .map(one_after_the_other)
            .to_vec();
        let found = kinds(&measurement(vec![series("one", 1, noisy)]));
        assert!(
            matches!(&found[..], [Warning::NoisyMachine { spread, .. }] if *spread > 0.2),
            "{found:?}"
        );

        let mut busy = steady();
        for round in &mut busy {
            round.cpu = Some(ms(10_000.0));
        }
        let found = kinds(&measurement(vec![series("one", 1, busy)]));
        assert!(
            matches!(&found[..], [Warning::ClientSaturated { busy, .. }] if *busy > 15.0),
            "{found:?}"
        );

        let mut other = steady();
        other[0].samples[0].outcome = Outcome::HttpError;
        other[1].samples[1].plan = Some(ms(150.0));
        let found = kinds(&measurement(vec![series("one", 1, other)]));
        let expected = Warning::ServerNotAsPlanned {
            series: "one".to_owned(),
            outcomes: 1,
            delays: 1,
        };
        assert!(found.contains(&expected), "{found:?}");

        let mut unknown = measurement(vec![series("one", 1, steady())]);
        unknown.plan = None;
        for sample in unknown.series[0]
            .rounds
            .iter_mut()
            .flat_map(|round| &mut round.samples)
        {
            sample.plan = None;
        }
        unknown.interrupted = true;
        assert_eq!(kinds(&unknown), [Warning::Interrupted, Warning::NoPlan]);
    }

    #[test]
    fn a_sweep_is_compared_with_its_own_fewest_workers_and_its_knee_is_named() {
        let all_series = [(1, 600.0), (2, 300.0), (4, 200.0), (8, 200.0)];
        let all_series = all_series.map(|(workers, elapsed)| {
            let mut series = series(
                &format!("own@{workers}"),
                workers,
                vec![one_after_the_other(elapsed); 2],
            );
            series.contender = ContenderRecord::Custom;
            series
        });
        let sweep = Measurement {
            kind: Kind::Sweep,
            ..measurement(all_series.to_vec())
        };
        let analysis = Analysis::of(&sweep);
        close(analysis.series[3].speed_up.unwrap().median, 3.0);
        let [scaling] = &analysis.scaling[..] else {
            panic!("one contender")
        };
        assert_eq!(scaling.contender, "own");
        // Five per second and worker; fifteen is the most.
        close(scaling.points[0].throughput, 5.0);
        close(scaling.points[3].throughput, 15.0);
        close(scaling.knee.unwrap(), 3.0);
        assert_eq!(scaling.usl, None);
        assert_eq!(scaling.usl_missing, [Missing::Rounds, Missing::Levels]);
    }

    /// The rounds of a sweep take the ideal times of 600, 400 and 300 ms times what this gives for
    /// the number of workers.
    fn sweep(levels: &[usize], rounds: usize, ratio: impl Fn(f64, usize) -> f64) -> Measurement {
        let of_level = |&workers: &usize| {
            let ideal = match workers {
                1 => 600.0,
                2 => 400.0,
                _ => 300.0,
            };
            let time = |round| ideal * ratio(workers as f64, round);
            let rounds = (0..rounds).map(|round| one_after_the_other(time(round)));
            series(&format!("own@{workers}"), workers, rounds.collect())
        };
        Measurement {
            kind: Kind::Sweep,
            ..measurement(levels.iter().map(of_level).collect())
        }
    }

    fn scaling(measurement: &Measurement) -> Scaling {
        Analysis::of(measurement).scaling.remove(0)
    }

    const LEVELS: [usize; 5] = [1, 2, 4, 8, 16];

    #[test]
    fn the_growth_beyond_the_ideal_is_found_and_the_ideal_has_none() {
        let growing = |n: f64, _: usize| 1.05 * (1.0 + 0.01 * (n - 1.0) + 0.001 * n * (n - 1.0));
        let found = scaling(&sweep(&LEVELS, 6, growing));
        let law = found.usl.unwrap();
        close(law.lambda, 3.0 / 0.63);
        close(law.sigma, 0.01);
        close(law.kappa, 0.001);
        close(law.r_squared, 1.0);
        // √(0.99 / 0.001) = 31.46, and twice 16 is 32.
        assert!((found.peak.unwrap() - 31.464).abs() < 1e-3);
        for point in &found.points {
            close(point.fitted_throughput.unwrap(), point.throughput);
        }
        // The plan alone, with noise of one percent that knows no workers.
        let noise = |n: f64, round: usize| 1.0 + 0.01 * (17.0 * n + 5.0 * round as f64).sin();
        let found = scaling(&sweep(&LEVELS, 6, noise));
        let law = found.usl.unwrap();
        assert!(law.sigma_lower < 0.0 && law.sigma_upper > 0.0, "{law:?}");
        assert!(law.kappa_lower < 0.0 && law.kappa_upper > 0.0, "{law:?}");
        assert_eq!(found.peak, None);
    }

    #[test]
    fn a_peak_is_named_only_within_twice_the_workers_measured() {
        let growing = |n: f64, _: usize| 1.0 + 0.0009 * n * (n - 1.0);
        // √(1 / 0.0009) = 33.3 is more than 32, and less than 40.
        assert_eq!(scaling(&sweep(&LEVELS, 6, growing)).peak, None);
        let further = scaling(&sweep(&[1, 2, 4, 8, 20], 6, growing));
        assert!((further.peak.unwrap() - 33.333).abs() < 1e-3);
    }

    #[test]
    fn what_is_missing_for_the_growth_is_named() {
        let missing = |measurement: &Measurement| {
            let found = scaling(measurement);
            assert_eq!((found.usl, found.peak), (None, None));
            found.usl_missing
        };
        let ideal = |_: f64, _: usize| 1.0;
        assert_eq!(missing(&sweep(&LEVELS, 5, ideal)), [Missing::Rounds]);
        for levels in [&LEVELS[..4], &[2, 4, 8, 16, 32], &[1, 2, 3, 4, 8]] {
            assert_eq!(missing(&sweep(levels, 6, ideal)), [Missing::Levels]);
        }
        let mut unknown = sweep(&LEVELS, 6, ideal);
        unknown.plan = None;
        assert_eq!(missing(&unknown), [Missing::Ideal]);
        let mut failed = sweep(&LEVELS, 6, ideal);
        failed.series[2].rounds[3].samples.pop();
        assert_eq!(missing(&failed), [Missing::WholeJob]);
    }

    /// One contender whose first download was changed, and whether it is ranked.
    fn is_ranked(server: impl Fn(&mut Measurement), change: impl Fn(&mut Round)) -> (bool, usize) {
        let mut changed = one_after_the_other(630.0);
        change(&mut changed);
        let rounds = vec![one_after_the_other(630.0), changed];
        let mut measurement = measurement(vec![series("one", 1, rounds)]);
        server(&mut measurement);
        let numbers = &Analysis::of(&measurement).series[0];
        let has_figures = numbers.speed_up.is_some();
        assert_eq!(has_figures, numbers.ranked);
        (numbers.ranked, numbers.unplanned_errors)
    }

    #[test]
    fn only_who_did_the_whole_job_is_ranked() {
        let embedded = |_: &mut Measurement| {};
        assert_eq!(is_ranked(embedded, |_| {}), (true, 0));
        let missing = |round: &mut Round| drop(round.samples.remove(0));
        assert_eq!(is_ranked(embedded, missing), (false, 1));
        let nothing = |round: &mut Round| round.samples.clear();
        assert_eq!(is_ranked(embedded, nothing), (false, 3));
        for outcome in [
            Outcome::NotFound,
            Outcome::HttpError,
            Outcome::Timeout,
            Outcome::WrongBody,
            Outcome::BrokenConnection,
        ] {
            let failed = |round: &mut Round| round.samples[0].outcome = outcome;
            assert_eq!(is_ranked(embedded, failed), (false, 1), "{outcome:?}");
        }
        // A flag twice is not two flags.
        let other = |round: &mut Round| round.samples[0].code = code("CN");
        assert_eq!(is_ranked(embedded, other), (false, 1));
    }

    #[test]
    fn a_planned_failure_is_part_of_the_job_and_another_one_is_not() {
        let wanted = |measurement: &mut Measurement| {
            let plan = measurement.plan.as_mut().unwrap();
            plan[0].attempts[0].outcome = Outcome::HttpError;
            for round in &mut measurement.series[0].rounds {
                round.samples[0].outcome = Outcome::HttpError;
            }
        };
        assert_eq!(is_ranked(wanted, |_| {}), (true, 0));
        let otherwise = |measurement: &mut Measurement| {
            wanted(measurement);
            measurement.series[0].rounds[1].samples[0].outcome = Outcome::Timeout;
        };
        assert_eq!(is_ranked(otherwise, |_| {}), (false, 1));
    }

    #[test]
    fn at_a_named_server_only_its_headers_make_a_failure_planned() {
        let named = |measurement: &mut Measurement| measurement.server.scenario = None;
        let ended = |outcome, rules: Option<&str>| {
            is_ranked(named, |round| {
                round.samples[0].outcome = outcome;
                round.samples[0].rules = rules.map(str::to_owned);
            })
        };
        assert_eq!(ended(Outcome::HttpError, Some("teapot")), (true, 0));
        assert_eq!(ended(Outcome::HttpError, None), (false, 1));
        for outcome in [Outcome::WrongBody, Outcome::Timeout, Outcome::NotFound] {
            assert_eq!(ended(outcome, Some("delay")), (false, 1), "{outcome:?}");
        }
    }

    #[test]
    fn a_comparison_with_who_did_not_do_the_job_fails() {
        let good = measurement(vec![series("one", 1, vec![one_after_the_other(630.0); 10])]);
        let mut bad = good.clone();
        for round in &mut bad.series[0].rounds {
            for sample in &mut round.samples {
                sample.outcome = Outcome::HttpError;
            }
        }
        let verdict = |old: &Measurement, new: &Measurement| {
            Comparison::of(&[old], &[new], 0.05).series[0].verdict
        };
        assert_eq!(verdict(&good, &good), Verdict::Same);
        assert_eq!(verdict(&good, &bad), Verdict::Failed);
        assert_eq!(verdict(&bad, &bad), Verdict::Failed);
    }

    /// The ideal, the efficiency and the losses of one contender, and why there are none.
    fn ideal_with(change: impl Fn(&mut Measurement)) -> (Option<Duration>, bool, Option<String>) {
        let mut measurement = measurement(vec![series("one", 1, vec![one_after_the_other(630.0)])]);
        change(&mut measurement);
        let analysis = Analysis::of(&measurement);
        let numbers = &analysis.series[0];
        assert_eq!(numbers.efficiency.is_some(), numbers.ideal.is_some());
        assert_eq!(numbers.loss.is_some(), numbers.ideal.is_some());
        let is_warned = analysis
            .warnings
            .iter()
            .any(|warning| matches!(warning, Warning::NoIdeal { .. } | Warning::NoPlan));
        assert_eq!(is_warned, numbers.no_ideal.is_some());
        (
            numbers.ideal,
            numbers.bound.is_some(),
            numbers.no_ideal.clone(),
        )
    }

    fn with_scenario(measurement: &mut Measurement, toml: &str) {
        let scenario = measurement.server.scenario.as_mut().unwrap();
        scenario.toml = toml.to_owned();
    }

    #[test]
    fn what_is_in_doubt_has_no_ideal_and_no_losses() {
        assert_eq!(ideal_with(|_| {}), (Some(ms(600.0)), true, None));
        let (ideal, has_bound, reason) = ideal_with(|measurement| {
            measurement.plan.as_mut().unwrap()[1].doubt = Some(PlannedDoubt {
                reason: "it depends".to_owned(),
                outcome: Outcome::HttpError,
            });
        });
        assert_eq!(
            (ideal, has_bound, reason.as_deref()),
            (None, false, Some("it depends"))
        );
    }

    #[test]
    fn a_result_of_an_older_version_with_a_capacity_has_no_ideal() {
        let capacity = "capacity = { workers = 1, service_time = { fixed = '10ms' } }";
        let (ideal, _, reason) = ideal_with(|measurement| with_scenario(measurement, capacity));
        assert_eq!(ideal, None);
        assert!(reason.unwrap().contains("an older version"));
        let (ideal, ..) = ideal_with(|measurement| {
            with_scenario(measurement, capacity);
            for planned in measurement.plan.iter_mut().flatten() {
                planned.attempts[0].service = Some(ms(10.0));
            }
        });
        assert_eq!(ideal, Some(ms(630.0)));
    }

    #[test]
    fn only_our_own_client_is_known_by_its_headers() {
        let toml = "rule = [{ fault = 'close', match = { header = { user-agent = 'x' } } }]";
        let (ideal, _, reason) = ideal_with(|measurement| with_scenario(measurement, toml));
        assert_eq!(ideal, None);
        assert!(reason.unwrap().contains("close-1 depends on headers"));
        let (ideal, ..) = ideal_with(|measurement| {
            with_scenario(measurement, toml);
            measurement.series[0].contender = ContenderRecord::Strategy {
                strategy: "sequential".to_owned(),
                http: "reqwest".to_owned(),
                runtime: None,
            };
        });
        assert_eq!(ideal, Some(ms(600.0)));
    }

    #[test]
    fn a_command_has_the_ideal_of_the_order_that_it_keeps() {
        let command = |change: &dyn Fn(&mut Round)| {
            ideal_with(|measurement| {
                let series = &mut measurement.series[0];
                series.contender = ContenderRecord::Command {
                    line: "get".to_owned(),
                };
                change(&mut series.rounds[0]);
            })
        };
        assert_eq!(command(&|_| {}), (Some(ms(600.0)), true, None));
        let (ideal, has_bound, reason) = command(&|round| {
            round.samples[0].code = code("JP");
            round.samples[2].code = code("BR");
        });
        assert_eq!((ideal, has_bound), (None, true));
        assert!(reason.unwrap().contains("another order than the job's"));
        let (ideal, _, reason) = command(&|round| {
            let twice = round.samples[1].clone();
            round.samples.push(twice);
        });
        assert_eq!(ideal, None);
        assert!(reason.unwrap().contains("twice at the same time"));
    }

    #[test]
    fn a_server_that_does_not_report_all_has_no_ideal_and_the_reason_is_told() {
        let reason = |change: &dyn Fn(&mut Sample)| {
            let (ideal, _, reason) = ideal_with(|measurement| {
                measurement.server.scenario = None;
                measurement.plan = None;
                change(&mut measurement.series[0].rounds[0].samples[1]);
            });
            assert_eq!(ideal, None);
            reason.unwrap()
        };
        let unreported = reason(&|sample| {
            sample.outcome = Outcome::BrokenConnection;
            sample.plan = None;
        });
        assert!(
            unreported.contains("the plan of CN (attempt 1)"),
            "{unreported}"
        );
        let capacity = reason(&|sample| sample.capacity = Some(ms(1.0)));
        assert!(capacity.contains("has a capacity"), "{capacity}");
    }

    #[test]
    fn nothing_measured_is_nothing_said() {
        let analysis = Analysis::of(&measurement(vec![series("one", 1, Vec::new())]));
        let numbers = &analysis.series[0];
        assert_eq!(
            (numbers.elapsed_ms, numbers.latency, numbers.loss),
            (None, None, None)
        );
        assert_eq!(numbers.downloads, 0);
    }
}
