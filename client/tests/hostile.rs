//! Servers that break the rules, with every strategy, every HTTP library and a load: each meets
//! every server, ends as the table says, and neither hangs nor fills the memory.

mod support;

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, mpsc};
use std::thread;
use std::time::Duration;

use flag_client::download::{ConnectionOptions, Http, Job, Outcome, Runner, Sample};
use flag_client::load::{End as LoadEnd, Load};
use flag_client::result::Failure;
use flags_data::Catalogue;
use socket2::SockRef;
use support::{done, job, load, run};

/// The time limit where nothing else ends an attempt. Whatever ends by itself has [`PATIENCE`], so
/// that no outcome depends on the machine.
const LIMIT: Duration = Duration::from_millis(400);
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two writes of a server without an end: it is to be endless, not fast.
const PACE: Duration = Duration::from_millis(5);
/// Enough for all clients at once, and far less than a body without an end would take.
const MOST_MEMORY: u64 = 512 * 1024 * 1024;
/// Two requests by one worker, so that the second one may meet what the first one left behind.
const CODES: &str = "AD AE";

/// How a request ends, for a download as for a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// The right body.
    Flag,
    /// Status 200 with another body, which a load does not look at.
    WrongBody,
    /// Another status.
    Status(u16),
    Broken,
    Timeout,
    NoConnection,
}

use End::{Broken, Flag, NoConnection, Status, Timeout, WrongBody};

impl End {
    fn of(sample: &Sample) -> Self {
        match sample.outcome {
            Outcome::Downloaded => Flag,
            Outcome::WrongBody => WrongBody,
            Outcome::NotFound | Outcome::HttpError => Status(sample.status.unwrap()),
            Outcome::BrokenConnection => Broken,
            Outcome::Timeout => Timeout,
            Outcome::NoConnection => NoConnection,
            Outcome::NotSaved | Outcome::WorkerDied => panic!("{sample:?}"),
        }
    }

    fn of_load(failure: Failure) -> Self {
        match failure {
            Failure::Connect => NoConnection,
            Failure::Broken => Broken,
            Failure::Timeout => Timeout,
        }
    }

    /// The same, as a load sees it.
    fn seen_by_load(self) -> Self {
        match self {
            Flag | WrongBody => Status(200),
            other => other,
        }
    }
}

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Http1,
    Http2,
    Tls,
}

/// One connection, from the side of the server.
struct Peer {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    /// Of the server itself, for redirects to it.
    port: u16,
}

impl Peer {
    /// Reads the head of a request and returns its path; `None` if the client has left.
    fn hear(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        Some(head.split(' ').nth(1).unwrap().to_owned())
    }

    /// False once the client has left.
    fn say(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Says this for as long as the client listens.
    fn say_for_ever(&mut self, bytes: impl AsRef<[u8]>) {
        while self.say(&bytes) {
            thread::sleep(PACE);
        }
    }

    /// Says this byte by byte, and the last one again and again.
    fn drip(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if !self.say([*byte]) {
                return;
            }
            thread::sleep(10 * PACE);
        }
        self.say_for_ever(&bytes[bytes.len() - 1..]);
    }

    /// Waits until the client leaves.
    fn hold(&mut self) {
        io::copy(&mut self.reader, &mut io::sink()).ok();
    }

    /// Closes with an RST.
    fn reset(&mut self) {
        SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
}

type Conduct = Box<dyn Fn(&mut Peer) + Send + Sync>;

/// A server, and how its clients end.
struct Hostile {
    name: &'static str,
    over: Over,
    conduct: Conduct,
    /// The ends that are right. There are several where a server races with its client.
    ends: BTreeSet<End>,
    /// Of these libraries instead.
    by_library: Vec<(Http, End)>,
    by_load: Option<End>,
}

impl Hostile {
    fn over(self, over: Over) -> Self {
        Self { over, ..self }
    }

    /// This library ends otherwise.
    fn but(mut self, http: Http, end: End) -> Self {
        self.by_library.push((http, end));
        self
    }

    fn load(self, end: End) -> Self {
        Self {
            by_load: Some(end),
            ..self
        }
    }

    fn ends_of(&self, client: Client) -> BTreeSet<End> {
        match client {
            Client::Load => match self.by_load {
                Some(end) => [end].into(),
                None => self.ends.iter().map(|end| end.seen_by_load()).collect(),
            },
            Client::Download(runner) => {
                let own = self.by_library.iter().filter(|(h, _)| *h == runner.http());
                let own: BTreeSet<End> = own.map(|(_, end)| *end).collect();
                if own.is_empty() {
                    self.ends.clone()
                } else {
                    own
                }
            }
        }
    }
}

/// A server that does anything with a connection.
fn server(
    name: &'static str,
    conduct: impl Fn(&mut Peer) + Send + Sync + 'static,
    ends: impl Into<BTreeSet<End>>,
) -> Hostile {
    Hostile {
        name,
        over: Over::Http1,
        conduct: Box::new(conduct),
        ends: ends.into(),
        by_library: Vec::new(),
        by_load: None,
    }
}

/// The flag that a path names; any for another path.
fn flag(path: &str) -> &'static [u8] {
    let code = path.split('/').nth(2).and_then(|code| code.parse().ok());
    let code = code.unwrap_or_else(|| "AD".parse().unwrap());
    static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(Catalogue::embedded);
    &CATALOGUE.get(code).unwrap().image.bytes
}

