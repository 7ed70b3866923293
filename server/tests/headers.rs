//! The headers of answers: those that a status cannot do without, and what a cache is told.

use std::fs::File;
use std::time::{Duration, SystemTime};

use flag_server::FlagServer;
use flags_data::Catalogue;

use support::{BRAZIL, Client, Head, Server, brazil};

#[path = "support/mod.rs"]
mod support;

/// What makes hyper answer.
const UNUSUAL: &str = "te: trailers";

fn get(server: &Server, method: &str, lines: &[&str]) -> Head {
    let mut client: Client = server.connect();
    client.send_request(method, BRAZIL, lines);
    client.head()
}

fn status(head: &Head) -> &str {
    &head.status_line[9..12]
}

#[test]
fn a_range_applies_only_if_its_condition_is_exactly_the_file() {
    let server = Server::with("");
    let etag = format!("\"{}\"", {
        let catalogue = Catalogue::embedded();
        catalogue.get("BR".parse().unwrap()).unwrap().image.digest
    });
    let bare = etag.trim_matches('"');
    let date = "Mon, 02 Jan 2023 00:00:00 GMT";
    let one = |value: &str| vec![format!("if-range: {value}")];
    for (conditions, expected) in [
        (vec![], "206"),
        (one(&etag), "206"),
        (one(date), "206"),
        (one("Monday, 02-Jan-23 00:00:00 GMT"), "206"),
        (one(&format!("W/{etag}")), "200"),
        (one(bare), "200"),
        (one(&format!("\"{bare}")), "200"),
        (one(&format!("{bare}\"")), "200"),
        (one(&format!("{etag}, {etag}")), "200"),
        (one(&format!("'{bare}'")), "200"),
        (one("\"other\""), "200"),
        (one("*"), "200"),
        (one(""), "200"),
        (one("nonsense"), "200"),
        (one("Tue, 03 Jan 2023 00:00:00 GMT"), "200"),
        (one("Sun, 01 Jan 2023 00:00:00 GMT"), "200"),
        (one("2023-01-02T00:00:00Z"), "200"),
        (one("é"), "200"),
        ([one(&etag), one(&etag)].concat(), "200"),
        ([one(&etag), one("\"other\"")].concat(), "200"),
    ] {
        let mut lines = vec!["range: bytes=0-9"];
        lines.extend(conditions.iter().map(String::as_str));
        let head = get(&server, "GET", &lines);
        let length = if expected == "206" {
            10
        } else {
            brazil().len()
        };
        assert_eq!(
            (status(&head), head.length()),
            (expected, Some(length)),
            "{lines:?}"
        );
    }
    let twice = get(&server, "GET", &["range: bytes=0-9", "range: bytes=0-9"]);
    assert_eq!(status(&twice), "200");
}

#[test]
fn a_planned_status_has_the_headers_that_it_cannot_do_without() {
    const FIRST_HOP: &str = "/flags/br/br.gif?flag-hop=1&flag-attempt=1";
    let len = brazil().len();
    for (planned, name, expected) in [
        (206, "content-range", "bytes 0-4/5".to_owned()),
        (401, "www-authenticate", "Basic realm=\"flags\"".to_owned()),
        (301, "location", FIRST_HOP.to_owned()),
        (302, "location", FIRST_HOP.to_owned()),
        (303, "location", FIRST_HOP.to_owned()),
        (307, "location", FIRST_HOP.to_owned()),
        (308, "location", FIRST_HOP.to_owned()),
        (405, "allow", "GET,HEAD".to_owned()),
        (
            407,
            "proxy-authenticate",
            "Basic realm=\"flags\"".to_owned(),
        ),
        (416, "content-range", format!("bytes */{len}")),
        (426, "upgrade", "HTTP/2.0".to_owned()),
        (426, "connection", "upgrade".to_owned()),
        (304, "cache-control", "public, max-age=3600".to_owned()),
    ] {
        let body = if planned == 304 {
            ""
        } else {
            ", body = \"short\""
        };
        let server = Server::with(&format!(
            "rule = [{{ fault = \"status\", status = {planned}{body} }}]"
        ));
        for lane in [&[][..], &[UNUSUAL]] {
            let lane = [lane, &["flag-attempt: 1"]].concat();
            for method in ["GET", "HEAD"] {
                let head = get(&server, method, &lane);
                assert_eq!(status(&head), planned.to_string(), "{lane:?}");
                let found = head.get(name);
                assert_eq!(found, Some(&*expected), "{planned} {method} {lane:?}");
            }
        }
    }
}

