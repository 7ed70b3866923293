//! Every fault on HTTP/2, frame by frame: a fault breaks one stream, never its connection. And
//! HTTPS in both versions.

#[path = "support/http2.rs"]
mod http2;
mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use flag_server::{Builder, End, FlagServer, Tls};
use h2::Reason;
use http2::{Connection, client_config, within};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use support::{BRAZIL, Client, Ended, brazil, differing_bits, huge, image, plan, request, rules};

fn for_brazil(fault: &str) -> Builder {
    rules(&format!(
        "rule = [{{ match = {{ cc = [\"BR\"] }}, {fault} }}]"
    ))
}

async fn connections(server: &FlagServer, tls: bool) -> Connection {
    if tls {
        Connection::tls(server).await
    } else {
        Connection::plain(server).await
    }
}

#[test]
fn the_fault_of_a_stream_does_not_break_the_connection_when_it_ends() {
    for fault in ["reset", "close", "garbage"] {
        let server = support::Server::of(for_brazil(&format!("fault = \"{fault}\"")));
        let mut client = server.connect();
        // HPACK: GET and http from the static table, then :path and :authority as literals.
        let mut fields = vec![0x82, 0x86, 0x04, BRAZIL.len() as u8];
        fields.extend(BRAZIL.bytes());
        fields.extend([0x01, 1, b'x']);
        let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        sent.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]); // SETTINGS
        sent.extend([0, 0, fields.len() as u8, 1, 0x05, 0, 0, 0, 1]); // HEADERS with END_STREAM
        sent.extend(fields);
        client.0.write_all(&sent).unwrap();
        let mut frames = Vec::new();
        let reset = [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 2]; // RST_STREAM of stream 1: INTERNAL_ERROR
        while !frames.ends_with(&reset) {
            let mut byte = [0];
            client.0.read_exact(&mut byte).unwrap();
            frames.extend(byte);
        }
        client.0.shutdown(std::net::Shutdown::Write).unwrap();
        let (rest, ended) = client.rest();
        assert_eq!(ended, Ended::Fin, "{fault}");
        // At most a GOAWAY: nothing but frames.
        assert!(rest.is_empty() || rest[3] == 7, "{fault}: {rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_beyond_the_window_of_a_stream_is_exact() {
    let whole = image(huge(), "BR");
    for (fault, cut) in [
        ("reset", 3_000_001),
        ("truncate", 65_535),
        ("reset", whole.len()),
    ] {
        let builder = for_brazil(&format!("fault = \"{fault}\", after = \"{cut}B\""));
        let server = builder.catalogue(huge().clone()).start().await.unwrap();
        let connection = Connection::plain(&server).await;
        let mut streams = Vec::new();
        for _ in 0..3 {
            streams.push(connection.send_request("GET", BRAZIL).await);
        }
        for stream in streams {
            let outcome = within(stream).await.unwrap();
            assert_eq!(outcome.reset, Some(Reason::INTERNAL_ERROR));
            assert_eq!(outcome.body.len(), cut, "{fault}");
            assert!(outcome.body == whole[..cut], "{fault}");
        }
        connection.assert_open_until_closed().await;
    }
}

