//! Loads against real servers: what is sent, what is counted, and which times are reported.

mod support;

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use flag_client::download::CancelToken;
use flag_client::load::recorder::Recorder;
use flag_client::load::{End, Load, LoadOutcome, Pace, Requests, is_flagbench};
use flag_client::result::Failure;
use flag_scenario::Scenario;
use flag_server::FlagServer;
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use reqwest::Url;
use support::{TestServer, done, load, server};

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_closed_loop_sends_exactly_n_requests() {
    let (url, seen) = server(|_| false);
    let LoadOutcome {
        recorder,
        interrupted,
        ..
    } = done(&load(&url));
    assert_eq!(recorder.requests(), 100);
    assert_eq!(recorder.statuses, [(200, 100)].into());
    assert_eq!((recorder.bytes, recorder.connections), (200, 4));
    assert_eq!((seen.load(Ordering::SeqCst), interrupted), (100, false));
    // In a closed loop a request is intended when it is sent.
    assert_eq!(recorder.succeeded.response, recorder.succeeded.service);
}

#[test]
fn warm_up_requests_are_sent_and_not_counted() {
    let (url, seen) = server(|_| false);
    let outcome = done(&Load {
        warmup: 20 * MS,
        ..load(&url)
    });
    assert_eq!(outcome.recorder.requests(), 100);
    assert!(seen.load(Ordering::SeqCst) > 100);

    let (url, seen) = server(|_| false);
    let outcome = done(&Load {
        warmup: 20 * MS,
        pace: Pace::Open { rate: 1000.0 },
        ..load(&url)
    });
    assert_eq!(outcome.recorder.requests(), 100);
    assert_eq!(seen.load(Ordering::SeqCst), 120);
}

#[test]
fn the_flags_are_requested_in_turn() {
    let server = FlagServer::builder().start_blocking().unwrap();
    let base: Url = server.flags_url().parse().unwrap();
    let codes = flags_data::POP20.to_vec();
    let outcome = done(&Load {
        requests: Requests::for_flags(&base, &codes, 7, HeaderMap::new()),
        url: base.clone(),
        end: End::After(60),
        ..load(base.as_str())
    });
    assert_eq!(outcome.recorder.statuses, [(200, 60)].into());
    let catalogue = flags_data::Catalogue::embedded();
    let bytes = |code| catalogue.get(code).unwrap().image.bytes.len() as u64;
    let all: u64 = codes.into_iter().map(bytes).sum();
    assert_eq!(outcome.recorder.bytes, 3 * all);
}

/// The plan decides how each first attempt ends, and the load distinguishes every ending.
#[test]
fn every_ending_is_counted_by_its_kind() {
    let rules = "
        [[rule]]
        fault = 'status'
        status = 503
        match = { cc = ['BR'] }
        [[rule]]
        fault = 'reset'
        match = { cc = ['CN'] }
        [[rule]]
        fault = 'stall'
        match = { cc = ['US'] }
    ";
    let scenario = Scenario::from_toml(rules).unwrap();
    let server = FlagServer::builder()
        .scenario(scenario)
        .start_blocking()
        .unwrap();
    let base: Url = server.flags_url().parse().unwrap();
    let codes = ["BR", "CN", "IN", "US"].map(|code| code.parse().unwrap());
    let timeout = 100 * MS;
    let recorder = done(&Load {
        requests: Requests::for_flags(&base, &codes, 7, HeaderMap::new()),
        url: base.clone(),
        end: End::After(20),
        timeout,
        ..load(base.as_str())
    })
    .recorder;
    // 5 resets are failures; 5 stalls take at least as long as was waited for them.
    let percentiles = recorder.response().percentiles().unwrap();
    assert_eq!(
        (percentiles.count, percentiles.censored, percentiles.failed),
        (20, 5, 5)
    );
    let Recorder {
        statuses,
        planned_statuses,
        failures,
        succeeded,
        failed,
        ..
    } = recorder;
    assert_eq!(statuses, [(200, 5), (503, 5)].into());
    assert_eq!(planned_statuses, [(503, 5)].into());
    assert_eq!(
        failures,
        [(Failure::Broken, 5), (Failure::Timeout, 5)].into()
    );
    assert_eq!((succeeded.service.len(), failed.service.len()), (5, 15));
    // A timeout counts as failed, with at least the time limit as its time.
    assert!(failed.service.max() >= timeout.as_nanos() as u64);
}

