//! The control plane, as a test in any language would use it.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use flag_server::{BlockingFlagServer, FlagServer};
use flags_data::Digest;
use serde_json::{Value, json};
use support::{BRAZIL, Client, SAFETY, authority};

struct Answer {
    status: u16,
    kind: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The detail of a problem.
    fn problem(&self) -> String {
        assert_eq!(self.kind, "application/problem+json", "{}", self.body);
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        problem["detail"].as_str().unwrap().to_owned()
    }
}

fn start() -> (BlockingFlagServer, String) {
    let server = FlagServer::builder().control().start_blocking().unwrap();
    let control = server.control_url().unwrap();
    let control = control.strip_prefix("http://").unwrap().to_owned();
    (server, control)
}

fn ask(control: &str, method: &str, path: &str, lines: &[&str], body: &str) -> Answer {
    let mut stream = TcpStream::connect(control).unwrap();
    stream.set_read_timeout(Some(SAFETY)).unwrap();
    let own = format!("host: {control}");
    let named = lines.iter().any(|line| line.starts_with("host: "));
    let host = (!named).then_some(&*own);
    let lines = host.into_iter().chain(lines.iter().copied());
    let lines: String = lines.map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {length}\r\n{lines}\r\n"
    );
    // The rest of a body that is refused may not be taken.
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).ok();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let kind = head
        .lines()
        .find_map(|line| line.strip_prefix("content-type: "));
    Answer {
        status: head[9..12].parse().unwrap(),
        kind: kind.unwrap_or_default().to_owned(),
        body: body.to_owned(),
    }
}

fn get(control: &str, path: &str) -> Answer {
    ask(control, "GET", path, &[], "")
}

/// The status of a GET of Brazil's flag.
fn status(server: &BlockingFlagServer, lines: &[&str]) -> String {
    let mut client = Client::connect(&authority(server.endpoints()));
    client.send_request("GET", BRAZIL, lines);
    client.reply().0.status_line[9..12].to_owned()
}

const BROKEN: &str = "rule = [{ fault = 'status', status = 503, attempts = { first = 2 } }]";

#[test]
fn a_listener_gets_another_scenario_and_gives_it_back() {
    let (server, control) = start();
    let listeners = get(&control, "/api/listeners").json();
    assert_eq!(listeners["listeners"][0]["name"], "test");
    assert_eq!(listeners["listeners"][0]["url"], server.endpoints()[0].url);
    let path = "/api/listeners/test/scenario";
    assert_eq!(ask(&control, "PUT", path, &[], BROKEN).status, 204);
    assert_eq!(status(&server, &[]), "503");
    let toml = get(&control, path);
    assert_eq!(toml.kind, "application/toml");
    let json = ask(&control, "GET", path, &["accept: application/json"], "");
    assert_eq!(json.json()["rule"][0]["attempts"], json!({ "first": 2 }));
    // What is read can be written again, in both forms, and is the same.
    for (kind, text) in [
        ("application/toml", &toml.body),
        ("application/json", &json.body),
    ] {
        let line = format!("content-type: {kind}");
        assert_eq!(ask(&control, "PUT", path, &[&line], text).status, 204);
        assert_eq!(get(&control, path).body, toml.body);
    }
    let teapot = "rule = [{ fault = 'status', status = 418 }]";
    let put = ask(&control, "PUT", &format!("{path}?for=200ms"), &[], teapot);
    assert_eq!(put.status, 204);
    let ends = get(&control, "/api/listeners").json()["listeners"][0]["ends_in_ms"].clone();
    assert!(ends.as_f64().is_none_or(|ends| ends <= 200.0), "{ends}");
    support::eventually(|| (get(&control, path).body == toml.body).then_some(()));
}

