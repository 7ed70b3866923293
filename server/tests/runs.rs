//! A run in the path is a run in the header: for decisions, records, redirects and answers.

#[path = "support/http2.rs"]
mod http2;
mod support;

use flag_server::FlagServer;
use http2::Connection;
use support::{BRAZIL, Server, authority};

/// What sends a GET past the fast path.
const UNUSUAL: &str = "if-match: *";

const RULES: &str = r#"rule = [
    { name = "coin", fault = "status", status = 418, probability = 0.5 },
    { name = "mine", fault = "latency", distribution = { fixed = "1ms" }, match = { header = { flag-run = "mine*" } } },
]"#;

/// The status and the plan of one attempt at a path.
fn answer(server: &Server, path: &str, lines: &[&str]) -> (String, Option<String>) {
    let mut client = server.connect();
    client.send_request("GET", path, lines);
    let (head, _) = client.reply();
    let status = head.status_line[9..12].to_owned();
    (status, head.get("flag-plan").map(str::to_owned))
}

#[test]
fn a_run_in_the_path_decides_as_the_header_does() {
    let server = Server::with(RULES);
    let mut teapots = 0;
    for attempt in 1..=16 {
        let number = format!("flag-attempt: {attempt}");
        for lane in [&[&*number][..], &[&*number, UNUSUAL]] {
            for (run, prefix) in [
                ("mine", "/run/mine"),
                ("mine 2", "/run/mine%202"),
                ("Yours", "/run/Yours/data"),
            ] {
                let header = format!("flag-run: {run}");
                let in_header = answer(&server, BRAZIL, &[lane, &[&header]].concat());
                let in_path = answer(&server, &format!("{prefix}{BRAZIL}"), lane);
                assert_eq!(in_path, in_header, "{prefix} {lane:?}");
                let in_both = format!("{prefix}{BRAZIL}");
                let in_both = answer(&server, &in_both, &[lane, &[&header]].concat());
                assert_eq!(in_both, in_header, "{prefix} {lane:?}");
                let is_mine = in_path.1.unwrap_or_default().contains("mine");
                assert_eq!(is_mine, run.starts_with("mine"), "{prefix} {lane:?}");
                teapots += usize::from(in_path.0 == "418");
            }
        }
    }
    assert!((20..76).contains(&teapots), "{teapots}");
}

#[test]
fn each_run_in_a_path_has_its_own_attempts_and_records() {
    let server =
        Server::with("rule = [{ fault = 'status', status = 503, attempts = { first = 1 } }]");
    for lane in [&[][..], &[UNUSUAL]] {
        let path = format!("/run/{}{BRAZIL}", lane.len());
        assert_eq!(answer(&server, &path, lane).0, "503");
        assert_eq!(answer(&server, &path, lane).0, "200");
    }
    for run in ["0", "1"] {
        let records = server.running.records(run);
        let seen: Vec<(&str, u32)> = records
            .iter()
            .map(|record| (record.path.as_str(), record.attempt))
            .collect();
        assert_eq!(seen, [(BRAZIL, 1), (BRAZIL, 2)], "{run}");
    }
}

#[test]
fn redirects_and_the_list_stay_below_the_run() {
    let server = Server::with("rule = [{ fault = 'redirect', hops = 2 }]");
    for lane in [&[][..], &[UNUSUAL]] {
        let mut path = format!("/run/a%20b{BRAZIL}");
        for hop in 1..=3 {
            let mut client = server.connect();
            client.send_request("GET", &path, &[lane, &["flag-attempt: 1"]].concat());
            let (head, _) = client.reply();
            if hop == 3 {
                assert_eq!(head.status_line, "HTTP/1.1 200 OK");
                break;
            }
            path = head.get("location").unwrap().to_owned();
            let query = format!("?flag-hop={hop}&flag-attempt=1");
            assert_eq!(path, format!("/run/a%20b{BRAZIL}{query}"));
        }
    }
    let mut client = server.connect();
    client.send_request("GET", "/run/mine/flags", &[]);
    let head = client.head();
    assert_eq!(head.get("location"), Some("/run/mine/flags/"));
}

#[test]
fn a_run_that_is_no_run_is_refused_and_neither_counted_nor_recorded() {
    let server = Server::with(RULES);
    let long = "x".repeat(129);
    for run in [&*long, "%c3%a9", "%00", "%ff", "a%0ab"] {
        for lane in [&[][..], &[UNUSUAL]] {
            let path = format!("/run/{run}{BRAZIL}");
            assert_eq!(answer(&server, &path, lane).0, "400", "{run} {lane:?}");
        }
    }
    let path = format!("/run/mine{BRAZIL}");
    for lane in [&["flag-run: yours"][..], &["flag-run: yours", UNUSUAL]] {
        assert_eq!(answer(&server, &path, lane).0, "400", "{lane:?}");
    }
    assert_eq!(server.received(), 0);
}

#[test]
fn http2_knows_runs_in_paths_too() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let builder = FlagServer::builder().toml(RULES).unwrap();
        let server = builder.start().await.unwrap();
        let stream = tokio::net::TcpStream::connect(authority(server.endpoints())).await;
        let connection = Connection::over(stream.unwrap()).await;
        for attempt in 1..=8_u32 {
            let number = attempt.to_string();
            let number = ("flag-attempt", &*number);
            let path = format!("/run/mine{BRAZIL}");
            let response = connection.send_request_with("GET", &path, number).await;
            let outcome = http2::within(response).await.unwrap();
            assert!(outcome.header("flag-plan").unwrap().contains("mine"));
        }
        assert_eq!(server.records("mine").len(), 8);
    });
}
