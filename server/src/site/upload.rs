//! Uploads: the body of a request is read, and answered with a receipt. Nothing is stored.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, Response, StatusCode};
use flags_data::{Digest, Resource, ResourceKind};
use http_body_util::BodyExt;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::record::ReceivedBody;
use crate::response::{Complete, text_response};

/// The longest upload that is read, in bytes.
pub const MAX_UPLOAD: u64 = 16 * 1024 * 1024;

/// How long a client may send nothing of a body that it has announced.
const PATIENCE: Duration = Duration::from_secs(30);

/// The methods of an upload, as `allow` lists them.
pub(super) const ALLOWED: HeaderValue = HeaderValue::from_static("POST,PUT,PATCH,DELETE");

/// Why a body was not read to its end.
#[derive(Debug)]
pub(crate) enum Unread {
    /// The client is told why.
    Refused(Complete),
    /// The client has left.
    Left,
}

#[derive(Serialize)]
struct Receipt<'r> {
    method: &'r str,
    path: &'r str,
    bytes: u64,
    sha256: String,
    attempt: u32,
}

/// Whether a request with this method for this resource is an upload.
pub(crate) fn is_upload(method: &Method, resource: &Resource<'_>) -> bool {
    let methods = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    resource.kind() == ResourceKind::Upload && methods.contains(method)
}

/// An upload whose body was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Upload(pub(crate) ReceivedBody);

impl Upload {
    /// Reads a body to its end. It costs the memory of one piece of it.
    ///
    /// # Errors
    /// When it is too long, comes too slowly, or ends before its end.
    pub(crate) async fn read(mut body: Body) -> Result<Self, Unread> {
        let too_large = || {
            let text = format!("an upload has at most {MAX_UPLOAD} bytes: send a shorter one\n");
            Unread::refused(StatusCode::PAYLOAD_TOO_LARGE, text)
        };
        if http_body::Body::size_hint(&body).lower() > MAX_UPLOAD {
            return Err(too_large());
        }
        let (mut bytes, mut digest) = (0, Sha256::new());
        loop {
            let Ok(frame) = tokio::time::timeout(PATIENCE, body.frame()).await else {
                let text = format!("nothing of the body has come for {PATIENCE:?}\n");
                return Err(Unread::refused(StatusCode::REQUEST_TIMEOUT, text));
            };
            match frame {
                None => break,
                Some(Err(_)) => return Err(Unread::Left),
                Some(Ok(frame)) => {
                    let data = frame.into_data().unwrap_or_default(); // or trailers
                    bytes += data.len() as u64;
                    if bytes > MAX_UPLOAD {
                        return Err(too_large());
                    }
                    digest.update(&data);
                }
            }
        }
        let sha256 = Digest::from_bytes(digest.finalize().into());
        Ok(Self(ReceivedBody { bytes, sha256 }))
    }

    /// What the client gets for it.
    pub(crate) fn receipt(self, method: &Method, path: &str, attempt: u32) -> Response<Body> {
        let receipt = Receipt {
            method: method.as_str(),
            path,
            bytes: self.0.bytes,
            sha256: self.0.sha256.to_string(),
            attempt,
        };
        let json = serde_json::to_string(&receipt).expect("texts and numbers are JSON");
        let mut response = Response::new(Body::from(json + "\n"));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl Unread {
    /// The rest of the body is not read, so nothing can follow on its connection.
    fn refused(status: StatusCode, text: String) -> Self {
        let mut refusal = text_response(status, text);
        let close = HeaderValue::from_static("close");
        refusal.headers_mut().insert(CONNECTION, close);
        Self::Refused(refusal)
    }
}
