//! Numbers, times and lists as text, the same in every report.

use std::time::Duration;

use bytesize::ByteSize;
use flags_data::CountryCode;

use crate::result::interval::{CONFIDENCE, Interval};
use crate::result::threshold::{Checked, Found, Unit};
use crate::result::{Bounds, Estimate};

/// A duration with three or four digits: `2.036 s`, `154.2 ms`, `812 µs`.
pub(super) fn short(duration: Duration) -> String {
    let secs = duration.as_secs_f64();
    if secs >= 1.0 {
        format!("{secs:.3} s")
    } else if secs >= 1e-3 {
        format!("{:.1} ms", secs * 1e3)
    } else {
        format!("{:.0} µs", secs * 1e6)
    }
}

/// Parts in milliseconds, none below zero, and their whole: all in the unit that the whole has in
/// [`short`], rounded so that the parts shown add up to the whole shown. A part that is nothing
/// then has no text.
pub(super) fn whole_and_parts(parts: &[f64]) -> (String, Vec<Option<String>>) {
    let whole: f64 = parts.iter().sum();
    let (scale, unit, digits) = if whole >= 1e3 {
        (1.0, "s", 3)
    } else if whole >= 1.0 {
        (10.0, "ms", 1)
    } else {
        (1e3, "µs", 0)
    };
    let text = |steps: f64| format!("{:.digits$} {unit}", steps / 10_f64.powi(digits as i32));
    // The ends of the parts are rounded, not the parts, so no rounding error adds up.
    let (mut end, mut steps) = (0.0, 0.0);
    let shown = parts.iter().map(|part| {
        end += part;
        let before = steps;
        steps = (end * scale).round();
        (steps > before).then(|| text(steps - before))
    });
    let shown = shown.collect();
    (text(steps), shown)
}

/// The same as [`short`] for a number of milliseconds; a negative one keeps its sign.
pub(super) fn short_ms(millis: f64) -> String {
    let sign = if millis < 0.0 { "−" } else { "" };
    // A `Duration` cannot hold every float; times that do not fit are not measured here.
    let size = Duration::try_from_secs_f64(millis.abs() / 1e3).unwrap_or_default();
    format!("{sign}{}", short(size))
}

/// The interval of an estimate in milliseconds, in the unit that its upper end has in [`short_ms`]:
/// `146.9–148.0 ms`. One of less than 95 % names its confidence.
pub(super) fn interval(estimate: &Estimate) -> String {
    let Some(interval) = estimate.interval else {
        return NONE.to_owned();
    };
    let (scale, unit, digits) = if interval.upper >= 1e3 {
        (1e-3, "s", 3)
    } else if interval.upper >= 1.0 {
        (1.0, "ms", 1)
    } else {
        (1e3, "µs", 0)
    };
    let (lower, upper) = (interval.lower * scale, interval.upper * scale);
    let confidence = less_than_usual(&interval);
    format!("{lower:.digits$}–{upper:.digits$} {unit}{confidence}")
}

/// The confidence of an interval where it is less than what the headings promise: ` (75 %)`.
fn less_than_usual(interval: &Interval) -> String {
    match interval.confidence {
        Some(confidence) if confidence < CONFIDENCE => format!(" ({:.0} %)", confidence * 100.0),
        _ => String::new(),
    }
}

/// A share as a percentage with three digits or so: `98.8 %`, `0.13 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = if percent.abs() < 0.995 { 2 } else { 1 };
    format!("{percent:.digits$} %")
}

/// A factor: `14.2×`, `1.04×`.
pub(super) fn times(factor: f64) -> String {
    let digits = if factor.abs() < 9.95 { 2 } else { 1 };
    format!("{factor:.digits$}×")
}

/// A factor with its interval: `11.8× (11.7–11.9)`; without it if the rounded ends are equal.
pub(super) fn speed_up(ratio: Estimate) -> String {
    let median = times(ratio.median);
    let Some(interval) = ratio.interval else {
        return median;
    };
    let (lower, upper) = (times(interval.lower), times(interval.upper));
    if lower == median && median == upper {
        return median;
    }
    let confidence = less_than_usual(&interval);
    format!(
        "{median} ({}–{}{confidence})",
        lower.trim_end_matches('×'),
        upper.trim_end_matches('×')
    )
}

