//! The server's answers on the wire: a real server, a raw socket, exact bytes.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use flag_scenario::profiles::Profile;
use flag_scenario::{Planner, RequestKey, Scenario};
use flag_server::{BlockingFlagServer, Config};
use flags_data::{Catalogue, CountryCode};

/// A server with one listener, and its address for plain-text requests.
struct Server {
    _running: BlockingFlagServer,
    authority: String,
}

struct Reply {
    status_line: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Server {
    fn start(scenario: Scenario) -> Self {
        let running = BlockingFlagServer::start(&Config::embedded("test", scenario)).unwrap();
        let authority = running.endpoints()[0]
            .url
            .strip_prefix("http://")
            .unwrap()
            .to_owned();
        Self {
            _running: running,
            authority,
        }
    }

    fn faultless() -> Self {
        Self::start(Scenario::from_toml("").unwrap())
    }

    /// One request on a connection of its own; `headers` is a list of lines.
    fn send(&self, method: &str, path: &str, headers: &[&str]) -> Reply {
        let lines: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let raw = self.exchange(&format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{lines}\r\n",
            self.authority
        ));
        Reply::parse(&raw)
    }

    fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[])
    }

    /// Sends these bytes, and reads until the server closes.
    fn exchange(&self, request: &str) -> Vec<u8> {
        let mut stream = TcpStream::connect(&self.authority).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).unwrap();
        raw
    }
}

impl Reply {
    fn parse(raw: &[u8]) -> Self {
        let end = raw
            .windows(4)
            .position(|four| four == b"\r\n\r\n")
            .expect("a complete head");
        let head = std::str::from_utf8(&raw[..end]).unwrap();
        let (status_line, lines) = head.split_once("\r\n").unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_owned(), value.to_owned())
        };
        Self {
            status_line: status_line.to_owned(),
            headers: lines.split("\r\n").map(header).collect(),
            body: raw[end + 4..].to_vec(),
        }
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

fn brazil() -> flags_data::Flag {
    Catalogue::embedded()
        .get("BR".parse().unwrap())
        .unwrap()
        .clone()
}

const BRAZIL: &str = "/flags/br/br.gif";
const TEAPOTS: &str = "rule = [{ fault = \"status\", status = 418 }]";

#[test]
fn every_flag_and_its_metadata_are_served_under_both_roots() {
    let server = Server::faultless();
    for flag in Catalogue::embedded().flags() {
        let cc = flag.code.to_lowercase();
        for root in ["/flags", "/data/flags"] {
            let image = server.get(&format!("{root}/{cc}/{cc}.gif"));
            assert_eq!(image.status_line, "HTTP/1.1 200 OK");
            assert_eq!(image.header("content-type"), Some("image/gif"));
            assert_eq!(image.body, flag.image.bytes);
            let metadata = server.get(&format!("{root}/{cc}/metadata.json"));
            assert_eq!(metadata.header("content-type"), Some("application/json"));
            assert_eq!(metadata.body, flag.metadata.bytes);
        }
    }
}

#[test]
fn an_image_has_the_headers_for_caches_and_resumed_downloads() {
    let reply = Server::faultless().get(BRAZIL);
    let flag = brazil();
    assert_eq!(
        reply.header("etag"),
        Some(&*format!("\"{}\"", flag.image.digest))
    );
    assert_eq!(
        reply.header("last-modified"),
        Some("Mon, 02 Jan 2023 00:00:00 GMT")
    );
    assert_eq!(reply.header("cache-control"), Some("public, max-age=3600"));
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    assert_eq!(
        reply.header("content-length"),
        Some(&*flag.image.bytes.len().to_string())
    );
}

#[test]
fn upper_case_is_answered_too() {
    let server = Server::faultless();
    for path in [
        "/flags/BR/BR.gif",
        "/flags/Br/bR.GIF",
        "/data/flags/BR/br.gif",
    ] {
        assert_eq!(server.get(path).body, brazil().image.bytes, "{path}");
    }
}

#[test]
fn any_other_path_is_not_found() {
    let server = Server::faultless();
    for path in [
        "/",
        "/nope",
        "/flags/xx/xx.gif",
        "/flags/br/jp.gif",
        "/flags/br/br.png",
        "/flags/br",
        "/flags/br/",
        "/flags/b1/b1.gif",
        "/flags/bra/bra.gif",
        "/flags/br/br.gif/more",
        "/flags/../Cargo.toml",
        "/flags/%2e%2e/x",
        "/flags/é/é.gif",
        "/flags/br/.gif",
        "/data/healthz",
    ] {
        let reply = server.get(path);
        assert_eq!(reply.status_line, "HTTP/1.1 404 Not Found", "{path}");
    }
}

