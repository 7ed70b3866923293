//! The requests of a load: one URL repeatedly, or the flags in a shuffled order that is the same
//! every time. The number of a request decides all of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use flag_server::{FLAG_ATTEMPT, FLAG_RUN};
use flags_data::{Catalogue, CountryCode, Resource};
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::Url;

/// The requests of a load, as the bytes that are sent: built once, except for the number of the
/// attempt.
#[derive(Debug, Clone)]
pub struct Requests {
    paths: Vec<RequestPath>,
    headers: HeaderMap,
    /// Whether each is sent with the number of its attempt.
    is_numbered: bool,
    /// Of each path, the whole request, or all of it before the number.
    heads: Vec<Vec<u8>>,
}

/// One of the paths, in turns.
#[derive(Debug, Clone)]
struct RequestPath {
    text: String,
    /// The places before this one in a turn that name the same resource.
    earlier: u64,
    /// All places in a turn that do.
    repeats: u64,
    not_found: NotFound,
}

/// What it means if there is nothing at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NotFound {
    /// No country has this code, so that nothing else can be the answer.
    Expected,
    /// There is a file, so that only a plan can hide it.
    Announced,
    /// The path may be misspelt.
    Failure,
}

impl Requests {
    /// For one URL.
    pub fn to(url: &Url, headers: HeaderMap) -> Self {
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let is_file = Catalogue::embedded()
            .file(&Resource::parse(&path))
            .is_some();
        let not_found = if is_file {
            NotFound::Announced
        } else {
            NotFound::Failure
        };
        Self::new(url, vec![(path, not_found)], headers)
    }

    /// For these flags below a base URL, in an order that depends on the seed. After the last, it
    /// starts again with the first.
    pub fn for_flags(base: &Url, codes: &[CountryCode], seed: u64, headers: HeaderMap) -> Self {
        let root = base.path().trim_end_matches('/');
        let catalogue = Catalogue::embedded();
        let path = |code: &CountryCode| {
            let cc = code.to_lowercase();
            let not_found = match catalogue.get(*code) {
                Some(_) => NotFound::Announced,
                None => NotFound::Expected,
            };
            (format!("{root}/{cc}/{cc}.gif"), not_found)
        };
        let mut paths: Vec<_> = codes.iter().map(path).collect();
        shuffle(&mut paths, seed);
        Self::new(base, paths, headers)
    }

