//! Reads what a request says about itself, as far as decisions depend on it: run, method, resource,
//! attempt, and hop.

use std::time::Instant;

use axum::http::{HeaderMap, HeaderName, Request, StatusCode, Version};
use flags_data::Resource;

use super::attempts::Attempts;
use super::connection::ConnectionHandle;
use crate::record::{AttemptFrom, Protocol, ReceivedHeaders, ReceivedRequest};
use crate::response::{Complete, text_response};
use crate::scenario::{Headers, MAX_RUN_LEN, RequestKey};

/// Names the run, which isolates clients of one server from each other. Optional.
pub const FLAG_RUN: HeaderName = HeaderName::from_static("flag-run");
/// Numbers the attempt at a path, from 1. Optional: without it the server counts.
pub const FLAG_ATTEMPT: HeaderName = HeaderName::from_static("flag-attempt");

/// The parameters of a redirect's target.
const HOP: &str = "flag-hop";
const HOP_ATTEMPT: &str = "flag-attempt";

/// The head of a request, from either parser.
pub(crate) struct RequestHead<'r> {
    pub(crate) connection: &'r ConnectionHandle,
    pub(crate) protocol: Protocol,
    pub(crate) method: &'r str,
    pub(crate) resource: &'r Resource<'r>,
    pub(crate) query: Option<&'r str>,
    pub(crate) headers: RequestHeaders<'r>,
    /// The headers of the file that is requested, if there is one.
    pub(crate) file: Option<&'r HeaderMap>,
}

/// The headers of a request, as its parser holds them.
#[derive(Clone, Copy)]
pub(crate) enum RequestHeaders<'r> {
    /// hyper's.
    Map(&'r HeaderMap),
    /// httparse's.
    Parsed(&'r [httparse::Header<'r>]),
}

impl<'r> RequestHeaders<'r> {
    /// The value of the first header of this name, and whether there are more.
    fn find(self, name: &str) -> Option<(&'r [u8], bool)> {
        match self {
            Self::Map(headers) => {
                let mut values = headers.get_all(name).iter();
                let first = values.next()?.as_bytes();
                Some((first, values.next().is_some()))
            }
            Self::Parsed(headers) => {
                let mut headers = headers.iter();
                let is_of_name =
                    |header: &&httparse::Header<'_>| header.name.eq_ignore_ascii_case(name);
                let first = headers.find(is_of_name)?.value;
                Some((first, headers.any(|header| is_of_name(&header))))
            }
        }
    }

    /// The value of the only header of this name. What is neither one text nor absent is invalid:
    /// no reader would be sure which of several is meant.
    fn only(self, name: &str) -> Result<Option<&'r str>, Invalid> {
        match self.find(name) {
            None => Ok(None),
            Some((value, false)) => visible_ascii(value).map(Some).ok_or(Invalid),
            Some((_, true)) => Err(Invalid),
        }
    }
}

/// A header that is there and says nothing.
#[derive(Debug, Clone, Copy)]
struct Invalid;

impl Headers for RequestHead<'_> {
    /// A run in the path counts as one in the header.
    fn value(&self, name: &str) -> Option<&str> {
        match self.headers.find(name) {
            Some((first, _)) => visible_ascii(first),
            None if name == FLAG_RUN.as_str() => self.resource.run(),
            None => None,
        }
    }
}

impl<'r> RequestHead<'r> {
    /// The head of a request that hyper has parsed.
    pub(crate) fn of<B>(
        connection: &'r ConnectionHandle,
        request: &'r Request<B>,
        resource: &'r Resource<'r>,
        file: Option<&'r HeaderMap>,
    ) -> Self {
        Self {
            connection,
            protocol: match request.version() {
                Version::HTTP_2 => Protocol::Http2,
                Version::HTTP_10 => Protocol::Http10,
                _ => Protocol::Http11,
            },
            method: request.method().as_str(),
            resource,
            query: request.uri().query(),
            headers: RequestHeaders::Map(request.headers()),
            file,
        }
    }

    /// All that is known of the request, for its record. It has the next number of its connection.
    pub(super) fn received(&self, attempt_from: AttemptFrom) -> ReceivedRequest {
        let headers = match self.headers {
            RequestHeaders::Map(headers) => ReceivedHeaders::of(
                (headers.iter()).map(|(name, value)| (name.as_str(), value.as_bytes())),
            ),
            RequestHeaders::Parsed(headers) => {
                ReceivedHeaders::of(headers.iter().map(|header| (header.name, header.value)))
            }
        };
        ReceivedRequest {
            protocol: self.protocol,
            connection: self.connection.number(),
            number: self.connection.count_request(),
            attempt_from,
            query: self.query.map(Into::into),
            headers,
            body: None,
        }
    }

