//! Draws `flags/` from a folder of SVG files: decides how a flag is drawn and what its country is
//! called, and refuses to use anything of the machine that it was not told to: no system fonts, no
//! clock, no chance. The same inputs give the same bytes.
//!
//! SVG → pixels ([`draw`]) → palette and indices ([`index`]) → GIF ([`encode`]); iso-codes →
//! metadata ([`Facts`]).
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program talks on its standard streams"
)]

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, ensure};
use clap::Parser;
use flags_data::CountryCode;
use quantette::color_map::{IndexedColorMap as _, NearestNeighborColorMap};
use quantette::color_space::srgb8_to_oklab;
use quantette::deps::palette::{Oklab, Srgb};
use quantette::{PaletteBuf, Pipeline, QuantizeMethod};
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{self, FontResolver, fontdb};
use serde::Deserialize;

/// Pixels of a drawn flag.
const WIDTH: usize = 400;
const HEIGHT: usize = 300;

/// Each pixel is the mean of this many samples in each direction.
///
/// Samples have one colour each. Smooth edges come from averaging them, so that nothing shines
/// through between two areas that touch, as it does where each is smoothed on its own.
const SAMPLES: usize = 8;

/// A colour of at least this many pixels is a plain area, which keeps its exact colour.
const PLAIN: usize = WIDTH * HEIGHT / 2000;

/// At most this many colours are kept for plain areas.
const PLAIN_COLOURS: usize = 128;

/// The limits of a GIF.
const COLOURS: usize = 256;

/// Drawings that stop short of the edges of their picture: by how much, in their own units of
/// 1/640 of the width, on the left, top, right and bottom. They are drawn that much larger, or a
/// strip of the white ground would be left over.
const SHORT_DRAWINGS: [(&str, [f32; 4]); 8] = [
    ("AG", [0.0, 0.6, 0.0, 0.0]),
    ("BS", [1.0, 2.0, 0.0, 0.0]),
    ("CV", [1.0, 0.0, 0.0, 0.0]),
    ("DK", [0.0, 0.0, 5.8, 0.0]),
    ("MK", [0.0, 1.6, 0.0, 0.6]),
    ("MY", [1.0, 0.0, 0.0, 0.0]),
    ("PA", [3.4, 3.8, 0.0, 0.0]),
    ("PG", [1.6, 0.0, 0.0, 0.0]),
];

/// The flags to draw.
const CODES: &str = "
    AD AE AF AG AL AM AO AR AT AU AZ BA BB BD BE BF BG BH BI BJ BN BO BR BS BT BW BY BZ CA CD CF CG CH CI CL
    CM CN CO CR CU CV CY CZ DE DJ DK DM DZ EC EE EG ER ES ET FI FJ FM FR GA GB GD GE GH GM GN GQ GR GT GW GY
    HN HR HT HU ID IE IL IN IQ IR IS IT JM JO JP KE KG KH KI KM KN KP KR KW KZ LA LB LC LI LK LR LS LT LU LV
    LY MA MC MD ME MG MH MK ML MM MN MR MT MU MV MW MX MY MZ NA NE NG NI NL NO NP NR NZ OM PA PE PG PH PK PL
    PT PW PY QA RO RS RU RW SA SB SC SD SE SG SI SK SL SM SN SO SR SS ST SV SY SZ TD TG TH TJ TL TM TN TO TR
    TT TV TW TZ UA UG US UY UZ VA VC VE VN VU WS YE ZA ZM ZW";

/// Short names for the countries whose name in iso-codes is official or inverted, and that have no
/// common name there.
const SHORT_NAMES: [(&str, &str); 6] = [
    ("BN", "Brunei"),
    ("CD", "DR Congo"),
    ("FM", "Micronesia"),
    ("LA", "Laos"),
    ("RU", "Russia"),
    ("VA", "Vatican City"),
];

