//! The fast path: a GET for a flag with usual headers, on plain HTTP/1.1, is answered without hyper
//! and without axum.
//!
//! A head is parsed where it lies, in a buffer that all connections of a thread read into; the head
//! and the body of a file exist since the start. So a request that waits holds next to nothing.
//! What happens to a request is the [`FaultInjector`]'s business, as it is for hyper's encoder;
//! only the writing is different.
//!
//! A request of any other kind is handed to hyper before anything is decided about it, and its
//! connection stays there.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use axum::http::{HeaderName, StatusCode};
use bytes::Bytes;
use flag_host::clock::{self, sleep_until};
use flag_host::http_time;
use flags_data::Resource;
use httparse::{Header, ParserConfig, Status};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::sleep;

use super::{cors, host};
use crate::app::App;
use crate::fault::{
    ConnectionHandle, Decision, FaultInjector, FaultyStream, Injection, Reply, RequestHead,
    RequestHeaders, Respond, shape,
};
use crate::record::Protocol;
use crate::record_log::RecordGuard;
use crate::response::Complete;
use crate::scenario::ConnectionFault;
use crate::site::{ServedFile, write_header};

/// What a thread reads at once, and so the longest head that is handled here, in bytes.
const BUFFER: usize = 16 * 1024;

/// The most headers that are handled here.
const MAX_HEADERS: usize = 32;

thread_local! {
    /// In use only between a read and the parsing of what was read.
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; BUFFER]);
    /// The last second for which a date was written, and its text.
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

/// What was read.
enum Parsed<'a> {
    /// Nothing: the client sends no more, and has its answers.
    Closed,
    /// A part of a head.
    Partial(Vec<u8>),
    /// A request that is answered here.
    Flag(&'a ServedFile, Box<Decision>),
    /// A request of another kind.
    Other(Bytes),
}

/// Answers requests until the client or the server ends the connection. Returns the stream if a
/// request has come that is hyper's: it begins with that request.
///
/// # Errors
/// Those of the stream, and a planned break.
pub(super) async fn drive(
    mut stream: FaultyStream,
    app: &App,
    stop: impl Future<Output = Instant>,
    head_timeout: Duration,
) -> io::Result<Option<FaultyStream>> {
    let mut stop = pin!(stop);
    let mut timeout = pin!(sleep(head_timeout));
    let mut partial = Vec::new();
    loop {
        let parsed = tokio::select! {
            biased;
            parsed = poll_fn(|cx| poll_request(&mut stream, &partial, app, cx)) => parsed?,
            () = timeout.as_mut() => Parsed::Closed,
            _ = stop.as_mut() => Parsed::Closed,
        };
        match parsed {
            Parsed::Closed => return Ok(None),
            Parsed::Partial(bytes) => {
                partial = bytes;
                continue;
            }
            Parsed::Other(bytes) => {
                stream.put_back(bytes);
                return Ok(Some(stream));
            }
            Parsed::Flag(file, decision) => {
                if !answer(&mut stream, app, file, *decision).await? {
                    return Ok(None);
                }
            }
        }
        partial = Vec::new();
        if let Some(end) = tokio::time::Instant::now().checked_add(head_timeout) {
            timeout.as_mut().reset(end);
        }
    }
}

/// Reads a request that begins with what was read of it before.
fn poll_request<'a>(
    stream: &mut FaultyStream,
    partial: &[u8],
    app: &'a App,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Parsed<'a>>> {
    READ.with_borrow_mut(|buffer| {
        let mut read = ReadBuf::new(buffer);
        read.put_slice(partial);
        ready!(Pin::new(&mut *stream).poll_read(cx, &mut read))?;
        let is_closed = read.filled().len() == partial.len();
        Poll::Ready(Ok(if is_closed {
            Parsed::Closed
        } else {
            parse(app, stream.handle(), read.filled())
        }))
    })
}

