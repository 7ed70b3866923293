//! Uploads: receipts, limits, and the faults of everything else.

mod support;

use std::io::Write;

use flags_data::Digest;
use serde_json::Value;
use support::{Client, Head, Server};

const PATH: &str = "/uploads/Report.csv";

/// The answer to a request with a body of this length.
fn upload(client: &mut Client, method: &str, path: &str, body: &[u8]) -> (Head, Vec<u8>) {
    let length = format!("content-length: {}", body.len());
    client.send_request(method, path, &[&length]);
    client.0.write_all(body).unwrap();
    client.reply()
}

fn receipt(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[test]
fn every_method_of_an_upload_gets_a_receipt_and_its_connection_goes_on() {
    let server = Server::with("");
    let mut client = server.connect();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for (attempt, body) in [(1, &b"a,b\n1,2\n"[..]), (2, b"")] {
            let (head, answer) = upload(&mut client, method, PATH, body);
            assert_eq!(head.status_line, "HTTP/1.1 200 OK");
            assert_eq!(head.get("content-type"), Some("application/json"));
            let receipt = receipt(&answer);
            assert_eq!(receipt["method"], method);
            assert_eq!(receipt["path"], PATH);
            assert_eq!(receipt["bytes"], body.len());
            assert_eq!(receipt["sha256"], Digest::of(body).to_string());
            assert_eq!(receipt["attempt"], attempt);
        }
    }
    // A body in chunks, and a run in the path.
    client.send_request(
        "POST",
        "/run/mine/uploads/x",
        &["transfer-encoding: chunked"],
    );
    client.send("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    let (_, answer) = client.reply();
    assert_eq!(receipt(&answer)["sha256"], Digest::of(b"abcde").to_string());
    assert_eq!(server.running.records("mine").len(), 1);
    assert_eq!(server.running.records("").len(), 8);
}

#[test]
fn what_is_no_upload_is_refused() {
    let server = Server::with("");
    for (method, path, lines, status, allow) in [
        ("GET", PATH, &[][..], "405", Some("POST,PUT,PATCH,DELETE")),
        ("HEAD", PATH, &[], "405", Some("POST,PUT,PATCH,DELETE")),
        (
            "POST",
            "/flags/br/br.gif",
            &["content-length: 0"],
            "405",
            Some("GET,HEAD"),
        ),
        ("POST", "/uploads/", &["content-length: 0"], "404", None),
        (
            "POST",
            "/flags/br/br.gif",
            &["transfer-encoding: chunked"],
            "400",
            None,
        ),
    ] {
        let mut client = server.connect();
        client.send_request(method, path, lines);
        let head = client.head();
        assert_eq!(&head.status_line[9..12], status, "{method} {path}");
        assert_eq!(head.get("allow"), allow, "{method} {path}");
    }
}

#[test]
fn an_upload_that_is_too_long_is_refused_before_and_while_it_comes() {
    let server = Server::with("");
    let too_long = flag_server::MAX_UPLOAD + 1;
    let mut client = server.connect();
    client.send_request("PUT", PATH, &[&format!("content-length: {too_long}")]);
    let announced = client.head();
    assert_eq!(announced.status_line, "HTTP/1.1 413 Payload Too Large");
    assert_eq!(announced.get("connection"), Some("close"));

    let mut client = server.connect();
    client.send_request("PUT", PATH, &["transfer-encoding: chunked"]);
    let chunk = [b"100000\r\n", &vec![b'x'; 0x10_0000][..], b"\r\n"].concat();
    for _ in 0..17 {
        // The server may have answered and closed already.
        if client.0.write_all(&chunk).is_err() {
            break;
        }
    }
    assert_eq!(client.head().status_line, "HTTP/1.1 413 Payload Too Large");
    let longest = vec![b'x'; usize::try_from(flag_server::MAX_UPLOAD).unwrap()];
    let (_, answer) = upload(&mut server.connect(), "PUT", PATH, &longest);
    assert_eq!(receipt(&answer)["bytes"], flag_server::MAX_UPLOAD);
}

#[test]
fn an_upload_meets_the_faults_of_its_rules() {
    let server = Server::with(
        "rule = [{ fault = 'status', status = 503, attempts = { first = 1 }, match = { path = '/uploads/*', method = 'PUT' } }, \
                 { fault = 'truncate', after = '5B', attempts = { from = 2, to = 2 } }]",
    );
    let mut client = server.connect();
    let (first, _) = upload(&mut client, "PUT", PATH, b"data");
    assert_eq!(first.status_line, "HTTP/1.1 503 Service Unavailable");
    client.send_request("PUT", PATH, &["content-length: 4"]);
    client.send("data");
    let second = client.head();
    assert!(second.length().unwrap() > 5);
    assert_eq!(client.rest().0.len(), 5);
    let (third, answer) = upload(&mut server.connect(), "PUT", PATH, b"data");
    assert_eq!(third.status_line, "HTTP/1.1 200 OK");
    assert_eq!(receipt(&answer)["attempt"], 3);
}

#[test]
fn a_client_that_leaves_in_the_middle_is_recorded_as_gone() {
    let server = Server::with("");
    let mut client = server.connect();
    client.send_request("POST", PATH, &["content-length: 10"]);
    client.send("half");
    drop(client);
    let records = server.running.wait_for_records("", 1, support::SAFETY);
    assert_eq!(records[0].sent.end, flag_server::End::Left);
}
