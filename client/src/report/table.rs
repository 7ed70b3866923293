//! The race in a terminal: a table, bars, and sentences. Colours are always written; the caller
//! strips them where they are not wanted.

use std::collections::BTreeMap;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, LineStyle, Table, TableStyle};

use super::columns::{Column, columns, worst_outliers};
use super::format::{change, changes, found, list_codes, plural, short_ms};
use super::messages;
use crate::download::{Outcome, Sample};
use crate::race::Rounds;
use crate::result::threshold::{Checked, Judgement};
use crate::result::{Analysis, Comparison, Kind, Measurement, Report, Series, SeriesAnalysis};

/// The longest bar.
const BAR: usize = 40;

pub(super) const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
pub(super) const BAD: Style = AnsiColor::Red.on_default();
const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default();
const BARS: Style = AnsiColor::Cyan.on_default();

/// Three lines: at the top, below the header, and at the bottom.
pub(super) const STYLE: TableStyle = {
    let line = LineStyle::none().fill('─').junction('─');
    TableStyle::new()
        .top_border(line)
        .header_separator(line)
        .bottom_border(line)
};

/// What is printed before the race.
pub fn opening(measurement: &Measurement, rounds: Rounds, warmup: usize) -> String {
    let rounds = match rounds {
        Rounds::Exactly(rounds) => {
            format!("{rounds} {}", plural(rounds.get(), "round"))
        }
        Rounds::Enough => {
            let [first, .., last] = Rounds::LOOKS;
            format!("{first} to {last} rounds")
        }
    };
    let exception = if measurement.series.iter().any(Series::is_command) {
        ", except those downloaded by a command"
    } else {
        ""
    };
    format!(
        "{}{rounds} after {warmup} to warm up; every image checked against its SHA-256{exception}\n",
        subject(measurement)
    )
}

/// What was or is to be measured, and where.
fn subject(measurement: &Measurement) -> String {
    let count = measurement.job.codes.len();
    let server = match &measurement.server.scenario {
        Some(scenario) => {
            let plan = format!("scenario {}, seed {}", scenario.name, scenario.seed);
            if measurement.server.is_embedded() {
                format!("embedded, {plan}")
            } else {
                format!("{}, {plan}", named(measurement))
            }
        }
        None => named(measurement),
    };
    let at_a_time = match measurement.kind {
        Kind::Sweep => String::new(),
        Kind::Get | Kind::Bench => format!(", at most {} at a time", measurement.job.max_workers),
    };
    format!(
        "{count} {flags} ({codes}){at_a_time}\nserver: {server}\n",
        flags = plural(count, "flag"),
        codes = list_codes(&measurement.job.codes),
    )
}

/// A server that was named.
fn named(measurement: &Measurement) -> String {
    format!("{} at {}", measurement.server.label, measurement.server.url)
}

/// The whole report of a measurement that was read from a file.
pub fn whole(report: &Report, width: Option<usize>, is_verbose: bool) -> String {
    let measurement = &report.measurement;
    let subject = subject(measurement);
    format!(
        "{subject}measured {}\n{}",
        measurement.started,
        closing(report, width, is_verbose)
    )
}

/// What is printed after the race. On a terminal that is narrower than the table, some columns of
/// the table are left out. Where the lost time went, and outliers, are for who looks into the
/// details.
pub fn closing(report: &Report, width: Option<usize>, is_verbose: bool) -> String {
    let analysis = &report.analysis;
    let mut text = String::new();
    if let Some(headline) = messages::headline(report) {
        let _ = writeln!(text, "{BOLD}{headline}{BOLD:#}");
    }
    let _ = writeln!(text, "{}", table(analysis, width.unwrap_or(usize::MAX)));
    text += &bars(analysis);
    for sentence in messages::scaling(&analysis.scaling) {
        let _ = writeln!(text, "{sentence}");
    }
    text += &errors(&report.measurement);
    for startup in messages::startups(analysis) {
        let _ = writeln!(text, "{startup}");
    }
    for possible in messages::possible(analysis) {
        let _ = writeln!(text, "{possible}");
    }
    if is_verbose {
        let losses = analysis.series.iter();
        for loss in losses.filter_map(|series| messages::loss(&series.name, series)) {
            let _ = writeln!(text, "{loss}");
        }
        text += &outliers(analysis);
    }
    let warnings = if is_verbose {
        messages::warnings(&analysis.warnings)
    } else {
        messages::brief_warnings(&analysis.warnings)
    };
    for warning in warnings {
        let _ = writeln!(text, "{WARNING}warning:{WARNING:#} {warning}");
    }
    text
}

