//! Common requests are answered on the fast path, with the same answers as hyper's encoder.

mod support;

use std::collections::HashMap;
use std::io::Read;
use std::time::Duration;

use flag_server::End;
use support::{BRAZIL, Ended, Head, SAFETY, Server, brazil, eventually, plan, request};

/// Half of all requests get a teapot, and half are delayed.
const MIXED: &str = r#"
rule = [
    { name = "coin", fault = "status", status = 418, probability = 0.5 },
    { name = "delay", fault = "latency", distribution = { uniform = { lower = "1ms", upper = "9ms" } }, probability = 0.5 },
]
"#;

/// A header that does not change the answer, but leaves the fast path.
const UNUSUAL: &str = "te: trailers";

/// The head without the headers that vary with time or between answers.
fn stable_headers(head: &Head) -> HashMap<String, String> {
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
fn both_encoders_give_the_same_answer() {
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
                    client.send_request("GET", path, headers);
                    let (head, body) = client.reply();
                    (head.status_line.clone(), stable_headers(&head), body)
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
fn a_decision_on_the_fast_path_is_made_once() {
    let server = Server::with(MIXED);
    let planned = |attempt| match plan(MIXED, attempt).ending {
        Some(_) => "HTTP/1.1 418 I'm a teapot",
        None => "HTTP/1.1 200 OK",
    };
    let kinds: Vec<&str> = (1..=20).map(planned).collect();
    // One connection each, so that each request begins on the fast path.
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

/// Each of these requests leaves the fast path, after two answers on it.
#[test]
fn a_connection_leaves_the_fast_path_with_all_its_bytes() {
    let server = Server::with("");
    let get = request("GET", BRAZIL, &[]);
    let body = "content-length: 3";
    for (sent, answers) in [
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
        client.send(&sent);
        for number in 0..answers {
            let head = client.head();
            let is_head = sent.starts_with("HEAD") && number == 0;
            let length = head.length().filter(|_| !is_head).unwrap_or(0);
            let status = head.status_line.split(' ').nth(1).unwrap();
            assert!(
                ["200", "206", "404"].contains(&status),
                "{sent:?}: {status}"
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
        client.send(first);
        // There is no answer yet.
        client
            .0
            .set_read_timeout(Some(Duration::from_millis(20)))
            .unwrap();
        client.0.read(&mut [0]).unwrap_err();
        client.0.set_read_timeout(Some(SAFETY)).unwrap();
        client.send(rest);
        assert_eq!(client.reply().1, brazil());
    }
}

/// Shutdown does not wait for the rest of a head.
#[test]
fn an_incomplete_head_does_not_delay_shutdown() {
    let server = Server::with("");
    let mut client = server.connect();
    client.assert_usable();
    client.send("GET /fl");
    // A request on another connection: when it is answered, the incomplete head has arrived
    // too.
    server.get().reply();
    assert_eq!(server.stop_after(2).cut_off, 0);
    assert_eq!(client.rest(), (vec![], Ended::Fin));
}

/// Even one whose bytes have filled a buffer exactly, and one that has sent more than it should.
#[test]
fn a_client_that_disconnects_during_a_delay_is_noticed() {
    let rules = r#"rule = [{ fault = "latency", distribution = { fixed = "1h" } }]"#;
    let server = Server::with(rules);
    let full = |length: usize| {
        let bare = request("GET", BRAZIL, &["x: "]).len();
        request(
            "GET",
            BRAZIL,
            &[&format!("x: {}", "y".repeat(length - bare))],
        )
    };
    let sent = [
        full(16 * 1024 - 1),
        full(16 * 1024),
        full(1000) + &full(1000),
    ];
    for (count, text) in (1..).zip(sent) {
        let mut client = server.connect();
        let (first, more) = text.split_at(text.find("\r\n\r\n").unwrap() + 4);
        client.send(first);
        eventually(|| (server.received() == count).then_some(()));
        client.send(more);
        client.leave();
        let records = server.records(count as usize);
        assert_eq!(records.last().unwrap().sent.end, End::Left);
    }
}

/// UTF-8 is not valid in a header value, for either encoder.
#[test]
fn a_header_means_the_same_with_both_encoders() {
    let rules =
        r#"rule = [{ fault = "status", status = 418, match = { header = { x-u = "*" } } }]"#;
    let server = Server::with(rules);
    for (value, status) in [("cafe", "418"), ("café", "200"), ("a\tb", "418")] {
        for more in [&[][..], &[UNUSUAL]] {
            let mut client = server.connect();
            client.send_request(
                "GET",
                BRAZIL,
                &[&[&*format!("x-u: {value}")], more].concat(),
            );
            let (head, _) = client.reply();
            assert_eq!(
                head.status_line.split(' ').nth(1),
                Some(status),
                "{value} {more:?}"
            );
        }
    }
}
