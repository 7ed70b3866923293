//! What the options mean: those of each sub-command are turned once into the values that the
//! library wants.
//!
//! `args` is what was typed; nothing behind this module sees it.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, bail};
use flag_client::download::{
    CancelToken, ConnectionOptions, Http, Images, Job, NoSuchRunner, RetryPolicy, Runner, Strategy,
};
use flag_client::load::{End, Load, Pace, Requests, is_flagbench};
use flag_client::race::{Rounds, ServerPlan, Target, TargetError};
use flag_client::result::interval::FEWEST;
use flag_client::result::threshold::{self, Threshold};
use flag_scenario::Scenario;
use flag_scenario::{ScenarioSource, ShortScenario};
use flags_data::CountryCode;
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use reqwest::Url;

use crate::args::{
    BenchArgs, ContenderArgs, GetArgs, LoadArgs, LoadFormat, ReportArgs, RunnerArgs, ServerArgs,
    ServersArgs, SharedArgs, SweepArgs,
};
use crate::compare::Baseline;
use crate::exit::Usage;
use crate::export::ExportManager;
use crate::files::{OutputFile, OutputFolder, share_standard_output};
use crate::open_files::OpenFiles;
use crate::output::Output;

/// The rounds of a sweep, which has many series: the fewest with intervals of 95 %.
const SWEEP_ROUNDS: NonZeroUsize = NonZeroUsize::new(FEWEST).expect("not zero");
/// How long a load lasts by default.
const LOAD_DURATION: Duration = Duration::from_secs(10);
/// How long it then warms up.
const LOAD_WARMUP: Duration = Duration::from_secs(1);

/// Where to download from.
pub(crate) struct ServerSpec {
    place: Place,
    /// The seed of an embedded server, instead of its scenario's own.
    seed: Option<u64>,
}

enum Place {
    /// A label of the book, or a URL of flags; and its plan, if that is known.
    Named(String, Option<Source>),
    /// A URL of anything.
    Url(Url),
    /// An embedded server.
    Embedded(Source),
}

/// A scenario.
#[derive(Clone)]
enum Source {
    /// A profile.
    Profile(String),
    /// A file.
    File(PathBuf),
    /// Short options.
    Short(ShortScenario),
}

impl Source {
    fn as_scenario(&self) -> ScenarioSource<'_> {
        match self {
            Self::Profile(name) => ScenarioSource::Profile(name),
            Self::File(file) => ScenarioSource::File(file),
            Self::Short(short) => ScenarioSource::Short(*short),
        }
    }
}

impl ServerSpec {
    fn new(args: ServerArgs, seed: Option<u64>, default_profile: &str) -> Self {
        let file = args.scenario.map(Source::File);
        let short = ShortScenario::of(args.delay, args.errors).map(Source::Short);
        let source = file.or(args.profile.map(Source::Profile)).or(short);
        let place = match args.server {
            Some(server) => Place::Named(server, source),
            None => {
                let default = || Source::Profile(default_profile.to_owned());
                Place::Embedded(source.unwrap_or_else(default))
            }
        };
        Self { place, seed }
    }

    /// One for each race: the profiles come before the scenario files.
    ///
    /// # Errors
    /// When servers are named, and more than one plan for them.
    fn each(args: ServersArgs, seed: Option<u64>) -> Result<Vec<Self>, Usage> {
        let profiles = args.profiles.into_iter().map(Source::Profile);
        let scenarios = args.scenarios.into_iter().map(Source::File);
        let short = ShortScenario::of(args.delay, args.errors).map(Source::Short);
        let mut sources: Vec<Source> = profiles.chain(scenarios).chain(short).collect();
        let places: Vec<Place> = if args.servers.is_empty() {
            if sources.is_empty() {
                sources.push(Source::Profile("bench".to_owned()));
            }
            sources.into_iter().map(Place::Embedded).collect()
        } else if sources.len() > 1 {
            return Err(Usage(
                "--server: has one plan; give one --scenario or one --profile with it, or none"
                    .to_owned(),
            ));
        } else {
            let plan = sources.pop();
            let named = |server| Place::Named(server, plan.clone());
            args.servers.into_iter().map(named).collect()
        };
        let with_seed = |place| Self { place, seed };
        Ok(places.into_iter().map(with_seed).collect())
    }

