//! When things happen: each test stops the time, asserts when the next wait would end, and advances
//! to it. What happens, byte by byte, is for the other tests of faults.

#[path = "support/http2.rs"]
mod http2;
mod support;

use std::io::{ErrorKind, Read};
use std::thread;
use std::time::Duration;

use flag_host::clock::{Paused, pause};
use flag_scenario::Scenario;
use flag_server::{Builder, End, Tls};
use flags_data::Catalogue;
use h2::Reason;
use http2::{Connection, within};
use support::{
    BRAZIL, Client, Ended, Server, authority, brazil, eventually, image, plan, request, rules,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// How often a connection that is about to break checks whether the kernel has sent everything.
/// How often it has to is not planned.
const DRAIN_INTERVAL: Duration = MS;

fn rule(fault: &str) -> String {
    format!("rule = [{{ {fault} }}]")
}

/// Advances to the end of the next planned wait, and returns how long it was.
fn advance(time: &Paused) -> Duration {
    loop {
        match time.advance_to_next(1) {
            DRAIN_INTERVAL => {}
            wait => return wait,
        }
    }
}

/// What comes until the end, without waiting for anything that is planned.
fn rest(time: &Paused, client: &mut Client) -> (Vec<u8>, Ended) {
    thread::scope(|scope| {
        let reading = scope.spawn(|| client.rest());
        while !reading.is_finished() {
            if time.waits().first() == Some(&DRAIN_INTERVAL) {
                time.advance(DRAIN_INTERVAL);
            }
            thread::yield_now();
        }
        reading.join().unwrap()
    })
}

fn assert_silent(client: &Client) {
    client.0.set_nonblocking(true).unwrap();
    let error = client.0.peek(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    client.0.set_nonblocking(false).unwrap();
}

/// Reads a body that comes as this scenario paces it, up to the byte `until`, and returns how long
/// that takes. Nothing may come by any time beyond what is `allowed` then.
fn read_paced(
    time: &Paused,
    client: &mut Client,
    text: &str,
    until: usize,
    allowed: &dyn Fn(Duration) -> usize,
) -> Duration {
    let whole = brazil();
    let pace = plan(text, 1).pace;
    let (mut sent, mut elapsed) = (0, Duration::ZERO);
    while sent < until {
        let (end, due) = pace.piece(whole.len() as u64, sent as u64);
        let end = until.min(end as usize);
        if due > elapsed {
            assert_silent(client);
            assert_eq!(time.advance_to_next(1), due - elapsed, "{text}");
            elapsed = due;
        }
        let mut piece = vec![0; end - sent];
        client.0.read_exact(&mut piece).unwrap();
        assert_eq!(piece, whole[sent..end], "{text}");
        // Due times are whole nanoseconds, cut off.
        let soon = elapsed + Duration::from_nanos(1);
        assert!(end <= allowed(soon), "{end} bytes after {elapsed:?}");
        sent = end;
    }
    elapsed
}

#[test]
fn another_scenario_changes_no_decision_under_way_and_its_windows_count_from_then() {
    let time = pause();
    let server = Server::with(&rule("fault = 'latency', distribution = { fixed = '9s' }"));
    let name = server.running.endpoints()[0].name.clone();
    let set = |text: &str| {
        let scenario = Scenario::from_toml(text).unwrap();
        server.running.set_scenario(&name, &scenario)
    };
    let status = |expected: &str| {
        let mut client = server.get();
        assert_eq!(client.reply().0.status_line, expected);
    };
    let mut under_way = server.get();
    time.wait_for(&[9 * SECOND]);
    time.advance(4 * SECOND);
    let window = rule("fault = 'status', status = 503, window = { from = '1s', until = '5s' }");
    assert_eq!(set(&window), Ok(true));
    status("HTTP/1.1 200 OK"); // neither the delay nor, yet, the window
    time.advance(SECOND);
    status("HTTP/1.1 503 Service Unavailable");
    time.advance(3 * SECOND);
    assert_eq!(set(&window), Ok(false)); // the window goes on
    status("HTTP/1.1 503 Service Unavailable");
    time.advance(SECOND);
    status("HTTP/1.1 200 OK");
    let (head, body) = under_way.reply();
    assert_eq!(head.status_line, "HTTP/1.1 200 OK");
    assert!(
        head.get("server-timing")
            .unwrap()
            .starts_with("plan;dur=9000.000")
    );
    assert_eq!(body, brazil());

    // Attempts go on, and so do records.
    assert_eq!(
        set(&rule(
            "fault = 'status', status = 418, attempts = { first = 6 }"
        )),
        Ok(true)
    );
    status("HTTP/1.1 418 I'm a teapot");
    status("HTTP/1.1 200 OK");
    let mut attempts: Vec<u32> = (server.records(7).iter()).map(|one| one.attempt).collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 2, 3, 4, 5, 6, 7]);
    assert!(
        server
            .running
            .set_scenario("no such", &Scenario::faultless())
            .is_err()
    );
}

