//! An external program in the race: how it is started, timed and ended, and what the records of a fresh server say that it did. It knows
//! nothing of the program but its command line, and of its downloads only what reached the server.
//!
//! What the server cannot see is not in the samples: a request that was never sent, the time of a connection, an image that nobody
//! looked at. Where a program leaves before the end of a response, it has lost its patience: that counts as a timeout.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flag_scenario::{Content, Ending, Scenario};
use flag_server::{BlockingFlagServer, End, FlagServer, Record, StartError};
use flags_data::{CountryCode, Resource, ResourceKind};
use thiserror::Error;
use wait4::{ResUse, Wait4};

use crate::download::http::exchange::http_error;
use crate::download::{Job, Outcome, Sample, SetupError, Stop};
use crate::os::process;
use crate::race::contender::{Contender, Heat};
use crate::race::memory_probe;
use crate::result::ContenderRecord;

/// How often it is looked whether the program is to be ended, and what memory it has. Its own end is known at once.
const GLANCE: Duration = Duration::from_millis(20);
/// How long the program may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(2);
/// How long the server may take to learn that the program has left.
const LAST_RECORDS: Duration = Duration::from_secs(1);
/// What is kept of all that the program says on standard error: the end, in bytes.
const LAST_WORDS: usize = 4096;
/// How long to wait for those when the program is gone: who has inherited its standard error may never close it.
const LAST_BREATH: Duration = Duration::from_millis(200);
/// When a response breaks, its client may know it before the server, and send another request. So long after it the broken one is
/// still no sign of a second worker.
const NEWS: Duration = Duration::from_millis(5);

/// Programs whose argument is the program.
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
/// assert!(ExternalCommand::try_new("sh fetch.sh", Scenario::faultless(), None).is_err()); // from where?
/// # Ok::<(), flag_client::race::command::CommandError>(())
/// ```
#[derive(Debug)]
pub struct ExternalCommand {
    line: String,
    words: Vec<String>,
    scenario: Scenario,
    port: Option<u16>,
    has_run: AtomicBool,
}

/// Why an external program cannot take part. The texts name the flag and the remedy.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The line cannot be split into words.
    #[error(
        "--command {0}: a quotation mark or what a backslash stands before is missing; quote the words as for a shell"
    )]
    Quotes(String),
    /// There are no words.
    #[error(
        "--command {0:?}: names no program; give one, like --command 'python3 my_flags.py {{url}}'"
    )]
    Empty(String),
    /// Nobody tells the program where the server is.
    #[error(
        "--command {0}: does not tell the program where the flags are; put {{url}} where it wants the URL, or give the port that it \
         uses by itself with --port"
    )]
    NoUrl(String),
    /// No program has this name.
    #[error("--command {line}: there is no program {program}; check its name, or give its path")]
    NoProgram {
        /// The command line.
        line: String,
        /// Its first word.
        program: String,
    },
    /// The system does not start it.
    #[error("--command {line}: cannot be started ({reason}); name a program that may be run")]
    Start {
        /// The command line.
        line: String,
        /// What the system said.
        reason: io::Error,
    },
    /// The port is not free.
    #[error(
        "--port {port}: the server for --command cannot listen there ({reason}); stop the program that has the port, or give another one"
    )]
    Port {
        /// The port.
        port: u16,
        /// What the system said.
        reason: io::Error,
    },
    /// Its server does not start.
    #[error("no server for --command: {0}")]
    Server(StartError),
    /// It failed at once, and not because a download did.
    #[error(
        "--command {line}: ended with exit code {exit_code} {}; correct the command line or the program{last_words}", after(*downloads)
    )]
    Failed {
        /// The command line.
        line: String,
        /// The exit code, or 128 and its signal.
        exit_code: i32,
        /// The downloads that it had made.
        downloads: usize,
        /// The end of what it said on standard error, on lines of its own; or nothing.
        last_words: String,
    },
}

fn after(downloads: usize) -> String {
    match downloads {
        0 => "before it had asked for a flag".to_owned(),
        1 => "though its only download had gone well".to_owned(),
        _ => format!("though all of its {downloads} downloads had gone well"),
    }
}

