//! A real server, and a client that sees every byte of its answers.
//!
//! How a connection ends matters, so it is a value here: FIN or RST; anything else panics.

#![allow(
    dead_code,
    reason = "each test program uses a part of it, and is compiled with all of it"
)]

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use flag_scenario::{Plan, Planner, RequestKey, Scenario};
use flag_server::{BlockingFlagServer, Builder, Endpoint, FlagServer, Record, Stopped};
use flags_data::Catalogue;

/// The flag that most tests request.
pub(crate) const BRAZIL: &str = "/flags/br/br.gif";

/// Longer than anything here takes on any machine: a test that waits this long has failed.
pub(crate) const SAFETY: Duration = Duration::from_secs(60);

/// The bytes of Brazil's flag.
pub(crate) fn brazil() -> bytes::Bytes {
    image(&Catalogue::embedded(), "BR")
}

pub(crate) fn image(catalogue: &Catalogue, code: &str) -> bytes::Bytes {
    catalogue
        .get(code.parse().unwrap())
        .unwrap()
        .image
        .bytes
        .clone()
}

/// A catalogue of one flag, Brazil's, that exceeds every socket buffer.
pub(crate) fn huge() -> &'static Catalogue {
    static HUGE: OnceLock<Catalogue> = OnceLock::new();
    HUGE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("br");
        std::fs::create_dir(&folder).unwrap();
        // No two places are alike, so missing or repeated parts are detected.
        let bytes = (0_u32..3_000_000).flat_map(u32::to_le_bytes);
        let image: Vec<u8> = b"GIF89a".iter().copied().chain(bytes).collect();
        std::fs::write(folder.join("br.gif"), image).unwrap();
        let metadata = r#"{"country": "Brazil", "iso_cc": "BR", "tld_cc": ".br"}"#;
        std::fs::write(folder.join("metadata.json"), metadata).unwrap();
        Catalogue::load(dir.path()).unwrap()
    })
}

/// What is planned for the first GET of Brazil's flag.
pub(crate) fn plan(rules: &str, attempt: u32) -> Plan {
    Planner::new(&Scenario::from_toml(rules).unwrap()).plan(&RequestKey {
        run: "",
        method: "GET",
        path: BRAZIL,
        attempt,
    })
}

/// A builder of a server with these rules.
pub(crate) fn rules(text: &str) -> Builder {
    FlagServer::builder().toml(text).unwrap()
}

/// A server of one listener, on threads of its own.
pub(crate) struct Server {
    pub(crate) running: BlockingFlagServer,
    pub(crate) authority: String,
}

impl Server {
    pub(crate) fn with(text: &str) -> Self {
        Self::of(rules(text))
    }

    pub(crate) fn of(builder: Builder) -> Self {
        let running = builder.start_blocking().unwrap();
        let authority = authority(running.endpoints());
        Self { running, authority }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(&self.authority)
    }

    /// A connection with one GET of Brazil's flag.
    pub(crate) fn get(&self) -> Client {
        let mut client = self.connect();
        client.send_request("GET", BRAZIL, &[]);
        client
    }

    pub(crate) fn received(&self) -> u64 {
        self.running.received()
    }

    /// Waits until this many requests have arrived, and stops the server.
    pub(crate) fn stop_after(self, requests: u64) -> Stopped {
        eventually(|| (self.received() == requests).then_some(()));
        self.running.shutdown()
    }

    /// The records, once there are this many: they are written when a response has ended, which its
    /// client may notice first.
    pub(crate) fn records(&self, count: usize) -> Vec<Record> {
        eventually(|| Some(self.running.records("")).filter(|records| records.len() >= count))
    }
}

pub(crate) fn authority(endpoints: &[Endpoint]) -> String {
    let (_, authority) = endpoints[0].url.split_once("://").unwrap();
    authority.to_owned()
}

