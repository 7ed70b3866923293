//! `flag-client bench` and `flag-client sweep`: a race, watched, saved after every round, reported and judged.

use std::num::NonZeroUsize;
use std::time::Duration;

use flag_client::args::{BenchArgs, Format, OutputArgs, RoundsArgs, SharedArgs, SweepArgs};
use flag_client::compare::Comparison;
use flag_client::contender::Contender;
use flag_client::downloader::Runner;
use flag_client::job::{Images, Job, Watcher};
use flag_client::race::{Moment, Race, Rounds};
use flag_client::report::progress::RaceBar;
use flag_client::report::{json, table};
use flag_client::result::{Analysis, Kind, Measurement};
use flag_client::target::Target;
use flag_client::threshold;
use flag_server::forecast::ideal_makespan;
use flags_data::Catalogue;

use crate::compare::{exit_code, may_be_compared};
use crate::{FAILED, INTERRUPTED, REGRESSED, command_line, job, output, say, target};

/// The rounds of a sweep, which has many lanes.
const SWEEP_ROUNDS: NonZeroUsize = NonZeroUsize::new(3).expect("not zero");

/// Races the contenders.
pub(crate) fn bench(args: &BenchArgs) -> anyhow::Result<u8> {
    let (wire, runtime) = (args.runner.wire(), args.runner.runtime);
    let mut contenders: Vec<Box<dyn Contender>> = Vec::new();
    for runner in Runner::select(&args.strategies, &args.https, runtime, wire)? {
        contenders.push(Box::new(runner));
    }
    output::check(&args.output)?;
    let baseline = args.baseline.as_deref().map(json::read).transpose()?;
    let target = target(&args.shared, "bench")?;
    let job = Job {
        max_workers: args.max_req,
        ..job(
            &args.shared,
            &args.runner,
            &target,
            Images::Verify(Catalogue::embedded()),
        )?
    };
    let race = Race::bench(contenders, &job).probes_memory(true);
    let session = Session::new(
        Kind::Bench,
        race,
        Rounds::Enough,
        args.rounds,
        &args.shared,
        &args.output,
        job,
        &target,
    );
    if let (Some(old), Some(file)) = (&baseline, &args.baseline) {
        may_be_compared(old, &session.prospect(), args.comparing, file)?;
    }
    let (measurement, code) = session.run()?;
    if let Some(old) = &baseline {
        let comparison = Comparison::of(old, &measurement, args.comparing.margin);
        if !args.output.quiet || comparison.is_slower() {
            let text = table::comparison(&comparison);
            if args.output.format == Format::Text {
                say(&text)
            } else {
                anstream::eprint!("{text}")
            }
        }
        return Ok(if code == 0 {
            exit_code(&comparison)
        } else {
            code
        });
    }
    Ok(code)
}

/// Races them at several numbers of workers.
pub(crate) fn sweep(args: &SweepArgs) -> anyhow::Result<u8> {
    let (wire, runtime) = (args.runner.wire(), args.runner.runtime);
    let mut contenders: Vec<Box<dyn Contender>> = Vec::new();
    for runner in Runner::select(&args.strategies, &args.https, runtime, wire)? {
        contenders.push(Box::new(runner));
    }
    output::check(&args.output)?;
    let target = target(&args.shared, "bench")?;
    let job = job(
        &args.shared,
        &args.runner,
        &target,
        Images::Verify(Catalogue::embedded()),
    )?;
    let levels = match &args.max_req[..] {
        [] => levels(job.codes.len()),
        named => named.to_vec(),
    };
    let job = Job {
        max_workers: levels.iter().copied().max().unwrap_or(NonZeroUsize::MIN),
        ..job
    };
    let race = Race::sweep(contenders, &job, &levels);
    let rounds = Rounds::Exactly(SWEEP_ROUNDS);
    let session = Session::new(
        Kind::Sweep,
        race,
        rounds,
        args.rounds,
        &args.shared,
        &args.output,
        job,
        &target,
    );
    Ok(session.run()?.1)
}

/// 1, 2, 5, 10, 30, 100, 300, … up to the number of flags, and that.
fn levels(codes: usize) -> Vec<NonZeroUsize> {
    let few = [1, 2, 5, 10].into_iter();
    let many = std::iter::successors(Some(30), |level| {
        Some(if level / 3 % 10 == 1 || level == &30 {
            level * 10 / 3
        } else {
            level * 3
        })
    });
    let below = few
        .chain(many.take_while(|level| *level < codes))
        .filter(|level| *level < codes);
    below.chain([codes]).filter_map(NonZeroUsize::new).collect()
}

