//! Where output goes: every option that writes, crossed with everything that a path can be.
#![cfg(unix)]

use std::process::Command;

#[path = "../../host/tests/support/cells.rs"]
mod cells;

use cells::{Cell, Ending, Place};

const PROGRAM: &str = env!("CARGO_BIN_EXE_flag-client");

/// A race that is over at once.
const RACE: &[&str] = &[
    "bench",
    "-r",
    "1",
    "-w",
    "0",
    "--strategy",
    "async",
    "--profile",
    "local",
    "BR",
];
const LOAD: &[&str] = &["load", "-n", "3", "-c", "1", "--profile", "local", "BR"];
const GET: &[&str] = &["get", "BR", "--out", "flags"];

/// The options that write a document: the command line before it, and how the document begins.
const DOCUMENTS: &[(&[&str], &str, &str)] = &[
    (GET, "--export-json", "{"),
    (LOAD, "--export-json", "{"),
    (RACE, "--export-json", "{"),
    (RACE, "--export-csv", "lane,"),
    (RACE, "--export-markdown", "| strategy"),
    (RACE, "--report", "<!DOCTYPE html>"),
    (RACE, "--plot", "<svg"),
];

/// Options that write to a folder, and the file that they write there first.
const FOLDERS: &[(&[&str], &str)] = &[
    (&["get", "BR"], "--out"),
    (RACE, "--out"),
    (LOAD, "--export-hgrm"),
    (&["man"], "--out"),
];

fn check_documents(cells: &[Cell]) {
    for (command, option, begins) in DOCUMENTS {
        for &cell in cells {
            // The ending says which picture it is.
            let Some(place) = Place::make(cell, "document.svg") else {
                continue;
            };
            if cell == Cell::FullDisk && *command == GET {
                continue; // the flags cannot be saved either, which is an error of its own
            }
            let args = [*command, &[option, place.text()]].concat();
            let Some(mut command) = place.command(PROGRAM, &args) else {
                continue;
            };
            let output = command.output().unwrap();
            place.check(option, &output, cell.ending(), begins, true);
        }
    }
}

#[test]
fn a_document_goes_where_the_path_leads() {
    let written = |cell: &Cell| cell.ending() == Ending::Written;
    check_documents(&Cell::ALL.into_iter().filter(written).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_written_is_refused_before_anything_is_measured() {
    let refused = |cell: &Cell| cell.ending() == Ending::Refused;
    check_documents(&Cell::ALL.into_iter().filter(refused).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_is_a_failure_and_the_older_result_survives() {
    let failed = |cell: &Cell| cell.ending() == Ending::Failed;
    check_documents(&Cell::ALL.into_iter().filter(failed).collect::<Vec<_>>());
}

#[test]
fn a_saved_flag_goes_where_the_path_leads() {
    for cell in Cell::ALL {
        let ending = match cell {
            Cell::Dash | Cell::Descriptor | Cell::MissingFolder | Cell::UnwritableFolder => {
                continue;
            }
            other if other.ending() == Ending::Written => Ending::Written,
            // An image is written in the course of the work: its download has failed.
            _ => Ending::Failed,
        };
        let Some(place) = Place::make(cell, "BR.gif") else {
            continue;
        };
        let args = ["get", "-v", "BR", "--out", "."];
        let Some(mut command) = place.command(PROGRAM, &args) else {
            continue;
        };
        let output = command.output().unwrap();
        if ending == Ending::Written {
            place.check("--out", &output, ending, "GIF8", true);
        } else {
            assert_eq!(output.status.code(), Some(1), "{cell:?}: {output:?}");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(text.contains("BR.gif: "), "{cell:?}: {output:?}");
            assert!(!text.contains(".part"), "{cell:?}: {output:?}");
        }
    }
}

#[test]
fn a_folder_is_made_or_refused() {
    for (command, option) in FOLDERS {
        for cell in Cell::ALL {
            let ending = match cell {
                Cell::Missing | Cell::MissingFolder | Cell::Folder => Ending::Written,
                // A socket or a pipe needs nobody at its other end to be no folder.
                Cell::Pipe | Cell::Socket | Cell::FullDisk | Cell::Descriptor => continue,
                _ => Ending::Refused,
            };
            let Some(place) = Place::make(cell, "folder") else {
                continue;
            };
            let path = place.path.clone();
            let args = [*command, &[option, place.text()]].concat();
            let Some(mut command) = place.command(PROGRAM, &args) else {
                continue;
            };
            let output = command.output().unwrap();
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            let context = format!("{option} {cell:?}: {output:?}");
            if ending == Ending::Written {
                assert_eq!(output.status.code(), Some(0), "{context}");
                assert!(path.read_dir().unwrap().count() > 0, "{context}");
            } else {
                assert_eq!(output.status.code(), Some(2), "{context}");
                assert!(
                    message.contains(&format!("{option} {}", path.display())),
                    "{context}"
                );
                assert_eq!(message.lines().count(), 1, "{context}");
                assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{context}");
            }
        }
    }
}

#[test]
fn standard_output_has_one_document() {
    let folder = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (
            &["--export-json", "-", "--report", "-"] as &[&str],
            "--report -: is what --export-json writes to",
        ),
        (
            &["--export-json", "-", "--format", "csv"],
            "--export-json -: standard output has what --format asks for",
        ),
        (
            &["--export-json", "a", "--report", "./a"],
            "--report ./a: is what --export-json writes to",
        ),
    ] {
        let mut command = Command::new(PROGRAM);
        let output = command
            .args(RACE)
            .args(args)
            .current_dir(&folder)
            .output()
            .unwrap();
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_a_failure_of_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let save = [RACE, &["--export-json", "r.json"]].concat();
    let mut measure = Command::new(PROGRAM);
    let saved = measure.args(save).current_dir(&folder).output().unwrap();
    assert_eq!(saved.status.code(), Some(0), "{saved:?}");
    let json = [RACE, &["--format", "json"]].concat();
    let csv = [RACE, &["--format", "csv"]].concat();
    for args in [
        &["--help"] as &[&str],
        &["-h"],
        &["--version"],
        &["help", "get"],
        &["bench", "--help"],
        &["completions", "bash"],
        &["man"],
        &["schema"],
        &["plan", "BR"],
        &["compare", "r.json", "r.json", "--anyway"],
        &["report", "r.json"],
        &["report", "r.json", "--export-csv", "-"],
        &["sweep", "-r", "1", "-m", "1", "BR", "--profile", "local"],
        GET,
        LOAD,
        RACE,
        &json,
        &csv,
    ] {
        let (code, message) = cells::on_a_full_device(PROGRAM, args, &folder);
        assert_eq!(code, Some(1), "{args:?}: {message}");
        let errors = message.lines().filter(|line| line.starts_with("error: "));
        assert_eq!(errors.count(), 1, "{args:?}: {message}");
        assert!(
            message.contains("No space left on device"),
            "{args:?}: {message}"
        );
    }
}