#[test]
fn every_planned_status_is_sent_in_the_same_way_by_both_encoders() {
    for planned in (200..600)
        .filter(|planned| ![204, 205, 304].contains(planned))
        .step_by(3)
    {
        let server = Server::with(&format!(
            "rule = [{{ fault = \"status\", status = {planned}, body = \"short\" }}]"
        ));
        let [fast, slow] = [&[][..], &[UNUSUAL]].map(|lane| {
            let lane = [lane, &["flag-attempt: 1"]].concat();
            let mut head = get(&server, "GET", &lane);
            head.headers.remove("date");
            head
        });
        assert_eq!(fast.headers, slow.headers, "{planned}");
    }
}

#[test]
fn a_status_has_the_headers_of_its_rule_in_the_place_of_the_servers() {
    let server = Server::with(
        "rule = [{ fault = 'status', status = 302, body = '{}', retry_after = '1s', \
         headers = { Content-Type = 'application/problem+json', retry-after = 'soon', location = '/elsewhere', x-reason = 'busy' } }]",
    );
    for lane in [&[][..], &[UNUSUAL]] {
        let head = get(&server, "GET", lane);
        assert_eq!(status(&head), "302");
        for (name, value) in [
            ("content-type", "application/problem+json"),
            ("retry-after", "soon"),
            ("location", "/elsewhere"),
            ("x-reason", "busy"),
            ("content-length", "2"),
        ] {
            assert_eq!(head.get(name), Some(value), "{lane:?}");
        }
    }
}

#[test]
fn only_what_is_true_of_the_file_is_cached() {
    let is_public = |head: &Head| {
        head.get("cache-control")
            .is_some_and(|value| value.contains("public"))
    };
    let true_server = Server::with("");
    for (line, expected, public) in [
        ("x: y", "200", true),
        ("range: bytes=0-9", "206", true),
        ("if-none-match: *", "304", true),
        ("if-match: \"other\"", "412", false),
        ("range: bytes=999999-", "416", false),
    ] {
        let head = get(&true_server, "GET", &[line]);
        assert_eq!(
            (status(&head), is_public(&head)),
            (expected, public),
            "{line}"
        );
        assert!(head.get("etag").is_some(), "{line}");
    }
    for planned in [404, 405, 410, 412, 416, 500] {
        let server = Server::with(&format!(
            "rule = [{{ fault = \"status\", status = {planned} }}]"
        ));
        for lane in [&[][..], &[UNUSUAL]] {
            assert!(!is_public(&get(&server, "GET", lane)), "{planned} {lane:?}");
        }
    }
    let corrupt = Server::with("rule = [{ fault = \"corrupt\" }]");
    for method in ["GET", "HEAD"] {
        for line in ["x: y", UNUSUAL, "range: bytes=0-9"] {
            let head = get(&corrupt, method, &[line]);
            let told = ["cache-control", "etag", "last-modified"].map(|name| head.get(name));
            assert_eq!(told, [Some("no-store"), None, None], "{method} {line}");
            assert_eq!(head.get("content-type"), Some("image/gif"));
        }
    }
    // Nothing of it is corrupted.
    assert!(
        get(&corrupt, "GET", &["if-none-match: *"])
            .get("etag")
            .is_some()
    );
}

#[test]
fn a_file_of_any_time_is_served_with_a_date_that_http_has() {
    let epoch = SystemTime::UNIX_EPOCH;
    let seconds = Duration::from_secs;
    for (time, expected) in [
        (
            epoch - seconds(62_135_596_800),
            "Thu, 01 Jan 1970 00:00:00 GMT",
        ),
        (epoch - seconds(1), "Thu, 01 Jan 1970 00:00:00 GMT"),
        (epoch, "Thu, 01 Jan 1970 00:00:00 GMT"),
        (
            epoch + seconds(253_402_300_799),
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ),
        (
            epoch + seconds(253_402_300_800),
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("br");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("br.gif"), "GIF89a").unwrap();
        let metadata = r#"{"country": "Brazil", "iso_cc": "BR"}"#;
        std::fs::write(folder.join("metadata.json"), metadata).unwrap();
        let image = File::options()
            .write(true)
            .open(folder.join("br.gif"))
            .unwrap();
        if image.set_modified(time).is_err()
            || image.metadata().unwrap().modified().unwrap() != time
        {
            continue; // this file system cannot say it either
        }
        let catalogue = Catalogue::load(dir.path()).unwrap();
        let server = Server::of(FlagServer::builder().catalogue(catalogue));
        for lane in [&[][..], &[UNUSUAL]] {
            let head = get(&server, "GET", lane);
            assert_eq!(
                (status(&head), head.get("last-modified")),
                ("200", Some(expected))
            );
        }
        let unmodified = get(&server, "GET", &[&format!("if-modified-since: {expected}")]);
        assert_eq!(status(&unmodified), "304", "{expected}");
    }
}
