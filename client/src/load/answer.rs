//! An answer as a load generator reads it: its status, its length, and whether the connection can
//! be reused.
//!
//! A general client builds a map of all headers and passes on every piece of the body. Neither is
//! needed here, and both would be half of the cost of a request. So the bytes are parsed in place,
//! in pieces of any size (RFC 9112), and dropped.

use std::mem::MaybeUninit;

use httparse::{ParserConfig, Status};

/// The most headers, as hyper has it.
const MAX_HEADERS: usize = 100;
/// The longest head, as hyper has it, and so the longest line before a chunk, and the longest trailer.
const MAX_HEAD: usize = 400 * 1024;

/// One answer to a GET, while it arrives.
#[derive(Debug)]
pub(super) struct Answer {
    part: Part,
    /// The part of a head, or of the line before a chunk, that has arrived so far.
    partial: Vec<u8>,
    /// Of the final response.
    pub(super) status: u16,
    /// Of the body, so far.
    pub(super) bytes: u64,
    /// Whether another request can follow on this connection.
    pub(super) keeps_alive: bool,
    /// Whether the server announces with `flag-plan` that it does what a scenario wants.
    pub(super) is_planned: bool,
}

/// The part that is read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    /// This many bytes of the body.
    Body(u64),
    /// A chunk of the body.
    Chunk(Chunk),
    /// The body, until the connection ends.
    UntilEnd,
    Nothing,
}

/// A place in a chunked body (RFC 9112, section 7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunk {
    /// The line with the size, and extensions, which are ignored.
    Size,
    /// This many bytes before the end of the chunk.
    Data(u64),
    /// The line end after it.
    DataEnd,
    /// In the trailer.
    Trailer {
        /// The bytes of its line so far.
        line: usize,
        /// All of its bytes so far.
        all: usize,
    },
}

