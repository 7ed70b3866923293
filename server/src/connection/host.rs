//! Whether a request says which host it is for as HTTP wants it (RFC 9112, section 3.2). Which host
//! that is does not matter here.

use std::net::Ipv6Addr;

/// Whether these values of `Host` are at most one, and valid; none is enough only if none is
/// required.
pub(super) fn is_valid<'h>(mut hosts: impl Iterator<Item = &'h [u8]>, is_required: bool) -> bool {
    match (hosts.next(), hosts.next()) {
        (None, _) => !is_required,
        (Some(host), None) => is_host_and_port(host),
        (Some(_), Some(_)) => false,
    }
}

/// `uri-host [ ":" port ]` (RFC 9110, section 7.2). A target without a host has an empty one.
fn is_host_and_port(text: &[u8]) -> bool {
    let (is_host, rest) = match text.strip_prefix(b"[") {
        Some(literal) => {
            let Some(end) = literal.iter().position(|byte| *byte == b']') else {
                return false;
            };
            (is_ipv6(&literal[..end]), &literal[end + 1..])
        }
        None => {
            let end = text.iter().position(|byte| *byte == b':');
            let (name, rest) = text.split_at(end.unwrap_or(text.len()));
            (is_name(name), rest)
        }
    };
    is_host && (rest.is_empty() || is_port(rest))
}

fn is_ipv6(text: &[u8]) -> bool {
    let text = std::str::from_utf8(text);
    text.is_ok_and(|text| text.parse::<Ipv6Addr>().is_ok())
}

fn is_port(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b":");
    digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
}

/// `reg-name` (RFC 3986, section 3.2.2), of which an IPv4 address is one.
fn is_name(text: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        let is_allowed = match byte {
            b'%' => {
                let mut is_digit = || bytes.next().is_some_and(u8::is_ascii_hexdigit);
                is_digit() && is_digit()
            }
            byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte),
        };
        if !is_allowed {
            return false;
        }
    }
    true
}
