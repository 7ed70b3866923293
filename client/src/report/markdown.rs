//! The race as GitHub-flavoured Markdown, ready for a pull request or for `$GITHUB_STEP_SUMMARY`.

use std::fmt::Write;

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
    let cells = |cell: &mut dyn Iterator<Item = String>| {
        cell.fold("|".to_owned(), |row, cell| format!("{row} {cell} |")) + "\n"
    };
    text += &cells(&mut columns.iter().map(|column| column.title.to_owned()));
    text += &cells(
        &mut (0..columns.len()).map(|index| if index == 0 { "---" } else { "---:" }.to_owned()),
    );
    for series in &analysis.series {
        text += &cells(&mut columns.iter().map(|column| escaped(&(column.cell)(series))));
    }
    if !thresholds.is_empty() {
        text += "\n| threshold | found | |\n| --- | ---: | --- |\n";
        for checked in thresholds {
            let sign = match checked.judgement() {
                Judgement::Met => "✓",
                Judgement::Missed | Judgement::NoData => "✗ failed",
                Judgement::Undecided => "? undecided, take more rounds",
            };
            let _ = writeln!(
                text,
                "| `{}` | {} | {sign} |",
                checked.threshold,
                found(checked)
            );
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
        super::format::shell_words(&measurement.command)
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
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {sign} |",
            escaped(&series.name),
            super::format::short_ms(series.old_ms),
            super::format::short_ms(series.new_ms),
            super::format::change(series.ratio.median),
            super::format::changes(&series.ratio),
        );
    }
    for difference in &comparison.differences {
        let _ = writeln!(text, "\n- {}", escaped(difference));
    }
    text
}

/// Escapes the characters that have a meaning in Markdown or HTML.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '*' | '_' | '`' | '\\' => escaped.extend(['\\', character]),
            '\n' => escaped.push(' '),
            _ => escaped.push(character),
        }
    }
    escaped
}
