//! The files that a result is written to: a list of exporters, which is built once from the
//! options.
//!
//! Some hold one result and are written again after every round; a page holds all results. It
//! decides neither what is measured nor what is printed.

use std::path::Path;

use anyhow::bail;
use flag_client::report::plot::{self, PlotError};
use flag_client::report::{csv, json, markdown, page};
use flag_client::result::threshold::{self, Threshold};
use flag_client::result::{Kind, LoadResult, Report};

use crate::args::{Format, OutputArgs};
use crate::exit::Usage;
use crate::files::{OutputFile, OutputFolder, share_standard_output};

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
    folder: Option<Folder>,
}

/// One file.
struct Exporter {
    file: OutputFile,
    form: Form,
}

enum Form {
    /// The document of one result.
    Json,
    /// The samples of one result.
    Csv,
    /// The summary of one result, with how its thresholds ended.
    Markdown(Vec<Threshold>),
    /// A page of all results.
    Page,
    /// One picture of one result.
    Plot(Image),
}

/// A page of all results and, after a measurement, the document of each.
struct Folder {
    folder: OutputFolder,
    has_documents: bool,
}

#[derive(Clone, Copy)]
enum Image {
    Svg,
    Png,
}

/// Whether there is more to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Files are written again later; a pipe gets one document, the last.
    More,
    Last,
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
        let image = args.plot.as_deref().map(image).transpose()?;
        let plot = Form::Plot(image.unwrap_or(Image::Svg));
        let markdown = Form::Markdown(args.thresholds.clone());
        let mut exporters = Vec::new();
        for (flag, path, form) in [
            ("--export-json", &args.export_json, Form::Json),
            ("--export-csv", &args.export_csv, Form::Csv),
            ("--export-markdown", &args.export_markdown, markdown),
            ("--report", &args.report, Form::Page),
            ("--plot", &args.plot, plot),
        ] {
            if let Some(path) = path {
                let file = OutputFile::open(flag, path)?;
                exporters.push(Exporter { file, form });
            }
        }
        let files = exporters.iter().map(|exporter| &exporter.file);
        share_standard_output(files, args.format != Format::Text)?;
        let folder = (args.out.as_deref())
            .map(|path| OutputFolder::open("--out", path))
            .transpose()?;
        Ok(Self {
            exporters,
            folder: folder.map(|folder| Folder {
                folder,
                has_documents,
            }),
        })
    }

    /// Refuses what holds one result only.
    pub(crate) fn check_several(&self, remedy: &str) -> anyhow::Result<()> {
        let holds_one = |exporter: &&Exporter| !matches!(exporter.form, Form::Page);
        match self.exporters.iter().find(holds_one) {
            None => Ok(()),
            Some(Exporter { file, .. }) => bail!(Usage(format!(
                "{} {}: holds one result; {remedy}",
                file.flag,
                file.path.display()
            ))),
        }
    }

    /// Refuses what a load does not have.
    pub(crate) fn check_load(&self) -> anyhow::Result<()> {
        let is_for_races = |exporter: &&Exporter| !matches!(exporter.form, Form::Json);
        let files = self.exporters.iter().filter(is_for_races);
        let mut named = files.map(|exporter| (exporter.file.flag, &exporter.file.path));
        let folder = self.folder.as_ref();
        let folder = folder.map(|folder| ("--out", &folder.folder.path));
        match named.next().or(folder) {
            None => Ok(()),
            Some((flag, path)) => bail!(Usage(format!(
                "{flag} {}: is for the results of races; a load has --export-json",
                path.display()
            ))),
        }
    }

    /// Whether anything is written again after every round.
    pub(crate) fn repeats(&self) -> bool {
        self.folder.is_some() || self.exporters.iter().any(Exporter::repeats)
    }

    /// Writes the files that hold one result.
    pub(crate) fn save(&self, result: &NamedReport, stage: Stage) -> anyhow::Result<()> {
        let files = self.exporters.iter();
        for exporter in files.filter(|exporter| stage == Stage::Last || exporter.repeats()) {
            exporter.save(result)?;
        }
        if let Some(Folder {
            folder,
            has_documents: true,
        }) = &self.folder
        {
            let mut document = Vec::new();
            json::write(&result.report, &mut document)?;
            folder.save(&format!("{}.json", result.name), &document)?;
        }
        Ok(())
    }

    /// Writes the pages and pictures.
    pub(crate) fn save_pictures(
        &self,
        results: &[NamedReport],
        stage: Stage,
    ) -> anyhow::Result<()> {
        if results.is_empty() {
            return Ok(());
        }
        let files = self.exporters.iter();
        for exporter in files.filter(|exporter| stage == Stage::Last || exporter.file.is_replaced())
        {
            exporter.save_pictures(results)?;
        }
        match &self.folder {
            Some(Folder { folder, .. }) => folder.save("report.html", page(results).as_bytes()),
            None => Ok(()),
        }
    }

    /// Writes the document of a load.
    pub(crate) fn save_load(&self, result: &LoadResult) -> anyhow::Result<()> {
        let mut exporters = self.exporters.iter();
        exporters.try_for_each(|exporter| save_load(&exporter.file, result))
    }
}

impl Exporter {
    /// Whether it is written again after every round.
    fn repeats(&self) -> bool {
        self.file.is_replaced() && !matches!(self.form, Form::Page | Form::Plot(_))
    }

    fn save(&self, NamedReport { report, .. }: &NamedReport) -> anyhow::Result<()> {
        match &self.form {
            Form::Json => save_json(&self.file, report),
            Form::Csv => (self.file).save_with(|out| csv::write(&report.measurement, out)),
            Form::Markdown(thresholds) => {
                let text = markdown::whole(report, &threshold::check(thresholds, report));
                self.file.save(text.as_bytes())
            }
            Form::Page | Form::Plot(_) => Ok(()),
        }
    }

    fn save_pictures(&self, results: &[NamedReport]) -> anyhow::Result<()> {
        match (&self.form, results.first()) {
            (Form::Page, Some(_)) => self.file.save(page(results).as_bytes()),
            (Form::Plot(image), Some(result)) => {
                let svg = plot::poster(&result.report);
                let bytes = match image {
                    Image::Svg => svg.into_bytes(),
                    Image::Png => plot::png(&svg)?,
                };
                self.file.save(&bytes)
            }
            _ => Ok(()),
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
        // Standard output and descriptors have no ending.
        None if file == Path::new("-") || file.starts_with("/dev") => Ok(Image::Svg),
        _ => bail!(Usage(format!(
            "--plot {}: name a file that ends with .svg or .png",
            file.display()
        ))),
    }
}

/// Writes the document of a result.
pub(crate) fn save_json(file: &OutputFile, report: &Report) -> anyhow::Result<()> {
    file.save_with(|out| json::write(report, out))
}

/// Writes the document of a load.
pub(crate) fn save_load(file: &OutputFile, result: &LoadResult) -> anyhow::Result<()> {
    file.save(json::load(result).as_bytes())
}

fn page(results: &[NamedReport]) -> String {
    let titles: Vec<String> = results.iter().map(NamedReport::title).collect();
    let sections: Vec<_> = (titles.iter().zip(results))
        .map(|(title, result)| (&**title, &result.report))
        .collect();
    page::html(&sections)
}
