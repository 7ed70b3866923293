//! The effects on a body: its pace, flipped bits, and an end before its end.
//!
//! Every body here is in memory, so its whole schedule is known when it begins: pieces, and when
//! each is due since then. A piece that is late does not delay those after it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::HttpBody;
use bytes::Bytes;
use flag_host::clock::{self, Sleep, sleep_until};
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;

use super::connection::{Broken, ConnectionHandle, Injection, Pulse};
use super::injector::Respond;
use crate::record_log::RecordGuard;
use crate::scenario::{ConnectionFault, Content, Ending, Pace};
use crate::shutdown::{Deadline, Shutdown};

/// A body that comes as planned, for hyper.
pub(crate) struct PacedBody {
    /// What is still to be sent.
    rest: Bytes,
    pace: Pace,
    /// Of the whole body, also if a part of it is never sent.
    len: u64,
    end: BodyEnd,
    connection: ConnectionHandle,
    /// When the body began: at the first poll.
    start: Option<Instant>,
    sleep: Option<Sleep>,
    shutdown: Arc<Shutdown>,
    /// When the server stops, the pieces that are not due by then are sent then.
    deadline: Deadline,
    has_waited: bool,
    pulse: Pulse,
    sent: u64,
    record: RecordGuard,
}

/// What comes after the last byte that is sent.
enum BodyEnd {
    /// Nothing: the body is complete.
    Whole,
    /// The connection breaks.
    Break(ConnectionFault),
    /// The last byte is on its way, and so is the end.
    Breaking(Pin<Box<dyn Future<Output = ()> + Send>>),
}

/// Bytes that show when they are dropped.
struct Held {
    bytes: Bytes,
    _held: oneshot::Sender<()>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// The bytes that are sent of a body, and how the connection ends after them.
pub(crate) fn shape(ending: Option<&Ending>, bytes: &Bytes) -> (Bytes, Option<ConnectionFault>) {
    let Some(ending) = ending else {
        return (bytes.clone(), None);
    };
    let answer = ending.answer(Content::file(bytes.len() as u64));
    let bytes = match ending {
        Ending::Corrupt { draws } => flip(bytes, draws),
        _ => bytes.slice(..answer.sent as usize),
    };
    (bytes, answer.end)
}

/// Flips as many different bits as there are draws, or all that there are: a sample without
/// replacement by R. W. Floyd's algorithm (*Communications of the ACM* 30, 1987, p. 754), which
/// needs one draw for each.
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

impl PacedBody {
    /// The body of a response of which all bytes are known.
    pub(crate) fn new(
        bytes: &Bytes,
        respond: Respond,
        connection: ConnectionHandle,
        shutdown: &Arc<Shutdown>,
    ) -> Self {
        let (rest, end) = shape(respond.ending.as_ref(), bytes);
        Self {
            rest,
            pace: respond.pace,
            len: bytes.len() as u64,
            end: end.map_or(BodyEnd::Whole, BodyEnd::Break),
            connection,
            start: None,
            sleep: None,
            shutdown: Arc::clone(shutdown),
            deadline: shutdown.deadline(),
            has_waited: false,
            pulse: Pulse::default(),
            sent: 0,
            record: respond.record,
        }
    }

    /// Ready at `deadline`.
    fn poll_until(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.sleep.is_none() && clock::now() >= deadline {
            return Poll::Ready(());
        }
        self.has_waited = true;
        let deadline = match self.deadline.poll(cx) {
            Some(last) => deadline.min(last),
            None => deadline,
        };
        let sleep = self.sleep.get_or_insert_with(|| sleep_until(deadline));
        if sleep.deadline() != deadline {
            sleep.reset(deadline);
        }
        if Pin::new(sleep).poll(cx).is_pending() {
            self.pulse.poll(&self.connection, cx);
            return Poll::Pending;
        }
        self.sleep = None;
        Poll::Ready(())
    }

    /// The next piece, when it is due. Nothing is due at once.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Bytes> {
        if self.rest.is_empty() {
            return Poll::Ready(Bytes::new());
        }
        let start = *self.start.get_or_insert_with(clock::now);
        let (end, due) = self.pace.piece(self.len, self.sent);
        ready!(self.poll_until(start + due, cx));
        let len = ((end - self.sent) as usize).min(self.rest.len());
        self.sent += len as u64;
        self.record.sent(len);
        Poll::Ready(self.rest.split_to(len))
    }

