//! The pictures of a measurement, as SVG: the list of them, and the title of each. Without data, a
//! sentence replaces the picture.
//!
//! A picture draws the measurement and its `Analysis`; it computes positions only.

use super::canvas::{At, Format, canvas, wrapped, write};
use super::draft::{Draft, POSTER_HEIGHT};
use super::{elapsed, latency, race, scaling};
use crate::report::palette;
use crate::result::{Kind, Measurement, Report};

/// A picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// One round of each series, request by request.
    Race,
    /// The time of every round.
    Elapsed,
    /// How the latencies are distributed.
    Latency,
    /// What more workers buy: the speed-up, or in a sweep the throughput.
    Scaling,
    /// Which share of that is possible at all.
    Efficiency,
}

/// How wide a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// For a page on a screen: 960 pixels.
    Wide,
    /// For a phone: 390 pixels.
    Narrow,
}

impl Width {
    fn format(self) -> Format {
        match self {
            Self::Wide => Format::WIDE,
            Self::Narrow => Format::NARROW,
        }
    }
}

impl Figure {
    /// All of them, in the order of a page.
    pub const ALL: [Self; 5] = [
        Self::Race,
        Self::Elapsed,
        Self::Scaling,
        Self::Efficiency,
        Self::Latency,
    ];

    /// What it is called.
    pub fn title(self, measurement: &Measurement) -> &'static str {
        match (self, measurement.kind) {
            (Self::Race, _) => "The race",
            (Self::Elapsed, _) => "Elapsed time of every round",
            (Self::Latency, _) => "Latency of the downloads",
            (Self::Scaling, Kind::Sweep) => "Throughput by workers",
            (Self::Scaling, _) => "Speed-up by workers",
            (Self::Efficiency, _) => "Efficiency by workers",
        }
    }

    /// What it shows, in a sentence or two; without data, why there is no picture.
    pub fn caption(self, report: &Report) -> String {
        let measurement = &report.measurement;
        match self {
            Self::Race => race::caption(measurement),
            Self::Elapsed => elapsed::caption(report),
            Self::Latency => latency::caption(report),
            Self::Scaling => scaling::caption(report),
            Self::Efficiency => scaling::efficiency_caption(report),
        }
    }

    fn draw(self, draft: Draft<'_>) -> Option<String> {
        let name = self.title(&draft.report.measurement);
        match self {
            Self::Race => race::draw(draft, name),
            Self::Elapsed => elapsed::draw(draft, name),
            Self::Latency => latency::draw(draft, name),
            Self::Scaling => scaling::draw(draft, name),
            Self::Efficiency => scaling::draw_efficiency(draft, name),
        }
    }
}

/// The picture, or none where there is no data for it.
pub(in crate::report) fn picture(report: &Report, figure: Figure, width: Width) -> Option<String> {
    figure.draw(Draft {
        report,
        format: width.format(),
        poster: None,
    })
}

/// The picture as a standalone SVG; a sentence where there is no data for it.
pub fn svg(report: &Report, figure: Figure, width: Width) -> String {
    picture(report, figure, width).unwrap_or_else(|| {
        let format = width.format();
        let caption = figure.caption(report);
        let height = format.line() * (wrapped(format, &caption).len() as f64 + 2.0);
        sentence(format, height, &caption, false)
    })
}

/// One picture for a slide: the race, or how a sweep scales. It has a title and a white
/// background.
pub fn poster(report: &Report) -> String {
    let measurement = &report.measurement;
    let flags = measurement.job.codes.len();
    let flags = format!(
        "{flags} {}",
        crate::report::format::plural(flags, "download")
    );
    let (figure, title) = match measurement.kind {
        Kind::Sweep => (
            Figure::Scaling,
            format!("{flags}, more and more at one time"),
        ),
        Kind::Get | Kind::Bench => {
            let headline = crate::report::messages::headline(report);
            (Figure::Race, headline.unwrap_or(flags))
        }
    };
    let title = title.trim_end_matches('.');
    let draft = Draft {
        report,
        format: Format::POSTER,
        poster: Some(title),
    };
    figure.draw(draft).unwrap_or_else(|| {
        let caption = figure.caption(report);
        sentence(Format::POSTER, POSTER_HEIGHT, &caption, true)
    })
}

fn sentence(format: Format, height: f64, text: &str, is_opaque: bool) -> String {
    let lines = wrapped(format, text);
    let top = (height - lines.len() as f64 * format.line()) / 2.0;
    canvas(format, height, text, is_opaque, |area| {
        for (number, line) in lines.iter().enumerate() {
            let middle = (
                format.width / 2.0,
                top + (number as f64 + 0.5) * format.line(),
            );
            write(area, line, middle, At::Middle, palette::MUTED, format.text)?;
        }
        Ok(())
    })
}
