//! One rule of a scenario: its name, when and how often it fires, and what it then does.
//!
//! A [`Rule`] is always valid.

use std::borrow::Cow;
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::time::Duration;

use flags_data::ParseCodeError;
#[cfg(feature = "schema")]
use schemars::JsonSchema;
use serde::Serialize;
use thiserror::Error;

use crate::wording::{bytes, counted, listed, words};
use crate::{Conditions, Distribution, InvalidDistribution, InvalidHeader, Millis, ResponseHeader};

/// One rule: under some conditions, with some probability, one fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    name: RuleName,
    group: Option<RuleName>,
    conditions: Conditions,
    probability: Probability,
    fault: Fault,
}

/// What a rule does when it fires.
///
/// Latencies and paces combine with each other and with one other fault: that of the first rule
/// that fires. On HTTP/2, a fault that would break the connection is an RST_STREAM of one stream,
/// with the reason INTERNAL_ERROR, after the same bytes.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// The response starts later. Delays of several rules add up.
    Latency(Distribution),
    /// A status instead of the flag.
    Status(StatusFault),
    /// A TCP RST.
    ///
    /// An RST discards what the system has not sent yet, so it waits until all is sent, however
    /// slowly the client reads; only Linux reports this. Bytes that the network loses at that
    /// moment are not sent again, and some systems (not Linux) discard what the client has not read
    /// when the RST arrives.
    Reset {
        /// After this many bytes of the body, or after a shorter body; `None` is before anything.
        after: Option<u64>,
    },
    /// A FIN without a response.
    Close,
    /// The length of the whole body, a part of it, and then a FIN.
    Truncate(Cut),
    /// Silence, and then a FIN. If the body is complete before, the response ends without silence.
    Stall {
        /// After this many bytes of the body; `None` is before the head.
        after: Option<u64>,
        /// How long; `None` is for ever.
        hold: Option<Duration>,
    },
    /// The body at this rate, in bytes per second. Of several rates the lowest counts.
    Bandwidth(NonZeroU64),
    /// The body in pieces. Of several the one that takes longest counts.
    Dribble(Dribble),
    /// Bytes that are not HTTP, and then a FIN. Over TLS they are not TLS either.
    Garbage {
        /// Whether the head of a chunked response comes first.
        after_head: bool,
    },
    /// A complete body of the right length with this many bits flipped.
    Corrupt {
        /// How many, 1 to [`Fault::MAX_BITS`].
        bits: NonZeroU32,
    },
    /// A 302 to the same flag, this many times in a row.
    Redirect {
        /// How many times, 1 to [`Fault::MAX_HOPS`].
        hops: NonZeroU32,
    },
}

impl Fault {
    /// The longest duration of a value: a day, which is more than anybody waits, and less than any
    /// clock can count.
    pub const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);
    /// The most bits that one rule can flip.
    pub const MAX_BITS: u32 = 1024;
    /// The most redirects in a row.
    pub const MAX_HOPS: u32 = 100;
    /// The most pieces of a dribbled body.
    pub const MAX_CHUNKS: u32 = 10_000;

    /// The name of the kind in a scenario file.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Latency(_) => "latency",
            Self::Status(_) => "status",
            Self::Reset { .. } => "reset",
            Self::Close => "close",
            Self::Truncate(_) => "truncate",
            Self::Stall { .. } => "stall",
            Self::Bandwidth(_) => "bandwidth",
            Self::Dribble(_) => "dribble",
            Self::Garbage { .. } => "garbage",
            Self::Corrupt { .. } => "corrupt",
            Self::Redirect { .. } => "redirect",
        }
    }
}

/// Which status, and what comes with it.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusFault {
    /// At least one, with the sum of the weights above zero.
    choices: Vec<(StatusNumber, u32)>,
    /// The header `retry-after`, in whole seconds, rounded up.
    pub retry_after: Option<Duration>,
    /// The body, instead of a short explanation.
    pub body: Option<Arc<str>>,
    headers: Arc<[ResponseHeader]>,
}

