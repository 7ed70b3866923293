//! `flag-client`: parse, run, print, exit code.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place that talks to the terminal"
)]

mod args;
mod compare;
mod get;
mod load;
mod measure;
mod output;
mod owner;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::args::{Args, Command, PlanArgs, ReportArgs, RunnerArgs, ServerArgs, SharedArgs};
use anyhow::{Context, bail};
use clap::{CommandFactory, Parser};
use flag_client::download::{Images, Job, NoSuchRunner, RetryPolicy, Runner, Stop, worker};
use flag_client::race::memory_probe as memory;
use flag_client::race::{CommandError, ContenderError, Embedded, Target, TargetError};
use flag_client::report::json::{self, ReadError, Written};
use flag_client::report::{live, table};
use flag_client::result::Analysis;
use flag_client::result::threshold::NotMeasured;
use flag_server::cli_docs::{DocsCommand, ExitStatus, Program};
use flag_server::config::{ScenarioSource, named_scenario};
use flag_server::scenario::Scenario;
use thiserror::Error;

use crate::output::Named;

/// Some download went wrong.
const FAILED: u8 = 1;
/// Bad usage or configuration.
const USAGE: u8 = 2;
/// A threshold is not met, or something has become slower: k6's code for it.
const REGRESSED: u8 = 99;
/// Ended by Ctrl-C, as a shell would say it: 128 + SIGINT.
const INTERRUPTED: u8 = 130;

/// What the manual says of the environment.
const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "FLAG_CLIENT_SERVER_LABEL",
        "The URL of the flags that --server LABEL stands for. A hyphen of the LABEL is an underscore here.",
    ),
    (
        "FLAG_CLIENT_AS_OWNER_OF",
        "A folder. Started by root, the program becomes the owner of that folder before it does anything.",
    ),
    ("NO_COLOR", "Unless it is empty, there are no colours."),
];

/// What the manual says of the exit codes.
const EXIT_STATUS: &[ExitStatus] = &[
    ExitStatus {
        code: 0,
        meaning: "Success.",
        of: &[],
    },
    ExitStatus {
        code: FAILED,
        meaning: "A failure. For get: some download was an error, and not found is none. For bench and sweep: some download went wrong that the plan wanted to go well. For load: no request succeeded.",
        of: &[],
    },
    ExitStatus {
        code: USAGE,
        meaning: "Bad usage or configuration.",
        of: &[],
    },
    ExitStatus {
        code: REGRESSED,
        meaning: "A threshold is not met, or something has become slower than it was.",
        of: &["bench", "sweep", "load", "compare", "report"],
    },
    ExitStatus {
        code: INTERRUPTED,
        meaning: "Ended by Ctrl-C or SIGTERM; what was measured until then was reported.",
        of: &["get", "bench", "sweep", "load"],
    },
];

/// What was typed makes no sense, in words that name the flag and the remedy.
#[derive(Debug, Error)]
#[error("{0}")]
struct Usage(String);

fn main() -> ExitCode {
    // Before anything else: threads would keep the user that they were started with.
    if let Err(error) = owner::become_the_owner() {
        eprintln!("error: {error}");
        return ExitCode::from(FAILED);
    }
    let args = Args::parse();
    let result = match &args.command {
        Some(Command::Get(args)) => get::get(args),
        Some(Command::Bench(args)) => measure::bench(args),
        Some(Command::Sweep(args)) => measure::sweep(args),
        Some(Command::Load(args)) => load::load(args),
        Some(Command::Plan(args)) => plan(args),
        Some(Command::Compare(args)) => compare::compare(args),
        Some(Command::Report(args)) => report(args),
        Some(Command::Worker) => worker(),
        Some(Command::Probe) => probe(),
        Some(Command::Schema) => {
            say(&json::schema());
            Ok(0)
        }
        Some(Command::Docs(command)) => docs(command),
        None => measure::bench(&args.bench),
    };
    result.map(ExitCode::from).unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(if is_usage(&error) { USAGE } else { FAILED })
    })
}

/// Whether the command line or a file that it names is to blame.
fn is_usage(error: &anyhow::Error) -> bool {
    let target = error.downcast_ref::<TargetError>();
    target.is_some_and(TargetError::is_usage)
        || error.is::<NoSuchRunner>()
        || error.is::<CommandError>()
        || matches!(error.downcast_ref(), Some(ContenderError::Command(_)))
        || error.is::<NotMeasured>()
        || error.is::<ReadError>()
        || error.is::<Usage>()
}

fn plan(args: &PlanArgs) -> anyhow::Result<u8> {
    let source = scenario_source(args.scenario.as_deref(), args.profile.as_deref(), "bench");
    let (name, scenario) = named_scenario(&source).map_err(TargetError::from)?;
    let seed = args.seed.unwrap_or(scenario.seed());
    let codes = args.selection.codes();
    say(&args.forecast.text(&name, &scenario.with_seed(seed), &codes));
    Ok(0)
}

