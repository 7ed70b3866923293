//! What an ending sends: how many bytes of which response, and how the connection ends after them.
//!
//! This is the only description of an ending, in two parts: the response of its own
//! ([`Ending::response`]), and what it does to a response. The server applies it, the forecast adds
//! up its times, and the client knows from it how a download is planned to end.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use flags_data::{Catalogue, Resource};

use crate::{Cut, Ending, NOT_FOUND, Plan, RequestKey, ResponseHeader, StatusNumber, status_text};

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

/// A response that is sent instead of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnResponse<'e> {
    /// The status.
    pub status: u16,
    /// The body; none if there is none.
    pub text: Option<Cow<'e, str>>,
    /// The pause that the header `retry-after` asks for.
    pub retry_after: Option<Duration>,
    /// Whether it redirects to the same resource.
    pub is_redirect: bool,
    /// Headers besides those that the status needs.
    pub headers: &'e [ResponseHeader],
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

impl OwnResponse<'_> {
    fn without_body(status: u16) -> Self {
        Self {
            status,
            text: None,
            retry_after: None,
            is_redirect: false,
            headers: &[],
        }
    }
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

    /// The paced time of the bodies of the redirects that lead to that answer.
    pub(crate) fn redirect_time(&self, request: &RequestKey<'_>) -> Duration {
        let Some(ending) = &self.ending else {
            return Duration::ZERO;
        };
        let text = |hop| ending.response(request, hop)?.text;
        let len = |hop| text(hop).map_or(0, |text| text.len() as u64);
        let times = (0..ending.hops())
            .map(len)
            .map(|len| self.pace.due(len, len));
        times.fold(Duration::ZERO, Duration::saturating_add)
    }
}

/// What an ending does to a response.
enum Effect {
    /// Nothing: it is sent as it is.
    None,
    /// Its body has its length, and other bytes.
    Corruption,
    /// The connection is broken instead of it.
    NoResponse(ConnectionFault),
    /// The connection is broken after a part of its body.
    Part {
        cut: Cut,
        fault: ConnectionFault,
        /// Whether the connection is broken also when that part is the whole body.
        breaks_whole: bool,
    },
}

