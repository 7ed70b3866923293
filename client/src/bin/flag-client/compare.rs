//! `flag-client compare`, and the comparison with a baseline.

use std::path::PathBuf;

use anyhow::{Context, bail};
use flag_client::report::json::ReadError;
use flag_client::report::{json, markdown, table};
use flag_client::result::compare::differences;
use flag_client::result::{Comparison, Measurement};

use crate::args::{CompareArgs, ComparingArgs, ComparisonFormat};
use crate::exit::{FAILED, REGRESSED, Usage};
use crate::terminal::say;

/// A result and the file that it is in.
struct Saved {
    file: PathBuf,
    measurement: Measurement,
}

impl Saved {
    fn read(file: PathBuf) -> Result<Self, ReadError> {
        Ok(Self {
            measurement: json::read(&file)?,
            file,
        })
    }
}

/// An older result to compare with, and how.
pub(crate) struct Baseline {
    saved: Saved,
    comparing: ComparingArgs,
}

impl Baseline {
    /// Reads it.
    ///
    /// # Errors
    /// When the file is not the result of a race.
    pub(crate) fn read(file: PathBuf, comparing: ComparingArgs) -> Result<Self, ReadError> {
        Ok(Self {
            saved: Saved::read(file)?,
            comparing,
        })
    }

    /// Refuses what would not be a comparison of speed.
    pub(crate) fn check(&self, new: &Measurement) -> anyhow::Result<()> {
        check(&self.saved, new, self.comparing.anyway)
    }

    /// The comparison of a newer result with it.
    pub(crate) fn compare(&self, new: &Measurement) -> Comparison {
        Comparison::of(&[&self.saved.measurement], &[new], self.comparing.margin)
    }
}

/// Refuses what would not be a comparison of speed.
fn check(saved: &Saved, other: &Measurement, anyway: bool) -> anyhow::Result<()> {
    let differences = differences(&saved.measurement, other);
    if differences.is_empty() || anyway {
        return Ok(());
    }
    bail!(Usage(format!(
        "{} is of another measurement, so the times mean nothing to each other; measure the same, or compare with --anyway:\n  {}",
        saved.file.display(),
        differences.join("\n  ")
    )))
}

/// The results in these files, and in the files that end with `.json` in these folders, in the
/// order of their names.
fn results(paths: &[PathBuf]) -> anyhow::Result<Vec<Saved>> {
    let mut all = Vec::new();
    for path in paths {
        if !path.is_dir() {
            all.push(Saved::read(path.clone())?);
            continue;
        }
        let unreadable = || format!("{}: cannot be read", path.display());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(path).with_context(unreadable)? {
            files.push(entry.with_context(unreadable)?.path());
        }
        files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
        files.sort();
        if files.is_empty() {
            bail!(Usage(format!(
                "{}: has no file that ends with .json; name a folder with results",
                path.display()
            )));
        }
        for file in files {
            all.push(Saved::read(file)?);
        }
    }
    Ok(all)
}

/// Compares older results with newer ones.
pub(crate) fn compare(args: &CompareArgs) -> anyhow::Result<u8> {
    let read = |paths, option| match args.both.is_empty() {
        true => results(paths).context(option),
        false => results(paths), // by position
    };
    let (old, new) = (read(args.older(), "--old")?, read(args.newer(), "--new")?);
    let (first, others) = old.split_first().context("clap wants one")?;
    for other in others.iter().chain(&new) {
        check(first, &other.measurement, args.comparing.anyway)?;
    }
    let comparison = Comparison::of(
        &measurements(&old),
        &measurements(&new),
        args.comparing.margin,
    );
    if comparison.series.is_empty() {
        bail!(Usage(
            "the results have no complete round of the same contender: there is nothing to compare"
                .to_owned()
        ));
    }
    say(&match args.format {
        ComparisonFormat::Json => json::comparison(&comparison),
        ComparisonFormat::Markdown => markdown::comparison(&comparison),
        ComparisonFormat::Text => table::comparison(&comparison),
    });
    Ok(exit_code(&comparison))
}

fn measurements(results: &[Saved]) -> Vec<&Measurement> {
    results.iter().map(|result| &result.measurement).collect()
}

/// 99 if something is slower, 1 if something did not do the job.
pub(crate) fn exit_code(comparison: &Comparison) -> u8 {
    match (comparison.is_slower(), comparison.has_failed()) {
        (true, _) => REGRESSED,
        (false, true) => FAILED,
        (false, false) => 0,
    }
}
