//! `flag-server`: parse, trace, run, exit code.

use std::future::pending;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::CommandFactory;
use flag_cli::{
    DocsCommand, ExitStatus, Program, Request, Requests, Signal, Signals, complain, printable,
};
use flag_host::process::ignores_hang_up;
use flag_host::terminal::{has_terminal, is_screen};
use flag_host::{PROGRAM_FILES, RUNTIME_FILES, TooFewFiles, is_standard_output, require_files};
use flag_scenario::profiles::{PROFILES, Profile};
use flag_scenario::wording::counted;
use flag_scenario::{ClientHeaders, ScenarioSource, ShortScenario, named_scenario, schema};
use flag_server::{BlockingFlagServer, Config, StartError, Stopped, reachable};
use tokio::runtime;
use tokio::sync::oneshot;
use tracing::{info, warn};

use crate::args::{Args, Command, LogFormat, PlanArgs, ServeArgs};
use crate::check::check;
use crate::ready::ReadyFile;

mod any_certificate;
mod args;
mod bind;
mod check;
mod config;
mod health;
mod parent;
mod ready;
mod reload;

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
        meaning: "A failure: an address that is taken, a full disk, a standard output that cannot be written, or for healthcheck a server that is not healthy. A server: at its end it had to cut off connections that were still busy (those in a planned silence do not count), or records are missing in its decision log.",
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

/// A file that cannot be used is wrong usage; and so is what the limit of open files makes
/// impossible.
fn code_of(error: &anyhow::Error) -> u8 {
    match error.downcast_ref() {
        Some(StartError::Log { .. } | StartError::Tls(_)) => USAGE,
        _ if error.is::<TooFewFiles>() => USAGE,
        _ => FAILED,
    }
}

