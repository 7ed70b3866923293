//! A body counts as complete only if it has the length that was announced, with every library, in
//! every version of HTTP; and however many redirects a scenario plans, every library follows them.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::thread;

use flag_client::download::{
    ConnectionOptions, Http, Job, Outcome, Runner, RuntimeFlavor, Sample, Strategy,
};
use flag_client::load::{End, Load};
use flag_scenario::Fault;
use flags_data::Catalogue;

use support::{TestServer, done, job, load, run};

#[path = "support/mod.rs"]
mod support;

/// The libraries, each as tasks or threads use it.
const LIBRARIES: [(Strategy, Http); 4] = [
    (Strategy::Async, Http::Reqwest),
    (Strategy::Threaded, Http::Reqwest),
    (Strategy::Async, Http::Hyper),
    (Strategy::Threaded, Http::Ureq),
];

/// How a response says where its body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// `content-length` under this version.
    Length(&'static str),
    /// The same, written in another way.
    Written(&'static str),
    Chunked,
    /// The end of the connection: then nothing is missing, whatever comes.
    Unknown,
}

fn brazil() -> bytes::Bytes {
    let flag = Catalogue::embedded();
    flag.get("BR".parse().unwrap()).unwrap().image.bytes.clone()
}

/// A response that ends after `sent` bytes of the flag.
fn respond(stream: &mut TcpStream, framing: Framing, sent: usize) {
    let body = brazil();
    let length = body.len();
    let part = &body[..sent];
    let (head, part) = match framing {
        Framing::Length(version) => (
            format!("HTTP/{version} 200 OK\r\ncontent-length: {length}\r\n"),
            part.to_vec(),
        ),
        Framing::Written(form) => {
            let length = form.replace('N', &length.to_string());
            (
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n"),
                part.to_vec(),
            )
        }
        Framing::Chunked => {
            let mut chunk = format!("{length:x}\r\n").into_bytes();
            chunk.extend(part);
            if sent == length {
                chunk.extend(b"\r\n0\r\n\r\n");
            }
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n".to_owned(),
                chunk,
            )
        }
        Framing::Unknown => ("HTTP/1.0 200 OK\r\n".to_owned(), part.to_vec()),
    };
    let head = head + "connection: close\r\n\r\n";
    stream.write_all(&[head.as_bytes(), &part].concat()).ok();
}

fn sample(server: &str, library: (Strategy, Http), http2: bool) -> Sample {
    let (strategy, http) = library;
    let runner = Runner::try_new(strategy, http, RuntimeFlavor::CurrentThread).unwrap();
    let job = Job {
        connection: ConnectionOptions {
            keep_alive: true,
            http2,
        },
        ..job(server, "BR", 1)
    };
    run(&runner, &job).pop().unwrap()
}

fn one_request(url: &str) -> Load {
    Load {
        connections: NonZeroUsize::MIN,
        threads: NonZeroUsize::MIN,
        end: End::After(1),
        ..load(url)
    }
}

#[test]
fn a_body_that_is_shorter_than_announced_is_a_broken_connection() {
    let whole = brazil().len();
    let length = [
        Framing::Length("1.0"),
        Framing::Length("1.1"),
        Framing::Chunked,
    ];
    let mut cells = Vec::new();
    for framing in length {
        for (sent, is_whole) in [(0, false), (1, false), (whole - 1, false), (whole, true)] {
            cells.push((framing, sent, is_whole));
        }
    }
    cells.push((Framing::Unknown, whole, true));
    cells.push((Framing::Written("N, N"), whole, true));
    for form in ["+N", "N, 1", "-N", "0xN", "N N"] {
        cells.push((Framing::Written(form), whole, false));
    }
    for (framing, sent, is_whole) in cells {
        let server = TestServer::start(move |_, stream| {
            respond(stream, framing, sent);
            false
        });
        for library in LIBRARIES {
            // hyper and ureq know no list of lengths, which may as well be refused (RFC 9112,
            // section 6.3).
            if framing == Framing::Written("N, N") && library.1 != Http::Reqwest {
                continue;
            }
            let cell = format!("{framing:?} {sent} {library:?}");
            let sample = sample(&server.base_url, library, false);
            let expected = if is_whole {
                Outcome::Downloaded
            } else {
                Outcome::BrokenConnection
            };
            assert_eq!(sample.outcome, expected, "{cell}: {:?}", sample.error);
        }
        let outcome = done(&one_request(&format!("{}/x", server.base_url)));
        let failed = !outcome.recorder.failures.is_empty();
        assert_eq!(failed, !is_whole, "{framing:?} {sent} load");
    }
}

