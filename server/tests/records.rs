//! What a test can assert on: each request as it was received, whichever way it came.

#[path = "support/http2.rs"]
mod http2;
mod support;

use std::io::Write;

use flag_server::{AttemptFrom, Builder, Config, End, FlagServer, Protocol, Record};
use flags_data::Digest;
use http2::Connection;
use support::{BRAZIL, SAFETY, Server, rules};

/// What sends a GET past the fast path.
const UNUSUAL: &str = "if-match: *";

fn last(server: &Server, run: &str, count: usize) -> Record {
    let records = server.running.wait_for_records(run, count, SAFETY);
    assert_eq!(records.len(), count, "{records:?}");
    records.into_iter().last().unwrap()
}

#[test]
fn a_record_has_the_headers_without_secrets_and_the_number_of_the_request() {
    let server = Server::with("");
    let mut count = 0;
    for connection in 1..=2 {
        let mut client = server.connect();
        // From the third one on, the connection has left the fast path.
        for (number, lane) in [&[][..], &[], &[UNUSUAL], &[]].into_iter().enumerate() {
            let lines = ["X-Number: 7", "Cookie: a=b", "authorization: Basic abc"];
            client.send_request("GET", BRAZIL, &[&lines, lane].concat());
            client.reply();
            count += 1;
            let request = last(&server, "", count).request;
            assert_eq!(request.protocol, Protocol::Http11);
            let numbers = (request.connection, request.number);
            assert_eq!(numbers, (connection, number as u32 + 1));
            assert_eq!(request.headers.get("x-number"), Some("7"));
            assert_eq!(request.headers.get("cookie"), Some("(3 bytes)"));
            assert_eq!(request.headers.get("authorization"), Some("(9 bytes)"));
            let others = request.headers.iter().count() - lane.len();
            assert_eq!(others, 4, "with host: {:?}", request.headers);
            assert_eq!((request.query, request.body), (None, None));
        }
    }
}

#[test]
fn a_record_says_who_numbered_the_attempt() {
    let redirects = "rule = [{ fault = 'redirect', match = { cc = ['JP'] } }]";
    let server = Server::with(redirects);
    let mut client = server.connect();
    let mut send = |path: &str, lines: &[&str], count: usize| {
        client.send_request("GET", path, lines);
        let (head, _) = client.reply();
        let record = last(&server, "", count);
        let request = record.request;
        let location = head.get("location").map(str::to_owned);
        (
            record.attempt,
            request.attempt_from,
            request.query,
            location,
        )
    };
    let (attempt, from, ..) = send(BRAZIL, &[], 1);
    assert_eq!((attempt, from), (1, AttemptFrom::Counted));
    let (attempt, from, ..) = send(BRAZIL, &["flag-attempt: 7"], 2);
    assert_eq!((attempt, from), (7, AttemptFrom::Header));
    let (_, _, query, location) = send("/flags/jp/jp.gif?a=b", &[], 3);
    assert_eq!(query.as_deref(), Some("a=b"));
    let (attempt, from, query, _) = send(&location.unwrap(), &[], 4);
    assert_eq!((attempt, from), (1, AttemptFrom::Redirect));
    assert_eq!(query.as_deref(), Some("flag-hop=1&flag-attempt=1"));

    let fixed = "count_attempts = false\nrule = [{ fault = 'status', status = 503 }]";
    let server = Server::with(fixed);
    for count in 1..=2 {
        let mut client = server.connect();
        client.send_request("GET", BRAZIL, &[]);
        client.reply();
        let record = last(&server, "", count);
        let found = (record.attempt, record.request.attempt_from);
        assert_eq!(found, (1, AttemptFrom::Fixed));
    }
}

