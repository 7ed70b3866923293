//! How much memory clients can make the server take. It is a process of its own, so that nothing
//! else counts.
#![cfg(target_os = "linux")]

#[path = "support/http2.rs"]
mod http2;
mod support;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use http2::Connection;
use support::{BRAZIL, Client, request};

struct Running {
    child: Child,
    authority: String,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(scenario: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scenario.toml");
        std::fs::write(&file, scenario).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_flag-server"))
            .args(["--port", "0", "--threads", "1", "--scenario"])
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        out.read_line(&mut line).unwrap();
        let (_, authority) = line.trim_end().split_once("://").unwrap();
        Self {
            child,
            authority: authority.to_owned(),
            _folder: folder,
        }
    }

    /// What it takes, in bytes.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        let kib: u64 = line
            .unwrap()
            .split_whitespace()
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        kib * 1024
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

const MIB: u64 = 1024 * 1024;

#[test]
fn paths_are_counted_in_memory_that_does_not_grow_with_their_length() {
    const PATHS: usize = 600;
    const LENGTH: usize = 50_000;
    let server = Running::start("rule = [{ fault = \"status\", status = 503, probability = 0 }]");
    let mut client = Client::connect(&server.authority);
    let mut get = |number: usize| {
        let path = format!("/flags/{number}{}", "x".repeat(LENGTH));
        client.send(&request("GET", &path, &[]));
        assert_eq!(client.reply().0.status_line, "HTTP/1.1 404 Not Found");
    };
    (0..50).for_each(&mut get);
    let before = server.memory();
    (50..PATHS).for_each(&mut get);
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 10 * MIB, "{grown} bytes");
}

#[test]
fn a_request_that_waits_does_not_keep_its_headers() {
    const STREAMS: usize = 400;
    const LENGTH: usize = 48_000;
    let text = "rule = [{ fault = \"latency\", distribution = { fixed = \"1h\" } }]";
    let server = Running::start(text);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let long = "x".repeat(LENGTH);
    let (connection, before) = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(&server.authority).await;
        let connection = Connection::over(stream.unwrap()).await;
        for _ in 0..20 {
            let header = ("if-none-match", long.as_str());
            connection.send_request_with("GET", BRAZIL, header).await;
        }
        // All have arrived when a later one, which does not wait, is answered.
        assert_eq!(connection.get("/healthz").await.status(), Some(200));
        (connection, server.memory())
    });
    let grown = runtime.block_on(async {
        for _ in 20..STREAMS {
            let header = ("if-none-match", long.as_str());
            connection.send_request_with("GET", BRAZIL, header).await;
        }
        assert_eq!(connection.get("/healthz").await.status(), Some(200));
        server.memory().saturating_sub(before)
    });
    // Half of what keeping them would take; buffers have room in it.
    let kept = ((STREAMS - 20) * LENGTH) as u64;
    assert!(grown < kept / 2, "{grown} of {kept} bytes");
}
