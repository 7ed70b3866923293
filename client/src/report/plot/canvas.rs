//! What all pictures share: the canvas and its text, axes, ticks, lines and legends. It knows no
//! measurement.
//!
//! plotters has whole pixels only, which is too coarse for a transfer of a third of a millisecond:
//! it draws on a canvas that is [`FINE`] times as large, and the SVG's `viewBox` scales it down.
//! All other lengths here are in CSS pixels.

use std::io;
use std::ops::Range;

use maud::html;
use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, Cross, PathElement, Rectangle, Text};
use plotters::series::DashedLineSeries;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, FontDesc, FontFamily, FontStyle, ShapeStyle, TextStyle};

use crate::report::markup;
use crate::report::palette::{self, Colour};

const FINE: f64 = 4.0;
/// The mean width of a character of a sans-serif font as a share of its height, rounded up.
const LETTER: f64 = 0.56;
/// A browser uses the first; the PNG renderer, which has our font only, the second.
const FONTS: &str = "system-ui, DejaVu Sans, sans-serif";

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Scale, Scale>>;
pub(super) type Drawn<T = ()> = Result<T, DrawingAreaErrorKind<io::Error>>;

/// The size of a picture and of its text, in CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Format {
    pub(super) width: f64,
    /// The font size.
    pub(super) text: f64,
    /// About how many ticks fit on the horizontal axis.
    pub(super) ticks: usize,
    /// The margin on every side.
    pub(super) margin: f64,
    /// The line width, relative to that of a page.
    pub(super) bold: f64,
}

impl Format {
    pub(super) const WIDE: Self = Self {
        width: 960.0,
        text: 13.0,
        ticks: 9,
        margin: 0.0,
        bold: 1.0,
    };
    pub(super) const NARROW: Self = Self {
        width: 390.0,
        text: 13.0,
        ticks: 4,
        margin: 0.0,
        bold: 1.0,
    };
    pub(super) const POSTER: Self = Self {
        width: 1600.0 - 2.0 * 50.0,
        text: 24.0,
        ticks: 8,
        margin: 50.0,
        bold: 2.0,
    };

    /// The height of a line of text.
    pub(super) fn line(self) -> f64 {
        self.text * 1.5
    }

    /// The approximate width of a text.
    pub(super) fn width_of(self, text: &str) -> f64 {
        text.chars().count() as f64 * self.text * LETTER
    }
}

/// CSS pixels in the units of the canvas.
pub(super) fn fine(pixels: f64) -> i32 {
    (pixels * FINE).round() as i32
}

/// A picture with this accessible name. Its background is transparent unless it is opaque.
pub(super) fn canvas(
    format: Format,
    height: f64,
    name: &str,
    is_opaque: bool,
    draw: impl FnOnce(&Area<'_>) -> Drawn,
) -> String {
    let (width, height) = (
        format.width + 2.0 * format.margin,
        height + 2.0 * format.margin,
    );
    let size = (fine(width) as u32, fine(height) as u32);
    let mut drawn = String::new();
    {
        let area = SVGBackend::with_string(&mut drawn, size).into_drawing_area();
        let all = (|| {
            if is_opaque {
                area.fill(&palette::PAPER.stroke())?;
            }
            let margin = fine(format.margin);
            draw(&area.clone().margin(margin, margin, margin, margin))?;
            area.present()
        })();
        all.expect("a picture in memory can always be drawn");
    }
    // plotters gives the picture no name, and a size in its own pixels.
    let shapes = drawn.split_once('\n').map_or("", |(_, shapes)| shapes);
    let shapes = shapes.trim_end().trim_end_matches("</svg>");
    markup::text(html! {
        svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label=(name) width=(width) height=(height.ceil())
            viewBox={ "0 0 " (size.0) " " (size.1) } {
            title { (name) }
            (maud::PreEscaped(shapes))
        }
    })
}

/// A linear scale with given ticks. The range may be descending.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    range: Range<f64>,
    ticks: Vec<f64>,
}

