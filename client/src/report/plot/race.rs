//! The race: one round of each series, request by request, all on one time axis.
//!
//! Each worker has a band, and in it each of its downloads has a row. All panels have one row per
//! download, so they differ in time only.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use flags_data::CountryCode;

use super::canvas::{
    Area, Axis, Chart, Drawn, Format, Marker, bar, below_title, canvas, chart, cross, fine, legend,
    legend_height, line, poster_title, ring, ticks, time_label,
};
use super::draft::{Draft, POSTER_HEIGHT, chosen};
use crate::download::{AttemptTable, Outcome, Sample};
use crate::report::format::{percent, plural, short};
use crate::report::palette::{self, Colour};
use crate::result::stats::millis;
use crate::result::{IdealTimes, Measurement, Round, Series};

/// A series that ends before this share of the common axis is drawn again on its own axis.
const SHORT: f64 = 0.25;
/// The least height of a row.
const LEAST_ROW: f64 = 2.0;
/// The least height of a bar, which may be more than that of its row.
const LEAST_BAR: f64 = 1.5;
/// The least height of all the rows of a series on a poster.
const LEAST_PANEL: f64 = 80.0;
/// Rows of at least this height are labelled with the code of the flag.
const NAMED_ROW: f64 = 12.5;

/// One series on one axis.
struct Panel<'a> {
    title: String,
    rows: Vec<Row<'a>>,
    /// Where the axis ends, in milliseconds.
    end: f64,
}

/// A download, with all its attempts.
struct Row<'a> {
    worker: usize,
    attempts: Vec<&'a Sample>,
}

pub(super) fn caption(measurement: &Measurement) -> String {
    let rounds = drawn(measurement);
    if rounds.is_empty() {
        return "No round was completed, so there is no race to draw.".to_owned();
    }
    let ideals = IdealTimes::of(measurement);
    let mut descriptions: Vec<String> = Vec::new();
    for (series, _, round) in &rounds {
        let downloads = round
            .samples
            .iter()
            .filter(|sample| sample.is_last())
            .count();
        let flags = format!("{downloads} {}", plural(downloads, "download"));
        let above = ideals
            .of_series(series)
            .0
            .ok()
            .filter(|ideal| !ideal.is_zero())
            .map_or(String::new(), |ideal| {
                let share = round.elapsed.as_secs_f64() / ideal.as_secs_f64() - 1.0;
                if share < 0.0 {
                    format!(", {} below the ideal", percent(-share))
                } else {
                    format!(", {} above the ideal", percent(share))
                }
            });
        let in_flight = series.max_in_flight();
        let how = match in_flight.unwrap_or(series.workers.get()) {
            1 => format!("takes one flag after the other: {flags}, "),
            many => format!("has {many} in flight: {flags}, "),
        };
        descriptions.push(format!(
            "{} {how}{}{above}.",
            series.name,
            short(round.elapsed)
        ));
    }
    let which: Vec<String> = rounds
        .iter()
        .map(|(series, number, _)| format!("{number} of {}", series.name))
        .collect();
    format!(
        "{} A row is a download, a band a worker. Each contender's median round is drawn: round {}.",
        descriptions.join(" "),
        which.join(", ")
    )
}

/// The median round of each series that has one, and its number, from 1.
fn drawn(measurement: &Measurement) -> Vec<(&Series, usize, &Round)> {
    let all_series = chosen(measurement).into_iter().map(|(_, series)| series);
    let drawn = all_series.filter_map(|series| {
        let (number, round) = series.median_round()?;
        Some((series, number, round))
    });
    drawn.collect()
}

pub(super) fn draw(draft: Draft<'_>, name: &str) -> Option<String> {
    let Draft {
        report,
        format,
        poster,
        ..
    } = draft;
    let measurement = &report.measurement;
    let panels = panels(measurement, poster.is_none());
    let rows = panels.iter().map(|panel| panel.rows.len()).max()?;
    let entries = entries(&panels);
    let (title, top) = heights(format, poster, &entries);
    let frame = format.line() * 2.9;
    let row = if poster.is_some() {
        let free = POSTER_HEIGHT - top;
        // With many series the poster grows taller instead of compressing the panels.
        ((free / panels.len() as f64 - frame) / rows as f64)
            .max(LEAST_ROW.min(LEAST_PANEL / rows as f64))
    } else {
        (260.0 / rows as f64).clamp(LEAST_ROW, 13.0)
    };
    let panel_height = frame + row * rows as f64;
    let height = top + panel_height * panels.len() as f64 + format.text * 0.5;
    let height = if poster.is_some() {
        (height - format.text * 0.5).max(POSTER_HEIGHT)
    } else {
        height
    };
    let planned = planned(measurement);
    Some(canvas(format, height, name, poster.is_some(), |area| {
        poster_title(area, format, poster, title)?;
        legend(area, format, title, &entries)?;
        for (index, panel) in panels.iter().enumerate() {
            let y = top + panel_height * index as f64;
            let part = area
                .clone()
                .shrink((0, fine(y)), (fine(format.width), fine(panel_height)));
            draw_panel(&part, format, panel, row, &planned)?;
        }
        Ok(())
    }))
}

