//! `flag-client`: parse, run, print, exit code.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place that talks to the terminal"
)]

mod args;
mod compare;
mod exit;
mod export;
mod files;
mod get;
mod load;
mod manual;
mod measure;
mod output;
mod owner;
mod plan;
mod report;
mod spec;
mod terminal;

use std::io::{self, Write};
use std::process::ExitCode;

use flag_cli::complain;
use flag_client::download::worker;
use flag_client::race::memory_probe;
use flag_client::report::json;

use crate::args::{Args, Command};
use crate::exit::{FAILED, USAGE};
use crate::spec::{BenchSpec, GetSpec, LoadSpec, ReportSpec, SweepSpec};
use crate::terminal::{check_printed, ignore_ctrl_c, say, take_failure};

fn main() -> ExitCode {
    // Before anything else: threads would keep the user that they were started with.
    if let Err(error) = owner::become_the_owner() {
        print_error(&error);
        return ExitCode::from(FAILED);
    }
    let code = match flag_cli::parse::<Args>() {
        Ok(args) => run(args).unwrap_or_else(|error| {
            print_error(&format_args!("{error:#}"));
            exit::code_of(&error)
        }),
        Err(answer) if answer.use_stderr() => {
            complain(&flag_cli::shown(&answer));
            USAGE
        }
        // What --help and --version ask for.
        Err(answer) => {
            check_printed(answer.print().and_then(|()| io::stdout().flush()));
            0
        }
    };
    match take_failure() {
        None => ExitCode::from(code),
        Some(error) => {
            print_error(&format_args!("standard output: {error}"));
            ExitCode::from(code.max(FAILED))
        }
    }
}

fn print_error(error: &dyn std::fmt::Display) {
    complain(&format!("error: {error}\n"));
}

fn run(args: Args) -> anyhow::Result<u8> {
    match args.command.unwrap_or(Command::Bench(args.bench)) {
        Command::Get(args) => get::get(&GetSpec::new(args)?),
        Command::Bench(args) => measure::bench(&BenchSpec::new(args)?),
        Command::Sweep(args) => measure::sweep(&SweepSpec::new(args)?),
        Command::Load(args) => load::load(&LoadSpec::new(args)?),
        Command::Plan(args) => plan::plan(&args),
        Command::Compare(args) => compare::compare(&args),
        Command::Report(args) => report::report(&ReportSpec::new(args)?),
        Command::Worker => {
            ignore_ctrl_c()?;
            worker::run(io::stdin().lock(), io::stdout().lock())?;
            Ok(0)
        }
        Command::Probe => {
            ignore_ctrl_c()?;
            memory_probe::run(io::BufReader::new(io::stdin()), io::stdout().lock())?;
            Ok(0)
        }
        Command::Schema => {
            say(&json::schema());
            Ok(0)
        }
        Command::Docs(command) => manual::docs(&command),
    }
}
