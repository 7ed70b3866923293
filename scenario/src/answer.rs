//! What an ending sends: how many bytes of which response, and how the connection ends after them.
//!
//! This is the only description of an ending. The server applies it, the forecast adds up its
//! times, and the client knows from it how a download is planned to end.

use std::time::Duration;

use flags_data::{Catalogue, Resource};

use crate::{Ending, NOT_FOUND, Plan, RequestKey, status_text};

/// How long nothing is sent; `None` is for ever.
pub type Hold = Option<Duration>;

/// A complete response, as it would be without its ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// The status.
    pub status: u16,
    /// The length of the body, in bytes.
    pub len: u64,
    /// Whether the body is that of the file.
    pub is_file: bool,
}

/// What is sent of one response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status; none if no head is sent.
    pub status: Option<u16>,
    /// The bytes of the body that are sent.
    pub sent: u64,
    /// Whether all of the body is sent. A reset after the last byte leaves it whole.
    pub is_whole: bool,
    /// Whether the bytes that are sent are those of the file.
    pub is_right: bool,
    /// How the connection is broken then; none if it goes on.
    pub end: Option<ConnectionFault>,
}

/// How a connection is broken. On HTTP/2 every one of these is an RST_STREAM of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionFault {
    /// The silence before it, if there is any.
    pub hold: Option<Hold>,
    /// What ends it.
    pub kind: ConnectionFaultKind,
}

/// What ends a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionFaultKind {
    /// An RST.
    Reset,
    /// A FIN.
    Close,
    /// These bytes, after the head of a chunked response or alone, and a FIN.
    Garbage {
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether the head of a chunked response comes first.
        after_head: bool,
    },
}

impl Content {
    /// What a server of the embedded flags answers to a GET of this resource.
    pub fn of(resource: &Resource<'_>) -> Self {
        Catalogue::embedded().file(resource).map_or(
            Self {
                status: 404,
                len: NOT_FOUND.len() as u64,
                is_file: false,
            },
            |file| Self::file(file.bytes.len() as u64),
        )
    }

    /// A file of this length.
    pub fn file(len: u64) -> Self {
        Self {
            status: 200,
            len,
            is_file: true,
        }
    }
}

impl Plan {
    /// What is sent to a GET, where a response without an ending would be `content`. Redirects are
    /// followed to their end.
    pub fn answer(&self, request: &RequestKey<'_>, content: Content) -> Answer {
        match &self.ending {
            None => Answer::complete(content),
            Some(ending) => ending.answer(ending.content(request, content)),
        }
    }
}

impl Ending {
    /// The response that this ending is about: its own, or else `content`.
    pub fn content(&self, request: &RequestKey<'_>, content: Content) -> Content {
        match self {
            Self::Status { status, body, .. } => {
                let text = status_text(*status, body.as_deref(), request);
                Content {
                    status: status.get(),
                    len: text.map_or(0, |text| text.len() as u64),
                    is_file: false,
                }
            }
            _ => content,
        }
    }

    /// What is sent of a response to a GET.
    pub fn answer(&self, content: Content) -> Answer {
        let len = content.len;
        let reset = ConnectionFaultKind::Reset;
        let close = ConnectionFaultKind::Close;
        match self {
            Self::Status { .. } | Self::Redirect { .. } => Answer::complete(content),
            Self::Corrupt { .. } => Answer {
                is_right: false,
                ..Answer::complete(content)
            },
            Self::Reset { after: None } => Answer::nothing(None, reset),
            Self::Reset { after: Some(after) } => Answer::part(content, *after, None, reset),
            Self::Close => Answer::nothing(None, close),
            Self::Truncate(cut) if cut.of(len) < len => {
                Answer::part(content, cut.of(len), None, close)
            }
            Self::Stall { after: None, hold } => Answer::nothing(Some(*hold), close),
            Self::Stall {
                after: Some(after),
                hold,
            } if *after < len => Answer::part(content, *after, Some(*hold), close),
            // The body is over before it would be cut.
            Self::Truncate(_) | Self::Stall { .. } => Answer::complete(content),
            Self::Garbage { bytes, after_head } => Answer {
                status: after_head.then_some(200),
                ..Answer::nothing(
                    None,
                    ConnectionFaultKind::Garbage {
                        bytes: bytes.clone(),
                        after_head: *after_head,
                    },
                )
            },
        }
    }
}