    /// Finds the server, or starts it, once the job may have its files open: no job gets past this.
    ///
    /// # Errors
    /// When the system does not allow these files, no connection is accepted there, or there is no
    /// such scenario.
    pub(crate) fn target(&self, files: &OpenFiles) -> anyhow::Result<Target> {
        files.require(matches!(self.place, Place::Embedded(_)))?;
        Ok(self.find_or_start()?)
    }

    fn find_or_start(&self) -> Result<Target, TargetError> {
        match &self.place {
            Place::Named(server, None) => Target::named(server),
            Place::Named(server, Some(source)) => {
                let plan = ServerPlan::load(&source.as_scenario(), self.seed)?;
                Ok(Target::named(server)?.with_plan(plan))
            }
            Place::Url(url) => Target::of_url(url),
            Place::Embedded(source) => Target::embedded(&source.as_scenario(), self.seed),
        }
    }

    /// The seed of all chance that is not the server's: the one that was typed, or the server's
    /// own.
    fn seed(&self, target: &Target) -> u64 {
        let own = target.plan.as_ref().map(ServerPlan::seed);
        self.seed.or(own).unwrap_or(Scenario::DEFAULT_SEED)
    }
}

/// What to download, and how.
pub(crate) struct DownloadSpec {
    codes: Vec<CountryCode>,
    retry: RetryPolicy,
    timeout: Duration,
    max_body: u64,
    connection: ConnectionOptions,
    max_workers: NonZeroUsize,
}

impl DownloadSpec {
    fn new(args: &SharedArgs, runner: RunnerArgs, max_workers: NonZeroUsize) -> Self {
        Self {
            codes: args.selection.codes(),
            retry: RetryPolicy {
                first: args.attempt,
                retries: args.retries,
                ..RetryPolicy::default()
            },
            timeout: args.timeout,
            max_body: args.max_body,
            connection: connection(runner),
            max_workers,
        }
    }

    /// The files that these runners have open, at most.
    fn open_files(&self, runners: &[Runner], saves: bool, has_commands: bool) -> OpenFiles {
        // Which server it is makes no difference.
        let job = Job {
            max_workers: self.max_workers,
            ..Job::new("", self.codes.clone())
        };
        OpenFiles::of_downloads(runners, &job, saves, has_commands)
    }

    /// The job on this server.
    pub(crate) fn job(
        &self,
        server: &ServerSpec,
        target: &Target,
        images: Images,
        cancel: CancelToken,
    ) -> Job {
        Job {
            max_workers: self.max_workers,
            timeout: self.timeout,
            max_body: self.max_body,
            retry: RetryPolicy {
                seed: server.seed(target),
                ..self.retry
            },
            images,
            cancel,
            connection: self.connection,
            // Where the system does not know it, the shell's own search may.
            worker_program: std::env::current_exe().unwrap_or_else(|_| "flag-client".into()),
            ..Job::new(target.base_url.clone(), self.codes.clone())
        }
    }
}

/// What `get` is to do.
pub(crate) struct GetSpec {
    pub(crate) server: ServerSpec,
    pub(crate) download: DownloadSpec,
    pub(crate) runner: Runner,
    /// The folder for the images.
    pub(crate) out: PathBuf,
    pub(crate) export_json: Option<OutputFile>,
    /// Whether codes without a flag may be all that was asked for.
    pub(crate) may_be_without_flags: bool,
    pub(crate) is_verbose: bool,
}

