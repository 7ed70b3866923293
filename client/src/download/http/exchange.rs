//! The result of one GET, with any HTTP library: the head, the body, and when each arrived.

use std::time::{Duration, Instant, SystemTime};

use ::hyper::{HeaderMap, StatusCode};
use ::reqwest::Url;
use bytes::Bytes;
use flag_server::FLAG_PLAN;

use crate::download::error::AttemptError;
use crate::download::retry;

/// The limit of reqwest.
pub(crate) const MAX_REDIRECTS: usize = 10;

pub(crate) const USER_AGENT: &str = concat!("flag-client/", env!("CARGO_PKG_VERSION"));

/// The result of one GET, complete or not.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The head of the response, if it arrived.
    pub(crate) head: Option<Head>,
    /// The complete body, or why there is none.
    pub(crate) body: Result<Bytes, AttemptError>,
    /// When the last byte arrived, or the failure was known.
    pub(crate) done: Instant,
}

#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) at: Instant,
    pub(crate) status: u16,
    /// `server-timing`: the delay that the server planned and held, the planned time of the body,
    /// and the time that its capacity took.
    pub(crate) plan: Option<Duration>,
    pub(crate) wait: Option<Duration>,
    pub(crate) body: Option<Duration>,
    pub(crate) capacity: Option<Duration>,
    /// `flag-plan`: the rules that the server applied.
    pub(crate) rules: Option<String>,
    /// `retry-after`: how long the server asks to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl Exchange {
    /// One that has just ended, of whose head only the status is known.
    pub(crate) fn bare<B: Into<Bytes>>(response: Result<(u16, B), AttemptError>) -> Self {
        let done = Instant::now();
        let head = |status| Head {
            at: done,
            status,
            plan: None,
            wait: None,
            body: None,
            capacity: None,
            rules: None,
            retry_after: None,
        };
        let (head, body) = match response {
            Ok((status, body)) => (Some(head(status)), Ok(body.into())),
            Err(error) => (None, Err(error)),
        };
        Self { head, body, done }
    }
}

/// The head of a response that has just arrived. The delay of a chain of redirects was held and
/// reported before the first of them: what the last response says of it is of no use.
pub(super) fn head(status: StatusCode, headers: &HeaderMap, is_redirected: bool) -> Head {
    let at = Instant::now();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let timing = text("server-timing").unwrap_or_default();
    let header = text("retry-after");
    let of_delay = |metric| server_timing(timing, metric).filter(|_| !is_redirected);
    Head {
        at,
        status: status.as_u16(),
        plan: of_delay("plan"),
        wait: of_delay("wait"),
        body: server_timing(timing, "body"),
        capacity: server_timing(timing, "capacity"),
        rules: text(FLAG_PLAN.as_str()).map(str::to_owned),
        retry_after: header.and_then(|header| retry::retry_after(header, SystemTime::now())),
    }
}

/// The target of a redirect; `None` if this is not one, or has no valid target, such as a file of
/// this machine. reqwest has the same rules for a GET.
pub(super) fn redirect(url: &str, status: StatusCode, headers: &HeaderMap) -> Option<String> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let location = headers.get("location")?.to_str().ok()?;
    let next = Url::parse(url).ok()?.join(location).ok()?;
    matches!(next.scheme(), "http" | "https").then(|| next.into())
}

pub(super) fn too_many_redirects() -> AttemptError {
    AttemptError::broken(format_args!("more than {MAX_REDIRECTS} redirects"))
}

/// rustls needs a default cryptography provider, once per process. A second call changes nothing.
pub(crate) fn install_crypto() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}

/// In the words of the book: `HTTP error 418 - I'm a teapot`.
pub(crate) fn http_error(status: u16) -> String {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason());
    format!("HTTP error {status} - {}", reason.unwrap_or("unknown"))
}

/// The duration of one metric of a `server-timing` header, which gives milliseconds.
fn server_timing(header: &str, metric: &str) -> Option<Duration> {
    header.split(',').find_map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        if parts.next() != Some(metric) {
            return None;
        }
        let millis: f64 = parts
            .find_map(|part| part.strip_prefix("dur="))?
            .parse()
            .ok()?;
        Duration::try_from_secs_f64(millis / 1e3).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_timing_header_is_read_to_the_microsecond() {
        let header = "plan;dur=812.331, wait;dur=812.402";
        assert_eq!(
            server_timing(header, "plan"),
            Some(Duration::from_micros(812_331))
        );
        assert_eq!(
            server_timing(header, "wait"),
            Some(Duration::from_micros(812_402))
        );
    }

    #[test]
    fn a_server_timing_header_without_the_metric_is_ignored() {
        for header in [
            "",
            "cache;desc=hit",
            "plan",
            "plan;dur=x",
            "plan;dur=-1",
            "plan;dur=NaN",
            "planned;dur=1",
        ] {
            assert_eq!(server_timing(header, "plan"), None, "{header}");
        }
    }
}
