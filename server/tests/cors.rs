//! Pages of other sites: whether they may read the answers.

mod support;

use support::{BRAZIL, Head, Server, rules};

/// What sends a GET past the fast path.
const UNUSUAL: &str = "if-match: *";

const ALLOWED: [&str; 3] = [
    "access-control-allow-origin",
    "access-control-expose-headers",
    "timing-allow-origin",
];

fn send(server: &Server, method: &str, path: &str, lines: &[&str]) -> Head {
    let mut client = server.connect();
    client.send_request(method, path, lines);
    client.head()
}

fn allowed(head: &Head) -> Vec<Option<&str>> {
    ALLOWED.iter().map(|name| head.get(name)).collect()
}

#[test]
fn every_answer_may_be_read_by_every_page_and_only_if_that_was_asked_for() {
    let text = "rule = [{ fault = 'status', status = 503, match = { cc = 'JP' } }, \
                        { fault = 'dribble', chunks = 2, over = '1ms' }]";
    for has_cors in [false, true] {
        let builder = if has_cors {
            rules(text).cors()
        } else {
            rules(text)
        };
        let server = Server::of(builder);
        for (path, status) in [
            (BRAZIL, "200"),
            ("/flags/jp/jp.gif", "503"),
            ("/flags/xx/xx.gif", "404"),
            ("/flags/", "200"),
            ("/healthz", "200"),
        ] {
            for lane in [&[][..], &[UNUSUAL], &["flag-attempt: 0"], &["host: a"]] {
                let head = send(&server, "GET", path, lane);
                let is_refused =
                    lane.len() == 1 && lane[0] != UNUSUAL && head.status_line.contains("400");
                assert!(
                    is_refused || head.status_line[9..12] == *status,
                    "{path} {lane:?}"
                );
                let expected = has_cors.then_some("*");
                assert_eq!(allowed(&head), [expected; 3], "{path} {lane:?}");
            }
        }
    }
}

#[test]
fn a_preflight_is_answered_and_meets_no_fault() {
    let text = "rule = [{ fault = 'close' }]";
    let lines = [
        "origin: http://elsewhere.example",
        "access-control-request-method: PUT",
        "access-control-request-headers: flag-attempt, authorization",
    ];
    let server = Server::of(rules(text).cors());
    for path in [BRAZIL, "/uploads/x", "/anything"] {
        let head = send(&server, "OPTIONS", path, &lines);
        assert_eq!(head.status_line, "HTTP/1.1 204 No Content", "{path}");
        let methods = head.get("access-control-allow-methods").unwrap();
        assert!(
            ["GET", "PUT", "DELETE"]
                .iter()
                .all(|method| methods.contains(method))
        );
        let names = head.get("access-control-allow-headers").unwrap();
        assert_eq!(
            (names, allowed(&head)),
            ("*, authorization", vec![Some("*"); 3])
        );
    }
    assert_eq!((server.received(), server.running.unrecorded()), (0, 0));
    let server = Server::with("");
    let head = send(&server, "OPTIONS", BRAZIL, &lines);
    assert_eq!(head.status_line, "HTTP/1.1 405 Method Not Allowed");
    assert_eq!(allowed(&head), [None; 3]);
}