impl GetSpec {
    /// What these options mean.
    ///
    /// # Errors
    /// When they contradict each other, or a file cannot be written.
    pub(crate) fn new(args: GetArgs) -> anyhow::Result<Self> {
        let strategy = [args.strategy.into()];
        let runners = runners(&strategy, &[args.http.into()], args.runner)?;
        let export_json = document(args.export_json.as_deref(), false)?;
        Ok(Self {
            server: ServerSpec::new(args.server, args.shared.seed, "local"),
            download: DownloadSpec::new(&args.shared, args.runner, args.max_req),
            runner: runners[0],
            may_be_without_flags: args.shared.selection.may_be_without_flags(),
            out: args.out,
            export_json,
            is_verbose: args.shared.verbose,
        })
    }

    /// The files that it has open.
    pub(crate) fn open_files(&self) -> OpenFiles {
        self.download.open_files(&[self.runner], true, false)
    }
}

/// What `bench` and `sweep` have in common.
pub(crate) struct RaceSpec {
    pub(crate) download: DownloadSpec,
    pub(crate) runners: Vec<Runner>,
    pub(crate) rounds: Rounds,
    pub(crate) warmup: usize,
    pub(crate) output: Output,
    pub(crate) is_verbose: bool,
}

/// What `bench` is to do.
pub(crate) struct BenchSpec {
    /// One for each race; at least one.
    pub(crate) servers: Vec<ServerSpec>,
    pub(crate) race: RaceSpec,
    /// What the others are compared with, if not the first.
    pub(crate) reference: Option<String>,
    /// The command lines of external programs.
    pub(crate) commands: Vec<String>,
    /// The port of the server for them; none for a free one.
    pub(crate) port: Option<u16>,
    /// How long a round of them may take; none for a limit that follows from the others.
    pub(crate) command_timeout: Option<Duration>,
    pub(crate) baseline: Option<Baseline>,
}

impl BenchSpec {
    /// What these options mean.
    ///
    /// # Errors
    /// When they contradict each other, or a file cannot be read or written.
    pub(crate) fn new(args: BenchArgs) -> anyhow::Result<Self> {
        let runners = contenders(&args.contenders)?;
        let exports = ExportManager::for_measurements(&args.output)?;
        let output = Output::new(&args.output, exports);
        let servers = ServerSpec::each(args.servers, args.shared.seed)?;
        if servers.len() > 1 {
            check_several(&output, args.baseline.as_deref())?;
        }
        let read = |file| Baseline::read(file, args.comparing).context("--baseline");
        Ok(Self {
            servers,
            baseline: args.baseline.map(read).transpose()?,
            race: RaceSpec {
                download: DownloadSpec::new(&args.shared, args.contenders.runner, args.max_req),
                runners,
                rounds: args.rounds.rounds.map_or(Rounds::Enough, Rounds::Exactly),
                warmup: args.rounds.warmup,
                output,
                is_verbose: args.shared.verbose,
            },
            reference: args.reference,
            commands: args.commands,
            port: args.port,
            command_timeout: args.command_timeout,
        })
    }

    /// The files that it has open.
    pub(crate) fn open_files(&self) -> OpenFiles {
        let RaceSpec {
            download, runners, ..
        } = &self.race;
        download.open_files(runners, false, !self.commands.is_empty())
    }
}

/// What holds one result only is refused for several races.
fn check_several(output: &Output, baseline: Option<&Path>) -> anyhow::Result<()> {
    let remedy = "name one server, or take --out DIR and --report FILE.html for several";
    output.exports.check_several(remedy)?;
    if let Some(file) = baseline {
        bail!(Usage(format!(
            "--baseline {}: is one result; {remedy}",
            file.display()
        )));
    }
    output.check_several(remedy)
}

/// What `sweep` is to do.
pub(crate) struct SweepSpec {
    pub(crate) server: ServerSpec,
    pub(crate) race: RaceSpec,
    /// The numbers of downloads at one time.
    pub(crate) levels: Vec<NonZeroUsize>,
}

