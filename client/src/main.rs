//! `flag-client`: parse, run, print, exit code.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place that talks to the terminal"
)]

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use flag_client::args::{Args, BenchArgs, Command, GetArgs, PlanArgs, RunnerArgs, SharedArgs};
use flag_client::downloader::{NoSuchRunner, Runner};
use flag_client::job::{Images, Job, Stop, Watcher};
use flag_client::race::Race;
use flag_client::report::{book, progress, table};
use flag_client::retry::RetryPolicy;
use flag_client::round::run_round;
use flag_client::target::{Embedded, Target, TargetError};
use flag_server::config::{ScenarioSource, named_scenario};
use flag_server::scenario::Scenario;
use flags_data::Catalogue;

/// Some download went wrong.
const FAILED: u8 = 1;
/// Bad usage or configuration.
const USAGE: u8 = 2;
/// Ended by Ctrl-C, as a shell would say it: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let args = Args::parse();
    let result = match &args.command {
        Some(Command::Get(args)) => get(args),
        Some(Command::Bench(args)) => bench(args),
        Some(Command::Plan(args)) => plan(args),
        None => bench(&args.bench),
    };
    result.map(ExitCode::from).unwrap_or_else(|error| {
        let is_usage = error
            .downcast_ref::<TargetError>()
            .is_some_and(TargetError::is_usage)
            || error.is::<NoSuchRunner>();
        eprintln!("error: {error:#}");
        ExitCode::from(if is_usage { USAGE } else { FAILED })
    })
}

fn get(args: &GetArgs) -> anyhow::Result<u8> {
    let wire = args.runner.wire();
    let runners = Runner::select(&[args.strategy], &[args.http], args.runner.runtime, wire)?;
    let target = target(&args.shared, "local")?;
    make_writable(&args.out)?;
    let images = Images::Save(args.out.clone());
    let mut job = job(&args.shared, &args.runner, &target, images)?;
    let bar = progress::bar(job.codes.len(), !args.shared.verbose);
    job.watcher = if args.shared.verbose {
        let urls = job.clone();
        Watcher::new(move |sample| say(&(book::line(sample, &urls.image_url(sample.code)) + "\n")))
    } else {
        let bar = bar.clone();
        Watcher::new(move |sample| bar.inc(u64::from(sample.is_last())))
    };

    let runner = runners[0];
    let connections = runner.workers(&job).get();
    say(&book::opening(
        &target.label,
        &job.base_url,
        &job.codes,
        connections,
    ));
    let round = run_round(&runner, &job)?;
    bar.finish_and_clear();
    say(&book::closing(&round.samples, round.elapsed));

    let mut endings = round.samples.iter().filter(|sample| sample.is_last());
    let failed = endings.any(|sample| sample.outcome.is_error());
    Ok(exit_code(&job.stop, failed))
}

fn bench(args: &BenchArgs) -> anyhow::Result<u8> {
    let (wire, runtime) = (args.runner.wire(), args.runner.runtime);
    let race = Race {
        runners: Runner::select(&args.strategies, &args.https, runtime, wire)?,
        rounds: args.rounds,
        warmup: args.warmup,
    };
    let target = target(&args.shared, "bench")?;
    let images = Images::Verify(Catalogue::embedded());
    let mut job = job(&args.shared, &args.runner, &target, images)?;
    let bar = progress::bar(race.heats() * job.codes.len(), !args.shared.verbose);
    let watched = bar.clone();
    job.watcher = Watcher::new(move |sample| watched.inc(u64::from(sample.is_last())));

    say(&table::opening(&race, &job, &target));
    let result = race.run(&job, |index, runner, round| {
        if args.shared.verbose {
            eprintln!(
                "round {}: {} took {:.3?}",
                index + 1,
                runner.name(),
                round.elapsed
            );
        }
    })?;
    bar.finish_and_clear();
    let delays = result.planned_delays(&job, &target);
    say(&table::closing(&result, delays.as_deref()));

    Ok(exit_code(
        &job.stop,
        result.unplanned_errors(&job, &target) > 0,
    ))
}

fn plan(args: &PlanArgs) -> anyhow::Result<u8> {
    let source = scenario_source(args.scenario.as_deref(), args.profile.as_deref(), "bench");
    let (name, scenario) = named_scenario(&source).map_err(TargetError::from)?;
    let seed = args.seed.unwrap_or(scenario.seed());
    let codes = args.selection.codes();
    say(&args.forecast.text(&name, &scenario.with_seed(seed), &codes));
    Ok(0)
}

fn exit_code(stop: &Stop, failed: bool) -> u8 {
    match (stop.is_requested(), failed) {
        (true, _) => INTERRUPTED,
        (false, true) => FAILED,
        (false, false) => 0,
    }
}

fn target(args: &SharedArgs, default_profile: &str) -> Result<Target, TargetError> {
    let (scenario, profile) = (args.scenario.as_deref(), args.profile.as_deref());
    match &args.server {
        Some(server) => Target::named(server),
        None => Target::embedded(
            &scenario_source(scenario, profile, default_profile),
            args.seed,
        ),
    }
}

fn scenario_source<'a>(
    file: Option<&'a Path>,
    profile: Option<&'a str>,
    default_profile: &'a str,
) -> ScenarioSource<'a> {
    match file {
        Some(file) => ScenarioSource::File(file),
        None => ScenarioSource::Profile(profile.unwrap_or(default_profile)),
    }
}

fn job(
    args: &SharedArgs,
    runner: &RunnerArgs,
    target: &Target,
    images: Images,
) -> anyhow::Result<Job> {
    let stop = Stop::default();
    stop_on_ctrl_c(stop.clone())?;
    let scenario_seed = target.embedded.as_ref().map(Embedded::seed);
    let seed = args.seed.or(scenario_seed);
    Ok(Job {
        max_workers: args.max_req,
        timeout: args.timeout,
        retry: RetryPolicy {
            first: args.attempt,
            retries: args.retries,
            seed: seed.unwrap_or(Scenario::DEFAULT_SEED),
        },
        images,
        stop,
        wire: runner.wire(),
        ..Job::new(target.base_url.clone(), args.selection.codes())
    })
}

/// The first Ctrl-C ends the work in good order, the second at once.
fn stop_on_ctrl_c(stop: Stop) -> anyhow::Result<()> {
    ctrlc::set_handler(move || {
        if stop.is_requested() {
            #[allow(
                clippy::exit,
                reason = "the main thread may be waiting for a server that never answers"
            )]
            std::process::exit(INTERRUPTED.into());
        }
        stop.request();
    })
    .context("cannot listen for Ctrl-C")
}

/// A folder that cannot be written to is better known before the downloads than after them.
fn make_writable(folder: &Path) -> anyhow::Result<()> {
    let remedy = || {
        format!(
            "--out {}: cannot be written to; name another folder",
            folder.display()
        )
    };
    std::fs::create_dir_all(folder).with_context(remedy)?;
    let probe: PathBuf = folder.join(".flag-client");
    std::fs::write(&probe, b"").with_context(remedy)?;
    std::fs::remove_file(&probe).with_context(remedy)
}

/// Prints. Whoever reads may have read enough: that is no error, and no reason to panic.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .ok();
}
