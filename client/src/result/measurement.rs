//! The result of a measurement, as it is written to a file and read again: raw samples first, what
//! they mean after.
//!
//! [`Measurement`] holds what was asked, where, and everything that was measured;
//! [`Analysis`](super::Analysis) is computed from it alone, so a file can be reported again later
//! and never has to be measured twice. Nothing here measures or words anything.

use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use flag_scenario::{Millis, OptionalMillis};
use flags_data::CountryCode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::environment::{Environment, Neighbourhood};
use super::interval::Looks;
use super::stats;
use crate::download::{Outcome, Sample, foreign};

/// The version of the document's shape. It grows when a reader of the old shape would misread the
/// new one.
pub const SCHEMA_VERSION: u32 = 1;

/// Everything that was measured, and all that is needed to understand it or to do it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measurement {
    /// The version of this shape.
    pub schema_version: u32,
    /// Which sub-command measured.
    pub kind: Kind,
    /// The command line that did.
    pub command: Vec<String>,
    /// When it began: RFC 3339, UTC.
    pub started: String,
    /// Whether it was ended early by its user: what is here was complete.
    pub interrupted: bool,
    /// Whether it ended early because the server could not be reached any more.
    pub server_gone: bool,
    /// What was to be downloaded, and how.
    pub job: JobRecord,
    /// Where it came from.
    pub server: ServerRecord,
    /// What will happen to each download, in the order of the job: computed from the scenario, or
    /// as a server reported it in its responses. None if neither.
    pub plan: Option<Vec<Planned>>,
    /// The machine.
    pub environment: Environment,
    /// What else it did while the rounds were measured; none where that is not known.
    #[serde(default)]
    pub neighbours: Option<Neighbourhood>,
    /// The series that the others are compared with, if it is not the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// One per contender (in a sweep: per contender and number of workers), in the order of the
    /// race.
    #[serde(rename = "lanes")]
    pub series: Vec<Series>,
}

/// Which sub-command measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `get`: one contender, one round, the images saved.
    Get,
    /// `bench`: the contenders race for some rounds.
    Bench,
    /// `sweep`: the same at several numbers of workers.
    Sweep,
}

/// What was to be downloaded, and how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobRecord {
    /// The codes, in the order in which they were handed to the workers.
    #[schemars(with = "Vec<String>")]
    pub codes: Vec<CountryCode>,
    /// The most downloads at one time; in a sweep, of any series.
    pub max_workers: NonZeroUsize,
    /// The time limit of one attempt.
    #[serde(rename = "timeout_ms", with = "Millis")]
    pub timeout: Duration,
    /// The number of the first attempt.
    pub first_attempt: u32,
    /// The most attempts at one code after the first.
    pub retries: u32,
    /// The seed of the pauses between attempts.
    pub retry_seed: u64,
    /// Whether connections were used for more than one request.
    pub keep_alive: bool,
    /// Whether they spoke HTTP/2.
    pub http2: bool,
    /// The rounds of each series that came first and were not measured.
    pub warmup: usize,
    /// Whether the number of rounds followed from what was measured, and was not fixed before.
    #[serde(default)]
    pub adaptive_rounds: bool,
}

/// The label of an embedded server.
pub const EMBEDDED: &str = "EMBEDDED";

/// Where the flags came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerRecord {
    /// `EMBEDDED`, a label of the book, or `CUSTOM`.
    #[serde(deserialize_with = "foreign::line")]
    pub label: String,
    /// The folder of the flags, or the URL that a load was for; the port of an embedded server is a
    /// new one in every run.
    #[serde(deserialize_with = "foreign::line")]
    pub url: String,
    /// What it did to its clients: that of an embedded server, or the one that was given as the
    /// plan of a named one.
    pub scenario: Option<ScenarioRecord>,
}

/// The scenario of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScenarioRecord {
    /// The name of the profile or of the file.
    #[serde(deserialize_with = "foreign::line")]
    pub name: String,
    /// The seed it ran with, which may be another than the text's.
    pub seed: u64,
    /// The scenario file, whole: it can be saved and run again.
    pub toml: String,
}

impl ServerRecord {
    /// Whether the server was an embedded one.
    pub fn is_embedded(&self) -> bool {
        self.label == EMBEDDED
    }
}

/// What will happen to one download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// The country.
    #[schemars(with = "String")]
    pub code: CountryCode,
    /// Its attempts, as many as the retry policy makes.
    pub attempts: Vec<PlannedAttempt>,
    /// Why something else may happen to it, if that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<PlannedDoubt>,
}

/// Why something else than planned may happen to a download.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedDoubt {
    /// Why, as a sentence without its end.
    pub reason: String,
    /// How it may end then.
    pub outcome: Outcome,
}

