//! Every fault on HTTP/1.1: the exact bytes, and how exactly the connection ends.

mod support;

use std::io::Read;
use std::time::Duration;

use flag_scenario::Ending;
use flag_server::{End, Record};
use support::{
    BRAZIL, Ended, SAFETY, Server, brazil, differing_bits, huge, image, plan, request, rules,
};

fn rule(fault: &str) -> String {
    format!("rule = [{{ {fault} }}]")
}

/// Applies to Brazil only.
fn rule_for_brazil(fault: &str) -> String {
    rule(&format!("match = {{ cc = [\"BR\"] }}, {fault}"))
}

fn ends(records: &[Record]) -> Vec<(Option<u16>, u64, End)> {
    let sent = records.iter().map(|record| record.sent);
    sent.map(|sent| (sent.status, sent.bytes, sent.end))
        .collect()
}

#[test]
fn a_reset_before_the_head_is_an_rst_without_a_byte() {
    let server = Server::with(&rule("fault = \"reset\""));
    assert_eq!(server.get().rest(), (vec![], Ended::Rst));
    assert_eq!(ends(&server.records(1)), [(None, 0, End::Reset)]);
}

#[test]
#[cfg_attr(windows, ignore = "an RST discards unread data")]
fn a_reset_in_the_body_comes_after_the_whole_head_and_exactly_the_planned_bytes() {
    let whole = brazil();
    for after in [0, 1, 1000, whole.len() - 1, whole.len(), whole.len() + 100] {
        let server = Server::with(&rule(&format!("fault = \"reset\", after = \"{after}B\"")));
        let mut client = server.get();
        assert_eq!(client.head().length(), Some(whole.len()), "{after}");
        let expected = &whole[..after.min(whole.len())];
        assert_eq!(client.rest(), (expected.to_vec(), Ended::Rst), "{after}");
        let sent = (Some(200), expected.len() as u64, End::Reset);
        assert_eq!(ends(&server.records(1)), [sent], "{after}");
    }
}

#[test]
fn a_stall_behind_a_complete_body_leaves_the_connection_usable() {
    let whole = brazil();
    let server = Server::with(&rule(&format!(
        "fault = \"stall\", after = \"{}B\"",
        whole.len()
    )));
    let mut client = server.connect();
    for _ in 0..2 {
        client.send_request("GET", BRAZIL, &[]);
        assert_eq!(client.reply().1, whole);
    }
}

#[test]
fn a_close_is_a_fin_without_a_byte() {
    let server = Server::with(&rule("fault = \"close\""));
    assert_eq!(server.get().rest(), (vec![], Ended::Fin));
    assert_eq!(ends(&server.records(1)), [(None, 0, End::Closed)]);
}

#[test]
fn a_truncated_body_announces_the_full_length_and_ends_with_a_fin() {
    let whole = brazil();
    let cases = [
        ("after = \"0B\"", 0),
        ("after = \"1B\"", 1),
        ("after = \"1KiB\"", 1024),
        (
            &*format!("after = \"{}B\"", whole.len() - 1),
            whole.len() - 1,
        ),
        ("fraction = 0", 0),
        ("fraction = 0.5", whole.len() / 2),
    ];
    for (cut, len) in cases {
        let server = Server::with(&rule(&format!("fault = \"truncate\", {cut}")));
        let mut client = server.get();
        assert_eq!(client.head().length(), Some(whole.len()), "{cut}");
        assert_eq!(client.rest(), (whole[..len].to_vec(), Ended::Fin), "{cut}");
        let sent = (Some(200), len as u64, End::Closed);
        assert_eq!(ends(&server.records(1)), [sent], "{cut}");
    }
}

#[test]
fn a_cut_behind_the_end_leaves_the_body_complete_and_the_connection_usable() {
    let whole = brazil();
    let len = whole.len();
    for cut in [
        &*format!("after = \"{len}B\""),
        &*format!("after = \"{}B\"", len + 1),
        "fraction = 1",
    ] {
        let server = Server::with(&rule_for_brazil(&format!("fault = \"truncate\", {cut}")));
        let mut client = server.get();
        assert_eq!(client.reply().1, whole, "{cut}");
        client.assert_usable();
    }
}

