//! A picture as pixels, the same on every machine: it uses an embedded font, never one of the
//! system.

#[cfg(feature = "png")]
use std::sync::{Arc, OnceLock};

#[cfg(feature = "png")]
use resvg::tiny_skia::{Pixmap, Transform};
#[cfg(feature = "png")]
use resvg::usvg::{Options, Tree, fontdb};
use thiserror::Error;

/// The README beside it says how it was made.
#[cfg(feature = "png")]
const FONT: &[u8] = include_bytes!("../../../assets/DejaVuSans-subset.ttf");
#[cfg(feature = "png")]
const FAMILY: &str = "DejaVu Sans";

/// The most pixels: more would take a gigabyte and are certainly a mistake.
#[cfg(feature = "png")]
const MAX_PIXELS: u64 = 100_000_000;

/// Why there is no PNG.
#[derive(Debug, Error)]
pub enum PlotError {
    /// The program was built without PNG support.
    #[error("this build writes no .png; name an .svg, or build with `--features png`")]
    NoFeature,
    /// It is not an SVG.
    #[error("the picture cannot be read: {0}")]
    Svg(String),
    /// It is too large.
    #[error("the picture is too large: {width} × {height} pixels; write an .svg instead")]
    Size {
        /// In pixels.
        width: u32,
        /// In pixels.
        height: u32,
    },
    /// The pixels cannot be packed.
    #[error("the picture cannot be written as PNG: {0}")]
    Png(String),
}

/// Whether this build can write them.
pub const HAS_PNG: bool = cfg!(feature = "png");

/// This SVG as the bytes of a PNG file, one pixel per pixel of the picture.
///
/// # Errors
/// When it is not an SVG, or has too many pixels.
#[cfg(feature = "png")]
pub fn png(svg: &str) -> Result<Vec<u8>, PlotError> {
    let options = Options {
        font_family: FAMILY.to_owned(),
        fontdb: fonts(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options).map_err(|error| PlotError::Svg(error.to_string()))?;
    let size = tree.size().to_int_size();
    let (width, height) = (size.width(), size.height());
    let pixmap = (u64::from(width) * u64::from(height) <= MAX_PIXELS)
        .then(|| Pixmap::new(width, height))
        .flatten();
    let mut pixmap = pixmap.ok_or(PlotError::Size { width, height })?;
    resvg::render(&tree, Transform::identity(), &mut pixmap.as_mut());
    pixmap
        .encode_png()
        .map_err(|error| PlotError::Png(error.to_string()))
}

/// Nothing: this build has no feature `png`.
///
/// # Errors
/// Always.
#[cfg(not(feature = "png"))]
pub fn png(_: &str) -> Result<Vec<u8>, PlotError> {
    Err(PlotError::NoFeature)
}

#[cfg(feature = "png")]
fn fonts() -> Arc<fontdb::Database> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let load = || {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(FONT.to_vec());
        fonts.set_sans_serif_family(FAMILY);
        Arc::new(fonts)
    };
    Arc::clone(FONTS.get_or_init(load))
}