    /// The paths come from URLs, so they contain no line breaks.
    fn new(url: &Url, paths: Vec<(String, NotFound)>, own: HeaderMap) -> Self {
        let mut headers = HeaderMap::new();
        let host = match (url.host_str().unwrap_or_default(), url.port()) {
            (host, Some(port)) => format!("{host}:{port}"),
            (host, None) => host.to_owned(),
        };
        let host = HeaderValue::from_str(&host).expect("the host of a URL is visible ASCII");
        headers.insert(HOST, host);
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(crate::download::http::exchange::USER_AGENT),
        );
        // A header of the user replaces it.
        for name in own.keys() {
            headers.remove(name);
        }
        headers.extend(own);
        Self {
            paths: numbered(paths),
            headers,
            is_numbered: false,
            heads: Vec::new(),
        }
        .rendered()
    }

    /// The same requests of this run, each with the number of its attempt: 1, and one more for each
    /// earlier request for the same resource. A header that the user has named stays as it is.
    #[must_use]
    pub fn of_run(mut self, run: HeaderValue) -> Self {
        self.is_numbered = !self.headers.contains_key(&FLAG_ATTEMPT);
        self.headers.entry(FLAG_RUN).or_insert(run);
        self.rendered()
    }

    /// The same requests, each of which asks the server to close the connection after its answer.
    pub(super) fn closing(mut self) -> Self {
        let close = HeaderValue::from_static("close");
        self.headers.entry(CONNECTION).or_insert(close);
        self.rendered()
    }

    fn rendered(mut self) -> Self {
        let mut lines = Vec::new();
        for (name, value) in &self.headers {
            lines.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        lines.extend(if self.is_numbered {
            format!("{FLAG_ATTEMPT}: ").into_bytes()
        } else {
            b"\r\n".to_vec()
        });
        let head = |path: &RequestPath| {
            let first = format!("GET {} HTTP/1.1\r\n", path.text);
            [first.as_bytes(), &lines].concat()
        };
        self.heads = self.paths.iter().map(head).collect();
        self
    }

    /// The number of distinct requests.
    pub fn paths(&self) -> usize {
        self.paths.len()
    }

    /// Whether all are for what a Flagbench server applies its scenario to.
    pub fn are_for_flags(&self) -> bool {
        let has_faults = |path: &RequestPath| Resource::parse(&path.text).has_faults();
        self.paths.iter().all(has_faults)
    }

    /// The run that they name, if they have numbers.
    pub fn run(&self) -> Option<&str> {
        let run = self.headers.get(FLAG_RUN).filter(|_| self.is_numbered);
        run.and_then(|run| run.to_str().ok())
    }

    /// The bytes of the request with this number.
    pub(crate) fn request(&self, number: u64) -> Cow<'_, [u8]> {
        let head = &self.heads[self.place(number)];
        if !self.is_numbered {
            return Cow::Borrowed(head);
        }
        let end = format!("{}\r\n\r\n", self.attempt(number));
        Cow::Owned([head, end.as_bytes()].concat())
    }

    /// The path of the request with this number.
    pub(crate) fn path(&self, number: u64) -> &str {
        &self.paths[self.place(number)].text
    }

    /// 1, and one more for each request with a smaller number that is for the same resource.
    fn attempt(&self, number: u64) -> u32 {
        let RequestPath {
            earlier, repeats, ..
        } = self.paths[self.place(number)];
        let before = (number / self.paths.len() as u64).saturating_mul(repeats);
        let attempt = before.saturating_add(earlier).saturating_add(1);
        u32::try_from(attempt).unwrap_or(u32::MAX)
    }

    /// Whether this status, from 400 up, is the answer that the server should give to the request
    /// with this number. `is_announced`: the server has said that it follows a plan.
    pub(crate) fn is_planned(&self, number: u64, status: u16, is_announced: bool) -> bool {
        match (status, self.paths[self.place(number)].not_found) {
            (404, NotFound::Expected) => true,
            (404, NotFound::Failure) => false,
            _ => is_announced,
        }
    }

    fn place(&self, number: u64) -> usize {
        let count = self.paths.len() as u64;
        usize::try_from(number % count).unwrap_or_default()
    }
}

/// Finds which of the paths name the same resource.
fn numbered(paths: Vec<(String, NotFound)>) -> Vec<RequestPath> {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut numbered: Vec<RequestPath> = Vec::new();
    let canonical = |text: &str| Resource::parse(text).path().to_owned();
    for (text, not_found) in paths {
        let count = counts.entry(canonical(&text)).or_default();
        let earlier = *count;
        *count += 1;
        numbered.push(RequestPath {
            text,
            earlier,
            repeats: 0,
            not_found,
        });
    }
    for path in &mut numbered {
        path.repeats = counts[&canonical(&path.text)];
    }
    numbered
}