#[test]
fn garbage_is_exactly_the_planned_bytes_and_a_fin() {
    for (kind, head) in [
        ("garbage", ""),
        ("RANDOM_DATA_THEN_CLOSE", ""),
        (
            "MALFORMED_RESPONSE_CHUNK",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
    ] {
        let text = rule(&format!("name = \"g\", fault = \"{kind}\""));
        let server = Server::with(&text);
        for attempt in 1..=3 {
            let Some(Ending::Garbage { bytes, .. }) = plan(&text, attempt).ending else {
                panic!("no garbage is planned");
            };
            assert_eq!(bytes.len(), 64);
            assert!(bytes[0] >= 0x80);
            let expected = [head.as_bytes(), &bytes].concat();
            assert_eq!(server.get().rest(), (expected, Ended::Fin), "{kind}");
        }
        assert_eq!(ends(&server.records(3)), [(None, 0, End::Garbage); 3]);
    }
}

#[test]
fn a_corrupt_body_has_exactly_n_wrong_bits_and_the_same_ones_again() {
    let whole = brazil();
    for bits in [1, 7, 1024] {
        let text = rule_for_brazil(&format!("fault = \"corrupt\", bits = {bits}"));
        let first = Server::with(&text).get().reply().1;
        assert_eq!(differing_bits(&first, &whole), bits);
        let server = Server::with(&text);
        let mut client = server.connect();
        for attempt in [1, 1, 2] {
            client.send_request("GET", BRAZIL, &[&format!("flag-attempt: {attempt}")]);
            let again = client.reply().1;
            assert_eq!(again == first, attempt == 1, "attempt {attempt}");
            assert_eq!(differing_bits(&again, &whole), bits);
        }
        client.assert_usable();
    }
}

#[test]
fn a_chain_of_redirects_ends_at_the_flag_counts_once_and_waits_once() {
    let server = Server::with(
        "rule = [{ fault = \"redirect\", hops = 3 }, { fault = \"latency\", distribution = { fixed = \"50ms\" } }]",
    );
    let mut client = server.connect();
    for attempt in 1..=2 {
        let mut path = BRAZIL.to_owned();
        for hop in 0..3 {
            client.send_request("GET", &path, &[]);
            let (head, body) = client.reply();
            assert_eq!(head.status_line, "HTTP/1.1 302 Found");
            assert_eq!(body, b"");
            let planned = if hop == 0 {
                "plan;dur=50.000"
            } else {
                "plan;dur=0.000"
            };
            assert!(head.get("server-timing").unwrap().starts_with(planned));
            path = head.get("location").unwrap().to_owned();
        }
        client.send_request("GET", &path, &[]);
        let (head, body) = client.reply();
        assert_eq!(head.status_line, "HTTP/1.1 200 OK");
        assert_eq!(body, brazil());
        let records = server.records(4 * attempt);
        assert!(
            records[4 * attempt - 4..]
                .iter()
                .all(|r| r.attempt == attempt as u32)
        );
    }
}

#[test]
fn a_status_has_its_retry_after_and_body_and_is_the_planned_one_of_several() {
    let text = rule_for_brazil(
        "name = \"s\", fault = \"status\", one_of = [{ status = 503, weight = 2 }, { status = 500 }, { status = 429, weight = 0 }], retry_after = \"1500ms\", body = \"späť\"",
    );
    let server = Server::with(&text);
    let mut client = server.connect();
    let mut seen = std::collections::BTreeSet::new();
    for attempt in 1..=40 {
        let Some(Ending::Status { status, .. }) = plan(&text, attempt).ending else {
            panic!("no status is planned");
        };
        client.send_request("GET", BRAZIL, &[]);
        let (head, body) = client.reply();
        assert!(
            head.status_line
                .starts_with(&format!("HTTP/1.1 {} ", status.get()))
        );
        assert_eq!(head.get("retry-after"), Some("2"));
        assert_eq!(body, "späť".as_bytes());
        seen.insert(status.get());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [500, 503]);
    client.assert_usable();
}

#[test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "only Linux reports whether everything was sent before an RST"
)]
fn a_cut_is_exact_with_a_slow_reader_and_full_buffers() {
    let whole = image(huge(), "BR");
    let len = whole.len();
    for (fault, cut, ended) in [
        ("reset", 9_000_001, Ended::Rst),
        ("reset", len, Ended::Rst),
        ("truncate", 9_000_001, Ended::Fin),
        ("stall", 9_000_001, Ended::Fin),
    ] {
        let hold = if fault == "stall" {
            ", hold = \"10ms\""
        } else {
            ""
        };
        let text = rule(&format!("fault = \"{fault}\", after = \"{cut}B\"{hold}"));
        let server = Server::of(rules(&text).catalogue(huge().clone()));
        let mut client = server.get();
        assert_eq!(client.head().length(), Some(len), "{text}");
        std::thread::sleep(Duration::from_millis(300)); // by now all buffers are full
        let mut sips = 0;
        let (body, end) = client.rest_with(|_| {
            sips += 1;
            if sips % 8 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!((body.len(), end), (cut, ended), "{text}");
        assert!(body == whole[..cut], "{text}: other bytes than the flag's");
    }
}

#[test]
fn a_connection_survives_the_faults_that_do_not_break_it() {
    for fault in [
        "fault = \"status\", status = 503",
        "fault = \"status\", status = 204",
        "fault = \"status\", status = 304",
        "fault = \"redirect\"",
        "fault = \"corrupt\"",
        "fault = \"bandwidth\", rate = \"1MB\"",
        "fault = \"dribble\", chunks = 3, over = \"10ms\"",
        "fault = \"latency\", distribution = { fixed = \"10ms\" }",
    ] {
        let server = Server::with(&rule_for_brazil(fault));
        let mut client = server.connect();
        for _ in 0..3 {
            client.send_request("GET", BRAZIL, &[]);
            client.reply();
            client.assert_usable();
        }
        assert_eq!(server.received(), 6, "{fault}");
    }
}

#[test]
#[cfg_attr(windows, ignore = "an RST discards unread data")]
fn pipelined_requests_are_answered_completely_before_a_break_and_never_after_it() {
    let whole = brazil();
    for (breaking, body, ended) in [
        ("fault = \"reset\"", None, Ended::Rst),
        ("fault = \"close\"", None, Ended::Fin),
        ("fault = \"stall\", hold = \"10ms\"", None, Ended::Fin),
        (
            "fault = \"reset\", after = \"9B\"",
            Some(&whole[..9]),
            Ended::Rst,
        ),
        (
            "fault = \"truncate\", after = \"9B\"",
            Some(&whole[..9]),
            Ended::Fin,
        ),
    ] {
        let server = Server::with(&format!(
            "rule = [{{ match = {{ cc = [\"JP\"] }}, fault = \"status\", status = 503, body = \"no\" }}, {{ match = {{ cc = [\"FR\"] }}, {breaking} }}]"
        ));
        let order = ["br", "jp", "br", "fr", "br", "jp"];
        let all: String = order
            .map(|cc| request("GET", &format!("/flags/{cc}/{cc}.gif"), &[]))
            .concat();
        let mut client = server.connect();
        client.send(&all);
        assert_eq!(client.reply().1, whole, "{breaking}");
        assert_eq!(client.reply().1, b"no", "{breaking}");
        assert_eq!(client.reply().1, whole, "{breaking}");
        if body.is_some() {
            client.head();
        }
        let expected = (body.unwrap_or_default().to_vec(), ended);
        assert_eq!(client.rest(), expected, "{breaking}");
        assert_eq!(server.received(), 4, "{breaking}");
    }
}

#[test]
#[cfg_attr(
    not(target_os = "linux"),
    ignore = "only Linux reports whether everything was sent before an RST"
)]
fn answers_before_a_break_are_complete_even_with_full_buffers() {
    let whole = image(huge(), "BR");
    for (breaking, ended) in [
        ("reset", Ended::Rst),
        ("close", Ended::Fin),
        ("garbage", Ended::Fin),
    ] {
        let text = rule(&format!(
            "match = {{ cc = [\"JP\"] }}, fault = \"{breaking}\""
        ));
        let server = Server::of(rules(&text).catalogue(huge().clone()));
        let mut client = server.connect();
        client.send(&(request("GET", BRAZIL, &[]) + &request("GET", "/flags/jp/jp.gif", &[])));
        std::thread::sleep(Duration::from_millis(200));
        let (_, body) = client.reply();
        assert!(body == whole, "{breaking}");
        let (rest, end) = client.rest();
        let expected = if breaking == "garbage" { 64 } else { 0 };
        assert_eq!((rest.len(), end), (expected, ended), "{breaking}");
    }
}

