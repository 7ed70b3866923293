//! Every strategy with every HTTP library against real sockets: the same job, the same outcomes,
//! the same limits.

mod support;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Shutdown, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flag_client::download::{Images, Job, Outcome, Runner, Sample, Strategy, Watcher};
use flags_data::{Catalogue, CountryCode};
use support::{
    TEN, TestServer, assert_three_attempts_at_ten, job, respond, respond_with_flag, run,
    unavailable_at_first, with_retries,
};

#[test]
fn each_flag_is_requested_once_with_attempt_1() {
    for runner in Runner::all() {
        let server = TestServer::start(respond_with_flag);
        let job = job(&server.base_url, TEN, 4);
        let samples = run(&runner, &job);
        let mut requests = server.requests();
        requests.sort();
        let expected: Vec<_> = job
            .codes
            .iter()
            .map(|code| {
                let cc = code.to_lowercase();
                (format!("GET /flags/{cc}/{cc}.gif HTTP/1.1"), "1".to_owned())
            })
            .collect();
        assert_eq!(requests, expected, "{runner:?}");
        let mut codes: Vec<CountryCode> = samples.iter().map(|sample| sample.code).collect();
        codes.sort();
        assert_eq!(codes, job.codes, "{runner:?}");
        for sample in samples {
            let bytes = Catalogue::embedded()
                .get(sample.code)
                .unwrap()
                .image
                .bytes
                .len();
            assert_eq!(
                (sample.outcome, sample.status, sample.bytes),
                (Outcome::Downloaded, Some(200), bytes)
            );
            let headers = sample.headers.unwrap();
            assert!(sample.sent <= headers && headers <= sample.done);
        }
    }
}

#[test]
fn codes_are_downloaded_in_order() {
    for runner in Runner::all() {
        let server = TestServer::start(respond_with_flag);
        let job = job(&server.base_url, TEN, 1);
        let codes: Vec<CountryCode> = run(&runner, &job)
            .iter()
            .map(|sample| sample.code)
            .collect();
        assert_eq!(codes, job.codes, "{runner:?}");
    }
}

