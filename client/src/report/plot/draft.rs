//! What all pictures share: the data, the format, and the colours of the series.

use super::canvas::Format;
use crate::report::palette::{self, Colour};
use crate::result::{ContenderRecord, Kind, Measurement, Report, Series};

/// What a picture is drawn from, and its format.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draft<'a> {
    pub(super) report: &'a Report,
    pub(super) format: Format,
    /// The title of a poster, which also has an opaque background.
    pub(super) poster: Option<&'a str>,
}

/// With its margins 900: 16 to 9, as slides are.
pub(super) const POSTER_HEIGHT: f64 = 900.0 - 2.0 * Format::POSTER.margin;

/// The colour of a series: in a sweep, that of its contender.
pub(super) fn colour(measurement: &Measurement, index: usize) -> Colour {
    let all_series = &measurement.series;
    let mut contenders: Vec<&ContenderRecord> =
        all_series.iter().map(|series| &series.contender).collect();
    if measurement.kind != Kind::Sweep {
        return palette::series(index);
    }
    let own = contenders[index];
    // The series of one contender are adjacent.
    contenders.dedup();
    let place = contenders.iter().position(|contender| *contender == own);
    palette::series(place.unwrap_or(index))
}

/// The series of a picture that cannot show all: those of a race; of a sweep the first, and for
/// each contender the one with the most workers.
pub(super) fn chosen(measurement: &Measurement) -> Vec<(usize, &Series)> {
    let all_series = measurement.series.iter().enumerate();
    match measurement.kind {
        Kind::Get | Kind::Bench => all_series.collect(),
        Kind::Sweep => all_series
            .filter(|(index, series)| {
                let own = |other: &&Series| other.contender == series.contender;
                let most = measurement
                    .series
                    .iter()
                    .filter(own)
                    .map(|series| series.workers)
                    .max();
                *index == 0 || Some(series.workers) == most
            })
            .collect(),
    }
}
