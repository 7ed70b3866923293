//! The command line: exactly what was typed, and what `--help` says about it.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use flag_cli::DocsCommand;
use flag_cli::{ForecastArgs, SelectionArgs, whole_number};
use flag_scenario::{Delay, Errors, parse_duration, parse_size};
use flags_data::CountryCode;
use flags_data::selection::{CodeArg, Selection, select};
use hyper::header::{HeaderName, HeaderValue};
use reqwest::Url;

use flag_client::download::{Http, RuntimeFlavor, Strategy};
use flag_client::result::threshold::Threshold;

/// Races sequential, threaded and async downloads of flags, and measures them.
///
/// Without a sub-command it is `bench`: the race, on an embedded server.
#[derive(Debug, Clone, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// `bench` is what it does without a sub-command.
    #[command(flatten)]
    pub(crate) bench: BenchArgs,
}

/// What the program can do.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// Download flags and save them: the book's flags2 program.
    Get(GetArgs),
    /// Race the strategies against each other.
    Bench(BenchArgs),
    /// Race them at several numbers of workers, and see how each scales.
    Sweep(SweepArgs),
    /// Send requests in a closed or an open loop, and report how long they take.
    Load(LoadArgs),
    /// Print what will happen to each request to an embedded server, without sending any.
    Plan(PlanArgs),
    /// Report whether a result is faster or slower than an older one.
    Compare(CompareArgs),
    /// Report results again that --export-json has written.
    Report(ReportArgs),
    /// Print the JSON Schema of everything that is written as JSON.
    Schema,
    /// Manual pages and completions.
    #[command(flatten)]
    Docs(DocsCommand),
    /// Make attempts as standard input says: the other end of `--strategy processes`.
    #[command(hide = true)]
    Worker,
    /// Run one round as standard input says, and report the memory that it needs.
    #[command(hide = true)]
    Probe,
}

/// Options of `get`.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct GetArgs {
    /// Where from.
    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// What to download.
    #[command(flatten)]
    pub(crate) shared: SharedArgs,

    /// How downloads share time.
    #[arg(long, value_enum, default_value = "async")]
    pub(crate) strategy: StrategyName,

    /// The HTTP library: ureq only blocks, hyper never does.
    #[arg(long, value_enum, default_value = "reqwest")]
    pub(crate) http: HttpName,

    /// How it does that.
    #[command(flatten)]
    pub(crate) runner: RunnerArgs,

    /// At most N downloads at one time.
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, alias = "max_req", default_value = "30", value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) max_req: NonZeroUsize,

    /// Write the result as JSON to FILE.
    #[arg(long, value_name = "FILE")]
    pub(crate) export_json: Option<PathBuf>,

    /// The folder for the images; it is made if it does not exist.
    #[arg(long, value_name = "DIR", default_value = "downloads")]
    pub(crate) out: PathBuf,
}

