//! The requests of a load: one URL repeatedly, or the flags in a shuffled order that is the same
//! every time.

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use flags_data::CountryCode;
use hyper::header::{ACCEPT, HOST, HeaderMap, HeaderValue, USER_AGENT};
use reqwest::Url;

/// The requests of a load, as the bytes that are sent: built once.
#[derive(Debug, Clone)]
pub struct Requests(Vec<Vec<u8>>);

impl Requests {
    /// For one URL.
    pub fn to(url: &Url, headers: HeaderMap) -> Self {
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Self::new(url, vec![path], headers)
    }

    /// For these flags below a base URL, in an order that depends on the seed. After the last, it
    /// starts again with the first.
    pub fn for_flags(base: &Url, codes: &[CountryCode], seed: u64, headers: HeaderMap) -> Self {
        let root = base.path().trim_end_matches('/');
        let mut paths: Vec<String> = codes
            .iter()
            .map(|code| code.to_lowercase())
            .map(|cc| format!("{root}/{cc}/{cc}.gif"))
            .collect();
        shuffle(&mut paths, seed);
        Self::new(base, paths, headers)
    }

    /// The paths come from URLs, so they contain no line breaks.
    fn new(url: &Url, paths: Vec<String>, own: HeaderMap) -> Self {
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
        let mut lines = Vec::new();
        for (name, value) in &headers {
            lines.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        lines.extend(b"\r\n");
        let request = |path: String| {
            let first = format!("GET {path} HTTP/1.1\r\n");
            [first.as_bytes(), &lines].concat()
        };
        Self(paths.into_iter().map(request).collect())
    }

    /// The number of distinct requests.
    pub fn paths(&self) -> usize {
        self.0.len()
    }

    /// The bytes of the request with this number.
    pub(crate) fn request(&self, number: u64) -> &[u8] {
        let count = self.0.len() as u64;
        &self.0[usize::try_from(number % count).unwrap_or_default()]
    }
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

    fn paths(seed: u64) -> Vec<String> {
        let base = "http://localhost:8000/flags".parse().unwrap();
        let requests = Requests::for_flags(&base, &codes(), seed, HeaderMap::new());
        let path = |number| {
            let request = str::from_utf8(requests.request(number)).unwrap();
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
        assert_eq!(str::from_utf8(requests.request(5)).unwrap(), expected);
    }
}