/// A head, with the length of the flag for `{n}` and the port of the server for `{port}`.
fn filled(text: &str, flag: &[u8], port: u16) -> Vec<u8> {
    // One byte per character, so that a text can have any byte.
    let text = text.replace("{n}", &flag.len().to_string());
    let text = text.replace("{port}", &port.to_string());
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

/// A server that answers each request with this text and the right flag, and keeps the connection.
fn with_flag(name: &'static str, text: &'static str, ends: impl Into<BTreeSet<End>>) -> Hostile {
    let conduct = move |peer: &mut Peer| {
        while let Some(path) = peer.hear() {
            let flag = flag(&path);
            if !peer.say([&filled(text, flag, peer.port), flag].concat()) {
                return;
            }
        }
    };
    server(name, conduct, ends)
}

/// A server that answers a request with this text and the flag, and closes the connection.
fn with_flag_and_fin(
    name: &'static str,
    text: &'static str,
    ends: impl Into<BTreeSet<End>>,
) -> Hostile {
    let conduct = move |peer: &mut Peer| {
        let Some(path) = peer.hear() else { return };
        let flag = flag(&path);
        peer.say([&filled(text, flag, peer.port), flag].concat());
    };
    server(name, conduct, ends)
}

/// A server that answers each request with this text only, and keeps the connection.
fn answer(name: &'static str, text: &'static str, ends: impl Into<BTreeSet<End>>) -> Hostile {
    let conduct = move |peer: &mut Peer| {
        while let Some(path) = peer.hear() {
            if !peer.say(filled(text, flag(&path), peer.port)) {
                return;
            }
        }
    };
    server(name, conduct, ends)
}

/// A server that answers a request with this text, and closes the connection.
fn last_words(name: &'static str, text: &'static str, ends: impl Into<BTreeSet<End>>) -> Hostile {
    let conduct = move |peer: &mut Peer| {
        let Some(path) = peer.hear() else { return };
        peer.say(filled(text, flag(&path), peer.port));
    };
    server(name, conduct, ends)
}

/// A server that answers a request with this text, and then repeats the second one for ever.
fn endless(
    name: &'static str,
    text: &'static str,
    again: impl Into<Vec<u8>>,
    ends: impl Into<BTreeSet<End>>,
) -> Hostile {
    let again = again.into();
    let conduct = move |peer: &mut Peer| {
        let Some(path) = peer.hear() else { return };
        if peer.say(filled(text, flag(&path), peer.port)) {
            peer.say_for_ever(&again);
        }
    };
    server(name, conduct, ends)
}

fn early_and_late() -> Vec<Hostile> {
    vec![
        server("closes at once", |_| (), [Broken]),
        // The RST may arrive while the connection is still being set up.
        server("resets at once", Peer::reset, [Broken, NoConnection]),
        server("says nothing", Peer::hold, [Timeout]),
        last_words("closes after the request", "", [Broken]),
        server(
            "resets after the request",
            |peer| {
                peer.hear();
                peer.reset();
            },
            [Broken],
        ),
        server(
            "answers before the request",
            |peer| {
                let flag = flag("");
                let head = filled("HTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\n", flag, 0);
                peer.say([&head, flag].concat());
                peer.hold();
            },
            // It depends on whether the client looks before it sends.
            [Flag, WrongBody, Broken, Timeout],
        ),
        server(
            "resets within the head",
            |peer| {
                peer.hear();
                peer.say("HTTP/1.1 200 OK\r\ncontent-le");
                peer.reset();
            },
            [Broken],
        ),
        server(
            "resets within the body",
            |peer| {
                peer.hear();
                peer.say("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nGIF89a");
                peer.reset();
            },
            [Broken],
        ),
        server(
            "resets after the body",
            |peer| {
                let Some(path) = peer.hear() else { return };
                let flag = flag(&path);
                let head = filled("HTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\n", flag, 0);
                peer.say([&head, flag].concat());
                peer.reset();
            },
            // An RST may overtake what was sent before it.
            [Flag, Broken],
        ),
        with_flag_and_fin(
            "closes a connection that it wants to keep",
            "HTTP/1.1 200 OK\r\ncontent-length: {n}\r\nconnection: keep-alive\r\n\r\n",
            // The next request may be on its way already.
            [Flag, Broken],
        ),
        with_flag_and_fin(
            "announces that it closes",
            "HTTP/1.1 200 OK\r\ncontent-length: {n}\r\nconnection: close\r\n\r\n",
            [Flag],
        ),
        with_flag(
            "announces that it closes, and does not",
            "HTTP/1.1 200 OK\r\ncontent-length: {n}\r\nconnection: close\r\n\r\n",
            [Flag],
        ),
        last_words("ends within the head", "HTTP/1.1 200 OK\r\nx: y", [Broken]),
        endless(
            "stops within the head",
            "HTTP/1.1 200 OK\r\nx: y",
            "",
            [Timeout],
        ),
        last_words(
            "ends within the body",
            "HTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\nGIF89a",
            [Broken],
        ),
        answer(
            "stops within the body",
            "HTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\nGIF89a",
            [Timeout],
        ),
        server(
            "sends its head byte by byte",
            |peer| {
                peer.hear();
                peer.drip(b"HTTP/1.1 200 OK\r\nx: y");
            },
            [Timeout],
        ),
        server(
            "sends its body byte by byte",
            |peer| {
                peer.hear();
                peer.say("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n");
                peer.drip(b"GIF89a");
            },
            [Timeout],
        ),
    ]
}

fn not_http() -> Vec<Hostile> {
    vec![
        last_words("greets as a mail server", "220 mail ESMTP\r\n", [Broken]),
        last_words("greets as SSH", "SSH-2.0-OpenSSH_9.9\r\n", [Broken]),
        last_words("sends zeros", "\0\0\0\0\0\0\0\0\r\n\r\n", [Broken]),
        last_words(
            "sends binary garbage",
            "\u{ff}\u{fe}\u{1}\u{80}\n\n",
            [Broken],
        ),
        endless("sends garbage for ever", "", vec![0xa5; 1024], [Broken]),
        endless(
            "sends empty lines for ever",
            "",
            vec![b'\n'; 1024],
            [Broken, Timeout],
        ),
        with_flag(
            "sends an empty line first",
            "\r\nHTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\n",
            [Flag],
        ),
        last_words("speaks HTTP/0.9", "<html>hello</html>", [Broken]),
        with_flag_and_fin("speaks HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\n", [Flag]),
        with_flag(
            "names HTTP/2 in its status line",
            "HTTP/2 200 OK\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "names HTTP/3.7",
            "HTTP/3.7 200 OK\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "writes http in lower case",
            "http/1.1 200 OK\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "speaks Shoutcast",
            "ICY 200 OK\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        last_words(
            "speaks HTTP/2 to a client of HTTP/1",
            "\0\0\0\u{4}\0\0\0\0\0",
            [Broken],
        ),
        last_words(
            "answers with a request",
            "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
            [Broken],
        ),
        server(
            "echoes the request",
            |peer| {
                let mut bytes = [0; 4096];
                while let Ok(count @ 1..) = peer.reader.read(&mut bytes) {
                    peer.say(&bytes[..count]);
                }
            },
            [Broken],
        ),
    ]
}

fn statuses() -> Vec<Hostile> {
    vec![
        with_flag(
            "has no status",
            "HTTP/1.1\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has status 000",
            "HTTP/1.1 000 x\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has status 099",
            "HTTP/1.1 099 x\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has status 999",
            "HTTP/1.1 999 x\r\ncontent-length: {n}\r\n\r\n",
            [Status(999)],
        ),
        with_flag(
            "has status 2000",
            "HTTP/1.1 2000 x\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has status -20",
            "HTTP/1.1 -20 x\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has status 0x1",
            "HTTP/1.1 0x1 x\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "gives no reason",
            "HTTP/1.1 200\r\ncontent-length: {n}\r\n\r\n",
            [Flag],
        ),
        with_flag(
            "colours its reason",
            "HTTP/1.1 200 \u{1b}[31mOK\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "colours its reason with a C1 control",
            "HTTP/1.1 418 \u{9b}31mOK\r\ncontent-length: {n}\r\n\r\n",
            [Status(418)],
        ),
        endless(
            "has a reason without an end",
            "HTTP/1.1 200 ",
            vec![b'a'; 64 * 1024],
            [Broken],
        ),
        answer(
            "switches protocols",
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            [Status(101)],
        )
        .load(Broken),
        endless(
            "says 100 for ever",
            "",
            "HTTP/1.1 100 Continue\r\n\r\n",
            [Timeout],
        ),
        endless(
            "says 103 for ever",
            "",
            "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n",
            [Timeout],
        ),
        with_flag(
            "says 100 first",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\n",
            [Flag],
        ),
        with_flag(
            "says 103 first",
            "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\n",
            [Flag],
        ),
        with_flag(
            "has a body with 204",
            "HTTP/1.1 204 No Content\r\ncontent-length: {n}\r\n\r\n",
            [Status(204), Broken],
        ),
        answer(
            "has a length with 304",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: {n}\r\n\r\n",
            [Status(304)],
        ),
        with_flag(
            "has a body with 205",
            "HTTP/1.1 205 Reset Content\r\ncontent-length: {n}\r\n\r\n",
            [Status(205)],
        ),
        with_flag(
            "sends a part without being asked",
            "HTTP/1.1 206 Partial Content\r\ncontent-length: {n}\r\ncontent-range: bytes 0-1/9\r\n\r\n",
            [Status(206)],
        ),
        with_flag(
            "wants to know who asks",
            "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic\r\ncontent-length: {n}\r\n\r\n",
            [Status(401)],
        ),
        with_flag(
            "claims to be a proxy",
            "HTTP/1.1 407 x\r\nproxy-authenticate: Basic\r\ncontent-length: {n}\r\n\r\n",
            [Status(407)],
        ),
        with_flag(
            "asks to wait for an age",
            "HTTP/1.1 503 x\r\nretry-after: 99999999999999999999\r\ncontent-length: {n}\r\n\r\n",
            [Status(503)],
        ),
        with_flag(
            "asks to wait for less than nothing",
            "HTTP/1.1 503 x\r\nretry-after: -1\r\ncontent-length: {n}\r\n\r\n",
            [Status(503)],
        ),
    ]
}

fn headers() -> Vec<Hostile> {
    const START: &str = "HTTP/1.1 200 OK\r\n";
    let lines = |count: usize| {
        let lines: String = (0..count).map(|n| format!("x-{n}: y\r\n")).collect();
        let text = format!("{START}{lines}content-length: {{n}}\r\n\r\n");
        &*text.leak()
    };
    let value = |length: usize| {
        let value = "y".repeat(length);
        &*format!("{START}x: {value}\r\ncontent-length: {{n}}\r\n\r\n").leak()
    };
    vec![
        with_flag(
            "has a NUL in a header",
            "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has an ESC in a header",
            "HTTP/1.1 200 OK\r\nx: \u{1b}[2J\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has a bare CR in a header",
            "HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "ends its lines with LF",
            "HTTP/1.1 200 OK\nx: y\ncontent-length: {n}\n\n",
            [Flag],
        ),
        with_flag(
            "has a header without a colon",
            "HTTP/1.1 200 OK\r\nhello\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has a header without a name",
            "HTTP/1.1 200 OK\r\n: y\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has a space before a colon",
            "HTTP/1.1 200 OK\r\nx : y\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "folds a header",
            "HTTP/1.1 200 OK\r\nx: y\r\n z\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has Latin-1 in a header",
            "HTTP/1.1 200 OK\r\nx: \u{e9}\u{9b}\r\ncontent-length: {n}\r\n\r\n",
            [Flag],
        ),
        with_flag(
            "has Latin-1 in a name",
            "HTTP/1.1 200 OK\r\nx\u{e9}: y\r\ncontent-length: {n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "lies about its plan",
            "HTTP/1.1 200 OK\r\nflag-plan: \u{9b}31m\r\nserver-timing: plan;dur=NaN, wait;dur=1e999, body;dur=-1\r\ncontent-length: {n}\r\n\r\n",
            [Flag],
        ),
        with_flag(
            "calls an image a page",
            "HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-7\r\ncontent-length: {n}\r\n\r\n",
            [Flag],
        ),
        with_flag(
            "names a coding that does not exist",
            "HTTP/1.1 200 OK\r\ncontent-encoding: rot13\r\ncontent-length: {n}\r\n\r\n",
            [Flag],
        ),
        last_words(
            "compresses without being asked",
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 20\r\n\r\n\u{1f}\u{8b}\u{8}\0\0\0\0\0\0\u{3}\u{3}\0\0\0\0\0\0\0\0\0",
            [WrongBody, Broken],
        ),
        with_flag("has 90 headers", lines(90), [Flag]),
        with_flag("has 1,000 headers", lines(1000), [Broken]),
        with_flag("has a header of 20 kB", value(20_000), [Flag]),
        with_flag("has a header of 1 MB", value(1_000_000), [Broken]),
        endless(
            "has a header without an end",
            "HTTP/1.1 200 OK\r\nx: ",
            vec![b'y'; 64 * 1024],
            [Broken],
        ),
        endless(
            "has headers without an end",
            "HTTP/1.1 200 OK\r\n",
            "x: y\r\n".repeat(1000),
            [Broken],
        ),
        endless(
            "has a name without an end",
            "HTTP/1.1 200 OK\r\n",
            vec![b'y'; 64 * 1024],
            [Broken],
        ),
        endless(
            "drips headers for ever",
            "HTTP/1.1 200 OK\r\n",
            "x: y\r\n",
            [Broken, Timeout],
        ),
    ]
}

fn framing() -> Vec<Hostile> {
    vec![
        with_flag(
            "has the same length twice",
            "HTTP/1.1 200 OK\r\ncontent-length: {n}\r\ncontent-length: {n}\r\n\r\n",
            [Flag],
        ),
        with_flag(
            "has the same length twice in one header",
            "HTTP/1.1 200 OK\r\ncontent-length: {n}, {n}\r\n\r\n",
            [Flag],
        ),
        with_flag(
            "has two lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: {n}\r\ncontent-length: 3\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has a negative length",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has a length with a plus",
            "HTTP/1.1 200 OK\r\ncontent-length: +{n}\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has a length in hexadecimal",
            "HTTP/1.1 200 OK\r\ncontent-length: 0x10\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has an empty length",
            "HTTP/1.1 200 OK\r\ncontent-length:\r\n\r\n",
            [Broken],
        ),
        with_flag(
            "has a length of 2^64",
            "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n",
            [Broken],
        ),
        with_flag_and_fin(
            "has a length of 2^63",
            "HTTP/1.1 200 OK\r\ncontent-length: 9223372036854775808\r\n\r\n",
            [Broken],
        ),
        with_flag_and_fin(
            "has a length of 2^64 - 1",
            "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551615\r\n\r\n",
            [Broken],
        ),
        with_flag_and_fin(
            "promises a byte too much",
            "HTTP/1.1 200 OK\r\ncontent-length: {n}1\r\n\r\n",
            [Broken],
        ),
        with_flag("has no length", "HTTP/1.1 200 OK\r\n\r\n", [Timeout]),
        server(
            "sends garbage after the body",
            |peer| {
                while let Some(path) = peer.hear() {
                    let flag = flag(&path);
                    let head = filled("HTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\n", flag, 0);
                    if !peer.say([&head, flag, b"and more\r\n\r\n"].concat()) {
                        return;
                    }
                }
            },
            [Flag],
        ),
        server(
            "sends two answers to a request",
            |peer| {
                while let Some(path) = peer.hear() {
                    let flag = flag(&path);
                    let head = filled("HTTP/1.1 200 OK\r\ncontent-length: {n}\r\n\r\n", flag, 0);
                    if !peer.say([&head, flag, &head, flag].concat()) {
                        return;
                    }
                }
            },
            [Flag],
        ),
        answer(
            "sends nothing as a flag",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            [WrongBody],
        ),
        answer(
            "sends another body",
            "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nGIF89a",
            [WrongBody],
        ),
        server(
            "sends chunks of one byte",
            |peer| {
                while let Some(path) = peer.hear() {
                    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
                    let chunk = |byte: &u8| [b"1\r\n", &[*byte][..], b"\r\n"].concat();
                    let chunks = flag(&path).iter().flat_map(chunk);
                    let bytes: Vec<u8> = head
                        .into_iter()
                        .chain(chunks)
                        .chain(*b"0\r\n\r\n")
                        .collect();
                    if !peer.say(bytes) {
                        return;
                    }
                }
            },
            [Flag],
        ),
        answer(
            "has chunks and a length",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n6\r\nGIF89a\r\n0\r\n\r\n",
            [WrongBody, Broken],
        ),
        answer(
            "has a length and chunks",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n6\r\nGIF89a\r\n0\r\n\r\n",
            [WrongBody, Broken],
        ),
        last_words(
            "ends without a last chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nGIF89a\r\n",
            [Broken],
        ),
        last_words(
            "ends within a chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nGIF",
            [Broken],
        ),
        answer(
            "stops after a chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nGIF89a\r\n",
            [Timeout],
        ),
        answer(
            "has a chunk of 2^64",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10000000000000000\r\nGIF89a\r\n0\r\n\r\n",
            [Broken],
        ),
        last_words(
            "has a chunk of 2^64 - 1",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nGIF89a\r\n0\r\n\r\n",
            [Broken],
        ),
        answer(
            "has a negative chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-6\r\nGIF89a\r\n0\r\n\r\n",
            [Broken],
        ),
        answer(
            "has a chunk without a size",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\nGIF89a\r\n0\r\n\r\n",
            [Broken],
        ),
        answer(
            "has a chunk of no number",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nsix\r\nGIF89a\r\n0\r\n\r\n",
            [Broken],
        ),
        answer(
            "has a chunk that is longer than it says",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nGIF89a\r\n0\r\n\r\n",
            [Broken],
        ),
        answer(
            "has an extension of a chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6;x=y\r\nGIF89a\r\n0\r\n\r\n",
            [WrongBody],
        ),
        answer(
            "has a trailer",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6\r\nGIF89a\r\n0\r\nx: y\r\n\r\n",
            [WrongBody],
        ),
        endless(
            "has a chunk extension without an end",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n6;",
            vec![b'x'; 64 * 1024],
            [Broken],
        ),
        // hyper skips zeros byte by byte, so that many of them would keep a debug build busy.
        endless(
            "has a chunk size without an end",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            vec![b'0'; 1024],
            [Broken, Timeout],
        ),
        endless(
            "has a trailer without an end",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ",
            vec![b'y'; 64 * 1024],
            [Broken],
        ),
        endless(
            "has trailers without an end",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n",
            "x: y\r\n".repeat(1000),
            [Broken],
        )
        .but(Http::Ureq, Timeout),
        // ureq goes by the length.
        with_flag_and_fin(
            "has a coding that is not chunked",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\ncontent-length: 3\r\n\r\n",
            [Flag, Broken],
        )
        .but(Http::Ureq, WrongBody),
        answer(
            "has chunks twice",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n6\r\nGIF89a\r\n0\r\n\r\n",
            [WrongBody, Broken],
        ),
        // Whichever limit applies first: that of the time, or that of the body.
        endless(
            "has a body without an end",
            "HTTP/1.1 200 OK\r\n\r\n",
            vec![0; 64 * 1024],
            [Timeout, Broken],
        ),
        endless(
            "has chunks without an end",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            [b"8000\r\n", &[0; 0x8000][..], b"\r\n"].concat(),
            [Timeout, Broken],
        ),
    ]
}

fn redirects() -> Vec<Hostile> {
    const FOUND: End = Status(302);
    let found = |name, text, ends: &[End]| {
        answer(name, text, ends.iter().copied().collect::<BTreeSet<_>>()).load(FOUND)
    };
    vec![
        found(
            "redirects to itself",
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:{port}/flags\r\ncontent-length: 0\r\n\r\n",
            &[Broken],
        ),
        found(
            "redirects to nothing",
            "HTTP/1.1 302 Found\r\nlocation:\r\ncontent-length: 0\r\n\r\n",
            &[Broken],
        ),
        found(
            "redirects deeper and deeper",
            "HTTP/1.1 302 Found\r\nlocation: a/b\r\ncontent-length: 0\r\n\r\n",
            &[Broken],
        ),
        found(
            "redirects without a target",
            "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n",
            &[FOUND],
        ),
        found(
            "redirects to a file",
            "HTTP/1.1 302 Found\r\nlocation: file:///etc/passwd\r\ncontent-length: 0\r\n\r\n",
            &[FOUND],
        ),
        found(
            "redirects to a script",
            "HTTP/1.1 302 Found\r\nlocation: javascript:alert(1)\r\ncontent-length: 0\r\n\r\n",
            &[FOUND],
        )
        .but(Http::Reqwest, Broken),
        found(
            "redirects to data",
            "HTTP/1.1 302 Found\r\nlocation: data:image/gif;base64,R0lGODlh\r\ncontent-length: 0\r\n\r\n",
            &[FOUND],
        ),
        found(
            "redirects to no URL",
            "HTTP/1.1 302 Found\r\nlocation: http://[::\r\ncontent-length: 0\r\n\r\n",
            &[FOUND],
        ),
        found(
            "redirects to port 99999",
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:99999/\r\ncontent-length: 0\r\n\r\n",
            &[FOUND],
        ),
        found(
            "redirects to port 0",
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:0/\r\ncontent-length: 0\r\n\r\n",
            &[NoConnection],
        ),
        found(
            "redirects to Latin-1",
            "HTTP/1.1 302 Found\r\nlocation: /\u{e9}\u{9b}31m\r\ncontent-length: 0\r\n\r\n",
            &[FOUND, Broken],
        ),
        found(
            "redirects to a target of 20 kB",
            format!(
                "HTTP/1.1 302 Found\r\nlocation: /{}\r\ncontent-length: 0\r\n\r\n",
                "y".repeat(20_000)
            )
            .leak(),
            &[Broken],
        ),
        answer(
            "redirects to control characters",
            "HTTP/1.1 302 Found\r\nlocation: /\u{1b}[2J\r\ncontent-length: 0\r\n\r\n",
            [Broken],
        ),
        found(
            "has a choice of targets",
            "HTTP/1.1 300 x\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n",
            &[Status(300)],
        )
        .load(Status(300)),
        endless(
            "redirects with a body without an end",
            "HTTP/1.1 302 Found\r\nlocation: /x\r\n\r\n",
            vec![0; 64 * 1024],
            [Timeout, Broken],
        ),
        endless(
            "redirects with a body that never comes",
            "HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 9\r\n\r\n",
            "",
            [Timeout, Broken],
        )
        .load(Timeout),
    ]
}

fn tls() -> Vec<Hostile> {
    let rows = vec![
        server("closes instead of a handshake", |_| (), [NoConnection]),
        server("resets instead of a handshake", Peer::reset, [NoConnection]),
        server("says nothing instead of a handshake", Peer::hold, [Timeout]),
        server(
            "sends garbage instead of a handshake",
            |peer| {
                peer.say([0xa5; 1000]);
                peer.hold();
            },
            [NoConnection],
        ),
        server(
            "speaks HTTP instead of TLS",
            |peer| {
                peer.say("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
                peer.hold();
            },
            [NoConnection],
        ),
        server(
            "sends an alert",
            |peer| {
                peer.say([0x15, 3, 3, 0, 2, 2, 40]);
                peer.hold();
            },
            [NoConnection],
        ),
        server(
            "sends a record that is too long",
            |peer| {
                peer.say([0x16, 3, 3, 0xff, 0xff]);
                peer.say_for_ever([0; 1024]);
            },
            [NoConnection],
        ),
        server(
            "sends half of a handshake",
            |peer| {
                peer.say([0x16, 3, 3, 0x10, 0, 2]);
                peer.hold();
            },
            [Timeout],
        ),
        server(
            "sends empty records for ever",
            |peer| peer.say_for_ever([0x16, 3, 3, 0, 0]),
            [NoConnection],
        ),
    ];
    rows.into_iter().map(|row| row.over(Over::Tls)).collect()
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
    [head, payload.to_vec()].concat()
}

/// Reads up to the head of a request, which is the first frame of that kind.
fn hear_over_http2(peer: &mut Peer) -> Option<()> {
    peer.hear()?;
    peer.reader.read_exact(&mut [0; 6]).ok()?; // the rest of the preface
    loop {
        let mut head = [0; 9];
        peer.reader.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        peer.reader.read_exact(&mut payload).ok()?;
        if head[3] == HEADERS {
            return Some(());
        }
    }
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW: u8 = 8;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// `:status: 200` (RFC 7541, appendix A).
const OK: u8 = 0x88;

fn http2() -> Vec<Hostile> {
    /// After the request: the settings, these frames, and then another one for ever, or the end.
    fn frames(
        name: &'static str,
        once: Vec<Vec<u8>>,
        again: Option<Vec<u8>>,
        ends: impl Into<BTreeSet<End>>,
    ) -> Hostile {
        let conduct = move |peer: &mut Peer| {
            if hear_over_http2(peer).is_none() {
                return;
            }
            peer.say(frame(SETTINGS, 0, 0, &[]));
            peer.say(once.concat());
            if let Some(frame) = &again {
                peer.say_for_ever(frame);
            }
        };
        server(name, conduct, ends)
    }
    let rows = vec![
        server(
            "closes after the preface",
            |peer| drop(peer.hear()),
            [Broken],
        ),
        server("says nothing to the preface", Peer::hold, [Timeout]),
        last_words(
            "speaks HTTP/1 to a client of HTTP/2",
            "HTTP/1.1 505 x\r\ncontent-length: 0\r\n\r\n",
            [Broken],
        ),
        server(
            "says nothing after its settings",
            |peer| {
                peer.say(frame(SETTINGS, 0, 0, &[]));
                peer.hold();
            },
            [Timeout],
        ),
        frames(
            "goes away",
            vec![frame(GOAWAY, 0, 0, &[0; 8])],
            None,
            [Broken],
        ),
        frames(
            "goes away and names an error without a name",
            vec![frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff])],
            None,
            [Broken],
        ),
        frames(
            "resets the stream",
            vec![frame(RESET, 0, 1, &[0, 0, 0, 2])],
            None,
            [Broken],
        ),
        frames(
            "refuses the stream",
            vec![frame(RESET, 0, 1, &[0, 0, 0, 7])],
            None,
            [Broken],
        ),
        frames(
            "sends headers that are not compressed",
            vec![frame(HEADERS, END_HEADERS, 1, b"HTTP/1.1 200 OK\r\n\r\n")],
            None,
            [Broken],
        ),
        frames(
            "sends no status",
            vec![frame(HEADERS, END_HEADERS, 1, &[])],
            None,
            [Broken],
        ),
        frames(
            "continues its headers for ever",
            vec![frame(HEADERS, 0, 1, &[OK])],
            Some(frame(CONTINUATION, 0, 1, &[])),
            [Broken],
        ),
        frames(
            "continues large headers for ever",
            vec![frame(HEADERS, 0, 1, &[OK])],
            Some(frame(CONTINUATION, 0, 1, &[0xbe; 16_384])),
            [Broken],
        ),
        frames(
            "pings for ever",
            vec![],
            Some(frame(PING, 0, 0, &[0; 8])),
            [Timeout],
        ),
        frames(
            "changes its settings for ever",
            vec![],
            Some(frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1])),
            [Timeout, Broken],
        ),
        frames(
            "sends a frame of 16 MB",
            vec![vec![0xff, 0xff, 0xff, DATA, 0, 0, 0, 0, 1]],
            None,
            [Broken],
        ),
        frames(
            "sends data before headers",
            vec![frame(DATA, 0, 1, b"GIF89a")],
            None,
            [Broken],
        ),
        frames(
            "sends data on no stream",
            vec![frame(DATA, 0, 0, b"GIF89a")],
            None,
            [Broken],
        ),
        frames(
            "pushes",
            vec![frame(PUSH, END_HEADERS, 1, &[0, 0, 0, 2, OK])],
            None,
            [Broken],
        ),
        frames(
            "opens the window too far",
            vec![frame(WINDOW, 0, 0, &[0x7f, 0xff, 0xff, 0xff])],
            None,
            [Broken],
        ),
        frames(
            "opens the window by nothing",
            vec![frame(WINDOW, 0, 0, &[0; 4])],
            None,
            [Broken],
        ),
        frames(
            "sends empty data for ever",
            vec![frame(HEADERS, END_HEADERS, 1, &[OK])],
            Some(frame(DATA, 0, 1, &[])),
            [Timeout, Broken],
        ),
        frames(
            "sends frames of no kind for ever",
            vec![],
            Some(frame(0xee, 0, 0, &[0; 100])),
            [Timeout],
        ),
    ];
    rows.into_iter().map(|row| row.over(Over::Http2)).collect()
}