/// Options of `bench`.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct BenchArgs {
    /// Where from.
    #[command(flatten)]
    pub(crate) servers: ServersArgs,

    /// What to download.
    #[command(flatten)]
    pub(crate) shared: SharedArgs,

    /// Who races.
    #[command(flatten)]
    pub(crate) contenders: ContenderArgs,

    /// At most N downloads at one time.
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, alias = "max_req", default_value = "30", value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) max_req: NonZeroUsize,

    /// An external program in the race, like 'python3 my_flags.py {url}'; repeat it for more.
    ///
    /// It downloads the flags from {url} and ends. {workers} stands for the downloads at one time,
    /// and {codes} for the codes: a word each, or in a longer word with commas between them. There
    /// is no shell; where one is needed, write sh -c '…'. Every round gets a fresh embedded server,
    /// whose log has what the program asked for; --timeout, --retries and the options of the
    /// strategies are not for it. What it has started ends with it. It comes after the strategies.
    #[arg(long = "command", value_name = "COMMAND", conflicts_with_all = ["servers", "attempt"])]
    pub(crate) commands: Vec<String>,

    /// The port of the embedded server for --command, for a program that cannot be told where to
    /// download from. [default: a free one]
    #[arg(long, value_name = "PORT", requires = "commands", value_parser = whole_number(1..=u16::MAX))]
    pub(crate) port: Option<u16>,

    /// The time limit of one round of a --command. A program that takes longer is ended with all
    /// that it has started, runs no more, has no rank, and the exit code is 1. [default: 10 times
    /// the slowest round so far, or the planned time of one download after the other if that is
    /// longer; at least 60s]
    #[arg(long, value_name = "DURATION", requires = "commands", value_parser = positive_duration)]
    pub(crate) command_timeout: Option<Duration>,

    /// What the others are compared with: their speed_up, and in thresholds their ratio. [default:
    /// the first]
    #[arg(long, value_name = "CONTENDER")]
    pub(crate) reference: Option<String>,

    /// How often, and what decides.
    #[command(flatten)]
    pub(crate) rounds: RoundsArgs,

    /// Compare with the result in FILE, and end with exit code 99 if something is slower.
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,

    /// How to compare with it.
    #[command(flatten)]
    pub(crate) comparing: ComparingArgs,

    /// What comes of it.
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Options of `sweep`.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct SweepArgs {
    /// Where from.
    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// What to download.
    #[command(flatten)]
    pub(crate) shared: SharedArgs,

    /// The numbers of downloads at one time, like 1,2,5. [default: 1, 2, 5, 10, 30, 100, 300, up to
    /// the number of flags, and that number]
    #[arg(short, long, value_name = "LIST", alias = "max_req", value_delimiter = ',', value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) max_req: Vec<NonZeroUsize>,

    /// Who races.
    #[command(flatten)]
    pub(crate) contenders: ContenderArgs,

    /// How often, and what decides.
    #[command(flatten)]
    pub(crate) rounds: RoundsArgs,

    /// What comes of it.
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Who races.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ContenderArgs {
    /// A strategy in the race; repeat it for more. The first is what the others are compared with.
    /// [default: sequential, threaded and async]
    #[arg(long = "strategy", value_enum, value_name = "STRATEGY")]
    pub(crate) strategies: Vec<StrategyName>,

    /// An HTTP library that the strategies race with; repeat it for more. ureq only blocks, hyper
    /// never does. [default: reqwest]
    #[arg(long = "http", value_enum, value_name = "HTTP")]
    pub(crate) https: Vec<HttpName>,

    /// How they do that.
    #[command(flatten)]
    pub(crate) runner: RunnerArgs,
}

/// Options of `load`.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct LoadArgs {
    /// A URL, which is asked for again and again; or country codes and first letters, whose flags
    /// are asked for in turns. [default: all flags]
    #[arg(value_name = "URL|CC", conflicts_with_all = ["all", "every"])]
    pub(crate) what: Vec<Wanted>,

    /// All available flags (AD to ZW), as without any CC.
    #[arg(short, long, conflicts_with = "every")]
    pub(crate) all: bool,

    /// Every possible code (AA to ZZ).
    #[arg(short, long)]
    pub(crate) every: bool,

    /// Only the first N of the codes.
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) limit: Option<NonZeroUsize>,

    /// Where the flags are.
    #[command(flatten)]
    pub(crate) server: ServerArgs,

    /// The number of connections.
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, default_value = "50", value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) connections: NonZeroUsize,

    /// Open loop: send RATE requests per second, whether or not those before have been
    /// answered. Without it each connection sends its next request when it has the answer to the
    /// last one: a closed loop.
    #[arg(short, long, value_name = "RATE", allow_negative_numbers = true, value_parser = rate)]
    pub(crate) rate: Option<f64>,

    /// Send requests for DURATION. [default: 10s]
    #[arg(short, long, value_name = "DURATION", value_parser = positive_duration, conflicts_with = "requests")]
    pub(crate) duration: Option<Duration>,

    /// Send N requests.
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = at_least_one::<NonZeroU64>)]
    pub(crate) requests: Option<NonZeroU64>,

    /// Send requests for DURATION before they count. [default: 1s, or with -n nothing]
    #[arg(short, long, value_name = "DURATION", value_parser = parse_duration)]
    pub(crate) warmup: Option<Duration>,

    /// The number of threads. [default: one for each processor]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) threads: Option<NonZeroUsize>,

    /// The time limit of one request.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = positive_duration)]
    pub(crate) timeout: Duration,

    /// The longest body that is accepted: no more of it is read, and the request has failed.
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = positive_size)]
    pub(crate) max_body: u64,

    /// A header of every request; repeat it for more. It replaces one that the program itself would
    /// send.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,

    /// Make a new connection for each request.
    #[arg(long)]
    pub(crate) no_keepalive: bool,

    /// The run that requests to a Flagbench server belong to: they have the headers flag-run and
    /// flag-attempt, so that its decisions do not depend on the order in which they arrive.
    #[arg(long, value_name = "NAME", default_value = "load", value_parser = run)]
    pub(crate) run: HeaderValue,

    /// The seed of the order of the flags, and of the embedded server instead of its scenario's
    /// own.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = flag_cli::seed)]
    pub(crate) seed: Option<u64>,

    /// What must hold, like 'response.p(99) < 250ms'; repeat it for more. If something does not, or
    /// has no data, the exit code is 99.
    ///
    /// response (from when a request should have been sent), service (from when it was) and lag
    /// (how late the load generator itself was) have p(N), min, med, avg and max; load has
    /// throughput (requests per second), cpu (per request), error_rate, errors, requests, timeouts
    /// and unsent. Operators: < <= > >= == !=
    #[arg(long = "threshold", value_name = "THRESHOLD")]
    pub(crate) thresholds: Vec<Threshold>,

    /// The form of what is printed.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = load_format)]
    pub(crate) format: LoadFormat,

    /// Print nothing but errors, failed thresholds, and what --format asks for.
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Write everything as JSON to FILE; report reads it.
    #[arg(long, value_name = "FILE")]
    pub(crate) export_json: Option<PathBuf>,

    /// Write the percentiles as text, each kind of time to a file with the ending .hgrm in DIR; it
    /// is made if it does not exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) export_hgrm: Option<PathBuf>,
}

