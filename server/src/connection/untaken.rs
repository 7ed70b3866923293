//! What an HTTP/2 client has not taken yet of the bodies that are sent to it.
//!
//! A client decides with its windows how much it takes, so that a socket may have nothing to write
//! while a response waits for ever. So bodies are handed over in pieces which show when they are
//! written. A body that waits on purpose has handed over none.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Error;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use flag_host::lock;
use http_body::{Frame, SizeHint};
use tokio::time::{Instant, sleep_until};

/// The largest piece, in bytes: that of a frame, unless a client asks for more.
const LARGEST_PIECE: usize = 16 * 1024;

/// The pieces of one connection that its client has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Untaken(Mutex<Pieces>);

#[derive(Debug, Default)]
struct Pieces {
    count: usize,
    /// When the client has taken one, or when the first was handed over; none if there are none.
    since: Option<Instant>,
}

impl Untaken {
    /// Waits until there are pieces, and the client has taken none for `timeout`. It checks seldom,
    /// and costs a request nothing.
    pub(super) async fn stalled(&self, timeout: Duration) {
        loop {
            let now = Instant::now();
            let since = lock(&self.0).since;
            let Some(end) = since.unwrap_or(now).checked_add(timeout) else {
                return std::future::pending().await;
            };
            if since.is_some() && end <= now {
                return;
            }
            sleep_until(end).await;
        }
    }
}

/// A body that is handed over in pieces.
pub(super) struct WatchedBody {
    body: Body,
    /// What the body has given, and was not handed over.
    rest: Bytes,
    untaken: Arc<Untaken>,
}

impl WatchedBody {
    pub(super) fn new(body: Body, untaken: Arc<Untaken>) -> Self {
        Self {
            body,
            rest: Bytes::new(),
            untaken,
        }
    }

    fn next_piece(&mut self) -> Bytes {
        let length = self.rest.len().min(LARGEST_PIECE);
        Bytes::from_owner(Piece::new(self.rest.split_to(length), &self.untaken))
    }
}

impl HttpBody for WatchedBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => this.rest = data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        Poll::Ready(Some(Ok(Frame::data(this.next_piece()))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest + body.lower());
        if let Some(upper) = body.upper() {
            hint.set_upper(rest + upper);
        }
        hint
    }
}

/// A part of a body that was handed over. It is dropped when it is written, or when its stream is
/// over.
struct Piece {
    bytes: Bytes,
    untaken: Arc<Untaken>,
}

impl Piece {
    fn new(bytes: Bytes, untaken: &Arc<Untaken>) -> Self {
        let mut pieces = lock(&untaken.0);
        pieces.count += 1;
        pieces.since.get_or_insert_with(Instant::now);
        drop(pieces);
        Self {
            bytes,
            untaken: Arc::clone(untaken),
        }
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut pieces = lock(&self.untaken.0);
        pieces.count -= 1;
        pieces.since = (pieces.count > 0).then(Instant::now);
    }
}
