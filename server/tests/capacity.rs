//! A server with a limited capacity.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use flag_server::{BlockingFlagServer, FlagServer};

/// A safety limit, far above what anything here takes.
const SAFETY: Duration = Duration::from_secs(60);

fn server(capacity: &str) -> BlockingFlagServer {
    let scenario = format!("capacity = {{ {capacity} }}");
    FlagServer::builder()
        .toml(&scenario)
        .unwrap()
        .start_blocking()
        .unwrap()
}

/// Sends this many requests at the same time; their answers come in the order in which they end.
fn send_requests(server: &BlockingFlagServer, count: usize) -> mpsc::Receiver<String> {
    let (sender, answers) = mpsc::channel();
    let authority = server.endpoints()[0]
        .url
        .trim_start_matches("http://")
        .to_owned();
    for _ in 0..count {
        let (sender, authority) = (sender.clone(), authority.clone());
        thread::spawn(move || {
            let mut stream = TcpStream::connect(authority).unwrap();
            write!(
                stream,
                "GET /flags/br/br.gif HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
            )
            .unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).ok();
            sender
                .send(String::from_utf8_lossy(&answer).into_owned())
                .ok();
        });
    }
    answers
}

#[test]
fn requests_beyond_workers_and_queue_are_refused_at_once() {
    let server = server("workers = 2, service_time = { fixed = \"1h\" }, queue = 3");
    let answers = send_requests(&server, 10);
    for _ in 0..5 {
        let answer = answers.recv_timeout(SAFETY).unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
            "{answer}"
        );
        assert!(answer.contains("\r\nretry-after: 3600\r\n"), "{answer}");
        assert!(answer.ends_with("the queue is full\n"), "{answer}");
    }
    // The other five are served or queued, and not answered yet.
    assert_eq!(server.received(), 10);
    assert_eq!(answers.try_recv(), Err(mpsc::TryRecvError::Empty));
}

#[test]
fn one_worker_serves_one_after_the_other() {
    const SERVICE: Duration = Duration::from_millis(20);
    let server = server("workers = 1, service_time = { fixed = \"20ms\" }");
    let start = Instant::now();
    let answers = send_requests(&server, 10);
    for served in 1..=10 {
        let answer = answers.recv_timeout(SAFETY).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(
            start.elapsed() >= SERVICE * served,
            "answer {served} was early"
        );
        assert!(
            answer.contains("server-timing: plan;dur=0.000, wait;dur=0.000, capacity;dur="),
            "{answer}"
        );
    }
}

#[test]
fn a_client_that_disconnects_frees_its_worker() {
    let server = server("workers = 1, service_time = { fixed = \"1h\" }, queue = 0");
    let authority = server.endpoints()[0]
        .url
        .trim_start_matches("http://")
        .to_owned();
    let mut first = TcpStream::connect(&authority).unwrap();
    write!(first, "GET /flags/br/br.gif HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    while server.received() < 1 {
        thread::yield_now();
    }
    assert!(
        send_requests(&server, 1)
            .recv_timeout(SAFETY)
            .unwrap()
            .starts_with("HTTP/1.1 503 ")
    );
    drop(first);
    // Once the server has noticed, another request is served: that one is not answered for an
    // hour.
    let mut pending = Vec::new();
    while pending.is_empty() {
        let answers = send_requests(&server, 1);
        match answers.recv_timeout(Duration::from_millis(200)) {
            Ok(answer) => assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}"),
            Err(_) => pending.push(answers),
        }
    }
}
