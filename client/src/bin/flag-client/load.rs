//! `flag-client load`: requests in a closed or an open loop, watched, reported and judged.

#[cfg(feature = "terminal")]
use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use anyhow::bail;
use flag_cli::complain;
use flag_client::load::{self, Progress};
#[cfg(feature = "terminal")]
use flag_client::report::live::LiveView;
use flag_client::report::{hgrm, json, load as text};
use flag_client::result::{LoadJob, LoadResult, ServerRecord, threshold};
use flag_host::allow_files;

use crate::args::LoadFormat;
use crate::exit::{FAILED, INTERRUPTED, REGRESSED, Usage};
use crate::export::save_load;
use crate::files::OutputFolder;
use crate::output::print_thresholds;
use crate::spec::LoadSpec;
use crate::terminal::{cancel_on_ctrl_c, command_line, say};

/// What the program has open beside its connections, and more.
const OTHER_FILES: usize = 64;
/// How often a line says how far it is.
const LINE: Duration = Duration::from_secs(1);

/// Makes the load.
pub(crate) fn load(spec: &LoadSpec) -> anyhow::Result<u8> {
    let target = spec.server.target()?;
    check_files(spec.connections, target.is_embedded())?;
    let (load, seed) = spec.load(&target, cancel_on_ctrl_c()?)?;
    let (job, server) = (load.record(seed), target.record());
    if spec.prints_text() {
        say(&text::opening(&job, &server));
    }
    let mut watcher = Watcher::new(&server, &job, spec.is_quiet);
    let outcome = load::run(&load, |progress| watcher.watch(progress))?;
    watcher.finish();
    let result = outcome.into_result(job, server, command_line());

    // What was measured is printed before anything can fail to be written.
    match spec.format {
        LoadFormat::Json => say(&json::load(&result)),
        LoadFormat::Text if spec.is_quiet => {}
        LoadFormat::Text => say(&text::closing(&result)),
    }
    let checked = threshold::check_load(&spec.thresholds, &result);
    let all_met = print_thresholds(&checked, spec.prints_text());
    if let Some(file) = &spec.export_json {
        save_load(file, &result)?;
    }
    if let Some(folder) = &spec.export_hgrm {
        save_hgrm(folder, &result)?;
    }
    Ok(
        match (result.interrupted, all_met, result.requests.are_well()) {
            (true, ..) => INTERRUPTED,
            (false, false, _) => REGRESSED,
            (false, true, false) => FAILED,
            (false, true, true) => 0,
        },
    )
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

/// Shows how far the load is: on a whole terminal, or as a line every second where there is none.
enum Watcher {
    #[cfg(feature = "terminal")]
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
        #[cfg(feature = "terminal")]
        if std::io::stderr().is_terminal() {
            let title = format!("flag-client load: {}", server.url);
            let view = LiveView::open(&title, job);
            return view.map_or(lines, |view| Self::View(Box::new(view)));
        }
        #[cfg(not(feature = "terminal"))]
        let _ = (server, job);
        lines
    }

    /// Gives the terminal back.
    fn finish(self) {}

    fn watch(&mut self, progress: &Progress<'_>) {
        match self {
            #[cfg(feature = "terminal")]
            Self::View(view) => {
                // A lost terminal must not end the measurement.
                view.show(progress).ok();
            }
            Self::Lines(next) => {
                if Instant::now() >= *next {
                    *next += LINE;
                    complain(&format!("{}\n", text::line(progress)));
                }
            }
            Self::Nobody => {}
        }
    }
}

fn save_hgrm(folder: &OutputFolder, result: &LoadResult) -> anyhow::Result<()> {
    for (name, times) in result.times.named() {
        let left_out = match name {
            "response" | "service" => result.requests.intended() - result.requests.succeeded,
            _ => 0,
        };
        let text = hgrm::text(times, left_out);
        folder.save(&format!("{name}.hgrm"), text.as_bytes())?;
    }
    Ok(())
}
