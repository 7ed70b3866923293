//! A header that a rule adds to its response.

use std::fmt;

use thiserror::Error;

/// A header that a rule adds to its response: its name in lower case, and its value. It takes the
/// place of the server's own of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHeader {
    name: String,
    value: String,
}

/// Why a rule cannot add this header.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvalidHeader {
    /// Not a name.
    #[error(
        "{0:?} is no name of a header: use letters, digits and '-', at most {max} characters",
        max = ResponseHeader::MAX_NAME_LEN
    )]
    Name(String),
    /// A header that the server sends itself.
    #[error("{0}: is a header of the server's own: leave it out")]
    OfTheServer(String),
    /// Not a value.
    #[error(
        "{0}: is no value of a header: use visible ASCII characters without spaces at the ends, \
         at most {max} of them",
        max = ResponseHeader::MAX_VALUE_LEN
    )]
    Value(String),
    /// A second header of that name.
    #[error("{0}: there are two headers of this name: give one value")]
    Twice(String),
    /// Too many headers.
    #[error("{0} headers are too many: give at most {max}", max = ResponseHeader::MAX_COUNT)]
    TooMany(usize),
}

/// Headers that frame a response or say how it was planned. With other values, clients would not
/// get what the rest of the rule says.
const OF_THE_SERVER: [&str; 11] = [
    "connection",
    "content-length",
    "date",
    "flag-plan",
    "keep-alive",
    "proxy-connection",
    "server-timing",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl ResponseHeader {
    /// The most headers of one rule.
    pub const MAX_COUNT: usize = 32;
    /// The longest name, in bytes.
    pub const MAX_NAME_LEN: usize = 64;
    /// The longest value, in bytes.
    pub const MAX_VALUE_LEN: usize = 4096;

    /// A header of this name, in any case, and this value.
    ///
    /// # Errors
    /// When the name is no token (RFC 9110, section 5.6.2), the value has other characters than
    /// visible ASCII, spaces and tabs, one of them is too long, or the header is the server's own.
    pub fn try_new(name: &str, value: &str) -> Result<Self, InvalidHeader> {
        let name = name.to_ascii_lowercase();
        if !is_token(&name) || name.len() > Self::MAX_NAME_LEN {
            return Err(InvalidHeader::Name(name));
        }
        if OF_THE_SERVER.contains(&&*name) {
            return Err(InvalidHeader::OfTheServer(name));
        }
        let is_text = |byte: u8| matches!(byte, b' '..=b'~' | b'\t');
        if !value.bytes().all(is_text) || value.trim() != value || value.len() > Self::MAX_VALUE_LEN
        {
            return Err(InvalidHeader::Value(name));
        }
        Ok(Self {
            name,
            value: value.to_owned(),
        })
    }

    /// The name, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for ResponseHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Whether this can be the name of a header or a method (RFC 9110, section 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_those_that_every_version_of_http_can_send() {
        let header = ResponseHeader::try_new("X-Reason", "too many; slow down").unwrap();
        assert_eq!(
            (header.name(), header.value()),
            ("x-reason", "too many; slow down")
        );
        assert!(ResponseHeader::try_new("x", "").is_ok());
        let long = "x".repeat(5000);
        for (name, value) in [
            ("", "x"),
            ("a b", "x"),
            ("a:", "x"),
            ("é", "x"),
            (&long, "x"),
            ("x", "a\nb"),
            ("x", "a\0"),
            ("x", "é"),
            ("x", " x"),
            ("x", "x\t"),
            ("x", &long),
            ("Content-Length", "0"),
            ("transfer-encoding", "chunked"),
            ("Flag-Plan", "teapot"),
        ] {
            let refused = ResponseHeader::try_new(name, value);
            assert!(refused.is_err(), "{name:.20}: {value:.20}");
        }
    }
}