/// Draws the flags from SVG files, and writes what iso-codes knows about their countries.
#[derive(Parser)]
struct Args {
    /// Folder of the SVG files, named ad.svg to zw.svg
    #[arg(long, value_name = "DIR")]
    svg: PathBuf,
    /// The file iso_3166-1.json of iso-codes
    #[arg(long, value_name = "FILE")]
    iso_codes: PathBuf,
    /// Fonts for lettering; where the SVG names another font, the first one stands in
    #[arg(long, value_name = "FILE", num_args = 1.., required = true)]
    font: Vec<PathBuf>,
    /// Folder of the drawn flags
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write nothing; name the files that would change, and fail if there are any
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("render-flags: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let fonts = Fonts::read(&args.font)?;
    let facts = Facts::read(&args.iso_codes)?;

    let mut changed = 0;
    for code in CODES.split_whitespace() {
        let code: CountryCode = code.parse()?;
        let cc = code.to_lowercase();
        let svg = args.svg.join(format!("{cc}.svg"));
        let folder = args.out.join(&*cc);
        let pixels =
            draw(&svg, margins(code), &fonts).with_context(|| svg.display().to_string())?;
        let image = encode(&index(&pixels)?)?;
        let metadata = facts.metadata(code)?.into_bytes();
        for (name, bytes) in [
            (format!("{cc}.gif"), image),
            ("metadata.json".to_owned(), metadata),
        ] {
            let path = folder.join(name);
            if fs::read(&path).is_ok_and(|found| found == bytes) {
                continue;
            }
            changed += 1;
            println!("{}", path.display());
            if !args.check {
                replace(&path, &bytes).with_context(|| path.display().to_string())?;
            }
        }
    }

    let verb = if args.check { "differ" } else { "written" };
    eprintln!("{changed} files {verb}");
    Ok(ExitCode::from(u8::from(args.check && changed > 0)))
}

/// Writes a file that appears whole or not at all.
fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let temporary = path.with_extension("tmp");
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&temporary, bytes)?;
    fs::rename(&temporary, path)?;
    Ok(())
}

/// The fonts on the command line.
struct Fonts {
    database: Arc<fontdb::Database>,
    /// The family of the first one, which stands in for families that are not there.
    stand_in: String,
}

impl Fonts {
    fn read(files: &[PathBuf]) -> anyhow::Result<Self> {
        let mut database = fontdb::Database::new();
        for file in files {
            let faces = database.len();
            let bytes = fs::read(file).with_context(|| file.display().to_string())?;
            database.load_font_data(bytes);
            ensure!(database.len() > faces, "{}: is not a font", file.display());
        }
        let stand_in = database
            .faces()
            .next()
            .and_then(|face| face.families.first())
            .map(|(family, _)| family.clone())
            .context("the first font has no family")?;
        Ok(Self {
            database: Arc::new(database),
            stand_in,
        })
    }

    /// Finds fonts for the renderer, and notes what it could not find, which the renderer itself
    /// would pass over by drawing nothing.
    fn resolver<'a>(&'a self, unmet: &'a Mutex<Vec<String>>) -> FontResolver<'a> {
        let note = |need: String| {
            if let Ok(mut unmet) = unmet.lock() {
                unmet.push(need);
            }
        };
        let fallback = FontResolver::default_fallback_selector();
        FontResolver {
            select_font: Box::new(move |font, database| {
                let mut families: Vec<fontdb::Family<'_>> = font
                    .families()
                    .iter()
                    .filter_map(|family| match family {
                        usvg::FontFamily::Named(name) => Some(fontdb::Family::Name(name)),
                        _ => None,
                    })
                    .collect();
                families.push(fontdb::Family::Name(&self.stand_in));
                let found = database.query(&fontdb::Query {
                    families: &families,
                    weight: fontdb::Weight(font.weight()),
                    style: match font.style() {
                        usvg::FontStyle::Normal => fontdb::Style::Normal,
                        usvg::FontStyle::Italic => fontdb::Style::Italic,
                        usvg::FontStyle::Oblique => fontdb::Style::Oblique,
                    },
                    ..fontdb::Query::default()
                });
                if found.is_none() {
                    note(format!("a font for {:?}", font.families()));
                }
                found
            }),
            select_fallback: Box::new(move |character, used, database| {
                let found = fallback(character, used, database);
                if found.is_none() {
                    note(format!("a font with {character:?}"));
                }
                found
            }),
        }
    }
}

/// What to leave out of a drawing, see [`SHORT_DRAWINGS`].
fn margins(code: CountryCode) -> [f32; 4] {
    SHORT_DRAWINGS
        .iter()
        .find(|(short, _)| *short == code.as_str())
        .map_or([0.0; 4], |&(_, margins)| margins)
}

