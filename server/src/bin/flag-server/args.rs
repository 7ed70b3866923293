//! The command line: exactly what was typed, and what `--help` says about it. `config` decides
//! what it means.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use flag_cli::{DocsCommand, ForecastArgs, SelectionArgs, at_least_one, whole_number};
use flag_scenario::{Delay, Errors, parse_duration};

/// A local HTTP server of flags with reproducible latency and faults.
///
/// Without arguments it opens the three servers of Fluent Python, second edition, on localhost:
/// LOCAL on 8000 (no faults), DELAY on 8001 (0.5 to 5 s late) and ERROR on 8002 (the same delay,
/// and a quarter of the responses are 418 I'm a teapot).
#[derive(Debug, Clone, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Args {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// How to serve.
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
}

/// What the program can do besides serving.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Command {
    /// List the embedded profiles, or print one as a scenario file to start from.
    Profiles {
        /// The profile to print.
        #[arg(id = "profile", value_name = "NAME")]
        name: Option<String>,
    },
    /// Say in words what a scenario file, or a file for --config, means; or all that is wrong with
    /// it.
    Check {
        /// The TOML file.
        file: PathBuf,
    },
    /// Print the JSON Schema of scenario files and of files for --config, for editors.
    Schema,
    /// Print what each request will meet, without serving.
    Plan(PlanArgs),
    /// Ask a server whether it is healthy: exit 0 if it is, 1 if not. For images without a shell.
    Healthcheck {
        /// The server to ask. [default: the first one that the FLAG_SERVER_… variables here would
        /// open, so http://127.0.0.1:8000]
        #[arg(env = "FLAG_SERVER_HEALTHCHECK_URL")]
        url: Option<String>,
    },
    /// Completions and manual pages.
    #[command(flatten)]
    Docs(DocsCommand),
}

/// Options of `plan`.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct PlanArgs {
    /// Which flags.
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,

    /// The embedded profile; `flag-server profiles` lists them. [default: error]
    #[arg(
        long,
        value_name = "NAME",
        env = "FLAG_SERVER_PROFILE",
        conflicts_with = "scenario"
    )]
    pub(crate) profile: Option<String>,

    /// The scenario file.
    #[arg(long, value_name = "FILE", env = "FLAG_SERVER_SCENARIO")]
    pub(crate) scenario: Option<PathBuf>,

    /// Answer this much later, or later by a time from this range, each as likely: a scenario
    /// without a file, with a rule of the name delay.
    #[arg(
        long,
        value_name = "DURATION[..DURATION]",
        env = "FLAG_SERVER_DELAY",
        conflicts_with_all = ["profile", "scenario"]
    )]
    pub(crate) delay: Option<Delay>,

    /// Answer this share of the requests with status 503, or with another one from 400 to 599: a
    /// scenario without a file, with a rule of the name errors.
    #[arg(
        long,
        value_name = "PERCENT[:STATUS]",
        env = "FLAG_SERVER_ERRORS",
        conflicts_with_all = ["profile", "scenario"]
    )]
    pub(crate) errors: Option<Errors>,

    /// Use this seed instead of the scenario's own.
    #[arg(
        long,
        value_name = "N",
        env = "FLAG_SERVER_SEED",
        allow_negative_numbers = true,
        value_parser = flag_cli::seed
    )]
    pub(crate) seed: Option<u64>,

    /// What to print of their future.
    #[command(flatten)]
    pub(crate) forecast: ForecastArgs,
}

