//! Reading TOML key by key: every problem of a text at once, each with its line, key and remedy.
//! Written by hand on top of the toml crate's parser, because serde stops at the first problem and
//! knows no remedy.
//!
//! It knows tables, keys and the forms of values, and nothing of what they mean.

use std::fmt;
use std::time::Duration;

use flags_data::did_you_mean;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::Fault;

/// A value of the text, with its place.
pub type Value<'v> = Spanned<DeValue<'v>>;

/// The most problems of a text that are listed.
const MAX_PROBLEMS: usize = 1000;

/// One problem of a text, with its remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line of the text, counted from 1.
    pub line: usize,
    /// The key, from the root of the file; empty for a syntax error.
    pub key: String,
    /// What is wrong with it, and the remedy.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key[..] {
            "" => write!(f, "line {}: {}", self.line, self.message),
            key => write!(f, "line {}: {key}: {}", self.line, self.message),
        }
    }
}

/// Reads a whole text with `read`, which returns `None` only where it noted a problem.
pub fn read_text<T>(
    text: &str,
    read: impl FnOnce(&mut Section<'_, '_>) -> Option<T>,
) -> Result<T, Vec<Problem>> {
    let mut problems = Problems {
        line_ends: text.match_indices('\n').map(|(end, _)| end).collect(),
        found: Vec::new(),
    };
    let (root, syntax) = DeTable::parse_recoverable(text);
    for error in syntax {
        problems.add(
            error.span().map_or(0, |span| span.start),
            "",
            error.message(),
        );
    }
    // After a syntax error the parser guesses: only correct TOML is read further.
    let read = if problems.found.is_empty() {
        read(&mut Section::new(
            root.get_ref(),
            0,
            String::new(),
            &mut problems,
        ))
    } else {
        None
    };
    match read {
        Some(read) if problems.found.is_empty() => Ok(read),
        _ => {
            problems.found.sort_by_key(|problem| problem.line);
            Err(problems.found)
        }
    }
}

/// Whether the text has this key at its root, even if the rest of it is wrong.
pub fn has_key(text: &str, key: &str) -> bool {
    let (root, _) = DeTable::parse_recoverable(text);
    root.get_ref().contains_key(key)
}

/// The problems found so far in one text.
struct Problems {
    /// The places of the line ends of the text.
    line_ends: Vec<usize>,
    found: Vec<Problem>,
}

impl Problems {
    fn add(&mut self, at: usize, key: &str, message: &str) {
        if self.found.len() > MAX_PROBLEMS {
            return;
        }
        let is_last = self.found.len() == MAX_PROBLEMS;
        let (key, message) = match is_last {
            true => ("", "there are more problems: correct these first"),
            false => (key, message),
        };
        let line = 1 + self.line_ends.partition_point(|end| *end < at);
        self.found.push(Problem {
            line,
            key: key.to_owned(),
            message: message.to_owned(),
        });
    }
}

/// One table of the file, read key by key; keys that were not read are refused at the end.
pub struct Section<'v, 'p> {
    table: &'v DeTable<'v>,
    /// Where the table starts, for what is missing from it.
    at: usize,
    /// The key of the table with a dot behind it, or nothing for the root.
    path: String,
    known: Vec<&'static str>,
    /// Whether its keys are free, or mean nothing.
    accepts_the_rest: bool,
    problems: &'p mut Problems,
}

impl<'v, 'p> Section<'v, 'p> {
    fn new(table: &'v DeTable<'v>, at: usize, path: String, problems: &'p mut Problems) -> Self {
        Self {
            table,
            at,
            path,
            known: Vec::new(),
            accepts_the_rest: false,
            problems,
        }
    }

    /// Whether the key is there, with any value.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether the key is there, with any array.
    pub fn is_array(&self, key: &str) -> bool {
        self.table
            .get(key)
            .is_some_and(|value| value.get_ref().as_array().is_some())
    }

