//! Any list of words is refused or selects codes that are sorted, unique and not too many.
#![no_main]

use flags_data::selection::{CodeArg, Selection, select};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (Vec<String>, usize)| {
    let (words, limit) = input;
    let parsed: Result<Vec<CodeArg>, _> = words.iter().map(|word| word.parse()).collect();
    if let Ok(args) = parsed {
        let codes = select(&Selection::Named(args), limit);
        assert!(codes.len() <= limit && codes.len() <= 676);
        assert!(codes.windows(2).all(|pair| pair[0] < pair[1]));
    }
});