#[test]
fn other_methods_are_refused_with_the_allowed_ones() {
    let server = Server::faultless();
    for path in [BRAZIL, "/flags/", "/healthz"] {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"] {
            let reply = server.send(method, path, &[]);
            assert_eq!(
                reply.status_line, "HTTP/1.1 405 Method Not Allowed",
                "{method} {path}"
            );
            assert_eq!(reply.header("allow"), Some("GET,HEAD"), "{method} {path}");
        }
    }
}

#[test]
fn head_is_get_without_the_body() {
    let server = Server::faultless();
    for path in [BRAZIL, "/flags/br/metadata.json", "/flags/", "/healthz"] {
        let mut get = server.get(path);
        let mut head = server.send("HEAD", path, &[]);
        assert_eq!(head.body, b"", "{path}");
        for reply in [&mut get, &mut head] {
            reply.headers.remove("date");
        }
        assert_eq!(
            (head.status_line, head.headers),
            (get.status_line, get.headers),
            "{path}"
        );
    }
}

#[test]
fn a_conditional_request_for_a_cached_flag_is_not_modified() {
    let server = Server::faultless();
    let etag = format!("\"{}\"", brazil().image.digest);
    for condition in [
        format!("if-none-match: {etag}"),
        format!("if-none-match: \"other\", W/{etag}"),
        "if-none-match: *".to_owned(),
        "if-modified-since: Mon, 02 Jan 2023 00:00:00 GMT".to_owned(),
    ] {
        for method in ["GET", "HEAD"] {
            let reply = server.send(method, BRAZIL, &[&condition]);
            assert_eq!(
                reply.status_line, "HTTP/1.1 304 Not Modified",
                "{condition}"
            );
            assert_eq!(
                (reply.header("etag"), reply.body.len()),
                (Some(&*etag), 0),
                "{condition}"
            );
            assert_eq!(reply.header("content-length"), None, "{condition}");
        }
    }
    for condition in [
        "if-none-match: \"other\"",
        "if-modified-since: Sun, 01 Jan 2023 00:00:00 GMT",
        "if-none-match: nonsense",
    ] {
        assert_eq!(
            server.send("GET", BRAZIL, &[condition]).status_line,
            "HTTP/1.1 200 OK",
            "{condition}"
        );
    }
    for condition in [
        "if-match: \"other\"",
        "if-unmodified-since: Sun, 01 Jan 2023 00:00:00 GMT",
    ] {
        let reply = server.send("GET", BRAZIL, &[condition]);
        assert_eq!(
            reply.status_line, "HTTP/1.1 412 Precondition Failed",
            "{condition}"
        );
    }
}

#[test]
fn a_range_gets_exactly_its_bytes() {
    let server = Server::faultless();
    let whole = brazil().image.bytes;
    let len = whole.len();
    let last = len - 1;
    for (range, from, to) in [
        ("0-0".to_owned(), 0, 0),
        ("10-19".to_owned(), 10, 19),
        (format!("{last}-"), last, last),
        ("-5".to_owned(), len - 5, last),
        (format!("-{}", len + 100), 0, last),
        (format!("5-{}", len + 100), 5, last),
    ] {
        let reply = server.send("GET", BRAZIL, &[&format!("range: bytes={range}")]);
        assert_eq!(reply.status_line, "HTTP/1.1 206 Partial Content", "{range}");
        assert_eq!(
            reply.header("content-range"),
            Some(&*format!("bytes {from}-{to}/{len}")),
            "{range}"
        );
        assert_eq!(
            reply.header("content-length"),
            Some(&*(to - from + 1).to_string()),
            "{range}"
        );
        assert_eq!(reply.body, whole[from..=to], "{range}");
    }
}

#[test]
fn a_range_beyond_the_end_is_refused_with_the_length() {
    let len = brazil().image.bytes.len();
    let reply = Server::faultless().send("GET", BRAZIL, &[&format!("range: bytes={len}-")]);
    assert_eq!(reply.status_line, "HTTP/1.1 416 Range Not Satisfiable");
    assert_eq!(
        reply.header("content-range"),
        Some(&*format!("bytes */{len}"))
    );
    assert_eq!(reply.body, b"");
}