/// The pixels of an SVG file without its margins, row by row, on white.
fn draw(svg: &Path, margins: [f32; 4], fonts: &Fonts) -> anyhow::Result<Vec<Srgb<u8>>> {
    let unmet = Mutex::new(Vec::new());
    let tree = {
        let options = usvg::Options {
            shape_rendering: usvg::ShapeRendering::CrispEdges,
            font_resolver: fonts.resolver(&unmet),
            fontdb: Arc::clone(&fonts.database),
            ..usvg::Options::default()
        };
        usvg::Tree::from_data(&fs::read(svg)?, &options)?
    };
    let unmet = unmet.into_inner()?;
    ensure!(
        unmet.is_empty(),
        "the lettering needs {}; add a --font",
        unmet.join(", ")
    );

    let size = tree.size();
    ensure!(
        (size.width() * 3.0 - size.height() * 4.0).abs() < 1.0,
        "is {} by {}, which is not 4 by 3",
        size.width(),
        size.height(),
    );
    let (width, height) = (WIDTH * SAMPLES, HEIGHT * SAMPLES);
    let mut samples = Pixmap::new(width.try_into()?, height.try_into()?).context("no memory")?;
    samples.fill(Color::WHITE);
    let [left, top, right, bottom] = margins;
    let placement = Transform::from_scale(
        samples.width() as f32 / (size.width() - left - right),
        samples.height() as f32 / (size.height() - top - bottom),
    )
    .pre_translate(-left, -top);
    resvg::render(&tree, placement, &mut samples.as_mut());

    // Opaque, because the ground is: premultiplied colours are the colours.
    let rows: Vec<_> = samples.pixels().chunks_exact(width).collect();
    let pixels = rows.chunks_exact(SAMPLES).flat_map(|rows| {
        (0..WIDTH).map(move |x| {
            let mut sums = [0_usize; 3];
            for sample in rows.iter().flat_map(|row| &row[x * SAMPLES..][..SAMPLES]) {
                sums[0] += usize::from(sample.red());
                sums[1] += usize::from(sample.green());
                sums[2] += usize::from(sample.blue());
            }
            // The mean, rounded: at most 255 because each term is.
            let count = SAMPLES * SAMPLES;
            let [red, green, blue] = sums.map(|sum| ((sum + count / 2) / count) as u8);
            Srgb::new(red, green, blue)
        })
    });
    Ok(pixels.collect())
}

/// A picture of at most 256 colours.
struct Indexed {
    palette: Vec<Srgb<u8>>,
    /// For each pixel, its place in the palette.
    indices: Vec<u8>,
}

/// Finds the palette of a picture: its very colours if they are few enough, else those of the plain
/// areas and the best ones for what is left. There is no dithering: edges stay edges.
fn index(pixels: &[Srgb<u8>]) -> anyhow::Result<Indexed> {
    let mut counts: BTreeMap<[u8; 3], usize> = BTreeMap::new();
    for &pixel in pixels {
        *counts.entry(pixel.into()).or_default() += 1;
    }
    let mut colours: Vec<([u8; 3], usize)> = counts.into_iter().collect();
    colours.sort_by_key(|&(colour, count)| (Reverse(count), colour));
    let exact = if colours.len() <= COLOURS {
        colours.len()
    } else {
        let plain = colours.iter().take_while(|&&(_, count)| count >= PLAIN);
        plain.count().min(PLAIN_COLOURS)
    };
    let mut palette: Vec<Srgb<u8>> = colours[..exact].iter().map(|&(c, _)| c.into()).collect();

    let rest: Vec<Srgb<u8>> = colours[exact..]
        .iter()
        .flat_map(|&(colour, count)| std::iter::repeat_n(Srgb::from(colour), count))
        .collect();
    if !rest.is_empty() {
        let best = Pipeline::new()
            .palette_size((COLOURS - exact).try_into()?)
            .quantize_method(QuantizeMethod::kmeans())
            .input_slice(rest.as_slice())?
            .output_srgb8_palette();
        palette.extend(best.as_slice());
    }

    let nearest = NearestNeighborColorMap::new(PaletteBuf::<Oklab>::new(srgb8_to_oklab(&palette))?);
    let indices = nearest.map_to_indices(&srgb8_to_oklab(pixels));
    Ok(Indexed { palette, indices })
}

/// One still picture.
fn encode(picture: &Indexed) -> anyhow::Result<Vec<u8>> {
    let (width, height) = (WIDTH.try_into()?, HEIGHT.try_into()?);
    let palette: Vec<u8> = picture
        .palette
        .iter()
        .flat_map(|&c| <[u8; 3]>::from(c))
        .collect();
    let mut encoder = gif::Encoder::new(Vec::new(), width, height, &palette)?;
    encoder.write_frame(&gif::Frame {
        width,
        height,
        buffer: Cow::Borrowed(&picture.indices),
        ..gif::Frame::default()
    })?;
    Ok(encoder.into_inner()?)
}

/// What iso-codes knows about countries.
struct Facts(HashMap<CountryCode, IsoCountry>);

#[derive(Deserialize)]
struct IsoFile {
    #[serde(rename = "3166-1")]
    countries: Vec<IsoCountry>,
}

