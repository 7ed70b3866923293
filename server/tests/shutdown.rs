//! Requests in flight during shutdown: each gets its whole response or a clear refusal, never a
//! part. Time stands still meanwhile: the tests assert when each wait would end.

mod support;

use std::net::TcpStream;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use flag_host::clock::pause;
use flag_server::{Limits, Stopped};
use support::{BRAZIL, Client, Ended, SAFETY, Server, brazil, huge, image, rules};

/// How long requests in flight may take.
const GRACE: Duration = Duration::from_secs(10);
/// When connections that are still busy are cut off.
const END: Duration = Duration::from_millis(10_250);

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

fn server(text: &str) -> Server {
    let limits = Limits {
        grace: GRACE,
        ..Limits::default()
    };
    Server::of(rules(text).limits(limits))
}

/// Stops the server when so many requests have come, and sends what became of them.
fn stop(server: Server, requests: u64) -> Receiver<Stopped> {
    let (sender, stopped) = mpsc::channel();
    thread::spawn(move || sender.send(server.stop_after(requests)));
    stopped
}

#[test]
fn requests_that_end_in_time_are_answered_and_new_ones_are_refused() {
    let time = pause();
    let late = "rule = [{ fault = \"latency\", distribution = { fixed = \"10s\" } }]";
    let server = server(late);
    let authority = server.authority.clone();
    // An idle connection, even without a request so far, delays nothing.
    let _idle = server.connect();
    let mut client = server.get();
    let stopped = stop(server, 1);
    time.wait_for(&[GRACE, END]);
    assert!(
        TcpStream::connect(authority).is_err(),
        "a new connection was accepted"
    );
    time.advance(GRACE);
    let expected = Stopped {
        answered: 1,
        refused: 0,
        cut_off: 0,
        silent: 0,
        lost_records: 0,
    };
    assert_eq!(stopped.recv_timeout(SAFETY), Ok(expected));
    let (head, body) = client.reply();
    assert_eq!(head.status_line, "HTTP/1.1 200 OK");
    assert_eq!(body, brazil());
    assert_eq!(client.rest(), (vec![], Ended::Fin));
}

#[test]
fn requests_beyond_the_grace_period_are_refused_at_once_with_a_whole_response() {
    let _time = pause(); // so nothing waits for the grace period
    let late = "rule = [{ fault = \"latency\", distribution = { fixed = \"10001ms\" } }]";
    let server = server(late);
    let mut clients: Vec<Client> = (0..100).map(|_| server.get()).collect();
    let stopped = stop(server, 100);
    let expected = Stopped {
        answered: 0,
        refused: 100,
        cut_off: 0,
        silent: 0,
        lost_records: 0,
    };
    assert_eq!(stopped.recv_timeout(SAFETY), Ok(expected));
    for client in &mut clients {
        let (head, body) = client.reply();
        assert_eq!(head.status_line, "HTTP/1.1 503 Service Unavailable");
        assert_eq!(head.get("retry-after"), Some("1"));
        assert_eq!(head.get("connection"), Some("close"));
        assert_eq!(body, b"the server is stopping\n");
        assert_eq!(client.rest(), (vec![], Ended::Fin));
    }
}

#[test]
fn a_paced_body_is_sent_at_once_when_the_grace_period_ends() {
    let time = pause();
    let dribble = "rule = [{ fault = \"dribble\", chunks = 10, over = \"9h\" }]";
    let server = server(dribble);
    let mut client = server.get();
    let head = client.head();
    time.wait_for(&[HOUR]);
    let stopped = stop(server, 1);
    time.wait_for(&[GRACE, END]);
    time.advance(GRACE);
    let stopped = stopped.recv_timeout(SAFETY).unwrap();
    assert_eq!((stopped.answered, stopped.cut_off), (1, 0));
    assert_eq!(head.length(), Some(brazil().len()));
    assert_eq!(client.rest(), (brazil().to_vec(), Ended::Fin));
}