/// No clock is needed: the server answers nothing until there is one request per worker, so a
/// runner with fewer would wait forever, and it counts requests, so one with more is detected.
#[test]
fn exactly_one_download_per_worker_is_in_flight() {
    const WORKERS: usize = 5;
    for runner in Runner::all() {
        let workers = match runner.strategy() {
            Strategy::Sequential => 1,
            _ => WORKERS,
        };
        let (under_way, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let (seen, barrier) = (Arc::clone(&most), Barrier::new(workers));
        let server = TestServer::start(move |path, stream| {
            seen.fetch_max(
                under_way.fetch_add(1, Ordering::SeqCst) + 1,
                Ordering::SeqCst,
            );
            barrier.wait();
            under_way.fetch_sub(1, Ordering::SeqCst);
            respond_with_flag(path, stream)
        });
        let samples = run(&runner, &job(&server.base_url, TEN, WORKERS));
        assert_eq!(samples.len(), 10, "{runner:?}");
        assert_eq!(most.load(Ordering::SeqCst), workers, "{runner:?}");

        // The attempts of one worker do not overlap.
        let mut all_series: BTreeMap<usize, Vec<&Sample>> = BTreeMap::new();
        for sample in &samples {
            all_series.entry(sample.worker).or_default().push(sample);
        }
        assert!(
            all_series.keys().all(|series| *series < workers),
            "{runner:?}"
        );
        for series in all_series.values_mut() {
            series.sort_by_key(|sample| sample.sent);
            assert!(
                series.windows(2).all(|pair| pair[0].done <= pair[1].sent),
                "{runner:?}"
            );
        }
    }
}

#[test]
fn every_failure_has_the_same_outcome_in_every_runner() {
    let brazil = Catalogue::embedded()
        .get("BR".parse().unwrap())
        .unwrap()
        .image
        .bytes
        .clone();
    let (half, full) = (brazil[..brazil.len() / 2].to_vec(), brazil.len());
    let server = TestServer::start(move |path, stream| match path.split('/').nth(2).unwrap() {
        "xx" => respond(stream, "404 Not Found", "", b""),
        "te" => respond(stream, "418 I'm a teapot", "", b"short and stout"),
        "em" => respond(stream, "204 No Content", "", b""),
        // Without a length: truncated chunks, and a body up to the end of the connection.
        "ch" => {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffff\r\n";
            stream
                .write_all(&[head.as_bytes(), &half].concat())
                .unwrap();
            false
        }
        "cl" => {
            let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
            stream
                .write_all(&[head.as_bytes(), &half].concat())
                .unwrap();
            false
        }
        "fr" if path.ends_with("/fr.gif") => {
            respond(stream, "302 Found", "location: elsewhere.gif\r\n", b"")
        }
        "lo" => respond(stream, "302 Found", "", b""),
        "ja" => respond(stream, "200 OK", "", &brazil),
        "fi" => false,
        "ga" => {
            let _ = stream.write_all(b"\x00\xffnothing like HTTP\r\n\r\n");
            false
        }
        "tr" => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {full}\r\n\r\n");
            stream
                .write_all(&[head.as_bytes(), &half].concat())
                .unwrap();
            stream.shutdown(Shutdown::Both).unwrap();
            false
        }
        // A stall before the head, and one within the body, until the client gives up.
        "st" => true,
        "sb" => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {full}\r\n\r\n");
            stream.write_all(&[head.as_bytes(), &half].concat()).is_ok()
        }
        _ => respond_with_flag(path, stream),
    });
    let expected = [
        ("BR", Outcome::Downloaded, Some(200)),
        ("CH", Outcome::BrokenConnection, Some(200)),
        ("CL", Outcome::WrongBody, Some(200)),
        ("EM", Outcome::HttpError, Some(204)),
        ("FI", Outcome::BrokenConnection, None),
        ("FR", Outcome::Downloaded, Some(200)),
        ("GA", Outcome::BrokenConnection, None),
        ("JA", Outcome::WrongBody, Some(200)),
        ("LO", Outcome::HttpError, Some(302)),
        ("SB", Outcome::Timeout, Some(200)),
        ("ST", Outcome::Timeout, None),
        ("TE", Outcome::HttpError, Some(418)),
        ("TR", Outcome::BrokenConnection, Some(200)),
        ("XX", Outcome::NotFound, Some(404)),
    ];
    let codes: Vec<&str> = expected.iter().map(|(code, ..)| *code).collect();
    for runner in Runner::all() {
        let job = Job {
            timeout: Duration::from_millis(500),
            ..job(&server.base_url, &codes.join(" "), 3)
        };
        let mut samples = run(&runner, &job);
        samples.sort_by_key(|sample| sample.code);
        let found: Vec<_> = samples
            .iter()
            .map(|sample| (sample.code.as_str(), sample.outcome, sample.status))
            .collect();
        assert_eq!(found, expected, "{runner:?}");
        for sample in &samples {
            assert_eq!(
                sample.error.is_some(),
                sample.outcome.is_error(),
                "{sample:?}"
            );
        }
        let teapot = samples
            .iter()
            .find(|sample| sample.outcome == Outcome::HttpError && sample.status == Some(418));
        assert_eq!(
            teapot.unwrap().error.as_deref(),
            Some("HTTP error 418 - I'm a teapot")
        );
    }
}

#[test]
fn a_refused_connection_is_no_connection() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    for runner in Runner::all() {
        let samples = run(
            &runner,
            &job(&format!("http://127.0.0.1:{port}/flags"), TEN, 3),
        );
        assert_eq!(samples.len(), 10);
        assert!(
            samples
                .iter()
                .all(|sample| sample.outcome == Outcome::NoConnection),
            "{samples:?}"
        );
    }
}

#[test]
fn every_code_has_a_sample_when_the_server_dies() {
    for runner in Runner::all() {
        let answered = AtomicUsize::new(0);
        let server = TestServer::start(move |path, stream| {
            answered.fetch_add(1, Ordering::SeqCst) < 4 && respond_with_flag(path, stream)
        });
        let samples = run(&runner, &job(&server.base_url, TEN, 3));
        let downloaded = samples
            .iter()
            .filter(|sample| sample.outcome == Outcome::Downloaded)
            .count();
        let broken = samples
            .iter()
            .filter(|sample| sample.outcome == Outcome::BrokenConnection)
            .count();
        assert_eq!((downloaded, broken), (4, 6), "{runner:?}: {samples:?}");
    }
}

#[test]
fn a_stopped_job_starts_no_download_and_keeps_its_samples() {
    const WORKERS: usize = 3;
    for runner in Runner::all() {
        let server = TestServer::start(respond_with_flag);
        let mut job = job(&server.base_url, TEN, WORKERS);
        let (cancel, seen) = (job.cancel.clone(), AtomicUsize::new(0));
        job.watcher = Watcher::new(move |_| {
            if seen.fetch_add(1, Ordering::SeqCst) + 1 == 2 {
                cancel.request();
            }
        });
        let samples = run(&runner, &job);
        assert!(
            (2..=1 + WORKERS).contains(&samples.len()),
            "{runner:?}: {}",
            samples.len()
        );
        assert!(
            samples
                .iter()
                .all(|sample| sample.outcome == Outcome::Downloaded)
        );
    }
}

