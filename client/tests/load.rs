//! Loads against real servers: what is sent, what is counted, and how long it is said to have
//! taken.

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

/// A server that is told with each request how many came before it, and answers when `answer` has
/// returned. It closes the connection after the answer if that says so.
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
    // A request is over with an empty line.
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
fn a_closed_loop_sends_exactly_so_many() {
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
fn what_warms_up_is_sent_and_not_counted() {
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
fn the_flags_are_asked_for_in_turns() {
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

/// The plan decides how each of the first attempts ends, and all of it is told apart.
#[test]
fn every_ending_is_counted_for_what_it_is() {
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
    let ranks = recorder.response().ranks().unwrap();
    assert_eq!((ranks.count, ranks.censored, ranks.failed), (20, 5, 5));
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
    // A timeout is an answer that took at least so long, and is among the failed.
    assert!(failed.service.max() >= timeout.as_nanos() as u64);
}

#[test]
fn nobody_there_is_a_failure_of_its_own() {
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
fn without_keep_alive_every_request_has_a_connection_of_its_own() {
    let (url, _) = server(|_| false);
    let outcome = done(&Load {
        keep_alive: false,
        end: End::After(12),
        ..load(&url)
    });
    assert_eq!(outcome.recorder.statuses, [(200, 12)].into());
    // Those of the beginning have been used.
    assert_eq!(outcome.recorder.connections, 12);
}

/// A server may close a connection that nobody uses: no request was under way, so none has failed.
#[test]
fn a_connection_that_the_server_has_closed_meanwhile_is_made_again() {
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
fn what_could_not_be_sent_in_time_is_counted_as_long_as_it_has_waited() {
    // The only connection waits for its answer until the end is over.
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
    let ranking = outcome.recorder.response();
    let expected = [(50.0, 100), (90.0, 180), (100.0, 400)];
    for (percent, millis) in expected {
        let bounds = ranking.percentile(percent).unwrap();
        let (lower, at_least) = (bounds.lower.unwrap(), millis * MS);
        assert!(lower >= at_least - at_least / 500, "p{percent}: {bounds:?}");
        assert_eq!(bounds.upper, None, "p{percent}");
    }
}

#[test]
fn a_stop_ends_it_at_once_and_keeps_what_was_counted() {
    let cancel = CancelToken::default();
    let (url, seen) = {
        let cancel = cancel.clone();
        server(move |before| {
            if before == 10 {
                cancel.request();
                thread::sleep(Duration::from_secs(3600)); // nobody waits for it
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

/// What a server knows of its stall.
#[derive(Default)]
struct Stall {
    ends: Option<Instant>,
    /// How much longer it was.
    longer: Duration,
    /// How much later all that had waited were answered.
    drained: Duration,
}

/// What the coordinated omission hides: a server stalls for 2 s in the middle of 6 s at 200
/// requests/s, and whoever should have been sent meanwhile has waited, sent or not.
///
/// By hand, for a server that takes no time otherwise: a request that is intended `t` after the
/// stall began is answered when the stall ends, so its response time is `stall − t`. One third of
/// all requests is intended during the stall, evenly, so that the share of requests slower than `r`
/// is `(stall − r) / all`: the percentile `p` is at `stall − (1 − p) · all`, or zero where that is
/// negative. This is what wrk2 reports, and what it names *corrected latency*.
#[test]
fn a_stall_is_charged_to_everyone_who_should_have_been_sent_meanwhile() {
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
                // The last that should have been sent during the stall.
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
    // A busy machine sends late, and needs longer for all that have waited. How long it did is
    // known on both sides.
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
    // Who counts from when he has sent sees 16 slow requests of 1200, and 98 % of all quick.
    let slow = succeeded.service.count_between(1_000_000_000, u64::MAX);
    assert_eq!(slow, 16, "each connection met the stall once");
}