/// Who meets the servers.
#[derive(Clone, Copy)]
enum Client {
    Download(Runner),
    Load,
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Download(runner) => f.write_str(&runner.name()),
            Self::Load => f.write_str("load"),
        }
    }
}

impl Client {
    fn all() -> Vec<Self> {
        let downloads = Runner::all().into_iter().map(Self::Download);
        downloads.chain([Self::Load]).collect()
    }

    fn speaks(self, over: Over) -> bool {
        match self {
            Self::Download(runner) => over != Over::Http2 || runner.http().has_http2(),
            Self::Load => over != Over::Http2,
        }
    }

    /// The ends of two requests, one after the other.
    fn meet(self, server: &Hostile, port: u16) -> Result<BTreeSet<End>, String> {
        let scheme = if server.over == Over::Tls {
            "https"
        } else {
            "http"
        };
        let base_url = format!("{scheme}://127.0.0.1:{port}/flags");
        let timeout = if self.expects(server, Timeout) {
            LIMIT
        } else {
            PATIENCE
        };
        match self {
            Self::Download(runner) => {
                let job = Job {
                    timeout,
                    connection: ConnectionOptions {
                        http2: server.over == Over::Http2,
                        ..ConnectionOptions::default()
                    },
                    ..job(&base_url, CODES, 1)
                };
                let samples = run(&runner, &job);
                if samples.len() != 2 {
                    return Err(format!("{} samples", samples.len()));
                }
                for sample in &samples {
                    let error = sample.error.as_deref();
                    if error.is_some() != sample.outcome.is_error() {
                        return Err(format!("{sample:?}"));
                    }
                }
                Ok(samples.iter().map(End::of).collect())
            }
            Self::Load => {
                let load = Load {
                    connections: NonZeroUsize::MIN,
                    threads: NonZeroUsize::MIN,
                    end: LoadEnd::After(2),
                    timeout,
                    ..load(&base_url)
                };
                let recorder = done(&load).recorder;
                if recorder.requests() != 2 {
                    return Err(format!("{} requests", recorder.requests()));
                }
                let statuses = recorder.statuses.keys().map(|status| Status(*status));
                let failures = recorder.failures.keys().map(|kind| End::of_load(*kind));
                Ok(statuses.chain(failures).collect())
            }
        }
    }

