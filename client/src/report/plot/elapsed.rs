//! How long every round took: a strip per series, on an axis of its own, because a series that is
//! ten times as fast would be a dot on a common one.

use super::canvas::{
    Area, Axis, Drawn, Format, Marker, bar, below_title, canvas, chart, dashes, dot, fine, legend,
    legend_height, line, ticks, time_label,
};
use super::draft::Draft;
use crate::report::format::{interval, plural, short, short_ms};
use crate::report::palette;
use crate::result::stats::millis;
use crate::result::{Measurement, Report, Series, SeriesAnalysis};

/// The ideal is drawn if its distance from the data is at most this many times their range.
const REACH: f64 = 4.0;

/// The most series whose times the caption lists.
const MAX_LISTED: usize = 6;

pub(super) fn caption(report: &Report) -> String {
    let all_series = all_series(report);
    if all_series.is_empty() {
        return "No round was completed, so there are no times.".to_owned();
    }
    // With more, the table has the times.
    let medians: Vec<String> = all_series
        .iter()
        .filter(|_| all_series.len() <= MAX_LISTED)
        .filter_map(|(_, series, numbers)| {
            let elapsed = numbers.elapsed_ms?;
            let rounds = series.rounds.len();
            Some(format!(
                "{}: {} ({}; {rounds} {})",
                series.name,
                short_ms(elapsed.median),
                interval(&elapsed),
                plural(rounds, "round")
            ))
        })
        .collect();
    let medians = if medians.is_empty() {
        String::new()
    } else {
        format!(" {}.", medians.join("; "))
    };
    format!(
        "Each strip has a scale of its own, which does not begin at zero. A dot is a round, the first at the top; the line is the median, \
         the shade its 95 % interval.{medians}"
    )
}

fn all_series(report: &Report) -> Vec<(usize, &Series, &SeriesAnalysis)> {
    let all_series = report
        .measurement
        .series
        .iter()
        .zip(&report.analysis.series);
    all_series
        .enumerate()
        .map(|(index, (series, numbers))| (index, series, numbers))
        .filter(|(_, series, _)| !series.rounds.is_empty())
        .collect()
}

pub(super) fn draw(draft: Draft<'_>, name: &str) -> Option<String> {
    let format = draft.format;
    let all_series = all_series(draft.report);
    let most = all_series
        .iter()
        .map(|(_, series, _)| series.rounds.len())
        .max()?;
    let dots = (most as f64 * 9.0).clamp(36.0, 120.0);
    let strip = format.line() * 3.0 + dots;
    let entries = [
        (Marker::Dot, palette::STROKE, "round".to_owned()),
        (Marker::Line, palette::STROKE, "median".to_owned()),
        (
            Marker::Dashes,
            palette::MUTED,
            "ideal, where it is in reach".to_owned(),
        ),
    ];
    let top = legend_height(format, &entries) + format.text * 0.5;
    let height = top + strip * all_series.len() as f64;
    Some(canvas(format, height, name, false, |area| {
        legend(area, format, 0.0, &entries)?;
        for (place, series) in all_series.iter().enumerate() {
            let y = top + strip * place as f64;
            let part = area
                .clone()
                .shrink((0, fine(y)), (fine(format.width), fine(strip)));
            draw_strip(&part, format, &draft.report.measurement, *series)?;
        }
        Ok(())
    }))
}

fn draw_strip(
    area: &Area<'_>,
    format: Format,
    measurement: &Measurement,
    (index, series, numbers): (usize, &Series, &SeriesAnalysis),
) -> Drawn {
    let colour = super::draft::colour(measurement, index);
    let times: Vec<f64> = series.times().into_iter().map(millis).collect();
    let (low, high) = ends(&times);
    let ideal = numbers.ideal.map(millis);
    let in_reach = ideal.filter(|ideal| low - ideal <= REACH * (high - low).max(low * 0.01));
    let (low, high) = (
        in_reach.unwrap_or(low).min(low),
        in_reach.unwrap_or(high).max(high),
    );
    let margin = ((high - low) * 0.08).max(high * 0.002).max(1e-6);
    let range = (low - margin).max(0.0)..high + margin;

    let title = match numbers.ideal {
        Some(ideal) => format!("{} · ideal {}", series.name, short(ideal)),
        None => series.name.clone(),
    };
    let part = below_title(area, format, &title)?;
    let x = Axis {
        ticks: ticks(&range, format.ticks),
        range: range.clone(),
        label: &|at| time_label(at, range.end),
        has_grid: true,
    };
    let count = times.len() as f64;
    let y = Axis {
        range: count..0.0,
        ticks: Vec::new(),
        label: &|_| String::new(),
        has_grid: false,
    };
    let mut chart = chart(&part, format, format.text * 2.6, &x, &y)?;
    if let Some(elapsed) = numbers.elapsed_ms {
        if let Some(interval) = elapsed.interval {
            let (lower, upper) = ((interval.lower, 0.0), (interval.upper, count));
            bar(&mut chart, lower, upper, colour, 0.2)?;
        }
        let median = vec![(elapsed.median, 0.0), (elapsed.median, count)];
        line(&mut chart, median, colour, 2.0 * format.bold)?;
    }
    if let Some(ideal) = in_reach {
        dashes(
            &mut chart,
            vec![(ideal, 0.0), (ideal, count)],
            palette::MUTED,
            1.5 * format.bold,
        )?;
    }
    for (round, time) in times.into_iter().enumerate() {
        dot(
            &mut chart,
            (time, round as f64 + 0.5),
            colour,
            3.5 * format.bold,
            0.85,
        )?;
    }
    Ok(())
}

/// The smallest and the largest.
fn ends(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    (low, values.iter().copied().fold(0.0, f64::max))
}