impl Ranged for Scale {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.range.start) / (self.range.end - self.range.start);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.ticks.clone()
        }
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

fn font(colour: Colour, size: f64) -> TextStyle<'static> {
    // plotters takes the line height for the font size.
    let font = FontDesc::new(
        FontFamily::Name(FONTS),
        size * FINE * 1.24,
        FontStyle::Normal,
    );
    TextStyle {
        color: colour.stroke().to_backend_color(),
        ..TextStyle::from(font)
    }
}

/// The text, cut to this many characters.
fn cut(text: &str, letters: f64) -> String {
    let most = letters.max(1.0) as usize;
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// The text in lines that are no wider than the canvas, unless a single word is.
pub(super) fn wrapped(format: Format, text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if format.width_of(line) + format.width_of(word) < format.width * 0.95 => {
                *line += " ";
                *line += word;
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// The horizontal anchor of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Start,
    Middle,
}

/// Writes a text that is vertically centred at `y`.
pub(super) fn write(
    area: &Area<'_>,
    text: &str,
    (x, y): (f64, f64),
    at: At,
    colour: Colour,
    size: f64,
) -> Drawn {
    // A long name is cut rather than clipped at the border.
    let available = f64::from(area.dim_in_pixel().0) / FINE - if at == At::Start { x } else { 0.0 };
    let text = cut(text, available / (size * LETTER));
    let at = match at {
        At::Start => HPos::Left,
        At::Middle => HPos::Center,
    };
    let style = font(colour, size).pos(Pos::new(at, VPos::Center));
    area.draw(&Text::new(text, (fine(x), fine(y)), style))
}

/// The title of a poster, in a strip of this height; a page shows the title outside the picture.
pub(super) fn poster_title(
    area: &Area<'_>,
    format: Format,
    title: Option<&str>,
    height: f64,
) -> Drawn {
    title.map_or(Ok(()), |title| {
        let (place, size) = ((2.0, height / 2.0), format.text * 1.5);
        write(area, title, place, At::Start, palette::STROKE, size)
    })
}

/// The part of a strip that is below its title.
pub(super) fn below_title<'a>(area: &Area<'a>, format: Format, title: &str) -> Drawn<Area<'a>> {
    let line = format.line();
    let place = (2.0, line * 0.75);
    write(area, title, place, At::Start, palette::STROKE, format.text)?;
    Ok(area
        .clone()
        .margin(fine(line * 1.3), fine(line * 0.3), 0, 0))
}

/// An axis of a chart.
pub(super) struct Axis<'a> {
    pub(super) range: Range<f64>,
    pub(super) ticks: Vec<f64>,
    pub(super) label: &'a dyn Fn(f64) -> String,
    /// Whether lines go from the ticks through the chart.
    pub(super) has_grid: bool,
}

/// A chart with its axes and labels, on this part of the canvas.
pub(super) fn chart<'a, 'b>(
    area: &'a Area<'b>,
    format: Format,
    gutter: f64,
    x: &Axis<'_>,
    y: &Axis<'_>,
) -> Drawn<Chart<'a, 'b>> {
    let scale = |axis: &Axis<'_>| Scale {
        range: axis.range.clone(),
        ticks: axis.ticks.clone(),
    };
    let mut chart = ChartBuilder::on(area)
        .margin_top(fine(4.0))
        // Half of the last label extends beyond the axis.
        .margin_right(fine(format.text * 2.6))
        .x_label_area_size(fine(format.line() * 1.1))
        .y_label_area_size(fine(gutter))
        .build_cartesian_2d(scale(x), scale(y))?;
    let (x_label, y_label) = (x.label, y.label);
    let (x_label, y_label) = (move |at: &f64| x_label(*at), move |at: &f64| y_label(*at));
    let mut mesh = chart.configure_mesh();
    mesh.label_style(font(palette::MUTED, format.text * 0.92))
        .x_label_formatter(&x_label)
        .y_label_formatter(&y_label)
        .axis_style(stroke(palette::GRID, format.bold))
        .bold_line_style(stroke(palette::GRID, format.bold))
        .max_light_lines(0)
        .set_all_tick_mark_size(fine(4.0));
    if !x.has_grid {
        mesh.disable_x_mesh();
    }
    if !y.has_grid {
        mesh.disable_y_mesh();
    }
    mesh.draw()?;
    Ok(chart)
}

