//! Usual requests are answered in a lane of their own. From the outside nobody can tell which way an answer came.

mod support;

use std::collections::HashMap;
use std::io::Read;
use std::time::Duration;

use support::{BRAZIL, Head, SAFETY, Server, brazil, eventually, plan, request};

/// Half of all requests get a teapot, and half are delayed.
const MIXED: &str = r#"
rule = [
    { name = "coin", fault = "status", status = 418, probability = 0.5 },
    { name = "delay", fault = "latency", distribution = { uniform = { lower = "1ms", upper = "9ms" } }, probability = 0.5 },
]
"#;

/// Says nothing, and is nothing that the lane knows.
const UNUSUAL: &str = "te: trailers";

/// The head without what differs from one second, or one answer, to the next.
fn lasting(head: &Head) -> HashMap<String, String> {
    let mut headers = head.headers.clone();
    assert!(
        headers
            .remove("date")
            .is_some_and(|date| date.ends_with(" GMT"))
    );
    if let Some(timing) = headers.get_mut("server-timing") {
        let (plan, _) = timing.split_once(", wait;").unwrap();
        *timing = plan.to_owned();
    }
    headers
}

#[test]
fn both_ways_lead_to_the_same_answer() {
    for text in ["", MIXED] {
        let server = Server::with(text);
        for path in [
            BRAZIL,
            "/flags/BR/Br.GIF",
            "/flags/br/metadata.json",
            "/flags/xx/xx.gif",
        ] {
            for attempt in 1..=8 {
                let numbered = &*format!("Flag-Attempt: {attempt}");
                let answer = |headers: &[&str]| {
                    let mut client = server.connect();
                    client.ask("GET", path, headers);
                    let (head, body) = client.reply();
                    (head.status_line.clone(), lasting(&head), body)
                };
                let usual = [
                    "accept: */*",
                    "FLAG-RUN: a",
                    "Connection: keep-alive",
                    numbered,
                ];
                let unusual = [&usual[..], &[UNUSUAL]].concat();
                assert_eq!(answer(&usual), answer(&unusual), "{path} {attempt} {text}");
            }
        }
    }
}

#[test]
fn what_is_decided_in_the_lane_is_decided_once() {
    let server = Server::with(MIXED);
    let planned = |attempt| match plan(MIXED, attempt).ending {
        Some(_) => "HTTP/1.1 418 I'm a teapot",
        None => "HTTP/1.1 200 OK",
    };
    let kinds: Vec<&str> = (1..=20).map(planned).collect();
    // A connection for each, so that each begins in the lane.
    for &planned in &kinds {
        assert_eq!(server.get().reply().0.status_line, planned);
    }
    let attempts: Vec<u32> = server
        .records(20)
        .iter()
        .map(|record| record.attempt)
        .collect();
    assert_eq!(attempts, Vec::from_iter(1..=20));
    assert_eq!(server.received(), 20);
}

/// Each of these is where the connection leaves the lane, after two answers there.
#[test]
fn a_connection_leaves_the_lane_with_all_its_bytes() {
    let server = Server::with("");
    let get = request("GET", BRAZIL, &[]);
    let body = "content-length: 3";
    for (said, answers) in [
        (get.repeat(3), 3),
        (request("HEAD", "/nope", &[]) + &get, 2),
        (request("GET", "/flags/", &[]), 1),
        (request("GET", "/data/flags/br/br.gif", &[]), 1),
        (request("GET", BRAZIL, &["range: bytes=0-9"]), 1),
        (request("GET", BRAZIL, &[body]) + "abc" + &get, 2),
        (request("GET", BRAZIL, &["x: y"; 40]), 1),
        (get.replace("GET", "HEAD"), 1),
    ] {
        let mut client = server.connect();
        for _ in 0..2 {
            client.assert_usable();
        }
        client.say(&said);
        for number in 0..answers {
            let head = client.head();
            let is_head = said.starts_with("HEAD") && number == 0;
            let length = head.length().filter(|_| !is_head).unwrap_or(0);
            let status = head.status_line.split(' ').nth(1).unwrap();
            assert!(
                ["200", "206", "404"].contains(&status),
                "{said:?}: {status}"
            );
            client.0.read_exact(&mut vec![0; length]).unwrap();
        }
        client.assert_usable();
    }
}

#[test]
fn a_head_that_comes_in_pieces_is_one_request() {
    let server = Server::with("");
    for cut in [1, 10, 40] {
        let mut client = server.connect();
        client.assert_usable();
        let whole = request("GET", BRAZIL, &["x: yyyyyyyyyyyyyyyyyyyy"]);
        let (first, rest) = whole.split_at(cut);
        client.say(first);
        // Nobody answers yet.
        client
            .0
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        client.0.read(&mut [0]).unwrap_err();
        client.0.set_read_timeout(Some(SAFETY)).unwrap();
        client.say(rest);
        assert_eq!(client.reply().1, brazil());
    }
}

/// What a client says while it waits is no departure, and is answered next.
#[test]
fn a_request_that_comes_during_a_delay_is_answered_after_it() {
    let delay =
        r#"rule = [{ name = "delay", fault = "latency", distribution = { fixed = "300ms" } }]"#;
    let server = Server::with(delay);
    let mut client = server.get();
    eventually(|| (server.received() == 1).then_some(()));
    client.ask("GET", BRAZIL, &[]);
    client.ask("GET", BRAZIL, &[UNUSUAL]);
    for _ in 0..3 {
        let (head, body) = client.reply();
        assert_eq!(head.get("flag-plan"), Some("delay"));
        assert_eq!(body, brazil());
    }
}
