//! The samples as comma-separated values, one line per attempt, for spreadsheets and data frames.

use std::io::{self, Write};
use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::download::Outcome;
use crate::result::{Measurement, stats};

/// A line. Times are milliseconds since the start of the round; a field that does not exist is
/// empty.
#[derive(Serialize)]
struct Line<'m> {
    #[serde(rename = "lane")]
    series: Text<'m>,
    workers: usize,
    round: usize,
    code: Text<'m>,
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
    error: Option<Text<'m>>,
}

/// A text in a cell. Spreadsheets run a cell that begins like a formula, whoever wrote it; an
/// apostrophe says that it is a text (OWASP, "CSV Injection").
struct Text<'m>(&'m str);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            serializer.collect_str(&format_args!("'{}", self.0))
        } else {
            serializer.serialize_str(self.0)
        }
    }
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
                    series: Text(&series.name),
                    workers: series.workers.get(),
                    round: index + 1,
                    code: Text(sample.code.as_str()),
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
                    error: sample.error.as_deref().map(Text),
                })?;
            }
        }
    }
    csv.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_begins_like_a_formula() {
        let cell = |text: &str| {
            let mut csv = csv::WriterBuilder::new()
                .has_headers(false)
                .from_writer(Vec::new());
            csv.serialize(Text(text)).unwrap();
            String::from_utf8(csv.into_inner().unwrap()).unwrap()
        };
        for start in ["=", "+", "-", "@", "\t", "\r"] {
            let cell = cell(&format!("{start}cmd|' /C calc'!A1"));
            assert!(cell.trim_start_matches('"').starts_with('\''), "{cell}");
        }
        assert_eq!(cell("async"), "async\n");
        assert_eq!(cell("a=b"), "a=b\n");
    }
}
