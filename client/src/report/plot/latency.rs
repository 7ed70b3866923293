//! How the latencies are distributed: the share of the downloads that took no longer, measured and
//! as planned.

use super::canvas::{
    Axis, Marker, canvas, chart, dashes, fine, legend, legend_height, line, ticks, time_label,
};
use super::draft::{Draft, chosen};
use crate::download::Outcome;
use crate::report::format::short_ms;
use crate::report::palette;
use crate::result::stats::{millis, sorted};
use crate::result::{Measurement, Planned, Report, Series};

/// The most steps of a curve: more cannot be distinguished.
const STEPS: usize = 250;

pub(super) fn caption(report: &Report) -> String {
    let measurement = &report.measurement;
    let analysis = &report.analysis;
    let percentiles: Vec<String> = chosen(measurement)
        .into_iter()
        .filter_map(|(index, series)| {
            let latency = analysis.series.get(index)?.latency?;
            Some(format!(
                "{}: p50 {}, p99 {}",
                series.name,
                short_ms(latency.p50),
                short_ms(latency.p99)
            ))
        })
        .collect();
    if percentiles.is_empty() {
        return "No flag was downloaded, so there are no latencies.".to_owned();
    }
    let planned = if planned(measurement).is_empty() {
        ""
    } else {
        " The closer a line is to the dashed one, the less the client added to the plan."
    };
    format!(
        "From sending a request to the end of its response, of the attempts that brought a flag. {}.{planned}",
        percentiles.join("; ")
    )
}

/// In milliseconds, and in order.
fn measured(series: &Series) -> Vec<f64> {
    let whole = series
        .samples()
        .filter(|sample| sample.outcome == Outcome::Downloaded);
    sorted(whole.map(|sample| millis(sample.latency())).collect())
}

fn planned(measurement: &Measurement) -> Vec<f64> {
    let downloads: &[Planned] = measurement.plan.as_deref().unwrap_or_default();
    let attempts = downloads.iter().flat_map(|download| &download.attempts);
    let whole = attempts.filter(|attempt| attempt.outcome == Outcome::Downloaded);
    sorted(whole.map(|attempt| millis(attempt.time)).collect())
}

/// The empirical distribution function, as a step function from zero to one.
fn staircase(sorted: &[f64]) -> Vec<(f64, f64)> {
    let all = sorted.len();
    let steps = all.min(STEPS);
    let mut points = Vec::with_capacity(2 * steps);
    let mut share = 0.0;
    for step in 1..=steps {
        let count = all * step / steps;
        let at = sorted[count - 1];
        points.push((at, share));
        share = count as f64 / all as f64 * 100.0;
        points.push((at, share));
    }
    points
}

pub(super) fn draw(draft: Draft<'_>, name: &str) -> Option<String> {
    let Draft { report, format, .. } = draft;
    let measurement = &report.measurement;
    let all_series: Vec<(usize, &Series, Vec<f64>)> = chosen(measurement)
        .into_iter()
        .enumerate()
        .map(|(place, (_, series))| (place, series, measured(series)))
        .filter(|(.., latencies)| !latencies.is_empty())
        .collect();
    let plan = planned(measurement);
    let ends = all_series
        .iter()
        .map(|(.., latencies)| latencies)
        .chain([&plan]);
    let end = ends
        .filter_map(|latencies| latencies.last())
        .copied()
        .fold(0.0, f64::max);
    if all_series.is_empty() || end <= 0.0 {
        return None;
    }
    let mut entries = Vec::new();
    if !plan.is_empty() {
        entries.push((Marker::Dashes, palette::STROKE, "planned".to_owned()));
    }
    for (index, series, _) in &all_series {
        entries.push((Marker::Line, palette::series(*index), series.name.clone()));
    }
    let top = legend_height(format, &entries) + format.text * 0.5;
    let height = top + 280.0;
    Some(canvas(format, height, name, false, |area| {
        legend(area, format, 0.0, &entries)?;
        let part = area.clone().margin(fine(top), 0, 0, 0);
        let x = Axis {
            range: 0.0..end * 1.02,
            ticks: ticks(&(0.0..end), format.ticks),
            label: &|at| time_label(at, end),
            has_grid: true,
        };
        let y = Axis {
            range: 0.0..100.0,
            ticks: vec![0.0, 25.0, 50.0, 75.0, 100.0],
            label: &|at| format!("{at} %"),
            has_grid: true,
        };
        let mut chart = chart(&part, format, format.text * 3.8, &x, &y)?;
        // They overlap: each is thinner than the one below it.
        for (place, (index, _, latencies)) in all_series.iter().enumerate() {
            let width = (all_series.len() - place) as f64 * 1.6;
            line(
                &mut chart,
                staircase(latencies),
                palette::series(*index),
                width.min(6.4) * format.bold,
            )?;
        }
        if !plan.is_empty() {
            dashes(
                &mut chart,
                staircase(&plan),
                palette::STROKE,
                1.2 * format.bold,
            )?;
        }
        Ok(())
    }))
}
