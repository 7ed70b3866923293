//! A load in a terminal: its parameters, a table of times, how requests ended, and warnings.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::{CellAlignment, Table};

use super::format::{NONE, bounds, percent, plural, short, short_ms};
use super::messages::busy_machine;
use super::table::{BAD, BOLD, STYLE, WARNING};
use crate::load::Progress;
use crate::load::recorder::Recorder;
use crate::result::{
    CensoredTimes, LoadJob, LoadResult, LoadWarning, Percentiles, RequestCounts, ServerRecord,
    Times,
};

/// The percentiles of the table.
const PERCENTILES: [(&str, f64); 6] = [
    ("p50", 50.0),
    ("p75", 75.0),
    ("p90", 90.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("max", 100.0),
];

/// What is printed before the load.
pub fn opening(job: &LoadJob, server: &ServerRecord) -> String {
    let what = match (job.paths, &server.scenario) {
        (1, None) => server.url.clone(),
        (1, Some(_)) => format!("one flag of {}", server.url),
        (paths, _) => format!(
            "{paths} flags of {}, in the order of seed {}",
            server.url, job.seed
        ),
    };
    let scenario = server.scenario.as_ref().map_or(String::new(), |scenario| {
        format!(
            "\nserver: embedded, scenario {}, seed {}",
            scenario.name, scenario.seed
        )
    });
    let over = format!(
        "{} {}, {} {}",
        job.connections,
        plural(job.connections.get(), "connection"),
        job.threads,
        plural(job.threads.get(), "thread"),
    );
    let how = match job.rate {
        None => format!("closed loop of {over}"),
        Some(rate) => format!("open loop of {rate} requests/s over {over}"),
    };
    let long = match (job.requests, job.duration) {
        (Some(requests), _) => format!("{requests} requests"),
        (None, duration) => humantime::format_duration(duration.unwrap_or_default()).to_string(),
    };
    let warmup = if job.warmup.is_zero() {
        String::new()
    } else {
        format!(
            " after {} to warm up",
            humantime::format_duration(job.warmup)
        )
    };
    format!("{what}{scenario}\n{how}: {long}{warmup}\n")
}

/// What is printed after it.
pub fn closing(result: &LoadResult) -> String {
    let mut text = format!("{}\n", table(result));
    let counts = result.requests;
    let over = result.throughput.map(|throughput| throughput.over);
    let over = over.unwrap_or(result.elapsed);
    let seconds = over.as_secs_f64();
    let bytes = (seconds > 0.0).then(|| result.bytes as f64 / 1e6 / seconds);
    let rate =
        |per_second: Option<f64>| per_second.map_or(NONE.to_owned(), |rate| format!("{rate:.1}"));
    let _ = writeln!(
        text,
        "{BOLD}{} {} in {}: {}/s{BOLD:#}, {} MB/s{}",
        counts.sent,
        plural(counts.sent as usize, "request"),
        short(over),
        rate(result.throughput.map(|throughput| throughput.per_second)),
        rate(bytes),
        result.cpu_per_request.map_or(String::new(), |cpu| format!(
            ", {} of processor time each",
            short_cpu(cpu)
        )),
    );
    if let Some(behind) = result.throughput.and_then(|throughput| throughput.behind) {
        let _ = writeln!(
            text,
            "the last answer came {} after the schedule's end",
            short(behind)
        );
    }
    endings(&mut text, result);
    if let Some(percentiles) = result.percentiles.response {
        text += &unranked(&percentiles);
    }
    for warning in result.warnings() {
        let _ = writeln!(text, "{WARNING}warning:{WARNING:#} {}", message(warning));
    }
    text
}

/// How the requests ended, each kind in a line.
fn endings(text: &mut String, result: &LoadResult) {
    for (status, count) in &result.statuses {
        let planned = result.planned_statuses.get(status).copied().unwrap_or(0);
        let planned_share = match planned {
            0 => String::new(),
            planned if planned == *count => ", as planned".to_owned(),
            planned => format!(", {planned} of them as planned"),
        };
        let line = format!("status {status}: {count}{planned_share}");
        let _ = if *status < 400 || planned == *count {
            writeln!(text, "{line}")
        } else {
            writeln!(text, "{BAD}{line}{BAD:#}")
        };
    }
    for (failure, count) in &result.failures {
        let cause = result.causes.get(failure);
        let first = cause.map_or(String::new(), |cause| format!(", the first: {cause}"));
        let _ = writeln!(text, "{BAD}{}: {count}{BAD:#}{first}", failure.name());
    }
    let RequestCounts {
        unsent, cut_off, ..
    } = result.requests;
    if unsent > 0 {
        let _ = writeln!(
            text,
            "{BAD}not sent in time: {unsent}{BAD:#}, for want of a free connection"
        );
    }
    if cut_off > 0 {
        let _ = writeln!(text, "under way at the end: {cut_off}");
    }
}

/// How requests without an answer count in the table.
fn unranked(percentiles: &Percentiles) -> String {
    let Percentiles {
        count,
        censored,
        failed,
        ..
    } = *percentiles;
    if censored + failed == 0 {
        return String::new();
    }
    let are = |count: u64| if count == 1 { "counts" } else { "count" };
    let mut parts = Vec::new();
    if censored > 0 {
        let waited = "without an answer in time";
        parts.push(format!(
            "{censored} {waited} {} as at least as long as they waited (≥)",
            are(censored)
        ));
    }
    if failed > 0 {
        let longer = "as longer than any other";
        parts.push(format!(
            "{failed} that failed {} {longer} (failed)",
            are(failed)
        ));
    }
    format!("of all {count} requests, {}\n", parts.join(", and "))
}

/// The whole report of a result that was read from a file.
pub fn whole(result: &LoadResult) -> String {
    format!(
        "{}measured {}\n{}",
        opening(&result.job, &result.server),
        result.ended,
        closing(result)
    )
}

/// A small time, with more digits than a latency.
fn short_cpu(cpu: Duration) -> String {
    if cpu < Duration::from_millis(1) {
        format!("{:.1} µs", cpu.as_secs_f64() * 1e6)
    } else {
        short(cpu)
    }
}

fn table(result: &LoadResult) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    let percentiles = PERCENTILES.map(|(name, _)| name);
    table.set_header(["time"].into_iter().chain(percentiles).chain(["mean"]));
    let is_open = result.job.rate.is_some();
    for (name, times) in result.times.named() {
        let is_response = name.ends_with("response");
        // In a closed loop both rows would be equal; and without requests there is no row.
        if (is_response && !is_open) || (name.starts_with("failed") && times.count() == 0) {
            continue;
        }
        table.add_row(match name {
            "response" => ranked_row(name, &result.response()),
            "service" => ranked_row(name, &result.service_of_sent()),
            _ => row(name, times),
        });
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Of all requests, those without an answer included.
fn ranked_row(name: &str, times: &CensoredTimes) -> Vec<String> {
    let percentiles = PERCENTILES.map(|(_, percent)| times.percentile(percent));
    let cells = percentiles.into_iter().chain([times.mean()]);
    let cells = cells.map(|cell| cell.map_or(NONE.to_owned(), bounds));
    [name.to_owned()].into_iter().chain(cells).collect()
}

fn row(name: &str, times: &Times) -> Vec<String> {
    let cell = |millis: Option<f64>| millis.map_or(NONE.to_owned(), short_ms);
    let percentiles = PERCENTILES.map(|(_, percent)| cell(times.percentile(percent)));
    [name.replace('-', " ")]
        .into_iter()
        .chain(percentiles)
        .chain([cell(times.mean())])
        .collect()
}

/// The warning and its remedy.
fn message(warning: LoadWarning) -> String {
    match warning {
        LoadWarning::NothingSucceeded => {
            "No request succeeded. Look at the statuses and failures above.".to_owned()
        }
        LoadWarning::MostFailed { share } => format!(
            "{} of the requests were not sent or failed against the plan, so the exit code is 1. Look at the statuses and failures above.",
            percent(share)
        ),
        LoadWarning::TooSlow { wanted, sent } => format!(
            "Of {wanted} requests/s only {sent:.1} could be sent. Take more connections (-c) if the server is waiting, or a lower rate (-r)."
        ),
        LoadWarning::LateConnections { wait } => format!(
            "All requests were sent, but some waited up to {} for a free connection. Take more connections (-c) if the server is waiting, or \
             a lower rate (-r).",
            short(wait)
        ),
        LoadWarning::LateSender { lag_ms, share } => format!(
            "The load generator itself was late: {} at p99, {} of the response time there. Take fewer connections (-c) or a lower rate \
             (-r), and close other programs.",
            short_ms(lag_ms),
            percent(share)
        ),
        LoadWarning::Saturated { busy, late_ms } => format!(
            "The load generator itself was a bottleneck, and its delays are in the service times: its threads were busy without a pause in {} \
             of the time, and read answers {} late at p90. Take fewer connections (-c), a lower rate (-r) or more --threads, and keep other \
             programs off its processors.",
            percent(busy),
            short_ms(late_ms)
        ),
        LoadWarning::BusyMachine(neighbours) => busy_machine(neighbours),
        LoadWarning::DebugBuild => {
            "This is a debug build: its figures mean little. Measure with cargo run --release."
                .to_owned()
        }
    }
}

/// The progress of a load in one line: for logs, and where there is no terminal.
pub fn line(progress: &Progress<'_>) -> String {
    let Some(elapsed) = progress.elapsed else {
        return "warming up".to_owned();
    };
    let Figures {
        rate,
        p50,
        p99,
        errors,
    } = Figures::of(progress.recent, progress.recent_time);
    format!(
        "{:>6.1} s: {rate:.0}/s, {} in flight, p50 {p50}, p99 {p99}, {errors} {}",
        elapsed.as_secs_f64(),
        progress.in_flight,
        plural(errors as usize, "error"),
    )
}

/// The figures of a progress report.
struct Figures {
    rate: f64,
    p50: String,
    p99: String,
    errors: u64,
}

impl Figures {
    fn of(recorder: &Recorder, time: Duration) -> Self {
        let response = recorder.response();
        let at = |percent| response.percentile(percent).map_or(NONE.to_owned(), bounds);
        Self {
            rate: recorder.requests() as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE),
            p50: at(50.0),
            p99: at(99.0),
            errors: recorder.failed.service.len() - recorder.planned.service.len(),
        }
    }
}
