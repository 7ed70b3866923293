//! What it takes to find a flag: `cargo bench -p flags-data --bench lookup`.

use divan::{Bencher, black_box};
use flags_data::{Catalogue, CountryCode};

fn main() {
    divan::main();
}

/// Nothing is decoded or hashed when a program starts.
#[divan::bench]
fn open_the_embedded_catalogue() -> Catalogue {
    Catalogue::embedded()
}

#[divan::bench(args = ["br", "ZW", "xx"])]
fn from_text_to_flag(bencher: Bencher<'_, '_>, text: &str) {
    let catalogue = Catalogue::embedded();
    bencher.bench(|| {
        let code: CountryCode = black_box(text).parse().ok()?;
        catalogue.get(code).map(|flag| flag.image.bytes.len())
    });
}
