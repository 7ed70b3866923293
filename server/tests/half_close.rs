//! Clients that send a FIN after their requests, as `nc -N` does, and wait for the answers: they
//! get what everybody gets, whatever the plan, with either encoder. Only those that have left do
//! not.

use std::time::Duration;

use flag_server::End;

use support::{BRAZIL, Client, Ended, Server, brazil, eventually, request, rules};

#[path = "support/mod.rs"]
mod support;

/// What makes hyper answer.
const UNUSUAL: &str = "te: trailers";

/// The two encoders, by a header of the request.
const LANES: [&[&str]; 2] = [&[], &[UNUSUAL]];

/// When the FIN comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fin {
    WithTheRequest,
    ALittleLater,
}

/// What comes for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Came {
    /// A status, and this many bytes of the body.
    Response(u16, usize),
    /// Other bytes than those of a response.
    Bytes(Vec<u8>),
    Nothing,
}

/// The plans, what each request gets under them, and how the connection ends.
fn plans() -> Vec<(&'static str, Came, Ended, bool)> {
    let whole = Came::Response(200, brazil().len());
    let cut = Came::Response(200, 100);
    let ok = |rule, came: &Came| (rule, came.clone(), Ended::Fin, true);
    let broken = |rule, came: &Came, ended| (rule, came.clone(), ended, false);
    vec![
        ok("", &whole),
        ok(
            r#"rule = [{ fault = "latency", distribution = { fixed = "30ms" } }]"#,
            &whole,
        ),
        ok(
            r#"capacity = { workers = 1, service_time = { fixed = "10ms" } }"#,
            &whole,
        ),
        ok(
            r#"rule = [{ fault = "bandwidth", rate = "200KB" }]"#,
            &whole,
        ),
        ok(
            r#"rule = [{ fault = "dribble", chunks = 3, over = "30ms" }]"#,
            &whole,
        ),
        ok(r#"rule = [{ fault = "corrupt", bits = 3 }]"#, &whole),
        ok(
            r#"rule = [{ fault = "status", status = 418, body = "short" }]"#,
            &Came::Response(418, 5),
        ),
        ok(
            r#"rule = [{ fault = "latency", distribution = { fixed = "20ms" } }, { fault = "status", status = 503, body = "" }]"#,
            &Came::Response(503, 0),
        ),
        ok(
            r#"rule = [{ fault = "redirect", hops = 1 }]"#,
            &Came::Response(302, 0),
        ),
        broken(
            r#"rule = [{ fault = "truncate", after = "100B" }]"#,
            &cut,
            Ended::Fin,
        ),
        broken(
            r#"rule = [{ fault = "stall", after = "100B", hold = "20ms" }]"#,
            &cut,
            Ended::Fin,
        ),
        broken(
            r#"rule = [{ fault = "stall", hold = "20ms" }]"#,
            &Came::Nothing,
            Ended::Fin,
        ),
        broken(
            r#"rule = [{ fault = "reset", after = "100B" }]"#,
            &cut,
            Ended::Rst,
        ),
        broken(
            r#"rule = [{ fault = "reset" }]"#,
            &Came::Nothing,
            Ended::Rst,
        ),
        broken(
            r#"rule = [{ fault = "close" }]"#,
            &Came::Nothing,
            Ended::Fin,
        ),
        broken(
            r#"rule = [{ fault = "garbage" }]"#,
            &Came::Bytes(Vec::new()),
            Ended::Fin,
        ),
    ]
}

/// What came, answer by answer.
fn read(mut all: &[u8]) -> Vec<Came> {
    let mut came = Vec::new();
    while !all.is_empty() {
        let end = all.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end.filter(|_| all.starts_with(b"HTTP/1.1 ")) else {
            came.push(Came::Bytes(all.to_vec()));
            break;
        };
        let head = std::str::from_utf8(&all[..end]).unwrap();
        let status = head[9..12].parse().unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        let body = &all[end + 4..];
        let sent = length.min(body.len());
        came.push(Came::Response(status, sent));
        all = &body[sent..];
    }
    came
}

#[test]
fn a_client_that_sends_no_more_gets_every_answer_whole() {
    for (plan, one, ended, goes_on) in plans() {
        let server = Server::of(rules(plan));
        for lane in LANES {
            for count in [1, 3] {
                for fin in [Fin::WithTheRequest, Fin::ALittleLater] {
                    let cell = format!("{plan} {lane:?} {count} {fin:?}");
                    let mut client = server.connect();
                    client.send(&request("GET", BRAZIL, lane).repeat(count));
                    if fin == Fin::ALittleLater {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                    client.finish();
                    let (all, how) = client.rest();
                    assert_eq!(how, ended, "{cell}");
                    let came = read(&all);
                    match &one {
                        Came::Nothing => assert_eq!(came, [], "{cell}"),
                        Came::Bytes(_) => assert!(matches!(came[..], [Came::Bytes(_)]), "{cell}"),
                        one if goes_on => assert_eq!(came, vec![one.clone(); count], "{cell}"),
                        one => assert_eq!(came, std::slice::from_ref(one), "{cell}"),
                    }
                }
            }
        }
    }
}

/// It used to be a matter of luck which of the two was noticed first, the request or the FIN.
#[test]
fn the_same_bytes_with_a_fin_always_have_the_same_answers() {
    let server = Server::with("");
    let one = Came::Response(200, brazil().len());
    for lane in LANES {
        for count in [1, 2, 5] {
            for run in 0..20 {
                let mut client = server.connect();
                client.send(&request("GET", BRAZIL, lane).repeat(count));
                client.finish();
                let (all, ended) = client.rest();
                let expected = vec![one.clone(); count];
                assert_eq!(
                    (read(&all), ended),
                    (expected, Ended::Fin),
                    "{lane:?} {run}"
                );
            }
        }
    }
}

#[test]
fn an_incomplete_request_before_the_fin_is_not_answered() {
    let server = Server::with("");
    let whole = request("GET", BRAZIL, &[]);
    for sent in ["GET /fl", &whole[..whole.len() - 2], "PRI * HT"] {
        let mut client = server.connect();
        client.send(sent);
        client.finish();
        assert_eq!(client.rest(), (vec![], Ended::Fin), "{sent}");
    }
}

/// How a client goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Departure {
    Reset,
    /// It closes its connection: only what is sent to it then shows that it is gone.
    Close,
    /// It stays.
    Fin,
}

#[test]
fn the_record_says_whether_a_client_has_stayed_for_its_answer() {
    for plan in [
        r#"rule = [{ fault = "latency", distribution = { fixed = "300ms" } }]"#,
        r#"capacity = { workers = 4, service_time = { fixed = "300ms" } }"#,
        r#"rule = [{ fault = "dribble", chunks = 2, over = "300ms" }]"#,
    ] {
        for lane in LANES {
            for departure in [Departure::Reset, Departure::Close, Departure::Fin] {
                let server = Server::with(plan);
                let mut client = server.connect();
                client.send_request("GET", BRAZIL, lane);
                eventually(|| (server.received() == 1).then_some(()));
                let end = match departure {
                    Departure::Reset => {
                        client.leave();
                        End::Left
                    }
                    Departure::Close => {
                        drop(client);
                        End::Left
                    }
                    Departure::Fin => {
                        client.finish();
                        client.rest();
                        End::Whole
                    }
                };
                let sent = &server.records(1)[0].sent;
                assert_eq!(sent.end, end, "{plan} {lane:?} {departure:?}");
            }
        }
    }
}

/// The time that a request still has to wait does not matter then.
#[test]
fn a_client_that_resets_its_connection_frees_its_place_at_once() {
    let plan = r#"rule = [{ fault = "latency", distribution = { fixed = "1h" } }]"#;
    for lane in LANES {
        for is_half_closed in [false, true] {
            let server = Server::with(plan);
            let mut client: Client = server.connect();
            client.send_request("GET", BRAZIL, lane);
            if is_half_closed {
                client.finish();
            }
            eventually(|| (server.received() == 1).then_some(()));
            assert_eq!(server.running.records(""), []);
            client.leave();
            assert_eq!(server.records(1)[0].sent.end, End::Left);
        }
    }
}

#[test]
fn a_fin_is_a_departure_for_a_server_whose_clients_are_never_half_closed() {
    let plan = r#"rule = [{ fault = "latency", distribution = { fixed = "1h" } }]"#;
    for lane in LANES {
        let server = Server::of(rules(plan).without_half_closed_clients());
        let mut client = server.connect();
        client.send_request("GET", BRAZIL, lane);
        eventually(|| (server.received() == 1).then_some(()));
        client.finish();
        assert_eq!(client.rest(), (vec![], Ended::Fin));
        assert_eq!(server.records(1)[0].sent.end, End::Left);
    }
}

#[test]
fn a_stall_without_an_end_ends_with_the_fin() {
    for plan in ["fault = 'stall'", "fault = 'stall', after = '512B'"] {
        for lane in LANES {
            let server = Server::with(&format!("rule = [{{ {plan} }}]"));
            let mut client = server.connect();
            client.send_request("GET", BRAZIL, lane);
            eventually(|| (server.received() == 1).then_some(()));
            client.finish();
            assert_eq!(client.rest().1, Ended::Fin, "{plan} {lane:?}");
            assert_eq!(server.records(1)[0].sent.end, End::Left);
        }
    }
}