/// It is not HTTP/1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl Answer {
    pub(super) fn new() -> Self {
        Self {
            part: Part::Head,
            partial: Vec::new(),
            status: 0,
            bytes: 0,
            keeps_alive: true,
            is_planned: false,
        }
    }

    /// Parses the next bytes; true when the answer is complete.
    pub(super) fn feed(&mut self, mut data: &[u8]) -> Result<bool, Malformed> {
        while !data.is_empty() {
            data = match self.part {
                Part::Head | Part::Chunk(Chunk::Size) if self.partial.is_empty() => {
                    match self.read_start(data)? {
                        Some(length) => &data[length..],
                        None => {
                            self.partial.extend(data);
                            return Ok(false);
                        }
                    }
                }
                Part::Head | Part::Chunk(Chunk::Size) => {
                    let mut whole = std::mem::take(&mut self.partial);
                    let before = whole.len();
                    whole.extend(data);
                    let Some(length) = self.read_start(&whole)? else {
                        self.partial = whole;
                        return Ok(false);
                    };
                    // It was incomplete before, so it ends within the new bytes.
                    &data[length - before..]
                }
                Part::Body(rest) => {
                    let length = self.count(rest, data);
                    self.part = match rest - length as u64 {
                        0 => Part::Nothing,
                        rest => Part::Body(rest),
                    };
                    &data[length..]
                }
                Part::Chunk(chunk) => self.read_chunk(chunk, data)?,
                Part::UntilEnd => {
                    self.bytes += data.len() as u64;
                    &[]
                }
                Part::Nothing => {
                    // Unsolicited data: the next answer on this connection could not be trusted.
                    self.keeps_alive = false;
                    &[]
                }
            };
        }
        Ok(self.is_whole())
    }

    /// The connection has ended; true when the answer is complete.
    pub(super) fn end(&mut self) -> bool {
        self.keeps_alive = false;
        matches!(self.part, Part::UntilEnd | Part::Nothing)
    }

    fn is_whole(&self) -> bool {
        self.part == Part::Nothing
    }

    /// Counts the bytes that belong to the body.
    fn count(&mut self, rest: u64, data: &[u8]) -> usize {
        let length = usize::try_from(rest).map_or(data.len(), |rest| rest.min(data.len()));
        self.bytes += length as u64;
        length
    }

    /// Reads a head, or the line before a chunk, and returns its length, or none if it is
    /// incomplete.
    fn read_start(&mut self, data: &[u8]) -> Result<Option<usize>, Malformed> {
        let length = match self.part {
            Part::Chunk(_) => self.read_size(data)?,
            _ => self.read_head(data)?,
        };
        // The limit is the same however the bytes are split.
        if length.unwrap_or(data.len()) > MAX_HEAD {
            return Err(Malformed);
        }
        Ok(length)
    }

    /// Reads the line before a chunk and returns its length, or none if it is incomplete.
    fn read_size(&mut self, data: &[u8]) -> Result<Option<usize>, Malformed> {
        // httparse takes a line without digits for a size of zero.
        if !data[0].is_ascii_hexdigit() {
            return Err(Malformed);
        }
        let (length, size) = match httparse::parse_chunk_size(data) {
            Ok(Status::Complete(line)) => line,
            Ok(Status::Partial) => return Ok(None),
            Err(_) => return Err(Malformed),
        };
        self.part = Part::Chunk(match size {
            0 => Chunk::Trailer { line: 0, all: 0 },
            size => Chunk::Data(size),
        });
        Ok(Some(length))
    }

    /// Reads a head and returns its length, or none if it is incomplete.
    fn read_head(&mut self, data: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut headers = [MaybeUninit::uninit(); MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parsed = ParserConfig::default().parse_response_with_uninit_headers(
            &mut response,
            data,
            &mut headers,
        );
        let length = match parsed {
            Ok(Status::Complete(length)) => length,
            Ok(Status::Partial) => return Ok(None),
            Err(_) => return Err(Malformed),
        };
        self.status = response.code.ok_or(Malformed)?;
        // An interim response is followed by another one; 101 by another protocol, which was not
        // requested.
        match self.status {
            ..100 | 101 => return Err(Malformed),
            100..200 => return Ok(Some(length)),
            200.. => {}
        }
        let framing = Framing::of(response.headers)?;
        self.is_planned = framing.has_plan;
        self.keeps_alive = match response.version {
            Some(1) => !framing.closes,
            _ => framing.keeps_alive && !framing.closes,
        };
        self.part = match (self.status, framing.coding, framing.length) {
            (204 | 304, ..) | (_, None, Some(0)) => Part::Nothing,
            (_, Some(Coding::Chunked), _) => Part::Chunk(Chunk::Size),
            (_, None, Some(length)) => Part::Body(length),
            (_, Some(Coding::Other), _) | (_, None, None) => Part::UntilEnd,
        };
        Ok(Some(length))
    }

    /// Reads the next part of a chunked body, and returns the remaining bytes.
    fn read_chunk<'d>(&mut self, chunk: Chunk, data: &'d [u8]) -> Result<&'d [u8], Malformed> {
        let (next, length) = match chunk {
            Chunk::Data(rest) => {
                let length = self.count(rest, data);
                let next = match rest - length as u64 {
                    0 => Chunk::DataEnd,
                    rest => Chunk::Data(rest),
                };
                (next, length)
            }
            Chunk::Size => unreachable!("read with what came before it"),
            Chunk::DataEnd => match data[0] {
                b'\r' => (Chunk::DataEnd, 1),
                b'\n' => (Chunk::Size, 1),
                _ => return Err(Malformed),
            },
            Chunk::Trailer { all, .. } if all >= MAX_HEAD => return Err(Malformed),
            Chunk::Trailer { line, all } => {
                let line = match data[0] {
                    b'\n' if line == 0 => {
                        self.part = Part::Nothing;
                        return Ok(&data[1..]);
                    }
                    b'\n' => 0,
                    b'\r' => line,
                    _ => line + 1,
                };
                (Chunk::Trailer { line, all: all + 1 }, 1)
            }
        };
        self.part = Part::Chunk(next);
        Ok(&data[length..])
    }
}

/// What the headers say about the body, the connection, and the server's plan.
#[derive(Debug, Default)]
struct Framing {
    length: Option<u64>,
    coding: Option<Coding>,
    closes: bool,
    keeps_alive: bool,
    has_plan: bool,
}

/// The last transfer coding.
#[derive(Debug)]
enum Coding {
    Chunked,
    Other,
}

