//! Who is asking for what, as far as decisions are concerned: run, method, path, attempt, and hop.

use std::borrow::Cow;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::attempts::Attempts;
use crate::scenario::{Headers, MAX_RUN_LEN, RequestKey};

/// Names the run, which isolates clients of one server from each other. Optional.
pub const FLAG_RUN: HeaderName = HeaderName::from_static("flag-run");
/// Numbers the attempt at a path, from 1. Optional: without it the server counts.
pub const FLAG_ATTEMPT: HeaderName = HeaderName::from_static("flag-attempt");

/// The parameters of a redirect's target.
const HOP: &str = "flag-hop";
const HOP_ATTEMPT: &str = "flag-attempt";

/// What the planner knows a request by, and the hop of a chain of redirects.
#[derive(Debug)]
pub(super) struct Identity<'r> {
    pub(super) run: &'r str,
    pub(super) method: &'r str,
    pub(super) path: Cow<'r, str>,
    pub(super) attempt: u32,
    /// 0 for a request that no redirect led to.
    pub(super) hop: u32,
}

/// A request whose headers make no sense, and the remedy.
pub(crate) type Refusal = (StatusCode, String);

/// What is known of a request, whoever has read it.
pub(crate) struct Asked<'r> {
    pub(crate) method: &'r str,
    pub(crate) path: &'r str,
    pub(crate) query: Option<&'r str>,
    pub(crate) headers: RequestHeaders<'r>,
}

/// The headers of a request, as whoever read it holds them.
#[derive(Clone, Copy)]
pub(crate) enum RequestHeaders<'r> {
    /// As hyper holds them.
    Map(&'r HeaderMap),
    /// As httparse holds them.
    Parsed(&'r [httparse::Header<'r>]),
}

impl<'r> RequestHeaders<'r> {
    /// The value of the first header of this name.
    fn bytes(self, name: &str) -> Option<&'r [u8]> {
        match self {
            Self::Map(headers) => headers.get(name).map(HeaderValue::as_bytes),
            Self::Parsed(headers) => {
                let mut headers = headers.iter();
                let header = headers.find(|header| header.name.eq_ignore_ascii_case(name))?;
                Some(header.value)
            }
        }
    }
}

impl Headers for RequestHeaders<'_> {
    fn value(&self, name: &str) -> Option<&str> {
        text(self.bytes(name)?)
    }
}

impl<'r, B> From<&'r Request<B>> for Asked<'r> {
    fn from(request: &'r Request<B>) -> Self {
        Self {
            method: request.method().as_str(),
            path: request.uri().path(),
            query: request.uri().query(),
            headers: RequestHeaders::Map(request.headers()),
        }
    }
}

impl<'r> Identity<'r> {
    /// The identity of a request at this canonical path. Counts the attempt if the client does not; where nobody counts, it is the first.
    pub(super) fn of(
        asked: &Asked<'r>,
        path: Cow<'r, str>,
        attempts: Option<&Attempts>,
    ) -> Result<Self, Refusal> {
        let run = run_of(asked.headers.bytes(FLAG_RUN.as_str()))?;
        let method = asked.method;
        let numbered = attempt_of(asked.headers.bytes(FLAG_ATTEMPT.as_str()))?;
        let hop = asked.query.and_then(hop_of);
        let (hop, attempt) = match (hop, numbered) {
            (Some((hop, attempt)), _) => (hop, attempt),
            (None, Some(attempt)) => (0, attempt),
            (None, None) => (
                0,
                attempts.map_or(1, |attempts| attempts.next(run, method, &path)),
            ),
        };
        Ok(Self {
            run,
            method,
            path,
            attempt,
            hop,
        })
    }

    /// The same again, of a request whose attempt was counted before.
    pub(super) fn known(asked: &Asked<'r>, attempt: u32, hop: u32) -> Self {
        Self {
            run: run_of(asked.headers.bytes(FLAG_RUN.as_str())).unwrap_or_default(),
            method: asked.method,
            path: canonical(asked.path).unwrap_or(asked.path.into()),
            attempt,
            hop,
        }
    }

