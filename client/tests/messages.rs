//! What the program says about wrong options: their names and the remedy, in our words.

use std::process::{Command, Stdio};

#[path = "../src/bin/flag-client/args.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    reason = "the definition is walked, and its values are not used"
)]
mod args;
#[path = "support/options.rs"]
mod options;

use args::Args;
use options::{Place, refused_by_definition, refused_by_program};

/// Options that take any text: nothing is wrong with one.
const ANYTHING: [&str; 2] = ["--run", "--command"];

/// What an option needs beside it.
fn context(place: &Place) -> &'static [&'static str] {
    match (place.path.first().map_or("", String::as_str), &*place.name) {
        ("compare", "OLD") => &["result.json"],
        ("compare", "--old") => &["--new", "blocked/x"],
        ("compare", "--new") => &["--old", "result.json"],
        ("report", name) if name.starts_with("--") => &["result.json"],
        _ => &[],
    }
}

/// The name by which a message may call a place, where that is not its own.
fn called(place: Place) -> Place {
    let is_file = ["FILE", "OLD"].contains(&&*place.name);
    let name = if is_file {
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
    let run = |words: &[String]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flag-client"));
        command.args(words).current_dir(folder.path());
        command.stdin(Stdio::null()).output().unwrap()
    };
    let words = "get BR --export-json result.json"
        .split(' ')
        .map(str::to_owned);
    assert!(run(&words.collect::<Vec<_>>()).status.success());
    let (mut lenient, mut faults) = refused_by_definition::<Args>();
    lenient.retain(|place| !ANYTHING.contains(&&*place.name));
    faults.extend(refused_by_program(lenient, run, context, called));
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_misspelt_word_gets_a_suggestion() {
    let message = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flag-client"));
        let output = command.args(words).stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    for (words, meant) in [
        (&["benhc"] as &[&str], "'bench'"),
        (&["bench", "--stratgy", "async"], "'--strategy'"),
        (&["bench", "--strategy", "asnyc"], "'async'"),
        (&["bench", "--profile", "flakey"], "did you mean flaky?"),
        (
            &["bench", "--threshold", "async.speedup > 1"],
            "did you mean speed_up?",
        ),
        (
            &["bench", "--threshold", "asnyc.p(99) < 1s"],
            "did you mean async?",
        ),
        (
            &["bench", "--reference", "threded"],
            "did you mean threaded?",
        ),
        (&["get", "Brasil"], "BR for Brazil"),
        (&["get", "-s", "LOCLA"], "did you mean LOCAL?"),
    ] {
        let message = message(words);
        assert!(message.contains(meant), "{words:?}: {message}");
    }
}

#[test]
fn a_password_is_in_no_message_and_no_result() {
    let folder = tempfile::tempdir().unwrap();
    let server = flag_server::FlagServer::builder().start_blocking().unwrap();
    let url = server.flags_url().replace("://", "://user:secret-word@");
    for words in [
        vec!["get", "BR", "-s", &url, "--export-json", "result.json"],
        vec![
            "bench", "BR", "-r", "1", "-w", "0", "-s", &url, "--out", "out",
        ],
        vec![
            "bench", "BR", "-r", "1", "-w", "0", "-s", &url, "--format", "markdown",
        ],
        vec![
            "load",
            "BR",
            "-n",
            "2",
            "-s",
            &url,
            "-H",
            "authorization: secret-word",
            "--format",
            "json",
        ],
        vec!["load", "-n", "2", &url, "-H", "secret-word"],
        vec!["get", "BR", "-s", "http://user:secret-word@127.0.0.1:1/"],
        vec!["get", "BR", "-s", "user:secret-word@127.0.0.1"],
        vec!["get", "BR", "-s", "http://user:secret-word@127.0.0.1:1/?x"],
        vec!["load", "BR", "http://user:secret-word@127.0.0.1:1/"],
        vec!["load", "http://user:secret-word@[::"],
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flag-client"));
        command.args(&words).current_dir(folder.path());
        let output = command.stdin(Stdio::null()).output().unwrap();
        for text in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(text);
            assert!(!text.contains("secret-word"), "{words:?}: {text}");
        }
    }
    for file in ["result.json", "out/custom.json", "out/report.html"] {
        let text = std::fs::read_to_string(folder.path().join(file)).unwrap();
        assert!(!text.contains("secret-word"), "{file}");
        assert!(text.contains("***"), "{file}: a word stands for it");
    }
}

/// Whatever a server, a file or a name may have in it.
const FOREIGN: &str =
    "=x\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\u{202e}\u{0}\u{ffff}|\n| `<script>`\r\t";

#[test]
fn foreign_text_reaches_no_medium_raw() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flag-client"));
        command.args(words.split(' ')).current_dir(folder.path());
        command.env("CLICOLOR_FORCE", "1").stdin(Stdio::null());
        command.output().unwrap()
    };
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let race = "bench BR -r 1 -w 0 --profile local --strategy async --export-json result.json";
    assert!(run(race).status.success());
    let mut result: serde_json::Value = serde_json::from_str(&read("result.json")).unwrap();
    result["server"]["label"] = FOREIGN.into();
    result["server"]["url"] = format!("http://user:secret-word@host/{FOREIGN}").into();
    result["server"]["scenario"]["name"] = FOREIGN.into();
    result["lanes"][0]["name"] = FOREIGN.into();
    let sample = &mut result["lanes"][0]["rounds"][0]["samples"][0];
    sample["outcome"] = "broken_connection".into();
    sample["error"] = FOREIGN.into();
    std::fs::write(folder.path().join("foreign.json"), result.to_string()).unwrap();

    let files = "--export-csv x.csv --export-markdown x.md --export-json x.json --report x.html --plot x.svg";
    let output = run(&format!("report foreign.json -v {files}"));
    assert!(output.status.success(), "{output:?}");
    let mut texts = vec![
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    ];
    texts.extend(["x.csv", "x.md", "x.json", "x.html", "x.svg"].map(read));
    for format in ["markdown", "csv", "json"] {
        let output = run(&format!("report foreign.json --format {format}"));
        texts.push(String::from_utf8(output.stdout).unwrap());
    }
    for text in &texts {
        assert!(!text.contains("secret-word"), "{text}");
        for raw in [
            "\u{1b}[2J",
            "\u{1b}]",
            "\u{7}",
            "\u{9b}",
            "\u{202e}",
            "\0",
            "\r",
        ] {
            assert!(!text.contains(raw), "{raw:?} in {text}");
        }
    }
    for file in ["x.md", "x.html", "x.svg"] {
        assert!(!read(file).contains("<script>"), "{file}");
    }
    for line in read("x.csv").lines().skip(1) {
        assert!(line.starts_with("'=x"), "{line}");
    }
    let markdown = read("x.md");
    let table = markdown.lines().filter(|line| line.starts_with('|'));
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    let bars: std::collections::BTreeSet<usize> = table.map(bars).collect();
    assert_eq!(
        bars.len(),
        1,
        "a row has another number of cells: {markdown}"
    );
    roxmltree::Document::parse(&read("x.svg")).unwrap();
    serde_json::from_str::<serde_json::Value>(&read("x.json")).unwrap();
}