#[test]
fn queued_requests_are_refused_when_the_grace_period_ends() {
    let time = pause();
    let busy = "capacity = { workers = 1, service_time = { fixed = \"1h\" }, queue = 10 }";
    let server = server(busy);
    let mut clients = [server.get(), server.get(), server.get()];
    let stopped = stop(server, 3);
    time.wait_for(&[GRACE, GRACE, GRACE, END, HOUR]);
    time.advance(GRACE);
    let stopped = stopped.recv_timeout(SAFETY).unwrap();
    assert_eq!((stopped.refused, stopped.cut_off), (3, 0));
    for client in &mut clients {
        let (head, _) = client.reply();
        assert_eq!(head.status_line, "HTTP/1.1 503 Service Unavailable");
    }
}

#[test]
fn requests_without_a_planned_answer_are_aborted_and_counted() {
    let time = pause();
    let stall = "rule = [{ fault = \"stall\", match = { cc = [\"BR\"] } }]";
    let server = server(stall);
    let mut client = server.get();
    let stopped = stop(server, 1);
    // The one checks every second whether its client is still there.
    time.wait_for(&[SECOND, END]);
    time.advance(END);
    let stopped = stopped.recv_timeout(SAFETY).unwrap();
    let ended = (stopped.refused, stopped.cut_off, stopped.silent);
    assert_eq!(ended, (0, 0, 1));
    assert_eq!(client.rest(), (vec![], Ended::Fin));
}

#[test]
fn mixed_requests_are_answered_or_refused_by_the_time_they_need() {
    let time = pause();
    let delays = "rule = [
        { fault = \"latency\", match = { cc = [\"JP\"] }, distribution = { fixed = \"1h\" } },
        { fault = \"latency\", match = { cc = [\"BR\"] }, distribution = { fixed = \"1s\" } },
    ]";
    let server = server(delays);
    let japan = "/flags/jp/jp.gif";
    let mut clients: Vec<(Client, &str)> = Vec::new();
    for path in [BRAZIL, japan].repeat(20) {
        let mut client = server.connect();
        client.send_request("GET", path, &[]);
        clients.push((client, path));
    }
    let stopped = stop(server, 40);
    time.wait_for(&[vec![SECOND; 20], vec![END]].concat());
    time.advance(SECOND);
    let expected = Stopped {
        answered: 20,
        refused: 20,
        cut_off: 0,
        silent: 0,
        lost_records: 0,
    };
    assert_eq!(stopped.recv_timeout(SAFETY), Ok(expected));
    for (client, path) in &mut clients {
        let (head, body) = client.reply();
        if *path == japan {
            assert_eq!(head.status_line, "HTTP/1.1 503 Service Unavailable");
            assert_ne!(body, image(&flags_data::Catalogue::embedded(), "JP"));
        } else {
            assert_eq!(head.status_line, "HTTP/1.1 200 OK");
            assert_eq!(body, brazil());
        }
    }
}

#[test]
fn a_hurried_stop_cuts_off_at_once_and_tells_planned_silences_apart() {
    let time = pause(); // so nothing waits for the grace period
    let text = "rule = [
        { fault = 'stall', match = { cc = ['JP'] } },
        { fault = 'latency', match = { cc = ['US'] }, distribution = { fixed = '5s' } },
    ]";
    let server = server(text);
    let mut clients = ["jp", "jp", "us"].map(|cc| {
        let mut client = server.connect();
        client.send_request("GET", &format!("/flags/{cc}/{cc}.gif"), &[]);
        client
    });
    time.wait_for(&[SECOND, SECOND, 5 * SECOND]);
    let stopped = server.running.shutdown_until(async {});
    let ended = (
        stopped.answered,
        stopped.refused,
        stopped.cut_off,
        stopped.silent,
    );
    assert_eq!(ended, (0, 0, 1, 2));
    for client in &mut clients {
        assert_eq!(client.rest(), (vec![], Ended::Fin));
    }
}

#[test]
fn a_client_that_does_not_read_is_cut_off_after_the_grace_period() {
    let time = pause();
    let limits = Limits {
        grace: GRACE,
        ..Limits::default()
    };
    let server = Server::of(rules("").limits(limits).catalogue(huge().clone()));
    let client = server.get();
    let stopped = stop(server, 1);
    time.wait_for(&[END]);
    time.advance(END);
    let stopped = stopped.recv_timeout(SAFETY).unwrap();
    assert_eq!((stopped.cut_off, stopped.silent), (1, 0));
    drop(client);
}