impl ExternalCommand {
    /// The program of this command line, against fresh servers with this scenario, on a free port or on this one.
    ///
    /// The line is split into words as a shell does it, but no shell sees them. In the words `{url}` stands for the folder of the
    /// flags, without a slash at the end, and `{workers}` for the downloads at one time. A word `{codes}` becomes a word for each
    /// code; in a longer word it is the codes with commas between them.
    ///
    /// # Errors
    /// When the line makes no sense, there is no such program, or the port is not free.
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
        if !process::is_program(program) {
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
        drop(command.server()?); // what is wrong with the port is better known before the race
        Ok(command)
    }

    /// A world of its own for each round: there the program is never seen before, so that the server, which counts the attempts of
    /// whoever does not number them, begins at 1.
    fn server(&self) -> Result<BlockingFlagServer, CommandError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port.unwrap_or(0)));
        let server = FlagServer::builder().scenario(self.scenario.clone());
        let started = server.address(address).start_blocking();
        started.map_err(|error| match (error, self.port) {
            (StartError::Bind { reason, .. }, Some(port)) => CommandError::Port { port, reason },
            (error, _) => CommandError::Server(error),
        })
    }

    /// The words with what their placeholders stand for.
    fn words(&self, url: &str, job: &Job) -> Vec<String> {
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

    fn workers(&self, _job: &Job) -> Option<NonZeroUsize> {
        None
    }

    fn run(&self, job: &Job) -> Result<Heat, SetupError> {
        let server = self.server()?;
        let words = self.words(&server.flags_url(), job);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        // Ctrl-C is for the race, which ends the program and all that it has started.
        process::shield(&mut command);

        let could_not = |reason| CommandError::Start {
            line: self.line.clone(),
            reason,
        };
        let ours = memory_probe::peak();
        let start = Instant::now();
        let mut child = command.spawn().map_err(could_not)?;
        let last_words = child.stderr.take().map(LastWords::of);
        let ended = wait(child, &job.stop).map_err(could_not)?;

        let samples = samples(&records(&server), start);
        let exit_code = exit_code(ended.used.status);
        let is_first = !self.has_run.swap(true, Ordering::Relaxed);
        let is_well = |sample: &Sample| sample.outcome == Outcome::Downloaded;
        if let Some(exit_code) = exit_code
            && is_first
            && samples.iter().all(is_well)
            && !job.stop.is_requested()
        {
            Err(CommandError::Failed {
                line: self.line.clone(),
                exit_code,
                downloads: samples.len(),
                last_words: last_words.map_or(String::new(), |words| words.quoted()),
            })?;
        }
        Ok(Heat {
            samples,
            elapsed: ended.at.saturating_duration_since(start),
            cpu: Some(ended.used.rusage.utime + ended.used.rusage.stime),
            memory_bytes: ended.memory_bytes(ours),
            exit_code,
        })
    }
}

/// A process that is gone.
struct Ended {
    used: ResUse,
    at: Instant,
    /// The most memory that was seen from outside.
    seen_bytes: Option<u64>,
}

impl Ended {
    /// The most that was resident at one time. Linux counts from before the process became its own program, when it still was a
    /// copy of ours, so its figure says something only where it is above `ours`; else there is what was seen at the last glance.
    fn memory_bytes(&self, ours: Option<u64>) -> Option<u64> {
        let told = Some(self.used.rusage.maxrss).filter(|bytes| *bytes > ours.unwrap_or(0));
        told.max(self.seen_bytes)
    }
}

/// Waits until the process ends, or ends it when there is a stop.
fn wait(child: Child, stop: &Stop) -> io::Result<Ended> {
    let process = child.id();
    let (sender, news) = mpsc::channel();
    // A thread that does nothing else knows the moment.
    thread::Builder::new().spawn(move || {
        let used = child.wait4();
        sender.send((used, Instant::now())).ok();
    })?;
    let mut seen_bytes = None;
    let mut asked: Option<Instant> = None;
    loop {
        match news.recv_timeout(GLANCE) {
            Ok((used, at)) => {
                if asked.is_some() {
                    process::end(process, true); // whoever is left of its group
                }
                return Ok(Ended {
                    used: used?,
                    at,
                    seen_bytes,
                });
            }
            Err(RecvTimeoutError::Disconnected) => return Err(io::ErrorKind::Other.into()),
            Err(RecvTimeoutError::Timeout) => {
                seen_bytes = seen_bytes.max(memory_probe::peak_of(process));
                match asked {
                    None if stop.is_requested() => {
                        process::end(process, false);
                        asked = Some(Instant::now());
                    }
                    Some(since) if since.elapsed() >= GRACE => process::end(process, true),
                    _ => {}
                }
            }
        }
    }
}

