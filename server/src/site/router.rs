//! Which path is answered by what, and when its fate is met.
//!
//! An [`App`] is a service without a socket. Whatever is asked for below `/flags/`, also what does not exist, meets its fate first.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{Path, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use flags_data::{Catalogue, CountryCode};
use hyper::body::Incoming;
use tower::Service as _;

use super::file::ServedFile;
use super::index::List;
use crate::connection::Closing;
use crate::fault::{self, Asked, Chaos, ConnectionHandle, Fate};
use crate::record::Journal;
use crate::scenario::{NOT_FOUND as NOT_FOUND_TEXT, Scenario};

/// The two roots of the tree: ours, and the one of the book's public site.
const ROOTS: [&str; 2] = ["/flags", "/data/flags"];

/// What is answered where nothing is.
const NOT_FOUND: (StatusCode, &str) = (StatusCode::NOT_FOUND, NOT_FOUND_TEXT);

/// All that is served, in memory and ready to send. Listeners share it.
#[derive(Debug)]
pub(crate) struct Site {
    /// A place for each code.
    files: Vec<Option<Files>>,
    list: List,
}

/// The two files of one country.
#[derive(Debug)]
struct Files {
    image: ServedFile,
    metadata: ServedFile,
}

impl Site {
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
        let files = CountryCode::every().map(|code| {
            let flag = catalogue.get(code)?;
            Some(Files {
                image: ServedFile::new(&flag.image, "image/gif", flag.last_modified),
                metadata: ServedFile::new(&flag.metadata, "application/json", flag.last_modified),
            })
        });
        Self {
            files: files.collect(),
            list: List::new(catalogue),
        }
    }

    /// The file of this name in the folder of this code, in either case.
    fn file(&self, folder: &str, name: &str) -> Option<&ServedFile> {
        let code: CountryCode = folder.parse().ok()?;
        let files = self.files[code.index()].as_ref()?;
        if name.eq_ignore_ascii_case("metadata.json") {
            return Some(&files.metadata);
        }
        let (stem, extension) = name.split_once('.')?;
        let is_image = stem.eq_ignore_ascii_case(folder) && extension.eq_ignore_ascii_case("gif");
        is_image.then_some(&files.image)
    }
}

/// The service of one listener: a site behind a scenario.
#[derive(Debug, Clone)]
pub(crate) struct App(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    site: Arc<Site>,
    chaos: Chaos,
    router: Router,
}

impl App {
    pub(crate) fn new(
        site: Arc<Site>,
        scenario: &Scenario,
        journal: Arc<Journal>,
        closing: Arc<Closing>,
    ) -> Self {
        Self(Arc::new(Shared {
            router: router(Arc::clone(&site)),
            chaos: Chaos::new(scenario, journal, closing),
            site,
        }))
    }

    /// What decides and enforces.
    pub(crate) fn chaos(&self) -> &Chaos {
        &self.0.chaos
    }

    /// The file that this path names, if it is spelled as it usually is.
    pub(crate) fn file(&self, path: &str) -> Option<&ServedFile> {
        let (folder, name) = path.strip_prefix("/flags/")?.split_once('/')?;
        self.0.site.file(folder, name)
    }

    /// Answers a request that came on this connection, and of which this has been decided, if anything.
    pub(crate) async fn answer(
        self,
        request: Request<Incoming>,
        connection: ConnectionHandle,
        decided: Option<Fate>,
    ) -> Response {
        let Shared { chaos, router, .. } = &*self.0;
        let is_head = request.method() == Method::HEAD;
        let fate = match decided {
            Some(fate) => Some(Ok(fate)),
            None => chaos.decide(&Asked::from(&request)),
        };
        let request = request.map(Body::new);
        let response = match fate {
            None => routed(router, request).await,
            Some(Err(refusal)) => refusal.into_response(),
            Some(Ok(fate)) => fault::meet(chaos, fate, request, &connection, router).await,
        };
        let response = if is_head { head(response) } else { response };
        with_length_where_it_belongs(response)
    }
}

fn router(site: Arc<Site>) -> Router {
    let mut router = Router::new().route("/healthz", get(|| async { "ok" }));
    for root in ROOTS {
        router = router
            .route(
                root,
                get(move || async move { Redirect::permanent(&format!("{root}/")) }),
            )
            .route(&format!("{root}/"), get(list))
            .route(&format!("{root}/{{folder}}/{{name}}"), get(file));
    }
    router.fallback(async || NOT_FOUND).with_state(site)
}

/// What the router answers.
pub(crate) async fn routed(router: &Router, request: Request) -> Response {
    let response = router.clone().call(request).await;
    response.unwrap_or_else(|never| match never {})
}

/// The answer to a HEAD: the head of the answer to a GET, with the length of what is not sent.
fn head(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(length) = body.size_hint().exact() {
        parts.headers.entry(CONTENT_LENGTH).or_insert(length.into());
    }
    Response::from_parts(parts, Body::empty())
}

/// The router gives every response the length of its body. On a 204 that is forbidden, and on a 304 it
/// would have to be the length of what was not sent (RFC 9110, section 8.6).
fn with_length_where_it_belongs(mut response: Response) -> Response {
    if matches!(
        response.status(),
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    ) {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response
}

async fn file(
    State(site): State<Arc<Site>>,
    Path((folder, name)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    match site.file(&folder, &name) {
        Some(file) => file.answer(&method, &headers),
        None => NOT_FOUND.into_response(),
    }
}

async fn list(State(site): State<Arc<Site>>, headers: HeaderMap) -> Response {
    let (content_type, body) = if List::prefers_json(&headers) {
        ("application/json", &site.list.json)
    } else {
        ("text/html; charset=utf-8", &site.list.html)
    };
    let fixed = [
        (CONTENT_TYPE, content_type),
        (VARY, "accept"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (fixed, body.clone()).into_response()
}