#[test]
fn a_run_has_its_own_scenario_records_and_end() {
    let (server, control) = start();
    let path = "/api/runs/my%20test/scenario";
    assert_eq!(get(&control, path).status, 404);
    assert_eq!(
        ask(&control, "PUT", &format!("{path}?for=1h"), &[], BROKEN).status,
        204
    );
    assert!(get(&control, path).body.contains("status = 503"));
    let mine = ["flag-run: my test"];
    let seen: Vec<String> = (0..3).map(|_| status(&server, &mine)).collect();
    assert_eq!(seen, ["503", "503", "200"]);
    assert_eq!(status(&server, &[]), "200");
    let records = get(
        &control,
        "/api/runs/my%20test/records?count=3&wait=60s&settled=true",
    )
    .json();
    assert_eq!(records["complete"], true);
    let seen: Vec<_> = records["records"].as_array().unwrap().iter().collect();
    let fields = |record: &Value| {
        (
            record["listener"].clone(),
            record["attempt"].clone(),
            record["sent"]["status"].clone(),
        )
    };
    let expected = [(1, 503), (2, 503), (3, 200)];
    let expected = expected.map(|(attempt, status)| (json!("test"), json!(attempt), json!(status)));
    assert_eq!(seen.into_iter().map(fields).collect::<Vec<_>>(), expected);
    assert_eq!(
        get(&control, "/api/records?count=1&wait=60s").json()["records"][0]["run"],
        ""
    );
    let by_query = get(&control, "/api/records?run=my%20test").json();
    assert_eq!(by_query["records"], records["records"]);
    assert_eq!(
        ask(&control, "DELETE", "/api/runs/my%20test", &[], "").status,
        204
    );
    assert_eq!(get(&control, path).status, 404);
    let records = get(&control, "/api/runs/my%20test/records").json();
    assert_eq!(records, json!({ "complete": true, "records": [] }));
    assert_eq!(status(&server, &mine), "200");
}