    /// The key's value, if it is there and reads well; a problem if it does not.
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'v Value<'v>) -> Result<T, String>,
    ) -> Option<T> {
        self.known.push(key);
        let value = self.table.get(key)?;
        read(value)
            .map_err(|message| self.refuse(key, &message))
            .ok()
    }

    /// As [`optional`](Self::optional), except that a missing key is a problem.
    pub fn required<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&'v Value<'v>) -> Result<T, String>,
    ) -> Option<T> {
        if !self.has(key) {
            self.known.push(key);
            self.refuse_missing(key, "is missing: add it");
            return None;
        }
        self.optional(key, read)
    }

    /// The table under a key, read by `read`; `None` if it is not there, or a problem was noted.
    pub fn table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'v, '_>) -> Option<T>,
    ) -> Option<T> {
        let (table, at) = self.optional(key, inline_table)?;
        let path = format!("{}{key}.", self.path);
        let mut section = Section::new(table, at, path, self.problems);
        let result = read(&mut section);
        section.refuse_the_rest();
        result
    }

    /// As [`table`](Self::table), except that a missing table is a problem.
    pub fn required_table<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'v, '_>) -> Option<T>,
    ) -> Option<T> {
        if !self.has(key) {
            self.known.push(key);
            self.refuse_missing(key, "is missing: add it");
            return None;
        }
        self.table(key, read)
    }

    /// The tables of the array under a key, each read by `read`, which gets the place of the table
    /// too. Those that were refused are missing.
    pub fn tables<T>(
        &mut self,
        key: &'static str,
        remedy: &str,
        mut read: impl FnMut(&mut Section<'v, '_>, usize) -> Option<T>,
    ) -> Vec<T> {
        let tables = self.optional(key, |value| {
            let array = value.get_ref().as_array().ok_or(remedy)?;
            array
                .iter()
                .map(|item| inline_table(item).map_err(|_| remedy.to_owned()))
                .collect::<Result<Vec<_>, _>>()
        });
        let tables = tables.unwrap_or_default().into_iter().enumerate();
        tables
            .filter_map(|(index, (table, at))| {
                let path = format!("{}{key}[{}].", self.path, index + 1);
                let mut section = Section::new(table, at, path, self.problems);
                let result = read(&mut section, index);
                section.refuse_the_rest();
                result
            })
            .collect()
    }

    /// Each key of the table with its text, for tables whose keys are free.
    pub fn texts(&mut self) -> Vec<(&'v str, String)> {
        let table = self.table;
        let mut texts = Vec::new();
        for (key, value) in table {
            let key: &str = key.get_ref();
            match text(value) {
                Ok(text) => texts.push((key, text)),
                Err(message) => self.refuse(key, &message),
            }
        }
        self.accepts_the_rest = true;
        texts
    }

    /// Notes a problem with a key that is there.
    pub fn refuse(&mut self, key: &str, message: &str) {
        let at = self
            .table
            .get(key)
            .map_or(self.at, |value| value.span().start);
        self.problems
            .add(at, &format!("{}{key}", self.path), message);
    }

    /// Notes a problem with a key that is not there.
    pub fn refuse_missing(&mut self, key: &str, message: &str) {
        self.problems
            .add(self.at, &format!("{}{key}", self.path), message);
    }

    /// Notes a problem with the table as a whole.
    pub fn refuse_table(&mut self, message: &str) {
        self.problems
            .add(self.at, self.path.trim_end_matches('.'), message);
    }

    /// An error in building something from the values is a problem of the table.
    pub fn built<T, E: fmt::Display>(&mut self, built: Result<T, E>) -> Option<T> {
        built
            .map_err(|error| self.refuse_table(&error.to_string()))
            .ok()
    }

    /// `None`, and a problem, unless exactly one of these keys is there.
    pub fn exactly_one(&mut self, keys: &[&str]) -> Option<()> {
        if keys.iter().filter(|key| self.has(key)).count() == 1 {
            return Some(());
        }
        self.refuse_table(&format!("give exactly one of {}", keys.join(", ")));
        None
    }

    /// Keys that were not read are accepted.
    pub fn accept_the_rest(&mut self) {
        self.accepts_the_rest = true;
    }

    /// Notes every key that was not read.
    pub fn refuse_the_rest(&mut self) {
        if self.accepts_the_rest {
            return;
        }
        for key in self.table.keys() {
            let name: &str = key.get_ref();
            if !self.known.contains(&name) {
                let message = format!(
                    "unknown key{}: remove it, or use one of {}",
                    did_you_mean(name, self.known.iter().copied()),
                    self.known.join(", ")
                );
                self.problems
                    .add(key.span().start, &format!("{}{name}", self.path), &message);
            }
        }
    }
}

