//! Headers that name something: the host, the run, the attempt. Either encoder reads them in the
//! same way, and what is doubled or invalid is refused and not taken for absent.

use support::{BRAZIL, Ended, Server};

#[path = "support/mod.rs"]
mod support;

/// A GET with these lines, in this version.
fn get(version: &str, lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("GET {BRAZIL} HTTP/{version}\r\n{lines}\r\n")
}

/// Nothing, and what makes hyper answer.
const LANES: [Option<&str>; 2] = [None, Some("te: trailers")];

/// The status of the answer to these lines, and whether the connection ends then.
fn status(server: &Server, version: &str, lines: &[String]) -> (String, bool) {
    let mut client = server.connect();
    client.send(&get(version, lines));
    client.finish();
    let (raw, ended) = client.rest();
    assert_eq!(ended, Ended::Fin, "{lines:?}");
    let raw = String::from_utf8_lossy(&raw).into_owned();
    let status = raw.get(9..12).unwrap_or_else(|| panic!("{lines:?}: {raw}"));
    (status.to_owned(), raw.contains("\r\nconnection: close\r\n"))
}

const VALID_HOSTS: [&str; 12] = [
    "x",
    "X.example:80",
    "x:",
    "127.0.0.1:8000",
    "[::1]",
    "[::1]:8000",
    "[::ffff:127.0.0.1]:8000",
    "a%20b",
    "a_b~c-d.e",
    "!$&'()*+,;=",
    "x:99999",
    "",
];

const INVALID_HOSTS: [&str; 16] = [
    "x y", "x:y", "x:1:2", ":8000x", "a@b", "http://x", "x/", "x?", "x#", "a%2", "a%zz", "::1",
    "[::1", "[::1]x", "[x]", "é",
];

#[test]
fn a_request_names_its_host_once_and_validly() {
    let server = Server::with("");
    let host = |value: &str| format!("Host: {value}");
    let mut cells = Vec::new();
    for valid in VALID_HOSTS {
        cells.push((vec![host(valid)], "200", "200"));
    }
    for invalid in INVALID_HOSTS {
        cells.push((vec![host(invalid)], "400", "400"));
    }
    cells.push((vec![], "400", "200"));
    cells.push((vec![host("x"), host("x")], "400", "400"));
    cells.push((
        vec![host("x"), "x-other: 1".to_owned(), host("y")],
        "400",
        "400",
    ));
    for (lines, expected, expected_of_http10) in cells {
        for lane in LANES {
            let lines: Vec<String> = lane
                .map(str::to_owned)
                .into_iter()
                .chain(lines.clone())
                .collect();
            let (found, closes) = status(&server, "1.1", &lines);
            assert_eq!(
                (&*found, closes),
                (expected, expected == "400"),
                "{lines:?}"
            );
            let (found, _) = status(&server, "1.0", &lines);
            assert_eq!(found, expected_of_http10, "HTTP/1.0 {lines:?}");
        }
    }
}

#[test]
fn a_request_without_a_valid_host_is_refused_whatever_it_asks_for() {
    let server = Server::with("");
    for start in [
        "GET / HTTP/1.1",
        "GET /healthz HTTP/1.1",
        "POST /flags/ HTTP/1.1",
        "GET http://x/flags/br/br.gif HTTP/1.1",
        "HEAD /flags/br/br.gif HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ] {
        let mut client = server.connect();
        client.send(&format!("{start}\r\n\r\n"));
        let (raw, ended) = client.rest();
        let raw = String::from_utf8_lossy(&raw);
        assert!(raw.starts_with("HTTP/1.1 400 "), "{start}: {raw}");
        let has_body = raw.ends_with("host: name the server once, as in 127.0.0.1:8000\n");
        assert_eq!(
            (has_body, ended),
            (!start.starts_with("HEAD"), Ended::Fin),
            "{start}: {raw}"
        );
    }
    assert_eq!(server.received(), 0);
    let records = server.running.records("");
    let refused = records
        .iter()
        .filter(|record| record.sent.status == Some(400));
    assert_eq!((refused.count(), server.running.unrecorded()), (5, 1));
}

#[test]
fn a_run_and_an_attempt_are_named_once_and_in_one_way() {
    let server = Server::with("");
    let long = "r".repeat(129);
    let cell = |lines: &[&str], status| {
        let lines = lines.iter().map(|&line| line.to_owned());
        (lines.collect::<Vec<_>>(), status)
    };
    let ok = |lines: &[&str]| cell(lines, "200");
    let bad = |lines: &[&str]| cell(lines, "400");
    let cells = [
        ok(&["flag-attempt: 1"]),
        ok(&["flag-attempt: 4294967295"]),
        ok(&["FLAG-ATTEMPT:  10 "]),
        bad(&["flag-attempt: 0"]),
        bad(&["flag-attempt: +1"]),
        bad(&["flag-attempt: -1"]),
        bad(&["flag-attempt: 01"]),
        bad(&["flag-attempt: 1.0"]),
        bad(&["flag-attempt: 1, 1"]),
        bad(&["flag-attempt: 0x1"]),
        bad(&["flag-attempt: 4294967296"]),
        bad(&["flag-attempt: ٣"]),
        bad(&["flag-attempt:"]),
        bad(&["flag-attempt: 1", "flag-attempt: 1"]),
        bad(&["flag-attempt: 1", "x-other: 1", "Flag-Attempt: 2"]),
        ok(&["flag-run: a b"]),
        ok(&["flag-run:"]),
        ok(&[&format!("flag-run: {}", &long[1..])]),
        bad(&[&format!("flag-run: {long}")]),
        bad(&["flag-run: é"]),
        bad(&["flag-run: a", "flag-run: a"]),
        bad(&["flag-run: a", "Flag-Run: b"]),
        bad(&["flag-run: a", "flag-run:"]),
    ];
    for (lines, expected) in cells {
        for lane in LANES {
            let host = "host: x".to_owned();
            let lane = lane.map(str::to_owned);
            let lines: Vec<String> = [host]
                .into_iter()
                .chain(lane)
                .chain(lines.clone())
                .collect();
            assert_eq!(status(&server, "1.1", &lines).0, expected, "{lines:?}");
        }
    }
}
