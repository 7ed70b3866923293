//! The effects on a body: its pace, flipped bits, and an end before its end.
//!
//! Every body here is in memory, so its whole schedule is known when it begins: pieces, and when each is due
//! since then. A piece that is late does not delay those after it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderValue, Method};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;

use super::connection::{Broken, ConnectionEnd, ConnectionHandle};
use crate::clock::{Sleep, sleep_until};
use crate::journal::Entry;
use crate::scenario::{Ending, Pace, Plan};

/// What one piece of a limited rate lasts: short enough for an even flow, long enough to cost nothing.
const PIECES_PER_SECOND: u64 = 200;
const LARGEST_PIECE: u64 = 16 * 1024;

/// A body that comes as planned.
struct FaultyBody {
    /// What is still to be sent.
    rest: Bytes,
    pace: Schedule,
    end: BodyEnd,
    connection: ConnectionHandle,
    /// When the body began: at the first poll.
    start: Option<Instant>,
    sleep: Option<Sleep>,
    stalled_until: Option<Instant>,
    sent: u64,
    /// How often the connection had been flushed when the last piece was handed over.
    flushes: Option<u64>,
    entry: Entry,
}

/// What comes after the last byte that is sent.
#[derive(Debug)]
enum BodyEnd {
    /// The body is complete.
    Whole,
    /// The connection breaks.
    Break(ConnectionEnd),
    /// Silence, and then the connection is closed.
    Stall { hold: Option<Duration> },
}

/// The response with its body as planned. A response without a body is left alone: there is nothing to cut.
pub(super) async fn shape(
    response: Response,
    method: &Method,
    plan: &Plan,
    connection: &ConnectionHandle,
    mut entry: Entry,
) -> Response {
    let (mut parts, body) = response.into_parts();
    entry.status(parts.status);
    let is_plain = plan.pace == Pace::default()
        && matches!(
            plan.ending,
            None | Some(Ending::Status { .. } | Ending::Redirect { .. })
        );
    if is_plain && !entry.is_wanted() {
        return Response::from_parts(parts, body);
    }
    let bytes = body
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    if bytes.is_empty() || *method == Method::HEAD {
        entry.whole();
        return Response::from_parts(parts, Body::from(bytes));
    }

    let len = bytes.len() as u64;
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
    let (bytes, end) = match &plan.ending {
        Some(Ending::Corrupt { draws }) => (flip(&bytes, draws), BodyEnd::Whole),
        Some(Ending::Truncate(cut)) if cut.of(len) < len => (
            first(&bytes, cut.of(len)),
            BodyEnd::Break(ConnectionEnd::Close),
        ),
        Some(Ending::Reset { after: Some(after) }) => {
            (first(&bytes, *after), BodyEnd::Break(ConnectionEnd::Reset))
        }
        Some(Ending::Stall {
            after: Some(after),
            hold,
        }) => (first(&bytes, *after), BodyEnd::Stall { hold: *hold }),
        _ => (bytes, BodyEnd::Whole),
    };
    let body = FaultyBody {
        rest: bytes,
        pace: Schedule {
            pace: plan.pace,
            len,
        },
        end,
        connection: connection.clone(),
        start: None,
        sleep: None,
        stalled_until: None,
        sent: 0,
        flushes: None,
        entry,
    };
    Response::from_parts(parts, Body::new(body))
}

fn first(bytes: &Bytes, len: u64) -> Bytes {
    bytes.slice(..usize::try_from(len).map_or(bytes.len(), |len| len.min(bytes.len())))
}

/// Flips as many different bits as there are draws, or all that there are: a sample without replacement by R. W. Floyd's
/// algorithm (*Communications of the ACM* 30, 1987, p. 754), which needs one draw for each.
fn flip(bytes: &Bytes, draws: &[u64]) -> Bytes {
    let bits = bytes.len() as u64 * 8;
    let count = (draws.len() as u64).min(bits);
    let mut chosen = std::collections::BTreeSet::new();
    for (last, draw) in (bits - count..bits).zip(draws) {
        let place = ((u128::from(last + 1) * u128::from(*draw)) >> 64) as u64;
        if !chosen.insert(place) {
            chosen.insert(last);
        }
    }
    let mut flipped = bytes.to_vec();
    for place in chosen {
        flipped[(place / 8) as usize] ^= 1 << (place % 8);
    }
    flipped.into()
}