    fn expects(self, server: &Hostile, end: End) -> bool {
        server.ends_of(self).contains(&end)
    }
}

/// Serves every connection on a thread of its own, and returns the port.
fn start(server: Arc<Hostile>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, server) = (stream.unwrap(), Arc::clone(&server));
            thread::spawn(move || {
                let reader = BufReader::new(stream.try_clone().unwrap());
                let mut peer = Peer {
                    stream,
                    reader,
                    port,
                };
                (server.conduct)(&mut peer);
                let lingers = SockRef::from(&peer.stream).linger().unwrap();
                if lingers.is_none() {
                    // A FIN, and no RST because of unread bytes.
                    peer.stream.shutdown(Shutdown::Write).ok();
                    peer.hold();
                }
            });
        }
    });
    port
}

/// The most memory that this process ever had, where it is known.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}

#[test]
fn no_server_hangs_a_client_or_fills_its_memory_and_every_outcome_is_right() {
    let servers: Vec<Arc<Hostile>> = [
        early_and_late(),
        not_http(),
        statuses(),
        headers(),
        framing(),
        redirects(),
        tls(),
        http2(),
    ]
    .into_iter()
    .flatten()
    .map(Arc::new)
    .collect();
    let names: BTreeSet<&str> = servers.iter().map(|server| server.name).collect();
    assert_eq!(names.len(), servers.len(), "two servers have one name");

    let mut meetings = Vec::new();
    for server in &servers {
        let port = start(Arc::clone(server));
        for client in Client::all() {
            if client.speaks(server.over) {
                meetings.push((client, Arc::clone(server), port));
            }
        }
    }
    let (meetings, next) = (Arc::new(meetings), Arc::new(AtomicUsize::new(0)));
    let (ended, ends) = mpsc::channel();
    for _ in 0..16 {
        let (meetings, next) = (Arc::clone(&meetings), Arc::clone(&next));
        let ended = ended.clone();
        thread::spawn(move || {
            while let Some((client, server, port)) =
                meetings.get(next.fetch_add(1, Ordering::SeqCst))
            {
                let found = client.meet(server, *port);
                let right = server.ends_of(*client);
                let text = match &found {
                    Ok(found) if found.is_subset(&right) => None,
                    found => Some(format!("expected {right:?}, found {found:?}")),
                };
                ended.send((server.name, client.to_string(), text)).ok();
            }
        });
    }
    let name =
        |(client, server, _): &(Client, Arc<Hostile>, u16)| (server.name, client.to_string());
    let mut waiting: BTreeSet<(&str, String)> = meetings.iter().map(name).collect();
    let mut wrong = Vec::new();
    while !waiting.is_empty() {
        let Ok((server, client, text)) = ends.recv_timeout(2 * PATIENCE) else {
            panic!("these hang: {waiting:?}; wrong: {wrong:#?}");
        };
        wrong.extend(text.map(|text| format!("{server}, {client}: {text}")));
        waiting.remove(&(server, client));
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{wrong:#?}");
    if let Some(peak) = peak_memory() {
        assert!(peak < MOST_MEMORY, "{peak} bytes of memory");
    }
}
