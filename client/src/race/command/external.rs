//! An external program in the race: how it is started, timed and ended, and its requests according
//! to the records of a fresh server. Of the program it knows the command line only.
//!
//! The samples lack what the server cannot see: a request that was never sent, the time of a
//! connection, whether the program checked the image. If a program disconnects before the end of a
//! response, it has given up: that counts as a timeout.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use flag_host::process;
use flag_scenario::Scenario;
use flag_server::{BlockingFlagServer, FlagServer, StartError};

use super::process::{StderrTail, exit_code, wait};
use super::records::Seen;
use crate::download::{Job, Outcome, Sample};
use crate::race::contender::Contender;
use crate::race::error::{CommandError, ContenderError};
use crate::race::peak_memory::PeakMemory;
use crate::result::{ContenderRecord, Round};

/// Interpreters: their first argument names the script.
const SCRIPTS: [&str; 10] = [
    "py", "js", "mjs", "ts", "rb", "pl", "php", "lua", "sh", "bash",
];

/// An external program that downloads flags.
///
/// ```
/// use flag_client::race::command::ExternalCommand;
/// use flag_client::race::Contender;
/// use flag_scenario::Scenario;
///
/// let line = "sh -c 'curl -s {url}/br/br.gif >/dev/null'";
/// let command = ExternalCommand::try_new(line, Scenario::faultless(), None)?;
/// assert_eq!(command.name(), "sh");
/// // It does not say where the flags are.
/// assert!(ExternalCommand::try_new("sh fetch.sh", Scenario::faultless(), None).is_err());
/// # Ok::<(), flag_client::race::CommandError>(())
/// ```
#[derive(Debug)]
pub struct ExternalCommand {
    line: String,
    words: Vec<String>,
    scenario: Scenario,
    port: Option<u16>,
    has_run: AtomicBool,
}

impl ExternalCommand {
    /// The program of this command line, against fresh servers with this scenario, on a free port
    /// or on this one.
    ///
    /// The line is split into words as a shell does it, but no shell sees them. In the words
    /// `{url}` stands for the folder of the flags, without a slash at the end, and `{workers}` for
    /// the downloads at one time. A word `{codes}` becomes a word for each code; in a longer word
    /// it is the codes with commas between them.
    ///
    /// # Errors
    /// When the line is invalid, there is no such program, or the port is not free.
    pub fn try_new(
        line: &str,
        scenario: Scenario,
        port: Option<u16>,
    ) -> Result<Self, CommandError> {
        let own = || line.to_owned();
        let words = shlex::split(line).ok_or_else(|| CommandError::Quotes(own()))?;
        let program = words.first().ok_or_else(|| CommandError::Empty(own()))?;
        if program.is_empty() {
            return Err(CommandError::Empty(own()));
        }
        if port.is_none() && !words.iter().any(|word| word.contains("{url}")) {
            return Err(CommandError::NoUrl(own()));
        }
        if which::which(program).is_err() {
            let (line, program) = (own(), program.clone());
            return Err(CommandError::NoProgram { line, program });
        }
        let command = Self {
            line: own(),
            words,
            scenario,
            port,
            has_run: AtomicBool::new(false),
        };
        drop(command.server()?); // reports a problem with the port before the race
        Ok(command)
    }