/// An amount of memory: `1.5 MiB`.
pub(super) fn memory(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// A ratio with its interval: `1.02 (0.97–1.08)`.
fn ratio(estimate: &Estimate) -> String {
    let number = |ratio: f64| format!("{ratio:.3}");
    let median = number(estimate.median);
    match estimate.interval {
        None => median,
        Some(interval) => format!(
            "{median} ({}–{}{})",
            number(interval.lower),
            number(interval.upper),
            less_than_usual(&interval)
        ),
    }
}

/// The value that was found for a threshold, with its unit.
pub(super) fn found(checked: &Checked) -> String {
    if let Found::Estimate(estimate) = &checked.found {
        return ratio(estimate);
    }
    let Some((value, upper)) = checked.found.bounds() else {
        return "no data".to_owned();
    };
    if value.is_infinite() {
        return FAILURE.to_owned();
    }
    let at_least = if upper > value { "≥ " } else { "" };
    let value = match checked.unit() {
        Unit::Millis => short_ms(value),
        Unit::Bytes => memory(value as u64),
        Unit::Share => percent(value),
        Unit::Number if value.fract() == 0.0 => format!("{value:.0}"),
        Unit::Number => format!("{value:.2}"),
    };
    format!("{at_least}{value}")
}

/// A time that may be known only by its bounds: `≥ 1.5 s`, or that of a failure.
pub(super) fn bounds(bounds: Bounds) -> String {
    match bounds.lower {
        None => FAILURE.to_owned(),
        Some(lower) if bounds.is_exact() => short(lower),
        Some(lower) => format!("≥ {}", short(lower)),
    }
}

/// Stands for the time of a request that failed against the plan, which never has an answer.
const FAILURE: &str = "failed";

/// A time in milliseconds, or that of a failure.
pub(super) fn or_failed(millis: Option<f64>) -> String {
    millis.map_or_else(|| FAILURE.to_owned(), short_ms)
}

/// Shown for a missing number.
pub(super) const NONE: &str = "–";

/// Lists up to ten codes; of more, only the first and the last.
pub(super) fn list_codes(codes: &[CountryCode]) -> String {
    match codes {
        [first, .., last] if codes.len() > 10 => format!("from {first} to {last}"),
        _ => {
            let names: Vec<&str> = codes.iter().map(CountryCode::as_str).collect();
            names.join(", ")
        }
    }
}

/// `flag` or `flags`.
pub(super) fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}

/// A ratio of times as a change: `+9.8 %`, `−1.2 %`.
pub(super) fn change(ratio: f64) -> String {
    let sign = if ratio < 1.0 { '−' } else { '+' };
    format!("{sign}{:.1} %", (ratio - 1.0).abs() * 100.0)
}

/// The interval of such a change.
pub(super) fn changes(ratio: &Estimate) -> String {
    let Some(interval) = ratio.interval else {
        return NONE.to_owned();
    };
    format!("{} to {}", change(interval.lower), change(interval.upper))
}

/// The words quoted as a command line for a shell.
pub(super) fn shell_words(words: &[String]) -> String {
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_their_precision() {
        assert_eq!(short_ms(1742.04), "1.742 s");
        assert_eq!(short_ms(-0.0126), "−13 µs");
        assert_eq!(short_ms(f64::NAN), "0 µs");
        assert_eq!(percent(0.98765), "98.8 %");
        assert_eq!(percent(0.0013), "0.13 %");
        assert_eq!(times(14.23), "14.2×");
        assert_eq!(times(1.0), "1.00×");
        assert_eq!(memory(1_572_864), "1.5 MiB");
    }

    #[test]
    fn parts_add_up_as_they_are_shown() {
        let text = |text: &str| Some(text.to_owned());
        let (whole, parts) = whole_and_parts(&[1.04, 1.04, 1.04, 0.003]);
        assert_eq!(whole, "3.1 ms");
        assert_eq!(
            parts,
            [text("1.0 ms"), text("1.1 ms"), text("1.0 ms"), None]
        );
        let (whole, parts) = whole_and_parts(&[1200.0, 300.4]);
        assert_eq!(
            (whole, parts),
            ("1.500 s".to_owned(), vec![text("1.200 s"), text("0.300 s")])
        );
        assert_eq!(whole_and_parts(&[0.2, 0.01]).0, "210 µs");
        assert_eq!(whole_and_parts(&[0.0]), ("0 µs".to_owned(), vec![None]));
    }

    #[test]
    fn both_ends_of_an_interval_share_a_unit() {
        let of = |lower, upper| {
            interval(&Estimate {
                median: lower,
                interval: Some(Interval {
                    lower,
                    upper,
                    confidence: Some(CONFIDENCE),
                }),
            })
        };
        assert_eq!(of(146.91, 148.0), "146.9–148.0 ms");
        assert_eq!(of(999.0, 1001.0), "0.999–1.001 s");
        assert_eq!(of(0.1, 0.2), "100–200 µs");
    }
}
