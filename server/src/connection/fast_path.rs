//! The express lane: the usual request for a flag, answered without all that HTTP can be.
//!
//! Most requests are a GET for a flag with headers that change nothing, and the fate of most is to get it, at once or after a delay. Those are
//! answered here. A head is looked at where it lies, in memory that all connections of a thread read into; an answer is two pieces of bytes,
//! most of which have been there since the start. So a request that waits holds next to nothing.
//!
//! Whatever is not of that kind leaves the lane, with all that has been read and decided, for hyper, and its connection never comes back. The
//! lane decides no fate, and knows no fault but the delay.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use http_body_util::BodyExt;
use httparse::{Header, ParserConfig, Status};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;

use crate::fault::{Asked, Chaos, Fate, FaultyStream, RequestHeaders};
use crate::record::Entry;
use crate::site::{App, ServedFile, line};

/// What a thread reads at once. A head that is longer is not usual.
const BUFFER: usize = 16 * 1024;

/// Nor is one with more headers.
const MAX_HEADERS: usize = 32;

thread_local! {
    /// Of use between a read and the look at what was read, and to nobody longer.
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
    /// The second that it was last, and what it is called in a head.
    static DATE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

/// Headers that change what the answer is, or what follows it.
const UNUSUAL: [&str; 13] = [
    "content-length",
    "expect",
    "http2-settings",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where a connection that leaves the lane goes on.
pub(crate) struct Elsewhere {
    pub(crate) stream: FaultyStream,
    /// What was decided of the request whose bytes the stream begins with.
    pub(crate) fate: Option<Fate>,
}

/// What was read.
enum Order<'a> {
    /// Nothing: the client has gone.
    Over,
    /// A part of a head.
    Beginning(Vec<u8>),
    /// A request that can be answered here.
    Flag(&'a ServedFile, Fate, Entry),
    /// Something else.
    Other(Bytes, Option<Fate>),
}

/// Answers what it can, until the client or the server has had enough, or something else is wanted: then that is returned.
///
/// # Errors
/// Those of the stream.
pub(crate) async fn drive(
    mut stream: FaultyStream,
    app: &App,
    stop: impl Future<Output = Instant>,
    head_timeout: Duration,
) -> io::Result<Option<Elsewhere>> {
    let mut stop = pin!(stop);
    let mut patience = pin!(sleep(head_timeout));
    let mut beginning = Vec::new();
    loop {
        let order = tokio::select! {
            biased;
            order = poll_fn(|cx| poll_order(&mut stream, &beginning, app, cx)) => order?,
            () = patience.as_mut() => Order::Over,
            _ = stop.as_mut() => Order::Over,
        };
        match order {
            Order::Over => return Ok(None),
            Order::Beginning(bytes) => {
                beginning = bytes;
                continue;
            }
            Order::Other(bytes, fate) => {
                stream.put_back(bytes);
                return Ok(Some(Elsewhere { stream, fate }));
            }
            Order::Flag(file, fate, entry) => {
                if !serve(&mut stream, app.chaos(), file, &fate, entry).await? {
                    return Ok(None);
                }
            }
        }
        beginning = Vec::new();
        if let Some(end) = tokio::time::Instant::now().checked_add(head_timeout) {
            patience.as_mut().reset(end);
        }
    }
}

/// Reads a request that begins with what was read of it before.
fn poll_order<'a>(
    stream: &mut FaultyStream,
    beginning: &[u8],
    app: &'a App,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Order<'a>>> {
    READ.with_borrow_mut(|buffer| {
        let mut read = ReadBuf::new(buffer);
        read.put_slice(beginning);
        ready!(Pin::new(stream).poll_read(cx, &mut read))?;
        let is_over = read.filled().len() == beginning.len();
        Poll::Ready(Ok(if is_over {
            Order::Over
        } else {
            order(app, read.filled())
        }))
    })
}

/// What these bytes ask for.
fn order<'a>(app: &'a App, data: &[u8]) -> Order<'a> {
    let other = |fate| Order::Other(Bytes::copy_from_slice(data), fate);
    let mut headers = [MaybeUninit::uninit(); MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let parsed =
        ParserConfig::default().parse_request_with_uninit_headers(&mut request, data, &mut headers);
    match parsed {
        Ok(Status::Complete(length)) if length == data.len() => {}
        Ok(Status::Partial) if data.len() < BUFFER => return Order::Beginning(data.to_vec()),
        _ => return other(None),
    }
    let (Some("GET"), Some(path), Some(1)) = (request.method, request.path, request.version) else {
        return other(None);
    };
    let Some(file) = app
        .file(path)
        .filter(|_| request.headers.iter().all(is_usual))
    else {
        return other(None);
    };
    let asked = Asked {
        method: "GET",
        path,
        query: None,
        headers: RequestHeaders::Parsed(request.headers),
    };
    match app.chaos().decide(&asked) {
        Some(Ok(fate)) if app.chaos().only_delays(&fate) => {
            let entry = app.chaos().entry(&asked, &fate);
            Order::Flag(file, fate, entry)
        }
        Some(Ok(fate)) => other(Some(fate)),
        // It is refused again, in the words that are for that.
        Some(Err(_)) | None => other(None),
    }
}

fn is_usual(header: &Header<'_>) -> bool {
    if header.name.eq_ignore_ascii_case("connection") {
        return header.value.eq_ignore_ascii_case(b"keep-alive");
    }
    UNUSUAL
        .iter()
        .all(|unusual| !header.name.eq_ignore_ascii_case(unusual))
}

/// Holds the delay and sends the flag; false when nothing more is to be answered on this connection.
async fn serve(
    stream: &mut FaultyStream,
    chaos: &Chaos,
    file: &ServedFile,
    fate: &Fate,
    mut entry: Entry,
) -> io::Result<bool> {
    let waited = tokio::select! {
        biased;
        waited = chaos.hold(fate) => waited,
        () = stream.left() => return Ok(false),
    };
    let mut head = Vec::with_capacity(file.head().len() + 256);
    let (body, is_last) = match waited {
        Ok(waited) => {
            entry.begun(waited.saturating_sub(fate.delay()));
            entry.status(StatusCode::OK);
            head.extend(file.head());
            fate.tell(waited, |name, value| line(&mut head, name.as_str(), value));
            let is_last = chaos.is_closing();
            if is_last {
                head.extend(b"connection: close\r\n");
            }
            (file.body().clone(), is_last)
        }
        Err(refusal) => {
            entry.status(refusal.status());
            (write_refusal(&mut head, refusal).await, true)
        }
    };
    head.extend(b"date: ");
    write_date(&mut head);
    head.extend(b"\r\n\r\n");
    entry.sent(body.len());
    entry.whole();
    drop(entry); // it is written: whoever has the answer may look for it at once
    write_all(stream, &head, &body).await?;
    Ok(!is_last)
}

/// The head of a refusal, without its last empty line; and its body.
async fn write_refusal(head: &mut Vec<u8>, refusal: Response) -> Bytes {
    let (parts, body) = refusal.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes());
    let body = body.unwrap_or_default();
    head.extend(
        format!(
            "HTTP/1.1 {}\r\ncontent-length: {}\r\n",
            parts.status,
            body.len()
        )
        .bytes(),
    );
    for (name, value) in &parts.headers {
        line(head, name.as_str(), value);
    }
    body
}

