//! A plan: what is to happen to one request, with every draw that it needs.

use std::num::NonZeroU64;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::{Cut, Dribble, Fault, Millis, OptionalMillis, ResponseHeader, RuleName, StatusNumber};

/// What happens to one request.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Plan {
    /// The time before the first byte of the response: the sum of the latencies that fired. In
    /// JSON: milliseconds.
    #[serde(rename = "delay_ms", with = "Millis")]
    pub delay: Duration,
    /// How fast the body is sent.
    pub pace: Pace,
    /// How the request ends, if not with the flag.
    pub ending: Option<Ending>,
    /// The rules that fired, in the order of the scenario.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<String>"))]
    pub rules: Vec<RuleName>,
}

/// How fast a body is sent. Each of its bytes satisfies both limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Pace {
    /// Bytes per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<NonZeroU64>,
    /// Pieces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dribble: Option<Dribble>,
}

/// An end of a request other than its flag, with all random words that it needs. [`Fault`]
/// describes each.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Ending {
    /// This status.
    Status {
        /// The number.
        #[cfg_attr(feature = "schema", schemars(with = "u16"))]
        status: StatusNumber,
        /// The header `retry-after`.
        #[serde(rename = "retry_after_ms", with = "OptionalMillis")]
        retry_after: Option<Duration>,
        /// The body.
        #[serde(skip)]
        body: Option<Arc<str>>,
        /// Headers besides those that the status needs.
        #[serde(skip)]
        headers: Arc<[ResponseHeader]>,
    },
    /// A TCP RST.
    Reset {
        /// After this many bytes of the body; `None` is before anything.
        after: Option<u64>,
    },
    /// A FIN without a response.
    Close,
    /// A part of the body.
    #[cfg_attr(feature = "schema", schemars(extend("unevaluatedProperties" = false)))]
    Truncate(Cut),
    /// Silence.
    Stall {
        /// After this many bytes of the body; `None` is before the head.
        after: Option<u64>,
        /// How long; `None` is for ever.
        #[serde(rename = "hold_ms", with = "OptionalMillis")]
        hold: Option<Duration>,
    },
    /// Bytes that are not HTTP.
    Garbage {
        /// The bytes. HTTP cannot begin with the first.
        #[serde(serialize_with = "as_hex")]
        #[cfg_attr(feature = "schema", schemars(with = "String"))]
        bytes: Vec<u8>,
        /// Whether the head of a chunked response comes first.
        after_head: bool,
    },
    /// Flipped bits.
    Corrupt {
        /// A random word for each bit; with the length of the body it gives the place of the bit.
        draws: Vec<u64>,
    },
    /// Redirects.
    Redirect {
        /// How many in a row.
        hops: u32,
    },
}

impl Pace {
    /// The number of pieces per second of a limited rate: enough for an even flow, few enough to
    /// cost little.
    const PIECES_PER_SECOND: u64 = 200;
    /// The largest of them, in bytes.
    const LARGEST_PIECE: u64 = 16 * 1024;

    /// The end of the piece that begins at the byte `from` of a body of `len` bytes, and when it is
    /// due since the body began.
    pub fn piece(self, len: u64, from: u64) -> (u64, Duration) {
        let (mut end, mut due) = (len, Duration::ZERO);
        if let Some((dribble, piece)) = self.dribbled(len, from) {
            end = piece.bytes.end;
            // N pieces have N − 1 gaps.
            if piece.count > 1 {
                let nanos =
                    dribble.over.as_nanos() * u128::from(piece.index) / u128::from(piece.count - 1);
                due = Duration::from_nanos(nanos as u64);
            }
        }
        if let Some(rate) = self.rate {
            end = end.min(from + Self::piece_at(rate));
            let nanos = u128::from(end) * 1_000_000_000 / u128::from(rate.get());
            due = due.max(Duration::from_nanos(
                u64::try_from(nanos).unwrap_or(u64::MAX),
            ));
        }
        (end, due)
    }

    /// When the last of the first `sent` bytes of a body of `len` bytes is due: with the piece that
    /// it is in.
    pub fn due(self, len: u64, sent: u64) -> Duration {
        let Some(last) = sent.min(len).checked_sub(1) else {
            return Duration::ZERO;
        };
        let mut from = self
            .dribbled(len, last)
            .map_or(0, |(_, piece)| piece.bytes.start);
        if let Some(rate) = self.rate {
            from = last - (last - from) % Self::piece_at(rate);
        }
        self.piece(len, from).1
    }