    /// A fresh server for each round. A server counts the attempts of clients that do not number
    /// them, so with a fresh one the count begins at 1.
    fn server(&self) -> Result<BlockingFlagServer, CommandError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.unwrap_or(0)));
        // Also where the scenario does not count: our own strategies number theirs.
        let scenario = self.scenario.clone().with_counted_attempts(true);
        let server = FlagServer::builder().scenario(scenario);
        // A program that has given up is to be known at once: its record is waited for.
        let server = server.without_half_closed_clients();
        let started = server.address(address).start_blocking();
        started.map_err(|error| match (error, self.port) {
            (StartError::Bind { reason, .. }, Some(port)) => CommandError::Port { port, reason },
            (error, _) => CommandError::Server(error),
        })
    }

    /// The words with their placeholders replaced.
    fn expand(&self, url: &str, job: &Job) -> Vec<String> {
        let codes: Vec<String> = job.codes.iter().map(ToString::to_string).collect();
        let workers = job.workers().to_string();
        let mut filled = Vec::new();
        for word in &self.words {
            if word == "{codes}" {
                filled.extend(codes.iter().cloned());
            } else {
                let word = word.replace("{url}", url).replace("{workers}", &workers);
                filled.push(word.replace("{codes}", &codes.join(",")));
            }
        }
        filled
    }

    /// The program, ready to start. Ctrl-C is for the race, which ends the program and all its
    /// children.
    fn program(&self, server: &BlockingFlagServer, job: &Job) -> Command {
        let words = self.expand(&server.flags_url(), job);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        process::shield(&mut command);
        command
    }
}

impl Contender for ExternalCommand {
    /// The file of the script, if there is one, or else of the program.
    fn name(&self) -> String {
        let is_script = |path: &&Path| {
            let ending = path.extension().and_then(OsStr::to_str);
            ending.is_some_and(|ending| SCRIPTS.contains(&ending))
        };
        let mut paths = self.words.iter().map(Path::new);
        let script = paths.clone().find(is_script).or_else(|| paths.next());
        let file = script.and_then(Path::file_name);
        file.map_or_else(
            || self.line.clone(),
            |file| file.to_string_lossy().into_owned(),
        )
    }

    fn record(&self) -> ContenderRecord {
        ContenderRecord::Command {
            line: self.line.clone(),
        }
    }

    /// As many as it is asked for, whether or not it has so many requests in flight.
    fn workers(&self, job: &Job) -> NonZeroUsize {
        job.workers()
    }

    fn run(&self, job: &Job) -> Result<Round, ContenderError> {
        let server = self.server()?;
        let mut command = self.program(&server, job);
        command.stderr(Stdio::piped());
        let could_not = |reason| CommandError::Start {
            line: self.line.clone(),
            reason,
        };
        let start = Instant::now();
        let mut child = command.spawn().map_err(could_not)?;
        let stderr_tail = child.stderr.take().map(StderrTail::of);
        let limit = job.command_timeout;
        let ended = wait(child, start, limit, &job.cancel).map_err(could_not)?;

        let Seen { samples, requests } = Seen::by(&server, start, ended.at);
        let exit_code = exit_code(ended.used.status);
        let is_first = !self.has_run.swap(true, Ordering::Relaxed);
        let is_well = |sample: &Sample| sample.outcome == Outcome::Downloaded;
        if let Some(exit_code) = exit_code
            && is_first
            && samples.iter().all(is_well)
            && !job.cancel.is_requested()
            && !ended.timed_out
        {
            Err(CommandError::Failed {
                line: self.line.clone(),
                exit_code,
                downloads: samples.len(),
                stderr_tail: stderr_tail.map_or(String::new(), |tail| tail.quoted()),
            })?;
        }
        Ok(Round {
            samples,
            elapsed: ended.at.saturating_duration_since(start),
            cpu: Some(ended.used.rusage.utime + ended.used.rusage.stime),
            exit_code,
            time_limit: ended.timed_out.then_some(limit),
            requests: Some(requests),
            ..Round::default()
        })
    }

    /// In a round that is not timed.
    fn memory(&self, job: &Job) -> Option<u64> {
        let server = self.server().ok()?;
        let mut command = self.program(&server, job);
        let start = Instant::now();
        let child = command.stderr(Stdio::null()).spawn().ok()?;
        let memory = PeakMemory::watch(child.id()).ok()?;
        let ended = wait(child, start, job.command_timeout, &job.cancel).ok()?;
        let peak = memory.stop()?;
        (!ended.timed_out && !job.cancel.is_requested()).then_some(peak.most)
    }
}