fn docs(command: &DocsCommand) -> anyhow::Result<u8> {
    let program = Program {
        command: Args::command(),
        environment: ENVIRONMENT,
        exit_status: EXIT_STATUS,
        see_also: &["flag-server(1)"],
    };
    say(&command.run(&program)?);
    Ok(0)
}

/// Whoever feeds it hears Ctrl-C too, and ends the work in good order.
fn worker() -> anyhow::Result<u8> {
    ctrlc::set_handler(|| {}).context("cannot listen for Ctrl-C")?;
    worker::run(io::stdin().lock(), io::stdout().lock())?;
    Ok(0)
}

fn probe() -> anyhow::Result<u8> {
    ctrlc::set_handler(|| {}).context("cannot listen for Ctrl-C")?;
    memory::run(io::BufReader::new(io::stdin()), io::stdout().lock())?;
    Ok(0)
}

fn report(args: &ReportArgs) -> anyhow::Result<u8> {
    output::check(&args.output)?;
    if args.files.len() > 1 {
        output::check_single(&args.output, "name one FILE to report")?;
    }
    let mut results = Vec::new();
    for file in &args.files {
        let measurement = match json::read_any(file)? {
            Written::Measurement(measurement) => *measurement,
            Written::Load(result) if args.files.len() == 1 => {
                return load::report(&result, &args.output);
            }
            Written::Load(_) => bail!(Usage(format!(
                "{}: is the result of a load; name it as the single FILE to report",
                file.display()
            ))),
        };
        let analysis = Analysis::of(&measurement);
        results.push(Named {
            name: file.display().to_string(),
            measurement,
            analysis,
        });
    }
    let mut all_met = true;
    for Named {
        name,
        measurement,
        analysis,
    } in &results
    {
        flag_client::result::threshold::know_lanes(
            &args.output.thresholds,
            measurement.lanes.iter().map(|lane| lane.name.as_str()),
            &known_contenders(),
        )?;
        let mut text = table::whole(measurement, analysis, width());
        if results.len() > 1 {
            text = format!("{name}\n{text}\n");
        }
        output::save_exports(&args.output, measurement, analysis)?;
        output::print(&args.output, measurement, analysis, &text)?;
        all_met &= output::judge(&args.output, measurement, analysis);
    }
    output::save_pictures(&args.output, &results)?;
    Ok(if all_met { 0 } else { REGRESSED })
}

fn target(
    args: &ServerArgs,
    seed: Option<u64>,
    default_profile: &str,
) -> Result<Target, TargetError> {
    let (file, profile) = (args.scenario.as_deref(), args.profile.as_deref());
    match &args.server {
        Some(server) => Target::named(server),
        None => Target::embedded(&scenario_source(file, profile, default_profile), seed),
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
    stop: &Stop,
) -> Job {
    let scenario_seed = target.embedded.as_ref().map(Embedded::seed);
    let seed = args.seed.or(scenario_seed);
    Job {
        timeout: args.timeout,
        retry: RetryPolicy {
            first: args.attempt,
            retries: args.retries,
            seed: seed.unwrap_or(Scenario::DEFAULT_SEED),
        },
        images,
        stop: stop.clone(),
        wire: runner.wire(),
        // Where the system does not know it, the shell's own search may.
        worker_program: std::env::current_exe().unwrap_or_else(|_| "flag-client".into()),
        ..Job::new(target.base_url.clone(), args.selection.codes())
    }
}

/// The first Ctrl-C ends the work in good order, the second at once. To be called once.
fn stop_on_ctrl_c() -> anyhow::Result<Stop> {
    let requested = Stop::default();
    let stop = requested.clone();
    ctrlc::set_handler(move || {
        if stop.is_requested() {
            live::restore();
            #[allow(
                clippy::exit,
                reason = "the main thread may be waiting for a server that never answers"
            )]
            std::process::exit(INTERRUPTED.into());
        }
        stop.request();
    })
    .context("cannot listen for Ctrl-C")?;
    Ok(requested)
}

/// What was typed, so that somebody else can type it again.
fn command_line() -> Vec<String> {
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned());
    std::iter::once("flag-client".to_owned())
        .chain(words.skip(1))
        .collect()
}

/// The names of all contenders that come with the program.
fn known_contenders() -> Vec<String> {
    Runner::all().iter().map(Runner::name).collect()
}

/// The columns of the terminal, if that is where it is printed.
fn width() -> Option<usize> {
    let terminal = console::Term::stdout();
    terminal.is_term().then(|| usize::from(terminal.size().1))
}

/// Prints, with colours on a terminal only. Whoever reads may have read enough: that is no error, and no reason to panic.
fn say(text: &str) {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .ok();
}