impl StatusFault {
    /// Always this status.
    pub fn of(status: StatusNumber) -> Self {
        Self::with_choices(vec![(status, 1)])
    }

    /// One of these, with probabilities in proportion to the weights.
    ///
    /// # Errors
    /// When the weights are all zero.
    pub fn one_of(choices: Vec<(StatusNumber, u32)>) -> Result<Self, InvalidRule> {
        if choices.iter().all(|(_, weight)| *weight == 0) {
            return Err(InvalidRule::NoWeight);
        }
        Ok(Self::with_choices(choices))
    }

    fn with_choices(choices: Vec<(StatusNumber, u32)>) -> Self {
        Self {
            choices,
            retry_after: None,
            body: None,
            headers: Arc::default(),
        }
    }

    /// The statuses, each with its weight; never none.
    pub(crate) fn choices(&self) -> &[(StatusNumber, u32)] {
        &self.choices
    }

    /// Headers besides those that the status needs, with different names.
    pub fn headers(&self) -> &Arc<[ResponseHeader]> {
        &self.headers
    }

    /// The same with these headers.
    ///
    /// # Errors
    /// When there are too many, or two of one name.
    pub fn with_headers(self, headers: Vec<ResponseHeader>) -> Result<Self, InvalidHeader> {
        if headers.len() > ResponseHeader::MAX_COUNT {
            return Err(InvalidHeader::TooMany(headers.len()));
        }
        for (index, header) in headers.iter().enumerate() {
            let mut earlier = headers[..index].iter();
            if earlier.any(|earlier| earlier.name() == header.name()) {
                return Err(InvalidHeader::Twice(header.name().to_owned()));
            }
        }
        let headers = headers.into();
        Ok(Self { headers, ..self })
    }

    /// The status that the next word of a stream stands for; no word is drawn for a single one.
    pub(crate) fn choose(&self, next_word: impl FnOnce() -> u64) -> StatusNumber {
        let (mut status, _) = self.choices[0];
        if self.choices.len() == 1 {
            return status;
        }
        let total: u64 = self
            .choices
            .iter()
            .map(|(_, weight)| u64::from(*weight))
            .sum();
        let mut rest = ((u128::from(total) * u128::from(next_word())) >> 64) as u64;
        for (choice, weight) in &self.choices {
            status = *choice;
            match rest.checked_sub(u64::from(*weight)) {
                Some(less) => rest = less,
                None => break,
            }
        }
        status
    }
}

/// Where a truncated body ends.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// After this many bytes; a shorter body stays whole.
    After(u64),
    /// After this share of its bytes, rounded down.
    Fraction(Probability),
}

impl Cut {
    /// How many bytes are left of a body.
    pub fn of(self, len: u64) -> u64 {
        match self {
            Self::After(bytes) => bytes.min(len),
            Self::Fraction(share) => (len as f64 * share.get()) as u64,
        }
    }
}

/// A body in pieces: the first at once, the last when the time is over, the others evenly between
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
pub struct Dribble {
    /// How many pieces, 1 to [`Fault::MAX_CHUNKS`].
    pub chunks: NonZeroU32,
    /// From the first piece to the last. In JSON: milliseconds.
    #[serde(rename = "over_ms", with = "Millis")]
    pub over: Duration,
}

