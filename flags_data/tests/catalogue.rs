//! The embedded catalogue: which countries, which files, and that the pictures are those flags.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use flags_data::{Catalogue, CountryCode, Digest, Flag, POP20};

const CODES: &str = "
    AD AE AF AG AL AM AO AR AT AU AZ BA BB BD BE BF BG BH BI BJ BN BO BR BS BT BW BY BZ CA CD CF CG CH CI CL
    CM CN CO CR CU CV CY CZ DE DJ DK DM DZ EC EE EG ER ES ET FI FJ FM FR GA GB GD GE GH GM GN GQ GR GT GW GY
    HN HR HT HU ID IE IL IN IQ IR IS IT JM JO JP KE KG KH KI KM KN KP KR KW KZ LA LB LC LI LK LR LS LT LU LV
    LY MA MC MD ME MG MH MK ML MM MN MR MT MU MV MW MX MY MZ NA NE NG NI NL NO NP NR NZ OM PA PE PG PH PK PL
    PT PW PY QA RO RS RU RW SA SB SC SD SE SG SI SK SL SM SN SO SR SS ST SV SY SZ TD TG TH TJ TL TM TN TO TR
    TT TV TW TZ UA UG US UY UZ VA VC VE VN VU WS YE ZA ZM ZW";

/// The digest of the digests of all images, then all metadata. An intended change of the artwork
/// changes this line, and the date that `Catalogue::embedded` documents.
const ARTWORK: &str = "58e00e379c10b8d2084fca9d020e1e32b59f4615583f2675d4ae509b145ba888";

const WIDTH: usize = 400;
const HEIGHT: usize = 300;

fn flag(code: &str) -> Flag {
    let code = code.parse().expect("a code");
    Catalogue::embedded().get(code).expect("a flag").clone()
}

/// The only frame of a flag's picture.
struct Picture {
    rgba: Vec<u8>,
}

impl Picture {
    fn decode(flag: &Flag) -> Self {
        let mut options = gif::DecodeOptions::new();
        options.set_color_output(gif::ColorOutput::RGBA);
        let mut decoder = options.read_info(&flag.image.bytes[..]).expect("a GIF");
        assert_eq!(
            (decoder.width(), decoder.height()),
            (400, 300),
            "{}",
            flag.code
        );

        let frame = decoder
            .read_next_frame()
            .expect("a frame")
            .expect("a frame");
        assert_eq!(
            (frame.left, frame.top, frame.width, frame.height),
            (0, 0, 400, 300)
        );
        assert_eq!((frame.transparent, frame.delay), (None, 0), "{}", flag.code);
        let rgba = frame.buffer.to_vec();
        assert_eq!(rgba.len(), WIDTH * HEIGHT * 4);

        let another = decoder.read_next_frame().expect("the end");
        assert!(another.is_none(), "{} is animated", flag.code);
        Self { rgba }
    }

    fn at(&self, (x, y): (usize, usize)) -> [u8; 3] {
        let pixel = &self.rgba[(y * WIDTH + x) * 4..];
        [pixel[0], pixel[1], pixel[2]]
    }
}

/// The common name of a colour.
fn colour_name([red, green, blue]: [u8; 3]) -> &'static str {
    match (red, green, blue) {
        (0..60, 0..60, 0..60) => "black",
        (230.., 230.., 230..) => "white",
        (180.., 0..90, 0..90) => "red",
        (200.., 190.., 0..60) => "yellow",
        (200.., 90..190, 0..60) => "orange",
        (0..100, 75.., 0..100) if red < green && blue < green => "green",
        (0..100, 0..170, 80..) if red < blue && green < blue => "blue",
        _ => "another colour",
    }
}

#[test]
fn the_countries_are_the_194_of_the_book() {
    let expected: Vec<CountryCode> = CODES
        .split_whitespace()
        .map(|code| code.parse().expect("a code"))
        .collect();
    let catalogue = Catalogue::embedded();

    assert_eq!(expected.len(), 194);
    assert_eq!(catalogue.len(), 194);
    assert!(!catalogue.is_empty());
    assert_eq!(catalogue.codes().collect::<Vec<_>>(), expected);
    assert_eq!(catalogue.flags().len(), 194);
    assert!(expected.is_sorted());
}

#[test]
fn a_code_finds_its_own_flag_or_none() {
    let catalogue = Catalogue::embedded();
    let with_a_flag: BTreeSet<_> = catalogue.codes().collect();

    for code in CountryCode::every() {
        let found = catalogue.get(code).map(|flag| flag.code);
        assert_eq!(found, with_a_flag.contains(&code).then_some(code));
    }
}