#[test]
fn requests_that_meet_no_faults_have_records_too() {
    let server = Server::of(rules("rule = [{ fault = 'close' }]").cors());
    let preflight = [
        "origin: http://elsewhere.example",
        "access-control-request-method: PUT",
    ];
    let cases: [(&str, &str, &[&str], u16); 9] = [
        ("GET", "/run/mine/flags/", &[], 200),
        ("HEAD", "/run/mine/flags/", &[], 200),
        ("GET", "/run/mine/flags", &[], 308),
        ("GET", "/run/mine/nothing?x", &[], 404),
        ("DELETE", "/run/mine/flags/", &[], 405),
        ("GET", "/run/mine/healthz", &[], 200),
        (
            "GET",
            "/run/mine/flags/br/br.gif",
            &["flag-attempt: 0"],
            400,
        ),
        (
            "GET",
            "/run/mine/flags/",
            &["transfer-encoding: chunked"],
            400,
        ),
        ("OPTIONS", "/run/mine/uploads/x", &preflight, 204),
    ];
    for (count, (method, path, lines, status)) in cases.into_iter().enumerate() {
        let mut client = server.connect();
        client.send_request(method, path, lines);
        let (head, body) = match method {
            "HEAD" => (client.head(), Vec::new()),
            _ => client.reply(),
        };
        assert_eq!(head.status_line[9..12], status.to_string(), "{path}");
        let record = last(&server, "mine", count + 1);
        assert_eq!((&*record.method, record.attempt), (method, 0));
        assert_eq!(record.request.attempt_from, AttemptFrom::None);
        assert_eq!(
            record.path,
            path.trim_start_matches("/run/mine").trim_end_matches("?x")
        );
        assert_eq!(
            (record.sent.status, record.sent.end),
            (Some(status), End::Whole)
        );
        assert_eq!(record.sent.bytes, body.len() as u64, "{method} {path}");
        assert_eq!(record.plan, Default::default());
    }
    // They are not among those that meet faults, and health checks of nobody are not recorded.
    let mut client = server.connect();
    client.send_request("GET", "/healthz", &[]);
    client.reply();
    assert_eq!((server.received(), server.running.unrecorded()), (0, 1));
    assert_eq!(server.running.records(""), []);
}

#[test]
fn a_record_of_an_upload_has_the_digest_of_its_body() {
    let server = Server::with("");
    let mut client = server.connect();
    client.send_request("PUT", "/uploads/x?part=1", &["content-length: 5"]);
    client.0.write_all(b"abcde").unwrap();
    client.reply();
    let request = last(&server, "", 1).request;
    let body = request.body.unwrap();
    assert_eq!((body.bytes, body.sha256), (5, Digest::of(b"abcde")));
    assert_eq!(request.query.as_deref(), Some("part=1"));
    // A body that nobody reads is not one of zero bytes.
    client.send_request("POST", "/flags/br/br.gif", &["content-length: 0"]);
    client.reply();
    assert_eq!(last(&server, "", 2).request.body, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_streams_of_an_http2_connection_are_numbered() {
    let server = FlagServer::builder().start().await.unwrap();
    let connection = Connection::plain(&server).await;
    for number in 1..=2 {
        let stream = connection.send_request("GET", BRAZIL).await;
        http2::within(stream).await.unwrap();
        let records = server.wait_for_records("", number, SAFETY).await;
        let request = &records[number - 1].request;
        let found = (request.protocol, request.connection, request.number);
        assert_eq!(found, (Protocol::Http2, 1, number as u32));
    }
}

/// Comparable line by line, so with nothing that differs from run to run.
#[test]
fn the_decision_log_has_neither_details_nor_requests_without_faults() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    let config = Config {
        decision_log: Some(path.clone()),
        keep_records: true,
        ..Config::embedded("test", flag_scenario::Scenario::faultless())
    };
    let server = flag_server::BlockingFlagServer::start(&config).unwrap();
    let authority = support::authority(server.endpoints());
    for (target, lines) in [("/flags/", &[][..]), (BRAZIL, &["x: y"]), ("/nothing", &[])] {
        let mut client = support::Client::connect(&authority);
        client.send_request("GET", target, lines);
        client.reply();
    }
    assert_eq!(server.wait_for_records("", 3, SAFETY).len(), 3);
    server.shutdown();
    let log = std::fs::read_to_string(path).unwrap();
    assert_eq!(log.lines().count(), 1, "{log}");
    let line: serde_json::Value = serde_json::from_str(&log).unwrap();
    let keys: Vec<&str> = (line.as_object().unwrap().keys())
        .map(String::as_str)
        .collect();
    let expected = [
        "attempt", "hop", "late_ms", "method", "path", "plan", "run", "sent",
    ];
    assert_eq!(keys, expected);
}

/// A scenario is what makes a run worth remembering.
#[test]
fn a_run_with_a_scenario_is_not_forgotten_for_others() {
    let builder: Builder = rules("");
    let server = Server::of(builder);
    let broken = flag_scenario::Scenario::of([flag_scenario::Rule::status(503).first(1)]).unwrap();
    let hour = std::time::Duration::from_secs(3600);
    server
        .running
        .set_run_scenario("kept", &broken, hour)
        .unwrap();
    let mut client = server.connect();
    let mut status = |run: &str| {
        client.send_request("GET", BRAZIL, &[&format!("flag-run: {run}")]);
        client.reply().0.status_line[9..12].to_owned()
    };
    assert_eq!(status("kept"), "503");
    assert_eq!(status("other"), "200");
    for run in 0..flag_server::MAX_RUNS.get() {
        status(&run.to_string());
    }
    assert_eq!(server.running.records("other"), []);
    assert_eq!(status("kept"), "200");
    assert_eq!(last(&server, "kept", 2).attempt, 2);
}
