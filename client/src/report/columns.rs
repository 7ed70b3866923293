//! The table that every report has: its columns, and the outliers that are listed below it.

use std::cmp::Reverse;

use super::format::{NONE, interval, memory, or_failed, percent, short, short_ms, speed_up};
use super::messages;
use crate::result::{Analysis, SeriesAnalysis};

/// A column of the table that every report has.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) cell: Cell,
}

/// The text of a column for a series.
pub(super) type Cell = fn(&SeriesAnalysis) -> String;

/// The columns that carry information: a column of zeros does not.
pub(super) fn columns(analysis: &Analysis) -> Vec<Column> {
    fn or_none<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
        value.map_or_else(|| NONE.to_owned(), text)
    }
    let any = |has: fn(&SeriesAnalysis) -> bool| analysis.series.iter().any(has);
    let is_sweep = !analysis.scaling.is_empty();
    let all: [(bool, &'static str, Cell); 16] = [
        (true, "strategy", |series| series.name.clone()),
        (!is_sweep, "workers", |series| series.workers.to_string()),
        (
            any(|series| series.max_in_flight.is_some()),
            "in flight",
            |series| or_none(series.max_in_flight, |most| most.to_string()),
        ),
        (true, "median", |series| {
            or_none(series.elapsed_ms, |time| short_ms(time.median))
        }),
        (true, "95 % interval", |series| {
            or_none(series.elapsed_ms, |time| interval(&time))
        }),
        (any(|series| series.ideal.is_some()), "ideal", |series| {
            or_none(series.ideal, short)
        }),
        (true, "speed-up", |series| {
            or_none(series.speed_up, speed_up)
        }),
        (
            any(|series| series.efficiency.is_some()),
            "efficiency",
            |series| or_none(series.efficiency, percent),
        ),
        (is_sweep, "flags/s", |series| {
            or_none(series.throughput, |rate| format!("{:.1}", rate.median))
        }),
        (is_sweep, "p50", |series| {
            or_none(series.latency, |latency| short_ms(latency.p50))
        }),
        (is_sweep, "p99", |series| {
            or_none(series.latency, |latency| short_ms(latency.p99))
        }),
        (
            any(|series| series.excess.is_some()),
            "excess p99",
            |series| or_none(series.excess, |excess| or_failed(excess.p99)),
        ),
        (
            any(|series| series.cpu_ms_per_download.is_some()),
            "CPU/flag",
            |series| or_none(series.cpu_ms_per_download, short_ms),
        ),
        (
            any(|series| series.memory_bytes_per_worker.is_some()),
            "memory/worker",
            |series| or_none(series.memory_bytes_per_worker, memory),
        ),
        (any(|series| series.retries > 0), "retries", |series| {
            series.retries.to_string()
        }),
        (true, "errors", |series| {
            if series.timed_out {
                "timed out".to_owned()
            } else {
                series.errors.to_string()
            }
        }),
    ];
    let wanted = all.into_iter().filter(|(is_wanted, ..)| *is_wanted);
    wanted
        .map(|(_, title, cell)| Column { title, cell })
        .collect()
}

/// The most outliers that are listed.
const OUTLIERS: usize = 3;

/// The messages of the largest outliers of all series.
pub(super) fn worst_outliers(analysis: &Analysis) -> Vec<String> {
    let all = analysis.series.iter();
    let all = all.flat_map(|series| series.outliers.iter().map(move |outlier| (series, outlier)));
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(_, outlier)| Reverse(outlier.excess));
    let worst = all.into_iter().take(OUTLIERS);
    worst
        .map(|(series, outlier)| messages::outlier(&series.name, outlier))
        .collect()
}