    /// Prepares what comes after the last piece, now that it is handed over: hyper may not ask
    /// again. A cut before the first byte has a last piece too, an empty one, which comes after the
    /// head.
    fn finish(&mut self, last: Bytes) -> Bytes {
        let BodyEnd::Break(fault) = &self.end else {
            self.connection.complete(std::mem::take(&mut self.record));
            if self.has_waited && self.shutdown.is_requested() {
                self.shutdown.count_answered();
            }
            return last;
        };
        let injection = Injection {
            fault: fault.clone(),
            record: std::mem::take(&mut self.record),
        };
        match self.connection.schedule(injection) {
            Ok(()) => {
                self.end = BodyEnd::Breaking(Box::pin(std::future::pending()));
                last
            }
            // When the body of an HTTP/2 stream fails, all of it that is still queued is forgotten.
            // So the failure has to wait, and the only sign is that the piece is dropped.
            Err(injection) => {
                let (held, dropped) = oneshot::channel();
                let connection = self.connection.clone();
                self.end = BodyEnd::Breaking(Box::pin(async move {
                    drop(dropped.await); // always an error: nothing is sent
                    connection.inject(injection).await;
                }));
                Bytes::from_owner(Held {
                    bytes: last,
                    _held: held,
                })
            }
        }
    }
}