fn healthcheck(url: Option<&str>) -> ExitCode {
    let url = match url {
        Some(url) => url.to_owned(),
        None => match here() {
            Ok(url) => url,
            Err(problem) => {
                complain(&problem);
                return ExitCode::from(USAGE);
            }
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
fn here() -> Result<String, String> {
    let args = flag_cli::parse_words::<Args>(&["flag-server".into()]);
    let args = args.map_err(|error| flag_cli::shown(&error))?;
    let config = config::from_args(&args.serve);
    let config = config.map_err(|problems| format!("error: {problems}\n"))?;
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let first = &config.listeners[0];
    Ok(format!("{scheme}://{}", reachable(first.address)))
}

fn plan(args: &PlanArgs) -> ExitCode {
    let short = ShortScenario::of(args.delay, args.errors);
    let source = match (&args.scenario, short) {
        (Some(file), _) => ScenarioSource::File(file),
        (None, Some(short)) => ScenarioSource::Short(short),
        (None, None) => ScenarioSource::Profile(args.profile.as_deref().unwrap_or("error")),
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

/// With fewer connections than this, clients may notice that nobody asked for a number.
const FEW_CONNECTIONS: u64 = 1024;

/// Raises the limit of open files as far as the system allows. With fewer than all connections
/// need, the rest of many clients waits to be accepted: that is said before the first comes, if
/// their number was asked for, or few are left.
///
/// # Errors
/// When there are none left for connections.
fn allow_connections(config: &Config, is_asked_for: bool) -> Result<(), TooFewFiles> {
    let listeners = config.listeners.len() as u64;
    let threads = config.threads.get() as u64;
    let own = PROGRAM_FILES + threads.saturating_mul(RUNTIME_FILES) + listeners;
    let each = config.limits.max_connections as u64;
    let all = own.saturating_add(each.saturating_mul(listeners));
    match require_files(all) {
        Ok(()) => Ok(()),
        Err(TooFewFiles { allowed, .. }) if allowed < own + listeners => Err(TooFewFiles {
            wanted: own + listeners,
            allowed,
        }),
        Err(few) => {
            let left = few.allowed - own;
            if is_asked_for || left < FEW_CONNECTIONS {
                warn!(
                    "--max-connections {each}: {few}, or {left} connections at a time are accepted, and more wait"
                );
            }
            Ok(())
        }
    }
}

/// How long requests in flight may take when the parent is gone, and how long the decision log may
/// take after that: who has asked for them is most likely gone too.
const ORPHAN_GRACE: Duration = Duration::from_millis(300);

/// How long the decision log may take once the server was asked to stop at once.
const LAST_GRACE: Duration = Duration::from_secs(1);

/// This thread waits for signals; the server brings its own.
fn serve(args: &ServeArgs, config: &Config, ready: Option<&ReadyFile>) -> anyhow::Result<()> {
    trace_to_stderr(args.log);
    for sentence in flag_cli::unknown_variables(&Args::command(), "FLAG_SERVER_") {
        warn!("{sentence}");
    }
    allow_connections(config, args.max_connections.is_some()).context("the server")?;
    let waiting = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut signals = {
        let _context = waiting.enter();
        StopSignals::listen().context("cannot listen for signals")?
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
            .write(server.endpoints(), server.control_url())
            .with_context(|| format!("--ready-file {}: cannot be written", path.display()))?;
    }

    let mut parent = args.until_stdin_closes.then(parent::end);
    waiting.block_on(async {
        tokio::select! {
            biased;
            () = until_stopped(&mut signals, args, config, &server) => {}
            () = ended(&mut parent) => info!("standard input is closed, as --until-stdin-closes waits for"),
        }
    });
    info!(grace = ?config.limits.grace, "stopping: requests in flight may finish");
    let (tell, stopped) = oneshot::channel();
    let (hurry, hurried) = oneshot::channel();
    std::thread::spawn(move || {
        tell.send(server.shutdown_until(async {
            if hurried.await.is_err() {
                pending().await // nobody will hurry it any more
            }
        }))
    });
    let stopped = waiting.block_on(async {
        tokio::select! {
            biased;
            stopped = stopped => anyhow::Ok(stopped?),
            () = at_once(&mut signals, &mut parent, hurry) => bail!(
                "stopped at once: records may be missing in --decision-log, and requests may have been cut off"
            )
        }
    })?;
    say_farewell(stopped);
    check_stopped(stopped, config)
}

/// Serves, and reads scenarios again when SIGHUP asks for it, until a signal asks to stop.
async fn until_stopped(
    signals: &mut StopSignals,
    args: &ServeArgs,
    config: &Config,
    server: &BlockingFlagServer,
) {
    let mut reading = None;
    loop {
        let read = async {
            match &mut reading {
                Some(reading) => reading.await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            asked = signals.next() => match asked {
                Asked::Stop => return,
                Asked::Reload => {
                    reload::reopen_log(server);
                    reading = Some(reload::read(args));
                }
            },
            read = read => {
                reading = None;
                if let Ok(described) = read {
                    reload::apply(server, &config.listeners, described);
                }
            }
        }
    }
}

/// Waits until a second signal asks to stop at once, or the parent is gone for a while, hurries the
/// server, and returns when that did not help either.
async fn at_once(
    signals: &mut StopSignals,
    parent: &mut Option<oneshot::Receiver<()>>,
    hurry: oneshot::Sender<()>,
) {
    let orphaned = async {
        ended(parent).await;
        tokio::time::sleep(ORPHAN_GRACE).await;
    };
    let last_grace = tokio::select! {
        biased;
        () = signals.stop_at_once() => {
            warn!("stopping at once, as the second signal asks");
            LAST_GRACE
        }
        () = orphaned => ORPHAN_GRACE,
    };
    hurry.send(()).ok();
    tokio::time::sleep(last_grace).await;
}

/// Waits for the end of the parent, if that is to end the server.
async fn ended(parent: &mut Option<oneshot::Receiver<()>>) {
    match parent {
        Some(parent) if !parent.is_terminated() => drop(parent.await),
        Some(_) => {}
        None => pending().await,
    }
}

fn say_farewell(stopped: Stopped) {
    let Stopped {
        answered,
        refused,
        cut_off,
        silent,
        lost_records: _,
    } = stopped;
    match (cut_off, silent) {
        (0, 0) => info!(answered, refused, "stopped: every request was answered"),
        (0, _) => info!(
            answered,
            refused, silent, "stopped: every request was answered, but those in a planned silence"
        ),
        _ => warn!(
            answered,
            refused, silent, cut_off, "stopped: connections that were still busy were cut off"
        ),
    }
}

/// Whether every request got what was planned, and every record was written.
fn check_stopped(stopped: Stopped, config: &Config) -> anyhow::Result<()> {
    match &config.decision_log {
        Some(path) if stopped.lost_records > 0 => bail!(
            "--decision-log {}: {} records are missing, because it could not be written, or not as fast as they came",
            path.display(),
            stopped.lost_records
        ),
        _ => {}
    }
    if stopped.cut_off > 0 {
        let cut_off = counted(stopped.cut_off as u64, "connection");
        bail!(
            "{cut_off} had to be cut off before the answer was sent; with a longer --grace more of them may finish"
        );
    }
    Ok(())
}

/// One line for each listener, its name and its URL: easy to cut for a program. The control plane
/// comes last. A reader that has
/// closed its end does not stop the server.
fn announce(server: &BlockingFlagServer, out: &mut dyn Write) -> io::Result<()> {
    for endpoint in server.endpoints() {
        match writeln!(out, "{} {}", endpoint.name, endpoint.url) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    match server
        .control_url()
        .map(|url| writeln!(out, "control {url}"))
    {
        Some(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
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
        // It would say on standard error that standard error is closed, and panic.
        .log_internal_errors(false)
        .with_target(false);
    match format {
        LogFormat::Text => subscriber.with_ansi(is_screen(&io::stderr())).init(),
        LogFormat::Json => subscriber.json().init(),
    }
}

/// What a signal asks a server for.
enum Asked {
    /// To read its scenarios again.
    Reload,
    /// To stop.
    Stop,
}

/// The signals to a server, and what they mean to it.
struct StopSignals {
    signals: Signals,
    requests: Requests,
    /// Whether the server ends with its terminal. `nohup` asks for the opposite.
    needs_terminal: bool,
}

impl StopSignals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            needs_terminal: has_terminal() && !ignores_hang_up(),
            signals: Signals::listen(true)?,
            requests: Requests::default(),
        })
    }

    async fn next(&mut self) -> Asked {
        let signal = self.signals.next().await;
        // A terminal that is closed sends SIGHUP too.
        let is_closed = cfg!(windows) || (self.needs_terminal && !has_terminal());
        if signal == Signal::HangUp && !is_closed {
            return Asked::Reload;
        }
        self.requests.add(Instant::now());
        Asked::Stop
    }

    /// Waits for one more request to stop that is no copy of the first.
    async fn stop_at_once(&mut self) {
        loop {
            let is_hang_up = self.signals.next().await == Signal::HangUp;
            if !is_hang_up && self.requests.add(Instant::now()) == Request::EndAtOnce {
                return;
            }
        }
    }
}
