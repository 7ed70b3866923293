//! Requests in flight during shutdown: each gets its whole response or a clear refusal, never a
//! part.

mod support;

use std::net::TcpStream;
use std::time::Duration;

use flag_server::{Limits, Stopped};
use support::{BRAZIL, Client, Ended, Server, brazil, image, rules};

/// A server with this grace period.
fn server(text: &str, grace: Duration) -> Server {
    let limits = Limits {
        grace,
        ..Limits::default()
    };
    Server::of(rules(text).limits(limits))
}

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

#[test]
fn requests_that_end_in_time_are_answered_and_new_ones_are_refused() {
    let late = "rule = [{ fault = \"latency\", distribution = { fixed = \"1s\" } }]";
    let server = server(late, LONG);
    let authority = server.authority.clone();
    // An idle connection, even without a request so far, delays nothing.
    let _idle = server.connect();
    let mut client = server.get();
    let stopped = server.stop_after(1);
    assert_eq!(
        stopped,
        Stopped {
            answered: 1,
            refused: 0,
            cut_off: 0
        }
    );
    assert!(
        TcpStream::connect(authority).is_err(),
        "a new connection was accepted"
    );
    let (head, body) = client.reply();
    assert_eq!(head.status_line, "HTTP/1.1 200 OK");
    assert_eq!(body, brazil());
    assert_eq!(client.rest(), (vec![], Ended::Fin));
}

#[test]
fn requests_beyond_the_grace_period_are_refused_at_once_with_a_whole_response() {
    let endless = "rule = [{ fault = \"latency\", distribution = { fixed = \"1h\" } }]";
    let server = server(endless, LONG);
    let mut clients: Vec<Client> = (0..100).map(|_| server.get()).collect();
    let start = std::time::Instant::now();
    let stopped = server.stop_after(100);
    assert!(
        start.elapsed() < LONG,
        "it waited for the whole grace period"
    );
    assert_eq!(
        stopped,
        Stopped {
            answered: 0,
            refused: 100,
            cut_off: 0
        }
    );
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
    let dribble = "rule = [{ fault = \"dribble\", chunks = 10, over = \"1h\" }]";
    let server = server(dribble, SHORT);
    let mut client = server.get();
    let head = client.head();
    let stopped = server.stop_after(1);
    assert_eq!((stopped.answered, stopped.cut_off), (1, 0));
    assert_eq!(head.length(), Some(brazil().len()));
    assert_eq!(client.rest(), (brazil().to_vec(), Ended::Fin));
}

#[test]
fn queued_requests_are_refused_when_the_grace_period_ends() {
    let busy = "capacity = { workers = 1, service_time = { fixed = \"1h\" }, queue = 10 }";
    let server = server(busy, SHORT);
    let mut clients = [server.get(), server.get(), server.get()];
    let stopped = server.stop_after(3);
    assert_eq!((stopped.refused, stopped.cut_off), (3, 0));
    for client in &mut clients {
        let (head, _) = client.reply();
        assert_eq!(head.status_line, "HTTP/1.1 503 Service Unavailable");
    }
}

#[test]
fn requests_without_a_planned_answer_are_aborted_and_counted() {
    let stall = "rule = [{ fault = \"stall\", match = { cc = [\"BR\"] } }]";
    let server = server(stall, SHORT);
    let mut client = server.get();
    let stopped = server.stop_after(1);
    assert_eq!((stopped.refused, stopped.cut_off), (0, 1));
    assert_eq!(client.rest(), (vec![], Ended::Fin));
}

#[test]
fn mixed_requests_are_answered_or_refused_by_the_time_they_need() {
    let delays = "rule = [
        { fault = \"latency\", match = { cc = [\"JP\"] }, distribution = { fixed = \"1h\" } },
        { fault = \"latency\", match = { cc = [\"BR\"] }, distribution = { fixed = \"500ms\" } },
    ]";
    let server = server(delays, LONG);
    let japan = "/flags/jp/jp.gif";
    let mut clients: Vec<(Client, &str)> = Vec::new();
    for path in [BRAZIL, japan].repeat(20) {
        let mut client = server.connect();
        client.send_request("GET", path, &[]);
        clients.push((client, path));
    }
    let stopped = server.stop_after(40);
    // On a slow machine some had their answer before the shutdown began.
    assert!(stopped.answered <= 20);
    assert_eq!((stopped.refused, stopped.cut_off), (20, 0));
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
