//! The files that a result is written to: a list of exporters, which is built once from the
//! options.
//!
//! Some hold one result and are written again after every round; a page holds all results. It
//! decides neither what is measured nor what is printed.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flag_client::report::plot::{self, PlotError};
use flag_client::report::{csv, json, markdown, page};
use flag_client::result::threshold::{self, Threshold};
use flag_client::result::{Kind, LoadResult, Report};
use flag_host::{stream_atomically, write_atomically};

use crate::args::OutputArgs;
use crate::exit::Usage;
use crate::files::{cannot_write, check_file, make_writable};

/// A result under the name that it has in a page and as a file.
pub(crate) struct NamedReport {
    pub(crate) name: String,
    pub(crate) report: Report,
}

impl NamedReport {
    /// What a page calls it.
    fn title(&self) -> String {
        let what = match self.report.measurement.kind {
            Kind::Get => "Downloads",
            Kind::Bench => "A race of downloads",
            Kind::Sweep => "A sweep of downloads",
        };
        format!("{what}: {}", self.name)
    }
}

/// All files that a result is written to.
pub(crate) struct ExportManager {
    exporters: Vec<Exporter>,
}

/// One file, or one folder.
struct Exporter {
    flag: &'static str,
    path: PathBuf,
    form: Form,
}

enum Form {
    /// The document of one result.
    Json,
    /// The samples of one result.
    Csv,
    /// The summary of one result, with how its thresholds ended.
    Markdown(Vec<Threshold>),
    /// A folder with a page of all results and, after a measurement, the document of each.
    Folder { has_documents: bool },
    /// A page of all results.
    Page,
    /// One picture of one result.
    Plot(Image),
}

#[derive(Clone, Copy)]
enum Image {
    Svg,
    Png,
}

impl ExportManager {
    /// The files for results that are measured now.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub(crate) fn for_measurements(args: &OutputArgs) -> anyhow::Result<Self> {
        Self::new(args, true)
    }

    /// The files for results that were read from files: their documents exist.
    ///
    /// # Errors
    /// When one of them cannot be written.
    pub(crate) fn for_saved(args: &OutputArgs) -> anyhow::Result<Self> {
        Self::new(args, false)
    }

    fn new(args: &OutputArgs, has_documents: bool) -> anyhow::Result<Self> {
        let mut exporters = Vec::new();
        let mut add = |flag, path: &Option<PathBuf>, form| {
            if let Some(path) = path.clone() {
                exporters.push(Exporter { flag, path, form });
            }
        };
        add("--export-json", &args.export_json, Form::Json);
        add("--export-csv", &args.export_csv, Form::Csv);
        let markdown = Form::Markdown(args.thresholds.clone());
        add("--export-markdown", &args.export_markdown, markdown);
        add("--report", &args.report, Form::Page);
        let image = args.plot.as_deref().map(image).transpose();
        let plot = Form::Plot(image.as_ref().ok().copied().flatten().unwrap_or(Image::Svg));
        add("--plot", &args.plot, plot);
        for exporter in &exporters {
            check_file(exporter.flag, &exporter.path)?;
        }
        image?;
        if let Some(folder) = &args.out {
            make_writable("--out", folder)?;
            exporters.push(Exporter {
                flag: "--out",
                path: folder.clone(),
                form: Form::Folder { has_documents },
            });
        }
        Ok(Self { exporters })
    }

    /// Refuses what holds one result only.
    pub(crate) fn check_several(&self, remedy: &str) -> anyhow::Result<()> {
        let holds_one =
            |exporter: &&Exporter| !matches!(exporter.form, Form::Page | Form::Folder { .. });
        match self.exporters.iter().find(holds_one) {
            None => Ok(()),
            Some(Exporter { flag, path, .. }) => bail!(Usage(format!(
                "{flag} {}: holds one result; {remedy}",
                path.display()
            ))),
        }
    }

    /// Refuses what a load does not have.
    pub(crate) fn check_load(&self) -> anyhow::Result<()> {
        let is_for_races = |exporter: &&Exporter| !matches!(exporter.form, Form::Json);
        match self.exporters.iter().find(is_for_races) {
            None => Ok(()),
            Some(Exporter { flag, path, .. }) => bail!(Usage(format!(
                "{flag} {}: is for the results of races; a load has --export-json",
                path.display()
            ))),
        }
    }

    /// Whether anything is written again after every round.
    pub(crate) fn repeats(&self) -> bool {
        let repeats = |exporter: &Exporter| !matches!(exporter.form, Form::Page | Form::Plot(_));
        self.exporters.iter().any(repeats)
    }

    /// Writes the files that hold one result.
    pub(crate) fn save(&self, result: &NamedReport) -> anyhow::Result<()> {
        let mut exporters = self.exporters.iter();
        exporters.try_for_each(|exporter| exporter.save(result))
    }

    /// Writes the pages and pictures.
    pub(crate) fn save_pictures(&self, results: &[NamedReport]) -> anyhow::Result<()> {
        let mut exporters = self.exporters.iter();
        exporters.try_for_each(|exporter| exporter.save_pictures(results))
    }

    /// Writes the document of a load.
    pub(crate) fn save_load(&self, result: &LoadResult) -> anyhow::Result<()> {
        for Exporter { flag, path, .. } in &self.exporters {
            save_load(flag, path, result)?;
        }
        Ok(())
    }
}