impl SweepSpec {
    /// What these options mean.
    ///
    /// # Errors
    /// When they contradict each other, or a file cannot be written.
    pub(crate) fn new(args: SweepArgs) -> anyhow::Result<Self> {
        let runners = contenders(&args.contenders)?;
        let exports = ExportManager::for_measurements(&args.output)?;
        let codes = args.shared.selection.codes().len();
        let levels = match args.max_req {
            none if none.is_empty() => levels(codes),
            named => named,
        };
        let most = levels.iter().copied().max().unwrap_or(NonZeroUsize::MIN);
        Ok(Self {
            server: ServerSpec::new(args.server, args.shared.seed, "bench"),
            race: RaceSpec {
                download: DownloadSpec::new(&args.shared, args.contenders.runner, most),
                runners,
                rounds: Rounds::Exactly(args.rounds.rounds.unwrap_or(SWEEP_ROUNDS)),
                warmup: args.rounds.warmup,
                output: Output::new(&args.output, exports),
                is_verbose: args.shared.verbose,
            },
            levels,
        })
    }

    /// The files that it has open, with the most workers.
    pub(crate) fn open_files(&self) -> OpenFiles {
        let RaceSpec {
            download, runners, ..
        } = &self.race;
        download.open_files(runners, false, false)
    }
}

/// 1, 2, 5, 10, 30, … up to the number of flags.
fn levels(codes: usize) -> Vec<NonZeroUsize> {
    let fewer = [1, 2, 5, 10, 30, 100, 300];
    let fewer = fewer.into_iter().filter(|level| *level < codes);
    fewer.chain([codes]).filter_map(NonZeroUsize::new).collect()
}

/// What `report` is to do.
pub(crate) struct ReportSpec {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) is_verbose: bool,
    pub(crate) output: Output,
}

impl ReportSpec {
    /// What these options mean.
    ///
    /// # Errors
    /// When they contradict each other, or a file cannot be written.
    pub(crate) fn new(args: ReportArgs) -> anyhow::Result<Self> {
        let exports = ExportManager::for_saved(&args.output)?;
        if args.files.len() > 1 {
            exports.check_several("name one FILE to report")?;
        }
        Ok(Self {
            output: Output::new(&args.output, exports),
            files: args.files,
            is_verbose: args.verbose,
        })
    }
}

/// What `load` is to do.
pub(crate) struct LoadSpec {
    pub(crate) server: ServerSpec,
    /// The flags that are asked for; none for the URL itself.
    codes: Option<Vec<CountryCode>>,
    headers: HeaderMap,
    /// The run that numbered requests name.
    run: HeaderValue,
    connections: NonZeroUsize,
    threads: NonZeroUsize,
    pace: Pace,
    end: End,
    warmup: Duration,
    timeout: Duration,
    max_body: u64,
    keep_alive: bool,
    pub(crate) thresholds: Vec<Threshold>,
    pub(crate) format: LoadFormat,
    pub(crate) is_quiet: bool,
    pub(crate) export_json: Option<OutputFile>,
    pub(crate) export_hgrm: Option<OutputFolder>,
}

impl LoadSpec {
    /// What these options mean.
    ///
    /// # Errors
    /// When they contradict each other, or a file cannot be written.
    pub(crate) fn new(args: LoadArgs) -> anyhow::Result<Self> {
        let url = args.url().cloned();
        if let Some(url) = &url {
            check_url(&args, url)?;
        }
        let has_plan = args.server.profile.is_some() || args.server.scenario.is_some();
        if args.server.server.is_some() && has_plan {
            bail!(Usage(
                "--server: a load takes the plan that the server reports; leave out --scenario and --profile"
                    .to_owned()
            ));
        }
        threshold::check_load_metrics(&args.thresholds)?;
        let is_json = args.format == LoadFormat::Json;
        let export_json = document(args.export_json.as_deref(), is_json)?;
        let export_hgrm = (args.export_hgrm.as_deref())
            .map(|folder| OutputFolder::open("--export-hgrm", folder))
            .transpose()?;
        let codes = url.is_none().then(|| args.codes());
        let server = match url {
            Some(url) => ServerSpec {
                place: Place::Url(url),
                seed: args.seed,
            },
            None => ServerSpec::new(args.server, args.seed, "local"),
        };
        let (end, warmup) = match args.requests {
            Some(requests) => (End::After(requests.get()), Duration::ZERO),
            None => {
                let duration = args.duration.unwrap_or(LOAD_DURATION);
                (End::Within(duration), LOAD_WARMUP)
            }
        };
        let threads = args.threads.or_else(|| available_parallelism().ok());
        Ok(Self {
            server,
            codes,
            headers: args.headers.into_iter().collect(),
            run: args.run,
            connections: args.connections,
            threads: threads.map_or(args.connections, |threads| threads.min(args.connections)),
            pace: args.rate.map_or(Pace::Closed, |rate| Pace::Open { rate }),
            end,
            warmup: args.warmup.unwrap_or(warmup),
            timeout: args.timeout,
            max_body: args.max_body,
            keep_alive: !args.no_keepalive,
            thresholds: args.thresholds,
            format: args.format,
            is_quiet: args.quiet,
            export_json,
            export_hgrm,
        })
    }

