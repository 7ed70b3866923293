//! Clients that are slow, silent, malformed, or too many.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use flag_server::{Limits, Tls};
use support::{BRAZIL, Client, Ended, SAFETY, Server, brazil, request, rules};

fn impatient() -> Server {
    let limits = Limits {
        head_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    Server::of(rules("").limits(limits))
}

/// Whether a read has timed out: systems use different errors for that.
fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

#[test]
fn a_head_sent_byte_by_byte_times_out() {
    let server = impatient();
    let mut client = server.connect();
    let pause = Duration::from_millis(20);
    client.0.set_read_timeout(Some(pause)).unwrap();
    let endless = "GET / HTTP/1.1\r\nx: "
        .bytes()
        .chain(std::iter::repeat(b'y'));
    for byte in endless.take((SAFETY.as_millis() / pause.as_millis()) as usize) {
        client.0.write_all(&[byte]).unwrap();
        match client.0.read(&mut [0; 100]) {
            Ok(0) => return,
            Ok(_) => {} // an error response is allowed
            Err(error) if is_timeout(&error) => {}
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the server never closed the connection");
}

#[test]
fn a_client_that_sends_nothing_or_too_little_times_out() {
    let server = impatient();
    for sent in [
        "",
        "PRI",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r",
        "G",
        "GET / HTTP/1.1\r\n",
    ] {
        let mut client = server.connect();
        client.send(sent);
        assert_eq!(client.rest(), (vec![], Ended::Fin), "{sent:?}");
    }
    // The same after a first request.
    let mut client = server.get();
    client.reply();
    assert_eq!(client.rest(), (vec![], Ended::Fin));
    // HTTP/2's preface, and then not even an answer to a ping.
    let mut client = server.connect();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(client.rest().1, Ended::Fin);
    assert_eq!(server.received(), 1);
}

#[test]
fn a_client_without_a_handshake_times_out() {
    let limits = Limits {
        head_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let server = Server::of(rules("").tls(Tls::SelfSigned).limits(limits));
    for sent in ["", "\u{16}\u{3}"] {
        let mut client = server.connect();
        client.send(sent);
        assert_eq!(client.rest(), (vec![], Ended::Fin), "{sent:?}");
    }
}

#[test]
fn an_oversized_head_is_refused_and_the_response_arrives() {
    let server = Server::with("");
    let long = format!("x: {}", "y".repeat(200_000));
    let many: Vec<String> = (0..200).map(|number| format!("x-{number}: y")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let path = format!("/{}", "y".repeat(200_000));
    for request in [
        request("GET", BRAZIL, &[&long]),
        request("GET", BRAZIL, &many),
        request("GET", &path, &[]),
    ] {
        let mut client = server.connect();
        // More than the server reads, so that it closes the connection with unread bytes.
        client.send(&(request + &"z".repeat(100_000)));
        let (raw, ended) = client.rest();
        let status_line = raw.split(|byte| *byte == b'\r').next().unwrap();
        let status_line = String::from_utf8_lossy(status_line);
        assert!(
            status_line == "HTTP/1.1 431 Request Header Fields Too Large"
                || status_line == "HTTP/1.1 414 URI Too Long",
            "{status_line}"
        );
        assert_eq!(ended, Ended::Fin);
    }
    assert_eq!(server.received(), 0);
}

#[test]
fn an_ambiguous_request_is_refused_with_everything_that_follows_it() {
    let server = Server::with("");
    let smuggled = request("GET", "/flags/jp/jp.gif", &[]);
    let chunk = format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len());
    let cases: &[(&str, &str)] = &[
        ("content-length: 4\r\ntransfer-encoding: chunked", &chunk),
        ("transfer-encoding: chunked\r\ncontent-length: 4", &chunk),
        ("transfer-encoding: chunked", &chunk),
        ("transfer-encoding: chunked, identity", &chunk),
        ("transfer-encoding: identity", &chunk),
        ("transfer-encoding: xchunked", &chunk),
        ("transfer-encoding : chunked", &chunk),
        (
            "transfer-encoding: chunked\r\ntransfer-encoding: identity",
            &chunk,
        ),
        ("content-length: 4\r\ncontent-length: 5", "abcd"),
        ("content-length: 0\r\ncontent-length: 4", ""),
        ("content-length: +4", "abcd"),
        ("content-length: -4", "abcd"),
        ("content-length: 0x4", "abcd"),
        ("content-length: 99999999999999999999", ""),
        ("content-length : 4", "abcd"),
        ("x: a\r\n content-length: 4", "abcd"),
        (" x: a", ""),
        ("x\0: a", ""),
        ("x: a\0b", ""),
        ("x: a\rb: c", ""),
        ("x y: a", ""),
        (": a", ""),
        ("no colon", ""),
    ];
    for (line, body) in cases {
        let mut client = server.connect();
        client.send(&(request("GET", BRAZIL, &[line]) + body + &smuggled));
        let (raw, ended) = client.rest();
        let raw = String::from_utf8_lossy(&raw);
        assert!(
            raw.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{line:?}: {raw}"
        );
        assert_eq!(raw.matches("HTTP/1.1").count(), 1, "{line:?}: {raw}");
        assert_eq!(ended, Ended::Fin, "{line:?}");
        assert_eq!(server.received(), 0, "{line:?}");
    }
    for start in [
        "GET  /\r\n",
        "GET / HTTP/1.2\r\n",
        "GET / HTTP/3\r\n",
        "\0",
        "GET\r\n",
        "GET /a b HTTP/1.1\r\n",
    ] {
        let mut client = server.connect();
        client.send(&format!("{start}host: x\r\n\r\n{smuggled}"));
        let (raw, ended) = client.rest();
        let raw = String::from_utf8_lossy(&raw);
        assert!(
            raw.is_empty() || raw.starts_with("HTTP/1.1 400"),
            "{start:?}: {raw}"
        );
        assert_eq!(
            (raw.matches("HTTP/1.1").count() < 2, ended),
            (true, Ended::Fin)
        );
        assert_eq!(server.received(), 0, "{start:?}");
    }
}

#[test]
fn the_body_of_a_request_is_never_parsed_as_the_next_request() {
    let server = Server::with("");
    let body = request("GET", "/flags/jp/jp.gif", &[]);
    let length = format!("content-length: {}", body.len());
    let mut client = server.connect();
    client.send(
        &(request("GET", BRAZIL, &[&length])
            + &body
            + &request("GET", BRAZIL, &["connection: close"])),
    );
    assert_eq!(client.reply().1, brazil());
    // It may serve the second request or close; in either case the body is not a request.
    client.rest();
    let records = server.records(1);
    assert!(
        records.iter().all(|record| record.path == BRAZIL),
        "{records:?}"
    );
}

#[test]
fn thousands_of_idle_connections_do_not_block_the_server() {
    const IDLE: usize = 5000;
    let wanted = 2 * IDLE as u64 + 500;
    if rlimit::increase_nofile_limit(wanted).unwrap_or(0) < wanted {
        let mut stderr = std::io::stderr();
        writeln!(
            stderr,
            "SKIPPED: it needs {wanted} file descriptors, raise `ulimit -Hn`"
        )
        .unwrap();
        return;
    }
    let server = Server::with("");
    let idle: Vec<Client> = (0..IDLE).map(|_| server.connect()).collect();
    let mut client = server.connect();
    client.assert_usable();
    drop(idle);
    client.assert_usable();
}

#[test]
fn one_connection_more_than_allowed_waits_for_its_turn() {
    let limits = Limits {
        max_connections: 4,
        ..Limits::default()
    };
    let server = Server::of(rules("").limits(limits));
    let mut four: Vec<Client> = (0..4).map(|_| server.get()).collect();
    for client in &mut four {
        assert_eq!(client.reply().1, brazil());
    }
    let mut fifth = server.get();
    fifth
        .0
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let error = fifth.0.read(&mut [0]).unwrap_err();
    assert!(is_timeout(&error), "{error}");
    fifth.0.set_read_timeout(Some(SAFETY)).unwrap();
    four[0].assert_usable();
    assert_eq!(server.received(), 5);
    drop(four.pop());
    assert_eq!(fifth.reply().1, brazil());
}

#[cfg(unix)]
#[test]
fn the_server_survives_a_shortage_of_file_descriptors() {
    use std::process::{Command, Stdio};

    use support::eventually;

    let dir = tempfile::tempdir().unwrap();
    let [ready, log] = ["ready.json", "log"].map(|name| dir.path().join(name));
    let mut child = Command::new("sh")
        .args([
            "-c",
            "ulimit -n 64; exec \"$0\" \"$@\"",
            env!("CARGO_BIN_EXE_flag-server"),
        ])
        .args(["--profile", "local", "--port", "0", "--ready-file"])
        .arg(&ready)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let start = Instant::now();
    let authority = eventually(|| {
        let text = std::fs::read_to_string(&ready).ok()?;
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let url = json["listeners"][0]["url"].as_str().unwrap().to_owned();
        Some(url.strip_prefix("http://").unwrap().to_owned())
    });
    for _ in 0..3 {
        let crowd: Vec<Client> = (0..100).map(|_| Client::connect(&authority)).collect();
        // The limit is reached when the last of them gets no answer.
        let mut last = Client::connect(&authority);
        last.send_request("GET", BRAZIL, &[]);
        last.0
            .set_read_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        let error = last.0.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        drop(crowd);
        last.0.set_read_timeout(Some(SAFETY)).unwrap();
        assert_eq!(last.reply().1, brazil());
    }
    assert_eq!(child.try_wait().unwrap(), None);
    child.kill().unwrap();
    child.wait().unwrap();
    // It tried again every 20 milliseconds, and reported it once a minute.
    let reports = std::fs::read_to_string(&log).unwrap();
    let reports = reports.matches("cannot accept a connection").count() as u64;
    let minutes = start.elapsed().as_secs() / 60;
    assert!((1..=1 + minutes).contains(&reports), "{reports} reports");
}