impl LoadArgs {
    /// The URL that is meant, if it is one.
    pub(crate) fn url(&self) -> Option<&Url> {
        self.what.iter().find_map(|wanted| match wanted {
            Wanted::Url(url) => Some(url),
            Wanted::Code(_) => None,
        })
    }

    /// The codes that are meant, in alphabetical order.
    pub(crate) fn codes(&self) -> Vec<CountryCode> {
        let named = self.what.iter().filter_map(|wanted| match wanted {
            Wanted::Url(_) => None,
            Wanted::Code(code) => Some(*code),
        });
        let named: Vec<CodeArg> = named.collect();
        let selection = if self.every {
            Selection::Every
        } else if named.is_empty() {
            Selection::All
        } else {
            Selection::Named(named)
        };
        select(&selection, self.limit.map_or(usize::MAX, NonZeroUsize::get))
    }
}

/// What a load asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Anything.
    Url(Url),
    /// A flag, or all with a first letter.
    Code(CodeArg),
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            let code = text.parse().map(Self::Code);
            return code.map_err(|error| {
                format!("{error}; or a URL like http://localhost:8000/flags/br/br.gif")
            });
        }
        let url = text.parse::<Url>().ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        url.map(Self::Url)
            .ok_or_else(|| "give a URL like http://localhost:8000/flags/br/br.gif".to_owned())
    }
}

/// How often each series is measured.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct RoundsArgs {
    /// How often each is measured. [default of bench: until the intervals are tight, 6 to 30 times;
    /// of sweep: 6]
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = at_least_one::<NonZeroUsize>)]
    pub(crate) rounds: Option<NonZeroUsize>,

    /// How often each runs before it is measured.
    #[arg(
        short,
        long,
        value_name = "N",
        allow_negative_numbers = true,
        default_value = "1",
        value_parser = whole_number(0..=usize::MAX)
    )]
    pub(crate) warmup: usize,
}

/// What comes of a measurement.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct OutputArgs {
    /// What must hold, like 'async.p(99) < 250ms'; repeat it for more. If something does not, or
    /// has no data, the exit code is 99.
    ///
    /// Metrics: p(N), min, med, avg, max (latency), excess.p(N) (latency less the planned time),
    /// elapsed, cpu (per flag), memory (per worker), speed_up, ratio (time of a round to that of
    /// the reference), efficiency, throughput (flags per second), error_rate, errors,
    /// unplanned_errors, retries, downloads. Operators: < <= > >= == !=
    ///
    /// ratio has an interval of 95 %: a threshold is met or missed by all of it, and otherwise
    /// undecided, which is told and does not fail. ratio.upper and ratio.lower are its ends.
    #[arg(long = "threshold", value_name = "THRESHOLD")]
    pub(crate) thresholds: Vec<Threshold>,

    /// A threshold that is undecided fails, too.
    #[arg(long)]
    pub(crate) strict: bool,

    /// The form of what is printed.
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: Format,

    /// Print nothing but errors, failed thresholds, and what --format asks for.
    #[arg(short, long)]
    pub(crate) quiet: bool,

    /// Write everything as JSON to FILE, again after every round; report and compare read it.
    #[arg(long, value_name = "FILE")]
    pub(crate) export_json: Option<PathBuf>,

    /// Write the samples as comma-separated values to FILE, again after every round.
    #[arg(long, value_name = "FILE")]
    pub(crate) export_csv: Option<PathBuf>,

    /// Write the summary as Markdown to FILE, again after every round.
    #[arg(long, value_name = "FILE")]
    pub(crate) export_markdown: Option<PathBuf>,

    /// Write the document of every race (as LABEL.json, again after every round) and a page with
    /// all pictures (report.html) into DIR; it is made if it does not exist.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,

    /// Write a page with pictures to FILE.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,

    /// Write one picture for a slide to FILE, as its ending says.
    #[arg(long, value_name = "FILE.svg|png")]
    pub(crate) plot: Option<PathBuf>,
}

