//! Clients that take nothing of what is sent to them: their connection is ended, however it is
//! served. Whoever takes something keeps it, and so does whoever waits for what is planned.

#[path = "support/http2.rs"]
mod http2;
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use axum::http::Request;
use bytes::Bytes;
use flag_server::{Limits, Tls};
use http2::{Connection, client_config, within};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use support::{BRAZIL, Ended, SAFETY, Server, huge, image, request, rules};
use tokio::net::TcpSocket;

/// How a response travels.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    FastPath,
    Hyper,
    Tls,
    Http2,
}

const WAYS: [Way; 4] = [Way::FastPath, Way::Hyper, Way::Tls, Way::Http2];

/// What the client has room for.
const ROOM: u32 = 32 * 1024;

/// A server for one connection at a time.
fn server(text: &str, way: Way, send_timeout: Duration) -> Server {
    let limits = Limits {
        send_timeout,
        max_connections: 1,
        // It would end some of them too.
        head_timeout: 10 * SAFETY,
        ..Limits::default()
    };
    let builder = rules(text).limits(limits).catalogue(huge().clone());
    Server::of(match way {
        Way::Tls => builder.tls(Tls::SelfSigned),
        Way::FastPath | Way::Hyper | Way::Http2 => builder,
    })
}

/// Runs this for each way, on a thread of its own.
fn for_each_way(test: impl Fn(Way) + Sync) {
    let test = &test;
    thread::scope(|scope| {
        for way in WAYS {
            scope.spawn(move || test(way));
        }
    });
}

/// A connection with little room.
async fn connect(authority: &str) -> tokio::net::TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(ROOM).unwrap();
    socket.connect(authority.parse().unwrap()).await.unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A client of HTTP/1.1 that has sent a request.
trait Reader: Read {
    fn socket(&self) -> &TcpStream;
}

impl Reader for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Reader for StreamOwned<ClientConnection, TcpStream> {
    fn socket(&self) -> &TcpStream {
        &self.sock
    }
}

fn request_over_http1(server: &Server, way: Way) -> Box<dyn Reader> {
    let stream = runtime().block_on(async { connect(&server.authority).await.into_std() });
    let mut stream = stream.unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(SAFETY)).unwrap();
    if way == Way::Tls {
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(client_config(&[b"http/1.1"]), name).unwrap();
        let mut stream = StreamOwned::new(tls, stream);
        let request = request("GET", BRAZIL, &["connection: close"]);
        stream.write_all(request.as_bytes()).unwrap();
        stream.flush().unwrap();
        return Box::new(stream);
    }
    let line: &[&str] = if way == Way::Hyper {
        &["connection: close"]
    } else {
        &[]
    };
    let request = request("GET", BRAZIL, line);
    stream.write_all(request.as_bytes()).unwrap();
    Box::new(stream)
}

/// How a connection ended whose client now reads on.
fn end_of(socket: &TcpStream) -> Ended {
    support::Client(socket.try_clone().unwrap()).rest().1
}

/// Asserts that another client gets the only place, in which the other one is until it is ended.
fn assert_place_is_free(server: &Server, way: Way) {
    let mut stream = TcpStream::connect(&server.authority).unwrap();
    stream.set_read_timeout(Some(SAFETY)).unwrap();
    let request = request("GET", "/healthz", &["connection: close"]);
    let mut reply = String::new();
    if way == Way::Tls {
        let name = ServerName::try_from("localhost").unwrap();
        let tls = ClientConnection::new(client_config(&[b"http/1.1"]), name).unwrap();
        let mut stream = StreamOwned::new(tls, stream);
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_string(&mut reply).unwrap();
    } else {
        stream.write_all(request.as_bytes()).unwrap();
        stream.read_to_string(&mut reply).unwrap();
    }
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{way:?}: {reply}");
}

/// Asserts that a client whose HTTP/2 windows have this size, or that does not even read frames, is
/// ended.
fn assert_http2_is_ended(server: &Server, window: Option<u32>) {
    let runtime = runtime();
    let mut builder = h2::client::Builder::new();
    let size = window.unwrap_or(1 << 30);
    builder
        .initial_window_size(size)
        .initial_connection_window_size(size.max(65_535));
    let (mut response, mut driver) = runtime.block_on(async {
        let stream = connect(&server.authority).await;
        let (mut send, driver) = builder.handshake::<_, Bytes>(stream).await.unwrap();
        let request = Request::builder().uri(format!("http://x{BRAZIL}"));
        let (response, _) = send.send_request(request.body(()).unwrap(), true).unwrap();
        let (mut response, mut driver) = (Box::pin(response), Box::pin(driver));
        let head = tokio::select! {
            head = &mut response => head.unwrap(),
            ended = &mut driver => panic!("{ended:?}"),
        };
        (head.into_body(), driver)
    });
    if window.is_none() {
        assert_place_is_free(server, Way::Http2);
        return;
    }
    runtime.block_on(async {
        within(driver.as_mut()).await.ok(); // the end of the connection
        while let Some(Ok(_)) = response.data().await {}
    });
    assert_place_is_free(server, Way::Http2);
}