#[test]
fn a_delay_is_held_exactly_and_reported_as_it_was_held() {
    let time = pause();
    let latency = "fault = \"latency\", distribution = { fixed = \"812331us\" }";
    let server = Server::with(&rule(latency));
    let mut client = server.connect();
    // On the fast path, and not.
    for header in ["accept: */*", "te: trailers"] {
        client.send_request("GET", BRAZIL, &[header]);
        assert_eq!(time.advance_to_next(1), 812_331 * MS / 1000);
        let (head, body) = client.reply();
        let timing = head.get("server-timing");
        assert_eq!(timing, Some("plan;dur=812.331, wait;dur=812.331"));
        assert_eq!(body, brazil());
    }
    let records = server.records(2);
    assert!(records.iter().all(|record| record.late_ms == Some(0.0)));
}

#[test]
fn a_stall_lasts_as_long_as_planned_and_ends_with_a_fin() {
    let time = pause();
    let whole = brazil();
    let server = Server::with(&rule("fault = \"stall\", hold = \"150ms\""));
    let mut client = server.get();
    assert_eq!(advance(&time), 150 * MS);
    assert_eq!(client.rest(), (vec![], Ended::Fin));
    let sent = server.records(1)[0].sent;
    assert_eq!((sent.status, sent.bytes, sent.end), (None, 0, End::Closed));

    for after in [0, 1000, whole.len() - 1] {
        let stall = format!("fault = \"stall\", after = \"{after}B\", hold = \"150ms\"");
        let server = Server::with(&rule(&stall));
        let mut client = server.get();
        assert_eq!(client.head().length(), Some(whole.len()), "{after}");
        let mut part = vec![0; after];
        client.0.read_exact(&mut part).unwrap();
        assert_eq!(part, whole[..after]);
        assert_silent(&client);
        assert_eq!(advance(&time), 150 * MS, "{after}");
        assert_eq!(client.rest(), (vec![], Ended::Fin), "{after}");
        let sent = server.records(1)[0].sent;
        let expected = (Some(200), after as u64, End::Closed);
        assert_eq!((sent.status, sent.bytes, sent.end), expected, "{after}");
    }
}

#[test]
fn an_endless_stall_ends_when_the_client_disconnects_even_with_unread_bytes() {
    let time = pause();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (stall, sent) in [
        ("fault = \"stall\"", (None, 0, End::Left)),
        (
            "fault = \"stall\", after = \"100B\"",
            (Some(200), 100, End::Left),
        ),
    ] {
        let server = runtime.block_on(rules(&rule(stall)).start()).unwrap();
        let idle = runtime.metrics().num_alive_tasks();
        let one = request("GET", BRAZIL, &[]);
        let with_body = request("GET", BRAZIL, &["content-length: 100"]) + "unfinished";
        let clients = [
            &one,
            &(one.clone() + &one),
            &(one.clone() + "GET"),
            &with_body,
        ];
        let mut clients = clients.map(|sent| {
            let mut client = Client::connect(&authority(server.endpoints()));
            client.send(sent);
            client
        });
        for client in &mut clients {
            let mut byte = [0];
            match sent.0 {
                Some(_) => client.0.read_exact(&mut byte).unwrap(),
                None => eventually(|| (server.received() == 4).then_some(())),
            }
        }
        assert_eq!(server.records(""), [], "{stall}: it ended by itself");
        clients.into_iter().for_each(Client::leave);
        // Every second, the server checks whether its clients are still there.
        let records = eventually(|| {
            if !time.waits().is_empty() {
                time.advance(SECOND);
            }
            Some(server.records("")).filter(|records| records.len() == 4)
        });
        for record in records {
            let found = (record.sent.status, record.sent.bytes, record.sent.end);
            assert_eq!(found, sent, "{stall}");
        }
        // Fewer if the previous server was still shutting down when these were counted.
        eventually(|| (runtime.metrics().num_alive_tasks() <= idle).then_some(()));
    }
}