#[test]
fn a_range_that_does_not_apply_gets_the_whole_flag() {
    let server = Server::faultless();
    let whole = brazil().image.bytes;
    for headers in [
        &["range: bytes=0-1,4-5"] as &[&str],
        &["range: lines=1-2"],
        &["range: bytes=b-a"],
        &["range: bytes=0-1", "if-range: \"other\""],
        &[
            "range: bytes=0-1",
            "if-range: Sun, 01 Jan 2023 00:00:00 GMT",
        ],
    ] {
        let reply = server.send("GET", BRAZIL, headers);
        assert_eq!(
            (&*reply.status_line, &reply.body[..]),
            ("HTTP/1.1 200 OK", &whole[..]),
            "{headers:?}"
        );
    }
    let head = server.send("HEAD", BRAZIL, &["range: bytes=0-1"]);
    assert_eq!(head.status_line, "HTTP/1.1 200 OK");
}

#[test]
fn the_list_is_a_page_for_people_and_json_for_programs() {
    let server = Server::faultless();
    let page = server.send("GET", "/flags/", &["accept: text/html,*/*;q=0.8"]);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let json = server.send("GET", "/data/flags/", &["accept: application/json"]);
    assert_eq!(json.header("content-type"), Some("application/json"));
    assert_eq!(json.header("vary"), Some("accept"));
    let listed: Vec<serde_json::Value> = serde_json::from_slice(&json.body).unwrap();
    let catalogue = Catalogue::embedded();
    assert_eq!(listed.len(), catalogue.len());
    for (entry, flag) in listed.iter().zip(catalogue.flags()) {
        let cc = flag.code.to_lowercase();
        assert_eq!(entry["code"], flag.code.as_str());
        assert_eq!(entry["country"], *flag.country);
        assert_eq!(entry["image"], format!("{cc}/{cc}.gif"));
        assert_eq!(entry["bytes"], flag.image.bytes.len());
        assert_eq!(entry["sha256"], flag.image.digest.to_string());
        assert!(
            page.text().contains(&format!("src=\"{cc}/{cc}.gif\"")),
            "{cc}"
        );
    }
}

#[test]
fn health_and_list_are_never_faulted() {
    let server = Server::start(Scenario::from_toml(TEAPOTS).unwrap());
    let health = server.get("/healthz");
    assert_eq!(
        (&*health.status_line, health.text()),
        ("HTTP/1.1 200 OK", "ok")
    );
    assert_eq!(health.header("server-timing"), None);
    assert_eq!(server.get("/flags/").status_line, "HTTP/1.1 200 OK");
    assert_eq!(server.get("/nope").status_line, "HTTP/1.1 404 Not Found");
}

#[test]
fn a_teapot_has_its_reason_phrase_and_names_its_rule() {
    let server = Server::start(Scenario::from_toml(TEAPOTS).unwrap());
    for path in [BRAZIL, "/data/flags/jp/metadata.json", "/flags/xx/xx.gif"] {
        let reply = server.get(path);
        assert_eq!(reply.status_line, "HTTP/1.1 418 I'm a teapot");
        assert_eq!(reply.header("flag-plan"), Some("status-1"));
        assert_eq!(
            reply.header("server-timing"),
            Some("plan;dur=0.000, wait;dur=0.000")
        );
    }
}

