//! What was received, decided and sent: one record for each request.

use std::fmt::Write as _;
use std::time::Instant;

use flags_data::Digest;
use serde::Serialize;

use crate::scenario::{Ending, Plan, RequestKey};

/// One request: what was decided, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// The run.
    pub run: String,
    /// The method.
    pub method: String,
    /// The path in its canonical form.
    pub path: String,
    /// The attempt, as the client or the server counted it; 0 for a request that meets no faults,
    /// as one for the list of the flags.
    pub attempt: u32,
    /// 0, or the place in a chain of redirects.
    pub hop: u32,
    /// What was decided.
    pub plan: Plan,
    /// What was sent.
    pub sent: Sent,
    /// How much later than planned the response began, in milliseconds; none if it never began.
    pub late_ms: Option<f64>,
    /// When things happened; not in a file, whose lines are the same in every run but for the
    /// lateness.
    #[serde(skip)]
    pub times: Times,
    /// What else is known of the request; not in a file either. Empty where records are not kept
    /// in memory.
    #[serde(skip)]
    pub request: ReceivedRequest,
}

/// What is known of a request beside what its decision depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedRequest {
    /// The version of HTTP.
    pub protocol: Protocol,
    /// The number of its connection, from 1, in the order in which the listener accepted them.
    pub connection: u64,
    /// Its number on that connection, from 1.
    pub number: u32,
    /// Who numbered the attempt.
    pub attempt_from: AttemptFrom,
    /// What follows the first `?` of the target.
    pub query: Option<Box<str>>,
    /// The headers. Those that are secret are replaced by their length.
    pub headers: ReceivedHeaders,
    /// The body of an upload. Other bodies are not read.
    pub body: Option<Box<ReceivedBody>>,
}

/// A version of HTTP.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.0.
    #[serde(rename = "HTTP/1.0")]
    Http10,
    /// HTTP/1.1.
    #[default]
    #[serde(rename = "HTTP/1.1")]
    Http11,
    /// HTTP/2.
    #[serde(rename = "HTTP/2")]
    Http2,
}

/// Who numbered an attempt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptFrom {
    /// Nobody: the request meets no faults, or was refused.
    #[default]
    None,
    /// The client, with the header `flag-attempt`.
    Header,
    /// The server counted.
    Counted,
    /// The scenario: every attempt is the first (`count_attempts = false`).
    Fixed,
    /// The redirect that led to the request.
    Redirect,
}

/// A body that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedBody {
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Digest,
}

/// The headers of a request, with names in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReceivedHeaders(
    /// A line for each, `name:value`. There is neither a colon in a name nor the end of a line in a
    /// value.
    Box<str>,
);

/// Headers whose values let who knows them act for somebody.
const SECRET: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

impl ReceivedHeaders {
    /// What is not UTF-8 in a value is replaced.
    pub(crate) fn of<'h>(headers: impl Iterator<Item = (&'h str, &'h [u8])>) -> Self {
        // As much as most clients send.
        let mut lines = String::with_capacity(256);
        for (name, value) in headers {
            let start = lines.len();
            lines.push_str(name);
            lines[start..].make_ascii_lowercase();
            if SECRET.contains(&&lines[start..]) {
                let len = value.len();
                write!(lines, ":({len} bytes)").expect("writing to a string does not fail");
            } else {
                lines.push(':');
                lines.push_str(&String::from_utf8_lossy(value));
            }
            lines.push('\n');
        }
        Self(lines.into())
    }

    /// Name and value of each. Those of one name are in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (self.0.lines()).filter_map(|line| line.split_once(':'))
    }

    /// The value of the first one of this name, which is in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut headers = self.iter();
        headers.find_map(|(found, value)| (found == name).then_some(value))
    }
}

/// When things happened to a request, by the clock of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Its head had arrived.
    pub received: Instant,
    /// The response began; none if it never did.
    pub begun: Option<Instant>,
    /// All was over.
    pub ended: Instant,
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// The status, if there was a head.
    pub status: Option<u16>,
    /// The bytes of the body that were handed to the connection. A client that leaves in the middle
    /// may not have got them all.
    pub bytes: u64,
    /// How it ended.
    pub end: End,
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// All of it was handed to the connection.
    Whole,
    /// With a TCP RST (on HTTP/2: with an RST_STREAM).
    Reset,
    /// With a FIN (on HTTP/2: with an RST_STREAM).
    Closed,
    /// With bytes that are not HTTP.
    Garbage,
    /// The client left before that, or the server stopped.
    Left,
}

impl Record {
    /// That of a request of which nothing has been sent.
    pub(crate) fn begun(
        key: &RequestKey<'_>,
        hop: u32,
        plan: Plan,
        received: Instant,
        request: ReceivedRequest,
    ) -> Self {
        Self {
            run: key.run.to_owned(),
            method: key.method.to_owned(),
            path: key.path.to_owned(),
            attempt: key.attempt,
            hop,
            plan,
            sent: Sent {
                status: None,
                bytes: 0,
                end: End::Left,
            },
            late_ms: None,
            times: Times {
                received,
                begun: None,
                ended: received,
            },
            request,
        }
    }

    /// The memory that it takes where it is kept, in bytes. A queue may have as much room again.
    pub(crate) fn bytes(&self) -> usize {
        let drawn = match &self.plan.ending {
            Some(Ending::Corrupt { draws }) => size_of_val(&draws[..]),
            Some(Ending::Garbage { bytes, .. }) => bytes.len(),
            _ => 0,
        };
        let texts = self.run.len() + self.method.len() + self.path.len();
        2 * size_of::<Self>()
            + texts
            + drawn
            + size_of_val(&self.plan.rules[..])
            + self.request.bytes()
    }
}

impl ReceivedRequest {
    /// The memory that it takes elsewhere, in bytes.
    fn bytes(&self) -> usize {
        let query = self.query.as_ref().map_or(0, |query| query.len());
        let body = self.body.as_ref().map_or(0, |body| size_of_val(&**body));
        query + self.headers.0.len() + body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_lower_case_names_and_no_secrets() {
        let headers = [
            ("User-Agent", &b"x: y"[..]),
            ("Cookie", b"a=b; c=d"),
            ("AUTHORIZATION", b"Bearer abc"),
            ("proxy-authorization", b""),
            ("x", b"1"),
            ("x", b"\xff"),
        ];
        let headers = ReceivedHeaders::of(headers.into_iter());
        let found: Vec<_> = headers.iter().collect();
        assert_eq!(
            found,
            [
                ("user-agent", "x: y"),
                ("cookie", "(8 bytes)"),
                ("authorization", "(10 bytes)"),
                ("proxy-authorization", "(0 bytes)"),
                ("x", "1"),
                ("x", "\u{fffd}"),
            ]
        );
        assert_eq!((headers.get("x"), headers.get("y")), (Some("1"), None));
    }
}