#[test]
fn the_20_most_populous_countries_have_flags() {
    let catalogue = Catalogue::embedded();
    let codes = POP20.map(|code| code.to_string()).join(" ");

    assert_eq!(
        codes,
        "CN IN US ID BR PK NG BD RU JP MX PH VN ET EG DE IR TR CD FR"
    );
    assert!(POP20.into_iter().all(|code| catalogue.get(code).is_some()));
}

#[test]
fn the_digests_are_those_of_the_bytes() {
    for flag in Catalogue::embedded().flags() {
        assert_eq!(
            flag.image.digest,
            Digest::of(&flag.image.bytes),
            "{}",
            flag.code
        );
        assert_eq!(
            flag.metadata.digest,
            Digest::of(&flag.metadata.bytes),
            "{}",
            flag.code
        );
    }
}

#[test]
fn the_artwork_does_not_change_by_accident() {
    let catalogue = Catalogue::embedded();
    let images = catalogue.flags().map(|flag| flag.image.digest);
    let metadata = catalogue.flags().map(|flag| flag.metadata.digest);
    let digests: Vec<u8> = images
        .chain(metadata)
        .flat_map(|digest| *digest.as_bytes())
        .collect();

    assert_eq!(Digest::of(&digests).to_string(), ARTWORK);
}

#[test]
fn every_embedded_flag_has_the_date_of_the_artwork() {
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_672_617_600);

    assert!(
        Catalogue::embedded()
            .flags()
            .all(|flag| flag.last_modified == date)
    );
}

#[test]
fn catalogues_share_their_bytes() {
    let [one, other] = [Catalogue::embedded(), Catalogue::embedded()];

    for (one, other) in one.flags().zip(other.flags()) {
        assert_eq!(one.image.bytes.as_ptr(), other.image.bytes.as_ptr());
    }
}

#[test]
fn every_picture_is_a_single_frame_of_400_by_300() {
    for flag in Catalogue::embedded().flags() {
        assert!(flag.image.bytes.starts_with(b"GIF89a"), "{}", flag.code);
        Picture::decode(flag);
    }
}

#[test]
fn the_pictures_are_small_files() {
    let catalogue = Catalogue::embedded();
    let sizes: Vec<usize> = catalogue
        .flags()
        .map(|flag| flag.image.bytes.len())
        .collect();
    let usual = sizes
        .iter()
        .filter(|size| (1024..30 * 1024).contains(*size))
        .count();

    assert!(sizes.iter().all(|&size| size < 60 * 1024));
    assert!(
        usual * 10 > sizes.len() * 9,
        "only {usual} have 1 to 30 KiB"
    );
}

#[test]
fn the_metadata_is_one_line_about_its_own_country() {
    for flag in Catalogue::embedded().flags() {
        let text = str::from_utf8(&flag.metadata.bytes).expect("UTF-8");
        assert_eq!(text.find('\n'), Some(text.len() - 1), "{}", flag.code);
        assert!(!text.contains("\\u"), "{text}");

        let metadata: serde_json::Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(metadata["country"], *flag.country);
        assert_eq!(metadata["iso_cc"], flag.code.as_str());
        let domain = match flag.code.as_str() {
            "GB" => ".uk".to_owned(),
            _ => format!(".{}", flag.code.to_lowercase()),
        };
        assert_eq!(metadata["tld_cc"], domain);
        assert_eq!(
            metadata["iso_alpha_3"].as_str().map(str::len),
            Some(3),
            "{text}"
        );
        assert_eq!(
            metadata["iso_numeric"].as_str().map(str::len),
            Some(3),
            "{text}"
        );
    }
}

#[test]
fn the_names_are_short_and_fit_for_file_names() {
    let catalogue = Catalogue::embedded();
    let names: BTreeSet<_> = catalogue.flags().map(|flag| &flag.country).collect();
    assert_eq!(
        names.len(),
        catalogue.len(),
        "two countries have the same name"
    );

    for name in names {
        assert!(!name.contains(['/', '\\', ',', '(']), "{name}");
        assert!(
            !name.contains("Republic of") && !name.contains("State of"),
            "{name}"
        );
    }
    for (code, name) in [
        ("BO", "Bolivia"),
        ("BR", "Brazil"),
        ("CD", "DR Congo"),
        ("CG", "Congo"),
        ("CI", "Côte d'Ivoire"),
        ("FM", "Micronesia"),
        ("KP", "North Korea"),
        ("KR", "South Korea"),
        ("LA", "Laos"),
        ("RU", "Russia"),
        ("TR", "Türkiye"),
        ("VA", "Vatican City"),
        ("VN", "Vietnam"),
    ] {
        assert_eq!(flag(code).country, name);
    }
}