/// R. Durstenfeld's algorithm 235 (*Communications of the ACM* 7, 1964, p. 420), with a stream of
/// random numbers that is the same on every machine.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    for last in (1..items.len()).rev() {
        let place = (u128::from(chance.next_u64()) * (last as u128 + 1)) >> 64;
        items.swap(last, place as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes() -> Vec<CountryCode> {
        flags_data::POP20.to_vec()
    }

    fn text(requests: &Requests, number: u64) -> String {
        String::from_utf8(requests.request(number).into_owned()).unwrap()
    }

    fn paths(seed: u64) -> Vec<String> {
        let base = "http://localhost:8000/flags".parse().unwrap();
        let requests = Requests::for_flags(&base, &codes(), seed, HeaderMap::new());
        let path = |number| {
            let request = text(&requests, number);
            request.split(' ').nth(1).unwrap().to_owned()
        };
        (0..20).map(path).collect()
    }

    #[test]
    fn the_seed_decides_the_order_of_the_flags_and_each_comes_once() {
        assert_eq!(paths(1), paths(1));
        assert_ne!(paths(1), paths(2));
        let mut sorted = paths(1);
        sorted.sort();
        let mut all: Vec<String> = (codes().iter())
            .map(|code| code.to_lowercase())
            .map(|cc| format!("/flags/{cc}/{cc}.gif"))
            .collect();
        all.sort();
        assert_eq!(sorted, all);
    }

    #[test]
    fn a_request_names_its_host_and_headers_of_the_user_replace_its_own() {
        let url = "http://localhost:8000/x?y=1".parse().unwrap();
        let mut own = HeaderMap::new();
        own.insert(ACCEPT, HeaderValue::from_static("image/gif"));
        let requests = Requests::to(&url, own);
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "GET /x?y=1 HTTP/1.1\r\nhost: localhost:8000\r\nuser-agent: flag-client/{version}\r\naccept: image/gif\r\n\r\n"
        );
        assert_eq!(text(&requests, 5), expected);
    }

    fn flags(codes: &[&str]) -> Requests {
        let base = "http://localhost:8000/flags".parse().unwrap();
        let codes: Vec<CountryCode> = codes.iter().map(|code| code.parse().unwrap()).collect();
        Requests::for_flags(&base, &codes, 7, HeaderMap::new())
    }

    #[test]
    fn an_attempt_is_one_more_than_the_earlier_requests_for_the_same_resource() {
        for codes in [&["BR", "JP", "US"][..], &["BR", "JP", "BR", "US", "BR"]] {
            let requests = flags(codes).of_run(HeaderValue::from_static("load"));
            let mut counted: BTreeMap<String, u32> = BTreeMap::new();
            for number in 0..50 {
                let request = text(&requests, number);
                let attempt = counted.entry(requests.path(number).to_owned()).or_default();
                *attempt += 1;
                let (_, end) = request.split_once("flag-attempt: ").unwrap();
                assert_eq!(end, format!("{attempt}\r\n\r\n"), "{number}: {request}");
                assert!(request.contains("\r\nflag-run: load\r\n"), "{request}");
            }
        }
    }

    #[test]
    fn requests_without_a_run_have_no_numbers_and_own_headers_stay() {
        let requests = flags(&["BR"]);
        assert!(!text(&requests, 3).contains("\r\nflag-"));
        assert_eq!(requests.run(), None);
        let url = "http://localhost:8000/flags/br/br.gif".parse().unwrap();
        let with = |name: &'static str, value| {
            let mut own = HeaderMap::new();
            own.insert(name, HeaderValue::from_static(value));
            let requests = Requests::to(&url, own);
            text(&requests.of_run(HeaderValue::from_static("load")), 3)
        };
        let own_run = with("flag-run", "mine");
        assert!(own_run.contains("flag-run: mine\r\nflag-attempt: 4\r\n\r\n"));
        let own_attempt = with("flag-attempt", "9");
        assert!(own_attempt.contains("flag-attempt: 9\r\n"), "{own_attempt}");
        assert_eq!(own_attempt.matches("flag-attempt").count(), 1);
    }

    #[test]
    fn what_is_only_asked_for_once_a_connection_asks_to_close_it() {
        let requests = flags(&["BR"]).closing();
        assert!(text(&requests, 0).contains("\r\nconnection: close\r\n"));
    }

    #[test]
    fn a_number_that_no_header_holds_stays_the_greatest() {
        let requests = flags(&["BR"]).of_run(HeaderValue::from_static("load"));
        assert_eq!(requests.attempt(u64::MAX), u32::MAX);
    }

    #[test]
    fn nothing_at_a_path_is_planned_only_where_that_is_known() {
        let to = |url: &str| Requests::to(&url.parse().unwrap(), HeaderMap::new());
        let (some, none) = (flags(&["BR"]), flags(&["XX"]));
        let (right, misspelt) = (
            to("http://localhost/flags/br/br.gif"),
            to("http://localhost/flags/br.gif"),
        );
        for (requests, status, is_announced, expected) in [
            (&some, 503, true, true),
            (&some, 503, false, false),
            (&some, 404, true, true),
            (&some, 404, false, false),
            (&none, 404, false, true),
            (&none, 503, false, false),
            (&right, 404, true, true),
            (&misspelt, 404, true, false),
            (&misspelt, 503, true, true),
        ] {
            let found = requests.is_planned(3, status, is_announced);
            assert_eq!(
                found,
                expected,
                "{status} {is_announced} {}",
                requests.path(3)
            );
        }
    }

    #[test]
    fn a_flagbench_server_is_looked_for_only_where_there_are_flags() {
        let is_for_flags = |url: &str| {
            let url = url.parse().unwrap();
            Requests::to(&url, HeaderMap::new()).are_for_flags()
        };
        assert!(is_for_flags("http://localhost/data/flags/br/br.gif?x=1"));
        assert!(!is_for_flags("http://localhost/flags/"));
        assert!(!is_for_flags("http://localhost/a/b"));
        assert!(flags(&["BR", "XX"]).are_for_flags());
    }
}