impl Framing {
    fn of(headers: &[httparse::Header<'_>]) -> Result<Self, Malformed> {
        let mut framing = Self::default();
        for header in headers {
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                let text = std::str::from_utf8(header.value).map_err(|_| Malformed)?;
                // A length may be repeated if the values are equal.
                for number in text.split(',').map(str::trim) {
                    // Digits only: `parse` alone would take a sign.
                    if !number.starts_with(|first: char| first.is_ascii_digit()) {
                        return Err(Malformed);
                    }
                    let length = number.parse().map_err(|_| Malformed)?;
                    if framing
                        .length
                        .replace(length)
                        .is_some_and(|other| other != length)
                    {
                        return Err(Malformed);
                    }
                }
            } else if is("transfer-encoding") {
                let last = list_items(header.value).last().unwrap_or_default();
                framing.coding = Some(if last.eq_ignore_ascii_case(b"chunked") {
                    Coding::Chunked
                } else {
                    Coding::Other
                });
            } else if is("connection") {
                for word in list_items(header.value) {
                    framing.closes |= word.eq_ignore_ascii_case(b"close");
                    framing.keeps_alive |= word.eq_ignore_ascii_case(b"keep-alive");
                }
            } else if is("flag-plan") {
                framing.has_plan = true;
            }
        }
        Ok(framing)
    }
}

fn list_items(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The status, the bytes, whether the connection is kept, and whether the answer is whole.
    type State = (u16, u64, bool, bool);

    /// The state after these bytes, in these pieces.
    fn read(pieces: &[&[u8]]) -> Result<State, Malformed> {
        let mut answer = Answer::new();
        let mut is_whole = false;
        for piece in pieces {
            is_whole = answer.feed(piece)?;
        }
        Ok((answer.status, answer.bytes, answer.keeps_alive, is_whole))
    }

    const ANSWERS: [(&str, State); 12] = [
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
            (200, 5, true, true),
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nConnection: Close\r\n\r\nhello",
            (200, 5, false, true),
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello",
            (200, 5, true, false),
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nhello",
            (200, 4, false, true),
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            (200, 0, true, true),
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", (204, 0, true, true)),
        (
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
            (304, 0, true, true),
        ),
        (
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 1\r\n\r\n.",
            (404, 1, true, true),
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nx: y\r\n\r\n",
            (200, 6, true, true),
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nA\r\n0123456789\r\n",
            (200, 10, true, false),
        ),
        (
            "HTTP/1.0 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok",
            (200, 2, true, true),
        ),
        (
            "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
            (200, 2, false, true),
        ),
    ];

    #[test]
    fn an_answer_has_a_status_and_a_length_and_says_whether_the_connection_is_kept() {
        for (text, expected) in ANSWERS {
            assert_eq!(read(&[text.as_bytes()]), Ok(expected), "{text}");
        }
    }

    #[test]
    fn without_a_length_the_end_of_the_connection_is_the_end_of_the_body() {
        let mut answer = Answer::new();
        assert_eq!(answer.feed(b"HTTP/1.1 200 OK\r\n\r\nhello"), Ok(false));
        assert!(answer.end());
        assert_eq!((answer.bytes, answer.keeps_alive), (5, false));

        let mut cut = Answer::new();
        assert_eq!(
            cut.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhello"),
            Ok(false)
        );
        assert!(!cut.end());
        assert!(!Answer::new().end());
    }

    #[test]
    fn a_flagbench_server_announces_what_it_does_on_purpose() {
        for (header, is_planned) in [("flag-plan: errors,delay\r\n", true), ("", false)] {
            let text =
                format!("HTTP/1.1 503 Service Unavailable\r\n{header}content-length: 0\r\n\r\n");
            let mut answer = Answer::new();
            assert_eq!(answer.feed(text.as_bytes()), Ok(true));
            assert_eq!(answer.is_planned, is_planned, "{text}");
        }
    }

    #[test]
    fn anything_but_an_answer_is_malformed() {
        for text in [
            "hello\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "HTTP/1.1 099 Less\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n;a=b\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n11111111111111111\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab",
        ] {
            assert_eq!(read(&[text.as_bytes()]), Err(Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_result_does_not_depend_on_the_pieces(which in 0..ANSWERS.len(), cuts in prop::collection::vec(0_usize..200, 0..6)) {
            let (text, expected) = ANSWERS[which];
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            cuts.dedup();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &text.as_bytes()[ends[0]..ends[1]]).collect();
            prop_assert_eq!(read(&pieces), Ok(expected));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut answer = Answer::new();
            let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = answer.feed(head).and_then(|_| answer.feed(&bytes));
            let _ = Answer::new().feed(&bytes);
        }
    }
}