/// The head of a response, and how much of its body there is: none for an endless one.
const BODIES: [(&str, Option<usize>); 6] = [
    ("content-length: 1001\r\n\r\n", Some(0)),
    ("content-length: 1000000000000\r\n\r\n", Some(0)),
    ("transfer-encoding: chunked\r\n\r\n3e9\r\n", Some(1001)),
    ("transfer-encoding: chunked\r\n\r\nffffffffff\r\n", None),
    ("connection: close\r\n\r\n", Some(1001)),
    ("connection: close\r\n\r\n", None),
];

/// An announced length is refused before the body: the server sends none, and does not close. Of an
/// endless body the server counts what it could send.
#[test]
fn a_body_longer_than_the_limit_is_not_read() {
    const CODES: [&str; 6] = ["ad", "ae", "af", "ag", "al", "am"];
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let server = TestServer::start(move |path, stream| {
        let code = path.split('/').nth(2).unwrap();
        let which = CODES.iter().position(|other| *other == code).unwrap();
        let (head, length) = BODIES[which];
        let head = format!("HTTP/1.1 200 OK\r\n{head}");
        stream.write_all(head.as_bytes()).unwrap();
        let piece = [b'x'; 1001];
        match length {
            Some(length) => stream.write_all(&piece[..length]).is_ok(),
            None => {
                while stream.write_all(&piece).is_ok() {
                    counted.fetch_add(piece.len(), Ordering::SeqCst);
                }
                false
            }
        }
    });
    for runner in Runner::all() {
        let job = Job {
            max_body: 1000,
            ..job(&server.base_url, "AD AE AF AG AL AM", 3)
        };
        let samples = with_retries(3, job);
        for sample in run(&runner, &samples) {
            assert_eq!(
                (sample.outcome, sample.status, sample.attempt, sample.bytes),
                (Outcome::TooLarge, Some(200), 1, 0),
                "{runner:?} {sample:?}"
            );
            let text = sample.error.unwrap();
            assert_eq!(text, "the body is longer than 1000 B; raise --max-body");
            assert_eq!(sample.retry_in, None, "the next would be as long");
        }
    }
    // What the sockets hold, and no more.
    let endless = 2 * Runner::all().len();
    assert!(
        sent.load(Ordering::SeqCst) < endless * (32 << 20),
        "{sent:?}"
    );
}

#[test]
fn a_body_as_long_as_the_limit_is_accepted() {
    let brazil = Catalogue::embedded()
        .get("BR".parse().unwrap())
        .unwrap()
        .clone();
    let length = brazil.image.bytes.len();
    let server = TestServer::start(move |_, stream| {
        let image = &brazil.image.bytes;
        let head = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{length:x}\r\n");
        let body = [head.as_bytes(), image, b"\r\n0\r\n\r\n"].concat();
        stream.write_all(&body).is_ok()
    });
    for runner in Runner::all() {
        for (max_body, outcome) in [
            (length as u64, Outcome::Downloaded),
            (length as u64 - 1, Outcome::TooLarge),
            (u64::MAX, Outcome::Downloaded),
        ] {
            let job = Job {
                max_body,
                ..job(&server.base_url, "BR", 1)
            };
            assert_eq!(
                run(&runner, &job)[0].outcome,
                outcome,
                "{runner:?} {max_body}"
            );
        }
    }
}

#[test]
fn an_empty_job_ends_at_once() {
    for runner in Runner::all() {
        assert_eq!(run(&runner, &job("http://127.0.0.1:1/flags", "", 30)), []);
    }
}

fn saved_to(folder: PathBuf) -> Images {
    Images {
        folder: Some(folder),
        ..Images::verified(Catalogue::embedded())
    }
}

#[test]
fn images_are_saved_by_code_and_a_failure_is_an_outcome() {
    for runner in Runner::all() {
        let server = TestServer::start(respond_with_flag);
        let folder = tempfile::tempdir().unwrap();
        let saved = Job {
            images: saved_to(folder.path().to_owned()),
            ..job(&server.base_url, "BR JP XX", 3)
        };
        run(&runner, &saved);
        let mut names: Vec<_> = folder
            .path()
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["BR.gif", "JP.gif"], "{runner:?}");
        for code in ["BR", "JP"] {
            let image = std::fs::read(folder.path().join(format!("{code}.gif"))).unwrap();
            assert_eq!(
                image,
                Catalogue::embedded()
                    .get(code.parse().unwrap())
                    .unwrap()
                    .image
                    .bytes
            );
        }

        let missing_folder = Job {
            images: saved_to(folder.path().join("missing")),
            ..saved
        };
        let outcomes = run(&runner, &missing_folder)
            .into_iter()
            .map(|sample| (sample.code.to_string(), sample.outcome));
        let expected = [
            ("BR", Outcome::NotSaved),
            ("JP", Outcome::NotSaved),
            ("XX", Outcome::NotFound),
        ];
        assert_eq!(
            outcomes.collect::<BTreeMap<_, _>>(),
            expected
                .map(|(code, outcome)| (code.to_owned(), outcome))
                .into()
        );
    }
}