/// The height of the title, and where the first panel begins.
fn heights(
    format: Format,
    poster: Option<&str>,
    entries: &[(Marker, Colour, String)],
) -> (f64, f64) {
    let title = poster.map_or(0.0, |_| format.text * 3.0);
    (
        title,
        title + legend_height(format, entries) + format.text * 0.5,
    )
}

/// All on the same axis; short ones also on their own axis.
fn panels(measurement: &Measurement, with_zoom: bool) -> Vec<Panel<'_>> {
    let rounds = drawn(measurement);
    let ends = rounds.iter().map(|(.., round)| end(round));
    let common = ends.fold(0.0, f64::max);
    let mut panels = Vec::new();
    for (series, _, round) in rounds {
        let workers = series.workers.get();
        let title = format!(
            "{} · {} · {workers} {}",
            series.name,
            short(round.elapsed),
            plural(workers, "worker")
        );
        let own = end(round);
        if own > 0.0 {
            panels.push(Panel {
                title,
                rows: rows(round),
                end: common,
            });
        }
        if with_zoom && own > 0.0 && own < SHORT * common {
            panels.push(Panel {
                title: format!("{}, zoomed {:.0}×", series.name, common / own),
                rows: rows(round),
                end: own,
            });
        }
    }
    panels
}

/// When its last attempt ended, in milliseconds.
fn end(round: &Round) -> f64 {
    let dones = round.samples.iter().map(|sample| sample.done);
    millis(dones.fold(round.elapsed, Duration::max))
}

/// Grouped by worker, and ordered by time within each.
fn rows(round: &Round) -> Vec<Row<'_>> {
    let mut downloads: BTreeMap<(usize, CountryCode), Vec<&Sample>> = BTreeMap::new();
    for sample in &round.samples {
        let download = downloads.entry((sample.worker, sample.code));
        download.or_default().push(sample);
    }
    let mut rows: Vec<Row<'_>> = downloads
        .into_iter()
        .map(|((worker, _), attempts)| Row { worker, attempts })
        .collect();
    rows.sort_by_key(|row| (row.worker, row.attempts.first().map(|sample| sample.sent)));
    rows
}

/// The planned delays: a broken response does not report its own.
fn planned(measurement: &Measurement) -> AttemptTable<Duration> {
    let first = measurement.job.first_attempt;
    let mut planned = AttemptTable::new();
    for download in measurement.plan.iter().flatten() {
        for (number, attempt) in (first..).zip(&download.attempts) {
            planned.get_or_insert(download.code, number, attempt.delay);
        }
    }
    planned
}

