//! A histogram in the text format that HdrHistogram's own tools print and plot: the *percentile
//! distribution*, usually with the extension `.hgrm`.
//!
//! The form is that of `outputPercentileDistribution` of the Java library (G. Tene), with five
//! lines for each halving of the distance to 100 %, and values in milliseconds, as in wrk2.

use std::fmt::Write;

use crate::result::Times;

/// Lines for each halving of the distance to 100 %.
const LINES_PER_HALF: u32 = 5;

/// The whole text. Without any times it has only a heading and a summary. `left_out` is the number
/// of requests that have no time among these; if there are any, a line says so.
pub fn text(times: &Times, left_out: u64) -> String {
    let histogram = &times.0;
    let millis = |nanos: f64| nanos / 1e6;
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    for line in histogram.iter_quantiles(LINES_PER_HALF) {
        let share = line.quantile_iterated_to();
        let value = millis(line.value_iterated_to() as f64);
        let count = histogram.count_between(0, line.value_iterated_to());
        let _ = write!(text, "{value:>12.6} {share:>14.12} {count:>10}");
        let _ = if share < 1.0 {
            writeln!(text, " {:>14.2}", 1.0 / (1.0 - share))
        } else {
            writeln!(text)
        };
    }
    let (mean, deviation) = (millis(histogram.mean()), millis(histogram.stdev()));
    let (max, total) = (millis(histogram.max() as f64), histogram.len());
    let _ = writeln!(
        text,
        "#[Mean    = {mean:>12.6}, StdDeviation   = {deviation:>12.6}]"
    );
    let _ = writeln!(
        text,
        "#[Max     = {max:>12.6}, Total count    = {total:>12}]"
    );
    // As many as this number of significant digits needs.
    let sub_buckets = (2 * 10_u64.pow(histogram.sigfig().into())).next_power_of_two();
    let buckets = histogram.buckets();
    let _ = writeln!(
        text,
        "#[Buckets = {buckets:>12}, SubBuckets     = {sub_buckets:>12}]"
    );
    if left_out > 0 {
        let _ = writeln!(
            text,
            "#[Without {left_out} requests that were not sent or did not succeed]"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::*;

    fn times(millis: impl IntoIterator<Item = u64>) -> Times {
        let mut histogram = Histogram::new(3).unwrap();
        for millis in millis {
            histogram.record(millis * 1_000_000).unwrap();
        }
        Times(histogram)
    }

    #[test]
    fn every_line_counts_the_times_up_to_its_value() {
        let text = text(&times(1..=4), 3);
        let lines: Vec<Vec<&str>> = (text.lines().skip(2))
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().collect())
            .collect();
        let first = &lines[0];
        assert_eq!(
            (first[1], first[2], first[3]),
            ("0.000000000000", "1", "1.00")
        );
        let last = lines.last().unwrap();
        assert_eq!((last[1], last[2], last.len()), ("1.000000000000", "4", 3));
        let value: f64 = last[0].parse().unwrap();
        assert!((value - 4.0).abs() < 0.01, "{value}");
        assert!(text.contains("Total count    =            4]"), "{text}");
        assert!(text.contains("\n#[Without 3 requests "), "{text}");
    }

    #[test]
    fn an_empty_histogram_is_a_table_without_lines() {
        let text = text(&times([]), 0);
        assert_eq!(text.lines().count(), 5, "{text}");
    }
}
