//! Which codes are meant: the book's rules for `CC…`, `--all`, `--every` and `--limit`.

use std::str::FromStr;

use crate::suggestion::closest_above;
use crate::{Catalogue, CountryCode, POP20};
use thiserror::Error;

/// One argument of the book's programs: a code, or the first letter of 26 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeArg {
    /// `BR`.
    Code(CountryCode),
    /// `B`: `BA` to `BZ`. Always an ASCII letter.
    Letter(char),
}

/// How like the name of a country a word must be.
const SURELY: f64 = 0.85;

/// Neither a code nor a letter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("each CC must be A to Z or AA to ZZ{hint} (or a sub-command: see --help)")]
pub struct NotACode {
    /// The country whose name it resembles.
    hint: String,
}

impl NotACode {
    fn new(text: &str) -> Self {
        let catalogue = Catalogue::embedded();
        // It may be anything else, such as a sub-command.
        let names = catalogue.flags().map(|flag| &*flag.country);
        let country = closest_above(SURELY, text, names).filter(|_| text.len() > 3);
        let country = catalogue
            .flags()
            .find(|flag| Some(&*flag.country) == country);
        let hint = country.map_or_else(String::new, |flag| {
            format!(", such as {} for {}", flag.code, flag.country)
        });
        Self { hint }
    }
}

impl FromStr for CodeArg {
    type Err = NotACode;

    fn from_str(text: &str) -> Result<Self, NotACode> {
        match text.as_bytes() {
            [letter] if letter.is_ascii_alphabetic() => Ok(Self::Letter(char::from(*letter))),
            _ => text
                .parse()
                .map(Self::Code)
                .map_err(|_| NotACode::new(text)),
        }
    }
}

/// Where the codes come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// AA to ZZ.
    Every,
    /// Those that have a flag.
    All,
    /// These; none stands for the 20 most populous countries.
    Named(Vec<CodeArg>),
}

/// The codes, in alphabetical order and each once, and no more than `limit`.
pub fn select(selection: &Selection, limit: usize) -> Vec<CountryCode> {
    let mut codes: Vec<CountryCode> = match selection {
        Selection::Every => CountryCode::every().collect(),
        Selection::All => Catalogue::embedded().codes().collect(),
        Selection::Named(args) if args.is_empty() => POP20.to_vec(),
        Selection::Named(args) => args.iter().flat_map(|arg| expand(*arg)).collect(),
    };
    codes.sort_unstable();
    codes.dedup();
    codes.truncate(limit);
    codes
}

fn expand(arg: CodeArg) -> Vec<CountryCode> {
    match arg {
        CodeArg::Code(code) => vec![code],
        CodeArg::Letter(letter) => CountryCode::starting_with(letter)
            .map(Iterator::collect)
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(args: &[&str], limit: usize) -> String {
        let args = args.iter().map(|arg| arg.parse().unwrap()).collect();
        let codes: Vec<String> = select(&Selection::Named(args), limit)
            .iter()
            .map(ToString::to_string)
            .collect();
        codes.join(" ")
    }

    #[test]
    fn codes_are_sorted_and_unique() {
        assert_eq!(selected(&["us", "BR", "br", "Jp"], 100), "BR JP US");
        assert_eq!(selected(&["q", "QA"], 3), "QA QB QC");
    }

    #[test]
    fn without_codes_the_twenty_most_populous_countries_are_selected() {
        let pop20 = "BD BR CD CN DE EG ET FR ID IN IR JP MX NG PH PK RU TR US VN";
        assert_eq!(selected(&[], usize::MAX), pop20);
        assert_eq!(selected(&[], 2), "BD BR");
    }

    #[test]
    fn every_is_676_and_all_is_194() {
        assert_eq!(select(&Selection::Every, usize::MAX).len(), 676);
        assert_eq!(select(&Selection::All, usize::MAX).len(), 194);
    }

    #[test]
    fn anything_but_a_letter_or_a_code_is_refused() {
        for text in ["", "B1", "1", "BRA", "é", " B", "B ", "日本", "-"] {
            assert!(text.parse::<CodeArg>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_name_of_a_country_gets_its_code() {
        let refusal = |text: &str| text.parse::<CodeArg>().unwrap_err().to_string();
        assert_eq!(
            refusal("brasil"),
            "each CC must be A to Z or AA to ZZ, such as BR for Brazil (or a sub-command: see --help)"
        );
        assert_eq!(
            refusal("1"),
            "each CC must be A to Z or AA to ZZ (or a sub-command: see --help)"
        );
    }
}
