//! All spellings of a resource are the same resource: for rules, decisions and answers, over every
//! protocol.

#[path = "support/http2.rs"]
mod http2;
mod support;

use flag_server::{BlockingFlagServer, FlagServer, Tls};
use http2::Connection;
use support::{Client, SAFETY, authority, rules};

/// Applies to Brazil only. The delay is part of the decision, and so of the record.
const RULES: &str = r#"rule = [
    { name = "coin", fault = "status", status = 418, probability = 0.5, match = { cc = ["BR"] } },
    { name = "delay", fault = "latency", distribution = { uniform = { lower = "1ms", upper = "3ms" } }, match = { cc = ["BR"] } },
]"#;

/// Enough for both results of the probability.
const ATTEMPTS: [u32; 4] = [1, 2, 3, 4];

/// What all spellings share, as two texts: status, matched rules and body; path and plan.
type Summary = (String, String);

fn upper(path: &str) -> String {
    path.to_ascii_uppercase()
}

fn encoded(path: &str) -> String {
    let bytes = path.bytes().map(|byte| match byte {
        b'/' => "/".to_owned(),
        byte => format!("%{byte:02x}"),
    });
    bytes.collect()
}

fn encoded_once(path: &str) -> String {
    let (before, after) = path.split_at(path.rfind('.').map_or(path.len() - 2, |dot| dot - 1));
    format!("{before}%{:02X}{}", after.as_bytes()[0], &after[1..])
}

fn dotted(path: &str) -> String {
    path.replacen("/flags/", "/./flags/./", 1)
}

fn with_dot_segments(path: &str) -> String {
    path.replacen("/flags/", "/flags/x/../", 1)
}

fn doubled(path: &str) -> String {
    path.replace('/', "//")
}

fn below_data(path: &str) -> String {
    format!("/data{path}")
}

fn queried(path: &str) -> String {
    format!("{path}?page=2")
}

fn absolute(path: &str) -> String {
    format!("http://x{path}")
}

/// In the order in which they may be combined: an absolute form has no prefix, and `//..` removes
/// the empty segment, not the one before it.
const STEPS: [fn(&str) -> String; 9] = [
    upper,
    encoded_once,
    encoded,
    doubled,
    dotted,
    with_dot_segments,
    below_data,
    queried,
    absolute,
];

/// The path itself, after each step, and after each step with one of the two that follow it.
fn spellings(path: &str) -> Vec<String> {
    let mut all = vec![path.to_owned()];
    for (place, step) in STEPS.iter().enumerate() {
        let once = step(path);
        // An encoded path is not encoded again, and dots need `/flags/`.
        let follows = STEPS[place + 1..]
            .iter()
            .take(2)
            .filter(|_| once.contains("/flags/"));
        all.extend(
            follows
                .map(|next| next(&once))
                .filter(|twice| !twice.contains("%25")),
        );
        all.push(once);
    }
    all
}

/// The `:path` of a target: HTTP/2 has only the absolute form.
fn path_of(target: &str) -> &str {
    target.strip_prefix("http://x").unwrap_or(target)
}

fn summary(status: &str, plan: Option<&str>, body: &[u8]) -> String {
    format!("{status} {plan:?} {}", body.escape_ascii())
}

fn recorded(record: Option<&flag_server::Record>) -> String {
    record.map_or_else(String::new, |record| {
        format!("{} {} {:?}", record.path, record.attempt, record.plan)
    })
}

fn over_http1(server: &BlockingFlagServer, target: &str, attempt: u32, more: &[&str]) -> String {
    let mut client = Client::connect(&authority(server.endpoints()));
    let number = format!("flag-attempt: {attempt}");
    client.send_request("GET", target, &[&[&*number], more].concat());
    let (head, body) = client.reply();
    let status = head.status_line.split(' ').nth(1).unwrap();
    summary(status, head.get("flag-plan"), &body)
}

async fn over_http2(connection: &Connection, target: &str, attempt: u32) -> String {
    let number = attempt.to_string();
    let header = ("flag-attempt", &*number);
    let response = connection
        .send_request_with("GET", path_of(target), header)
        .await;
    let outcome = http2::within(response).await.unwrap();
    let status = outcome.status().unwrap().to_string();
    summary(&status, outcome.header("flag-plan"), &outcome.body)
}

const RESOURCES: [&str; 4] = [
    "/flags/br/br.gif",
    "/flags/br/metadata.json",
    "/flags/xx/xx.gif",
    "/flags/br/br.gif/",
];

#[test]
fn all_spellings_are_one_resource_over_http1() {
    // `te` is a header that the fast path leaves to hyper.
    for more in [&[][..], &["te: trailers"]] {
        for path in RESOURCES {
            for attempt in ATTEMPTS {
                let expected: Summary = first_of(path, attempt);
                let server = rules(RULES).start_blocking().unwrap();
                let spellings = spellings(path);
                for spelling in &spellings {
                    let answer = over_http1(&server, spelling, attempt, more);
                    assert_eq!(answer, expected.0, "{spelling} {attempt} {more:?}");
                }
                let records = server.wait_for_records("", spellings.len(), SAFETY);
                assert_eq!(records.len(), spellings.len(), "{path}");
                for record in &records {
                    assert_eq!(recorded(Some(record)), expected.1, "{path} {more:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn all_spellings_are_one_resource_over_http2() {
    for tls in [false, true] {
        let start = || async {
            let builder = rules(RULES);
            let builder = if tls {
                builder.tls(Tls::SelfSigned)
            } else {
                builder
            };
            let server: FlagServer = builder.start().await.unwrap();
            server
        };
        for path in RESOURCES {
            let server = start().await;
            let connection = if tls {
                Connection::tls(&server).await
            } else {
                Connection::plain(&server).await
            };
            let mut count = 0;
            for attempt in ATTEMPTS {
                let expected = tokio::task::spawn_blocking(move || first_of(path, attempt))
                    .await
                    .unwrap();
                for spelling in &spellings(path) {
                    let answer = over_http2(&connection, spelling, attempt).await;
                    assert_eq!(answer, expected.0, "{spelling} {attempt} {tls}");
                    count += 1;
                    let records = server.wait_for_records("", count, SAFETY).await;
                    assert_eq!(recorded(records.last()), expected.1, "{spelling} {tls}");
                }
            }
        }
    }
}

/// The result for the canonical path, on the fast path if it names a file.
fn first_of(path: &str, attempt: u32) -> Summary {
    let server = rules(RULES).start_blocking().unwrap();
    let answer = over_http1(&server, path, attempt, &[]);
    let records = server.wait_for_records("", 1, SAFETY);
    (answer, recorded(records.first()))
}
