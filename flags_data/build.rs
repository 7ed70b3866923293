//! Embeds `flags/`: decides what the program carries, and refuses a folder that
//! `Catalogue::load` would refuse.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

#[allow(
    dead_code,
    unreachable_pub,
    reason = "the library's file, of which a part is needed"
)]
#[path = "src/code.rs"]
mod code;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the library's file, of which a part is needed"
)]
#[path = "src/digest.rs"]
mod digest;
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the library's file, of which a part is needed"
)]
#[path = "src/folder.rs"]
mod folder;

use digest::Digest;

fn main() {
    println!("cargo::rerun-if-changed=flags");
    if let Err(error) = embed() {
        // Each line is a problem of its own, and fails the build.
        for line in error.to_string().lines() {
            println!("cargo::error={line}");
        }
    }
}

fn embed() -> Result<(), Box<dyn Error>> {
    let manifest_dir = env::var("CARGO_MANIFEST_DIR")?;
    let out_dir = env::var("OUT_DIR")?;
    let entries = folder::read(&Path::new(&manifest_dir).join("flags"))?;

    let mut table = format!("pub(super) static FLAGS: [Flag; {}] = [\n", entries.len());
    for entry in &entries {
        let code = entry.code;
        let cc = code.to_lowercase();
        writeln!(
            table,
            "    Flag {{ code: CountryCode::literal(*b{:?}), country: {:?}, image: {}, metadata: {} }},",
            code.as_str(),
            entry.country,
            asset(&format!("{cc}/{cc}.gif"), &entry.image),
            asset(&format!("{cc}/metadata.json"), &entry.metadata),
        )?;
    }
    table.push_str("];\n");
    fs::write(Path::new(&out_dir).join("embedded.rs"), table)?;
    Ok(())
}

/// The source text of an `Asset`.
fn asset(path: &str, bytes: &[u8]) -> String {
    format!(
        r#"Asset {{ bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/flags/{path}")), digest: Digest::from_bytes({:?}) }}"#,
        Digest::of(bytes).as_bytes(),
    )
}
