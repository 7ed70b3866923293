//! `flag-client compare`, and the comparison with a baseline.

use std::path::Path;

use crate::args::{CompareArgs, ComparingArgs, Format};
use anyhow::bail;
use flag_client::report::{json, markdown, table};
use flag_client::result::Measurement;
use flag_client::result::compare::{Comparison, differences};

use crate::{REGRESSED, Usage, say};

/// Compares two files.
pub(crate) fn compare(args: &CompareArgs) -> anyhow::Result<u8> {
    let (old, new) = (json::read(&args.old)?, json::read(&args.new)?);
    may_be_compared(&old, &new, args.comparing, &args.old)?;
    let comparison = Comparison::of(&old, &new, args.comparing.margin);
    if comparison.lanes.is_empty() {
        bail!(Usage(format!(
            "{} and {} have no complete round of the same lane: there is nothing to compare",
            args.old.display(),
            args.new.display()
        )));
    }
    say(&match args.format {
        Format::Json => json::comparison(&comparison),
        Format::Markdown => markdown::comparison(&comparison),
        Format::Text | Format::Csv => table::comparison(&comparison),
    });
    Ok(exit_code(&comparison))
}

/// 99 if something is slower.
pub(crate) fn exit_code(comparison: &Comparison) -> u8 {
    if comparison.is_slower() { REGRESSED } else { 0 }
}

/// Refuses what would not be a comparison of speed.
pub(crate) fn may_be_compared(
    old: &Measurement,
    new: &Measurement,
    args: ComparingArgs,
    file: &Path,
) -> anyhow::Result<()> {
    let differences = differences(old, new);
    if differences.is_empty() || args.anyway {
        return Ok(());
    }
    bail!(Usage(format!(
        "{} is of another measurement, so the times mean nothing to each other; measure the same, or compare with --anyway:\n  {}",
        file.display(),
        differences.join("\n  ")
    )))
}
