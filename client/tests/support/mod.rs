//! Servers by hand, which answer what a test says, and jobs and loads against them.

#![allow(
    dead_code,
    reason = "each test program uses a part of it, and is compiled with all of it"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use flag_client::download::{CancelToken, Job, RetryPolicy, Runner, Sample};
use flag_client::load::{End, Load, LoadOutcome, Pace, Requests};
use flags_data::Catalogue;
use hyper::HeaderMap;
use reqwest::Url;

/// A server that answers each request with a function, on a thread per connection.
pub(crate) struct TestServer {
    pub(crate) base_url: String,
    /// The request lines, and the values of `flag-attempt`, in order of arrival.
    received: Arc<Mutex<Vec<(String, String)>>>,
}

impl TestServer {
    /// `answer` gets the path of the request and writes the response; if it returns false, the
    /// connection is closed.
    pub(crate) fn start(
        answer: impl Fn(&str, &mut TcpStream) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base_url = format!("http://{}/flags", listener.local_addr().unwrap());
        let received = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&received), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, log, answer) =
                    (stream.unwrap(), Arc::clone(&log), Arc::clone(&answer));
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while let Some((line, attempt)) = read_head(&mut reader) {
                        let path = line.split(' ').nth(1).unwrap().to_owned();
                        log.lock().unwrap().push((line, attempt));
                        if !answer(&path, &mut stream) {
                            // A worker process may have inherited the socket, and would keep it.
                            stream.shutdown(Shutdown::Both).ok();
                            break;
                        }
                    }
                });
            }
        });
        Self { base_url, received }
    }

    pub(crate) fn requests(&self) -> Vec<(String, String)> {
        self.received.lock().unwrap().clone()
    }
}

/// The request line and the value of `flag-attempt`; `None` when the client has disconnected.
fn read_head(reader: &mut impl BufRead) -> Option<(String, String)> {
    let mut lines = reader.lines().map_while(Result::ok);
    let first = lines.next()?;
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let attempt = headers
        .iter()
        .find_map(|line| line.strip_prefix("flag-attempt: "))
        .unwrap_or("none");
    Some((first, attempt.to_owned()))
}

pub(crate) fn respond(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) -> bool {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).is_ok()
}

/// The flag that a path names, or 404.
pub(crate) fn respond_with_flag(path: &str, stream: &mut TcpStream) -> bool {
    let code = path
        .split('/')
        .nth(2)
        .and_then(|folder| folder.parse().ok());
    match code.and_then(|code| Catalogue::embedded().get(code).cloned()) {
        Some(flag) => respond(stream, "200 OK", "", &flag.image.bytes),
        None => respond(stream, "404 Not Found", "", b"no such flag\n"),
    }
}

pub(crate) fn job(base_url: &str, codes: &str, max_workers: usize) -> Job {
    let codes = codes.split_whitespace();
    let codes = codes.map(|code| code.parse().unwrap()).collect();
    Job {
        max_workers: NonZeroUsize::new(max_workers).unwrap(),
        timeout: Duration::from_secs(60),
        worker_program: env!("CARGO_BIN_EXE_flag-client").into(),
        ..Job::new(base_url, codes)
    }
}

pub(crate) fn run(runner: &Runner, job: &Job) -> Vec<Sample> {
    runner.prepare(job).unwrap().download_many(job)
}

pub(crate) const TEN: &str = "BD BR CD CN DE EG ET FR ID IN";

pub(crate) fn with_retries(retries: u32, job: Job) -> Job {
    let retry = RetryPolicy {
        retries,
        ..RetryPolicy::default()
    };
    Job { retry, ..job }
}

/// A server that answers the first `failures` requests for each path with 503; it counts itself.
pub(crate) fn unavailable_at_first(failures: usize, headers: &'static str) -> TestServer {
    let seen: Mutex<BTreeMap<String, usize>> = Mutex::default();
    TestServer::start(move |path, stream| {
        let before = {
            let mut seen = seen.lock().unwrap();
            let count = seen.entry(path.to_owned()).or_default();
            *count += 1;
            *count - 1
        };
        if before < failures {
            respond(stream, "503 Service Unavailable", headers, b"not yet\n")
        } else {
            respond_with_flag(path, stream)
        }
    })
}

/// The values of `flag-attempt` that came for each path, in order of arrival.
fn attempts_on_the_wire(server: &TestServer) -> BTreeMap<String, Vec<String>> {
    let mut attempts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (line, attempt) in server.requests() {
        attempts.entry(line).or_default().push(attempt);
    }
    attempts
}

/// Each of the flags of [`TEN`] was requested three times, with the numbers of the attempts.
pub(crate) fn assert_three_attempts_at_ten(server: &TestServer, runner: &Runner) {
    let attempts = attempts_on_the_wire(server);
    assert_eq!(attempts.len(), 10, "{runner:?}");
    assert!(
        attempts.values().all(|numbers| numbers == &["1", "2", "3"]),
        "{runner:?}: {attempts:?}"
    );
}

pub(crate) fn load(url: &str) -> Load {
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
        max_body: Job::MAX_BODY,
        keep_alive: true,
        cancel: CancelToken::default(),
    }
}

pub(crate) fn done(load: &Load) -> LoadOutcome {
    flag_client::load::run(load, |_| ()).unwrap()
}

/// A server that calls `answer` with the number of earlier requests, and answers when it returns.
/// If it returns false, the connection is closed after the answer.
pub(crate) fn server(
    answer: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> (String, Arc<AtomicUsize>) {
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

pub(crate) fn serve(mut stream: &TcpStream, count: &AtomicUsize, answer: &dyn Fn(usize) -> bool) {
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

/// What comes of this in the end.
pub(crate) fn eventually<T>(mut outcome: impl FnMut() -> Option<T>) -> T {
    const SAFETY: Duration = Duration::from_secs(60);
    let start = Instant::now();
    loop {
        if let Some(outcome) = outcome() {
            return outcome;
        }
        assert!(start.elapsed() < SAFETY, "it did not happen in {SAFETY:?}");
        thread::sleep(Duration::from_micros(50));
    }
}
