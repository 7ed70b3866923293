//! `flag-server`: parse, trace, run, exit code.

#![allow(
    clippy::print_stderr,
    reason = "the one place that talks to the terminal"
)]

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{CommandFactory, Parser};
use flag_cli::{DocsCommand, ExitStatus, Program, complain, printable};
use flag_host::{allow_files, is_standard_output};
use flag_scenario::profiles::{PROFILES, Profile};
use flag_scenario::{ClientHeaders, ScenarioSource, named_scenario, schema};
use flag_server::{BlockingFlagServer, Config, StartError, Stopped, TlsError, reachable};
use tokio::runtime;
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::args::{Args, Command, LogFormat, PlanArgs, ServeArgs};
use crate::check::check;
use crate::config::ConfigError;
use crate::ready::ReadyFile;

mod any_certificate;
mod args;
mod check;
mod config;
mod health;
mod ready;

/// It did not do what it was to do.
const FAILED: u8 = 1;
/// Bad usage or configuration.
const USAGE: u8 = 2;

/// What the manual says of the exit codes.
const EXIT_STATUS: &[ExitStatus] = &[
    ExitStatus {
        code: 0,
        meaning: "Success. A server: it was asked to stop, and has stopped.",
        of: &[],
    },
    ExitStatus {
        code: FAILED,
        meaning: "A failure: an address that is taken, a full disk, a standard output that cannot be written, or for healthcheck a server that is not healthy.",
        of: &[],
    },
    ExitStatus {
        code: USAGE,
        meaning: "Bad usage, a scenario or configuration that is wrong, or a file that cannot be written.",
        of: &[],
    },
];

fn main() -> ExitCode {
    let args = match flag_cli::parse::<Args>() {
        Ok(args) => args,
        Err(answer) if answer.use_stderr() => {
            complain(&flag_cli::shown(&answer));
            return ExitCode::from(USAGE);
        }
        // What --help and --version ask for.
        Err(answer) => return printed(answer.print().and_then(|()| io::stdout().flush())),
    };
    match &args.command {
        Some(Command::Profiles { name: None }) => list_profiles(),
        Some(Command::Profiles { name: Some(name) }) => print_profile(name),
        Some(Command::Check { file }) => match check(file) {
            Ok(meaning) => say(&format!("{} is {meaning}", file.display())),
            Err(error) => fail(USAGE, &error),
        },
        Some(Command::Schema) => say(&schema()),
        Some(Command::Plan(args)) => plan(args),
        Some(Command::Healthcheck { url }) => healthcheck(url.as_deref()),
        Some(Command::Docs(command)) => docs(command),
        None => match prepare(&args.serve) {
            Ok((config, ready)) => match serve(&args.serve, &config, ready.as_ref()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => fail(code_of(&error), &format_args!("{error:#}")),
            },
            Err(problems) => fail(USAGE, &problems),
        },
    }
}

/// What the arguments mean, and the ready file of an earlier server removed even if that is wrong:
/// a program may be waiting for a new one.
fn prepare(args: &ServeArgs) -> Result<(Config, Option<ReadyFile>), String> {
    let ready = args.ready_file.as_deref().map(|path| {
        let prepared = ReadyFile::prepare(path);
        prepared.map_err(|reason| cannot_write("--ready-file", path, &reason))
    });
    let config = config::from_args(args).map_err(|error| error.to_string());
    let (config, ready) = match (config, ready.transpose()) {
        (Ok(config), Ok(ready)) => (config, ready),
        (Err(config), Err(ready)) => return Err(format!("{config}\n{ready}")),
        (Err(problems), Ok(_)) | (Ok(_), Err(problems)) => return Err(problems),
    };
    let is_ready_file = ready.as_ref().is_some_and(ReadyFile::is_standard_output);
    if is_ready_file && logs_to_standard_output(&config) {
        let text = "--decision-log: is what --ready-file writes to; name a file for one of them";
        return Err(text.to_owned());
    }
    Ok((config, ready))
}

fn logs_to_standard_output(config: &Config) -> bool {
    config
        .decision_log
        .as_deref()
        .is_some_and(is_standard_output)
}

fn cannot_write(flag: &str, path: &Path, reason: &io::Error) -> String {
    format!(
        "{flag} {}: cannot be written ({reason}); name a file in a folder that exists",
        path.display()
    )
}

/// A decision log that cannot be written is wrong usage, as for every file.
fn code_of(error: &anyhow::Error) -> u8 {
    match error.downcast_ref() {
        Some(StartError::Log { .. } | StartError::Tls(TlsError::File { .. })) => USAGE,
        _ => FAILED,
    }
}

fn healthcheck(url: Option<&str>) -> ExitCode {
    let url = match url {
        Some(url) => url.to_owned(),
        None => match here() {
            Ok(url) => url,
            Err(error) => return fail(USAGE, &error),
        },
    };
    match health::check(&url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(unhealthy @ health::Unhealthy::BadUrl(_)) => fail(USAGE, &unhealthy),
        Err(unhealthy) => fail(FAILED, &unhealthy),
    }
}

/// The server that was started in this environment, which is how a container tells its port to its
/// health check.
fn here() -> Result<String, ConfigError> {
    let args = Args::parse_from(["flag-server"]);
    let config = config::from_args(&args.serve)?;
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let first = &config.listeners[0];
    Ok(format!("{scheme}://{}", reachable(first.address)))
}

