//! The table that every report has: which columns there are, and which outliers are named under it.

use std::cmp::Reverse;

use super::format::{NONE, interval, memory, percent, short, short_ms, speed_up};
use super::messages;
use crate::result::{Analysis, LaneAnalysis};

/// A column of the table that every report has.
pub(super) struct Column {
    pub(super) title: &'static str,
    pub(super) cell: Cell,
}

/// What a column says of a lane.
pub(super) type Cell = fn(&LaneAnalysis) -> String;

/// Those that tell something: a column of zeros tells nobody anything.
pub(super) fn columns(analysis: &Analysis) -> Vec<Column> {
    fn or_none<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
        value.map_or_else(|| NONE.to_owned(), text)
    }
    let any = |has: fn(&LaneAnalysis) -> bool| analysis.lanes.iter().any(has);
    let is_sweep = !analysis.scaling.is_empty();
    let all: [(bool, &'static str, Cell); 14] = [
        (true, "strategy", |lane| lane.name.clone()),
        (!is_sweep, "workers", |lane| lane.workers.to_string()),
        (true, "median", |lane| {
            or_none(lane.elapsed_ms, |time| short_ms(time.median))
        }),
        (true, "95 % interval", |lane| {
            or_none(lane.elapsed_ms, |time| interval(&time))
        }),
        (any(|lane| lane.ideal.is_some()), "ideal", |lane| {
            or_none(lane.ideal, short)
        }),
        (true, "speed-up", |lane| or_none(lane.speed_up, speed_up)),
        (
            any(|lane| lane.efficiency.is_some()),
            "efficiency",
            |lane| or_none(lane.efficiency, percent),
        ),
        (is_sweep, "flags/s", |lane| {
            or_none(lane.throughput, |rate| format!("{:.1}", rate.median))
        }),
        (is_sweep, "p50", |lane| {
            or_none(lane.latency, |latency| short_ms(latency.p50))
        }),
        (is_sweep, "p99", |lane| {
            or_none(lane.latency, |latency| short_ms(latency.p99))
        }),
        (
            any(|lane| lane.cpu_ms_per_download.is_some()),
            "CPU/flag",
            |lane| or_none(lane.cpu_ms_per_download, short_ms),
        ),
        (
            any(|lane| lane.memory_bytes_per_worker.is_some()),
            "memory/worker",
            |lane| or_none(lane.memory_bytes_per_worker, memory),
        ),
        (any(|lane| lane.retries > 0), "retries", |lane| {
            lane.retries.to_string()
        }),
        (true, "errors", |lane| lane.errors.to_string()),
    ];
    let wanted = all.into_iter().filter(|(is_wanted, ..)| *is_wanted);
    wanted
        .map(|(_, title, cell)| Column { title, cell })
        .collect()
}

/// The most outliers that are named.
const OUTLIERS: usize = 3;

/// The farthest outliers of all lanes, in words.
pub(super) fn worst_outliers(analysis: &Analysis) -> Vec<String> {
    let all = analysis.lanes.iter();
    let all = all.flat_map(|lane| lane.outliers.iter().map(move |outlier| (lane, outlier)));
    let mut all: Vec<_> = all.collect();
    all.sort_by_key(|(_, outlier)| Reverse(outlier.excess));
    let worst = all.into_iter().take(OUTLIERS);
    worst
        .map(|(lane, outlier)| messages::outlier(&lane.name, outlier))
        .collect()
}