#[test]
#[cfg_attr(windows, ignore = "an RST discards unread data")]
fn a_response_without_a_body_is_not_cut_and_a_range_is_cut_within_the_range() {
    let whole = brazil();
    let etag = format!(
        "if-none-match: \"{}\"",
        flags_data::Catalogue::embedded()
            .get("BR".parse().unwrap())
            .unwrap()
            .image
            .digest
    );
    let part = &whole[100..200];
    // The result for a range, and whether the connection survives it.
    let cases: [(&str, &[u8], Option<Ended>); 8] = [
        (
            "fault = \"reset\", after = \"9B\"",
            &part[..9],
            Some(Ended::Rst),
        ),
        (
            "fault = \"reset\", after = \"150B\"",
            part,
            Some(Ended::Rst),
        ),
        (
            "fault = \"truncate\", after = \"9B\"",
            &part[..9],
            Some(Ended::Fin),
        ),
        ("fault = \"truncate\", after = \"150B\"", part, None),
        (
            "fault = \"truncate\", fraction = 0.25",
            &part[..25],
            Some(Ended::Fin),
        ),
        (
            "fault = \"stall\", after = \"9B\", hold = \"1ms\"",
            &part[..9],
            Some(Ended::Fin),
        ),
        ("fault = \"bandwidth\", rate = \"1MB\"", part, None),
        (
            "fault = \"dribble\", chunks = 3, over = \"3ms\"",
            part,
            None,
        ),
    ];
    for (fault, expected, ended) in cases {
        let server = Server::with(&rule_for_brazil(fault));
        let mut client = server.connect();
        for method in ["HEAD", "GET"] {
            client.send_request(method, BRAZIL, &[&etag]);
            let head = client.head();
            assert_eq!(head.status_line, "HTTP/1.1 304 Not Modified", "{fault}");
            assert_eq!(head.length(), None, "{fault}");
        }
        client.send_request("HEAD", BRAZIL, &[]);
        let head = client.head();
        assert_eq!(head.status_line, "HTTP/1.1 200 OK", "{fault}");
        assert_eq!(head.length(), Some(whole.len()), "{fault}");
        client.assert_usable();

        client.send_request("GET", BRAZIL, &["range: bytes=100-199"]);
        let head = client.head();
        assert_eq!(head.status_line, "HTTP/1.1 206 Partial Content", "{fault}");
        assert_eq!(head.length(), Some(100), "{fault}");
        match ended {
            Some(ended) => assert_eq!(client.rest(), (expected.to_vec(), ended), "{fault}"),
            None => {
                let mut body = vec![0; expected.len()];
                client.0.read_exact(&mut body).unwrap();
                assert_eq!(body, expected, "{fault}");
                client.assert_usable();
            }
        }
    }
}

