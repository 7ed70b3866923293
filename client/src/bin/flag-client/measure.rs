//! `flag-client bench` and `flag-client sweep`: a race, watched, saved after every round, reported and judged.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use crate::args::{BenchArgs, ContenderArgs, Format, OutputArgs, ServerArgs, SweepArgs};
use anyhow::bail;
use flag_client::download::{Images, Job, NoSuchRunner, Runner, Stop, Watcher};
use flag_client::race::command::ExternalCommand;
use flag_client::race::{self, Contender, ContenderError, Moment, Race, Rounds, Target};
use flag_client::report::progress::RaceBar;
use flag_client::report::{json, table};
use flag_client::result::{Analysis, Comparison, Kind, Lane, Measurement, Round, threshold};
use flag_server::forecast::ideal_makespan;
use flags_data::Catalogue;

use crate::compare::{exit_code, may_be_compared};
use crate::output::Named;
use crate::{
    FAILED, INTERRUPTED, REGRESSED, Usage, command_line, job, known_contenders, output, say,
    stop_on_ctrl_c, target, width,
};

/// The rounds of a sweep, which has many lanes.
const SWEEP_ROUNDS: NonZeroUsize = NonZeroUsize::new(3).expect("not zero");

/// After a save, the next one waits for this many times as long as that took: saving has at most a quarter of the time.
const PAUSE_BETWEEN_SAVES: u32 = 3;

/// Races the contenders, on one server after another.
pub(crate) fn bench(args: &BenchArgs) -> anyhow::Result<u8> {
    strategies(&args.contenders)?; // better known before the first race than before the second
    output::check(&args.output)?;
    let servers = args.servers.each();
    if servers.len() > 1 {
        check_several(args)?;
    }
    let baseline = args.baseline.as_deref().map(json::read).transpose()?;
    let stop = stop_on_ctrl_c()?;
    let mut results = Vec::new();
    let mut code = 0;
    for (number, server) in servers.iter().enumerate() {
        if number > 0 && args.output.format == Format::Text && !args.output.quiet {
            say("\n");
        }
        let (result, its_code) = race(args, server, &results, baseline.as_ref(), &stop)?;
        // The codes are in the order of what matters more.
        code = code.max(its_code);
        results.push(result);
        // After each race: what the next one meets must not cost what is known.
        output::save_pictures(&args.output, &results)?;
        if stop.is_requested() {
            break;
        }
    }
    Ok(code)
}

/// What holds one result only is refused for several.
fn check_several(args: &BenchArgs) -> anyhow::Result<()> {
    let remedy = "name one server, or take --out DIR and --report FILE.html for several";
    output::check_single(&args.output, remedy)?;
    if let Some(file) = &args.baseline {
        bail!(Usage(format!(
            "--baseline {}: is one result; {remedy}",
            file.display()
        )));
    }
    if matches!(args.output.format, Format::Json | Format::Csv) {
        bail!(Usage(format!("--format: prints one result; {remedy}")));
    }
    Ok(())
}

/// One race; the results before it have taken their names.
fn race(
    args: &BenchArgs,
    server: &ServerArgs,
    before: &[Named],
    baseline: Option<&Measurement>,
    stop: &Stop,
) -> anyhow::Result<(Named, u8)> {
    let mut contenders = strategies(&args.contenders)?;
    let target = target(server, args.shared.seed, "bench")?;
    for line in &args.commands {
        // A named server has been refused by then: it would not tell what it was asked for.
        if let Some(embedded) = &target.embedded {
            let scenario = embedded.faults().clone();
            let command = ExternalCommand::try_new(line, scenario, args.port)?;
            contenders.push(Box::new(command));
        }
    }
    let job = Job {
        max_workers: args.max_req,
        ..job(
            &args.shared,
            &args.contenders.runner,
            &target,
            Images::Verify(Catalogue::embedded()),
            stop,
        )
    };
    let race = Race::bench(contenders, &job).probes_memory(true);
    let session = Session {
        name: name(&target, before),
        race,
        rounds: args.rounds.rounds.map_or(Rounds::Enough, Rounds::Exactly),
        warmup: args.rounds.warmup,
        measurement: race::begin(Kind::Bench, &job, &target, command_line()),
        job,
        output: &args.output,
        verbose: args.shared.verbose,
    };
    if let (Some(old), Some(file)) = (baseline, &args.baseline) {
        may_be_compared(old, &session.prospect(), args.comparing, file)?;
    }
    let (result, code) = session.run()?;
    if let Some(old) = baseline {
        let comparison = Comparison::of(old, &result.measurement, args.comparing.margin);
        if !args.output.quiet || comparison.is_slower() {
            let text = table::comparison(&comparison);
            if args.output.format == Format::Text {
                say(&text)
            } else {
                anstream::eprint!("{text}")
            }
        }
        if code == 0 {
            return Ok((result, exit_code(&comparison)));
        }
    }
    Ok((result, code))
}