#[tokio::test]
async fn faults_that_do_not_break_a_response_are_the_same_on_http2() {
    let whole = brazil();
    let corrupt = "name = \"c\", fault = \"corrupt\", bits = 9";
    let server = for_brazil(corrupt).start().await.unwrap();
    let connection = Connection::plain(&server).await;
    assert_eq!(
        differing_bits(&connection.get(BRAZIL).await.body, &whole),
        9
    );
    connection.assert_usable().await;
    connection.assert_open_until_closed().await;

    let status = "fault = \"status\", status = 418, retry_after = \"2s\", body = \"tea\"";
    let server = for_brazil(status).start().await.unwrap();
    let connection = Connection::plain(&server).await;
    let teapot = connection.get(BRAZIL).await;
    assert_eq!(teapot.status(), Some(StatusCode::IM_A_TEAPOT.as_u16()));
    assert_eq!(teapot.header("retry-after"), Some("2"));
    assert_eq!(teapot.body, b"tea");
    let head = within(connection.send_request("HEAD", BRAZIL).await)
        .await
        .unwrap();
    assert_eq!(
        (head.status(), head.body.len(), head.reset),
        (Some(418), 0, None)
    );
    connection.assert_open_until_closed().await;

    for (pace, lasts) in [
        (
            "fault = \"dribble\", chunks = 5, over = \"100ms\"".to_owned(),
            100,
        ),
        (
            format!("fault = \"bandwidth\", rate = \"{}B\"", whole.len() * 10),
            100,
        ),
    ] {
        let server = for_brazil(&pace).start().await.unwrap();
        let connection = Connection::plain(&server).await;
        let start = Instant::now();
        let paced = connection.get(BRAZIL).await;
        assert_eq!(paced.body, whole);
        assert!(start.elapsed() >= Duration::from_millis(lasts), "{pace}");
        let timing = format!("plan;dur=0.000, wait;dur=0.000, body;dur={lasts}.000");
        assert_eq!(paced.header("server-timing"), Some(&*timing));
        let head = within(connection.send_request("HEAD", BRAZIL).await)
            .await
            .unwrap();
        assert_eq!(
            head.header("content-length"),
            Some(&*whole.len().to_string())
        );
        assert_eq!((head.body.len(), head.reset), (0, None));
        connection.assert_open_until_closed().await;
    }
}

#[tokio::test]
async fn on_http2_a_response_without_a_body_is_not_cut_and_a_range_is_cut_within_the_range() {
    let whole = brazil();
    let part = &whole[100..200];
    let broken = Some(Reason::INTERNAL_ERROR);
    for (fault, len, reset) in [
        ("fault = \"reset\", after = \"9B\"", 9, broken),
        ("fault = \"reset\", after = \"150B\"", 100, broken),
        ("fault = \"truncate\", fraction = 0.25", 25, broken),
        ("fault = \"truncate\", after = \"100B\"", 100, None),
        (
            "fault = \"stall\", after = \"9B\", hold = \"1ms\"",
            9,
            broken,
        ),
        ("fault = \"dribble\", chunks = 3, over = \"3ms\"", 100, None),
    ] {
        let server = for_brazil(fault).start().await.unwrap();
        let connection = Connection::plain(&server).await;
        for method in ["HEAD", "GET"] {
            let unchanged = connection.send_request_with(method, BRAZIL, ("if-none-match", "*"));
            let unchanged = within(unchanged.await).await.unwrap();
            assert_eq!(
                (unchanged.status(), unchanged.reset),
                (Some(304), None),
                "{fault}"
            );
            assert_eq!(unchanged.body, b"", "{fault}");
        }
        let head = within(connection.send_request("HEAD", BRAZIL).await)
            .await
            .unwrap();
        assert_eq!((head.status(), head.reset), (Some(200), None), "{fault}");
        let length = whole.len().to_string();
        assert_eq!(head.header("content-length"), Some(&*length), "{fault}");
        assert_eq!(head.body, b"", "{fault}");

        let ranged = connection.send_request_with("GET", BRAZIL, ("range", "bytes=100-199"));
        let ranged = within(ranged.await).await.unwrap();
        assert_eq!(
            (ranged.status(), ranged.reset),
            (Some(206), reset),
            "{fault}"
        );
        assert_eq!(ranged.header("content-length"), Some("100"), "{fault}");
        assert_eq!(ranged.body, part[..len], "{fault}");
        connection.assert_open_until_closed().await;
    }
}

#[tokio::test]
async fn one_connection_follows_a_whole_chain_of_redirects() {
    for tls in [false, true] {
        let mut builder = for_brazil("fault = \"redirect\", hops = 5");
        if tls {
            builder = builder.tls(Tls::SelfSigned);
        }
        let server = builder.start().await.unwrap();
        let connection = connections(&server, tls).await;
        let mut path = BRAZIL.to_owned();
        for _ in 0..5 {
            let hop = connection.get(&path).await;
            assert_eq!((hop.status(), hop.body.len()), (Some(302), 0));
            path = hop.header("location").unwrap().to_owned();
        }
        assert_eq!(connection.get(&path).await.body, brazil());
        assert!(server.records("").iter().all(|record| record.attempt == 1));
        connection.assert_open_until_closed().await;
    }
}

