//! The one JSON document of a measurement, its schema, and how it is read again.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::Path;

use flag_cli::drives_terminal;
use flag_scenario::file::read_limited;
use flag_scenario::forecast::Forecast;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::ser::Formatter;
use thiserror::Error;

use crate::result::{Comparison, LoadResult, Measurement, Report, SCHEMA_VERSION};

/// What `flag-client` writes as JSON.
#[derive(JsonSchema)]
#[schemars(untagged, title = "What flag-client writes as JSON")]
#[expect(dead_code, reason = "only its schema is used")]
enum Shapes {
    Measured(Box<Report>),
    Loaded(Box<LoadResult>),
    Compared(Comparison),
    Planned(Forecast),
}

/// Writes it.
///
/// # Errors
/// Those of `out`.
pub fn write(report: &Report, mut out: impl Write) -> io::Result<()> {
    report.serialize(&mut serde_json::Serializer::with_formatter(
        &mut out, Escaped,
    ))?;
    out.write_all(b"\n")
}

/// A document without line breaks, in which no text drives a terminal: JSON has escapes for all
/// characters, and needs them for some only.
struct Escaped;

impl Formatter for Escaped {
    fn write_string_fragment<W: Write + ?Sized>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        out.write_all(escaped(fragment).as_bytes())
    }
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(drives_terminal) {
        return text.into();
    }
    // All of them are in the first plane, so that each is one unit of UTF-16.
    let shown = text.chars().map(|c| match c {
        c if drives_terminal(c) => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    shown.collect::<String>().into()
}

/// A document for people.
fn pretty(document: &impl Serialize) -> String {
    let text = serde_json::to_string_pretty(document).expect("texts and numbers can be written");
    let lines: Vec<Cow<'_, str>> = text.lines().map(escaped).collect();
    lines.join("\n") + "\n"
}

/// The result of a load as JSON.
pub fn load(result: &LoadResult) -> String {
    pretty(result)
}

/// A comparison as JSON.
pub fn comparison(comparison: &Comparison) -> String {
    pretty(comparison)
}

/// The JSON Schema (draft 2020-12) of everything that `flag-client` writes as JSON.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Shapes);
    serde_json::to_string_pretty(&schema).expect("a schema can be written") + "\n"
}

/// The largest result that is read, in bytes.
const MAX_RESULT: u64 = 256 << 20;

fn smaller(reason: &io::Error) -> &'static str {
    match reason.kind() {
        io::ErrorKind::FileTooLarge => "smaller ",
        _ => "",
    }
}

/// Why a file is not a result.
#[derive(Debug, Error)]
pub enum ReadError {
    /// It cannot be read.
    #[error(
        "{path}: cannot be read ({reason}); name a {}file that --export-json has written",
        smaller(reason)
    )]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        reason: io::Error,
    },
    /// It is not a result.
    #[error(
        "{path}: not a result of flag-client ({reason}); name a file that --export-json has written"
    )]
    NotAResult {
        /// The file.
        path: String,
        /// The reason, from the parser.
        reason: serde_json::Error,
    },
    /// It has another schema version.
    #[error(
        "{path}: has schema_version {found}, and this flag-client reads {SCHEMA_VERSION}; read it with the version that wrote it"
    )]
    OtherVersion {
        /// The file.
        path: String,
        /// The version it has.
        found: u32,
    },
    /// It is the result of a load.
    #[error(
        "{0}: is the result of a load; name one of get, bench or sweep, or read this one with report"
    )]
    Load(String),
}

/// A result that was read from a file.
#[derive(Debug)]
pub enum Written {
    /// By `get`, `bench` or `sweep`.
    Measurement(Box<Measurement>),
    /// By `load`.
    Load(Box<LoadResult>),
}

/// Reads the result of a race.
///
/// # Errors
/// When there is no such file, or it is not the result of a race in this version.
pub fn read(path: &Path) -> Result<Measurement, ReadError> {
    match read_any(path)? {
        Written::Measurement(measurement) => Ok(*measurement),
        Written::Load(_) => Err(ReadError::Load(path.display().to_string())),
    }
}

/// Reads any result.
///
/// # Errors
/// When there is no such file, or it is not a result in this version.
pub fn read_any(path: &Path) -> Result<Written, ReadError> {
    #[derive(Deserialize)]
    struct Versioned {
        schema_version: u32,
        // A later version may name its kinds differently.
        kind: Option<String>,
    }
    let shown = || path.display().to_string();
    let not_a_result = |reason| ReadError::NotAResult {
        path: shown(),
        reason,
    };
    let text = read_limited(path, MAX_RESULT).map_err(|reason| ReadError::Unreadable {
        path: shown(),
        reason,
    })?;
    let Versioned {
        schema_version,
        kind,
    } = serde_json::from_str(&text).map_err(not_a_result)?;
    if schema_version != SCHEMA_VERSION {
        return Err(ReadError::OtherVersion {
            path: shown(),
            found: schema_version,
        });
    }
    Ok(if kind.as_deref() == Some("load") {
        Written::Load(serde_json::from_str(&text).map_err(not_a_result)?)
    } else {
        Written::Measurement(serde_json::from_str(&text).map_err(not_a_result)?)
    })
}
