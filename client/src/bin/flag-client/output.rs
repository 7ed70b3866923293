//! Where results go: standard output, files, and the exit code.

use std::io::{self, Write};
use std::path::Path;

use crate::args::{Format, OutputArgs};
use anyhow::{Context, bail};
use flag_client::report::{csv, json, markdown, page, plot, table};
use flag_client::result::threshold::{self, Checked};
use flag_client::result::{Analysis, Kind, Measurement};
use flag_host::{stream_atomically, write_atomically};

use crate::{Usage, say};

/// What is wrong with the options is better known before the measurement than after it.
pub(crate) fn check(args: &OutputArgs) -> anyhow::Result<()> {
    let files = [
        ("--export-json", &args.export_json),
        ("--export-csv", &args.export_csv),
        ("--export-markdown", &args.export_markdown),
        ("--report", &args.report),
        ("--plot", &args.plot),
    ];
    for (flag, file) in files {
        check_file(flag, file.as_deref())?;
    }
    if let Some(folder) = &args.out {
        make_writable("--out", folder)?;
    }
    if let Some(file) = &args.plot
        && !["svg", "png"].contains(&ending(file))
    {
        bail!(Usage(format!(
            "--plot {}: name a file that ends with .svg or .png",
            file.display()
        )));
    }
    Ok(())
}

/// A folder that cannot be written to is better known before the downloads than after them.
pub(crate) fn make_writable(flag: &str, folder: &Path) -> anyhow::Result<()> {
    let remedy = || {
        format!(
            "{flag} {}: cannot be written to; name another folder",
            folder.display()
        )
    };
    std::fs::create_dir_all(folder).with_context(remedy)?;
    let probe = folder.join(".flag-client");
    std::fs::write(&probe, b"").with_context(remedy)?;
    std::fs::remove_file(&probe).with_context(remedy)
}

/// Whether a file can be written there.
pub(crate) fn check_file(flag: &str, file: Option<&Path>) -> anyhow::Result<()> {
    let Some(file) = file else { return Ok(()) };
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) || file.is_dir() {
        bail!(Usage(format!(
            "{flag} {}: name a file in a folder that exists",
            file.display()
        )));
    }
    Ok(())
}

/// A result under the name that it has in a page and as a file.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) measurement: Measurement,
    pub(crate) analysis: Analysis,
}

impl Named {
    /// What a page calls it.
    fn title(&self) -> String {
        let what = match self.measurement.kind {
            Kind::Get => "Downloads",
            Kind::Bench => "A race of downloads",
            Kind::Sweep => "A sweep of downloads",
        };
        format!("{what}: {}", self.name)
    }
}

/// Of several results only a page or a folder holds all.
pub(crate) fn check_single(args: &OutputArgs, remedy: &str) -> anyhow::Result<()> {
    let files = [
        ("--export-json", &args.export_json),
        ("--export-csv", &args.export_csv),
        ("--export-markdown", &args.export_markdown),
        ("--plot", &args.plot),
    ];
    for (flag, file) in files {
        if let Some(file) = file {
            bail!(Usage(format!(
                "{flag} {}: holds one result; {remedy}",
                file.display()
            )));
        }
    }
    Ok(())
}

fn ending(file: &Path) -> &str {
    file.extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default()
}

/// Whether anything is written again after every round.
pub(crate) fn saves(args: &OutputArgs) -> bool {
    let files = [
        &args.out,
        &args.export_json,
        &args.export_csv,
        &args.export_markdown,
    ];
    files.into_iter().any(Option::is_some)
}

/// Writes what is written again after every round.
pub(crate) fn save(
    args: &OutputArgs,
    name: &str,
    measurement: &Measurement,
    analysis: &Analysis,
) -> anyhow::Result<()> {
    if let Some(folder) = &args.out {
        let file = folder.join(format!("{name}.json"));
        save_json("--out", &file, measurement, analysis)?;
    }
    save_exports(args, measurement, analysis)
}