/// Two pieces with as few calls as the system needs.
async fn write_all(stream: &mut FaultyStream, mut head: &[u8], mut body: &[u8]) -> io::Result<()> {
    while !head.is_empty() || !body.is_empty() {
        let pieces = [IoSlice::new(head), IoSlice::new(body)];
        let written = poll_fn(|cx| Pin::new(&mut *stream).poll_write_vectored(cx, &pieces)).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let of_head = written.min(head.len());
        head = &head[of_head..];
        body = &body[written - of_head..];
    }
    Ok(())
}

/// It changes once a second, and is wanted more often.
fn write_date(head: &mut Vec<u8>) {
    let now = SystemTime::now();
    let second = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    DATE.with_borrow_mut(|(last, text)| {
        if *last != second || text.is_empty() {
            (*last, *text) = (second, httpdate::fmt_http_date(now));
        }
        head.extend(text.as_bytes());
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flags_data::Catalogue;

    use super::*;
    use crate::connection::Closing;
    use crate::scenario::Scenario;
    use crate::site::Site;

    /// What becomes of a request with these lines between the first and the last.
    fn taken(scenario: &str, first: &str, lines: &str) -> bool {
        let site = Arc::new(Site::new(&Catalogue::embedded()));
        let scenario = Scenario::from_toml(scenario).unwrap();
        let app = App::new(site, &scenario, Arc::default(), Arc::new(Closing::new()));
        let head = format!("{first}\r\nHost: x\r\n{lines}\r\n");
        matches!(order(&app, head.as_bytes()), Order::Flag(..))
    }

    const GET: &str = "GET /flags/br/br.gif HTTP/1.1";

    #[test]
    fn the_requests_of_usual_clients_take_the_lane() {
        for lines in [
            "", // wrk
            "User-Agent: curl/7.88.1\r\nAccept: */*\r\n",
            "user-agent: x\r\naccept: */*\r\naccept-encoding: gzip, deflate\r\nconnection: keep-alive\r\n", // requests, httpx
            "Accept: */*\r\nAccept-Encoding: gzip\r\nUser-Agent: Python/3.11 aiohttp/3\r\n",
            "accept: */*\r\nuser-agent: x\r\nflag-attempt: 2\r\nflag-run: a\r\n",
        ] {
            assert!(taken("", GET, lines), "{lines}");
        }
        assert!(taken("", "GET /flags/br/metadata.json HTTP/1.1", ""));
    }

    #[test]
    fn whatever_else_is_asked_for_leaves_it() {
        for first in [
            "HEAD /flags/br/br.gif HTTP/1.1",
            "GET /flags/br/br.gif HTTP/1.0",
            "GET /flags/br/br.gif?x HTTP/1.1",
            "GET /flags/xx/xx.gif HTTP/1.1",
            "GET /flags/ HTTP/1.1",
            "GET http://x/flags/br/br.gif HTTP/1.1",
        ] {
            assert!(!taken("", first, ""), "{first}");
        }
        for unusual in UNUSUAL {
            assert!(!taken("", GET, &format!("{unusual}: 1\r\n")), "{unusual}");
        }
        for lines in [
            "connection: close\r\n",
            "flag-attempt: 0\r\n",
            "x: y\r\n\r\nGET",
        ] {
            assert!(!taken("", GET, lines), "{lines}");
        }
    }

    #[test]
    fn a_delay_is_all_that_is_held_in_it() {
        let rule = |fault: &str| taken(&format!("rule = [{{ {fault} }}]"), GET, "");
        assert!(rule(
            "fault = \"latency\", distribution = { fixed = \"1s\" }"
        ));
        assert!(!rule("fault = \"status\", status = 418"));
        assert!(!rule("fault = \"bandwidth\", rate = \"1000B\""));
    }
}