/// What will happen to one attempt, for a client and a network that take no time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedAttempt {
    /// How it ends.
    pub outcome: Outcome,
    /// The delay before the response.
    #[serde(rename = "delay_ms", with = "Millis")]
    pub delay: Duration,
    /// From the request to the end: the delay, a paced body, silence. What a capacity takes is not
    /// part of it.
    #[serde(rename = "time_ms", with = "Millis")]
    pub time: Duration,
    /// Its requests: one, and one for each redirect.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub requests: u32,
    /// How long a server with a capacity works on each of them; none without one.
    #[serde(
        rename = "service_ms",
        with = "OptionalMillis",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub service: Option<Duration>,
    /// The pause that follows; zero after the last attempt.
    #[serde(rename = "pause_ms", with = "Millis")]
    pub pause: Duration,
}

fn one() -> u32 {
    1
}

fn is_one(count: &u32) -> bool {
    *count == 1
}

impl PlannedAttempt {
    /// How long the server works on all its requests, if it has a capacity.
    pub fn total_service(&self) -> Duration {
        self.service.unwrap_or_default() * self.requests
    }
}

impl Planned {
    /// The time that a worker is busy with it if nobody else is there, pauses included.
    pub fn time(&self) -> Duration {
        let attempts = self.attempts.iter();
        attempts
            .map(|attempt| attempt.total_service() + attempt.time + attempt.pause)
            .sum()
    }

    /// How it ends: as its last attempt. None without one.
    pub fn outcome(&self) -> Option<Outcome> {
        self.attempts.last().map(|attempt| attempt.outcome)
    }
}

/// One contender's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Lane")]
pub struct Series {
    /// What thresholds and reports call it: `async`, `threaded-ureq`; in a sweep, `async@30`.
    #[serde(deserialize_with = "foreign::line")]
    pub name: String,
    /// Who it is.
    pub contender: ContenderRecord,
    /// The downloads under way at most; of a command, as many as it was asked for.
    pub workers: NonZeroUsize,
    /// The growth of memory in one round more, with processes of its own: of the sum of the
    /// proportional set sizes (Pss) of all of them, from before the HTTP client is set up to the
    /// peak. Of a command all memory is growth, its interpreter included. None where it cannot be
    /// measured.
    pub memory_bytes: Option<u64>,
    /// The measured rounds that were complete.
    pub rounds: Vec<Round>,
    /// The round that was under way when all ended early, or the one of a command that its time
    /// limit ended. Its samples are whole; no time counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<Round>,
}

/// Who has a series.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    tag = "kind",
    rename_all = "snake_case",
    rename_all_fields = "snake_case",
    deny_unknown_fields
)]
pub enum ContenderRecord {
    /// One of the strategies that come with the program.
    Strategy {
        /// `sequential`, `threaded`, `async` or `processes`.
        strategy: String,
        /// `reqwest`, `ureq` or `hyper`.
        http: String,
        /// `current-thread` or `multi-thread`; of async only.
        runtime: Option<String>,
    },
    /// A downloader of the user's own, through the library.
    Custom,
    /// An external program.
    Command {
        /// Its command line, before the URL was put in.
        line: String,
    },
}

/// One contender does the whole job once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// When it began, since the first measured round did: drift over the run can be seen with it.
    #[serde(rename = "began_ms", with = "Millis")]
    pub began: Duration,
    /// From the start to the end of the last download; of a command, of its process.
    #[serde(rename = "elapsed_ms", with = "Millis")]
    pub elapsed: Duration,
    /// The processor time that the client's threads and processes used, user and system; none where
    /// it cannot be separated from the server's.
    #[serde(rename = "cpu_ms", with = "OptionalMillis", default)]
    pub cpu: Option<Duration>,
    /// How a command ended, if not with 0: its exit code, or its signal as a shell reports it
    /// (128 + n).
    #[serde(default)]
    pub exit_code: Option<i32>,
    /// The time limit that ended a command, if it did.
    #[serde(
        rename = "time_limit_ms",
        with = "OptionalMillis",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub time_limit: Option<Duration>,
    /// One per attempt; those at one code in their order.
    pub samples: Vec<Sample>,
    /// The requests of a command, as the server saw them; of a command only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<CommandRequests>,
}

/// The requests of a command in one round, as the server saw them. Those for images are samples.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandRequests {
    /// All that came between its start and its end.
    pub received: usize,
    /// Those that named a run of their own (`flag-run`): they met what was decided for that run.
    pub own_run: usize,
    /// Those without a record: for anything that is not below `/flags/`, for the list of the flags,
    /// with an invalid `flag-run` or `flag-attempt`, or more than a server keeps.
    pub unrecorded: usize,
    /// Those that were for no image, or no GET.
    pub others: Vec<OtherRequest>,
}

/// A request of a command that was for no image, or no GET. All times count from the start of its
/// round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OtherRequest {
    /// The method.
    pub method: String,
    /// The canonical path; of a longer one, its first 200 characters.
    pub path: String,
    /// Which of the workers sent it, as in the samples.
    pub worker: usize,
    /// The status of the response, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// When the server had received it.
    #[serde(rename = "sent_ms", with = "Millis")]
    pub sent: Duration,
    /// When all was over.
    #[serde(rename = "done_ms", with = "Millis")]
    pub done: Duration,
    /// The delay that the server held, as planned.
    #[serde(rename = "plan_ms", with = "Millis")]
    pub plan: Duration,
}

