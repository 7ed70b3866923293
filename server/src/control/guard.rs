//! Who may use the control plane: programs on this machine that name it, and whoever has its token.
//! Pages of other sites may not, whatever name they have for it.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Why a request does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Without the token.
    NoToken,
    /// From elsewhere, as this says.
    Elsewhere(&'static str),
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Elsewhere(detail) => Problem::new(StatusCode::FORBIDDEN, detail).into_response(),
            Self::NoToken => {
                let detail = "authorization: send `Bearer` and the token of --control-token";
                let mut response = Problem::new(StatusCode::UNAUTHORIZED, detail).into_response();
                let challenge = HeaderValue::from_static("Bearer realm=\"control\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                response
            }
        }
    }
}

/// What a request has to be like.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// The address that it is bound to.
    pub(super) bound: IpAddr,
    /// The bearer token, if there is one.
    pub(super) token: Option<Arc<str>>,
}

/// Lets a request pass, or tells why not.
pub(super) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.allow(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

impl Guard {
    fn allow(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if let Some(token) = &self.token {
            // No page knows it.
            return if has_token(headers, token) {
                Ok(())
            } else {
                Err(Refusal::NoToken)
            };
        }
        let refuse = |detail| Err(Refusal::Elsewhere(detail));
        let host = only(headers, &HOST);
        if !host.is_some_and(|host| self.is_own_name(host)) {
            return refuse(
                "host: name the control plane by a loopback address or the one that it is bound to, as in 127.0.0.1:9000, or \
                 start the server with --control-token",
            );
        }
        let is_of_this_site = |site: &str| matches!(site, "same-origin" | "none");
        if headers.contains_key(SEC_FETCH_SITE)
            && !only(headers, &SEC_FETCH_SITE).is_some_and(is_of_this_site)
        {
            return refuse("sec-fetch-site: pages of other sites may not use the control plane");
        }
        let own_origin = host.map(|host| format!("http://{host}"));
        if headers.contains_key(ORIGIN) && only(headers, &ORIGIN) != own_origin.as_deref() {
            return refuse("origin: pages of other sites may not use the control plane");
        }
        Ok(())
    }

    /// Whether this is a name for the machine itself: other names may be made to point to it.
    fn is_own_name(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        if name.eq_ignore_ascii_case("localhost") {
            return true;
        }
        let address = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'));
        let address: Option<IpAddr> = address.unwrap_or(name).parse().ok();
        address.is_some_and(|address| address.is_loopback() || address == self.bound)
    }
}

/// The value of the only header of this name.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

/// Compared by their digests, so that the time says nothing about how much was right.
fn has_token(headers: &HeaderMap, token: &str) -> bool {
    let given = only(headers, &AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    given.is_some_and(|given| blake3::hash(given.as_bytes()) == blake3::hash(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(guard: &Guard, lines: &[(&str, &str)]) -> u16 {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        let refusal = guard.allow(&headers).err();
        refusal.map_or(200, |refusal| refusal.into_response().status().as_u16())
    }

    #[test]
    fn only_names_of_the_machine_itself_and_pages_of_its_own_pass() {
        let guard = Guard {
            bound: "192.0.2.7".parse().unwrap(),
            token: None,
        };
        let own = ("host", "127.0.0.1:9000");
        for (expected, lines) in [
            (200, &[own][..]),
            (200, &[("host", "localhost")]),
            (200, &[("host", "LocalHost:1")]),
            (200, &[("host", "[::1]:9000")]),
            (200, &[("host", "127.9.9.9")]),
            (200, &[("host", "192.0.2.7:9000")]),
            (403, &[]),
            (403, &[("host", "")]),
            (403, &[("host", "192.0.2.8:9000")]),
            (403, &[("host", "localhost.example:9000")]),
            (403, &[("host", "example.com")]),
            (403, &[("host", "127.0.0.1.example")]),
            (403, &[("host", "[::1")]),
            (403, &[own, own]),
            (200, &[own, ("sec-fetch-site", "none")]),
            (200, &[own, ("sec-fetch-site", "same-origin")]),
            (403, &[own, ("sec-fetch-site", "same-site")]),
            (403, &[own, ("sec-fetch-site", "cross-site")]),
            (
                403,
                &[own, ("sec-fetch-site", "none"), ("sec-fetch-site", "none")],
            ),
            (200, &[own, ("origin", "http://127.0.0.1:9000")]),
            (403, &[own, ("origin", "http://127.0.0.1:8000")]),
            (403, &[own, ("origin", "http://elsewhere.example")]),
            (403, &[own, ("origin", "null")]),
        ] {
            assert_eq!(status(&guard, lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn a_token_is_needed_where_there_is_one_and_is_enough() {
        let guard = Guard {
            bound: "127.0.0.1".parse().unwrap(),
            token: Some("secret".into()),
        };
        let host = ("host", "anything.example");
        for (expected, value) in [
            (200, "Bearer secret"),
            (200, "bearer secret"),
            (401, "Bearer secre"),
            (401, "Bearer secret "),
            (401, "Basic secret"),
            (401, "secret"),
        ] {
            assert_eq!(
                status(&guard, &[host, ("authorization", value)]),
                expected,
                "{value}"
            );
        }
        assert_eq!(status(&guard, &[("host", "127.0.0.1")]), 401);
    }
}