/// Writes the files that are named.
pub(crate) fn save_exports(
    args: &OutputArgs,
    measurement: &Measurement,
    analysis: &Analysis,
) -> anyhow::Result<()> {
    if let Some(file) = &args.export_json {
        save_json("--export-json", file, measurement, analysis)?;
    }
    if let Some(file) = &args.export_markdown {
        let checked = threshold::check(&args.thresholds, measurement, analysis);
        let text = markdown::whole(measurement, analysis, &checked);
        write_atomically(file, text.as_bytes())
            .with_context(|| cannot_write("--export-markdown", file))?;
    }
    if let Some(file) = &args.export_csv {
        stream_atomically(file, |out| csv::write(measurement, out))
            .with_context(|| cannot_write("--export-csv", file))?;
    }
    Ok(())
}

/// Writes the document.
pub(crate) fn save_json(
    flag: &str,
    file: &Path,
    measurement: &Measurement,
    analysis: &Analysis,
) -> anyhow::Result<()> {
    stream_atomically(file, |out| json::write(measurement, analysis, out))
        .with_context(|| cannot_write(flag, file))
}

/// Writes the pictures of these results, each with its title.
pub(crate) fn save_pictures(args: &OutputArgs, results: &[Named]) -> anyhow::Result<()> {
    let in_folder = args.out.as_ref().map(|folder| folder.join("report.html"));
    let pages = [
        ("--report", args.report.as_ref()),
        ("--out", in_folder.as_ref()),
    ];
    for (flag, file) in pages {
        let Some(file) = file else { continue };
        let titles: Vec<String> = results.iter().map(Named::title).collect();
        let results: Vec<_> = (titles.iter().zip(results))
            .map(|(title, result)| (&**title, &result.measurement, &result.analysis))
            .collect();
        write_atomically(file, page::html(&results).as_bytes())
            .with_context(|| cannot_write(flag, file))?;
    }
    if let (Some(file), Some(result)) = (&args.plot, results.first()) {
        let svg = plot::poster(&result.measurement, &result.analysis);
        let bytes = match ending(file) {
            "png" => plot::png(&svg).with_context(|| cannot_write("--plot", file))?,
            _ => svg.into_bytes(),
        };
        write_atomically(file, &bytes).with_context(|| cannot_write("--plot", file))?;
    }
    Ok(())
}

pub(crate) fn cannot_write(flag: &str, file: &Path) -> String {
    format!(
        "{flag} {}: cannot be written; name another file",
        file.display()
    )
}

/// Prints a result in the form that is asked for; `text` is how it looks as text.
pub(crate) fn print(
    args: &OutputArgs,
    measurement: &Measurement,
    analysis: &Analysis,
    text: &str,
) -> anyhow::Result<()> {
    match args.format {
        Format::Text if args.quiet => {}
        Format::Text => say(text),
        Format::Json => finished(json::write(measurement, analysis, io::stdout().lock()))?,
        Format::Markdown => {
            let checked = threshold::check(&args.thresholds, measurement, analysis);
            say(&markdown::whole(measurement, analysis, &checked));
        }
        Format::Csv => finished(csv::write(measurement, io::stdout().lock()))?,
    }
    Ok(())
}

/// Whoever reads may have read enough: that is no error.
fn finished(written: io::Result<()>) -> anyhow::Result<()> {
    match written.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output")
        }
        _ => Ok(()),
    }
}

/// Tells how the thresholds ended, and returns whether all are met.
pub(crate) fn judge(args: &OutputArgs, measurement: &Measurement, analysis: &Analysis) -> bool {
    let checked = threshold::check(&args.thresholds, measurement, analysis);
    tell(&checked, args.format == Format::Text && !args.quiet);
    checked.iter().all(Checked::is_met)
}

/// Tells how thresholds ended: all of them, or quietly those that are not met.
pub(crate) fn tell(checked: &[Checked], aloud: bool) {
    for one in checked {
        let line = table::threshold(one);
        if aloud {
            say(&line);
        } else if !one.is_met() {
            anstream::eprint!("{line}");
        }
    }
}
