//! The golden vectors of canonical paths, which `e2e/decision.py` computed without this crate.

use flags_data::{CountryCode, Resource};

#[derive(serde::Deserialize)]
struct Vectors {
    spellings: Vec<Spelling>,
}

#[derive(serde::Deserialize)]
struct Spelling {
    target: String,
    path: String,
    cc: Option<CountryCode>,
    #[serde(default)]
    run: Option<String>,
}

#[test]
fn the_golden_vectors_of_spellings_hold() {
    let vectors: Vectors =
        serde_json::from_str(include_str!("../../docs/golden-vectors.json")).unwrap();
    assert!(vectors.spellings.len() >= 20);
    for Spelling {
        target,
        path,
        cc,
        run,
    } in vectors.spellings
    {
        let resource = Resource::parse(&target);
        assert_eq!(resource.path(), path, "{target}");
        assert_eq!(resource.code(), cc, "{target}");
        assert_eq!(resource.run(), run.as_deref(), "{target}");
    }
}
