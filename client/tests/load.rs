//! Loads against real servers: what is sent, what is counted, and how long it is said to have
//! taken.

mod support;

use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use flag_client::download::CancelToken;
use flag_client::load::recorder::Recorder;
use flag_client::load::{End, Load, LoadOutcome, Pace, Requests};
use flag_client::result::Failure;
use flag_scenario::Scenario;
use flag_server::FlagServer;
use hyper::HeaderMap;
use reqwest::Url;
use support::{done, load, server};

const MS: Duration = Duration::from_millis(1);

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
    let Recorder {
        statuses,
        failures,
        succeeded,
        failed,
        ..
    } = done(&Load {
        requests: Requests::for_flags(&base, &codes, 7, HeaderMap::new()),
        url: base.clone(),
        end: End::After(20),
        timeout,
        ..load(base.as_str())
    })
    .recorder;
    assert_eq!(statuses, [(200, 5), (503, 5)].into());
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
}
