//! What is kept of each attempt at each code.

use std::collections::{BTreeMap, HashMap};

use flags_data::CountryCode;

/// A value for each attempt at each code.
///
/// The two are never one key: optimised, rustc 1.95 packs a pair of a code and a `u32` into one
/// register, adds what was left in its upper half to the `u32`, and so looks for another attempt.
#[derive(Debug)]
pub(crate) struct AttemptTable<T>(HashMap<CountryCode, BTreeMap<u32, T>>);

impl<T> AttemptTable<T> {
    pub(crate) fn new() -> Self {
        Self(HashMap::new())
    }

    pub(crate) fn get(&self, code: CountryCode, attempt: u32) -> Option<&T> {
        self.0.get(&code)?.get(&attempt)
    }

    /// The value that is there, or else this one.
    pub(crate) fn get_or_insert(&mut self, code: CountryCode, attempt: u32, value: T) -> &T {
        let attempts = self.0.entry(code).or_default();
        attempts.entry(attempt).or_insert(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the codes and numbers of a job: what an optimised build gets wrong, it gets wrong here.
    #[test]
    fn every_attempt_is_found_again() {
        let codes: Vec<CountryCode> = CountryCode::every().collect();
        let mut table = AttemptTable::new();
        for (index, &code) in codes.iter().enumerate() {
            for attempt in 1..=3 {
                table.get_or_insert(code, attempt, (index, attempt));
                table.get_or_insert(code, attempt, (0, 0));
            }
        }
        for (index, &code) in codes.iter().enumerate() {
            for attempt in 1..=3 {
                assert_eq!(table.get(code, attempt), Some(&(index, attempt)), "{code}");
            }
            assert_eq!(table.get(code, 4), None);
        }
    }
}