/// As a shell would tell it; none if all went well.
fn exit_code(status: ExitStatus) -> Option<i32> {
    let signal = process::signal(status);
    let code = status.code().or(signal.map(|signal| 128 + signal));
    code.filter(|code| *code != 0)
}

/// The end of what a program says on standard error. All of it is read, or a program that says much would wait for ever.
struct LastWords {
    bytes: Arc<Mutex<VecDeque<u8>>>,
    end: Receiver<()>,
}

impl LastWords {
    fn of(mut pipe: ChildStderr) -> Self {
        let bytes = Arc::new(Mutex::new(VecDeque::new()));
        let (closed, end) = mpsc::channel::<()>();
        let kept = Arc::clone(&bytes);
        thread::spawn(move || {
            let mut buffer = [0; LAST_WORDS];
            while let Ok(len @ 1..) = pipe.read(&mut buffer) {
                let mut kept = lock(&kept);
                kept.extend(&buffer[..len]);
                let surplus = kept.len().saturating_sub(LAST_WORDS);
                kept.drain(..surplus);
            }
            drop(closed);
        });
        Self { bytes, end }
    }

    /// As the end of a sentence; nothing if it said nothing.
    fn quoted(&self) -> String {
        self.end.recv_timeout(LAST_BREATH).ok(); // nobody sends: it is the end of the pipe, or of our patience
        let bytes: Vec<u8> = lock(&self.bytes).iter().copied().collect();
        match String::from_utf8_lossy(&bytes).trim() {
            "" => String::new(),
            text => format!(". It said:\n{text}"),
        }
    }
}