pub(super) fn stroke(colour: Colour, width: f64) -> ShapeStyle {
    ShapeStyle::from(&colour.stroke()).stroke_width(fine(width) as u32)
}

pub(super) fn bar(
    chart: &mut Chart<'_, '_>,
    from: (f64, f64),
    to: (f64, f64),
    colour: Colour,
    opacity: f64,
) -> Drawn {
    let style = colour.stroke().mix(opacity).filled();
    chart
        .draw_series([Rectangle::new([from, to], style)])
        .map(drop)
}

pub(super) fn line(
    chart: &mut Chart<'_, '_>,
    points: Vec<(f64, f64)>,
    colour: Colour,
    width: f64,
) -> Drawn {
    let path = PathElement::new(points, stroke(colour, width));
    chart.draw_series([path]).map(drop)
}

/// A dashed line, for ideal or planned values.
pub(super) fn dashes(
    chart: &mut Chart<'_, '_>,
    points: Vec<(f64, f64)>,
    colour: Colour,
    width: f64,
) -> Drawn {
    let (dash, gap) = (fine(6.0 * width), fine(4.0 * width));
    let style = stroke(colour, width);
    chart
        .draw_series(DashedLineSeries::new(points, dash, gap, style))
        .map(drop)
}

pub(super) fn dot(
    chart: &mut Chart<'_, '_>,
    at: (f64, f64),
    colour: Colour,
    radius: f64,
    opacity: f64,
) -> Drawn {
    let style = colour.stroke().mix(opacity).filled();
    chart
        .draw_series([Circle::new(at, fine(radius), style)])
        .map(drop)
}

pub(super) fn ring(
    chart: &mut Chart<'_, '_>,
    at: (f64, f64),
    colour: Colour,
    radius: f64,
    width: f64,
) -> Drawn {
    let style = stroke(colour, width);
    chart
        .draw_series([Circle::new(at, fine(radius), style)])
        .map(drop)
}

pub(super) fn cross(
    chart: &mut Chart<'_, '_>,
    at: (f64, f64),
    colour: Colour,
    radius: f64,
    width: f64,
) -> Drawn {
    let style = stroke(colour, width);
    chart
        .draw_series([Cross::new(at, fine(radius), style)])
        .map(drop)
}

/// A text with its upper right corner at this place.
pub(super) fn note(
    chart: &mut Chart<'_, '_>,
    at: (f64, f64),
    text: String,
    colour: Colour,
    size: f64,
) -> Drawn {
    let style = font(colour, size).pos(Pos::new(HPos::Right, VPos::Top));
    chart.draw_series([Text::new(text, at, style)]).map(drop)
}

/// The shape of a legend entry's marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    Bar,
    Line,
    Dashes,
    Dot,
    Cross,
    Ring,
}

/// The height of a legend.
pub(super) fn legend_height(format: Format, entries: &[(Marker, Colour, String)]) -> f64 {
    let rows = places(format, entries)
        .last()
        .map_or(0, |place| place.1 + 1);
    rows as f64 * format.line()
}

/// Where each entry of a legend begins: its x, and its row.
fn places(format: Format, entries: &[(Marker, Colour, String)]) -> Vec<(f64, usize)> {
    let (mut x, mut row) = (0.0, 0);
    let place = |(.., text): &(Marker, Colour, String)| {
        let width = format.text * 3.4 + format.width_of(text);
        if x > 0.0 && x + width > format.width {
            (x, row) = (0.0, row + 1);
        }
        let here = (x, row);
        x += width;
        here
    };
    entries.iter().map(place).collect()
}