/// Why a rule, or one of its values, cannot be built.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum InvalidRule {
    /// Not a number from 0 to 1.
    #[error("{0} is not between 0 and 1: give a number from 0 to 1")]
    Probability(f64),
    /// Not the status of a final response.
    #[error("invalid status {0}: give one from 200 to 599")]
    Status(i64),
    /// Empty, too long, or with characters that a header cannot carry.
    #[error(
        "invalid name {0:?}: use 1 to {max} letters, digits, '-', '_' or '.'",
        max = RuleName::MAX_LEN
    )]
    Name(String),
    /// A second rule of that name.
    #[error("two rules are named {0:?}: each name is a stream of chance of its own, so rename one")]
    NameTaken(String),
    /// One more rule than a scenario has.
    #[error("a scenario has at most {max} rules: leave some out", max = Rule::MAX_IN_SCENARIO)]
    TooMany,
    /// The rules of a group, more than one of which would have to fire for some requests.
    #[error(
        "the probabilities of the group {group} add up to {sum}, with this rule: at most one of \
         them fires for a request, so their sum is at most 1"
    )]
    GroupTooWide {
        /// The name of the group.
        group: String,
        /// The sum of the probabilities up to this rule.
        sum: f64,
    },
    /// No status can be chosen.
    #[error("the weights are all zero: give at least one status a weight above it")]
    NoWeight,
    /// Not a header that a response can have.
    #[error(transparent)]
    Header(#[from] InvalidHeader),
    /// Not a distribution.
    #[error(transparent)]
    Distribution(#[from] InvalidDistribution),
    /// Not a country code.
    #[error(transparent)]
    Code(#[from] ParseCodeError),
    /// A number out of its range.
    #[error("{what}: {value} is out of range: give a whole number from 1 to {max}")]
    Count {
        /// Which number.
        what: &'static str,
        /// What it is.
        value: u32,
        /// The largest.
        max: u32,
    },
    /// A duration beyond a day.
    #[error("{what}: {} is more than a day: check its unit", words(*duration))]
    TooLong {
        /// Which duration.
        what: &'static str,
        /// How long it is.
        duration: Duration,
    },
    /// A range of attempts that ends before it begins.
    #[error("`to` is below `from`: no attempt is in such a range")]
    NoAttempt,
    /// A window that ends before it begins.
    #[error("`until` is not after `from`: such a window never opens")]
    NeverOpen,
    /// A value that rules of this kind do not have.
    #[error("a rule of the kind {kind} has no {what}: only status rules have one")]
    NotOfKind {
        /// The value.
        what: &'static str,
        /// The kind of the rule.
        kind: &'static str,
    },
}

impl Rule {
    /// The most rules that a scenario has.
    pub const MAX_IN_SCENARIO: usize = 1000;

    /// A rule that fires for every request.
    pub(crate) fn new(name: RuleName, fault: Fault) -> Self {
        Self {
            name,
            group: None,
            conditions: Conditions::default(),
            probability: Probability::ALWAYS,
            fault,
        }
    }

    /// The same rule in this group.
    pub(crate) fn with_group(self, group: Option<RuleName>) -> Self {
        Self { group, ..self }
    }

    /// The same rule, fired for this share of the requests that meet its conditions.
    pub(crate) fn with_probability(self, probability: Probability) -> Self {
        Self {
            probability,
            ..self
        }
    }

    /// The same rule, only for the requests that meet these conditions.
    pub(crate) fn with_conditions(self, conditions: Conditions) -> Self {
        Self { conditions, ..self }
    }

    /// The name: unique in its scenario, and the rule's stream of chance.
    pub fn name(&self) -> &RuleName {
        &self.name
    }

    /// The name of its group, if it has one: of a group, at most one rule fires for a request.
    pub fn group(&self) -> Option<&RuleName> {
        self.group.as_ref()
    }

    /// Which requests it is about.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// The share of the requests for which the rule fires.
    pub fn probability(&self) -> Probability {
        self.probability
    }

    /// What happens when it does.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl fmt::Display for Rule {
    /// A sentence: `teapot: 25 % of the requests, for BR: status 418`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match self.probability.get() * 100.0 {
            0.0 => f.write_str("none of the requests"),
            100.0 => f.write_str("all requests"),
            percent => write!(f, "{} % of the requests", round(percent)),
        }?;
        if let Some(group) = &self.group {
            write!(f, ", in the group {group}")?;
        }
        write!(f, "{}: {}", self.conditions, self.fault)
    }
}

