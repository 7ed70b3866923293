//! Answering for one file: the conditions and ranges of RFC 9110, on bytes that are already in
//! memory.
//!
//! It knows nothing of flags, faults or routes.

use std::time::SystemTime;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_RANGE,
    LAST_MODIFIED, RANGE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use flag_host::http_time;
use flags_data::Asset;
use headers::{ETag, HeaderMapExt, IfMatch, IfModifiedSince, IfNoneMatch, IfUnmodifiedSince};

/// A file that can be served: its bytes and the headers that never change.
#[derive(Debug, Clone)]
pub(crate) struct ServedFile {
    bytes: bytes::Bytes,
    etag: ETag,
    last_modified: SystemTime,
    /// Of a whole response: `content-type`, `content-length`, `etag`, `last-modified`,
    /// `cache-control`, `accept-ranges`.
    headers: HeaderMap,
    /// The same on HTTP/1.1, from the status line on.
    head: Vec<u8>,
    /// That of a response whose body is [corrupted](describe_corrupted).
    corrupted_head: Vec<u8>,
}

/// Writes a header line of HTTP/1.1.
pub(crate) fn write_header(head: &mut Vec<u8>, name: &str, value: &HeaderValue) {
    for piece in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
        head.extend(piece);
    }
}

/// An hour, and no longer: a benchmark that talks to a cache measures the cache.
const CACHE_FOR_AN_HOUR: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// A body with flipped bits has no entity tag and no date of the file, and no cache may keep it.
pub(crate) fn describe_corrupted(headers: &mut HeaderMap) {
    headers.remove(ETAG);
    headers.remove(LAST_MODIFIED);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// The only value of this header, if there is one.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

impl ServedFile {
    pub(crate) fn new(
        asset: &Asset,
        content_type: &'static str,
        last_modified: SystemTime,
    ) -> Self {
        // A file may have any time, and that of a container's layer is often zero.
        let last_modified = http_time(last_modified);
        let etag: ETag = format!("\"{}\"", asset.digest)
            .parse()
            .expect("a digest in quotes is an entity tag");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.typed_insert(etag.clone());
        headers.typed_insert(headers::LastModified::from(last_modified));
        headers.insert(CACHE_CONTROL, CACHE_FOR_AN_HOUR);
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CONTENT_LENGTH, HeaderValue::from(asset.bytes.len()));
        let mut corrupted = headers.clone();
        describe_corrupted(&mut corrupted);
        let [head, corrupted_head] = [&headers, &corrupted].map(|headers| {
            let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
            for (name, value) in headers {
                write_header(&mut head, name.as_str(), value);
            }
            head
        });
        Self {
            bytes: asset.bytes.clone(),
            etag,
            last_modified,
            headers,
            head,
            corrupted_head,
        }
    }

    /// The headers of a whole response.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The head of a whole response on HTTP/1.1, without its last empty line.
    pub(crate) fn head(&self, is_corrupted: bool) -> &[u8] {
        if is_corrupted {
            &self.corrupted_head
        } else {
            &self.head
        }
    }

    /// The body of a whole response.
    pub(crate) fn body(&self) -> &bytes::Bytes {
        &self.bytes
    }

    /// The answer to a GET or HEAD with these request headers, in the order of RFC 9110, section
    /// 13.2.2.
    pub(crate) fn answer(&self, method: &Method, request: &HeaderMap) -> Response {
        if self.precondition_fails(request) {
            return self.respond(StatusCode::PRECONDITION_FAILED, None);
        }
        if self.client_has_it(request) {
            return self.respond(StatusCode::NOT_MODIFIED, None);
        }
        // A range of anything but a GET has no meaning (RFC 9110, section 14.2).
        match only(request, RANGE) {
            Some(range) if *method == Method::GET && self.range_still_applies(request) => {
                self.part(range)
            }
            _ => self.whole(),
        }
    }

    fn precondition_fails(&self, request: &HeaderMap) -> bool {
        if let Some(if_match) = request.typed_get::<IfMatch>() {
            return !if_match.precondition_passes(&self.etag);
        }
        let unmodified_since = request.typed_get::<IfUnmodifiedSince>();
        unmodified_since.is_some_and(|since| !since.precondition_passes(self.last_modified))
    }

    fn client_has_it(&self, request: &HeaderMap) -> bool {
        if let Some(if_none_match) = request.typed_get::<IfNoneMatch>() {
            return !if_none_match.precondition_passes(&self.etag);
        }
        let modified_since = request.typed_get::<IfModifiedSince>();
        modified_since.is_some_and(|since| !since.is_modified(self.last_modified))
    }

    /// Only an exact match of the entity tag or of the date is one (RFC 9110, section 13.1.5): what
    /// is weak, malformed or doubled is not, and not absent either.
    fn range_still_applies(&self, request: &HeaderMap) -> bool {
        if !request.contains_key(IF_RANGE) {
            return true;
        }
        only(request, IF_RANGE).is_some_and(|condition| {
            let date = |value: &HeaderValue| httpdate::parse_http_date(value.to_str().ok()?).ok();
            let is_date = date(condition).is_some_and(|found| {
                date(&self.headers[LAST_MODIFIED]).is_some_and(|own| own == found)
            });
            is_date || *condition == self.headers[ETAG]
        })
    }

    fn whole(&self) -> Response {
        self.respond(StatusCode::OK, Some(self.bytes.clone()))
    }

    /// One range gets its bytes. Several, or a header that makes no sense, get the whole file, as
    /// RFC 9110 allows: several ranges of a flag are of no use.
    fn part(&self, range: &HeaderValue) -> Response {
        let len = self.bytes.len() as u64;
        let parsed = range
            .to_str()
            .ok()
            .and_then(|text| http_range_header::parse_range_header(text).ok());
        let Some(ranges) = parsed else {
            return self.whole();
        };
        match ranges.validate(len).as_deref() {
            Ok([one]) => {
                let bytes = self
                    .bytes
                    .slice(*one.start() as usize..=*one.end() as usize);
                let mut response = self.respond(StatusCode::PARTIAL_CONTENT, Some(bytes));
                let place = format!("bytes {}-{}/{len}", one.start(), one.end());
                insert_content_range(&mut response, &place);
                response
            }
            Ok(_) => self.whole(),
            Err(_) => {
                let mut response = self.respond(StatusCode::RANGE_NOT_SATISFIABLE, None);
                insert_content_range(&mut response, &format!("bytes */{len}"));
                response
            }
        }
    }

    /// A response with the file's own headers. Without a body it has no `content-type` either.
    fn respond(&self, status: StatusCode, body: Option<bytes::Bytes>) -> Response {
        let mut response = match body {
            Some(bytes) => {
                let is_part = bytes.len() < self.bytes.len();
                let length = HeaderValue::from(bytes.len());
                let mut response = Response::new(Body::from(bytes));
                *response.headers_mut() = self.headers.clone();
                if is_part {
                    response.headers_mut().insert(CONTENT_LENGTH, length);
                }
                response
            }
            None => {
                let mut response = ().into_response();
                // The conditions and ranges of one request say nothing about the next one.
                let is_cached = status == StatusCode::NOT_MODIFIED;
                let names = [ETAG, LAST_MODIFIED, ACCEPT_RANGES].into_iter();
                for name in names.chain(is_cached.then_some(CACHE_CONTROL)) {
                    let value = self.headers[&name].clone();
                    response.headers_mut().insert(name, value);
                }
                response
            }
        };
        *response.status_mut() = status;
        response
    }
}

fn insert_content_range(response: &mut Response, place: &str) {
    let value = HeaderValue::from_str(place).expect("numbers are visible ASCII");
    response.headers_mut().insert(CONTENT_RANGE, value);
}