fn entries(panels: &[Panel<'_>]) -> Vec<(Marker, Colour, String)> {
    let samples = || {
        panels
            .iter()
            .flat_map(|panel| &panel.rows)
            .flat_map(|row| &row.attempts)
    };
    let mut entries = vec![
        (Marker::Bar, palette::PLANNED, "planned delay".to_owned()),
        (Marker::Bar, palette::WAITING, "other waiting".to_owned()),
        (Marker::Bar, palette::TRANSFER, "transfer".to_owned()),
    ];
    if samples().any(|sample| sample.retry_in.is_some()) {
        entries.push((Marker::Line, palette::MUTED, "pause".to_owned()));
    }
    if samples().any(|sample| sample.outcome.is_error()) {
        entries.push((Marker::Cross, palette::FAULT, "error".to_owned()));
    }
    if samples().any(|sample| sample.outcome == Outcome::NotFound) {
        entries.push((Marker::Ring, palette::MUTED, "not found".to_owned()));
    }
    entries
}

fn draw_panel(
    area: &Area<'_>,
    format: Format,
    panel: &Panel<'_>,
    row_height: f64,
    planned: &AttemptTable<Duration>,
) -> Drawn {
    let rows = &panel.rows;
    let part = below_title(area, format, &panel.title)?;
    let count = rows.len() as f64;
    // As many names as fit.
    let every = (NAMED_ROW.max(format.text * 0.95) / row_height)
        .ceil()
        .max(1.0) as usize;
    let x = Axis {
        range: 0.0..panel.end * 1.01,
        ticks: ticks(&(0.0..panel.end), format.ticks),
        label: &|at| time_label(at, panel.end),
        has_grid: true,
    };
    let y = Axis {
        range: count..0.0,
        ticks: (0..rows.len())
            .step_by(every)
            .map(|row| row as f64 + 0.5)
            .collect(),
        label: &|at| {
            let row = rows.get(at as usize).and_then(|row| row.attempts.first());
            row.map_or(String::new(), |sample| sample.code.to_string())
        },
        has_grid: false,
    };
    let mut chart = chart(&part, format, format.text * 2.6, &x, &y)?;
    let bands = bands(rows);
    // With one row per worker, bands would only be a pattern.
    let has_bands = row_height >= NAMED_ROW / 2.0 || bands.len() * 2 <= rows.len();
    for band in bands.into_iter().filter(|_| has_bands).skip(1).step_by(2) {
        let (top, bottom) = (band.start as f64, band.end as f64);
        bar(
            &mut chart,
            (0.0, top),
            (panel.end * 1.01, bottom),
            palette::BAND,
            1.0,
        )?;
    }
    for (index, row) in rows.iter().enumerate() {
        draw_row(&mut chart, format, row, index as f64, row_height, planned)?;
    }
    Ok(())
}

/// The rows of each worker.
fn bands(rows: &[Row<'_>]) -> Vec<Range<usize>> {
    let mut bands: Vec<Range<usize>> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        match bands.last_mut() {
            Some(band) if rows[band.start].worker == row.worker => band.end = index + 1,
            _ => bands.push(index..index + 1),
        }
    }
    bands
}

fn draw_row(
    chart: &mut Chart<'_, '_>,
    format: Format,
    row: &Row<'_>,
    top: f64,
    row_height: f64,
    planned: &AttemptTable<Duration>,
) -> Drawn {
    // A gap between rows that are high enough.
    let gap: f64 = if row_height >= 4.0 { 0.12 } else { 0.0 };
    let middle = top + 0.5;
    // Hundreds of rows stay visible.
    let half = (0.5 - gap).max(LEAST_BAR * format.bold / row_height / 2.0);
    for sample in &row.attempts {
        let descriptions = sample
            .plan
            .or_else(|| planned.get(sample.code, sample.attempt).copied());
        for (part, colour) in parts(sample, descriptions) {
            let (from, to) = (millis(part.start), millis(part.end));
            bar(
                chart,
                (from, middle - half),
                (to, middle + half),
                colour,
                1.0,
            )?;
        }
        let done = millis(sample.done);
        if let Some(pause) = sample.retry_in {
            // The planned delay may exceed the time that the attempt took.
            let next = (done + millis(pause)).min(chart.x_range().end);
            line(
                chart,
                vec![(done, middle), (next, middle)],
                palette::MUTED,
                format.bold,
            )?;
        }
    }
    // Markers are drawn last, on top.
    let radius = (row_height * 0.4).clamp(2.5 * format.bold, 4.5 * format.bold);
    for sample in &row.attempts {
        let end = (millis(sample.done), middle);
        if sample.outcome.is_error() {
            cross(chart, end, palette::FAULT, radius, 2.0 * format.bold)?;
        } else if sample.outcome == Outcome::NotFound {
            ring(chart, end, palette::MUTED, radius, 1.5 * format.bold)?;
        }
    }
    Ok(())
}

/// The parts of an attempt: the planned delay, the rest until the head of the response, and the
/// body. Empty parts are left out.
fn parts(sample: &Sample, planned: Option<Duration>) -> Vec<(Range<Duration>, Colour)> {
    let headers = sample
        .headers
        .unwrap_or(sample.done)
        .clamp(sample.sent, sample.done.max(sample.sent));
    let waited = sample
        .sent
        .saturating_add(planned.unwrap_or_default())
        .min(headers);
    let parts = [
        (sample.sent..waited, palette::PLANNED),
        (waited..headers, palette::WAITING),
        (headers..sample.done, palette::TRANSFER),
    ];
    parts
        .into_iter()
        .filter(|(part, _)| part.start < part.end)
        .collect()
}
