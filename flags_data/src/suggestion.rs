//! What a misspelt word may mean.

/// How alike two words must be, as clap has it for options and sub-commands.
const ALIKE: f64 = 0.7;

/// ` (did you mean X?)` for the candidate that is most like the word, whatever its case; nothing if
/// none is.
///
/// ```
/// use flags_data::did_you_mean;
///
/// assert_eq!(did_you_mean("Dealy", ["delay", "error"]), " (did you mean delay?)");
/// assert_eq!(did_you_mean("x", ["delay", "error"]), "");
/// ```
#[must_use]
pub fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> String {
    closest(word, candidates).map_or_else(String::new, |found| format!(" (did you mean {found}?)"))
}

/// The candidate that is most like the word, if one is.
#[must_use]
pub fn closest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    closest_above(ALIKE, word, candidates)
}

/// The candidate that is most like the word, if one is more alike than this.
pub(crate) fn closest_above<'c>(
    alike: f64,
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let word = word.to_lowercase();
    let candidates = candidates.into_iter();
    let rated = candidates.map(|candidate| (likeness(&word, &candidate.to_lowercase()), candidate));
    let (_, closest) = (rated.filter(|(likeness, _)| *likeness > alike))
        .max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    Some(closest)
}

fn likeness(word: &str, candidate: &str) -> f64 {
    // Jaro does not see that two letters of a short word are swapped.
    let is_one_slip = word.len() > 2 && strsim::osa_distance(word, candidate) <= 1;
    let jaro = strsim::jaro(word, candidate);
    if is_one_slip { jaro.max(0.9) } else { jaro }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slip_is_forgiven_in_a_short_word() {
        let commands = ["get", "bench", "sweep", "load"];
        for (word, meant) in [
            ("gte", Some("get")),
            ("benhc", Some("bench")),
            ("LAOD", Some("load")),
            ("sweeep", Some("sweep")),
            ("x", None),
            ("", None),
            ("BR", None),
        ] {
            assert_eq!(closest(word, commands), meant, "{word}");
        }
    }
}