impl Ending {
    /// The response of its own that this ending sends to the request of this place in a chain of
    /// redirects, from 0; none if that request gets the file.
    pub fn response(&self, request: &RequestKey<'_>, hop: u32) -> Option<OwnResponse<'_>> {
        match self {
            // A status that redirects does so once, to the file.
            Self::Status { .. } if hop > 0 && self.hops() > 0 => None,
            Self::Status {
                status,
                retry_after,
                body,
                headers,
            } => Some(OwnResponse {
                status: status.get(),
                text: status_text(*status, body.as_deref(), request),
                retry_after: *retry_after,
                is_redirect: self.hops() > 0,
                headers,
            }),
            Self::Redirect { hops } if hop < *hops => Some(OwnResponse {
                is_redirect: true,
                ..OwnResponse::without_body(302)
            }),
            Self::Redirect { .. }
            | Self::Reset { .. }
            | Self::Close
            | Self::Truncate(_)
            | Self::Stall { .. }
            | Self::Garbage { .. }
            | Self::Corrupt { .. } => None,
        }
    }

    /// How many redirects lead to the response that this ending is about. Where a `location` of
    /// the rule's own leads is not known.
    pub fn hops(&self) -> u32 {
        match self {
            Self::Redirect { hops } => *hops,
            Self::Status {
                status, headers, ..
            } => {
                let leads_elsewhere = headers.iter().any(|header| header.name() == "location");
                (status.is_redirect() && !leads_elsewhere).into()
            }
            _ => 0,
        }
    }

    /// This status, and nothing with it.
    pub fn status(status: StatusNumber) -> Self {
        Self::Status {
            status,
            retry_after: None,
            body: None,
            headers: Arc::default(),
        }
    }

    /// What it does to that response, or to the file.
    fn effect(&self) -> Effect {
        let reset = ConnectionFaultKind::Reset;
        let close = ConnectionFaultKind::Close;
        match self {
            Self::Status { .. } | Self::Redirect { .. } => Effect::None,
            Self::Corrupt { .. } => Effect::Corruption,
            Self::Reset { after: None } => Effect::NoResponse(ConnectionFault::of(None, reset)),
            Self::Reset { after: Some(after) } => Effect::Part {
                cut: Cut::After(*after),
                fault: ConnectionFault::of(None, reset),
                breaks_whole: true,
            },
            Self::Close => Effect::NoResponse(ConnectionFault::of(None, close)),
            Self::Truncate(cut) => Effect::Part {
                cut: *cut,
                fault: ConnectionFault::of(None, close),
                breaks_whole: false,
            },
            Self::Stall { after: None, hold } => {
                Effect::NoResponse(ConnectionFault::of(Some(*hold), close))
            }
            Self::Stall {
                after: Some(after),
                hold,
            } => Effect::Part {
                cut: Cut::After(*after),
                fault: ConnectionFault::of(Some(*hold), close),
                breaks_whole: false,
            },
            Self::Garbage { bytes, after_head } => {
                let (bytes, after_head) = (bytes.clone(), *after_head);
                let garbage = ConnectionFaultKind::Garbage { bytes, after_head };
                Effect::NoResponse(ConnectionFault::of(None, garbage))
            }
        }
    }

    /// The response that this ending is about: its own, or else `content`. Redirects are followed
    /// to their end.
    pub fn content(&self, request: &RequestKey<'_>, content: Content) -> Content {
        let own = self.response(request, u32::MAX);
        own.map_or(content, |own| Content {
            status: own.status,
            len: own.text.map_or(0, |text| text.len() as u64),
            is_file: false,
        })
    }

    /// What is sent of a response to a GET.
    pub fn answer(&self, content: Content) -> Answer {
        let complete = Answer::complete(content);
        match self.effect() {
            Effect::None => complete,
            Effect::Corruption => Answer {
                is_right: false,
                ..complete
            },
            Effect::NoResponse(fault) => Answer::nothing(fault),
            Effect::Part {
                cut,
                fault,
                breaks_whole,
            } => {
                let sent = cut.of(content.len);
                let is_whole = sent >= content.len;
                Answer {
                    sent,
                    is_whole,
                    end: (breaks_whole || !is_whole).then_some(fault),
                    ..complete
                }
            }
        }
    }

    /// The break that comes instead of a response, if this ending sends none.
    pub fn before_response(&self) -> Option<ConnectionFault> {
        match self.effect() {
            Effect::NoResponse(fault) => Some(fault),
            _ => None,
        }
    }

    /// Whether it changes a body.
    pub fn corrupts(&self) -> bool {
        matches!(self.effect(), Effect::Corruption)
    }

    /// Whether it may change or cut a body, or break the connection after it.
    pub fn changes_body(&self) -> bool {
        !matches!(self.effect(), Effect::None)
    }
}

impl ConnectionFault {
    fn of(hold: Option<Hold>, kind: ConnectionFaultKind) -> Self {
        Self { hold, kind }
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

    /// Some garbage begins like a response.
    fn nothing(fault: ConnectionFault) -> Self {
        let begins_like_one = matches!(
            fault.kind,
            ConnectionFaultKind::Garbage {
                after_head: true,
                ..
            }
        );
        Self {
            status: begins_like_one.then_some(200),
            sent: 0,
            is_whole: false,
            is_right: false,
            end: Some(fault),
        }
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
            status: StatusNumber::try_new(418).unwrap(),
            retry_after: None,
            body: Some("short and stout".into()),
            headers: Arc::default(),
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
            assert!(!answer.is_whole);
            assert_eq!(garbage.before_response(), answer.end);
        }
    }

    #[test]
    fn only_a_redirect_that_is_not_the_last_and_a_status_have_a_response_of_their_own() {
        let request = RequestKey {
            run: "",
            method: "GET",
            path: "/flags/br/br.gif",
            attempt: 1,
        };
        let redirect = Ending::Redirect { hops: 2 };
        let status = |hop| redirect.response(&request, hop).map(|own| own.status);
        assert_eq!([0, 1, 2].map(status), [Some(302), Some(302), None]);
        assert_eq!(redirect.content(&request, FILE), FILE);
        assert_eq!(Ending::Close.response(&request, 0), None);
    }

    #[test]
    fn a_status_that_redirects_does_so_once_and_any_other_never() {
        let request = RequestKey {
            run: "",
            method: "GET",
            path: "/flags/br/br.gif",
            attempt: 1,
        };
        for number in 200..600 {
            let ending = Ending::status(StatusNumber::try_new(number.into()).unwrap());
            let redirects = [301, 302, 303, 307, 308].contains(&number);
            let first = ending.response(&request, 0).unwrap();
            assert_eq!((first.status, first.is_redirect), (number, redirects));
            assert_eq!(ending.hops(), u32::from(redirects), "{number}");
            let second = ending.response(&request, 1);
            assert_eq!(second.is_none(), redirects, "{number}");
            let is_file = ending.content(&request, FILE).is_file;
            assert_eq!(is_file, redirects, "{number}");
        }
    }

    #[test]
    fn what_comes_before_a_response_does_not_depend_on_its_body() {
        let cut = |after| Ending::Reset { after };
        assert!(cut(None).before_response().is_some());
        assert_eq!(cut(Some(0)).before_response(), None);
        assert!(cut(Some(0)).changes_body());
        assert!(Ending::Corrupt { draws: vec![1] }.changes_body());
        assert!(Ending::Corrupt { draws: vec![1] }.corrupts() && !cut(Some(0)).corrupts());
        assert!(!Ending::Redirect { hops: 1 }.changes_body());
    }
}