/// A legend at this height, in as many rows as it needs.
pub(super) fn legend(
    area: &Area<'_>,
    format: Format,
    top: f64,
    entries: &[(Marker, Colour, String)],
) -> Drawn {
    for ((x, row), (marker, colour, text)) in places(format, entries).into_iter().zip(entries) {
        let y = top + (row as f64 + 0.5) * format.line();
        let (left, right) = (x + 2.0, x + 2.0 + format.text * 1.4);
        let half = format.text * 0.35;
        let middle = (fine((left + right) / 2.0), fine(y));
        let thick = stroke(*colour, 2.0 * format.bold);
        let stretch = |from: f64, to: f64| {
            PathElement::new([(fine(from), fine(y)), (fine(to), fine(y))], thick)
        };
        match marker {
            Marker::Bar => area.draw(&Rectangle::new(
                [(fine(left), fine(y - half)), (fine(right), fine(y + half))],
                colour.stroke().filled(),
            ))?,
            Marker::Line => area.draw(&stretch(left, right))?,
            Marker::Dashes => {
                let third = (right - left) / 5.0;
                area.draw(&stretch(left, left + 2.0 * third))?;
                area.draw(&stretch(left + 3.0 * third, right))?;
            }
            Marker::Dot => area.draw(&Circle::new(middle, fine(half), colour.stroke().filled()))?,
            Marker::Ring => area.draw(&Circle::new(middle, fine(half), thick))?,
            Marker::Cross => area.draw(&Cross::new(middle, fine(half), thick))?,
        }
        let place = (right + format.text * 0.5, y);
        write(area, text, place, At::Start, palette::STROKE, format.text)?;
    }
    Ok(())
}

/// Round numbers in this range, about `count` of them.
pub(super) fn ticks(range: &Range<f64>, about: usize) -> Vec<f64> {
    let rough = (range.end - range.start) / about.max(1) as f64;
    if !(rough > 0.0 && rough.is_finite()) {
        return Vec::new();
    }
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999)
        .unwrap_or(10.0 * power);
    let first = (range.start / step - 1e-6).ceil() as i64;
    let last = (range.end / step + 1e-6).floor() as i64;
    (first..=last).map(|number| number as f64 * step).collect()
}

/// The label of a tick on an axis of milliseconds that ends at `end`.
pub(super) fn time_label(millis: f64, end: f64) -> String {
    let (scale, unit) = if end >= 1e3 {
        (1e-3, "s")
    } else if end >= 1.0 {
        (1.0, "ms")
    } else {
        (1e3, "µs")
    };
    let number = (millis * scale * 1e6).round() / 1e6;
    if number == 0.0 {
        "0".to_owned()
    } else {
        format!("{number} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_or_wrapped() {
        assert_eq!(cut("threaded", 8.0), "threaded");
        assert_eq!(cut("threaded", 4.5), "thr…");
        assert_eq!(cut("thread", -1.0), "…");
        let text = "No round was completed, so there is no race to draw. ".repeat(3);
        let lines = wrapped(Format::NARROW, &text);
        assert_eq!(lines.join(" "), text.trim());
        assert!(lines.len() > 1);
        assert!(
            lines
                .iter()
                .all(|line| Format::NARROW.width_of(line) < Format::NARROW.width)
        );
    }

    #[test]
    fn ticks_are_round_and_within_the_range() {
        assert_eq!(ticks(&(0.0..1742.0), 4), [0.0, 500.0, 1000.0, 1500.0]);
        assert_eq!(ticks(&(146.2..148.9), 3), [147.0, 148.0]);
        assert_eq!(ticks(&(1.0..1.0), 4), [0.0; 0]);
        assert_eq!(ticks(&(0.0..f64::NAN), 4), [0.0; 0]);
    }

    #[test]
    fn all_ticks_of_an_axis_have_one_unit() {
        assert_eq!(time_label(500.0, 1742.0), "0.5 s");
        assert_eq!(time_label(50.0, 150.0), "50 ms");
        assert_eq!(time_label(0.3, 0.9), "300 µs");
        assert_eq!(time_label(0.0, 0.9), "0");
    }
}