#[test]
fn a_client_that_takes_nothing_is_ended_and_its_place_is_free_again() {
    let timeout = Duration::from_millis(300);
    // Breaks before which a part of the body has to be sent: to the kernel, or to the client.
    let to_the_kernel = "rule = [{ fault = \"reset\", after = \"150kB\" }]";
    let to_the_client = "rule = [{ fault = \"stall\", after = \"6MB\" }]";
    for rules in ["", to_the_kernel, to_the_client] {
        for_each_way(|way| {
            let server = server(rules, way, timeout);
            if way == Way::Http2 {
                for window in [Some(0), Some(1000)] {
                    assert_http2_is_ended(&server, window);
                }
                // What the kernel takes is a whole stream, and then the connection is idle.
                if rules != to_the_kernel {
                    assert_http2_is_ended(&server, None);
                }
            } else {
                let client = request_over_http1(&server, way);
                assert_place_is_free(&server, way);
                assert_eq!(end_of(client.socket()), Ended::Rst, "{way:?}, {rules}");
            }
        });
    }
}

/// Takes the body bit by bit at first, and then all of it. Returns its length and the longest time
/// in which it took nothing.
async fn sip_http2(server: &Server, pause: Duration) -> (usize, Duration) {
    let connection = Connection::over(connect(&server.authority).await).await;
    let request = Request::builder().uri(format!("http://x{BRAZIL}"));
    let mut send = connection.send.clone().ready().await.unwrap();
    let (response, _) = send.send_request(request.body(()).unwrap(), true).unwrap();
    let mut body = response.await.unwrap().into_body();
    let (mut length, mut longest, mut last) = (0, Duration::ZERO, Instant::now());
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        let before = length / SIP;
        length += data.len();
        body.flow_control().release_capacity(data.len()).unwrap();
        if length / SIP > before {
            longest = longest.max(last.elapsed());
            last = Instant::now();
            if length < SLOW {
                tokio::time::sleep(pause).await;
            }
        }
    }
    (length, longest)
}

/// The same over HTTP/1.1.
fn sip_http1(mut client: Box<dyn Reader>, pause: Duration) -> (usize, Duration) {
    let (mut longest, mut last) = (Duration::ZERO, Instant::now());
    let length = read_body(&mut *client, |length| {
        longest = longest.max(last.elapsed());
        last = Instant::now();
        if length < SLOW {
            thread::sleep(pause);
        }
    });
    (length, longest)
}

/// Reads a response to the end of its body or of the connection, and returns the length of what
/// came of the body. The callback comes after every [`SIP`].
fn read_body(client: &mut dyn Reader, mut after_sip: impl FnMut(usize)) -> usize {
    let (mut all, mut sip) = (Vec::new(), vec![0; SIP]);
    let (mut head, mut end) = (0, usize::MAX);
    while all.len() < end {
        let before = all.len();
        match client.read(&mut sip[..SIP - before % SIP]) {
            Ok(0) | Err(_) => break, // a planned FIN is an error of TLS
            Ok(length) => all.extend(&sip[..length]),
        }
        if head == 0
            && let Some(found) = all.windows(4).position(|four| four == b"\r\n\r\n")
        {
            head = found + 4;
            let text = String::from_utf8_lossy(&all[..head]);
            let length = text.split("content-length: ").nth(1).unwrap();
            let length = length.split("\r\n").next().unwrap();
            end = head + length.parse::<usize>().unwrap();
        }
        if all.len() / SIP > before / SIP {
            after_sip(all.len());
        }
    }
    all.len() - head
}

/// What a slow client takes at once: much less than what the kernel keeps for a client if it may.
const SIP: usize = 100 * 1024;

/// How much it takes slowly.
const SLOW: usize = 8 * SIP;

#[test]
fn a_client_that_takes_a_little_at_a_time_gets_all_of_it() {
    let timeout = Duration::from_secs(1);
    let pause = timeout / 3; // several of them are longer than the timeout
    let whole = image(huge(), "BR").len();
    for_each_way(|way| {
        for _ in 0..10 {
            let server = server("", way, timeout);
            let (length, longest) = if way == Way::Http2 {
                runtime().block_on(sip_http2(&server, pause))
            } else {
                sip_http1(request_over_http1(&server, way), pause)
            };
            // A machine that let the client wait for so long shows nothing.
            if longest < 2 * pause {
                assert_eq!(length, whole, "{way:?}");
                return;
            }
        }
        panic!("{way:?}: the machine is too busy");
    });
}

#[test]
fn what_is_planned_takes_as_long_as_planned() {
    let timeout = Duration::from_millis(100);
    let hold = 5 * timeout;
    let rules = [
        (
            "fault = \"latency\", distribution = { fixed = \"500ms\" }",
            12_000_006,
        ),
        ("fault = \"stall\", hold = \"500ms\"", 0),
        (
            "fault = \"stall\", after = \"1000B\", hold = \"500ms\"",
            1000,
        ),
        (
            "fault = \"dribble\", chunks = 2, over = \"500ms\"",
            12_000_006,
        ),
        ("fault = \"bandwidth\", rate = \"24MB\"", 12_000_006),
    ];
    for (rule, expected) in rules {
        for_each_way(|way| {
            let server = server(&format!("rule = [{{ {rule} }}]"), way, timeout);
            let start = Instant::now();
            let length = if way == Way::Http2 {
                runtime().block_on(async {
                    let stream = tokio::net::TcpStream::connect(&server.authority).await;
                    let connection = Connection::over(stream.unwrap()).await;
                    connection.get(BRAZIL).await.body.len()
                })
            } else {
                read_body(&mut *request_over_http1(&server, way), |_| {})
            };
            assert_eq!(length, expected, "{way:?}: {rule}");
            assert!(start.elapsed() >= hold, "{way:?}: {rule}");
        });
    }
}
