//! The encoder for hyper: HTTP/1.1 with everything that the fast path leaves to it, and HTTP/2.

use std::future::Future;
use std::pin::Pin;
#[cfg(feature = "http2")]
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use axum::response::IntoResponse;
use flags_data::Resource;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::Service;

#[cfg(feature = "http2")]
use super::untaken::{Untaken, WatchedBody};
use super::{cors, host};
use crate::app::App;
use crate::fault::{
    Broken, ConnectionHandle, Decision, Injection, PacedBody, Reply, RequestHead, Respond,
};
use crate::record_log::RecordGuard;
use crate::site::{ServedFile, Unread, Upload, describe_corrupted, is_upload};

/// An app as one connection sees it.
#[derive(Debug)]
pub(super) struct AppService {
    pub(super) app: App,
    pub(super) connection: ConnectionHandle,
    /// Of an HTTP/2 connection.
    #[cfg(feature = "http2")]
    pub(super) untaken: Option<Arc<Untaken>>,
}

impl Service<Request<Incoming>> for AppService {
    type Response = Response<Body>;
    type Error = Broken;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Broken>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        // Behind a break, nothing is answered.
        if self.connection.is_ending() {
            return Box::pin(std::future::pending());
        }
        let has_cors = self.app.has_cors;
        if has_cors && cors::is_preflight(&request) {
            let preflight = self.pass(&request, cors::preflight());
            return Box::pin(std::future::ready(Ok(preflight)));
        }
        if let Some(remedy) = remedy(&request) {
            let mut refusal = self.pass(&request, refuse_request(&request, remedy));
            if has_cors {
                cors::allow(refusal.headers_mut());
            }
            return Box::pin(std::future::ready(Ok(refusal)));
        }
        let (app, connection) = (self.app.clone(), self.connection.clone());
        let answer = answer(app, request.map(Body::new), connection);
        #[cfg(feature = "http2")]
        if let Some(untaken) = &self.untaken {
            let untaken = Arc::clone(untaken);
            return Box::pin(async move {
                let response = answer.await?;
                Ok(response.map(|body| Body::new(WatchedBody::new(body, untaken))))
            });
        }
        Box::pin(answer)
    }
}

impl AppService {
    /// Records a response whatever was asked for.
    fn pass(&self, request: &Request<Incoming>, response: Response<Body>) -> Response<Body> {
        let resource = Resource::parse(request.uri().path());
        let head = RequestHead::of(&self.connection, request, &resource, None);
        let record = self.app.injector.pass(&head);
        complete(response, record, request.method(), &self.connection)
    }
}

/// # Errors
/// When the connection, or on HTTP/2 the stream, is to break now.
async fn answer(
    app: App,
    request: Request<Body>,
    connection: ConnectionHandle,
) -> Result<Response<Body>, Broken> {
    let method = request.method().clone();
    // The body of a request that is no upload is unread until its response begins.
    let (head, body) = request.into_parts();
    let uploaded_to = uploaded_to(&head);
    let head = Request::from_parts(head, Body::empty());
    let (decision, content) = decide(&app, head, &connection).await;
    let (decision, content, body) = match (decision, uploaded_to) {
        (Ok(mut decision), Some(path)) => {
            match app.injector.shutdown().wait_for(Upload::read(body)).await {
                Ok(Ok(upload)) => {
                    decision.body_has_come(upload.0);
                    let receipt = upload.receipt(&method, &path, decision.attempt());
                    (Ok(decision), receipt, Body::empty())
                }
                Ok(Err(Unread::Refused(refusal))) | Err(refusal) => (
                    Err(decision.abandon()),
                    refusal.map(Body::from),
                    Body::empty(),
                ),
                Ok(Err(Unread::Left)) => return Err(Broken),
            }
        }
        (decision, _) => (decision, content, body),
    };
    let response = match decision {
        Err(record) => complete(content, record, &method, &connection),
        Ok(decision) => match connection.watch(app.injector.apply(decision)).await {
            Reply::Refuse(refusal, record) => {
                complete(refusal.map(Body::from), record, &method, &connection)
            }
            Reply::Break(fault, record) => {
                connection.inject(Injection { fault, record }).await;
                return Err(Broken);
            }
            Reply::Respond(mut respond) => {
                let own = respond.response.take();
                let response = own.map_or(content, |own| own.map(Body::from));
                apply_to_body(&app, response, respond, &method, connection).await
            }
        },
    };
    drop(body);
    let response = if method == Method::HEAD {
        without_body(response)
    } else {
        response
    };
    let mut response = with_length_where_it_belongs(response);
    if app.has_cors {
        cors::allow(response.headers_mut());
    }
    Ok(response)
}

