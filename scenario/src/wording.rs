//! Words for numbers and lists in messages.

use std::time::Duration;

/// A duration as a file would have it: `1s 500ms`.
pub fn words(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(duration)
}

/// `1 byte`, `2 bytes`.
pub fn bytes(count: u64) -> String {
    counted(count, "byte")
}

/// A number of things whose plural ends in an s.
pub fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// `a`, `a or b`, `a, b or c`.
pub fn listed(items: impl IntoIterator<Item = String>, last: &str) -> String {
    let items: Vec<String> = items.into_iter().collect();
    match items.split_last() {
        Some((end, rest)) if !rest.is_empty() => format!("{} {last} {end}", rest.join(", ")),
        _ => items.concat(),
    }
}
