//! A server with a limited capacity. Time stands still, and is advanced by hand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use flag_host::clock::pause;
use flag_server::{BlockingFlagServer, FlagServer};

/// A safety limit, far above what anything here takes.
const SAFETY: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(3600);

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
    let time = pause();
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
    time.wait_for(&[HOUR, HOUR]);
    assert_eq!(answers.try_recv(), Err(mpsc::TryRecvError::Empty));
}

#[test]
fn one_worker_serves_one_after_the_other() {
    let time = pause();
    let server = server("workers = 1, service_time = { fixed = \"20ms\" }");
    let answers = send_requests(&server, 10);
    while server.received() < 10 {
        thread::yield_now();
    }
    for served in 1..=10 {
        assert_eq!(time.advance_to_next(1), Duration::from_millis(20));
        let answer = answers.recv_timeout(SAFETY).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let busy = 20 * served;
        let timing =
            format!("server-timing: plan;dur=0.000, wait;dur=0.000, capacity;dur={busy}.000\r\n");
        assert!(answer.contains(&timing), "{answer}");
    }
}

#[test]
fn a_client_that_disconnects_frees_its_worker() {
    let time = pause();
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
    // A FIN would only say that it sends no more.
    let linger = Some(Duration::ZERO);
    socket2::SockRef::from(&first).set_linger(linger).unwrap();
    drop(first);
    // Once the server has noticed, another request is served.
    while !time.waits().is_empty() {
        thread::yield_now();
    }
    let mut answers = send_requests(&server, 1);
    while time.waits().is_empty() {
        // The place in the queue is free a moment after that.
        if let Ok(answer) = answers.try_recv() {
            assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
            answers = send_requests(&server, 1);
        }
    }
    time.advance_to_next(1);
    let answer = answers.recv_timeout(SAFETY).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}
