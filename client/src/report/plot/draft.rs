//! What all pictures share: the data, the paper, and which lanes are drawn in which colours.

use super::canvas::Format;
use crate::report::palette::{self, Colour};
use crate::result::{ContenderRecord, Kind, Lane, Measurement, Report};

/// What is drawn, of what, on which paper.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draft<'a> {
    pub(super) report: &'a Report,
    pub(super) format: Format,
    /// A title, and a paper of its own.
    pub(super) poster: Option<&'a str>,
}

/// With its margins 900: 16 to 9, as slides are.
pub(super) const POSTER_HEIGHT: f64 = 900.0 - 2.0 * Format::POSTER.margin;

/// The colour of a lane: in a sweep, that of its contender.
pub(super) fn colour(measurement: &Measurement, index: usize) -> Colour {
    let lanes = &measurement.lanes;
    let mut contenders: Vec<&ContenderRecord> = lanes.iter().map(|lane| &lane.contender).collect();
    if measurement.kind != Kind::Sweep {
        return palette::lane(index);
    }
    let own = contenders[index];
    // Those of one contender stand together.
    contenders.dedup();
    let place = contenders.iter().position(|contender| *contender == own);
    palette::lane(place.unwrap_or(index))
}

/// The lanes of a picture that has no room for all: those of a race; of a sweep the first, and of each contender the one with the
/// most workers.
pub(super) fn chosen(measurement: &Measurement) -> Vec<(usize, &Lane)> {
    let lanes = measurement.lanes.iter().enumerate();
    match measurement.kind {
        Kind::Get | Kind::Bench => lanes.collect(),
        Kind::Sweep => lanes
            .filter(|(index, lane)| {
                let own = |other: &&Lane| other.contender == lane.contender;
                let most = measurement
                    .lanes
                    .iter()
                    .filter(own)
                    .map(|lane| lane.workers)
                    .max();
                *index == 0 || Some(lane.workers) == most
            })
            .collect(),
    }
}