#[test]
fn the_flags_are_recognisable() {
    let (left, centre, right) = ((60, 150), (200, 150), (340, 150));
    let (upper, lower) = ((200, 75), (200, 225));
    let (top, bottom) = ((200, 40), (200, 260));
    let corner = (5, 5);

    for (code, places) in [
        ("BD", &[((170, 150), "red"), (corner, "green")][..]),
        (
            "BR",
            &[(corner, "green"), (left, "yellow"), ((200, 200), "blue")],
        ),
        (
            "CH",
            &[(corner, "red"), (centre, "white"), ((100, 100), "red")],
        ),
        ("CN", &[((76, 74), "yellow"), (centre, "red")]),
        ("DE", &[(top, "black"), (centre, "red"), (bottom, "yellow")]),
        (
            "EG",
            &[(top, "red"), ((20, 150), "white"), (bottom, "black")],
        ),
        ("FR", &[(left, "blue"), (centre, "white"), (right, "red")]),
        ("ID", &[(upper, "red"), (lower, "white")]),
        (
            "IN",
            &[(top, "orange"), ((20, 150), "white"), (bottom, "green")],
        ),
        ("IT", &[(left, "green"), (centre, "white"), (right, "red")]),
        ("JP", &[(corner, "white"), (centre, "red")]),
        (
            "NG",
            &[(left, "green"), (centre, "white"), (right, "green")],
        ),
        ("NP", &[((390, 10), "white"), ((60, 60), "red")]),
        ("PL", &[(upper, "white"), (lower, "red")]),
        (
            "SE",
            &[
                (corner, "blue"),
                ((160, 20), "yellow"),
                ((380, 150), "yellow"),
            ],
        ),
        ("UA", &[(upper, "blue"), (lower, "yellow")]),
        (
            "US",
            &[((4, 4), "blue"), ((395, 12), "red"), ((395, 35), "white")],
        ),
        ("VN", &[(corner, "red"), (centre, "yellow")]),
        (
            "ZA",
            &[
                ((10, 150), "black"),
                ((380, 20), "red"),
                ((380, 150), "green"),
                ((380, 280), "blue"),
            ],
        ),
    ] {
        let picture = Picture::decode(&flag(code));
        for &(place, expected) in places {
            let found = picture.at(place);
            assert_eq!(
                colour_name(found),
                expected,
                "{code} at {place:?} is {found:?}"
            );
        }
    }
}

#[test]
fn the_drawings_reach_the_edges_of_their_pictures() {
    let denmark = Picture::decode(&flag("DK"));
    assert_eq!(denmark.at((399, 10)), denmark.at((5, 10)));

    let panama = Picture::decode(&flag("PA"));
    assert_eq!(panama.at((399, 0)), panama.at((300, 100)));
    assert_eq!(panama.at((0, 299)), panama.at((100, 200)));
}

/// The drawing has it as text in a rarely installed font, so it is easily lost.
#[test]
fn the_ribbon_of_san_marino_says_libertas() {
    let picture = Picture::decode(&flag("SM"));
    let dark = |x, y| picture.at((x, y)).iter().all(|&channel| channel < 90);

    // The ribbon is white before the lettering begins.
    assert!((167..176).all(|x| (207..212).all(|y| colour_name(picture.at((x, y))) == "white")));
    // L, an upright and a foot.
    assert!((206..211).all(|y| dark(177, y) && dark(178, y)));
    assert!((177..182).all(|x| dark(x, 211)));
    // T, the crossbar and the stem below it.
    assert!((203..209).all(|x| dark(x, 207)));
    assert!((207..213).all(|y| dark(205, y)));
    // All letters: ink and background alternate.
    let ink = (177..221).flat_map(|x| (206..213).map(move |y| (x, y)));
    let ink = ink.filter(|&(x, y)| dark(x, y)).count();
    assert!((90..180).contains(&ink), "{ink} dark pixels");
}

#[test]
fn loading_the_folder_gives_what_is_embedded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("flags");
    let loaded = Catalogue::load(&folder).expect("the folder is valid");
    let embedded = Catalogue::embedded();

    assert_eq!(loaded.len(), embedded.len());
    for (loaded, embedded) in loaded.flags().zip(embedded.flags()) {
        let last_modified = embedded.last_modified;
        assert_eq!(
            *embedded,
            Flag {
                last_modified,
                ..loaded.clone()
            }
        );
    }
}
