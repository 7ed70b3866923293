//! The race as GitHub-flavoured Markdown, ready for a pull request or for `$GITHUB_STEP_SUMMARY`.

use std::fmt::Write;

use flag_cli::one_line;

use super::columns::{columns, worst_outliers};
use super::format::{found, list_codes, plural};
use super::messages;
use crate::result::Report;
use crate::result::compare::{Comparison, Verdict};
use crate::result::threshold::{Checked, Judgement};

/// The whole report.
pub fn whole(report: &Report, thresholds: &[Checked]) -> String {
    let Report {
        measurement,
        analysis,
    } = report;
    let mut text = String::new();
    if let Some(headline) = messages::headline(report) {
        let _ = writeln!(text, "**{}**\n", escaped(&headline)); // writing to a String cannot fail
    }
    let columns = columns(analysis);
    text += &row(columns.iter().map(|column| Cell::own(column.title)));
    text += &format!(
        "| --- |{}\n",
        " ---: |".repeat(columns.len().saturating_sub(1))
    );
    for series in &analysis.series {
        text += &row(columns
            .iter()
            .map(|column| Cell::text(&(column.cell)(series))));
    }
    if !thresholds.is_empty() {
        text += "\n| threshold | found | |\n| --- | ---: | --- |\n";
        for checked in thresholds {
            let sign = match checked.judgement() {
                Judgement::Met => "✓",
                Judgement::Missed | Judgement::NoData => "✗ **failed**",
                Judgement::Undecided => "? undecided, take more rounds",
            };
            let threshold = Cell::code(&checked.threshold.to_string());
            text += &row([threshold, Cell::text(&found(checked)), Cell::own(sign)]);
        }
    }
    text.push('\n');
    for startup in messages::startups(analysis) {
        let _ = writeln!(text, "{}\n", escaped(&startup));
    }
    let count = measurement.job.codes.len();
    let server = match &measurement.server.scenario {
        Some(scenario) if measurement.server.is_embedded() => {
            format!("scenario {}, seed {}", scenario.name, scenario.seed)
        }
        Some(scenario) => format!(
            "{} at {}, scenario {}, seed {}",
            measurement.server.label, measurement.server.url, scenario.name, scenario.seed
        ),
        None => format!("{} at {}", measurement.server.label, measurement.server.url),
    };
    let _ = writeln!(
        text,
        "{count} {} ({}), {}; measured {}.",
        plural(count, "flag"),
        list_codes(&measurement.job.codes),
        escaped(&server),
        measurement.started
    );
    let losses = analysis
        .series
        .iter()
        .filter_map(|series| messages::loss(&series.name, series));
    let warnings = messages::warnings(&analysis.warnings);
    let notes: Vec<String> = (warnings.into_iter())
        .map(|warning| format!("**Warning:** {}", escaped(&warning)))
        .chain(
            (messages::scaling(&analysis.scaling).into_iter())
                .chain(losses)
                .chain(messages::possible(analysis))
                .chain(worst_outliers(analysis))
                .map(|note| escaped(&note)),
        )
        .collect();
    if !notes.is_empty() {
        text += "\n<details><summary>Notes</summary>\n\n";
        for note in notes {
            let _ = writeln!(text, "- {note}");
        }
        text += "\n</details>\n";
    }
    let _ = writeln!(
        text,
        "\n```sh\n{}\n```",
        one_line(&super::format::shell_words(&measurement.command))
    );
    text
}

/// A comparison of two results.
pub fn comparison(comparison: &Comparison) -> String {
    let mut text = "| contender | old | new | new / old | interval | |\n| --- | ---: | ---: | ---: | ---: | --- |\n".to_owned();
    for series in &comparison.series {
        let sign = match series.verdict {
            Verdict::Slower => "✗ **slower**",
            Verdict::Failed => "✗ **failed**",
            verdict => verdict.name(),
        };
        text += &row([
            Cell::text(&series.name),
            Cell::text(&super::format::short_ms(series.old_ms)),
            Cell::text(&super::format::short_ms(series.new_ms)),
            Cell::text(&super::format::change(series.ratio.median)),
            Cell::text(&super::format::changes(&series.ratio)),
            Cell::own(sign),
        ]);
    }
    for difference in &comparison.differences {
        let _ = writeln!(text, "\n- {}", escaped(difference));
    }
    text
}

/// A cell of a table. What is no literal of this program is escaped.
struct Cell(String);

impl Cell {
    fn own(text: &'static str) -> Self {
        Self(text.to_owned())
    }

    fn text(text: &str) -> Self {
        Self(escaped(text))
    }

    /// In code, a bar ends a cell as elsewhere, and a backtick the code.
    fn code(text: &str) -> Self {
        let text = one_line(text).replace('|', "\\|").replace('`', "'");
        Self(format!("`{text}`"))
    }
}

/// A row of a table.
fn row(cells: impl IntoIterator<Item = Cell>) -> String {
    let cells = cells.into_iter();
    cells.fold("|".to_owned(), |row, Cell(cell)| format!("{row} {cell} |")) + "\n"
}

/// Escapes the characters that have a meaning in Markdown or HTML, and those that drive a terminal,
/// where Markdown is read too.
fn escaped(text: &str) -> String {
    let text = one_line(text);
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '\\' => escaped.extend(['\\', character]),
            _ => escaped.push(character),
        }
    }
    escaped
}
