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

/// `1st`, `2nd`, `11th`.
pub fn ordinal(number: u32) -> String {
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

/// `a`, `a or b`, `a, b or c`.
pub fn listed(items: impl IntoIterator<Item = String>, last: &str) -> String {
    let items: Vec<String> = items.into_iter().collect();
    match items.split_last() {
        Some((end, rest)) if !rest.is_empty() => format!("{} {last} {end}", rest.join(", ")),
        _ => items.concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_those_of_english() {
        let numbers = [1, 2, 3, 4, 10, 11, 12, 13, 21, 22, 23, 101, 111];
        assert_eq!(
            numbers.map(ordinal),
            [
                "1st", "2nd", "3rd", "4th", "10th", "11th", "12th", "13th", "21st", "22nd", "23rd",
                "101st", "111th"
            ]
        );
    }
}