fn plan(args: &PlanArgs) -> ExitCode {
    let source = match &args.scenario {
        Some(file) => ScenarioSource::File(file),
        None => ScenarioSource::Profile(args.profile.as_deref().unwrap_or("error")),
    };
    match named_scenario(&source) {
        Ok((name, scenario)) => {
            let seed = args.seed.unwrap_or(scenario.seed());
            let codes = args.selection.codes();
            // Any client may come, so nothing is known of its headers.
            let (scenario, client) = (scenario.with_seed(seed), ClientHeaders::unknown());
            say(&args.forecast.text(&name, &scenario, &codes, &client))
        }
        Err(problem) => fail(USAGE, &problem),
    }
}

fn docs(command: &DocsCommand) -> ExitCode {
    let program = Program {
        command: Args::command(),
        environment: &[],
        exit_status: EXIT_STATUS,
        see_also: &["flag-client(1)"],
    };
    match command.run(&program) {
        Ok(text) => say(&text),
        Err(error) => fail(if error.is_usage { USAGE } else { FAILED }, &error),
    }
}

/// Prints.
fn say(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    printed(
        out.write_all(printable(text).as_bytes())
            .and_then(|()| out.flush()),
    )
}

/// A reader that has closed its end is not an error: it may have read enough.
fn printed(result: io::Result<()>) -> ExitCode {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            fail(FAILED, &format_args!("standard output: {error}"))
        }
        _ => ExitCode::SUCCESS,
    }
}

fn fail(code: u8, message: &dyn std::fmt::Display) -> ExitCode {
    complain(&format!("error: {message}\n"));
    ExitCode::from(code)
}

/// What the program has open beside its connections, and more.
const OTHER_FILES: usize = 64;

/// This thread waits for signals; the server brings its own.
fn serve(args: &ServeArgs, config: &Config, ready: Option<&ReadyFile>) -> anyhow::Result<()> {
    trace_to_stderr(args.log);
    // As far as the system lets us: with fewer, the rest of many clients waits to be accepted, and
    // the log says why.
    let connections = (config.limits.max_connections).saturating_mul(config.listeners.len());
    allow_files(connections.saturating_add(OTHER_FILES) as u64);
    let waiting = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut signal = {
        let _context = waiting.enter();
        StopSignal::listen().context("cannot listen for signals")?
    };

    let server = BlockingFlagServer::start(config)?;
    let is_taken =
        ready.is_some_and(ReadyFile::is_standard_output) || logs_to_standard_output(config);
    if is_taken {
        announce(&server, &mut io::stderr().lock()).ok();
    } else {
        announce(&server, &mut io::stdout().lock()).context("standard output")?;
    }
    if let (Some(ready), Some(path)) = (ready, &args.ready_file) {
        ready
            .write(server.endpoints())
            .with_context(|| format!("--ready-file {}: cannot be written", path.display()))?;
    }

    waiting.block_on(signal.received());
    info!(grace = ?config.limits.grace, "stopping: requests in flight may finish");
    let (tell, stopped) = oneshot::channel();
    std::thread::spawn(move || tell.send(server.shutdown()));
    waiting.block_on(async {
        tokio::select! {
            stopped = stopped => {
                let stopped = stopped?;
                say_farewell(stopped);
                check_log(stopped, config)
            }
            () = signal.received() => {
                warn!("stopped at once, as the second signal asks");
                Ok(())
            }
        }
    })
}

fn check_log(stopped: Stopped, config: &Config) -> anyhow::Result<()> {
    match &config.decision_log {
        Some(path) if !stopped.is_log_whole => bail!(
            "--decision-log {}: records are missing, because it could not be written",
            path.display()
        ),
        _ => Ok(()),
    }
}

fn say_farewell(stopped: Stopped) {
    let Stopped {
        answered,
        refused,
        cut_off,
        is_log_whole: _,
    } = stopped;
    match cut_off {
        0 => info!(answered, refused, "stopped: every request was answered"),
        _ => warn!(
            answered,
            refused, cut_off, "stopped: some connections outlasted the grace period"
        ),
    }
}

/// One line for each listener, its name and its URL: easy to cut for a program. A reader that has
/// closed its end does not stop the server.
fn announce(server: &BlockingFlagServer, out: &mut dyn Write) -> io::Result<()> {
    for endpoint in server.endpoints() {
        match writeln!(out, "{} {}", endpoint.name, endpoint.url) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn list_profiles() -> ExitCode {
    let line = |profile: &Profile| format!("{:<9} {}\n", profile.name, profile.summary());
    say(&PROFILES.iter().map(line).collect::<String>())
}

fn print_profile(name: &str) -> ExitCode {
    match Profile::find(name) {
        Some(profile) => say(profile.toml),
        None => fail(
            USAGE,
            &format_args!(
                "there is no profile {name:?}{}; `flag-server profiles` lists them",
                Profile::hint(name)
            ),
        ),
    }
}

fn trace_to_stderr(format: LogFormat) {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_target(false);
    match format {
        LogFormat::Text => subscriber
            .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
            .init(),
        LogFormat::Json => subscriber.json().init(),
    }
}

/// SIGTERM and Ctrl-C, heard from the moment it is made.
struct StopSignal {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl StopSignal {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(not(unix))]
impl StopSignal {
    fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    async fn received(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await; // no signal will come
        }
    }
}