    pub(super) fn key(&self) -> RequestKey<'_> {
        RequestKey {
            run: self.run,
            method: self.method,
            path: &self.path,
            attempt: self.attempt,
        }
    }

    /// The query of the next hop's target.
    pub(super) fn next_hop(&self) -> String {
        format!("{HOP}={}&{HOP_ATTEMPT}={}", self.hop + 1, self.attempt)
    }
}

/// The path by which the planner knows a request, or `None` where faults do not apply.
///
/// All the spellings that lead to one flag share one fate: `/data/flags/…` is `/flags/…`, and upper case
/// is lower case. The list itself (`/flags/`) is never faulted.
pub(super) fn canonical(path: &str) -> Option<Cow<'_, str>> {
    let path = path.strip_prefix("/data").unwrap_or(path);
    let below = path.strip_prefix("/flags/")?;
    if below.is_empty() {
        None
    } else if below.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Some(path.to_ascii_lowercase().into())
    } else {
        Some(path.into())
    }
}

fn run_of(value: Option<&[u8]>) -> Result<&str, Refusal> {
    let Some(value) = value else {
        return Ok("");
    };
    text(value)
        .filter(|run| run.len() <= MAX_RUN_LEN)
        .ok_or_else(|| {
            let remedy =
                format!("{FLAG_RUN}: name the run with at most {MAX_RUN_LEN} ASCII characters\n");
            (StatusCode::BAD_REQUEST, remedy)
        })
}

fn attempt_of(value: Option<&[u8]>) -> Result<Option<u32>, Refusal> {
    let Some(value) = value else {
        return Ok(None);
    };
    let attempt = text(value)
        .and_then(|text| text.parse().ok())
        .filter(|attempt| *attempt > 0);
    attempt.map(Some).ok_or_else(|| {
        let remedy = format!(
            "{FLAG_ATTEMPT}: number the attempt with 1, 2, …, {}\n",
            u32::MAX
        );
        (StatusCode::BAD_REQUEST, remedy)
    })
}

/// A header's value of characters that can be seen. All others are no text.
fn text(value: &[u8]) -> Option<&str> {
    let is_seen = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t');
    let text = std::str::from_utf8(value).ok();
    text.filter(|_| value.iter().all(is_seen))
}

/// The hop and the attempt of a redirect's target. Any other query means nothing here.
fn hop_of(query: &str) -> Option<(u32, u32)> {
    let (hop, attempt) = query.split_once('&')?;
    let hop = hop.strip_prefix(HOP)?.strip_prefix('=')?.parse().ok()?;
    let attempt = attempt
        .strip_prefix(HOP_ATTEMPT)?
        .strip_prefix('=')?
        .parse()
        .ok()?;
    (hop > 0 && hop < u32::MAX && attempt > 0).then_some((hop, attempt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_path_has_the_same_canonical_form() {
        for path in [
            "/flags/br/br.gif",
            "/data/flags/br/br.gif",
            "/flags/BR/BR.gif",
            "/data/flags/Br/bR.GIF",
        ] {
            assert_eq!(
                canonical(path).as_deref(),
                Some("/flags/br/br.gif"),
                "{path}"
            );
        }
    }

    #[test]
    fn faults_apply_to_nothing_but_the_paths_below_flags() {
        for path in [
            "/",
            "/healthz",
            "/flags",
            "/flags/",
            "/data/flags/",
            "/data/healthz",
            "/dataflags/br",
        ] {
            assert_eq!(canonical(path), None, "{path}");
        }
        assert!(canonical("/flags/xx/no/such/thing").is_some());
    }

    #[test]
    fn the_target_of_a_redirect_is_read_back_and_nothing_else_is() {
        let identity = Identity {
            run: "",
            method: "GET",
            path: "/flags/br/br.gif".into(),
            attempt: 7,
            hop: 2,
        };
        assert_eq!(hop_of(&identity.next_hop()), Some((3, 7)));
        for query in [
            "",
            "flag-hop=1",
            "flag-hop=0&flag-attempt=1",
            "flag-hop=1&flag-attempt=0",
            "flag-hop=x&flag-attempt=1",
            "a=b&c=d",
        ] {
            assert_eq!(hop_of(query), None, "{query}");
        }
    }
}