/// How to serve.
#[derive(Debug, Clone, ClapArgs)]
pub(crate) struct ServeArgs {
    /// Open the servers of this edition of the book.
    ///
    /// 1: LOCAL on 8001, DELAY on 8002 (0.5 s late) and ERROR on 8003 (25 % errors, 50 % half a
    /// second late).
    #[arg(
        long,
        value_name = "1|2",
        default_value = "2",
        env = "FLAG_SERVER_EDITION"
    )]
    #[arg(conflicts_with_all = ["profile", "scenario", "config"])]
    pub(crate) edition: Edition,

    /// Open one server with this embedded profile; `flag-server profiles` lists them.
    #[arg(
        long,
        value_name = "NAME",
        env = "FLAG_SERVER_PROFILE",
        conflicts_with = "scenario"
    )]
    pub(crate) profile: Option<String>,

    /// Open one server with the scenario of this TOML file. SIGHUP reads it again.
    #[arg(long, value_name = "FILE", env = "FLAG_SERVER_SCENARIO")]
    pub(crate) scenario: Option<PathBuf>,

    /// Open one server that answers this much later, or later by a time from this range, each as
    /// likely: a scenario without a file, with a rule of the name delay.
    #[arg(
        long,
        value_name = "DURATION[..DURATION]",
        env = "FLAG_SERVER_DELAY",
        conflicts_with_all = ["edition", "profile", "scenario", "config"]
    )]
    pub(crate) delay: Option<Delay>,

    /// Open one server that answers this share of the requests with status 503, or with another one
    /// from 400 to 599: a scenario without a file, with a rule of the name errors.
    #[arg(
        long,
        value_name = "PERCENT[:STATUS]",
        env = "FLAG_SERVER_ERRORS",
        conflicts_with_all = ["edition", "profile", "scenario", "config"]
    )]
    pub(crate) errors: Option<Errors>,

    /// Open the servers that this TOML file describes, each with a name, a port and a scenario of
    /// its own. SIGHUP reads the scenarios again.
    #[arg(long, value_name = "FILE", env = "FLAG_SERVER_CONFIG", conflicts_with_all = ["profile", "scenario", "port"])]
    pub(crate) config: Option<PathBuf>,

    /// The port of the first server; more servers take the ports after it. 0: any free ports.
    ///
    /// Default: 8000 (8001 for the first edition).
    #[arg(
        long,
        value_name = "N",
        env = "FLAG_SERVER_PORT",
        allow_negative_numbers = true,
        value_parser = whole_number(0..=u16::MAX)
    )]
    pub(crate) port: Option<u16>,

    /// The addresses or names to listen on, each with the same ports. Inside a container: 0.0.0.0
    ///
    /// Default: 127.0.0.1, and ::1 where there is one, so that localhost is this server whatever
    /// it stands for. The first is the one that is printed.
    #[arg(
        long,
        value_name = "ADDR",
        value_delimiter = ',',
        env = "FLAG_SERVER_BIND"
    )]
    pub(crate) bind: Vec<String>,

    /// Use this seed instead of the scenario's own: other decisions for every request.
    #[arg(
        long,
        value_name = "N",
        env = "FLAG_SERVER_SEED",
        allow_negative_numbers = true,
        value_parser = flag_cli::seed
    )]
    pub(crate) seed: Option<u64>,

    /// Serve the flags of this folder (br/br.gif, br/metadata.json, …) instead of the embedded
    /// ones.
    #[arg(long, value_name = "DIR", env = "FLAG_SERVER_FLAGS")]
    pub(crate) flags: Option<PathBuf>,

    /// Write the real addresses to this file, as JSON, once every server accepts connections.
    #[arg(long, value_name = "PATH", env = "FLAG_SERVER_READY_FILE")]
    pub(crate) ready_file: Option<PathBuf>,

    /// Stop when standard input is closed: a test runner that starts the server with a pipe there,
    /// and is killed, leaves none behind. Requests in flight may finish for a moment then.
    #[arg(
        long,
        env = "FLAG_SERVER_UNTIL_STDIN_CLOSES",
        value_parser = BoolishValueParser::new()
    )]
    pub(crate) until_stdin_closes: bool,

    /// Write one JSON line to this file for each request: what was decided and what was sent.
    #[arg(long, value_name = "FILE", env = "FLAG_SERVER_DECISION_LOG")]
    pub(crate) decision_log: Option<PathBuf>,

    /// Open the control plane here too: an HTTP API that changes scenarios while the server runs,
    /// for all requests or for one run, and returns what was received and sent. Port 0: any free
    /// one. In a file of --config: control = "IP:PORT".
    #[arg(long, value_name = "IP:PORT", env = "FLAG_SERVER_CONTROL", value_parser = socket_address)]
    pub(crate) control: Option<SocketAddr>,

    /// The bearer token that every request to --control has to have. Without one, --control is on a
    /// loopback address, and answers programs of this machine only.
    #[arg(
        long,
        value_name = "TOKEN",
        env = "FLAG_SERVER_CONTROL_TOKEN",
        hide_env_values = true,
        value_parser = token
    )]
    pub(crate) control_token: Option<String>,

    /// Whether records are kept for --control; without them, a request costs less.
    #[arg(
        long,
        value_name = "WHEN",
        default_value = "on",
        env = "FLAG_SERVER_CONTROL_RECORDS"
    )]
    pub(crate) control_records: Switch,

    /// Let pages of other sites read the answers, their headers and their times (CORS), and send
    /// every method.
    #[arg(long, env = "FLAG_SERVER_CORS", value_parser = BoolishValueParser::new())]
    pub(crate) cors: bool,

    /// Serve HTTPS (HTTP/2 and HTTP/1.1), with a certificate that is made at the start.
    #[arg(long, env = "FLAG_SERVER_TLS", value_parser = BoolishValueParser::new())]
    pub(crate) tls: bool,

    /// Serve HTTPS with this chain of certificates, in PEM form.
    #[arg(
        long,
        value_name = "FILE",
        env = "FLAG_SERVER_TLS_CERT",
        requires = "tls_key"
    )]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, in PEM form.
    #[arg(
        long,
        value_name = "FILE",
        env = "FLAG_SERVER_TLS_KEY",
        requires = "tls_cert"
    )]
    pub(crate) tls_key: Option<PathBuf>,

    /// The threads that serve; a connection stays on one of them. [default: one for each processor]
    #[arg(long, value_name = "N", env = "FLAG_SERVER_THREADS", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) threads: Option<NonZeroUsize>,

    /// The connections of one listener at a time; more wait until one of them ends. [default:
    /// 65536, or what the limit of open files leaves]
    #[arg(long, value_name = "N", env = "FLAG_SERVER_MAX_CONNECTIONS", allow_negative_numbers = true, value_parser = at_least_one)]
    pub(crate) max_connections: Option<NonZeroUsize>,

    /// How long a client may take to send the head of a request, and how long it may stay idle
    /// before it.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "30s",
        env = "FLAG_SERVER_HEAD_TIMEOUT"
    )]
    #[arg(value_parser = parse_duration)]
    pub(crate) head_timeout: Duration,

    /// How long a client may take nothing of what is sent to it, before its connection is ended.
    /// Planned waits do not count.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "60s",
        env = "FLAG_SERVER_SEND_TIMEOUT"
    )]
    #[arg(value_parser = parse_duration)]
    pub(crate) send_timeout: Duration,

    /// How long requests in flight may take to finish after SIGTERM or Ctrl-C; those that would
    /// take longer are answered 503 at once. A second signal cuts them off.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "8s",
        env = "FLAG_SERVER_GRACE"
    )]
    #[arg(value_parser = parse_duration)]
    pub(crate) grace: Duration,

    /// How to write the log, on standard error.
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        env = "FLAG_SERVER_LOG"
    )]
    pub(crate) log: LogFormat,
}

/// An edition of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Edition {
    /// 2015: LOCAL 8001, DELAY 8002, ERROR 8003.
    #[value(name = "1")]
    First,
    /// 2022: LOCAL 8000, DELAY 8001, ERROR 8002.
    #[value(name = "2")]
    Second,
}

/// Whether something is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// An address of this machine; `localhost` is 127.0.0.1.
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let named = text.strip_prefix("localhost:");
    let address = named.map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    address
        .parse()
        .map_err(|_| "give an IP address and a port, as in 127.0.0.1:9000 or [::1]:0".to_owned())
}

/// What a header can carry.
fn token(text: &str) -> Result<String, String> {
    let is_visible = |byte: u8| byte.is_ascii_graphic();
    if (1..=256).contains(&text.len()) && text.bytes().all(is_visible) {
        Ok(text.to_owned())
    } else {
        Err("give 1 to 256 visible ASCII characters without spaces".to_owned())
    }
}

/// How to write the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people.
    Text,
    /// One JSON object per line.
    Json,
}