#[test]
fn faults_that_replace_the_flag_apply_to_head_and_conditional_requests() {
    for (fault, status) in [
        (
            "fault = \"status\", status = 503, body = \"later\"",
            "HTTP/1.1 503 Service Unavailable",
        ),
        ("fault = \"redirect\"", "HTTP/1.1 302 Found"),
        ("fault = \"corrupt\"", "HTTP/1.1 200 OK"),
    ] {
        let server = Server::with(&rule_for_brazil(fault));
        let mut client = server.connect();
        client.send_request("HEAD", BRAZIL, &[]);
        assert_eq!(client.head().status_line, status);
        client.assert_usable(); // so there was no body
    }
    for (fault, ended) in [("reset", Ended::Rst), ("close", Ended::Fin)] {
        let server = Server::with(&rule(&format!("fault = \"{fault}\"")));
        for (method, header) in [
            ("HEAD", "x: y"),
            ("GET", "if-none-match: *"),
            ("GET", "range: bytes=0-1"),
        ] {
            let mut client = server.connect();
            client.send_request(method, BRAZIL, &[header]);
            assert_eq!(client.rest(), (vec![], ended), "{fault} {method} {header}");
        }
    }
}

#[test]
fn every_request_of_every_run_is_known_afterwards() {
    let server = Server::with("");
    let mut client = server.connect();
    let mut send = |method: &str, path: &str, headers: &[&str]| {
        client.send_request(method, path, headers);
        client.head()
    };
    // Without bodies, so that the next head follows at once.
    send("HEAD", BRAZIL, &[]);
    send("HEAD", BRAZIL, &["flag-run: mine"]);
    send("HEAD", "/flags/br/metadata.json", &["flag-run: yours"]);
    send("HEAD", "/flags/", &[]);
    send("HEAD", "/healthz", &[]);
    let refused = send("HEAD", BRAZIL, &["flag-attempt: 0"]);
    assert_eq!(refused.status_line, "HTTP/1.1 400 Bad Request");
    let records = server.running.settled_records(SAFETY);
    let mut seen: Vec<(&str, u32)> = records
        .iter()
        .map(|record| (record.run.as_str(), record.attempt))
        .collect();
    seen.sort_unstable();
    // The list and the request that was refused have no attempt, and the health check no record.
    let expected = [("", 0), ("", 0), ("", 1), ("mine", 1), ("yours", 1)];
    assert_eq!(seen, expected);
    assert_eq!((server.received(), server.running.unrecorded()), (3, 1));
}