/// Rounded, because binary fractions add digits.
fn round(percent: f64) -> f64 {
    (percent * 1e6).round() / 1e6
}

impl fmt::Display for Fault {
    /// What the requests get: `status 418`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latency(distribution) => write!(f, "a delay {distribution}"),
            Self::Status(fault) => write!(f, "{fault}"),
            Self::Reset { after: None } => f.write_str("a TCP reset before anything is sent"),
            Self::Reset { after: Some(after) } => {
                write!(f, "a TCP reset after {} of the body", bytes(*after))
            }
            Self::Close => f.write_str("a closed connection without a response"),
            Self::Truncate(cut) => write!(f, "{cut} of the body and then a closed connection"),
            Self::Stall { after, hold } => {
                if let Some(after) = after {
                    write!(f, "{} of the body and then ", bytes(*after))?;
                }
                match hold {
                    Some(hold) => write!(
                        f,
                        "silence for {} and then a closed connection",
                        words(*hold)
                    ),
                    None => f.write_str("silence for ever"),
                }
            }
            Self::Bandwidth(rate) => write!(f, "the body at {} per second", bytes(rate.get())),
            Self::Dribble(dribble) => write!(f, "the body in {dribble}"),
            Self::Garbage { after_head: false } => f.write_str("bytes that are not HTTP"),
            Self::Garbage { after_head: true } => {
                f.write_str("the head of a chunked response and then an invalid chunk")
            }
            Self::Corrupt { bits } => {
                let bits = counted(bits.get().into(), "flipped bit");
                write!(f, "a body of the right length with {bits}")
            }
            Self::Redirect { hops } => {
                write!(
                    f,
                    "{} to the same flag before it",
                    counted(hops.get().into(), "redirect")
                )
            }
        }
    }
}

impl fmt::Display for Cut {
    /// What is left: `the first 512 bytes`, `50 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::After(after) => write!(f, "the first {}", bytes(*after)),
            Self::Fraction(share) => write!(f, "{} %", round(share.get() * 100.0)),
        }
    }
}

impl fmt::Display for Dribble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let chunks = counted(self.chunks.get().into(), "piece");
        write!(f, "{chunks} over {}", words(self.over))
    }
}

impl fmt::Display for StatusFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.choices[..] {
            [(status, _)] => write!(f, "status {}", status.get())?,
            choices => {
                let total: u64 = choices.iter().map(|(_, weight)| u64::from(*weight)).sum();
                let weighted = choices
                    .iter()
                    .map(|(status, weight)| format!("{} ({weight} in {total})", status.get()));
                write!(f, "status {}", listed(weighted, "or"))?;
            }
        }
        if let Some(pause) = self.retry_after {
            write!(f, ", with retry-after {} s", whole_seconds(pause))?;
        }
        if !self.headers.is_empty() {
            let names = self.headers.iter().map(ToString::to_string);
            let plural = if self.headers.len() == 1 { "" } else { "s" };
            write!(f, ", with the header{plural} {}", listed(names, "and"))?;
        }
        if self.body.is_some() {
            f.write_str(", with a body of its own")
        } else {
            Ok(())
        }
    }
}

/// The value of a `retry-after`, which knows no fractions: rounded up.
fn whole_seconds(pause: Duration) -> u64 {
    pause.as_secs() + u64::from(pause.subsec_nanos() > 0)
}

/// The name of a rule: 1 to 64 letters, digits, `-`, `_` or `.`, so that a header can list it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RuleName(Arc<str>);

impl Serialize for RuleName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl RuleName {
    /// The most characters that a name may have.
    pub const MAX_LEN: usize = 64;