#[tokio::test]
async fn an_endless_stall_ends_when_the_client_resets_the_stream_or_disconnects() {
    for stall in ["fault = \"stall\"", "fault = \"stall\", after = \"5B\""] {
        let server = for_brazil(stall).start().await.unwrap();
        let idle = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        let connection = Connection::plain(&server).await;
        let stalled = [
            connection.send_request("GET", BRAZIL).await,
            connection.send_request("GET", BRAZIL).await,
        ];
        connection.assert_usable().await;
        stalled[0].abort(); // drops the stream, which resets it
        let left = |count| {
            let records = server.records("");
            let left = records.iter().filter(|record| record.sent.end == End::Left);
            left.count() == count
        };
        within(until(|| left(1))).await;
        connection.driver.abort();
        within(until(|| left(2))).await;
        drop((connection, stalled));
        let metrics = tokio::runtime::Handle::current().metrics();
        within(until(|| metrics.num_alive_tasks() <= idle)).await;
    }
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A blocking TLS connection for HTTP/1.1.
fn https(server: &str, alpn: &[&[u8]]) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(client_config(alpn), name).unwrap();
    StreamOwned::new(session, Client::connect(server).0)
}

#[test]
fn https_negotiates_http1_on_request_and_by_default() {
    let whole = brazil();
    let server = support::Server::of(rules("").tls(Tls::SelfSigned));
    for alpn in [&[b"http/1.1" as &[u8]] as &[&[u8]], &[]] {
        let mut stream = https(&server.authority, alpn);
        for _ in 0..2 {
            stream
                .write_all(request("GET", BRAZIL, &[]).as_bytes())
                .unwrap();
            let mut raw = Vec::new();
            while !raw.ends_with(&whole) {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                raw.extend(byte);
            }
            assert!(raw.starts_with(b"HTTP/1.1 200 OK\r\n"));
        }
        assert_eq!(stream.conn.alpn_protocol(), alpn.first().copied());
    }
}

#[test]
fn faults_break_the_connection_below_tls() {
    let whole = brazil();
    let cases = [
        ("fault = \"reset\"", None, Ended::Rst),
        ("fault = \"close\"", None, Ended::Fin),
        ("fault = \"reset\", after = \"100B\"", Some(100), Ended::Rst),
        (
            "fault = \"reset\", after = \"1MB\"",
            Some(whole.len()),
            Ended::Rst,
        ),
        (
            "fault = \"truncate\", after = \"100B\"",
            Some(100),
            Ended::Fin,
        ),
        (
            "fault = \"stall\", after = \"100B\", hold = \"10ms\"",
            Some(100),
            Ended::Fin,
        ),
    ];
    for (fault, len, ended) in cases {
        let server = support::Server::of(for_brazil(fault).tls(Tls::SelfSigned));
        let mut stream = https(&server.authority, &[b"http/1.1"]);
        stream
            .write_all(request("GET", BRAZIL, &[]).as_bytes())
            .unwrap();
        let mut raw = Vec::new();
        let error = stream.read_to_end(&mut raw).unwrap_err();
        let expected = match ended {
            Ended::Rst => std::io::ErrorKind::ConnectionReset,
            Ended::Fin => std::io::ErrorKind::UnexpectedEof, // no close_notify, so the client can detect the truncation
        };
        assert_eq!(error.kind(), expected, "{fault}: {error}");
        match len {
            None => assert_eq!(raw, b"", "{fault}"),
            Some(len) => {
                let head = raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
                assert!(raw[head..] == whole[..len], "{fault}");
            }
        }
    }
    // Garbage is not a TLS record either.
    let text = "rule = [{ name = \"g\", fault = \"garbage\" }]";
    let server = support::Server::of(rules(text).tls(Tls::SelfSigned));
    let mut stream = https(&server.authority, &[b"http/1.1"]);
    stream
        .write_all(request("GET", BRAZIL, &[]).as_bytes())
        .unwrap();
    while stream.conn.wants_write() {
        stream.conn.write_tls(&mut stream.sock).unwrap();
    }
    // Session tickets come first; the planned bytes follow.
    let (raw, ended) = Client(stream.sock).rest();
    let Some(flag_scenario::Ending::Garbage { bytes, .. }) = plan(text, 1).ending else {
        panic!("no garbage is planned");
    };
    assert_eq!(ended, Ended::Fin);
    assert!(raw.ends_with(&bytes), "{raw:?}");
}