#[test]
fn a_paced_or_stalling_body_reports_its_planned_time_on_both_paths() {
    let len = brazil().len();
    let cases = [
        (
            "fault = \"bandwidth\", rate = \"100kB\"",
            Some(len as f64 / 100.0),
        ),
        (
            "fault = \"dribble\", chunks = 3, over = \"20ms\"",
            Some(20.0),
        ),
        (
            "fault = \"dribble\", chunks = 1, over = \"20ms\"",
            Some(0.0),
        ),
        (
            "fault = \"stall\", after = \"50B\", hold = \"20ms\"",
            Some(20.0),
        ),
        // It is whole before the silence would begin.
        ("fault = \"stall\", after = \"1MB\", hold = \"20ms\"", None),
        // Nobody knows how long.
        ("fault = \"stall\", after = \"50B\"", None),
        ("fault = \"truncate\", after = \"50B\"", None),
        ("fault = \"reset\", after = \"50B\"", None),
        ("fault = \"corrupt\"", None),
        ("fault = \"status\", status = 503", None),
    ];
    for (fault, expected) in cases {
        let server = Server::with(&rule_for_brazil(fault));
        // hyper answers the second.
        for headers in [&[] as &[&str], &["te: trailers"]] {
            let mut client = server.connect();
            client.send_request("GET", BRAZIL, headers);
            let head = client.head();
            let timing = head.get("server-timing").unwrap();
            let body = timing.split_once(", body;dur=").map(|(_, body)| body);
            let body = body.map(|body| body.parse::<f64>().unwrap());
            let is_near = body
                .zip(expected)
                .is_some_and(|(body, expected)| (body - expected).abs() < 0.01);
            assert!(
                is_near || (body, expected) == (None, None),
                "{fault}: {timing}"
            );
        }
        let mut client = server.connect();
        client.send_request("HEAD", BRAZIL, &[]);
        let head = client.head();
        assert!(
            !head.get("server-timing").unwrap().contains("body"),
            "{fault}"
        );
    }
}

#[test]
fn the_planned_time_of_a_body_is_that_of_what_is_sent() {
    let text = "rule = [{ fault = \"status\", status = 503, body = \"0123456789\" }, { fault = \"bandwidth\", rate = \"1kB\" }]";
    let (head, _) = Server::with(text).get().reply();
    let timing = "plan;dur=0.000, wait;dur=0.000, body;dur=10.000";
    assert_eq!(head.get("server-timing"), Some(timing));
    let server = Server::with("rule = [{ fault = \"bandwidth\", rate = \"1kB\" }]");
    let mut client = server.connect();
    client.send_request("GET", BRAZIL, &["range: bytes=0-9"]);
    let (head, _) = client.reply();
    assert_eq!(head.get("server-timing"), Some(timing));
}