    /// Parses a name.
    ///
    /// # Errors
    /// When it is empty, too long, or has other characters than those above.
    pub fn try_new(name: &str) -> Result<Self, InvalidRule> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if (1..=Self::MAX_LEN).contains(&name.len()) && name.chars().all(allowed) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidRule::Name(name.to_owned()))
        }
    }

    /// The name of a rule that has none: its kind and its place in the scenario, counted from 1.
    pub(crate) fn of_place(fault: &Fault, place: usize) -> Self {
        Self(format!("{}-{place}", fault.kind()).into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Several names as one text, with commas between; none of none.
    pub fn list(names: &[Self]) -> Option<Cow<'_, str>> {
        match names {
            [] => None,
            [name] => Some(name.as_str().into()),
            names => {
                let names: Vec<&str> = names.iter().map(Self::as_str).collect();
                Some(names.join(",").into())
            }
        }
    }
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
#[serde(transparent)]
pub struct Probability(f64);

impl Probability {
    /// Every time.
    pub const ALWAYS: Self = Self(1.0);

    /// Parses a probability.
    ///
    /// # Errors
    /// When it is below 0, above 1 or not a number.
    pub fn try_new(value: f64) -> Result<Self, InvalidRule> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(InvalidRule::Probability(value))
        }
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// Whether these 64 uniform bits fall below the probability: their upper 53 as a fraction of
    /// 2⁵³.
    pub(crate) fn fires(self, bits: u64) -> bool {
        fraction(bits) < self.0
    }
}

/// The upper 53 of these bits as a fraction of 2⁵³.
pub(crate) fn fraction(bits: u64) -> f64 {
    ((bits >> 11) as f64) * (1.0 / (1_u64 << 53) as f64)
}

/// The status of a final response: 200 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct StatusNumber(u16);

impl StatusNumber {
    /// The lowest status of a final response.
    pub const MIN: u16 = 200;
    /// The highest.
    pub const MAX: u16 = 599;

    /// Parses a status.
    ///
    /// # Errors
    /// When it is not one of a final response.
    pub fn try_new(status: i64) -> Result<Self, InvalidRule> {
        u16::try_from(status)
            .ok()
            .filter(|number| (Self::MIN..=Self::MAX).contains(number))
            .map(Self)
            .ok_or(InvalidRule::Status(status))
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0
    }

    /// Whether a response with it says where to go on (RFC 9110, section 15.4). A 300 and a 305
    /// leave the choice to the client, and a 304 is about its cache.
    pub fn is_redirect(self) -> bool {
        matches!(self.0, 301 | 302 | 303 | 307 | 308)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probability_of_zero_never_fires_and_of_one_always_does() {
        let never = Probability::try_new(0.0).unwrap();
        for bits in [0, 1, u64::MAX / 2, u64::MAX] {
            assert!(!never.fires(bits));
            assert!(Probability::ALWAYS.fires(bits));
        }
    }

    #[test]
    fn a_rule_fires_exactly_below_its_probability() {
        let quarter = Probability::try_new(0.25).unwrap();
        assert!(quarter.fires((1 << 62) - 1));
        assert!(!quarter.fires(1 << 62));
    }

    #[test]
    fn an_invalid_probability_is_refused() {
        for value in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
            assert!(Probability::try_new(value).is_err(), "{value}");
        }
    }

    #[test]
    fn only_statuses_of_final_responses_are_accepted() {
        for status in [200, 204, 304, 418, 599] {
            assert_eq!(
                StatusNumber::try_new(status).map(|s| i64::from(s.get())),
                Ok(status)
            );
        }
        for status in [-1, 0, 100, 199, 600, 70_000] {
            assert_eq!(
                StatusNumber::try_new(status),
                Err(InvalidRule::Status(status))
            );
        }
    }

