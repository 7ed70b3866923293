//! Numbers, times and lists as text, the same in every report.

use std::time::Duration;

use bytesize::ByteSize;
use flags_data::CountryCode;

use crate::result::threshold::{Checked, Unit};
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

/// The same for a number of milliseconds; a negative one keeps its sign.
pub(super) fn short_ms(millis: f64) -> String {
    let sign = if millis < 0.0 { "−" } else { "" };
    // Beyond a thousand years nobody cares, and a `Duration` cannot hold everything that a float
    // can.
    let size = Duration::try_from_secs_f64(millis.abs() / 1e3).unwrap_or_default();
    format!("{sign}{}", short(size))
}

/// The interval of an estimate in milliseconds, in the unit that its upper end has in [`short_ms`]:
/// `146.9–148.0 ms`.
pub(super) fn interval(estimate: &Estimate) -> String {
    let (scale, unit, digits) = if estimate.upper >= 1e3 {
        (1e-3, "s", 3)
    } else if estimate.upper >= 1.0 {
        (1.0, "ms", 1)
    } else {
        (1e3, "µs", 0)
    };
    let (lower, upper) = (estimate.lower * scale, estimate.upper * scale);
    format!("{lower:.digits$}–{upper:.digits$} {unit}")
}

/// A share as a percentage with three digits or so: `98.8 %`, `0.13 %`.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    let digits = if percent.abs() < 0.995 { 2 } else { 1 };
    format!("{percent:.digits$} %")
}

/// How many times: `14.2×`, `1.04×`.
pub(super) fn times(factor: f64) -> String {
    let digits = if factor.abs() < 9.95 { 2 } else { 1 };
    format!("{factor:.digits$}×")
}

/// The same with its interval: `11.8× (11.7–11.9)`; without, where there is none to speak of.
pub(super) fn speed_up(ratio: Estimate) -> String {
    let (median, lower, upper) = (times(ratio.median), times(ratio.lower), times(ratio.upper));
    if lower == median && median == upper {
        return median;
    }
    format!(
        "{median} ({}–{})",
        lower.trim_end_matches('×'),
        upper.trim_end_matches('×')
    )
}

/// An amount of memory: `1.5 MiB`.
pub(super) fn memory(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// The value that was found for a threshold, with its unit.
pub(super) fn found(checked: &Checked) -> String {
    let Some(value) = checked.found else {
        return "no data".to_owned();
    };
    if value.is_infinite() {
        return FAILURE.to_owned();
    }
    let at_least = if checked.upper > checked.found {
        "≥ "
    } else {
        ""
    };
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

/// Stands for a number that does not exist.
pub(super) const NONE: &str = "–";

/// Up to ten codes are listed; of more, the first and the last are named.
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
    format!("{} to {}", change(ratio.lower), change(ratio.upper))
}

/// A command line that a shell reads as these words.
pub(super) fn shell_words(words: &[String]) -> String {
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_as_many_digits_as_it_is_worth() {
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
    fn both_ends_of_an_interval_have_one_unit() {
        let of = |lower, upper| {
            let median = lower;
            interval(&Estimate {
                median,
                lower,
                upper,
            })
        };
        assert_eq!(of(146.91, 148.0), "146.9–148.0 ms");
        assert_eq!(of(999.0, 1001.0), "0.999–1.001 s");
        assert_eq!(of(0.1, 0.2), "100–200 µs");
    }
}