/// What these bytes are. A request that is answered here has been decided then.
fn parse<'a>(app: &'a App, connection: &ConnectionHandle, data: &[u8]) -> Parsed<'a> {
    let other = || Parsed::Other(Bytes::copy_from_slice(data));
    let mut headers = [MaybeUninit::uninit(); MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    let parsed =
        ParserConfig::default().parse_request_with_uninit_headers(&mut request, data, &mut headers);
    match parsed {
        Ok(Status::Complete(length)) if length == data.len() => {}
        Ok(Status::Partial) if data.len() < BUFFER => return Parsed::Partial(data.to_vec()),
        _ => return other(),
    }
    let (Some("GET"), Some(target), Some(1)) = (request.method, request.path, request.version)
    else {
        return other();
    };
    let resource = Resource::parse(target);
    // hyper is stricter about the characters of a target. All those of a file's canonical path are
    // allowed.
    let file = (app.site.file(&resource)).filter(|_| resource.is_canonical_below_prefix(target));
    let Some(file) = file.filter(|_| request.headers.iter().all(is_usual)) else {
        return other();
    };
    let hosts = request.headers.iter();
    let hosts = hosts.filter(|header| header.name.eq_ignore_ascii_case("host"));
    if !host::is_valid(hosts.map(|header| header.value), true) {
        return other();
    }
    let decided = app.injector.decide(&RequestHead {
        connection,
        protocol: Protocol::Http11,
        method: "GET",
        resource: &resource,
        query: None,
        headers: RequestHeaders::Parsed(request.headers),
        file: Some(file.headers()),
    });
    match decided {
        Ok(decision) => Parsed::Flag(file, Box::new(decision)),
        // Nothing was counted: hyper's encoder comes to the same refusal, and writes it.
        Err(_) => other(),
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

/// Applies the decision; false when no more requests are to be answered on this connection.
async fn answer(
    stream: &mut FaultyStream,
    app: &App,
    file: &ServedFile,
    decision: Decision,
) -> io::Result<bool> {
    let injector = &app.injector;
    let reply = tokio::select! {
        biased;
        reply = injector.apply(decision) => reply,
        () = stream.left() => return Ok(false),
    };
    match reply {
        Reply::Refuse(refusal, mut record) => {
            record.status(refusal.status());
            let mut head = Vec::with_capacity(256);
            write_head(&mut head, &refusal);
            write_length(&mut head, &refusal);
            let is_last = refusal.headers().contains_key("connection");
            finish_head(&mut head, app, false);
            send(stream, &head, refusal.body(), record).await?;
            Ok(!is_last)
        }
        Reply::Break(fault, record) => break_connection(stream, fault, record).await,
        Reply::Respond(mut respond) => {
            let is_last = injector.shutdown().is_requested();
            let own = respond.response.take();
            let mut head = Vec::with_capacity(file.head(false).len() + 256);
            let body = match &own {
                Some(response) => {
                    respond.record.status(response.status());
                    write_head(&mut head, response);
                    response.body()
                }
                None => {
                    respond.record.status(StatusCode::OK);
                    head.extend(file.head(respond.is_corrupted()));
                    file.body()
                }
            };
            let planned = if body.is_empty() {
                None
            } else {
                respond.body_time(body.len() as u64)
            };
            let write = |name: HeaderName, value: &_| write_header(&mut head, name.as_str(), value);
            respond.report.write(planned, write);
            if let Some(response) = &own {
                write_length(&mut head, response);
            }
            finish_head(&mut head, app, is_last);
            if respond.is_complete() || body.is_empty() {
                send(stream, &head, body, respond.record).await?;
                return Ok(!is_last);
            }
            // Elsewhere in memory: most requests that wait do not need it.
            Box::pin(send_shaped(stream, injector, head, body, respond)).await?;
            Ok(!is_last)
        }
    }
}

/// Sends a complete response.
async fn send(
    stream: &mut FaultyStream,
    head: &[u8],
    body: &[u8],
    mut record: RecordGuard,
) -> io::Result<()> {
    record.sent(body.len());
    if record.is_kept() && stream.has_finished() {
        write_all(stream, head, body).await?;
        return stream.complete(record);
    }
    record.whole();
    drop(record); // it is written: a client that has the answer may read the record at once
    write_all(stream, head, body).await
}

/// Sends a response whose body is paced, changed, or cut.
///
/// # Errors
/// Those of the stream, and a planned break.
async fn send_shaped(
    stream: &mut FaultyStream,
    injector: &FaultInjector,
    head: Vec<u8>,
    body: &Bytes,
    respond: Respond,
) -> io::Result<()> {
    let Respond {
        pace,
        ending,
        mut record,
        ..
    } = respond;
    let (mut rest, end) = shape(ending.as_ref(), body);
    let len = body.len() as u64;
    let shutdown = injector.shutdown();
    let mut deadline = shutdown.deadline();
    let (start, mut sent, mut has_waited) = (clock::now(), 0, false);
    let mut head = &head[..];
    while !rest.is_empty() {
        let (piece_end, due) = pace.piece(len, sent);
        let due = start + due;
        if due > clock::now() {
            has_waited = true;
            write_all(stream, std::mem::take(&mut head), &[]).await?;
            // When the server stops, the pieces that are not due by then are sent then.
            let mut sleep = sleep_until(due);
            let wait = poll_fn(|cx| {
                let due = deadline.poll(cx).map_or(due, |last| due.min(last));
                if sleep.deadline() != due {
                    sleep.reset(due);
                }
                Pin::new(&mut sleep).poll(cx)
            });
            tokio::select! {
                biased;
                () = wait => {}
                () = stream.left() => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let piece = rest.split_to(((piece_end - sent) as usize).min(rest.len()));
        sent += piece.len() as u64;
        record.sent(piece.len());
        if rest.is_empty() && end.is_none() {
            // It is written before the last byte is sent, unless the client may be gone.
            if record.is_kept() && !stream.has_finished() {
                record.whole();
                record = RecordGuard::default();
            }
            if has_waited && shutdown.is_requested() {
                shutdown.count_answered();
            }
        }
        write_all(stream, std::mem::take(&mut head), &piece).await?;
    }
    if let Some(fault) = end {
        write_all(stream, head, &[]).await?;
        break_connection(stream, fault, record).await?;
    } else if record.is_kept() {
        stream.complete(record)?;
    }
    Ok(())
}

/// Breaks the connection as planned.
///
/// # Errors
/// Always, when it is time to drop the stream.
async fn break_connection(
    stream: &mut FaultyStream,
    fault: ConnectionFault,
    record: RecordGuard,
) -> io::Result<bool> {
    // The stream's own handle always has a connection to break.
    (stream.handle().schedule(Injection { fault, record })).ok();
    stream.flush().await?;
    Ok(false)
}

/// The head of a response that is not a file, without its length.
fn write_head(head: &mut Vec<u8>, response: &Complete) {
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or("<none>");
    head.extend(format!("HTTP/1.1 {} {reason}\r\n", status.as_u16()).bytes());
    for (name, value) in response.headers() {
        write_header(head, name.as_str(), value);
    }
}

/// The length of a response that is not a file.
fn write_length(head: &mut Vec<u8>, response: &Complete) {
    let status = response.status();
    // RFC 9110, section 8.6: forbidden on a 204; on a 304 it would be the length of what was not
    // sent.
    if !matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        head.extend(format!("content-length: {}\r\n", response.body().len()).bytes());
    }
}

/// The end of a head.
fn finish_head(head: &mut Vec<u8>, app: &App, is_last: bool) {
    if app.has_cors {
        cors::write_lines(head);
    }
    if is_last {
        head.extend(b"connection: close\r\n");
    }
    head.extend(b"date: ");
    write_date(head);
    head.extend(b"\r\n\r\n");
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

/// Formatted once a second.
fn write_date(head: &mut Vec<u8>) {
    let now = http_time(SystemTime::now());
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
    use crate::scenario::Scenario;
    use crate::shutdown::Shutdown;
    use crate::site::Site;

    /// Whether a request with these lines between the first and the last is answered here.
    fn is_taken(first: &str, lines: &str) -> bool {
        let injector = FaultInjector::new(
            &Scenario::faultless(),
            false,
            Arc::default(),
            Arc::new(Shutdown::new()),
        );
        let app = App {
            site: Site::new(&Catalogue::embedded()),
            injector: Arc::new(injector),
            counts: Arc::default(),
            has_cors: false,
        };
        let head = format!("{first}\r\nHost: x\r\n{lines}\r\n");
        let connection = ConnectionHandle::new(1);
        matches!(parse(&app, &connection, head.as_bytes()), Parsed::Flag(..))
    }

    const GET: &str = "GET /flags/br/br.gif HTTP/1.1";

    #[test]
    fn the_requests_of_common_clients_take_the_fast_path() {
        for lines in [
            "", // wrk
            "User-Agent: curl/7.88.1\r\nAccept: */*\r\n",
            "user-agent: x\r\naccept: */*\r\naccept-encoding: gzip, deflate\r\nconnection: keep-alive\r\n", // requests, httpx
            "Accept: */*\r\nAccept-Encoding: gzip\r\nUser-Agent: Python/3.11 aiohttp/3\r\n",
            "accept: */*\r\nuser-agent: x\r\nflag-attempt: 2\r\nflag-run: a\r\n",
        ] {
            assert!(is_taken(GET, lines), "{lines}");
        }
        assert!(is_taken("GET /flags/br/metadata.json HTTP/1.1", ""));
    }

    #[test]
    fn every_other_request_leaves_it() {
        for first in [
            "HEAD /flags/br/br.gif HTTP/1.1",
            "GET /flags/br/br.gif HTTP/1.0",
            "GET /flags/br/br.gif?x HTTP/1.1",
            "GET /flags/BR/BR.gif HTTP/1.1",
            "GET /flags/%62r/br.gif HTTP/1.1",
            "GET /flags/xx/xx.gif HTTP/1.1",
            "GET /flags/ HTTP/1.1",
            "GET http://x/flags/br/br.gif HTTP/1.1",
        ] {
            assert!(!is_taken(first, ""), "{first}");
        }
        for unusual in UNUSUAL {
            assert!(!is_taken(GET, &format!("{unusual}: 1\r\n")), "{unusual}");
        }
        for lines in [
            "connection: close\r\n",
            "flag-attempt: 0\r\n",
            "x: y\r\n\r\nGET",
            "host: x\r\n",
        ] {
            assert!(!is_taken(GET, lines), "{lines}");
        }
    }
}