/// The form of what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A table, bars and sentences.
    Text,
    /// The document of --export-json.
    Json,
    /// A summary for GitHub.
    Markdown,
    /// The samples.
    Csv,
}

/// The form of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ComparisonFormat {
    /// Sentences.
    Text,
    /// A document.
    Json,
    /// A summary for GitHub.
    Markdown,
}

/// The form of what a load prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadFormat {
    /// Tables and sentences.
    Text,
    /// The document of --export-json.
    Json,
}

/// How downloads share time, by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StrategyName {
    /// One blocking request after the other.
    Sequential,
    /// A pool of OS threads that take codes from a queue, with blocking requests.
    Threaded,
    /// Tasks on a tokio runtime, let through by a semaphore.
    Async,
    /// A pool of processes that are fed from a queue, with blocking requests.
    Processes,
}

impl From<StrategyName> for Strategy {
    fn from(name: StrategyName) -> Self {
        match name {
            StrategyName::Sequential => Self::Sequential,
            StrategyName::Threaded => Self::Threaded,
            StrategyName::Async => Self::Async,
            StrategyName::Processes => Self::Processes,
        }
    }
}

/// An HTTP library, by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum HttpName {
    /// For tasks and for threads: these are served by a hidden runtime of one thread.
    Reqwest,
    /// For threads only, each of which does its own input and output.
    Ureq,
    /// For tasks only: what reqwest is made of.
    Hyper,
}

impl From<HttpName> for Http {
    fn from(name: HttpName) -> Self {
        match name {
            HttpName::Reqwest => Self::Reqwest,
            HttpName::Ureq => Self::Ureq,
            HttpName::Hyper => Self::Hyper,
        }
    }
}

/// The threads that run the tasks of `async`, by name.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RuntimeName {
    /// One: waiting is all that the tasks do.
    CurrentThread,
    /// One per core.
    MultiThread,
}

impl From<RuntimeName> for RuntimeFlavor {
    fn from(name: RuntimeName) -> Self {
        match name {
            RuntimeName::CurrentThread => Self::CurrentThread,
            RuntimeName::MultiThread => Self::MultiThread,
        }
    }
}

/// How results are compared.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct ComparingArgs {
    /// The change that counts as none.
    #[arg(long, value_name = "PERCENT", default_value = "5%", value_parser = share)]
    pub(crate) margin: f64,

    /// Compare also what was not the same job, scenario or seed.
    #[arg(long)]
    pub(crate) anyway: bool,
}

/// Options of `compare`.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct CompareArgs {
    /// The older and the newer result.
    #[arg(value_names = ["OLD", "NEW"], num_args = 2, required_unless_present_all = ["old", "new"], conflicts_with_all = ["old", "new"])]
    pub(crate) both: Vec<PathBuf>,

    /// Older results, or folders of them: four or more a side show what two single runs cannot.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "new")]
    pub(crate) old: Vec<PathBuf>,

    /// Newer results, or folders of them.
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "old")]
    pub(crate) new: Vec<PathBuf>,

    /// How.
    #[command(flatten)]
    pub(crate) comparing: ComparingArgs,

    /// The form of what is printed.
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = comparison_format)]
    pub(crate) format: ComparisonFormat,
}

impl CompareArgs {
    /// The older results.
    pub(crate) fn older(&self) -> &[PathBuf] {
        self.both.first().map_or(&self.old, std::slice::from_ref)
    }

    /// The newer ones.
    pub(crate) fn newer(&self) -> &[PathBuf] {
        self.both.get(1).map_or(&self.new, std::slice::from_ref)
    }
}

