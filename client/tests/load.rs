//! Loads against real servers: what is sent, what is counted, and which times are reported.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flag_client::download::CancelToken;
use flag_client::load::recorder::Recorder;
use flag_client::load::{End, Load, LoadOutcome, Pace, Requests, is_flagbench, run};
use flag_client::result::Failure;
use flag_scenario::Scenario;
use flag_server::FlagServer;
use hyper::HeaderMap;
use hyper::header::HeaderValue;
use reqwest::Url;

const MS: Duration = Duration::from_millis(1);

fn load(url: &str) -> Load {
    let url: Url = url.parse().unwrap();
    Load {
        requests: Requests::to(&url, HeaderMap::new()),
        url,
        connections: NonZeroUsize::new(4).unwrap(),
        threads: NonZeroUsize::new(2).unwrap(),
        pace: Pace::Closed,
        end: End::After(100),
        warmup: Duration::ZERO,
        timeout: Duration::from_secs(30),
        keep_alive: true,
        cancel: CancelToken::default(),
    }
}

fn done(load: &Load) -> LoadOutcome {
    run(load, |_| ()).unwrap()
}

/// A server that calls `answer` with the number of earlier requests, and answers when it returns.
/// If it returns false, the connection is closed after the answer.
fn server(answer: impl Fn(usize) -> bool + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let (count, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (counted, answer) = (Arc::clone(&counted), Arc::clone(&answer));
            thread::spawn(move || serve(&stream.unwrap(), &counted, &*answer));
        }
    });
    (url, count)
}

fn serve(mut stream: &TcpStream, count: &AtomicUsize, answer: &dyn Fn(usize) -> bool) {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let mut asked_to_close = false;
    // A request ends with an empty line.
    while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
        asked_to_close |= line == "connection: close\r\n";
        if line == "\r\n" {
            let closes = answer(count.fetch_add(1, Ordering::SeqCst)) || asked_to_close;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
            if stream.write_all(answer).is_err() || closes {
                return;
            }
        }
        line.clear();
    }
}

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

/// A server may close an idle connection: no request was in flight, so none has failed.
#[test]
fn a_connection_that_the_server_closed_while_idle_is_reopened() {
    let (url, _) = server(|_| true);
    let outcome = done(&Load {
        connections: NonZeroUsize::MIN,
        end: End::After(5),
        pace: Pace::Open { rate: 5.0 },
        ..load(&url)
    });
    assert_eq!(outcome.recorder.failures, [].into());
    assert_eq!(
        (outcome.recorder.requests(), outcome.recorder.connections),
        (5, 5)
    );
}

#[test]
fn unsent_requests_count_for_as_long_as_they_waited() {
    // The only connection waits for its answer past the end.
    let (url, seen) = server(|_| {
        thread::sleep(400 * MS);
        false
    });
    let outcome = done(&Load {
        connections: NonZeroUsize::MIN,
        end: End::Within(200 * MS),
        pace: Pace::Open { rate: 100.0 },
        ..load(&url)
    });
    assert_eq!(
        (outcome.recorder.requests(), outcome.recorder.unsent),
        (1, 19)
    );
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    // They were intended every 10 ms from 10 ms on, and given up at 200 ms.
    let times = outcome.recorder.response();
    let expected = [(50.0, 100), (90.0, 180), (100.0, 400)];
    for (percent, millis) in expected {
        let bounds = times.percentile(percent).unwrap();
        let (lower, at_least) = (bounds.lower.unwrap(), millis * MS);
        assert!(lower >= at_least - at_least / 500, "p{percent}: {bounds:?}");
        assert_eq!(bounds.upper, None, "p{percent}");
    }
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

/// What the server measured of its stall.
#[derive(Default)]
struct Stall {
    ends: Option<Instant>,
    /// How much longer it was than planned.
    longer: Duration,
    /// How much later the waiting requests were answered.
    drained: Duration,
}

/// What coordinated omission hides: a server stalls for 2 s in the middle of 6 s at 200 requests/s,
/// and every request that should have been sent meanwhile has waited, whether sent or not.
///
/// The expected values, for a server that otherwise takes no time: a request intended `t` after the
/// stall began is answered when the stall ends, so its response time is `stall − t`. One third of
/// all requests is intended during the stall, evenly, so that the share of requests slower than `r`
/// is `(stall − r) / all`: the percentile `p` is at `stall − (1 − p) · all`, or zero where that is
/// negative. This is what wrk2 reports, and what it names *corrected latency*.
#[test]
fn a_stall_counts_for_every_request_that_should_have_been_sent_meanwhile() {
    const RATE: f64 = 200.0;
    const STALL: Duration = Duration::from_secs(2);
    const ALL: Duration = Duration::from_secs(6);
    let stall = Arc::new(Mutex::new(Stall::default()));
    let (url, _) = {
        let stall = Arc::clone(&stall);
        server(move |before| {
            let now = Instant::now();
            if before == 400 {
                stall.lock().unwrap().ends = Some(now + STALL);
            }
            let ends = stall.lock().unwrap().ends.unwrap_or(now);
            thread::sleep(ends.saturating_duration_since(now));
            let late = ends.elapsed();
            match before {
                400 => stall.lock().unwrap().longer = late,
                // The last request that should have been sent during the stall.
                799 => stall.lock().unwrap().drained = late,
                _ => {}
            }
            false
        })
    };
    let outcome = done(&Load {
        connections: NonZeroUsize::new(16).unwrap(),
        end: End::Within(ALL),
        pace: Pace::Open { rate: RATE },
        ..load(&url)
    });
    let Recorder {
        succeeded,
        lag,
        unsent,
        ..
    } = outcome.recorder;
    assert_eq!((succeeded.response.len(), unsent), (1200, 0));
    let stall = stall.lock().unwrap();
    let took = (STALL + stall.longer).as_secs_f64();
    let secs = |nanos: u64| nanos as f64 / 1e9;
    // A busy machine sends late, and takes longer to answer the waiting requests. Both sides
    // measure by how much.
    let slow = 2.0 * secs(lag.max()) + stall.drained.as_secs_f64();
    for percent in [75.0, 90.0, 99.0, 99.9] {
        let expected = took - (1.0 - percent / 100.0) * ALL.as_secs_f64();
        let found = secs(succeeded.response.value_at_percentile(percent));
        let allowed = 0.05 * expected + slow;
        assert!(
            (found - expected).abs() <= allowed,
            "p{percent}: {found} s, by hand {expected} s ± {allowed} s"
        );
    }
    // Counted from when they were sent, only 16 of 1200 requests are slow, and 98 % are quick.
    let slow = succeeded.service.count_between(1_000_000_000, u64::MAX);
    assert_eq!(slow, 16, "each connection had one request in the stall");
}
