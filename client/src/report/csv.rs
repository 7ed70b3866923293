//! The samples as comma-separated values, one line per attempt, for spreadsheets and data frames.

use std::io::{self, Write};
use std::time::Duration;

use serde::Serialize;

use crate::download::Outcome;
use crate::result::{Measurement, stats};

/// A line. Times are milliseconds since the start of the round; a field that does not exist is
/// empty.
#[derive(Serialize)]
struct Line<'m> {
    #[serde(rename = "lane")]
    series: &'m str,
    workers: usize,
    round: usize,
    code: &'m str,
    attempt: u32,
    worker: usize,
    outcome: Outcome,
    status: Option<u16>,
    bytes: usize,
    /// Always 0: spreadsheets address columns by position, so the column stays.
    queued_ms: f64,
    sent_ms: f64,
    headers_ms: Option<f64>,
    done_ms: f64,
    plan_ms: Option<f64>,
    wait_ms: Option<f64>,
    retry_in_ms: Option<f64>,
    error: Option<&'m str>,
}

/// Writes a header and all samples of all complete rounds; the first round is 1.
///
/// # Errors
/// Those of `out`.
pub fn write(measurement: &Measurement, out: impl Write) -> io::Result<()> {
    let millis = |time: Option<Duration>| time.map(stats::millis);
    let mut csv = csv::Writer::from_writer(out);
    for series in &measurement.series {
        for (index, round) in series.rounds.iter().enumerate() {
            for sample in &round.samples {
                csv.serialize(Line {
                    series: &series.name,
                    workers: series.workers.get(),
                    round: index + 1,
                    code: sample.code.as_str(),
                    attempt: sample.attempt,
                    worker: sample.worker,
                    outcome: sample.outcome,
                    status: sample.status,
                    bytes: sample.bytes,
                    queued_ms: 0.0,
                    sent_ms: stats::millis(sample.sent),
                    headers_ms: millis(sample.headers),
                    done_ms: stats::millis(sample.done),
                    plan_ms: millis(sample.plan),
                    wait_ms: millis(sample.wait),
                    retry_in_ms: millis(sample.retry_in),
                    error: sample.error.as_deref(),
                })?;
            }
        }
    }
    csv.flush()
}
