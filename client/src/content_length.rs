//! The length of a body, as the head of a response announces it (RFC 9110, section 8.6).
//!
//! Each reader of responses here reads it in this way, whatever its HTTP library makes of it.

/// It announces nothing that can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the content-length is invalid")]
pub(crate) struct Invalid;

/// The length, after one more value of `content-length`. It may be repeated if the values are
/// equal.
pub(crate) fn announced(known: Option<u64>, value: &[u8]) -> Result<Option<u64>, Invalid> {
    let mut length = known;
    for digits in value.split(|byte| *byte == b',') {
        let next = number(digits.trim_ascii()).ok_or(Invalid)?;
        if length.replace(next).is_some_and(|other| other != next) {
            return Err(Invalid);
        }
    }
    Ok(length)
}

/// Digits and nothing else, not even a sign.
fn number(digits: &[u8]) -> Option<u64> {
    let is_number = digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_and_may_be_repeated() {
        for (values, expected) in [
            (&["5"] as &[&str], Ok(Some(5))),
            (&["05"], Ok(Some(5))),
            (&["5, 5", " 5"], Ok(Some(5))),
            (&[], Ok(None)),
            (&["+5"], Err(Invalid)),
            (&["-5"], Err(Invalid)),
            (&["0x5"], Err(Invalid)),
            (&["5 5"], Err(Invalid)),
            (&["5,"], Err(Invalid)),
            (&[""], Err(Invalid)),
            (&["5", "6"], Err(Invalid)),
            (&["5, 6"], Err(Invalid)),
            (&["99999999999999999999"], Err(Invalid)),
        ] {
            let mut values_of = values.iter().map(|value| value.as_bytes());
            assert_eq!(values_of.try_fold(None, announced), expected, "{values:?}");
        }
    }
}