#[test]
fn statuses_without_a_body_have_none_and_keep_the_connection_usable() {
    for status in [204, 205, 304] {
        let server = Server::start(
            Scenario::from_toml(&TEAPOTS.replace("418", &status.to_string())).unwrap(),
        );
        let twice = format!(
            "GET {BRAZIL} HTTP/1.1\r\nhost: x\r\n\r\nGET {BRAZIL} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        );
        let raw = String::from_utf8(server.exchange(&twice)).unwrap();
        let replies: Vec<&str> = raw.split_terminator("\r\n\r\n").collect();
        assert_eq!(replies.len(), 2, "{raw}");
        for reply in replies {
            assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{raw}");
            assert!(
                !reply.contains("content-length: ") || status == 205,
                "{raw}"
            );
            assert!(!reply.contains("content-type: "), "{raw}");
        }
    }
}

#[test]
fn a_delayed_response_reports_its_plan_and_is_never_early() {
    let scenario = Profile::find("bench").unwrap().scenario().unwrap();
    let planner = Planner::new(&scenario);
    let server = Server::start(scenario);
    for code in ["br", "jp", "zz"] {
        let path = format!("/flags/{code}/{code}.gif");
        let plan = planner.plan(&RequestKey {
            run: "",
            method: "GET",
            path: &path,
            attempt: 1,
        });
        let reply = server.get(&path);
        let timing = reply.header("server-timing").unwrap();
        let (planned, waited) = timing
            .strip_prefix("plan;dur=")
            .unwrap()
            .split_once(", wait;dur=")
            .unwrap();
        assert_eq!(
            planned,
            format!(
                "{}.{:03}",
                plan.delay.as_micros() / 1000,
                plan.delay.as_micros() % 1000
            )
        );
        assert!(
            waited.parse::<f64>().unwrap() >= planned.parse::<f64>().unwrap(),
            "{timing}"
        );
        assert_eq!(reply.header("flag-plan"), Some("delay"));
    }
}

#[test]
fn attempts_are_counted_by_run_method_and_path_unless_the_client_numbers_them() {
    // A probability for each request: the outcomes are those of attempts 1, 2, 3, …
    let text = "rule = [{ name = \"coin\", fault = \"status\", probability = 0.5, status = 418 }]";
    let scenario = Scenario::from_toml(text).unwrap();
    let planner = Planner::new(&scenario);
    let server = Server::start(scenario);
    let planned = |run, attempt| {
        let plan = planner.plan(&RequestKey {
            run,
            method: "GET",
            path: BRAZIL,
            attempt,
        });
        if plan.ending.is_some() {
            "HTTP/1.1 418 I'm a teapot"
        } else {
            "HTTP/1.1 200 OK"
        }
    };
    for attempt in 1..=20 {
        // The other spellings of a path are the same path.
        let path =
            [BRAZIL, "/data/flags/br/br.gif", "/flags/BR/BR.gif?query"][attempt as usize % 3];
        assert_eq!(
            server.get(path).status_line,
            planned("", attempt),
            "attempt {attempt}"
        );
        assert_eq!(
            server.send("GET", path, &["flag-run: b"]).status_line,
            planned("b", attempt)
        );
        // Numbered attempts are answered by number, and not counted.
        for numbered in [1, 7, 4_000_000_000] {
            let header = format!("flag-attempt: {numbered}");
            assert_eq!(
                server.send("GET", path, &[&header]).status_line,
                planned("", numbered)
            );
        }
    }
}

#[test]
fn an_invalid_run_or_attempt_is_refused_with_the_remedy() {
    let server = Server::faultless();
    for attempt in ["0", "-1", "1.5", "one", "4294967296", ""] {
        let reply = server.send("GET", BRAZIL, &[&format!("flag-attempt: {attempt}")]);
        assert_eq!(reply.status_line, "HTTP/1.1 400 Bad Request", "{attempt}");
        assert_eq!(
            reply.text(),
            "flag-attempt: number the attempt once, with 1, 2, …, 4294967295\n"
        );
    }
    let long = format!("flag-run: {}", "x".repeat(129));
    let reply = server.send("GET", BRAZIL, &[&long]);
    assert_eq!(reply.status_line, "HTTP/1.1 400 Bad Request");
    assert_eq!(
        reply.text(),
        "flag-run: name the run once, with at most 128 ASCII characters\n"
    );
    assert_eq!(
        server
            .send("GET", BRAZIL, &["flag-run: suite 7/a"])
            .status_line,
        "HTTP/1.1 200 OK"
    );
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let server = Server::faultless();
    let one = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: x\r\n{more}\r\n");
    let raw = server
        .exchange(&(one(BRAZIL, "") + &one("/nope", "") + &one(BRAZIL, "connection: close\r\n")));
    let image = brazil().image.bytes;
    let bodies = raw
        .windows(image.len())
        .filter(|window| *window == image)
        .count();
    assert_eq!(bodies, 2);
}

#[test]
fn exactly_the_codes_of_the_catalogue_are_found() {
    let server = Server::faultless();
    let catalogue = Catalogue::embedded();
    let found = CountryCode::every().filter(|code| {
        let cc = code.to_lowercase();
        let reply = server.get(&format!("/flags/{cc}/{cc}.gif"));
        assert_eq!(
            reply.status_line == "HTTP/1.1 200 OK",
            catalogue.get(*code).is_some(),
            "{code}"
        );
        reply.status_line == "HTTP/1.1 200 OK"
    });
    assert_eq!(found.count(), 194);
}
