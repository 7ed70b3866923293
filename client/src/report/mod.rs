//! What people read: one file per form. Text is made here and printed by `main`; nothing is measured.

pub mod book;
pub mod progress;
pub mod table;

use std::time::Duration;

use flags_data::CountryCode;

/// A duration with three or four digits: `2.036 s`, `154.2 ms`, `812 µs`.
fn short(duration: Duration) -> String {
    let secs = duration.as_secs_f64();
    if secs >= 1.0 {
        format!("{secs:.3} s")
    } else if secs >= 1e-3 {
        format!("{:.1} ms", secs * 1e3)
    } else {
        format!("{:.0} µs", secs * 1e6)
    }
}

/// Up to ten codes are listed; of more, the first and the last are named.
fn list_codes(codes: &[CountryCode]) -> String {
    match codes {
        [first, .., last] if codes.len() > 10 => format!("from {first} to {last}"),
        _ => {
            let names: Vec<&str> = codes.iter().map(CountryCode::as_str).collect();
            names.join(", ")
        }
    }
}

/// `flag` or `flags`.
fn plural(count: usize, noun: &str) -> String {
    if count == 1 {
        noun.to_owned()
    } else {
        format!("{noun}s")
    }
}