/// The canonical path of an upload; none if the request is something else.
fn uploaded_to(head: &Parts) -> Option<String> {
    let resource = Resource::parse(head.uri.path());
    is_upload(&head.method, &resource).then(|| resource.to_string())
}

/// What is decided about a request, or else its record, and the response without a fault. The
/// request is gone then: while it waits, nobody has to keep the many bytes that its head may have.
async fn decide(
    app: &App,
    request: Request<Body>,
    connection: &ConnectionHandle,
) -> (Result<Decision, RecordGuard>, Response<Body>) {
    let path = request.uri().path().to_owned();
    let resource = Resource::parse(&path);
    let file = app.site.file(&resource).map(ServedFile::headers);
    let head = RequestHead::of(connection, &request, &resource, file);
    let decided = if resource.has_faults() {
        match app.injector.decide(&head) {
            Err(refusal) => return (Err(app.injector.pass(&head)), (*refusal).map(Body::from)),
            Ok(decision) => Ok(decision),
        }
    } else {
        Err(app.injector.pass(&head))
    };
    (decided, app.site.answer(request, &resource).await)
}

/// Completes the record of a response that is sent whole and as it is.
fn complete(
    response: Response<Body>,
    mut record: RecordGuard,
    method: &Method,
    connection: &ConnectionHandle,
) -> Response<Body> {
    record.status(response.status());
    if *method != Method::HEAD {
        let len = response.body().size_hint().lower(); // it is in memory
        record.sent(usize::try_from(len).unwrap_or(usize::MAX));
    }
    connection.complete(record);
    response
}

/// The response with its body as planned, and the report. A response without a body is left alone:
/// there is nothing to cut.
async fn apply_to_body(
    app: &App,
    response: Response<Body>,
    mut respond: Respond,
    method: &Method,
    connection: ConnectionHandle,
) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    respond.record.status(parts.status);
    if respond.is_corrupted() && parts.status.is_success() {
        describe_corrupted(&mut parts.headers);
    }
    if respond.is_complete() && !respond.record.is_kept() {
        report(&respond, None, &mut parts.headers);
        return Response::from_parts(parts, body);
    }
    let bytes = body.collect().await;
    let bytes = bytes.map(|body| body.to_bytes()).unwrap_or_default();
    let is_sent = !bytes.is_empty() && *method != Method::HEAD;
    let planned = is_sent.then(|| respond.body_time(bytes.len() as u64));
    report(&respond, planned.flatten(), &mut parts.headers);
    if !is_sent {
        connection.complete(respond.record);
        return Response::from_parts(parts, Body::from(bytes));
    }
    let length = HeaderValue::from(bytes.len());
    parts.headers.insert(CONTENT_LENGTH, length);
    let body = PacedBody::new(&bytes, respond, connection, app.injector.shutdown());
    Response::from_parts(parts, Body::new(body))
}

fn report(respond: &Respond, body: Option<Duration>, headers: &mut HeaderMap) {
    respond.report.write(body, |name, value| {
        headers.insert(name, value.clone());
    });
}

/// The answer to a HEAD: the head of the answer to a GET, with the length of what is not sent.
fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    Response::from_parts(parts, Body::empty())
}

/// The router gives every response the length of its body. On a 204 that is forbidden, and on a 304
/// it would have to be the length of what was not sent (RFC 9110, section 8.6).
fn with_length_where_it_belongs(mut response: Response<Body>) -> Response<Body> {
    if matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    ) {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response
}

/// What is wrong with a request whatever it asks for. A client and a server that read it in
/// different ways are how smuggling begins.
fn remedy<B>(request: &Request<B>) -> Option<&'static str> {
    let is_upload = || is_upload(request.method(), &Resource::parse(request.uri().path()));
    if request.headers().contains_key(TRANSFER_ENCODING) && !is_upload() {
        return Some("transfer-encoding: only uploads have a body here; leave it out\n");
    }
    let hosts = request.headers().get_all(HOST);
    let hosts = hosts.iter().map(HeaderValue::as_bytes);
    // Before HTTP/1.1 there was none, and HTTP/2 has a name of its own for it.
    let is_required = request.version() == Version::HTTP_11;
    if !host::is_valid(hosts, is_required) {
        return Some("host: name the server once, as in 127.0.0.1:8000\n");
    }
    None
}

/// The last answer on its connection, which on HTTP/2 has other requests.
fn refuse_request<B>(request: &Request<B>, remedy: &'static str) -> Response<Body> {
    let mut response = (StatusCode::BAD_REQUEST, remedy).into_response();
    if request.version() < Version::HTTP_2 {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    if *request.method() == Method::HEAD {
        response = without_body(response);
    }
    response
}