impl Answer {
    fn complete(content: Content) -> Self {
        Self {
            status: Some(content.status),
            sent: content.len,
            is_whole: true,
            is_right: content.is_file,
            end: None,
        }
    }

    fn part(content: Content, after: u64, hold: Option<Hold>, kind: ConnectionFaultKind) -> Self {
        Self {
            sent: after.min(content.len),
            is_whole: after >= content.len,
            end: Some(ConnectionFault { hold, kind }),
            ..Self::complete(content)
        }
    }

    fn nothing(hold: Option<Hold>, kind: ConnectionFaultKind) -> Self {
        Self {
            status: None,
            sent: 0,
            is_whole: false,
            is_right: false,
            end: Some(ConnectionFault { hold, kind }),
        }
    }

    /// Whether a head of the server's own is sent, and not bytes that break the connection.
    pub fn has_head(&self) -> bool {
        self.status.is_some() && !self.is_garbage()
    }

    fn is_garbage(&self) -> bool {
        let end = self.end.as_ref();
        end.is_some_and(|end| matches!(end.kind, ConnectionFaultKind::Garbage { .. }))
    }

    /// The silence before the end; `None` is for ever.
    pub fn hold(&self) -> Hold {
        let hold = self.end.as_ref().and_then(|end| end.hold);
        hold.unwrap_or(Some(Duration::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cut, Probability};

    const FILE: Content = Content {
        status: 200,
        len: 100,
        is_file: true,
    };

    /// How many bytes are sent, whether that is all, and whether the connection is broken then.
    fn sent(ending: &Ending) -> (Option<u16>, u64, bool, bool) {
        let answer = ending.answer(FILE);
        let is_broken = answer.end.is_some();
        (answer.status, answer.sent, answer.is_whole, is_broken)
    }

    #[test]
    fn a_reset_after_the_last_byte_leaves_the_body_whole_and_ends_the_connection() {
        let reset = |after| sent(&Ending::Reset { after });
        assert_eq!(reset(None), (None, 0, false, true));
        assert_eq!(reset(Some(0)), (Some(200), 0, false, true));
        assert_eq!(reset(Some(99)), (Some(200), 99, false, true));
        assert_eq!(reset(Some(100)), (Some(200), 100, true, true));
        assert_eq!(reset(Some(101)), (Some(200), 100, true, true));
    }

    #[test]
    fn a_cut_or_a_silence_after_the_last_byte_is_none() {
        let second = Some(Duration::from_secs(1));
        let stall = |after| {
            sent(&Ending::Stall {
                after,
                hold: second,
            })
        };
        assert_eq!(stall(None), (None, 0, false, true));
        assert_eq!(stall(Some(99)), (Some(200), 99, false, true));
        assert_eq!(stall(Some(100)), (Some(200), 100, true, false));
        let truncate = |cut| sent(&Ending::Truncate(cut));
        assert_eq!(truncate(Cut::After(99)), (Some(200), 99, false, true));
        assert_eq!(truncate(Cut::After(100)), (Some(200), 100, true, false));
        let half = Cut::Fraction(Probability::try_new(0.5).unwrap());
        assert_eq!(truncate(half), (Some(200), 50, false, true));
    }

    #[test]
    fn a_status_has_a_body_of_its_own_and_corruption_is_whole_and_wrong() {
        let request = RequestKey {
            run: "",
            method: "GET",
            path: "/flags/br/br.gif",
            attempt: 1,
        };
        let plan = |ending| Plan {
            ending,
            ..Plan::default()
        };
        let teapot = Ending::Status {
            status: crate::StatusNumber::try_new(418).unwrap(),
            retry_after: None,
            body: Some("short and stout".into()),
        };
        let answer = plan(Some(teapot)).answer(&request, FILE);
        assert_eq!((answer.status, answer.sent), (Some(418), 15));
        assert!(answer.is_whole && !answer.is_right);
        let corrupt = plan(Some(Ending::Corrupt { draws: vec![1] })).answer(&request, FILE);
        assert!(corrupt.is_whole && !corrupt.is_right);
        assert!(plan(None).answer(&request, FILE).is_right);
    }

    #[test]
    fn garbage_has_a_status_only_behind_a_head() {
        for after_head in [false, true] {
            let garbage = Ending::Garbage {
                bytes: vec![0x80],
                after_head,
            };
            let answer = garbage.answer(FILE);
            assert_eq!(answer.status, after_head.then_some(200));
            assert!(!answer.has_head() && !answer.is_whole);
        }
    }
}
