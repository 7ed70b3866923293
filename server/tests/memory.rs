//! How much memory clients can make the server take. It is a process of its own, so that nothing
//! else counts.
#![cfg(target_os = "linux")]

#[path = "support/http2.rs"]
mod http2;
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use http2::Connection;
use support::{BRAZIL, Client, SAFETY, request};

struct Running {
    child: Child,
    authority: String,
    _folder: tempfile::TempDir,
}

impl Running {
    fn start(scenario: &str) -> Self {
        Self::start_with(scenario, &[]).0
    }

    /// The same with more options, and the authorities that are printed after the first.
    fn start_with(scenario: &str, more: &[&str]) -> (Self, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("scenario.toml");
        std::fs::write(&file, scenario).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_flag-server"))
            .args(["--port", "0", "--threads", "1", "--scenario"])
            .arg(&file)
            .args(more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let lines = out.lines().take(1 + usize::from(!more.is_empty()));
        let mut authorities =
            lines.map(|line| line.unwrap().split_once("://").unwrap().1.to_owned());
        let running = Self {
            authority: authorities.next().unwrap(),
            child,
            _folder: folder,
        };
        (running, authorities.collect())
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

/// Each with a scenario, attempts at two paths and three records, none of which is forgotten.
#[test]
fn ten_thousand_runs_with_scenarios_and_records_stay_within_the_bound() {
    const RUNS: usize = 10_000;
    // What docs/control.md says of a run like these, in bytes.
    const OF_ONE: u64 = 8 * 1024;
    let (server, more) = Running::start_with("", &["--control", "127.0.0.1:0"]);
    let mut control = Control::connect(&more[0]);
    let mut client = Client::connect(&server.authority);
    let mut run = |number: usize| {
        let name = format!("a test with a name of a usual length [{number}]");
        let escaped = name.replace(' ', "%20");
        let text =
            "rule = [{ name = 'busy', fault = 'status', status = 503, attempts = { first = 1 } }]";
        let put = control.ask("PUT", &format!("/api/runs/{escaped}/scenario"), text);
        assert_eq!(put, 204);
        for (path, status) in [
            (BRAZIL, "503"),
            (BRAZIL, "200"),
            ("/flags/jp/jp.gif", "503"),
        ] {
            let lines = [
                &*format!("flag-run: {name}"),
                "user-agent: a client",
                "accept: */*",
            ];
            client.send_request("GET", path, &lines);
            assert_eq!(client.reply().0.status_line[9..12], *status);
        }
    };
    (0..100).for_each(&mut run);
    let before = server.memory();
    (100..RUNS).for_each(&mut run);
    let grown = server.memory().saturating_sub(before);
    let each = grown / (RUNS - 100) as u64;
    assert!(each < OF_ONE, "{each} bytes for each run");
    // The first is still there, and goes on where it was.
    client.send_request(
        "GET",
        "/run/a%20test%20with%20a%20name%20of%20a%20usual%20length%20[0]/flags/jp/jp.gif",
        &[],
    );
    assert_eq!(client.reply().0.status_line[9..12], *"200");
}

/// A connection to the control plane.
struct Control(TcpStream);

impl Control {
    fn connect(authority: &str) -> Self {
        let stream = TcpStream::connect(authority).unwrap();
        stream.set_read_timeout(Some(SAFETY)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// The status of an answer without a body.
    fn ask(&mut self, method: &str, path: &str, body: &str) -> u16 {
        let host = self.0.peer_addr().unwrap();
        let length = body.len();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.0.write_all(text.as_bytes()).unwrap();
        let (mut head, mut piece) = (Vec::new(), [0; 1024]);
        while !head.ends_with(b"\r\n\r\n") {
            let len = self.0.read(&mut piece).unwrap();
            assert!(len > 0, "{:?}", String::from_utf8_lossy(&head));
            head.extend(&piece[..len]);
        }
        String::from_utf8_lossy(&head)[9..12].parse().unwrap()
    }
}