/// Options of `report`.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ReportArgs {
    /// The results.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,

    /// Print more: where the lost time went, and outliers.
    #[arg(short, long)]
    pub(crate) verbose: bool,

    /// What to make of them.
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Options of `plan`.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct PlanArgs {
    /// Which flags.
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,

    /// The profile of the embedded server; `flag-server profiles` lists them. [default: bench]
    #[arg(long, value_name = "NAME", conflicts_with = "scenario")]
    pub(crate) profile: Option<String>,

    /// The scenario file of the embedded server.
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Option<PathBuf>,

    /// Delay each response of the embedded server by this, or by a time from this range: 200ms,
    /// 100ms..1s. A scenario without a file.
    #[arg(long, value_name = "DURATION[..DURATION]", conflicts_with_all = ["profile", "scenario"])]
    pub(crate) delay: Option<Delay>,

    /// Answer this share of the requests to the embedded server with status 503, or with another
    /// one from 400 to 599: 25%, 25%:429. A scenario without a file.
    #[arg(long, value_name = "PERCENT[:STATUS]", conflicts_with_all = ["profile", "scenario"])]
    pub(crate) errors: Option<Errors>,

    /// The seed of the embedded server, instead of its scenario's own.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = flag_cli::seed)]
    pub(crate) seed: Option<u64>,

    /// What to print of their future.
    #[command(flatten)]
    pub(crate) forecast: ForecastArgs,
}

/// Where to download from.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ServerArgs {
    /// LOCAL, DELAY, ERROR, REMOTE or a URL. [default: an embedded server]
    ///
    /// FLAG_CLIENT_SERVER_LABEL in the environment says what a LABEL stands for: one of these, or a
    /// new one.
    #[arg(short, long, value_name = "LABEL|URL")]
    pub(crate) server: Option<String>,

    /// The profile of the embedded server, or of the one that --server names; `flag-server
    /// profiles` lists them. [default: local for get, bench for bench]
    #[arg(long, value_name = "NAME", conflicts_with = "scenario")]
    pub(crate) profile: Option<String>,

    /// The scenario file of the embedded server, or of the one that --server names.
    ///
    /// Of a named server it is the plan: with it and the --seed that the server runs with, the
    /// ideal and the planned failures are known as those of an embedded server. If the server
    /// reports something else, that is an error.
    #[arg(long, value_name = "FILE")]
    pub(crate) scenario: Option<PathBuf>,

    /// Delay each response of the embedded server by this, or by a time from this range: 200ms,
    /// 100ms..1s. A scenario without a file.
    #[arg(long, value_name = "DURATION[..DURATION]", conflicts_with_all = ["profile", "scenario"])]
    pub(crate) delay: Option<Delay>,

    /// Answer this share of the requests to the embedded server with status 503, or with another
    /// one from 400 to 599: 25%, 25%:429. A scenario without a file.
    #[arg(long, value_name = "PERCENT[:STATUS]", conflicts_with_all = ["profile", "scenario"])]
    pub(crate) errors: Option<Errors>,
}

/// Where to download from, in one race after another.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ServersArgs {
    /// LOCAL, DELAY, ERROR, REMOTE or a URL; repeat it for a race on each. [default: an embedded
    /// server]
    ///
    /// FLAG_CLIENT_SERVER_LABEL in the environment says what a LABEL stands for: one of these, or a
    /// new one.
    #[arg(short, long = "server", value_name = "LABEL|URL")]
    pub(crate) servers: Vec<String>,

    /// The profile of the embedded server, `flag-server profiles` lists them; repeat it for a race
    /// on each. With --server, the profile that the server runs with. [default: bench]
    #[arg(long = "profile", value_name = "NAME")]
    pub(crate) profiles: Vec<String>,

    /// The scenario file of the embedded server; repeat it for a race on each.
    ///
    /// With --server it is the plan of that server: with it and the --seed that the server runs
    /// with, the ideal and the planned failures are known as those of an embedded server. If the
    /// server reports something else, that is an error.
    #[arg(long = "scenario", value_name = "FILE")]
    pub(crate) scenarios: Vec<PathBuf>,

    /// Delay each response of the embedded server by this, or by a time from this range: 200ms,
    /// 100ms..1s. A scenario without a file.
    #[arg(long, value_name = "DURATION[..DURATION]", conflicts_with_all = ["profiles", "scenarios"])]
    pub(crate) delay: Option<Delay>,

    /// Answer this share of the requests to the embedded server with status 503, or with another
    /// one from 400 to 599: 25%, 25%:429. A scenario without a file.
    #[arg(long, value_name = "PERCENT[:STATUS]", conflicts_with_all = ["profiles", "scenarios"])]
    pub(crate) errors: Option<Errors>,
}

