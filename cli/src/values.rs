//! The values of options, with errors that say what to write instead.

use std::fmt::Display;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A whole number in this range.
pub fn whole_number<T>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = text.parse().ok();
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let (least, most) = (range.start(), range.end());
                format!("give a whole number from {least} to {most}")
            })
    }
}

/// A whole number from 1 up.
///
/// # Errors
/// With the remedy.
pub fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| "give a whole number from 1 up".to_owned())
}

/// A number that chance depends on.
///
/// # Errors
/// With the remedy.
pub fn seed(text: &str) -> Result<u64, String> {
    whole_number(0..=u64::MAX)(text)
}

/// An IP address.
///
/// # Errors
/// With the remedy.
pub fn address(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| "give an IP address, such as 127.0.0.1 or ::1".to_owned())
}