    #[test]
    fn every_kind_and_condition_has_a_description() {
        let described = |rule: &str| {
            let text = format!("[[rule]]\nname = \"r\"\n{rule}");
            let scenario = crate::Scenario::from_toml(&text).unwrap();
            scenario.rules()[0].to_string()
        };
        let described: Vec<String> = [
            "fault = \"latency\"\ndistribution = { fixed = \"1500ms\" }",
            "fault = \"latency\"\ndistribution = { uniform = { lower = \"1ms\", upper = \"2ms\" } }",
            "fault = \"latency\"\ndistribution = { normal = { mean = \"1s\", sd = \"2ms\" } }",
            "fault = \"latency\"\ndistribution = { lognormal = { median = \"1s\", p99 = \"2s\" } }\nmax = \"3s\"",
            "fault = \"latency\"\ndistribution = { exponential = { mean = \"1s\" } }",
            "fault = \"latency\"\ndistribution = { pareto = { scale = \"1s\", shape = 1.5 } }",
            "fault = \"status\"\nstatus = 418\nprobability = 0.25\nmatch = { method = \"get\", cc = [\"BR\", \"JP\", \"US\"] }",
            "fault = \"status\"\none_of = [{ status = 503, weight = 2 }, { status = 500 }]\nretry_after = \"1500ms\"",
            "fault = \"status\"\nstatus = 418\nbody = \"x\"\nattempts = { first = 1 }",
            "fault = \"reset\"\nprobability = 0\nwindow = { from = \"5s\", until = \"8s\" }",
            "fault = \"reset\"\nafter = \"1B\"\nwindow = { from = \"5s\" }",
            "fault = \"close\"\nmatch = { path = \"*.gif\", header = { x-user = \"a*\" } }",
            "fault = \"truncate\"\nafter = \"2kB\"\nattempts = { first = 2 }",
            "fault = \"truncate\"\nfraction = 0.5",
            "fault = \"stall\"",
            "fault = \"stall\"\nafter = \"0B\"\nhold = \"2s\"",
            "fault = \"bandwidth\"\nrate = \"1kB\"",
            "fault = \"dribble\"\nchunks = 1\nover = \"1s\"",
            "fault = \"garbage\"",
            "fault = \"MALFORMED_RESPONSE_CHUNK\"",
            "fault = \"corrupt\"",
            "fault = \"corrupt\"\nbits = 2",
            "fault = \"redirect\"",
        ]
        .map(described)
        .into();
        insta::assert_snapshot!(described.join("\n"), @r#"
        r: all requests: a delay of 1s 500ms
        r: all requests: a delay from 1ms to 2ms, each as likely
        r: all requests: a delay with a normal distribution, mean 1s and standard deviation 2ms
        r: all requests: a delay with a log-normal distribution, median 1s and 99th percentile 2s, 3s at most
        r: all requests: a delay with an exponential distribution, mean 1s
        r: all requests: a delay with a Pareto distribution, 1s or more, shape 1.5
        r: 25 % of the requests, by GET, for BR, JP or US: status 418
        r: all requests: status 503 (2 in 3) or 500 (1 in 3), with retry-after 2 s
        r: all requests, on the first attempt: status 418, with a body of its own
        r: none of the requests, from 5s to 8s after the start: a TCP reset before anything is sent
        r: all requests, from 5s after the start on: a TCP reset after 1 byte of the body
        r: all requests, at a path like *.gif, with a header x-user like a*: a closed connection without a response
        r: all requests, on the first 2 attempts: the first 2000 bytes of the body and then a closed connection
        r: all requests: 50 % of the body and then a closed connection
        r: all requests: silence for ever
        r: all requests: 0 bytes of the body and then silence for 2s and then a closed connection
        r: all requests: the body at 1000 bytes per second
        r: all requests: the body in 1 piece over 1s
        r: all requests: bytes that are not HTTP
        r: all requests: the head of a chunked response and then an invalid chunk
        r: all requests: a body of the right length with 1 flipped bit
        r: all requests: a body of the right length with 2 flipped bits
        r: all requests: 1 redirect to the same flag before it
        "#);
    }

    #[test]
    fn a_name_fits_into_a_header() {
        assert!(RuleName::try_new("tea-pot_2.a").is_ok());
        for name in ["", "a b", "a,b", "é", "a\n", &"x".repeat(65)] {
            assert!(RuleName::try_new(name).is_err(), "{name:?}");
        }
    }
}
