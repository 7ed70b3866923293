//! Which flags: the book's letters.

use std::num::NonZeroUsize;

use clap::Args;
use flags_data::CountryCode;
use flags_data::selection::{CodeArg, Selection, select};

use crate::values::at_least_one;

/// Which flags: the book's letters.
#[derive(Debug, Clone, Args)]
pub struct SelectionArgs {
    /// Country codes or first letters (B: BA to BZ). [default: the 20 most populous countries]
    #[arg(value_name = "CC")]
    pub codes: Vec<CodeArg>,

    /// All available flags (AD to ZW).
    #[arg(short, long, conflicts_with = "every")]
    pub all: bool,

    /// Every possible code (AA to ZZ).
    #[arg(short, long)]
    pub every: bool,

    /// Only the first N of the codes.
    #[arg(short, long, value_name = "N", allow_negative_numbers = true, value_parser = at_least_one)]
    pub limit: Option<NonZeroUsize>,
}

impl SelectionArgs {
    /// Whether whole ranges of codes are meant, so that some, or all, may have no flag.
    pub fn may_be_without_flags(&self) -> bool {
        let is_letter = |code: &CodeArg| matches!(code, CodeArg::Letter(_));
        self.every || self.codes.iter().any(is_letter)
    }

    /// The codes that are meant, in alphabetical order.
    pub fn codes(&self) -> Vec<CountryCode> {
        let selection = if self.every {
            Selection::Every
        } else if self.all {
            Selection::All
        } else {
            Selection::Named(self.codes.clone())
        };
        select(&selection, self.limit.map_or(usize::MAX, NonZeroUsize::get))
    }
}