impl Exporter {
    fn save(&self, NamedReport { name, report }: &NamedReport) -> anyhow::Result<()> {
        let cannot = || cannot_write(self.flag, &self.path);
        match &self.form {
            Form::Json => save_json(self.flag, &self.path, report),
            Form::Csv => stream_atomically(&self.path, |out| csv::write(&report.measurement, out))
                .with_context(cannot),
            Form::Markdown(thresholds) => {
                let text = markdown::whole(report, &threshold::check(thresholds, report));
                write_atomically(&self.path, text.as_bytes()).with_context(cannot)
            }
            Form::Folder {
                has_documents: true,
            } => save_json(self.flag, &self.path.join(format!("{name}.json")), report),
            Form::Folder { .. } | Form::Page | Form::Plot(_) => Ok(()),
        }
    }

    fn save_pictures(&self, results: &[NamedReport]) -> anyhow::Result<()> {
        match self.form {
            Form::Folder { .. } => save_page(self.flag, &self.path.join("report.html"), results),
            Form::Page => save_page(self.flag, &self.path, results),
            Form::Plot(image) => {
                let Some(result) = results.first() else {
                    return Ok(());
                };
                let cannot = || cannot_write(self.flag, &self.path);
                let svg = plot::poster(&result.report);
                let bytes = match image {
                    Image::Svg => svg.into_bytes(),
                    Image::Png => plot::png(&svg).with_context(cannot)?,
                };
                write_atomically(&self.path, &bytes).with_context(cannot)
            }
            Form::Json | Form::Csv | Form::Markdown(_) => Ok(()),
        }
    }
}

/// The kind of picture that the name of the file asks for.
fn image(file: &Path) -> anyhow::Result<Image> {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("svg") => Ok(Image::Svg),
        Some("png") if plot::HAS_PNG => Ok(Image::Png),
        Some("png") => bail!(Usage(format!(
            "--plot {}: {}",
            file.display(),
            PlotError::NoFeature
        ))),
        _ => bail!(Usage(format!(
            "--plot {}: name a file that ends with .svg or .png",
            file.display()
        ))),
    }
}

/// Writes the document of a result.
pub(crate) fn save_json(flag: &str, file: &Path, report: &Report) -> anyhow::Result<()> {
    stream_atomically(file, |out| json::write(report, out))
        .with_context(|| cannot_write(flag, file))
}

/// Writes the document of a load.
pub(crate) fn save_load(flag: &str, file: &Path, result: &LoadResult) -> anyhow::Result<()> {
    write_atomically(file, json::load(result).as_bytes()).with_context(|| cannot_write(flag, file))
}

fn save_page(flag: &str, file: &Path, results: &[NamedReport]) -> anyhow::Result<()> {
    let titles: Vec<String> = results.iter().map(NamedReport::title).collect();
    let sections: Vec<_> = (titles.iter().zip(results))
        .map(|(title, result)| (&**title, &result.report))
        .collect();
    write_atomically(file, page::html(&sections).as_bytes())
        .with_context(|| cannot_write(flag, file))
}
