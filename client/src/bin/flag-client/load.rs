//! `flag-client load`: requests in a closed or an open loop, watched, reported and judged.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use crate::args::{Format, LoadArgs, OutputArgs};
use anyhow::{Context, bail};
use flag_client::load::{self, End, Load, Pace, Progress, Requests};
use flag_client::race::{Embedded, Target};
use flag_client::report::live::LiveView;
use flag_client::report::{hgrm, json, load as text};
use flag_client::result::threshold::{self, Checked, Threshold};
use flag_client::result::{LoadJob, LoadResult, ServerRecord};
use flag_server::scenario::Scenario;
use flag_server::{allow_files, write_atomically};
use hyper::HeaderMap;
use reqwest::Url;

use crate::output::{cannot_write, check_file, make_writable, tell};
use crate::{FAILED, INTERRUPTED, REGRESSED, Usage, command_line, say, stop_on_ctrl_c, target};

/// How long a load goes on, unless somebody says it.
const DURATION: Duration = Duration::from_secs(10);
/// How long it warms up then.
const WARMUP: Duration = Duration::from_secs(1);
/// What the program has open beside its connections, and more.
const OTHER_FILES: usize = 64;
/// How often a line says how far it is.
const LINE: Duration = Duration::from_secs(1);

/// Makes the load.
pub(crate) fn load(args: &LoadArgs) -> anyhow::Result<u8> {
    check(args)?;
    let target = match args.url() {
        Some(url) => Target::of_url(url)?,
        None => target(&args.server, args.seed, "local")?,
    };
    check_files(args.connections, target.embedded.is_some())?;
    let scenario_seed = target.embedded.as_ref().map(Embedded::seed);
    let seed = args.seed.or(scenario_seed);
    let seed = seed.unwrap_or(Scenario::DEFAULT_SEED);
    let load = Load {
        stop: stop_on_ctrl_c()?,
        ..job(args, &target, seed)?
    };
    let server = target.record();
    let aloud = args.format == Format::Text && !args.quiet;
    if aloud {
        say(&text::opening(&load.record(seed), &server));
    }
    let mut watcher = Watcher::new(&server, &load.record(seed), args.quiet);
    let outcome = load::run(&load, |progress| watcher.watch(progress))?;
    drop(watcher); // gives the terminal back
    let result = outcome.into_result(load.record(seed), server, command_line());

    // Whatever cannot be written, what was measured is told first.
    match args.format {
        Format::Json => say(&json::load(&result)),
        _ if aloud => say(&text::closing(&result)),
        _ => {}
    }
    let all_met = judge(&args.thresholds, &result, aloud);
    save_json(args.export_json.as_deref(), &result)?;
    if let Some(folder) = &args.export_hgrm {
        save_hgrm(folder, &result)?;
    }
    Ok(
        match (result.interrupted, all_met, result.requests.succeeded) {
            (true, ..) => INTERRUPTED,
            (false, false, _) => REGRESSED,
            (false, true, 0) => FAILED,
            (false, true, _) => 0,
        },
    )
}

/// Reports a load that has been saved.
pub(crate) fn report(result: &LoadResult, output: &OutputArgs) -> anyhow::Result<u8> {
    let of_races = [
        ("--export-csv", &output.export_csv),
        ("--export-markdown", &output.export_markdown),
        ("--out", &output.out),
        ("--report", &output.report),
        ("--plot", &output.plot),
    ];
    for (flag, file) in of_races {
        if let Some(file) = file {
            bail!(Usage(format!(
                "{flag} {}: is for the results of races; a load has --export-json",
                file.display()
            )));
        }
    }
    threshold::know_load(&output.thresholds)?;
    match output.format {
        Format::Json => say(&json::load(result)),
        Format::Text if output.quiet => {}
        Format::Text => say(&text::whole(result)),
        Format::Markdown | Format::Csv => bail!(Usage(
            "--format: a load can be printed as text or as json".to_owned()
        )),
    }
    let aloud = output.format == Format::Text && !output.quiet;
    let all_met = judge(&output.thresholds, result, aloud);
    save_json(output.export_json.as_deref(), result)?;
    Ok(if all_met { 0 } else { REGRESSED })
}