/// One measurement from its beginning to its end.
struct Session<'a> {
    race: Race,
    rounds: Rounds,
    warmup: usize,
    job: Job,
    measurement: Measurement,
    output: &'a OutputArgs,
    verbose: bool,
}

impl<'a> Session<'a> {
    #[allow(
        clippy::too_many_arguments,
        reason = "bench and sweep have them all in common"
    )]
    fn new(
        kind: Kind,
        race: Race,
        default_rounds: Rounds,
        rounds: RoundsArgs,
        shared: &SharedArgs,
        output: &'a OutputArgs,
        job: Job,
        target: &Target,
    ) -> Self {
        let count = rounds.rounds.map_or(default_rounds, Rounds::Exactly);
        Self {
            race: race.rounds(count).warmup(rounds.warmup),
            rounds: count,
            warmup: rounds.warmup,
            measurement: Measurement::new(kind, &job, target, command_line()),
            job,
            output,
            verbose: shared.verbose,
        }
    }

    /// What it will be a measurement of.
    fn prospect(&self) -> Measurement {
        Measurement {
            lanes: self.race.lanes(&self.job),
            ..self.measurement.clone()
        }
    }

    fn run(self) -> anyhow::Result<(Measurement, u8)> {
        let Self {
            race,
            rounds,
            warmup,
            mut job,
            mut measurement,
            output,
            verbose,
        } = self;
        threshold::know_lanes(&output.thresholds, race.names())?;
        let aloud = output.format == Format::Text && !output.quiet;
        if aloud {
            say(&table::opening(&measurement, rounds, warmup));
        }
        let names: Vec<String> = race.names().map(str::to_owned).collect();
        let bar = RaceBar::new(job.codes.len(), !verbose && !output.quiet);
        let watched = bar.clone();
        job.watcher = Watcher::new(move |sample| {
            if sample.is_last() {
                watched.advances();
            }
        });
        let expected = expected(
            &measurement,
            &race
                .lanes(&job)
                .iter()
                .map(|lane| lane.workers)
                .collect::<Vec<_>>(),
        );
        let mut unsaved = Ok(());
        let raced = race.run(&job, &mut measurement, |moment| match moment {
            Moment::Begins { lane, rounds: done } => {
                let rounds = (warmup + rounds.at_least()).max(done + 1) as u32;
                bar.begins(
                    &names[lane],
                    expected[lane],
                    expected.iter().sum::<Duration>() * rounds,
                );
            }
            Moment::Measured { lane, measurement } => {
                let lane = &measurement.lanes[lane];
                if let (true, Some(round)) = (verbose, lane.rounds.last()) {
                    let took = format!("{:.3?}", round.elapsed);
                    bar.tell(&format!(
                        "round {}: {} took {took}",
                        lane.rounds.len(),
                        lane.name
                    ));
                }
                // The race goes on: what cannot be saved now may be saved at its end, and is told then.
                unsaved = output::save_so_far(output, measurement);
            }
        });
        bar.finish();
        drop(unsaved);
        let analysis = Analysis::of(&measurement);
        output::save_so_far(output, &measurement)?;
        let title = match measurement.kind {
            Kind::Sweep => "The sweep",
            Kind::Get | Kind::Bench => "The race",
        };
        output::save_pictures(output, &[(title, &measurement, &analysis)])?;
        output::print(
            output,
            &measurement,
            &analysis,
            &table::closing(&measurement, &analysis),
        )?;
        raced?;
        let all_met = output::judge(output, &measurement, &analysis);
        let failed = measurement.server_gone
            || analysis.lanes.iter().any(|lane| lane.unplanned_errors > 0)
            || measurement
                .lanes
                .iter()
                .any(|lane| lane.rounds.iter().any(|round| round.exit_code.is_some()));
        let code = match (measurement.interrupted, all_met, failed) {
            (true, ..) => INTERRUPTED,
            (false, false, _) => REGRESSED,
            (false, true, true) => FAILED,
            (false, true, false) => 0,
        };
        Ok((measurement, code))
    }
}

/// About how long a round of each lane will take: what is ideal, or equally long where that is not known.
fn expected(measurement: &Measurement, workers: &[NonZeroUsize]) -> Vec<Duration> {
    let least = Duration::from_millis(10);
    let ideal = |workers: &NonZeroUsize| {
        let times = measurement.planned_times()?;
        Some(ideal_makespan(times, *workers).max(least))
    };
    let second = Duration::from_secs(1);
    workers
        .iter()
        .map(|workers| ideal(workers).unwrap_or(second))
        .collect()
}