    /// The piece of the dribble that this byte is in.
    fn dribbled(self, len: u64, byte: u64) -> Option<(Dribble, DribbledPiece)> {
        let dribble = self.dribble?;
        let count = u64::from(dribble.chunks.get()).min(len);
        let starts = |index: u64| (u128::from(len) * u128::from(index) / u128::from(count)) as u64;
        // The last piece whose start is not beyond it.
        let index = (((u128::from(byte) + 1) * u128::from(count) - 1) / u128::from(len)) as u64;
        let bytes = starts(index)..starts(index + 1);
        Some((
            dribble,
            DribbledPiece {
                index,
                count,
                bytes,
            },
        ))
    }

    /// The bytes of one piece at this rate.
    fn piece_at(rate: NonZeroU64) -> u64 {
        (rate.get() / Self::PIECES_PER_SECOND).clamp(1, Self::LARGEST_PIECE)
    }
}

/// One of the pieces that a dribbled body comes in.
struct DribbledPiece {
    /// From 0.
    index: u64,
    /// Of how many.
    count: u64,
    bytes: Range<u64>,
}

impl Plan {
    /// Adds a fault that fires; false if an earlier one has decided the end already.
    pub(crate) fn add(&mut self, fault: &Fault, mut next_word: impl FnMut() -> u64) -> bool {
        let ending = match fault {
            Fault::Latency(distribution) => {
                self.delay += distribution.sample(next_word);
                return true;
            }
            Fault::Bandwidth(rate) => {
                self.pace.rate = Some(self.pace.rate.map_or(*rate, |other| other.min(*rate)));
                return true;
            }
            Fault::Dribble(dribble) => {
                let slower = self.pace.dribble.filter(|other| other.over >= dribble.over);
                self.pace.dribble = Some(slower.unwrap_or(*dribble));
                return true;
            }
            _ if self.ending.is_some() => return false,
            Fault::Status(fault) => Ending::Status {
                status: fault.choose(next_word),
                retry_after: fault.retry_after,
                body: fault.body.clone(),
                headers: Arc::clone(fault.headers()),
            },
            Fault::Reset { after } => Ending::Reset { after: *after },
            Fault::Close => Ending::Close,
            Fault::Truncate(cut) => Ending::Truncate(*cut),
            Fault::Stall { after, hold } => Ending::Stall {
                after: *after,
                hold: *hold,
            },
            Fault::Garbage { after_head } => {
                let mut bytes: Vec<u8> = (0..8).flat_map(|_| next_word().to_le_bytes()).collect();
                bytes[0] |= 0x80; // no ASCII letter, so not the H of HTTP
                Ending::Garbage {
                    bytes,
                    after_head: *after_head,
                }
            }
            Fault::Corrupt { bits } => Ending::Corrupt {
                draws: (0..bits.get()).map(|_| next_word()).collect(),
            },
            Fault::Redirect { hops } => Ending::Redirect { hops: hops.get() },
        };
        self.ending = Some(ending);
        true
    }
}

fn as_hex<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    serializer.serialize_str(&hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_is_due_when_its_piece_is() {
        let pace = |rate: Option<u64>, pieces: Option<(u32, u64)>| Pace {
            rate: rate.and_then(NonZeroU64::new),
            dribble: pieces.map(|(chunks, millis)| Dribble {
                chunks: chunks.try_into().unwrap(),
                over: Duration::from_millis(millis),
            }),
        };
        let due = |pace: Pace, len, sent| pace.due(len, sent).as_micros();
        assert_eq!(due(Pace::default(), 1000, 1000), 0);
        assert_eq!(due(pace(Some(1000), None), 0, 0), 0);
        // 1000 bytes per second come in pieces of 5.
        assert_eq!(due(pace(Some(1000), None), 1000, 1000), 1_000_000);
        assert_eq!(due(pace(Some(1000), None), 1000, 501), 505_000);
        // The pieces of 3 begin at 0, 3 and 6 of 10 bytes.
        let dribble = pace(None, Some((3, 100)));
        assert_eq!(
            [1, 3, 4, 6, 7, 10].map(|sent| due(dribble, 10, sent)),
            [0, 0, 50_000, 50_000, 100_000, 100_000]
        );
        assert_eq!(due(pace(None, Some((1, 100))), 10, 10), 0);
        assert_eq!(due(pace(None, Some((99, 100))), 2, 2), 100_000);
        // Both: the later of the two.
        assert_eq!(due(pace(Some(1000), Some((3, 1))), 10, 10), 10_000);
        assert_eq!(due(pace(Some(1000), Some((3, 100))), 10, 10), 100_000);
    }
}