/// The columns that may be left out, the least important first.
const LESS_WANTED: [&str; 8] = [
    "memory/worker",
    "CPU/flag",
    "excess p99",
    "p50",
    "95 % interval",
    "ideal",
    "p99",
    "in flight",
];

fn table(analysis: &Analysis, width: usize) -> Table {
    let mut columns = columns(analysis);
    let mut less_wanted = LESS_WANTED.into_iter();
    loop {
        let table = table_of(analysis, &columns);
        let fits = table.lines().all(|line| line.chars().count() <= width);
        match less_wanted.next() {
            Some(title) if !fits => columns.retain(|column| column.title != title),
            _ => return table,
        }
    }
}

fn table_of(analysis: &Analysis, columns: &[Column]) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(columns.iter().map(|column| column.title));
    for series in &analysis.series {
        table.add_row(columns.iter().map(|Column { cell, .. }| cell(series)));
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The times as bars, in eighths of a character.
fn bars(analysis: &Analysis) -> String {
    let times = || {
        analysis
            .series
            .iter()
            .filter_map(|series| Some((series, series.elapsed_ms?.median)))
    };
    let longest = times().map(|(_, time)| time).fold(0.0, f64::max);
    let width = times()
        .map(|(series, _)| series.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for (SeriesAnalysis { name, .. }, time) in times().filter(|_| longest > 0.0) {
        let bar = bar(time / longest);
        let _ = writeln!(
            text,
            " {name:width$} {BARS}{bar}{BARS:#} {DIM}{}{DIM:#}",
            short_ms(time)
        );
    }
    text
}

fn bar(share: f64) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = ((share * BAR as f64 * 8.0).round() as usize).clamp(1, BAR * 8);
    "█".repeat(eighths / 8) + PARTS[eighths % 8]
}

/// What went wrong, kind by kind.
fn errors(measurement: &Measurement) -> String {
    let mut text = String::new();
    for series in &measurement.series {
        let mut kinds: BTreeMap<(Outcome, Option<u16>), (usize, &Sample)> = BTreeMap::new();
        for sample in series.endings().filter(|sample| sample.outcome.is_error()) {
            let (count, example) = kinds
                .entry((sample.outcome, sample.status))
                .or_insert((0, sample));
            *count += 1;
            // The same example in every report, regardless of which download ended first.
            if sample.code < example.code {
                *example = sample;
            }
        }
        for (count, example) in kinds.values() {
            let _ = writeln!(
                text,
                "{BAD}{series}: {count} × {error} (such as {code}){BAD:#}",
                series = series.name,
                error = example.error.as_deref().unwrap_or("unknown"),
                code = example.code,
            );
        }
    }
    text
}

fn outliers(analysis: &Analysis) -> String {
    let mut text = String::new();
    for outlier in worst_outliers(analysis) {
        let _ = writeln!(text, "{DIM}outlier: {outlier}{DIM:#}");
    }
    text
}

/// The line of a threshold: whether it was met, and the value found.
pub fn threshold(checked: &Checked) -> String {
    let (style, sign, remedy) = match checked.judgement() {
        Judgement::Met => (GOOD, '✓', ""),
        Judgement::Missed | Judgement::NoData => (BAD, '✗', ""),
        Judgement::Undecided => (WARNING, '?', ": undecided, take more rounds"),
    };
    format!(
        "{style}{sign} {}{style:#}, found {}{remedy}\n",
        checked.threshold,
        found(checked)
    )
}

/// What has become faster or slower.
pub fn comparison(comparison: &Comparison) -> String {
    let mut table = Table::new();
    table.load_style(STYLE);
    table.set_header(["contender", "old", "new", "change", "interval", "verdict"]);
    for series in &comparison.series {
        table.add_row([
            series.name.clone(),
            short_ms(series.old_ms),
            short_ms(series.new_ms),
            change(series.ratio.median),
            changes(&series.ratio),
            series.verdict.name().to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut text = format!("{table}\n");
    for difference in &comparison.differences {
        let _ = writeln!(text, "{WARNING}not the same{WARNING:#} {difference}");
    }
    for note in &comparison.notes {
        let _ = writeln!(text, "{DIM}note: {note}{DIM:#}");
    }
    text += &messages::about_comparison(comparison);
    text
}