#[derive(Deserialize)]
struct IsoCountry {
    alpha_2: CountryCode,
    alpha_3: String,
    numeric: String,
    name: String,
    common_name: Option<String>,
}

impl Facts {
    fn read(file: &Path) -> anyhow::Result<Self> {
        let parse = || -> anyhow::Result<IsoFile> { Ok(serde_json::from_slice(&fs::read(file)?)?) };
        let IsoFile { countries } = parse().with_context(|| file.display().to_string())?;
        Ok(Self(
            countries
                .into_iter()
                .map(|country| (country.alpha_2, country))
                .collect(),
        ))
    }

    /// The content of `metadata.json`: one line, with the spacing of the book's files.
    fn metadata(&self, code: CountryCode) -> anyhow::Result<String> {
        let country = self
            .0
            .get(&code)
            .with_context(|| format!("{code}: unknown to iso-codes"))?;
        let name = short_name(country)?;
        let top_level_domain = match code.as_str() {
            "GB" => ".uk".to_owned(),
            _ => format!(".{}", code.to_lowercase()),
        };
        let members = [
            ("country", name),
            ("iso_cc", code.as_str()),
            ("tld_cc", &top_level_domain),
            ("iso_alpha_3", &country.alpha_3),
            ("iso_numeric", &country.numeric),
        ]
        .map(|(key, value)| format!("\"{key}\": {}", serde_json::Value::from(value)));
        Ok(format!("{{{}}}\n", members.join(", ")))
    }
}

/// The common short name: ours, that of iso-codes, or else the name in ISO 3166.
fn short_name(country: &IsoCountry) -> anyhow::Result<&str> {
    let ours = SHORT_NAMES
        .iter()
        .find(|(code, _)| *code == country.alpha_2.as_str())
        .map(|&(_, name)| name);
    let name = ours
        .or(country.common_name.as_deref())
        .unwrap_or(&country.name);
    ensure!(
        !name.contains([',', '/', '(']),
        "{}: {name:?} is not short; add a name to SHORT_NAMES",
        country.alpha_2
    );
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The colours after quantisation.
    fn quantised(pixels: &[Srgb<u8>]) -> Vec<Srgb<u8>> {
        let Indexed { palette, indices } = index(pixels).expect("a palette");
        assert!(palette.len() <= COLOURS);
        indices
            .iter()
            .map(|&place| palette[usize::from(place)])
            .collect()
    }

    /// 4096 colours, each in one pixel.
    fn gradient() -> Vec<Srgb<u8>> {
        (0..=u8::MAX)
            .flat_map(|red| (0..16).map(move |green| Srgb::new(red, 16 * green, 128)))
            .collect()
    }

    #[test]
    fn a_picture_of_256_colours_keeps_every_one() {
        let pixels: Vec<_> = (0..=u8::MAX)
            .map(|red| Srgb::new(red, 7, 255 - red))
            .collect();

        assert_eq!(quantised(&pixels), pixels);
    }

    #[test]
    fn a_plain_area_keeps_its_colour_in_a_picture_of_many() {
        let plain = Srgb::new(130, 131, 132);
        let pixels: Vec<_> = std::iter::repeat_n(plain, PLAIN)
            .chain(gradient())
            .collect();

        assert!(
            quantised(&pixels)[..PLAIN]
                .iter()
                .all(|&pixel| pixel == plain)
        );
    }

    #[test]
    fn quantisation_stays_close_to_the_original() {
        let pixels = gradient();
        let quantised = quantised(&pixels);

        let difference = |(one, other): (&Srgb<u8>, &Srgb<u8>)| {
            u32::from(one.red.abs_diff(other.red)) + u32::from(one.green.abs_diff(other.green))
        };
        let total: u32 = pixels.iter().zip(&quantised).map(difference).sum();
        let mean = f64::from(total) / pixels.len() as f64;
        assert!(mean < 12.0, "the mean difference is {mean}");
    }

    #[test]
    fn the_same_picture_always_gets_the_same_palette() {
        let pixels = gradient();
        let [one, other] = [(); 2].map(|()| index(&pixels).expect("a palette"));

        assert_eq!(one.palette, other.palette);
        assert_eq!(one.indices, other.indices);
    }

    #[test]
    fn a_long_name_is_refused() {
        let country = |name: &str| IsoCountry {
            alpha_2: "XK".parse().expect("a code"),
            alpha_3: "XKX".to_owned(),
            numeric: "926".to_owned(),
            name: name.to_owned(),
            common_name: None,
        };

        assert_eq!(short_name(&country("Kosovo")).expect("a name"), "Kosovo");
        assert!(short_name(&country("Kosovo, Republic of")).is_err());
    }
}