/// What is wrong with the options is better known before the load than after it.
fn check(args: &LoadArgs) -> anyhow::Result<()> {
    if let Some(url) = args.url() {
        let is_alone = args.what.len() == 1 && args.limit.is_none();
        let names_server = args.server.server.is_some()
            || args.server.profile.is_some()
            || args.server.scenario.is_some();
        if !is_alone || names_server {
            bail!(Usage(format!(
                "{url}: is all that would be asked for; leave out the codes, --limit, --server, --profile and --scenario, or the URL"
            )));
        }
    }
    threshold::know_load(&args.thresholds)?;
    check_file("--export-json", args.export_json.as_deref())?;
    if let Some(folder) = &args.export_hgrm {
        make_writable("--export-hgrm", folder)?;
    }
    Ok(())
}

/// Every connection is an open file, and with an embedded server two.
fn check_files(connections: NonZeroUsize, is_embedded: bool) -> anyhow::Result<()> {
    let ends = if is_embedded { 2 } else { 1 };
    let wanted = connections
        .get()
        .saturating_mul(ends)
        .saturating_add(OTHER_FILES) as u64;
    let allowed = allow_files(wanted);
    if allowed < wanted {
        bail!(Usage(format!(
            "--connections {connections}: takes {wanted} open files, and the system allows {allowed}; raise the limit (ulimit -n {wanted}) or \
             take fewer connections"
        )));
    }
    Ok(())
}

fn job(args: &LoadArgs, target: &Target, seed: u64) -> anyhow::Result<Load> {
    let url: Url = target.base_url.parse().context("the URL of the server")?;
    let headers: HeaderMap = args.headers.iter().cloned().collect();
    let requests = if args.url().is_some() {
        Requests::to(&url, headers)
    } else {
        Requests::for_flags(&url, &args.codes(), seed, headers)
    };
    let end = match args.requests {
        Some(requests) => End::After(requests.get()),
        None => End::Within(args.duration.unwrap_or(DURATION)),
    };
    let warmup = match end {
        End::After(_) => Duration::ZERO,
        End::Within(_) => WARMUP,
    };
    let threads = args.threads.or_else(|| available_parallelism().ok());
    Ok(Load {
        url,
        requests,
        connections: args.connections,
        threads: threads.map_or(args.connections, |threads| threads.min(args.connections)),
        pace: args.rate.map_or(Pace::Closed, |rate| Pace::Open { rate }),
        end,
        warmup: args.warmup.unwrap_or(warmup),
        timeout: args.timeout,
        keep_alive: !args.no_keepalive,
        stop: Default::default(),
    })
}

/// Shows how far the load is: on a whole terminal, or as a line every second where there is none.
enum Watcher {
    View(Box<LiveView>),
    Lines(Instant),
    Nobody,
}

impl Watcher {
    fn new(server: &ServerRecord, job: &LoadJob, quiet: bool) -> Self {
        if quiet {
            return Self::Nobody;
        }
        let lines = Self::Lines(Instant::now());
        if !std::io::stderr().is_terminal() {
            return lines;
        }
        let title = format!("flag-client load: {}", server.url);
        let view = LiveView::open(&title, job);
        view.map_or(lines, |view| Self::View(Box::new(view)))
    }

    fn watch(&mut self, progress: &Progress<'_>) {
        match self {
            Self::View(view) => {
                // A terminal that has gone is no reason to end what is measured.
                view.show(progress).ok();
            }
            Self::Lines(next) => {
                if Instant::now() >= *next {
                    *next += LINE;
                    anstream::eprintln!("{}", text::line(progress));
                }
            }
            Self::Nobody => {}
        }
    }
}

/// Tells how the thresholds ended, and returns whether all are met.
fn judge(thresholds: &[Threshold], result: &LoadResult, aloud: bool) -> bool {
    let checked = threshold::check_load(thresholds, result);
    tell(&checked, aloud);
    checked.iter().all(Checked::is_met)
}

fn save_json(file: Option<&Path>, result: &LoadResult) -> anyhow::Result<()> {
    let Some(file) = file else { return Ok(()) };
    let cannot = || cannot_write("--export-json", file);
    write_atomically(file, json::load(result).as_bytes()).with_context(cannot)
}

fn save_hgrm(folder: &Path, result: &LoadResult) -> anyhow::Result<()> {
    for (name, times) in result.times.named() {
        let file = folder.join(format!("{name}.hgrm"));
        let cannot = || cannot_write("--export-hgrm", &file);
        write_atomically(&file, hgrm::text(times).as_bytes()).with_context(cannot)?;
    }
    Ok(())
}
