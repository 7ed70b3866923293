//! What the program says about wrong options: their names and the remedy, in our words.

use std::process::{Command, Output, Stdio};

#[path = "../src/bin/flag-server/args.rs"]
#[allow(
    dead_code,
    reason = "the definition is walked, and its values are not used"
)]
mod args;
#[path = "../../client/tests/support/options.rs"]
mod options;

use args::Args;
use options::{Place, refused_by_definition, refused_by_program};

fn run(words: &[String], folder: &std::path::Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flag-server"));
    command.args(words).current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FLAG_SERVER_")) {
        command.env_remove(name);
    }
    command.output().unwrap()
}

/// What an option needs beside it.
fn context(place: &Place) -> &'static [&'static str] {
    match &*place.name {
        "--tls-cert" => &["--tls-key", "blocked/x"],
        "--tls-key" => &["--tls-cert", "certificate.pem"],
        _ => &[],
    }
}

/// The name by which a message may call a place, where that is not its own.
fn called(place: Place) -> Place {
    let name = if place.is_positional {
        "blocked/x".to_owned()
    } else {
        place.name.clone()
    };
    Place { name, ..place }
}

#[test]
fn every_option_refuses_a_wrong_value_with_its_name_and_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    // No file can be read or written below a file.
    std::fs::write(folder.path().join("blocked"), "").unwrap();
    // One that is read, and used only with a key.
    let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    std::fs::write(folder.path().join("certificate.pem"), certificate).unwrap();
    let (lenient, mut faults) = refused_by_definition::<Args>();
    let run = |words: &[String]| run(words, folder.path());
    faults.extend(refused_by_program(lenient, run, context, called));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_misspelt_word_gets_a_suggestion() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file("fault.toml", "rule = [{ fault = 'latncy' }]");
    file("key.toml", "sede = 1");
    for (words, meant) in [
        ("profles", "'profiles'"),
        ("--prot 1", "'--port'"),
        ("--edition 3", "1, 2"),
        ("--profile flakey", "did you mean flaky?"),
        ("profiles flakey", "did you mean flaky?"),
        ("plan Brasil", "BR for Brazil"),
        ("check fault.toml", "did you mean latency?"),
        ("check key.toml", "did you mean seed?"),
    ] {
        let list: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let output = run(&list, folder.path());
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words}: {message}");
        assert!(message.contains(meant), "{words}: {message}");
    }
}