#[test]
fn a_wait_ends_when_the_record_is_there_and_not_before() {
    let (server, control) = start();
    let path = "/api/runs/mine/scenario";
    let slow = "rule = [{ fault = 'latency', distribution = { fixed = '300ms' } }]";
    ask(&control, "PUT", path, &[], slow);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let start = Instant::now();
            let records = get(&control, "/api/runs/mine/records?count=1&wait=60s").json();
            (records, start.elapsed())
        });
        scope.spawn(|| status(&server, &["flag-run: mine"]));
        let (records, _) = waiting.join().unwrap();
        assert_eq!(records["complete"], true);
        assert_eq!(records["records"].as_array().unwrap().len(), 1);
    });
    let start = Instant::now();
    let records = get(&control, "/api/runs/mine/records?count=2&wait=50ms").json();
    assert_eq!(records["complete"], false);
    assert_eq!(records["records"].as_array().unwrap().len(), 1);
    assert!(start.elapsed() >= Duration::from_millis(50));
    // A response that is under way is not settled, whatever other runs do.
    let mut client = Client::connect(&authority(server.endpoints()));
    client.send_request("GET", BRAZIL, &["flag-run: mine"]);
    support::eventually(|| (server.received() == 2).then_some(()));
    let other = get(&control, "/api/runs/other/records?settled=true").json();
    assert_eq!(other["complete"], true);
    let settled = get(&control, "/api/runs/mine/records?settled=true&wait=60s").json();
    assert_eq!(settled["records"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_wrong_is_a_problem_with_the_key_and_the_remedy() {
    let (_server, control) = start();
    let long = "x".repeat(129);
    let scenario = "/api/listeners/test/scenario";
    for (method, path, body, status, text) in [
        ("GET", "/", "", 404, "GET /openapi.json"),
        ("GET", "/api/runs/a", "", 405, "/openapi.json"),
        ("POST", scenario, "", 405, "/openapi.json"),
        ("GET", "/api/listeners/other/scenario", "", 404, "\"other\""),
        ("PUT", "/api/listeners/other/scenario", "", 404, "\"other\""),
        (
            "PUT",
            "/api/runs/a/scenario?listener=other",
            "",
            404,
            "\"other\"",
        ),
        (
            "PUT",
            "/api/listeners/test/scenario?for=5",
            "",
            400,
            "for: ",
        ),
        (
            "PUT",
            "/api/listeners/test/scenario?for=25h",
            "",
            400,
            "for: give a time with one unit",
        ),
        (
            "PUT",
            "/api/listeners/test/scenario?seed=5",
            "",
            400,
            "seed",
        ),
        (
            "PUT",
            "/api/listeners/test/scenario?for=1h%2030m",
            "",
            400,
            "for: give a time",
        ),
        ("PUT", scenario, "", 400, "the body is empty"),
        ("GET", "/api/records?count=-1", "", 400, "count: "),
        (
            "GET",
            "/api/records?wait=2m",
            "",
            400,
            "wait: give at most 1m",
        ),
        (
            "GET",
            &format!("/api/runs/{long}/records"),
            "",
            400,
            "run: ",
        ),
        ("GET", "/api/runs/%ff/records", "", 400, "the path: "),
        ("PUT", "/api/runs/%c3%a9/scenario", "", 400, "run: "),
    ] {
        let answer = ask(&control, method, path, &[], body);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        let problem = answer.problem();
        assert!(problem.contains(text), "{method} {path}: {problem}");
    }
    let wrong = ask(
        &control,
        "PUT",
        scenario,
        &[],
        "sede = 1\nrule = [{ fault = 'teapot' }]",
    );
    assert_eq!(wrong.status, 400);
    let errors = wrong.json()["errors"].as_array().unwrap().clone();
    assert_eq!(
        (errors.len(), &errors[0]["line"], &errors[0]["key"]),
        (2, &json!(1), &json!("sede"))
    );
    let json = ["content-type: application/json"];
    let wrong = ask(
        &control,
        "PUT",
        scenario,
        &json,
        "{\"rule\": [{\"fault\": \"status\"}]}",
    );
    assert!(
        wrong
            .problem()
            .contains("rule[1]: give exactly one of status, one_of")
    );
    let wrong = ask(&control, "PUT", scenario, &json, "{");
    assert!(wrong.problem().contains("not JSON"));
    let image = ask(&control, "PUT", scenario, &["content-type: image/gif"], "x");
    assert_eq!(
        (image.status, image.problem().contains("image/gif")),
        (415, true)
    );
    let large = ask(&control, "PUT", scenario, &[], &"#".repeat(1024 * 1024 + 1));
    assert_eq!(large.status, 413);
    assert_eq!(get(&control, scenario).body, "seed = 20150223\n");
}

#[test]
fn pages_of_other_sites_and_other_names_are_refused() {
    let (_server, control) = start();
    let path = "/api/listeners/test/scenario";
    for line in [
        "origin: http://elsewhere.example",
        "origin: null",
        "sec-fetch-site: cross-site",
        "host: rebound.example",
    ] {
        for (method, path) in [
            ("GET", path),
            ("PUT", path),
            ("GET", "/openapi.json"),
            ("GET", "/x"),
        ] {
            let refused = ask(&control, method, path, &[line], "");
            assert_eq!(refused.status, 403, "{method} {path} {line}");
            refused.problem();
        }
    }
    assert_eq!(get(&control, path).body, "seed = 20150223\n");
}

#[test]
fn a_record_has_what_a_test_can_assert_on() {
    let (server, control) = start();
    let mut client = Client::connect(&authority(server.endpoints()));
    let lines = ["content-length: 3", "x-test: 1", "authorization: Bearer x"];
    client.send_request("POST", "/run/mine/uploads/a?part=1", &lines);
    client.send("abc");
    client.reply();
    client.send_request("GET", "/run/mine/flags/", &[]);
    client.reply();
    let records = get(&control, "/api/runs/mine/records?count=2&wait=60s").json();
    let records = &records["records"];
    let digest = Digest::of(b"abc").to_string();
    assert_eq!(records[0]["body"], json!({ "bytes": 3, "sha256": digest }));
    assert_eq!(records[0]["query"], "part=1");
    let headers = records[0]["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["x-test", "1"])));
    assert!(headers.contains(&json!(["authorization", "(8 bytes)"])));
    assert_eq!(records[1]["body"], Value::Null);
    let fields = |record: &Value| {
        let field = |key: &str| record[key].clone();
        [
            "protocol",
            "connection",
            "number",
            "attempt_from",
            "attempt",
        ]
        .map(field)
    };
    let of = |number: u32, from: &str, attempt: u32| {
        [
            json!("HTTP/1.1"),
            json!(1),
            json!(number),
            json!(from),
            json!(attempt),
        ]
    };
    assert_eq!(fields(&records[0]), of(1, "counted", 1));
    assert_eq!(fields(&records[1]), of(2, "none", 0));
}

#[test]
fn metrics_count_requests_by_listener_rule_and_end() {
    let (server, control) = start();
    let text = "rule = [{ name = 'busy', fault = 'status', status = 503, match = { cc = ['BR'] } }, \
                        { name = 'gone', fault = 'reset', match = { cc = ['JP'] } }]";
    ask(&control, "PUT", "/api/runs/mine/scenario", &[], text);
    assert_eq!(status(&server, &[]), "200");
    assert_eq!(status(&server, &["flag-run: mine"]), "503");
    let mut client = Client::connect(&authority(server.endpoints()));
    client.send_request("GET", "/run/mine/flags/jp/jp.gif", &[]);
    client.rest();
    get(
        &control,
        "/api/runs/mine/records?count=2&wait=60s&settled=true",
    );
    let metrics = get(&control, "/metrics");
    assert_eq!(metrics.kind, "text/plain; version=0.0.4; charset=utf-8");
    let lines: Vec<&str> = metrics.body.lines().collect();
    for line in [
        "# TYPE flag_server_requests_total counter",
        r#"flag_server_requests_total{listener="test",rule="",end="whole"} 1"#,
        r#"flag_server_requests_total{listener="test",rule="busy",end="whole"} 1"#,
        r#"flag_server_requests_total{listener="test",rule="gone",end="reset"} 1"#,
        "# TYPE flag_server_lateness_seconds histogram",
        r#"flag_server_lateness_seconds_bucket{listener="test",le="+Inf"} 3"#,
        r#"flag_server_lateness_seconds_count{listener="test"} 3"#,
        r#"flag_server_requests_without_record_total{listener="test"} 0"#,
        r#"flag_server_connections_total{listener="test"} 3"#,
        r#"flag_server_runs_forgotten_total{listener="test",what="attempts"} 0"#,
        r#"flag_server_runs_forgotten_total{listener="test",what="records"} 0"#,
    ] {
        assert!(lines.contains(&line), "{line}\n{}", metrics.body);
    }
    let open = r#"flag_server_connections_open{listener="test"} 0"#;
    support::eventually(|| get(&control, "/metrics").body.contains(open).then_some(()));
}

#[test]
fn the_description_names_every_request() {
    let (_server, control) = start();
    let document = get(&control, "/openapi.json").json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    let mut operations = 0;
    for (path, methods) in paths {
        let path = path.replace("{listener}", "test").replace("{run}", "mine");
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let answer = ask(&control, &method, &path, &[], "");
            let is_unknown = answer.status == 404 && answer.body.contains("no such resource");
            assert!(answer.status != 405 && !is_unknown, "{method} {path}");
            operations += 1;
        }
    }
    assert_eq!(operations, 10);
}

#[test]
fn a_thousand_tests_in_rust_meet_exactly_their_own_scenarios() {
    const TESTS: usize = 1000;
    const AT_ONCE: usize = 50;
    let (server, control) = start();
    let test = |number: usize| {
        let run = format!("rust-{number}");
        let delay = 20 + number % 30;
        let own = format!("/api/runs/{run}");
        let text = format!(
            "rule = [{{ name = 'busy', fault = 'status', status = 503, attempts = {{ first = 2 }} }}, \
                     {{ name = 'late', fault = 'latency', distribution = {{ fixed = '{delay}ms' }}, attempts = {{ from = 3 }} }}]"
        );
        let put = ask(
            &control,
            "PUT",
            &format!("{own}/scenario?for=1m"),
            &[],
            &text,
        );
        assert_eq!(put.status, 204, "{}", put.body);
        let line = format!("flag-run: {run}");
        let seen: Vec<String> = (0..3).map(|_| status(&server, &[&line])).collect();
        assert_eq!(seen, ["503", "503", "200"], "{run}");
        let path = format!("{own}/records?count=3&wait=1m&settled=true");
        let found = get(&control, &path).json();
        assert_eq!(found["complete"], true, "{run}");
        let records = found["records"].as_array().unwrap();
        let rules: Vec<&Value> = records
            .iter()
            .map(|record| &record["plan"]["rules"])
            .collect();
        assert_eq!(
            rules,
            [&json!(["busy"]), &json!(["busy"]), &json!(["late"])],
            "{run}"
        );
        assert!(
            records[2]["took_ms"].as_f64().unwrap() >= delay as f64,
            "{run}"
        );
        assert_eq!(ask(&control, "DELETE", &own, &[], "").status, 204);
    };
    thread::scope(|scope| {
        for worker in 0..AT_ONCE {
            let test = &test;
            scope.spawn(move || (worker..TESTS).step_by(AT_ONCE).for_each(test));
        }
    });
    assert_eq!(get(&control, "/api/records").json()["records"], json!([]));
}