/// What a race is called, in a page and as a file: the scenario or the label, with a number where another has that name.
fn name(target: &Target, before: &[Named]) -> String {
    let plain = match &target.embedded {
        Some(embedded) => embedded.scenario.clone(),
        None => target.label.to_lowercase(),
    };
    let is_free = |name: &String| before.iter().all(|result| result.name != *name);
    let numbered = (2..).map(|number| format!("{plain}-{number}"));
    let mut names = std::iter::once(plain.clone()).chain(numbered);
    names.find(is_free).expect("numbers do not end")
}

/// Races them at several numbers of workers.
pub(crate) fn sweep(args: &SweepArgs) -> anyhow::Result<u8> {
    let contenders = strategies(&args.contenders)?;
    output::check(&args.output)?;
    let target = target(&args.server, args.shared.seed, "bench")?;
    let job = job(
        &args.shared,
        &args.contenders.runner,
        &target,
        Images::Verify(Catalogue::embedded()),
        &stop_on_ctrl_c()?,
    );
    let levels = match &args.max_req[..] {
        [] => levels(job.codes.len()),
        named => named.to_vec(),
    };
    let job = Job {
        max_workers: levels.iter().copied().max().unwrap_or(NonZeroUsize::MIN),
        ..job
    };
    let race = Race::sweep(contenders, &job, &levels);
    let session = Session {
        name: name(&target, &[]),
        race,
        rounds: Rounds::Exactly(args.rounds.rounds.unwrap_or(SWEEP_ROUNDS)),
        warmup: args.rounds.warmup,
        measurement: race::begin(Kind::Sweep, &job, &target, command_line()),
        job,
        output: &args.output,
        verbose: args.shared.verbose,
    };
    let (result, code) = session.run()?;
    output::save_pictures(&args.output, &[result])?;
    Ok(code)
}

/// The strategies with the libraries that are named.
fn strategies(args: &ContenderArgs) -> Result<Vec<Box<dyn Contender>>, NoSuchRunner> {
    let runner = args.runner;
    let (wire, runtime) = (runner.wire(), runner.runtime);
    let runners = Runner::select(&args.strategies, &args.https, runtime, wire)?;
    let boxed = |runner| Box::new(runner) as Box<dyn Contender>;
    Ok(runners.into_iter().map(boxed).collect())
}

/// 1, 2, 5, 10, 30, … as far as there are so many flags, and as many as there are.
fn levels(codes: usize) -> Vec<NonZeroUsize> {
    let fewer = [1, 2, 5, 10, 30, 100, 300];
    let fewer = fewer.into_iter().filter(|level| *level < codes);
    fewer.chain([codes]).filter_map(NonZeroUsize::new).collect()
}

/// One measurement from its beginning to its end.
struct Session<'a> {
    name: String,
    race: Race,
    rounds: Rounds,
    warmup: usize,
    job: Job,
    measurement: Measurement,
    output: &'a OutputArgs,
    verbose: bool,
}