/// Waits for a result.
pub(crate) fn eventually<T>(mut outcome: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(outcome) = outcome() {
            return outcome;
        }
        assert!(start.elapsed() < SAFETY, "it did not happen in {SAFETY:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Fin,
    Rst,
}

/// A plain-text connection.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) fn connect(authority: &str) -> Self {
        let stream = TcpStream::connect(authority).unwrap();
        stream.set_read_timeout(Some(SAFETY)).unwrap();
        stream.set_write_timeout(Some(SAFETY)).unwrap();
        Self(stream)
    }

    pub(crate) fn send_request(&mut self, method: &str, path: &str, headers: &[&str]) {
        self.send(&request(method, path, headers));
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).unwrap();
    }

    /// Sends a FIN, and still listens.
    pub(crate) fn finish(&self) {
        match self.0.shutdown(Shutdown::Write) {
            Err(error) if error.kind() != ErrorKind::NotConnected => panic!("{error}"),
            _ => {} // the server may have broken the connection before
        }
    }

    /// Leaves with an RST: a FIN would only say that it sends no more.
    pub(crate) fn leave(self) {
        let linger = Some(Duration::ZERO);
        socket2::SockRef::from(&self.0).set_linger(linger).unwrap();
    }

    /// The head of the next response.
    pub(crate) fn head(&mut self) -> Head {
        const END: &[u8] = b"\r\n\r\n";
        let (mut raw, mut peeked) = (Vec::new(), [0; 4096]);
        while !raw.ends_with(END) {
            let fail = |error: io::Error| -> usize {
                panic!("{error} after {:?}", String::from_utf8_lossy(&raw))
            };
            let len = self.0.peek(&mut peeked).unwrap_or_else(fail);
            assert!(len > 0, "a FIN after {:?}", String::from_utf8_lossy(&raw));
            // Up to the end of the head, if it is there, and no further.
            let before = raw.len();
            raw.extend(&peeked[..len]);
            let from = before.saturating_sub(END.len() - 1);
            let end = raw[from..].windows(END.len()).position(|part| part == END);
            raw.truncate(end.map_or(raw.len(), |end| from + end + END.len()));
            self.0
                .read_exact(&mut peeked[..raw.len() - before])
                .unwrap();
        }
        Head::parse(&raw)
    }

    /// The next response, which must have a body of its declared length.
    pub(crate) fn reply(&mut self) -> (Head, Vec<u8>) {
        let head = self.head();
        let mut body = vec![0; head.length().unwrap_or(0)];
        self.0.read_exact(&mut body).unwrap();
        (head, body)
    }

    /// Everything up to the end, and how it ended.
    pub(crate) fn rest(&mut self) -> (Vec<u8>, Ended) {
        self.rest_with(|_| {})
    }

    /// The same, with a callback that gets the number of bytes after each read.
    pub(crate) fn rest_with(&mut self, mut after_read: impl FnMut(usize)) -> (Vec<u8>, Ended) {
        let (mut all, mut sip) = (Vec::new(), vec![0; 64 * 1024]);
        loop {
            match self.0.read(&mut sip) {
                Ok(0) => return (all, Ended::Fin),
                Ok(len) => all.extend_from_slice(&sip[..len]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return (all, Ended::Rst);
                }
                Err(error) => panic!("{error} after {} bytes", all.len()),
            }
            after_read(all.len());
        }
    }

    /// Asserts that the connection can still be used: a plain request gets the right bytes.
    pub(crate) fn assert_usable(&mut self) {
        self.send_request("GET", "/flags/jp/jp.gif", &[]);
        let (head, body) = self.reply();
        assert_eq!(head.status_line, "HTTP/1.1 200 OK");
        assert_eq!(body, image(&Catalogue::embedded(), "JP"));
    }
}

pub(crate) fn request(method: &str, path: &str, headers: &[&str]) -> String {
    let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nhost: x\r\n{lines}\r\n")
}

/// The head of a response.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status_line: String,
    pub(crate) headers: HashMap<String, String>,
}

impl Head {
    fn parse(raw: &[u8]) -> Self {
        let text = std::str::from_utf8(raw).unwrap().trim_end();
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap().to_owned();
        let headers = lines.map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        });
        Self {
            status_line,
            headers: headers.collect(),
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn length(&self) -> Option<usize> {
        self.get("content-length")?.parse().ok()
    }
}

/// How many bits of two equally long texts differ.
pub(crate) fn differing_bits(one: &[u8], other: &[u8]) -> u32 {
    assert_eq!(one.len(), other.len());
    let pairs = one.iter().zip(other);
    pairs.map(|(a, b)| (a ^ b).count_ones()).sum()
}