/// The bytes are whole after every statement, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All that the server has written down. It may learn later than anybody that its client is gone.
fn records(server: &FlagServer) -> Vec<Record> {
    let deadline = Instant::now() + LAST_RECORDS;
    loop {
        let records = server.records("");
        if records.len() as u64 >= server.received() || Instant::now() >= deadline {
            return records;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// A request for an image, with the redirects that followed from it.
struct Chain<'r> {
    code: CountryCode,
    first: &'r Record,
    last: &'r Record,
}

impl Chain<'_> {
    /// Whether all that was to come did: a reset or a stall may be planned for after the end.
    fn is_whole(&self) -> bool {
        let sent = &self.last.sent;
        let is_image =
            sent.status == Some(200) && sent.bytes == Content::of(&Resource::image(self.code)).len;
        sent.end == End::Whole || (is_image && sent.end != End::Left)
    }

    /// Of the answer, which with some garbage begins like one.
    fn status(&self) -> Option<u16> {
        let sent = &self.last.sent;
        match &self.last.plan.ending {
            Some(Ending::Garbage {
                after_head: true, ..
            }) if sent.end == End::Garbage => Some(200),
            _ => sent.status,
        }
    }

    fn outcome(&self) -> (Outcome, Option<String>) {
        let sent = &self.last.sent;
        let place = match self.status() {
            None => "before it answered".to_owned(),
            Some(_) => format!("after {} bytes of the body", sent.bytes),
        };
        if self.is_whole() {
            let status = sent.status.unwrap_or_default();
            return match (status, &self.last.plan.ending) {
                (200, Some(Ending::Corrupt { draws })) => {
                    let count = draws.len();
                    let error = format!("wrong image: the server had flipped {count} of its bits");
                    (Outcome::WrongBody, Some(error))
                }
                (200, Some(Ending::Status { .. })) => {
                    let error = "wrong image: the server had sent another body".to_owned();
                    (Outcome::WrongBody, Some(error))
                }
                (200, _) => (Outcome::Downloaded, None),
                (404, _) => (Outcome::NotFound, None),
                _ => (Outcome::HttpError, Some(http_error(status))),
            };
        }
        let (outcome, what) = match sent.end {
            End::Reset => (Outcome::BrokenConnection, "the server reset the connection"),
            End::Garbage => (
                Outcome::BrokenConnection,
                "the server sent something else than HTTP",
            ),
            End::Closed | End::Whole => (
                Outcome::BrokenConnection,
                "the server closed the connection",
            ),
            End::Left => (Outcome::Timeout, "the program left"),
        };
        (outcome, Some(format!("{what} {place}")))
    }

    /// What can be told of it without the others: neither its worker nor whether another attempt followed.
    fn sample(&self, start: Instant) -> Sample {
        let since_start = |moment: Instant| moment.saturating_duration_since(start);
        let (outcome, error) = self.outcome();
        let (first, last) = (self.first, self.last);
        let delay = first.plan.delay;
        let late = first
            .late_ms
            .map(|late| Duration::from_secs_f64(late.max(0.0) / 1e3));
        Sample {
            code: self.code,
            attempt: first.attempt,
            worker: 0,
            outcome,
            error,
            status: self.status(),
            bytes: if self.is_whole() {
                last.sent.bytes as usize
            } else {
                0
            },
            queued: Duration::ZERO,
            sent: since_start(first.times.received),
            headers: self.status().and(last.times.begun).map(since_start),
            done: since_start(last.times.ended),
            plan: Some(delay),
            // Without a delay nobody waits, as in `server-timing`.
            wait: late.map(|late| if delay.is_zero() { delay } else { delay + late }),
            retry_in: None,
        }
    }
}

/// What the server saw of the images: a sample for each request that no redirect led to, in the order that [`Downloader`] asks for.
///
/// [`Downloader`]: crate::download::Downloader
fn samples(records: &[Record], start: Instant) -> Vec<Sample> {
    let mut all = Vec::new();
    let chains = chains(records);
    for (chain, worker) in chains.iter().zip(lanes(&chains)) {
        let sample = chain.sample(start);
        all.push(Sample { worker, ..sample });
    }
    // The attempts at one download: failures, each of which has a successor, and the last.
    let mut downloads: Vec<Vec<Sample>> = Vec::new();
    for sample in all {
        let open = downloads.iter_mut().find(|attempts| {
            let last = attempts.last();
            last.is_some_and(|last| last.code == sample.code && last.outcome.is_error())
        });
        match open {
            Some(attempts) => {
                if let Some(last) = attempts.last_mut() {
                    last.retry_in = Some(sample.sent.saturating_sub(last.done));
                }
                attempts.push(sample);
            }
            None => downloads.push(vec![sample]),
        }
    }
    downloads.sort_by_key(|attempts| attempts.last().map(|last| last.done));
    downloads.into_iter().flatten().collect()
}

/// The requests for images, in the order in which they came.
fn chains(records: &[Record]) -> Vec<Chain<'_>> {
    let mut records: Vec<&Record> = records.iter().collect();
    records.sort_by_key(|record| record.times.received);
    let mut chains: Vec<Chain<'_>> = Vec::new();
    for record in records {
        let Some(code) = image(record) else { continue };
        let leads_here = |chain: &&mut Chain<'_>| {
            let last = chain.last;
            chain.code == code && last.attempt == record.attempt && last.hop + 1 == record.hop
        };
        match chains.iter_mut().rev().find(leads_here) {
            Some(chain) => chain.last = record,
            None => chains.push(Chain {
                code,
                first: record,
                last: record,
            }),
        }
    }
    chains
}

/// Whose image was asked for, if one was.
fn image(record: &Record) -> Option<CountryCode> {
    match Resource::parse(&record.path).kind() {
        ResourceKind::Image(code) if record.method == "GET" => Some(code),
        _ => None,
    }
}

/// The worker of each: the first of those that are free when it begins, and a new one if none is.
fn lanes(chains: &[Chain<'_>]) -> Vec<usize> {
    let mut busy_until: Vec<Instant> = Vec::new();
    let mut lanes = Vec::with_capacity(chains.len());
    for chain in chains {
        let begun = chain.first.times.received;
        let lane = busy_until.iter().position(|until| *until <= begun);
        let lane = lane.unwrap_or(busy_until.len());
        let last = chain.last;
        let until = match last.sent.end {
            End::Whole => last.times.ended,
            _ => last
                .times
                .ended
                .checked_sub(NEWS)
                .unwrap_or(begun)
                .max(begun),
        };
        if lane == busy_until.len() {
            busy_until.push(until);
        } else {
            busy_until[lane] = until;
        }
        lanes.push(lane);
    }
    lanes
}