/// Options of every sub-command that downloads: the book's letters, and ours.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct SharedArgs {
    /// Which flags.
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,

    /// The seed of the embedded server, or of the one that --server names, instead of its
    /// scenario's own.
    ///
    /// It also seeds the jitter of the pauses before retries; with --server, and neither --scenario
    /// nor --profile, nothing else.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = flag_cli::seed)]
    pub(crate) seed: Option<u64>,

    /// Number the first attempt N, as a client that has tried before: the server then does what it
    /// plans for it.
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "1", value_parser = at_least_one::<NonZeroU32>)]
    pub(crate) attempt: NonZeroU32,

    /// The time limit of one attempt at one download.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = positive_duration)]
    pub(crate) timeout: Duration,

    /// The longest body that is accepted: no more of it is read, and the attempt has failed. It and
    /// the downloads at one time bound the memory.
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = positive_size)]
    pub(crate) max_body: u64,

    /// Retry up to N times after a transient failure.
    ///
    /// That is a timeout, no connection or a broken one, a wrong image, or status 408, 418, 429 or
    /// 5xx. The pauses before it double, from 50 to 100 ms up to 2.5 to 5 s, or are as long as
    /// retry-after asks for, up to 60 s.
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value = "0", value_parser = whole_number(0..=100_u32))]
    pub(crate) retries: u32,

    /// Print more: a line per attempt (get) or per round (bench, sweep); with the result of a race,
    /// where the lost time went, and outliers.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

/// Options of the strategies and of the HTTP libraries.
#[derive(Debug, Clone, Copy, ClapArgs)]
pub(crate) struct RunnerArgs {
    /// The threads that run the tasks of async.
    #[arg(long, value_enum, default_value = "current-thread")]
    pub(crate) runtime: RuntimeName,

    /// Make a new connection for each request.
    #[arg(long)]
    pub(crate) no_keepalive: bool,

    /// Speak HTTP/2: at once with http://, by agreement (ALPN) with https://. ureq cannot.
    #[arg(long)]
    pub http2: bool,
}

fn at_least_one<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| "give a whole number from 1 up".to_owned())
}

/// A share between nothing and all: `5%`.
fn share(text: &str) -> Result<f64, String> {
    let percent = text
        .strip_suffix('%')
        .and_then(|text| text.trim().parse::<f64>().ok());
    percent
        .filter(|percent| (0.0..100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| "give a percentage from 0% to below 100%, like 5%".to_owned())
}

fn comparison_format(text: &str) -> Result<ComparisonFormat, String> {
    match text {
        "text" => Ok(ComparisonFormat::Text),
        "json" => Ok(ComparisonFormat::Json),
        "markdown" => Ok(ComparisonFormat::Markdown),
        _ => Err("take one of text, json, markdown".to_owned()),
    }
}

fn load_format(text: &str) -> Result<LoadFormat, String> {
    match text {
        "text" => Ok(LoadFormat::Text),
        "json" => Ok(LoadFormat::Json),
        _ => Err("take one of text, json".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok();
    rate.filter(|rate: &f64| rate.is_finite() && *rate > 0.0)
        .ok_or_else(|| {
            "give a number of requests per second above zero, like 1000 or 0.5".to_owned()
        })
}

fn run(text: &str) -> Result<HeaderValue, String> {
    let value = text.parse().ok();
    value
        .filter(|value: &HeaderValue| value.to_str().is_ok_and(|text| !text.trim().is_empty()))
        .ok_or_else(|| "give a name of visible ASCII characters".to_owned())
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let remedy = || "write it as 'name: value', like 'accept: image/gif'".to_owned();
    let (name, value) = text.split_once(':').ok_or_else(remedy)?;
    let name = name.trim().parse().map_err(|_| remedy())?;
    let value = value.trim().parse().map_err(|_| remedy())?;
    Ok((name, value))
}

fn positive_size(text: &str) -> Result<u64, String> {
    match parse_size(text)? {
        0 => Err("give a size above zero".to_owned()),
        size => Ok(size),
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
