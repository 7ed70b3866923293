//! Every TOML example of the documents is read, as a user would who copies it into a file.
//!
//! A block that begins with a comment like `# tea.toml` is written to that file first, since
//! configurations name others. A block marked `toml wrong` has to be refused.

use std::path::{Path, PathBuf};
use std::process::Command;

struct Block {
    document: PathBuf,
    line: usize,
    is_wrong: bool,
    text: String,
}

impl Block {
    fn file(&self) -> String {
        let name = self
            .text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# "));
        match name.filter(|name| name.ends_with(".toml")) {
            Some(name) => name.to_owned(),
            None => format!("{}.toml", self.line),
        }
    }
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let docs = root.join("docs").read_dir().unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    let mut documents: Vec<PathBuf> = docs
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    documents.push(root.join("README.md"));
    documents
}

fn blocks(document: &Path) -> Vec<Block> {
    let text = std::fs::read_to_string(document).unwrap();
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_open = false;
    for (number, line) in (1..).zip(text.lines()) {
        match line {
            "```toml" | "```toml wrong" => {
                is_open = true;
                blocks.push(Block {
                    document: document.to_owned(),
                    line: number,
                    is_wrong: line != "```toml",
                    text: String::new(),
                });
            }
            "```" => is_open = false,
            line if is_open => {
                let block = blocks.last_mut().unwrap();
                block.text += line;
                block.text += "\n";
            }
            _ => {}
        }
    }
    blocks
}

#[test]
fn every_example_is_accepted_and_every_wrong_one_is_refused() {
    let mut count = 0;
    for document in documents() {
        let folder = tempfile::tempdir().unwrap();
        let blocks = blocks(&document);
        for block in &blocks {
            std::fs::write(folder.path().join(block.file()), &block.text).unwrap();
        }
        for block in &blocks {
            let check = Command::new(env!("CARGO_BIN_EXE_flag-server"))
                .arg("check")
                .arg(folder.path().join(block.file()))
                .output()
                .unwrap();
            let place = format!("{}:{}", block.document.display(), block.line);
            let code = if block.is_wrong { 2 } else { 0 };
            assert_eq!(check.status.code(), Some(code), "{place}: {check:?}");
            if block.is_wrong {
                let message = String::from_utf8(check.stderr).unwrap();
                assert!(message.contains(" has "), "{place}: {message}");
                assert!(message.contains(" problem"), "{place}: {message}");
            }
            count += 1;
        }
    }
    assert!(count >= 10, "{count}");
}

/// The documents have an example of everything that a file may contain.
#[test]
fn every_kind_distribution_condition_and_alias_has_an_example() {
    let examples: String = documents()
        .iter()
        .flat_map(|document| blocks(document))
        .filter(|block| !block.is_wrong)
        .map(|block| block.text)
        .collect();
    let quoted = [
        "latency",
        "status",
        "reset",
        "close",
        "truncate",
        "stall",
        "bandwidth",
        "dribble",
        "garbage",
        "corrupt",
        "redirect",
        "CONNECTION_RESET_BY_PEER",
        "EMPTY_RESPONSE",
        "MALFORMED_RESPONSE_CHUNK",
        "RANDOM_DATA_THEN_CLOSE",
    ];
    for kind in quoted {
        assert!(examples.contains(&format!("fault = \"{kind}\"")), "{kind}");
    }
    let keys = [
        "fixed",
        "uniform",
        "normal",
        "lognormal",
        "sigma",
        "p99",
        "exponential",
        "pareto",
        "max",
        "one_of",
        "weight",
        "retry_after",
        "body",
        "after",
        "fraction",
        "hold",
        "rate",
        "chunks",
        "over",
        "bits",
        "hops",
        "cc",
        "path",
        "method",
        "header",
        "attempts",
        "window",
        "from",
        "until",
        "capacity",
        "workers",
        "service_time",
        "queue",
        "profile",
        "scenario",
    ];
    for key in keys {
        assert!(examples.contains(&format!("{key} = ")), "{key}");
    }
}
