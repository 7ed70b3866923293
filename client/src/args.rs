//! The command line: exactly what was typed, and what `--help` says about it.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand};
use flag_server::args::{ForecastArgs, SelectionArgs};
use flag_server::scenario::parse_duration;

use crate::downloader::{Http, RuntimeFlavor, Strategy};
use crate::job::Wire;

/// Races sequential, threaded and async downloads of flags, and measures them.
///
/// Without a sub-command it is `bench`: the race, on an embedded server.
#[derive(Debug, Clone, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// `bench` is what it does without a sub-command.
    #[command(flatten)]
    pub bench: BenchArgs,
}

/// What the program can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Download flags and save them: the book's flags2 program.
    Get(GetArgs),
    /// Race the strategies against each other.
    Bench(BenchArgs),
    /// Print what each request to an embedded server will meet, without sending any.
    Plan(PlanArgs),
}

/// Options of `get`.
#[derive(Debug, Clone, ClapArgs)]
pub struct GetArgs {
    /// What to download.
    #[command(flatten)]
    pub shared: SharedArgs,

    /// How downloads share time.
    #[arg(long, value_enum, default_value = "async")]
    pub strategy: Strategy,

    /// The HTTP library: ureq only blocks, hyper never does.
    #[arg(long, value_enum, default_value = "reqwest")]
    pub http: Http,

    /// How it does that.
    #[command(flatten)]
    pub runner: RunnerArgs,

    /// The folder for the images; it is made if it does not exist.
    #[arg(long, value_name = "DIR", default_value = "downloads")]
    pub out: PathBuf,
}

/// Options of `bench`.
#[derive(Debug, Clone, ClapArgs)]
pub struct BenchArgs {
    /// What to download.
    #[command(flatten)]
    pub shared: SharedArgs,

    /// A strategy in the race; repeat it for more. The first is what the others are compared with.
    /// [default: sequential, threaded and async]
    #[arg(long = "strategy", value_enum, value_name = "STRATEGY")]
    pub strategies: Vec<Strategy>,

    /// An HTTP library that the strategies race with; repeat it for more. ureq only blocks, hyper never does.
    /// [default: reqwest]
    #[arg(long = "http", value_enum, value_name = "HTTP")]
    pub https: Vec<Http>,

    /// How they do that.
    #[command(flatten)]
    pub runner: RunnerArgs,

    /// How often each strategy is measured.
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, default_value = "5", value_parser = at_least_one::<NonZeroUsize>)]
    pub rounds: NonZeroUsize,

    /// How often each strategy runs before it is measured.
    #[arg(
        short,
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value = "1"
    )]
    pub warmup: usize,
}

/// Options of `plan`.
#[derive(Debug, Clone, ClapArgs)]
pub struct PlanArgs {
    /// Which flags.
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// The profile of the embedded server; `flag-server profiles` lists them. [default: bench]
    #[arg(long, value_name = "NAME", conflicts_with = "scenario")]
    pub profile: Option<String>,

    /// The scenario file of the embedded server.
    #[arg(long, value_name = "FILE")]
    pub scenario: Option<PathBuf>,

    /// The seed of the embedded server, instead of its scenario's own.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<u64>,

    /// What to print of their future.
    #[command(flatten)]
    pub forecast: ForecastArgs,
}

/// Options of every sub-command that downloads: the book's letters, and ours.
#[derive(Debug, Clone, ClapArgs)]
pub struct SharedArgs {
    /// Which flags.
    #[command(flatten)]
    pub selection: SelectionArgs,

    /// At most N downloads at one time.
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, alias = "max_req", default_value = "30", value_parser = at_least_one::<NonZeroUsize>)]
    pub max_req: NonZeroUsize,

    /// LOCAL, DELAY, ERROR, REMOTE or a URL. [default: an embedded server]
    #[arg(short, long, value_name = "LABEL|URL")]
    pub server: Option<String>,

    /// The profile of the embedded server; `flag-server profiles` lists them. [default: local for get, bench for bench]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["scenario", "server"])]
    pub profile: Option<String>,

    /// The scenario file of the embedded server.
    #[arg(long, value_name = "FILE", conflicts_with = "server")]
    pub scenario: Option<PathBuf>,

    /// The seed of the embedded server, instead of its scenario's own.
    ///
    /// It also seeds the jitter of the pauses before retries; with --server, nothing else.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<u64>,

    /// Number the first attempt N, as a client that has tried before: the server then does what it plans for it.
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "1", value_parser = at_least_one::<NonZeroU32>)]
    pub attempt: NonZeroU32,

    /// The time limit of one attempt at one download.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = positive_duration)]
    pub timeout: Duration,

    /// Try again up to N times after a failure that may pass.
    ///
    /// That is a timeout, no connection or a broken one, a wrong image, or status 408, 418, 429 or 5xx. The pauses
    /// before it double, from 50 to 100 ms up to 2.5 to 5 s, or are as long as retry-after asks for, up to 60 s.
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "0", value_parser = retries)]
    pub retries: u32,

    /// Tell more: a line per attempt (get) or per round (bench).
    #[arg(short, long)]
    pub verbose: bool,
}

/// Options of the strategies and of the HTTP libraries.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub struct RunnerArgs {
    /// The threads that run the tasks of async.
    #[arg(long, value_enum, default_value = "current-thread")]
    pub runtime: RuntimeFlavor,

    /// Make a new connection for each request.
    #[arg(long)]
    pub no_keepalive: bool,

    /// Speak HTTP/2: at once with http://, by agreement (ALPN) with https://. ureq cannot.
    #[arg(long)]
    pub http2: bool,
}

impl RunnerArgs {
    /// How the connections are used.
    pub fn wire(&self) -> Wire {
        Wire {
            keep_alive: !self.no_keepalive,
            http2: self.http2,
        }
    }
}

fn at_least_one<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| "give a whole number from 1 up".to_owned())
}

fn retries(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(retries @ 0..=100) => Ok(retries),
        _ => Err("give a whole number from 0 to 100".to_owned()),
    }
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text)?;
    if duration.is_zero() {
        Err("give a time above zero".to_owned())
    } else {
        Ok(duration)
    }
}