#[test]
fn a_longer_body_than_accepted_is_a_separate_failure() {
    for (head, is_kept) in [
        ("content-length: 1000\r\n", true),
        ("content-length: 1001\r\n", false),
        ("transfer-encoding: chunked\r\n", false),
    ] {
        let server = TestServer::start(move |_, stream| {
            let head = format!("HTTP/1.1 200 OK\r\n{head}\r\n");
            // Of the announced length, or without end.
            if head.contains("length") {
                let body = vec![b'x'; if is_kept { 1000 } else { 0 }];
                return stream.write_all(&[head.as_bytes(), &body].concat()).is_ok();
            }
            stream.write_all(head.as_bytes()).unwrap();
            while stream.write_all(b"a\r\n0123456789\r\n").is_ok() {}
            false
        });
        let outcome = done(&Load {
            end: End::After(5),
            max_body: 1000,
            ..load(&server.base_url)
        });
        let recorder = outcome.recorder;
        if is_kept {
            assert_eq!(recorder.statuses, [(200, 5)].into());
            continue;
        }
        assert_eq!(recorder.failures, [(Failure::TooLarge, 5)].into(), "{head}");
        assert_eq!(
            recorder.causes[&Failure::TooLarge],
            "GET /flags: the body is longer than 1000 B; raise --max-body"
        );
        // What one read brings, and no more.
        assert!(recorder.bytes < 5 * 100_000, "{}", recorder.bytes);
    }
}

#[test]
fn a_refused_connection_is_a_separate_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let outcome = done(&Load {
        end: End::After(5),
        ..load(&url)
    });
    assert_eq!(outcome.recorder.failures, [(Failure::Connect, 5)].into());
    let cause = &outcome.recorder.causes[&Failure::Connect];
    assert!(cause.starts_with("GET /: tcp connect error: "), "{cause}");
}

/// A connection that the client closes first keeps its port for a minute, and there are some 28,000
/// of them.
#[test]
fn without_keep_alive_the_server_closes_first() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let served = thread::spawn(move || {
        let serve = |stream: TcpStream| {
            let mut reader = BufReader::new(&stream);
            let mut lines = Vec::new();
            while lines.last().is_none_or(|line| line != "\r\n") {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                lines.push(line);
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            (&stream).write_all(answer).unwrap();
            stream.set_read_timeout(Some(20 * MS)).unwrap();
            let more = reader.read_line(&mut String::new());
            let is_open = more.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            (lines.contains(&"connection: close\r\n".to_owned()), is_open)
        };
        let streams = listener.incoming().take(5);
        streams
            .map(|stream| serve(stream.unwrap()))
            .collect::<Vec<_>>()
    });
    done(&Load {
        connections: NonZeroUsize::MIN,
        end: End::After(5),
        keep_alive: false,
        ..load(&url)
    });
    assert_eq!(served.join().unwrap(), [(true, true); 5]);
}

/// Whatever the connections and threads, and so the order in which they arrive, the same requests
/// meet the same decisions.
#[test]
fn the_attempts_of_a_load_are_numbered_by_its_schedule() {
    let rules = "
        [[rule]]
        fault = 'status'
        status = 503
        probability = 0.5
    ";
    let statuses = |connections, requests: fn(&Url) -> Requests| {
        let scenario = Scenario::from_toml(rules).unwrap();
        let server = FlagServer::builder().scenario(scenario);
        let server = server.start_blocking().unwrap();
        let base: Url = server.flags_url().parse().unwrap();
        assert!(is_flagbench(&base));
        // Twice on one server: the second does not go on where the first has ended.
        [(); 2].map(|()| {
            let outcome = done(&Load {
                requests: requests(&base),
                connections: NonZeroUsize::new(connections).unwrap(),
                end: End::After(300),
                url: base.clone(),
                ..load(base.as_str())
            });
            outcome.recorder.statuses
        })
    };
    let numbered = |base: &Url| {
        let codes = ["BR", "CN", "IN"].map(|code| code.parse().unwrap());
        let requests = Requests::for_flags(base, &codes, 7, HeaderMap::new());
        requests.of_run(HeaderValue::from_static("load"))
    };
    let [one, again] = statuses(1, numbered);
    assert_eq!(one, again);
    assert_eq!(statuses(8, numbered), [one.clone(), one]);
}

#[test]
fn somebody_elses_server_is_not_recognised_as_flagbench() {
    let (url, _) = server(|_| false);
    assert!(!is_flagbench(&url.parse().unwrap()));
    assert!(!is_flagbench(&"http://127.0.0.1:1/flags".parse().unwrap()));
}

#[test]
fn without_keep_alive_every_request_has_its_own_connection() {
    let (url, _) = server(|_| false);
    let outcome = done(&Load {
        keep_alive: false,
        end: End::After(12),
        ..load(&url)
    });
    assert_eq!(outcome.recorder.statuses, [(200, 12)].into());
    // The first connections were used, too.
    assert_eq!(outcome.recorder.connections, 12);
}

#[test]
fn a_stop_ends_the_load_at_once_and_keeps_the_counts() {
    let cancel = CancelToken::default();
    let (url, seen) = {
        let cancel = cancel.clone();
        server(move |before| {
            if before == 10 {
                cancel.request();
                thread::sleep(Duration::from_secs(3600)); // ended by the stop
            }
            false
        })
    };
    let outcome = done(&Load {
        connections: NonZeroUsize::MIN,
        end: End::Within(Duration::from_secs(3600)),
        cancel,
        ..load(&url)
    });
    assert!(outcome.interrupted);
    assert_eq!(
        (outcome.recorder.requests(), seen.load(Ordering::SeqCst)),
        (10, 11)
    );
    assert_eq!(outcome.recorder.cut_off, 1);
}