/// When which bytes of a body are due.
#[derive(Debug, Clone, Copy)]
struct Schedule {
    pace: Pace,
    /// Of the whole body, also if a part of it is never sent.
    len: u64,
}

impl Schedule {
    /// The end of the piece that begins at the byte `from`, and when it is due since the body began.
    fn piece(&self, from: u64) -> (u64, Duration) {
        let (mut end, mut due) = (self.len, Duration::ZERO);
        if let Some(dribble) = self.pace.dribble {
            // N pieces have N − 1 gaps.
            let count = u64::from(dribble.chunks.get()).min(self.len);
            let starts =
                |index: u64| (u128::from(self.len) * u128::from(index) / u128::from(count)) as u64;
            let index = (0..count)
                .rev()
                .find(|index| starts(*index) <= from)
                .unwrap_or(0);
            end = end.min(starts(index + 1));
            if count > 1 {
                let nanos = dribble.over.as_nanos() * u128::from(index) / u128::from(count - 1);
                due = Duration::from_nanos(nanos as u64);
            }
        }
        if let Some(rate) = self.pace.rate {
            let piece = (rate.get() / PIECES_PER_SECOND).clamp(1, LARGEST_PIECE);
            end = end.min(from + piece);
            let nanos = u128::from(end) * 1_000_000_000 / u128::from(rate.get());
            due = due.max(Duration::from_nanos(
                u64::try_from(nanos).unwrap_or(u64::MAX),
            ));
        }
        (end, due)
    }
}

impl FaultyBody {
    /// Ready at `deadline`.
    fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.sleep.is_none() && Instant::now() >= deadline {
            return Poll::Ready(());
        }
        let sleep = self.sleep.get_or_insert_with(|| sleep_until(deadline));
        ready!(Pin::new(sleep).poll(cx));
        self.sleep = None;
        Poll::Ready(())
    }

    /// Ready when all that was sent is in the hands of the kernel.
    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let before = *self
            .flushes
            .get_or_insert_with(|| self.connection.flushes());
        self.connection.poll_flushed(before, cx)
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let end = match &self.end {
            BodyEnd::Whole => return Poll::Ready(None),
            BodyEnd::Break(end) => {
                let end = end.clone();
                ready!(self.poll_flushed(cx));
                end
            }
            BodyEnd::Stall { hold: None } => return Poll::Pending, // until the client gives up
            BodyEnd::Stall { hold: Some(hold) } => {
                let hold = *hold;
                let until = *self
                    .stalled_until
                    .get_or_insert_with(|| Instant::now() + hold);
                ready!(self.poll_until(until, cx));
                ConnectionEnd::Close
            }
        };
        self.entry.broken(&end);
        self.connection.end_with(end);
        Poll::Ready(Some(Err(Broken)))
    }
}

impl HttpBody for FaultyBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.rest.is_empty() {
            return self.poll_end(cx);
        }
        let start = *self.start.get_or_insert_with(Instant::now);
        let (end, due) = self.pace.piece(self.sent);
        ready!(self.poll_until(start + due, cx));
        let len = ((end - self.sent) as usize).min(self.rest.len());
        let piece = self.rest.split_to(len);
        self.sent += len as u64;
        self.entry.sent(len);
        if self.rest.is_empty() && matches!(self.end, BodyEnd::Whole) {
            self.entry.whole(); // hyper does not ask again when the length is reached
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    /// Exact only where the body is whole: hyper would hold us to it.
    fn size_hint(&self) -> SizeHint {
        match self.end {
            BodyEnd::Whole => SizeHint::with_exact(self.rest.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