impl HttpBody for PacedBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        match &mut this.end {
            BodyEnd::Whole if this.rest.is_empty() => return Poll::Ready(None),
            BodyEnd::Breaking(end) => {
                ready!(end.as_mut().poll(cx));
                return Poll::Ready(Some(Err(Broken)));
            }
            BodyEnd::Whole | BodyEnd::Break(_) => {}
        }
        let piece = ready!(this.poll_piece(cx));
        Poll::Ready(Some(Ok(Frame::data(if this.rest.is_empty() {
            if this.has_waited {
                // hyper polls a body that waits twice in a row. If the last piece becomes due in
                // between, hyper forgets the requests that it has read already, and whatever else
                // is due, until its task is woken.
                cx.waker().wake_by_ref();
            }
            this.finish(piece)
        } else {
            piece
        }))))
    }

    /// Exact only where the body is whole: hyper would hold us to it.
    fn size_hint(&self) -> SizeHint {
        match self.end {
            BodyEnd::Whole => SizeHint::with_exact(self.rest.len() as u64),
            _ => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::{NonZeroU32, NonZeroU64};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::scenario::Dribble;

    /// A body of this length at this pace.
    #[derive(Clone, Copy)]
    struct Schedule {
        pace: Pace,
        len: u64,
    }

    impl Schedule {
        fn piece(self, from: u64) -> (u64, Duration) {
            self.pace.piece(self.len, from)
        }
    }

    /// All pieces of a body: the end of each, and when it is due.
    fn pieces(schedule: Schedule) -> Vec<(u64, Duration)> {
        let mut pieces: Vec<(u64, Duration)> = Vec::new();
        let mut from = 0;
        while from < schedule.len {
            let piece = schedule.piece(from);
            assert!(piece.0 > from, "an empty piece at {from}");
            from = piece.0;
            pieces.push(piece);
            // Every byte of a piece is due with the piece.
            assert_eq!(schedule.pace.due(schedule.len, from), piece.1);
        }
        pieces
    }

    fn dribble(chunks: u32, over: Duration) -> Pace {
        let chunks = NonZeroU32::new(chunks).unwrap();
        Pace {
            dribble: Some(Dribble { chunks, over }),
            rate: None,
        }
    }

    fn rate(bytes_per_second: u64) -> Pace {
        Pace {
            rate: NonZeroU64::new(bytes_per_second),
            dribble: None,
        }
    }

    #[derive(Default)]
    struct WakeCounter(AtomicUsize);

    impl Wake for WakeCounter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn a_body_that_has_waited_wakes_its_connection_at_the_last_piece() {
        let counter = Arc::new(WakeCounter::default());
        let waker = Waker::from(Arc::clone(&counter));
        let cx = &mut Context::from_waker(&waker);
        let hour = Duration::from_secs(3600);
        let respond = Respond {
            pace: dribble(2, hour),
            ..Respond::default()
        };
        let shutdown = Arc::new(Shutdown::new());
        let bytes = Bytes::from_static(b"flag");
        let mut body = PacedBody::new(&bytes, respond, ConnectionHandle::new(1), &shutdown);
        let first = Pin::new(&mut body).poll_frame(cx);
        assert!(first.is_ready(), "the first piece is due at once");
        assert!(Pin::new(&mut body).poll_frame(cx).is_pending());
        assert_eq!(counter.0.load(Ordering::SeqCst), 0);
        // The rest is due, and the clock's thread has not noticed it.
        body.pace = Pace::default();
        body.sleep = None;
        let last = Pin::new(&mut body).poll_frame(cx);
        assert!(last.is_ready());
        assert_eq!(counter.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_body_without_a_pace_is_one_piece_at_once() {
        let schedule = Schedule {
            pace: Pace::default(),
            len: 6000,
        };
        assert_eq!(pieces(schedule), [(6000, Duration::ZERO)]);
    }

    #[test]
    fn n_chunks_have_n_minus_1_gaps() {
        let ms = Duration::from_millis;
        let pace = dribble(5, ms(100));
        let due = [0, 25, 50, 75, 100].map(ms);
        for (len, ends) in [(10, [2, 4, 6, 8, 10]), (7, [1, 2, 4, 5, 7])] {
            let expected: Vec<_> = ends.into_iter().zip(due).collect();
            assert_eq!(pieces(Schedule { pace, len }), expected);
        }
        // One chunk has no gap, and a body has at most as many pieces as bytes.
        let one = dribble(1, ms(100));
        assert_eq!(pieces(Schedule { pace: one, len: 9 }), [(9, ms(0))]);
        assert_eq!(
            pieces(Schedule { pace, len: 2 }),
            [(1, ms(0)), (2, ms(100))]
        );
    }

    #[test]
    fn a_piece_of_a_limited_rate_is_due_when_its_last_byte_is() {
        let schedule = Schedule {
            pace: rate(1000),
            len: 12,
        };
        let ms = Duration::from_millis;
        assert_eq!(pieces(schedule), [(5, ms(5)), (10, ms(10)), (12, ms(12))]);
    }

    proptest! {
        #[test]
        fn a_dribbled_body_has_all_its_pieces_and_ends_in_time(
            len in 1_u64..20_000, chunks in 1_u32..10_000, over in 0_u64..100_000,
        ) {
            let over = Duration::from_millis(over);
            let pieces = pieces(Schedule { pace: dribble(chunks, over), len });
            prop_assert_eq!(pieces.len() as u64, u64::from(chunks).min(len));
            prop_assert!(pieces.is_sorted_by_key(|(_, due)| *due));
            let (end, due) = pieces[pieces.len() - 1];
            let total = if pieces.len() == 1 { Duration::ZERO } else { over };
            prop_assert_eq!((end, due), (len, total));
        }

        #[test]
        fn no_byte_of_a_paced_body_is_ahead_of_either_limit(
            len in 1_u64..20_000, chunks in 1_u32..100, over in 0_u64..100_000, rate in 1_u64..10_000_000,
        ) {
            let over = Duration::from_millis(over);
            let dribbled = Schedule { pace: dribble(chunks, over), len };
            let limited = Schedule { pace: self::rate(rate), len };
            let both = Schedule { pace: Pace { rate: limited.pace.rate, ..dribbled.pace }, len };
            let pieces = pieces(both);
            prop_assert!(pieces.is_sorted_by_key(|(_, due)| *due));
            let mut from = 0;
            for (end, due) in &pieces {
                prop_assert!(*due >= dribbled.piece(from).1);
                prop_assert!(due.as_nanos() >= u128::from(*end) * 1_000_000_000 / u128::from(rate));
                prop_assert!(*end <= dribbled.piece(from).0);
                from = *end;
            }
            prop_assert_eq!(from, len);
            let lasts = Duration::from_nanos((u128::from(len) * 1_000_000_000 / u128::from(rate)) as u64);
            let dribbles = if u64::from(chunks).min(len) == 1 { Duration::ZERO } else { over };
            prop_assert_eq!(pieces[pieces.len() - 1].1, lasts.max(dribbles));
        }

        #[test]
        fn each_draw_flips_one_bit(
            len in 1_usize..300, draws in prop::collection::vec(any::<u64>(), 1..1024),
        ) {
            let bytes = Bytes::from(vec![0x5a; len]);
            let flipped = flip(&bytes, &draws);
            let differing: u32 = bytes.iter().zip(&flipped).map(|(a, b)| (a ^ b).count_ones()).sum();
            prop_assert_eq!(flipped.len(), len);
            prop_assert_eq!(differing as usize, draws.len().min(len * 8));
        }
    }
}
