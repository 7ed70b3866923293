//! The pictures of a measurement, as SVG and as PNG.

mod canvas;
mod draft;
mod elapsed;
mod figure;
mod latency;
mod png;
mod race;
mod scaling;

pub(super) use self::figure::picture;
pub use self::figure::{Figure, Width, poster, svg};
pub use self::png::{HAS_PNG, PlotError, png};