    /// The run that the header names, or the path.
    ///
    /// # Errors
    /// With the answer to a request whose run is invalid.
    pub(super) fn run(&self) -> Result<&'r str, Box<Complete>> {
        let in_header = self.headers.only(FLAG_RUN.as_str());
        let remedy = match (in_header, self.resource.run()) {
            (Ok(Some(header)), Some(path)) if header != path => {
                "the header names another run than the path; leave one of them out".to_owned()
            }
            (Ok(header), path) => match header.or(path).unwrap_or_default() {
                run if is_run(run) => return Ok(run),
                _ => one_run(),
            },
            (Err(Invalid), _) => one_run(),
        };
        let text = format!("{FLAG_RUN}: {remedy}\n");
        Err(Box::new(text_response(StatusCode::BAD_REQUEST, text)))
    }
}

/// What the planner knows a request by, and the hop of a chain of redirects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity<'r> {
    pub(super) key: RequestKey<'r>,
    /// 0 for a request that no redirect led to.
    pub(super) hop: u32,
    pub(super) attempt_from: AttemptFrom,
}

impl<'r> Identity<'r> {
    /// The identity of a request of this run. Counts the attempt if the client does not; without
    /// counters it is the first. `needed_until`: until then the run has a scenario of its own.
    ///
    /// # Errors
    /// With the answer to a request whose headers are invalid. It is not counted.
    pub(super) fn of(
        head: &RequestHead<'r>,
        run: &'r str,
        attempts: Option<&Attempts>,
        needed_until: Option<Instant>,
    ) -> Result<Self, Box<Complete>> {
        let numbered = attempt_of(head.headers.only(FLAG_ATTEMPT.as_str()))?;
        let (method, path) = (head.method, head.resource.path());
        let led_here = head.query.and_then(hop_of);
        let (hop, attempt, attempt_from) = match (led_here, numbered, attempts) {
            (Some((hop, attempt)), _, _) => (hop, attempt, AttemptFrom::Redirect),
            (None, Some(attempt), _) => (0, attempt, AttemptFrom::Header),
            (None, None, None) => (0, 1, AttemptFrom::Fixed),
            (None, None, Some(attempts)) => {
                let attempt = attempts.next(run, method, path, needed_until);
                (0, attempt, AttemptFrom::Counted)
            }
        };
        Ok(Self {
            key: RequestKey {
                run,
                method,
                path,
                attempt,
            },
            hop,
            attempt_from,
        })
    }

    /// The query of the next hop's target.
    pub(super) fn next_hop(&self) -> String {
        format!("{HOP}={}&{HOP_ATTEMPT}={}", self.hop + 1, self.key.attempt)
    }
}

/// Whether this can be the name of a run. The empty one is that of requests that name none.
pub(crate) fn is_run(name: &str) -> bool {
    name.len() <= MAX_RUN_LEN && visible_ascii(name.as_bytes()).is_some()
}

fn one_run() -> String {
    format!("name the run once, with at most {MAX_RUN_LEN} ASCII characters")
}

fn attempt_of(value: Result<Option<&str>, Invalid>) -> Result<Option<u32>, Box<Complete>> {
    let attempt = match value {
        Ok(None) => return Ok(None),
        Ok(Some(text)) => number(text),
        Err(Invalid) => None,
    };
    attempt.map(Some).ok_or_else(|| {
        let remedy = format!(
            "{FLAG_ATTEMPT}: number the attempt once, with 1, 2, …, {}\n",
            u32::MAX
        );
        Box::new(text_response(StatusCode::BAD_REQUEST, remedy))
    })
}

/// A number from 1, in the only way to write it.
fn number(text: &str) -> Option<u32> {
    let is_canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    text.parse().ok().filter(|_| is_canonical)
}

/// A header value of visible ASCII, spaces and tabs. No other value has a meaning.
fn visible_ascii(value: &[u8]) -> Option<&str> {
    let is_visible = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    let text = std::str::from_utf8(value).ok();
    text.filter(|_| value.iter().all(is_visible))
}

/// The hop and the attempt of a redirect's target. No other query has a meaning.
fn hop_of(query: &str) -> Option<(u32, u32)> {
    let (hop, attempt) = query.split_once('&')?;
    let hop = number(hop.strip_prefix(HOP)?.strip_prefix('=')?)?;
    let attempt = number(attempt.strip_prefix(HOP_ATTEMPT)?.strip_prefix('=')?)?;
    (hop < u32::MAX).then_some((hop, attempt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_target_of_a_redirect_is_parsed_as_one() {
        let identity = Identity {
            key: RequestKey {
                run: "",
                method: "GET",
                path: "/flags/br/br.gif",
                attempt: 7,
            },
            hop: 2,
            attempt_from: AttemptFrom::Header,
        };
        assert_eq!(hop_of(&identity.next_hop()), Some((3, 7)));
        for query in [
            "",
            "flag-hop=1",
            "flag-hop=0&flag-attempt=1",
            "flag-hop=1&flag-attempt=0",
            "flag-hop=x&flag-attempt=1",
            "flag-hop=+1&flag-attempt=1",
            "flag-hop=1&flag-attempt=01",
            "a=b&c=d",
        ] {
            assert_eq!(hop_of(query), None, "{query}");
        }
    }
}