impl OtherRequest {
    /// From its arrival to the end of the response.
    pub fn latency(&self) -> Duration {
        self.done.saturating_sub(self.sent)
    }
}

impl Round {
    /// The requests of a command that were for no image, or no GET.
    pub fn other_requests(&self) -> impl Iterator<Item = &OtherRequest> {
        self.requests.iter().flat_map(|requests| &requests.others)
    }

    /// When the first request was sent; none without a request.
    pub fn first_request(&self) -> Option<Duration> {
        let others = self.other_requests().map(|request| request.sent);
        let all = self.samples.iter().map(|sample| sample.sent).chain(others);
        all.min()
    }
}

impl Series {
    /// Who has it: in a sweep, a contender has several series.
    pub fn contender_name(&self) -> &str {
        self.name
            .rsplit_once('@')
            .map_or(&self.name, |(name, _)| name)
    }

    /// Whether it is that of an external program.
    pub fn is_command(&self) -> bool {
        matches!(self.contender, ContenderRecord::Command { .. })
    }

    /// The round that the command's time limit ended, if there is one: the last of this series.
    pub fn timed_out(&self) -> Option<&Round> {
        let unfinished = self.unfinished.as_ref();
        unfinished.filter(|round| round.time_limit.is_some())
    }

    /// Whether a request of a command named a run of its own, so that it met other decisions than
    /// the plan's.
    pub fn has_own_run(&self) -> bool {
        let rounds = self.rounds.iter().chain(self.timed_out());
        let mut requests = rounds.filter_map(|round| round.requests.as_ref());
        requests.any(|requests| requests.own_run > 0)
    }

    /// The most requests of a command that the server saw at one time; none of other contenders,
    /// which are known to use their workers.
    pub fn max_in_flight(&self) -> Option<usize> {
        let workers = |round: &Round| {
            let others = round.other_requests().map(|request| request.worker);
            let all = round
                .samples
                .iter()
                .map(|sample| sample.worker)
                .chain(others);
            all.max().map_or(0, |last| last + 1)
        };
        let rounds = self.rounds.iter().chain(self.timed_out());
        let most = rounds.map(workers).max();
        most.filter(|_| self.is_command())
    }

    /// The time that each round took.
    pub fn times(&self) -> Vec<Duration> {
        self.rounds.iter().map(|round| round.elapsed).collect()
    }

    /// The same in milliseconds.
    pub fn times_ms(&self) -> Vec<f64> {
        self.times().into_iter().map(stats::millis).collect()
    }

    /// The round whose time is the median, of an even number the quicker of the two in the middle,
    /// with its number, from 1. Rounds without an attempt are left out.
    pub fn median_round(&self) -> Option<(usize, &Round)> {
        let mut rounds: Vec<(usize, &Round)> = (1..)
            .zip(&self.rounds)
            .filter(|(_, round)| !round.samples.is_empty())
            .collect();
        rounds.sort_by_key(|(_, round)| round.elapsed);
        rounds.get(rounds.len().saturating_sub(1) / 2).copied()
    }

    /// All the attempts of all the rounds.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.rounds.iter().flat_map(|round| &round.samples)
    }

    /// The last attempt of each download of each round: how the downloads ended.
    pub fn endings(&self) -> impl Iterator<Item = &Sample> {
        self.samples().filter(|sample| sample.is_last())
    }

    /// How many downloads ended in an error.
    pub fn errors(&self) -> usize {
        self.endings()
            .filter(|sample| sample.outcome.is_error())
            .count()
    }

    /// How many attempts were followed by another one.
    pub fn retries(&self) -> usize {
        self.samples().filter(|sample| !sample.is_last()).count()
    }
}

impl Measurement {
    /// What is known before anything is measured. `command` is how to do it again.
    pub fn new(
        kind: Kind,
        command: Vec<String>,
        job: JobRecord,
        server: ServerRecord,
        plan: Option<Vec<Planned>>,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            kind,
            command,
            started: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            interrupted: false,
            server_gone: false,
            job,
            server,
            plan,
            environment: Environment::here(),
            neighbours: None,
            reference: None,
            series: Vec::new(),
        }
    }

    /// The series that this one is compared with: the first or the one that was named, and in a
    /// sweep that of the same contender with the fewest workers.
    pub fn reference(&self, series: &Series) -> Option<&Series> {
        match self.kind {
            Kind::Sweep => {
                let own = |other: &&Series| other.contender_name() == series.contender_name();
                let all_series = self.series.iter().filter(own);
                all_series.min_by_key(|series| series.workers)
            }
            Kind::Get | Kind::Bench => match &self.reference {
                None => self.series.first(),
                Some(name) => self.series.iter().find(|other| other.name == *name),
            },
        }
    }

    /// How often the rounds were looked at before the last was run.
    pub fn looks(&self) -> Looks {
        if self.job.adaptive_rounds {
            Looks::Several
        } else {
            Looks::One
        }
    }

    /// The total time that each download is planned to take, in the order of the job.
    pub fn planned_times(&self) -> Option<Vec<Duration>> {
        Some(self.plan.as_ref()?.iter().map(Planned::time).collect())
    }
}