    /// Whether text is printed.
    pub(crate) fn prints_text(&self) -> bool {
        self.format == LoadFormat::Text && !self.is_quiet
    }

    /// The load on this server, and the seed of the order of its paths.
    ///
    /// # Errors
    /// When the URL of the server is none.
    pub(crate) fn load(&self, target: &Target, cancel: CancelToken) -> anyhow::Result<(Load, u64)> {
        let seed = self.server.seed(target);
        let url: Url = target.base_url.parse().context("the URL of the server")?;
        let headers = self.headers.clone();
        let mut requests = match &self.codes {
            None => Requests::to(&url, headers),
            Some(codes) => Requests::for_flags(&url, codes, seed, headers),
        };
        let is_ours = || requests.are_for_flags() && is_flagbench(&url);
        if target.is_embedded() || is_ours() {
            requests = requests.of_run(self.run.clone());
        }
        let load = Load {
            url,
            requests,
            connections: self.connections,
            threads: self.threads,
            pace: self.pace,
            end: self.end,
            warmup: self.warmup,
            timeout: self.timeout,
            max_body: self.max_body,
            keep_alive: self.keep_alive,
            cancel,
        };
        Ok((load, seed))
    }

    /// The files that it has open.
    pub(crate) fn open_files(&self) -> OpenFiles {
        OpenFiles::of_load(self.connections, self.threads)
    }
}

/// The file of --export-json where that is the only document.
fn document(path: Option<&Path>, prints_document: bool) -> anyhow::Result<Option<OutputFile>> {
    let open = |path| OutputFile::open("--export-json", path);
    let file = path.map(open).transpose()?;
    share_standard_output(&file, prints_document)?;
    Ok(file)
}

/// A URL is all that is asked for.
fn check_url(args: &LoadArgs, url: &Url) -> anyhow::Result<()> {
    let is_alone = args.what.len() == 1 && args.limit.is_none();
    let ServerArgs {
        server,
        profile,
        scenario,
        delay,
        errors,
    } = &args.server;
    let has_plan = profile.is_some() || scenario.is_some() || delay.is_some() || errors.is_some();
    if !is_alone || server.is_some() || has_plan {
        bail!(Usage(format!(
            "{url}: is all that would be asked for; leave out the codes, --limit, --server, --profile, --scenario, --delay and --errors, or the URL"
        )));
    }
    Ok(())
}

/// The strategies with the libraries that are named.
fn contenders(args: &ContenderArgs) -> Result<Vec<Runner>, NoSuchRunner> {
    let strategies: Vec<_> = args.strategies.iter().map(|&name| name.into()).collect();
    let https: Vec<Http> = args.https.iter().map(|&name| name.into()).collect();
    runners(&strategies, &https, args.runner)
}

fn runners(
    strategies: &[Strategy],
    https: &[Http],
    args: RunnerArgs,
) -> Result<Vec<Runner>, NoSuchRunner> {
    Runner::select(strategies, https, args.runtime.into(), connection(args))
}

/// How the connections are used.
fn connection(args: RunnerArgs) -> ConnectionOptions {
    ConnectionOptions {
        keep_alive: !args.no_keepalive,
        http2: args.http2,
    }
}