/// How an HTTP/2 stream ends.
#[derive(Debug, Clone, Copy)]
enum StreamEnd {
    EndStream,
    Reset(h2::Reason),
}

/// A server that sends so many bytes of the flag on each HTTP/2 stream, and ends it so.
fn http2_server(sent: usize, end: StreamEnd) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/flags", listener.local_addr().unwrap());
    thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for stream in listener.incoming() {
            runtime.block_on(async {
                let stream = stream.unwrap();
                stream.set_nonblocking(true).unwrap();
                let stream = tokio::net::TcpStream::from_std(stream).unwrap();
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let body = brazil();
                    let head = hyper::Response::builder().header("content-length", body.len());
                    let head = head.body(()).unwrap();
                    let mut stream = respond.send_response(head, false).unwrap();
                    let is_last = matches!(end, StreamEnd::EndStream);
                    stream.send_data(body.slice(..sent), is_last).unwrap();
                    if let StreamEnd::Reset(reason) = end {
                        // What is queued of a stream is forgotten when it is reset.
                        tokio::spawn(async move {
                            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                            stream.send_reset(reason);
                        });
                    }
                }
            });
        }
    });
    base_url
}

#[test]
fn an_http2_stream_that_ends_early_is_a_broken_connection_whatever_it_says() {
    let whole = brazil().len();
    let ends = [
        StreamEnd::EndStream,
        StreamEnd::Reset(h2::Reason::NO_ERROR),
        StreamEnd::Reset(h2::Reason::INTERNAL_ERROR),
    ];
    for end in ends {
        for sent in [1, whole - 1, whole] {
            let server = http2_server(sent, end);
            for library in LIBRARIES.into_iter().filter(|(_, http)| http.has_http2()) {
                let sample = sample(&server, library, true);
                let cell = format!("{end:?} {sent} {library:?}: {:?}", sample.error);
                let is_whole = sent == whole;
                match end {
                    // The body was complete, and the reset came after it.
                    StreamEnd::Reset(h2::Reason::INTERNAL_ERROR) if is_whole => continue,
                    _ if is_whole => assert_eq!(sample.outcome, Outcome::Downloaded, "{cell}"),
                    _ => assert_eq!(sample.outcome, Outcome::BrokenConnection, "{cell}"),
                }
            }
        }
    }
}

#[test]
fn every_library_follows_as_many_redirects_as_a_scenario_can_plan_and_no_more() {
    for (hops, outcome) in [
        (Fault::MAX_HOPS, Outcome::Downloaded),
        (Fault::MAX_HOPS + 1, Outcome::BrokenConnection),
    ] {
        let server = TestServer::start(move |path, stream| {
            let (_, done) = path.split_once("?hop=").unwrap_or(("", "0"));
            let done: u32 = done.parse().unwrap();
            if done == hops {
                return support::respond_with_flag("/flags/br/br.gif", stream);
            }
            let location = format!("location: /flags/br/br.gif?hop={}\r\n", done + 1);
            support::respond(stream, "302 Found", &location, b"")
        });
        for library in LIBRARIES {
            let sample = sample(&server.base_url, library, false);
            assert_eq!(
                sample.outcome, outcome,
                "{hops} {library:?}: {:?}",
                sample.error
            );
        }
    }
}