/// The text of a value.
///
/// # Errors
/// With the remedy.
pub fn text(value: &Value<'_>) -> Result<String, String> {
    let found = value.get_ref().as_str().ok_or("give a text in quotes")?;
    Ok(found.to_owned())
}

/// One text, or several in brackets.
pub fn texts(value: &Value<'_>) -> Result<Vec<String>, String> {
    let remedy = "give a text in quotes, or several in brackets";
    let found = match value.get_ref() {
        DeValue::Array(items) => items.iter().map(text).collect(),
        _ => text(value).map(|one| vec![one]),
    };
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or(remedy.to_owned())
}

pub(super) fn boolean(value: &Value<'_>) -> Result<bool, String> {
    let found = value.get_ref().as_bool();
    found.ok_or("give true or false, without quotes".to_owned())
}

pub(super) fn integer(value: &Value<'_>) -> Result<i64, String> {
    let found = value.get_ref().as_integer();
    found
        .and_then(|int| i64::from_str_radix(int.as_str(), int.radix()).ok())
        .ok_or("give a whole number".to_owned())
}

/// The whole number, from 0, of a value.
///
/// # Errors
/// With the remedy.
pub fn unsigned(value: &Value<'_>) -> Result<u64, String> {
    let found = value.get_ref().as_integer();
    let found = found.and_then(|int| i128::from_str_radix(int.as_str(), int.radix()).ok());
    let remedy = "give a whole number that is not negative";
    match found.map(u64::try_from) {
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) if found > Some(0) => Err(format!("give a number up to {}", u64::MAX)),
        Some(Err(_)) => Err(remedy.to_owned()),
        None => Err("give a whole number".to_owned()),
    }
}

/// A whole number from 1 to `max`.
pub(super) fn count(value: &Value<'_>, max: u32) -> Result<std::num::NonZeroU32, String> {
    let found = u32::try_from(integer(value)?)
        .ok()
        .filter(|found| *found <= max);
    found
        .and_then(std::num::NonZeroU32::new)
        .ok_or_else(|| format!("give a whole number from 1 to {max}"))
}

pub(super) fn number(value: &Value<'_>) -> Result<f64, String> {
    let found = match value.get_ref() {
        DeValue::Float(float) => float.as_str().parse().ok(),
        DeValue::Integer(int) => int.as_str().parse().ok(),
        _ => None,
    };
    found.ok_or("give a number".to_owned())
}

pub(super) fn duration(value: &Value<'_>) -> Result<Duration, String> {
    parse_duration(
        &text(value)
            .map_err(|_| "give a duration with its unit in quotes, like \"250ms\" or \"1.5s\"")?,
    )
}

/// A duration as files and flags have it: with its unit, and no longer than
/// [`Fault::MAX_DURATION`].
///
/// # Errors
/// With the remedy.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let remedy = "give a duration with its unit, like \"250ms\" or \"1.5s\"";
    if text.is_empty() {
        return Err(remedy.to_owned());
    }
    let found = humantime::parse_duration(text)
        .map_err(|_| format!("invalid duration {text:?}: {remedy}"))?;
    if found > Fault::MAX_DURATION {
        Err(format!("{text} is more than a day: check its unit"))
    } else {
        Ok(found)
    }
}

pub(super) fn size(value: &Value<'_>) -> Result<u64, String> {
    let found = text(value)
        .map_err(|_| "give a size with its unit in quotes, like \"1000B\" or \"32KiB\"")?;
    parse_size(&found)
}

/// A number of bytes as files and flags have it: with its unit.
///
/// # Errors
/// With the remedy.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let has_unit = text.ends_with(['B', 'b']);
    let size = text.parse::<bytesize::ByteSize>().ok().filter(|_| has_unit);
    size.map(|size| size.as_u64()).ok_or_else(|| {
        format!("invalid size {text:?}: give a size with its unit, like \"1000B\" or \"32KiB\"")
    })
}

fn inline_table<'v>(value: &'v Value<'v>) -> Result<(&'v DeTable<'v>, usize), String> {
    let table = value
        .get_ref()
        .as_table()
        .ok_or("give a table: { key = value }")?;
    Ok((table, value.span().start))
}
