//! `flag-client compare`, and the comparison with a baseline.

use std::path::PathBuf;

use anyhow::bail;
use flag_client::report::json::ReadError;
use flag_client::report::{json, markdown, table};
use flag_client::result::compare::differences;
use flag_client::result::{Comparison, Measurement};

use crate::args::{CompareArgs, ComparingArgs, ComparisonFormat};
use crate::exit::{REGRESSED, Usage};
use crate::terminal::say;

/// An older result to compare with, and how.
pub(crate) struct Baseline {
    file: PathBuf,
    measurement: Measurement,
    /// The change that counts as none, as a share.
    margin: f64,
    /// Whether to compare what was not the same job, scenario or seed.
    anyway: bool,
}

impl Baseline {
    /// Reads it.
    ///
    /// # Errors
    /// When the file is not the result of a race.
    pub(crate) fn read(file: PathBuf, comparing: ComparingArgs) -> Result<Self, ReadError> {
        Ok(Self {
            measurement: json::read(&file)?,
            file,
            margin: comparing.margin,
            anyway: comparing.anyway,
        })
    }

    /// Refuses what would not be a comparison of speed.
    pub(crate) fn check(&self, new: &Measurement) -> anyhow::Result<()> {
        let differences = differences(&self.measurement, new);
        if differences.is_empty() || self.anyway {
            return Ok(());
        }
        bail!(Usage(format!(
            "{} is of another measurement, so the times mean nothing to each other; measure the same, or compare with --anyway:\n  {}",
            self.file.display(),
            differences.join("\n  ")
        )))
    }

    /// The comparison of a newer result with it.
    pub(crate) fn compare(&self, new: &Measurement) -> Comparison {
        Comparison::of(&self.measurement, new, self.margin)
    }
}

/// Compares two files.
pub(crate) fn compare(args: &CompareArgs) -> anyhow::Result<u8> {
    let old = Baseline::read(args.old.clone(), args.comparing)?;
    let new = json::read(&args.new)?;
    old.check(&new)?;
    let comparison = old.compare(&new);
    if comparison.series.is_empty() {
        bail!(Usage(format!(
            "{} and {} share no contender with complete rounds: there is nothing to compare",
            args.old.display(),
            args.new.display()
        )));
    }
    say(&match args.format {
        ComparisonFormat::Json => json::comparison(&comparison),
        ComparisonFormat::Markdown => markdown::comparison(&comparison),
        ComparisonFormat::Text => table::comparison(&comparison),
    });
    Ok(exit_code(&comparison))
}

/// 99 if something is slower.
pub(crate) fn exit_code(comparison: &Comparison) -> u8 {
    if comparison.is_slower() { REGRESSED } else { 0 }
}
