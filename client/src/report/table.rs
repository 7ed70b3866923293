//! The race as one table of text.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};
use flag_server::forecast::ideal_makespan;

use super::{list_codes, plural, short};
use crate::job::Job;
use crate::race::{Lane, Race, RaceResult};
use crate::sample::{Outcome, Sample};
use crate::stats;
use crate::target::Target;

/// Stands for a number that does not exist.
const NONE: &str = "–";

/// Three lines: above, below the header, and below.
const STYLE: TableStyle = {
    let line = LineStyle::none().fill('─').junction('─');
    TableStyle::new()
        .top_border(line)
        .header_separator(line)
        .bottom_border(line)
};

/// What is printed before the race.
pub fn opening(race: &Race, job: &Job, target: &Target) -> String {
    let count = job.codes.len();
    let server = match &target.embedded {
        Some(embedded) => format!(
            "embedded, scenario {}, seed {}",
            embedded.scenario,
            embedded.seed()
        ),
        None => format!("{} at {}", target.label, target.base_url),
    };
    format!(
        "{count} {flags} ({codes}), at most {workers} at a time\n\
         server: {server}\n\
         {rounds} {rounds_noun} after {warmup} to warm up; every image checked against its SHA-256\n",
        flags = plural(count, "flag"),
        codes = list_codes(&job.codes),
        workers = job.max_workers,
        rounds = race.rounds,
        rounds_noun = plural(race.rounds.get(), "round"),
        warmup = race.warmup,
    )
}

/// What is printed after it.
pub fn closing(result: &RaceResult, delays: Option<&[Duration]>) -> String {
    let mut text = String::new();
    if result.interrupted {
        text.push_str("interrupted: this is what was measured until then\n");
    }
    let ideal =
        |lane: &Lane| delays.map(|delays| ideal_makespan(delays.iter().copied(), lane.workers));
    let _ = writeln!(text, "{}", table(result, ideal)); // writing to a String cannot fail
    text.push_str(&errors(result));
    text.push_str(&verdict(result, ideal));
    text
}

fn table(result: &RaceResult, ideal: impl Fn(&Lane) -> Option<Duration>) -> Table {
    // A column of zeros tells nobody anything.
    let has_retries = result.lanes.iter().any(|lane| lane.retries() > 0);
    let mut table = Table::new();
    table.load_style(STYLE);
    let mut header = vec![
        "strategy",
        "workers",
        "median",
        "fastest",
        "slowest",
        "ideal",
        "speed-up",
        "efficiency",
    ];
    header.extend(has_retries.then_some("retries"));
    header.push("errors");
    table.set_header(header);
    for (lane, speed_up) in result.lanes.iter().zip(result.speed_ups()) {
        let times = lane.times();
        let ideal = ideal(lane);
        let median = stats::median(&times);
        let efficiency = ideal
            .zip(median)
            .and_then(|(ideal, median)| stats::efficiency(ideal, median));
        let time = |time: Option<Duration>| time.map_or(NONE.to_owned(), short);
        let mut row = vec![
            lane.runner.name(),
            lane.workers.to_string(),
            time(median),
            time(times.iter().min().copied()),
            time(times.iter().max().copied()),
            time(ideal),
            speed_up.map_or(NONE.to_owned(), |ratio| format!("{ratio:.2} ×")),
            efficiency.map_or(NONE.to_owned(), percent),
        ];
        row.extend(has_retries.then(|| lane.retries().to_string()));
        row.push(lane.errors().to_string());
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// What went wrong, kind by kind.
fn errors(result: &RaceResult) -> String {
    let mut text = String::new();
    for lane in &result.lanes {
        let mut kinds: BTreeMap<(Outcome, Option<u16>), (usize, &Sample)> = BTreeMap::new();
        for sample in lane.endings().filter(|sample| sample.outcome.is_error()) {
            let (count, example) = kinds
                .entry((sample.outcome, sample.status))
                .or_insert((0, sample));
            *count += 1;
            // The same example in every report, whichever download ended first.
            if sample.code < example.code {
                *example = sample;
            }
        }
        for (count, example) in kinds.values() {
            let _ = writeln!(
                text,
                "{strategy}: {count} × {error} (such as {code})",
                strategy = lane.runner.name(),
                error = example.error.as_deref().unwrap_or("unknown"),
                code = example.code,
            );
        }
    }
    text
}

/// The result in one sentence: who was fastest, and how much of that was possible.
fn verdict(result: &RaceResult, ideal: impl Fn(&Lane) -> Option<Duration>) -> String {
    let speed_ups = result.speed_ups();
    let Some(first) = result.lanes.first() else {
        return String::new();
    };
    let fastest = result
        .lanes
        .iter()
        .zip(&speed_ups)
        .skip(1)
        .filter_map(|(lane, ratio)| Some((lane, (*ratio)?)));
    let Some((lane, ratio)) = fastest.max_by(|a, b| a.1.total_cmp(&b.1)) else {
        return String::new();
    };
    let mut sentence = format!(
        "{} was {ratio:.1} times as fast as {}",
        lane.runner.name(),
        first.runner.name()
    );
    let efficiency = ideal(lane)
        .zip(stats::median(&lane.times()))
        .and_then(|(ideal, median)| stats::efficiency(ideal, median));
    if let Some(efficiency) = efficiency {
        let _ = write!(
            sentence,
            ": {} of what is possible with {} workers",
            percent(efficiency),
            lane.workers
        );
    }
    sentence + "\n"
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}
