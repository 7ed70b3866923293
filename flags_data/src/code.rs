//! Country codes: decides what a well-formed code is, and not which codes are countries.
//!
//! `XX` is a code like any other here; the [catalogue](crate::Catalogue) knows whether it has a
//! flag.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

/// Letters in the alphabet, as the radix of a code.
const LETTERS: u16 = 26;

/// A well-formed country code: two upper-case ASCII letters, as in ISO 3166-1 alpha-2.
///
/// A value of this type is always well formed, so nobody who holds one checks it again. Codes order
/// alphabetically.
///
/// ```
/// use flags_data::CountryCode;
///
/// let code: CountryCode = "br".parse()?;
/// assert_eq!(code.as_str(), "BR");
/// assert_eq!(format!("{0}/{0}.gif", code.to_lowercase()), "br/br.gif");
/// # Ok::<(), flags_data::ParseCodeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CountryCode([u8; 2]);

impl CountryCode {
    /// How many codes there are, from `AA` to `ZZ`.
    pub const COUNT: usize = (LETTERS * LETTERS) as usize;

    /// The code of two letters in either case, or `None` if one of them is not an ASCII letter.
    #[must_use]
    pub const fn new(letters: [u8; 2]) -> Option<Self> {
        let [first, second] = letters;
        if first.is_ascii_alphabetic() && second.is_ascii_alphabetic() {
            Some(Self([
                first.to_ascii_uppercase(),
                second.to_ascii_uppercase(),
            ]))
        } else {
            None
        }
    }

    /// The two upper-case letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        ascii(&self.0)
    }

    /// The two letters in lower case, as in paths and file names, without an allocation.
    #[must_use]
    pub const fn to_lowercase(self) -> LowerCode {
        let Self([first, second]) = self;
        LowerCode([first.to_ascii_lowercase(), second.to_ascii_lowercase()])
    }

    /// Every well-formed code, `AA` to `ZZ`, in alphabetical order: 676 of them.
    pub fn every() -> impl ExactSizeIterator<Item = Self> + DoubleEndedIterator + Clone {
        (0..LETTERS * LETTERS).map(Self::from_index)
    }

    /// The 26 codes that begin with a letter of either case (`'B'`: `BA` to `BZ`), or `None` if it
    /// is not an ASCII letter.
    pub fn starting_with(
        letter: char,
    ) -> Option<impl ExactSizeIterator<Item = Self> + DoubleEndedIterator + Clone> {
        let letter = u8::try_from(letter)
            .ok()
            .filter(u8::is_ascii_alphabetic)?
            .to_ascii_uppercase();
        let first = u16::from(letter - b'A') * LETTERS;
        Some((first..first + LETTERS).map(Self::from_index))
    }

    /// The place of the code among [all of them](Self::every): 0 for `AA`, 675 for `ZZ`. A table of
    /// [`COUNT`](Self::COUNT) places has one for each.
    #[must_use]
    pub fn index(self) -> usize {
        let Self([first, second]) = self;
        usize::from(first - b'A') * usize::from(LETTERS) + usize::from(second - b'A')
    }

    /// The inverse of [`index`](Self::index); callers stay below [`COUNT`](Self::COUNT).
    fn from_index(index: u16) -> Self {
        let letter = |place: u16| b'A' + u8::try_from(place).expect("a place in the alphabet");
        Self([letter(index / LETTERS), letter(index % LETTERS)])
    }

    /// A code written in the source, where a mistake shall not compile.
    pub(crate) const fn literal(letters: [u8; 2]) -> Self {
        Self::new(letters).expect("two ASCII letters")
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl AsRef<str> for CountryCode {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for CountryCode {
    type Err = ParseCodeError;

    /// Accepts two ASCII letters in either case, and nothing around them.
    fn from_str(input: &str) -> Result<Self, ParseCodeError> {
        <[u8; 2]>::try_from(input.as_bytes())
            .ok()
            .and_then(Self::new)
            .ok_or_else(|| ParseCodeError {
                input: input.to_owned(),
            })
    }
}

impl Serialize for CountryCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for CountryCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Letters;

        impl Visitor<'_> for Letters {
            type Value = CountryCode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a country code of two letters, such as \"BR\"")
            }

            fn visit_str<E: serde::de::Error>(self, input: &str) -> Result<CountryCode, E> {
                input.parse().map_err(E::custom)
            }

            fn visit_borrowed_str<E: serde::de::Error>(
                self,
                input: &str,
            ) -> Result<CountryCode, E> {
                self.visit_str(input)
            }
        }

        deserializer.deserialize_str(Letters)
    }
}

/// A [`CountryCode`] in lower case: a `str` of two letters that lives on the stack.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LowerCode([u8; 2]);

impl Deref for LowerCode {
    type Target = str;

    fn deref(&self) -> &str {
        ascii(&self.0)
    }
}

impl AsRef<str> for LowerCode {
    fn as_ref(&self) -> &str {
        self
    }
}

impl fmt::Display for LowerCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

impl fmt::Debug for LowerCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

/// Some text that is not a country code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{input:?} is not a country code: write two letters from A to Z, such as BR")]
#[non_exhaustive]
pub struct ParseCodeError {
    input: String,
}

impl ParseCodeError {
    /// The text that was to be a code.
    #[must_use]
    pub fn input(&self) -> &str {
        &self.input
    }
}

fn ascii(letters: &[u8; 2]) -> &str {
    str::from_utf8(letters).expect("ASCII letters are UTF-8")
}

/// The 20 most populous countries of *Fluent Python*, most populous first.
pub const POP20: [CountryCode; 20] = [
    CountryCode::literal(*b"CN"),
    CountryCode::literal(*b"IN"),
    CountryCode::literal(*b"US"),
    CountryCode::literal(*b"ID"),
    CountryCode::literal(*b"BR"),
    CountryCode::literal(*b"PK"),
    CountryCode::literal(*b"NG"),
    CountryCode::literal(*b"BD"),
    CountryCode::literal(*b"RU"),
    CountryCode::literal(*b"JP"),
    CountryCode::literal(*b"MX"),
    CountryCode::literal(*b"PH"),
    CountryCode::literal(*b"VN"),
    CountryCode::literal(*b"ET"),
    CountryCode::literal(*b"EG"),
    CountryCode::literal(*b"DE"),
    CountryCode::literal(*b"IR"),
    CountryCode::literal(*b"TR"),
    CountryCode::literal(*b"CD"),
    CountryCode::literal(*b"FR"),
];
