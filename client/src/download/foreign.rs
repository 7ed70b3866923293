//! Names and messages of documents: anybody may have written the file, or answered the worker
//! process.

use flag_cli::one_line;
use serde::{Deserialize, Deserializer};

/// A text that is a part of a line.
pub(crate) fn line<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    String::deserialize(deserializer).map(|text| one_line(&text))
}

/// The same, if there is one.
pub(crate) fn optional_line<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.map(|text| one_line(&text)))
}