#[test]
fn with_enough_retries_every_flag_arrives_and_every_attempt_is_recorded() {
    for runner in Runner::all() {
        let server = unavailable_at_first(2, "");
        let job = with_retries(2, job(&server.base_url, TEN, 4));
        let samples = run(&runner, &job);

        assert_three_attempts_at_ten(&server, &runner);

        assert_eq!(samples.len(), 30, "{runner:?}");
        for attempts in samples.chunks(3) {
            let found: Vec<_> = attempts
                .iter()
                .map(|sample| (sample.attempt, sample.outcome, sample.status))
                .collect();
            let expected = [
                (1, Outcome::HttpError, Some(503)),
                (2, Outcome::HttpError, Some(503)),
                (3, Outcome::Downloaded, Some(200)),
            ];
            assert_eq!(found, expected, "{runner:?}");
            let [first, second, third] = attempts else {
                unreachable!()
            };
            assert!(third.is_last());
            for (earlier, later) in [(first, second), (second, third)] {
                assert_eq!(
                    (earlier.code, earlier.worker),
                    (later.code, later.worker),
                    "one worker makes all the attempts at one flag"
                );
                let pause = earlier.retry_in.unwrap();
                assert!(later.sent >= earlier.done + pause, "{runner:?}");
            }
        }
        // The worker makes no other attempt during the pauses.
        for worker in 0..4 {
            let mut series: Vec<&Sample> = samples.iter().filter(|s| s.worker == worker).collect();
            series.sort_by_key(|sample| sample.sent);
            for pair in series.windows(2) {
                let free = pair[0].done + pair[0].retry_in.unwrap_or_default();
                assert!(pair[1].sent >= free, "{runner:?}");
            }
        }
    }
}

#[test]
fn permanent_failures_are_not_retried() {
    for runner in Runner::all() {
        let server = TestServer::start(|path, stream| match path.split('/').nth(2).unwrap() {
            "xx" => respond(stream, "404 Not Found", "", b""),
            "fo" => respond(stream, "403 Forbidden", "", b""),
            _ => respond_with_flag(path, stream),
        });
        let samples = run(
            &runner,
            &with_retries(3, job(&server.base_url, "BR FO XX", 3)),
        );
        assert_eq!(samples.len(), 3, "{runner:?}");
        assert!(samples.iter().all(Sample::is_last), "{runner:?}");
        assert_eq!(server.requests().len(), 3, "{runner:?}");
    }
}

#[test]
fn a_stop_ends_pauses_and_no_attempt_follows() {
    const MINUTE: Duration = Duration::from_secs(60);
    for runner in Runner::all() {
        let server = unavailable_at_first(usize::MAX, "retry-after: 60\r\n");
        let mut job = with_retries(5, job(&server.base_url, TEN, 3));
        let (cancel, samples_seen) = (job.cancel.clone(), Arc::new(Mutex::new(Vec::new())));
        let watched = Arc::clone(&samples_seen);
        job.watcher = Watcher::new(move |sample| {
            watched.lock().unwrap().push(sample.clone());
            let cancel = cancel.clone();
            // From another thread, some time later, probably during a pause; the outcome is the
            // same before one.
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(100));
                cancel.request();
            });
        });
        let start = Instant::now();
        let samples = run(&runner, &job);
        assert!(
            start.elapsed() < MINUTE,
            "{runner:?}: a pause was not cut short"
        );

        assert!((1..=3).contains(&samples.len()), "{runner:?}");
        assert_eq!(server.requests().len(), samples.len(), "{runner:?}");
        for sample in &samples {
            assert_eq!((sample.attempt, sample.outcome), (1, Outcome::HttpError));
            assert!(sample.is_last(), "{runner:?}: no attempt followed");
            let samples_seen = samples_seen.lock().unwrap();
            let of_it: Vec<_> = samples_seen
                .iter()
                .filter(|seen| seen.code == sample.code)
                .map(|seen| seen.retry_in)
                .collect();
            assert_eq!(of_it, [Some(MINUTE), None], "{runner:?}");
        }
    }
}