#[test]
fn a_paced_body_arrives_piece_by_piece_exactly_when_each_is_due() {
    let time = pause();
    let whole = brazil();
    let len = whole.len();
    let rate = len as u64 * 4;
    let over = 240 * MS;
    // How many bytes may have arrived by then.
    let by_rate =
        move |elapsed: Duration| (elapsed.as_nanos() * u128::from(rate) / 1_000_000_000) as usize;
    let in_pieces = move |elapsed: Duration| {
        let due = (elapsed.as_nanos() * 4 / over.as_nanos()) as usize + 1;
        len * due.min(5) / 5
    };
    let bandwidth = format!("fault = \"bandwidth\", rate = \"{rate}B\"");
    let dribble = "fault = \"dribble\", chunks = 5, over = \"240ms\"";
    let check = |text: &str, lasts: Duration, allowed: &dyn Fn(Duration) -> usize| {
        let server = Server::with(text);
        let mut client = server.connect();
        client.send_request("GET", BRAZIL, &["connection: close"]);
        client.head();
        assert_eq!(read_paced(&time, &mut client, text, len, allowed), lasts);
        assert_eq!(client.rest(), (vec![], Ended::Fin), "{text}");
        let sent = server.records(1)[0].sent;
        let expected = (Some(200), len as u64, End::Whole);
        assert_eq!((sent.status, sent.bytes, sent.end), expected);
    };
    check(&rule(&bandwidth), 250 * MS, &by_rate);
    check(&rule(dribble), over, &in_pieces);
    check(
        &format!("rule = [{{ {bandwidth} }}, {{ {dribble} }}]"),
        250 * MS,
        &|elapsed| by_rate(elapsed).min(in_pieces(elapsed)),
    );
}

#[test]
fn a_cut_paced_body_keeps_the_pace_of_the_whole() {
    let time = pause();
    let len = brazil().len();
    let half = len / 2;
    for (ending, ended) in [("truncate", Ended::Fin), ("reset", Ended::Rst)] {
        let text = format!(
            "rule = [{{ fault = \"{ending}\", after = \"{half}B\" }}, {{ fault = \"bandwidth\", rate = \"{}B\" }}]",
            len * 4
        );
        let server = Server::with(&text);
        let mut client = server.get();
        client.head();
        let elapsed = read_paced(&time, &mut client, &text, half, &|_| half);
        assert!(
            (125 * MS..130 * MS).contains(&elapsed),
            "{elapsed:?}: half of a quarter of a second"
        );
        assert_eq!(rest(&time, &mut client), (vec![], ended));
    }
}

#[test]
#[cfg_attr(windows, ignore = "an RST discards unread data")]
fn a_delay_comes_before_any_other_fault() {
    let time = pause();
    let whole = brazil();
    let latency = "{ fault = \"latency\", distribution = { fixed = \"80ms\" } }";
    for (ending, body, ended) in [
        ("fault = \"reset\"", None, Ended::Rst),
        ("fault = \"close\"", None, Ended::Fin),
        (
            "fault = \"reset\", after = \"10B\"",
            Some(&whole[..10]),
            Ended::Rst,
        ),
        (
            "fault = \"truncate\", after = \"10B\"",
            Some(&whole[..10]),
            Ended::Fin,
        ),
    ] {
        let server = Server::with(&format!("rule = [{{ {ending} }}, {latency}]"));
        let mut client = server.get();
        time.wait_for(&[80 * MS]);
        assert_silent(&client);
        time.advance(80 * MS);
        if body.is_some() {
            client.head();
        }
        let expected = (body.unwrap_or_default().to_vec(), ended);
        assert_eq!(rest(&time, &mut client), expected, "{ending}");
    }
}

/// Bytes that arrive during a delay do not count as a disconnect.
#[test]
fn a_request_that_comes_during_a_delay_is_answered_after_it() {
    let time = pause();
    let delay =
        r#"rule = [{ name = "delay", fault = "latency", distribution = { fixed = "300ms" } }]"#;
    let server = Server::with(delay);
    let mut client = server.get();
    time.wait_for(&[300 * MS]);
    client.send_request("GET", BRAZIL, &[]);
    client.send_request("GET", BRAZIL, &["te: trailers"]); // it leaves the fast path
    for _ in 0..3 {
        assert_eq!(time.advance_to_next(1), 300 * MS);
        let (head, body) = client.reply();
        assert_eq!(head.get("flag-plan"), Some("delay"));
        assert_eq!(body, brazil());
    }
}

