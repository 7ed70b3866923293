//! What is printed of a result, and whether its thresholds are met.

use std::io::{self, Write};

use anyhow::bail;
use flag_cli::complain;
use flag_client::report::{csv, json, load, markdown, table};
use flag_client::result::threshold::{self, Checked, Judgement, Threshold};
use flag_client::result::{LoadResult, Report};

use crate::args::{Format, OutputArgs};
use crate::exit::Usage;
use crate::export::ExportManager;
use crate::terminal::{check_printed, say};

/// What becomes of a result.
pub(crate) struct Output {
    format: Format,
    /// Whether text is left out.
    pub(crate) is_quiet: bool,
    /// What must hold.
    pub(crate) thresholds: Vec<Threshold>,
    /// Whether a threshold that is undecided fails.
    is_strict: bool,
    /// The files that it is written to.
    pub(crate) exports: ExportManager,
}

impl Output {
    /// What these options mean, with these files.
    pub(crate) fn new(args: &OutputArgs, exports: ExportManager) -> Self {
        Self {
            format: args.format,
            is_quiet: args.quiet,
            thresholds: args.thresholds.clone(),
            is_strict: args.strict,
            exports,
        }
    }

    /// Whether text is printed.
    pub(crate) fn prints_text(&self) -> bool {
        self.format == Format::Text && !self.is_quiet
    }

    /// Whether standard output is for text, be it printed or not.
    pub(crate) fn is_text(&self) -> bool {
        self.format == Format::Text
    }

    /// Refuses a form that holds one result only.
    pub(crate) fn check_several(&self, remedy: &str) -> anyhow::Result<()> {
        if matches!(self.format, Format::Json | Format::Csv) {
            bail!(Usage(format!("--format: prints one result; {remedy}")));
        }
        Ok(())
    }

    /// Prints a result in the form that is asked for; `text` is how it looks as text.
    pub(crate) fn print(&self, report: &Report, text: &str) {
        let written = |write: &dyn Fn(&mut dyn Write) -> io::Result<()>| {
            let mut out = io::stdout().lock();
            check_printed(write(&mut out).and_then(|()| out.flush()));
        };
        match self.format {
            Format::Text if self.is_quiet => {}
            Format::Text => say(text),
            Format::Json => written(&|out| json::write(report, out)),
            Format::Markdown => {
                let checked = threshold::check(&self.thresholds, report);
                say(&markdown::whole(report, &checked));
            }
            Format::Csv => written(&|out| csv::write(&report.measurement, out)),
        }
    }

    /// Prints the result of a load.
    ///
    /// # Errors
    /// When a load has no such form.
    pub(crate) fn print_load(&self, result: &LoadResult) -> anyhow::Result<()> {
        match self.format {
            Format::Json => say(&json::load(result)),
            Format::Text if self.is_quiet => {}
            Format::Text => say(&load::whole(result)),
            Format::Markdown | Format::Csv => bail!(Usage(
                "--format: a load can be printed as text or as json".to_owned()
            )),
        }
        Ok(())
    }

    /// Prints how the thresholds ended, and returns whether the build may pass.
    pub(crate) fn judge(&self, report: &Report) -> bool {
        let checked = threshold::check(&self.thresholds, report);
        let passes = print_thresholds(&checked, self.prints_text());
        let is_undecided = |one: &Checked| one.judgement() == Judgement::Undecided;
        passes && !(self.is_strict && checked.iter().any(is_undecided))
    }
}

/// Prints how thresholds ended, quietly only those that are not met; returns whether none has
/// failed.
pub(crate) fn print_thresholds(checked: &[Checked], prints_text: bool) -> bool {
    for one in checked {
        let line = table::threshold(one);
        if prints_text {
            say(&line);
        } else if one.judgement() != Judgement::Met {
            complain(&line);
        }
    }
    !checked.iter().any(|one| one.judgement().fails())
}
