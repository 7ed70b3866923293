//! The texts of responses that are not flags.

use std::borrow::Cow;

use crate::{RequestKey, StatusNumber};

/// The body of a 404.
pub const NOT_FOUND: &str = "not found: the flags are at /flags/br/br.gif, their list at /flags/\n";

/// The body of a planned status: its own, or a short explanation. `None` if the status has no body.
pub fn status_text<'b>(
    status: StatusNumber,
    body: Option<&'b str>,
    request: &RequestKey<'_>,
) -> Option<Cow<'b, str>> {
    let RequestKey { path, attempt, .. } = request;
    match (status.get(), body) {
        (204 | 205 | 304, _) => None,
        (_, Some(body)) => Some(body.into()),
        (number, None) => {
            let reason = reason(number);
            let text = format!("{number} {reason}: planned for attempt {attempt} at {path}\n");
            Some(text.into())
        }
    }
}

/// The reason phrase of a status, from IANA's registry of HTTP status codes.
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Payload Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        418 => "I'm a teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        425 => "Too Early",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "<unknown status code>",
    }
}