/// Two sibling streams that begin before the fault and end after it.
fn slow_siblings_and(fault: &str) -> Builder {
    rules(&format!(
        "rule = [{{ match = {{ cc = [\"BR\"] }}, {fault} }}, {{ match = {{ cc = [\"FR\"] }}, fault = \"dribble\", chunks = 4, over = \"240ms\" }}]"
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_break_resets_only_its_stream_after_exactly_the_planned_bytes() {
    let time = pause();
    let whole = brazil();
    let france = image(&Catalogue::embedded(), "FR");
    let cases = [
        ("fault = \"reset\"", None, End::Reset),
        ("fault = \"close\"", None, End::Closed),
        ("fault = \"garbage\"", None, End::Garbage),
        ("fault = \"MALFORMED_RESPONSE_CHUNK\"", None, End::Garbage),
        ("fault = \"stall\", hold = \"20ms\"", None, End::Closed),
        ("fault = \"reset\", after = \"0B\"", Some(0), End::Reset),
        (
            "fault = \"reset\", after = \"1000B\"",
            Some(1000),
            End::Reset,
        ),
        (
            "fault = \"reset\", after = \"1MB\"",
            Some(whole.len()),
            End::Reset,
        ),
        ("fault = \"truncate\", after = \"0B\"", Some(0), End::Closed),
        ("fault = \"truncate\", after = \"1B\"", Some(1), End::Closed),
        (
            "fault = \"truncate\", fraction = 0.5",
            Some(whole.len() / 2),
            End::Closed,
        ),
        (
            "fault = \"stall\", after = \"0B\", hold = \"20ms\"",
            Some(0),
            End::Closed,
        ),
        (
            "fault = \"stall\", after = \"300B\", hold = \"20ms\"",
            Some(300),
            End::Closed,
        ),
    ];
    for tls in [false, true] {
        for (fault, len, end) in &cases {
            let mut builder = slow_siblings_and(fault);
            if tls {
                builder = builder.tls(Tls::SelfSigned);
            }
            let server = builder.start().await.unwrap();
            let connection = if tls {
                Connection::tls(&server).await
            } else {
                Connection::plain(&server).await
            };
            let before = connection.send_request("GET", "/flags/fr/fr.gif").await;
            for attempt in 1..=3 {
                let broken = connection.send_request("GET", BRAZIL).await;
                if fault.contains("hold") {
                    assert_eq!(time.advance_to_next(2), 20 * MS);
                }
                let broken = within(broken).await.unwrap();
                assert_eq!(broken.reset, Some(Reason::INTERNAL_ERROR), "{fault}");
                assert_eq!(broken.status(), len.map(|_| 200), "{fault}");
                let expected = &whole[..len.unwrap_or(0)];
                assert!(broken.body == expected, "{fault}: {}", broken.body.len());
                assert_eq!(
                    broken.header("content-length").map(str::to_owned),
                    len.map(|_| whole.len().to_string()),
                    "{fault}"
                );
                let record = eventually(|| {
                    let mut records = server.records("");
                    records.retain(|record| record.path == BRAZIL);
                    records.into_iter().nth(attempt - 1)
                });
                assert_eq!(record.sent.end, *end, "{fault}");
                assert_eq!(record.sent.bytes, expected.len() as u64, "{fault}");
            }
            let after = connection.send_request("GET", "/flags/fr/fr.gif").await;
            time.advance_to_next(2);
            time.advance(240 * MS);
            for sibling in [before, after] {
                let sibling = within(sibling).await.unwrap();
                assert_eq!((sibling.status(), sibling.reset), (Some(200), None));
                assert_eq!(sibling.body, france, "{fault}");
            }
            // The fault of one stream must not apply to the connection when it ends, either.
            assert_eq!(server.shutdown().await.cut_off, 0);
            connection.assert_closed_gracefully().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_a_planned_silence_is_not_called_cut_off() {
    let time = pause();
    for stall in ["", ", after = '100B'"] {
        let text = rule(&format!("fault = 'stall', hold = '1h'{stall}"));
        let server = rules(&text).start().await.unwrap();
        let connection = Connection::plain(&server).await;
        let _silent = connection.send_request("GET", BRAZIL).await;
        time.wait_for(&[3600 * SECOND]);
        let stopped = server.shutdown_until(async {}).await;
        assert_eq!((stopped.cut_off, stopped.silent), (0, 1), "{stall}");
    }
}