impl Session<'_> {
    /// What it will be a measurement of.
    fn prospect(&self) -> Measurement {
        Measurement {
            lanes: self.race.lanes(&self.job),
            ..self.measurement.clone()
        }
    }

    /// Measures, tells, and saves all but pictures; the result, and the exit code that follows from it.
    fn run(self) -> anyhow::Result<(Named, u8)> {
        let (output, name) = (self.output, self.name.clone());
        threshold::know_lanes(&output.thresholds, self.race.names(), &known_contenders())?;
        if output.format == Format::Text && !output.quiet {
            let opening = table::opening(&self.prospect(), self.rounds, self.warmup);
            say(&opening);
        }
        let (measurement, raced) = self.race();
        let is_empty = measurement.lanes.iter().all(|lane| lane.rounds.is_empty());
        let raced = match raced {
            // There is nothing to tell but why.
            Err(error) if is_empty => return Err(error.into()),
            raced => raced,
        };
        let analysis = Analysis::of(&measurement);
        // Whatever cannot be written, what was measured is told first.
        let text = table::closing(&measurement, &analysis, width());
        output::print(output, &measurement, &analysis, &text)?;
        let all_met = output::judge(output, &measurement, &analysis);
        raced?;
        output::save(output, &name, &measurement, &analysis)?;

        let unplanned = analysis.lanes.iter().any(|lane| lane.unplanned_errors > 0);
        let mut rounds = measurement.lanes.iter().flat_map(|lane| &lane.rounds);
        let failed = measurement.server_gone || unplanned || rounds.any(has_failed);
        let code = match (measurement.interrupted, all_met, failed) {
            (true, ..) => INTERRUPTED,
            (false, false, _) => REGRESSED,
            (false, true, true) => FAILED,
            (false, true, false) => 0,
        };
        let result = Named {
            name,
            measurement,
            analysis,
        };
        Ok((result, code))
    }

    /// The race, with a bar or a line for each round beside it; everything so far is saved after each, unless the rounds are so short
    /// that it would be most of the work.
    fn race(self) -> (Measurement, Result<(), ContenderError>) {
        let Self {
            name,
            race,
            rounds,
            warmup,
            mut job,
            mut measurement,
            output,
            verbose,
        } = self;
        let race = race.rounds(rounds).warmup(warmup);
        let names: Vec<String> = race.names().map(str::to_owned).collect();
        let expected = expected(&measurement, &race.lanes(&job));
        let all: Duration = expected.iter().sum();
        let bar = RaceBar::new(job.codes.len(), !verbose && !output.quiet);
        let watched = bar.clone();
        job.watcher = Watcher::new(move |sample| {
            if sample.is_last() {
                watched.advances();
            }
        });
        let mut next_save = Instant::now();
        let raced = race.run(&job, &mut measurement, |moment| match moment {
            Moment::Begins { lane, rounds: done } => {
                let rounds = (warmup + rounds.at_least()).max(done + 1) as u32;
                bar.begins(&names[lane], expected[lane], all * rounds);
            }
            Moment::Measured { lane, measurement } => {
                let lane = &measurement.lanes[lane];
                if let (true, Some(round)) = (verbose, lane.rounds.last()) {
                    let (number, took) = (lane.rounds.len(), round.elapsed);
                    bar.tell(&format!("round {number}: {} took {took:.3?}", lane.name));
                }
                // What cannot be saved now is tried again after the next round, and told after the last.
                if output::saves(output) && Instant::now() >= next_save {
                    let begun = Instant::now();
                    output::save(output, &name, measurement, &Analysis::of(measurement)).ok();
                    next_save = Instant::now() + begun.elapsed() * PAUSE_BETWEEN_SAVES;
                }
            }
        });
        bar.finish();
        (measurement, raced)
    }
}

/// Whether a command ended badly though its downloads had ended well: that they did not is counted elsewhere, as planned or not.
fn has_failed(round: &Round) -> bool {
    let mut endings = round.samples.iter().filter(|sample| sample.is_last());
    round.exit_code.is_some() && !endings.any(|sample| sample.outcome.is_error())
}

/// About how long a round of each lane will take: what is ideal, or equally long where that is not known.
fn expected(measurement: &Measurement, lanes: &[Lane]) -> Vec<Duration> {
    let (least, unknown) = (Duration::from_millis(10), Duration::from_secs(1));
    let times = measurement.planned_times();
    let ideal = |lane: &Lane| {
        let times = times.iter().flatten().copied();
        ideal_makespan(times, lane.workers).max(least)
    };
    let expected = |lane| {
        if times.is_some() {
            ideal(lane)
        } else {
            unknown
        }
    };
    lanes.iter().map(expected).collect()
}
