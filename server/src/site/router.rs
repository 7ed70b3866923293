//! Which resource is answered by what, without any fault.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, SERVER, VARY};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use flags_data::{Catalogue, CountryCode, HEALTH_CHECK, Resource, ResourceKind};
use tower_service::Service as _;

use super::file::ServedFile;
use super::index::List;
use super::upload::ALLOWED;
use crate::scenario::NOT_FOUND;

/// All that is served, in memory and ready to send. Listeners share it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    files: Arc<Files>,
    router: Router,
}

#[derive(Debug)]
struct Files {
    /// A place for each code.
    flags: Vec<Option<FlagFiles>>,
    list: List,
}

/// The two files of one country.
#[derive(Debug)]
struct FlagFiles {
    image: ServedFile,
    metadata: ServedFile,
}

/// What the target of a request has in front of its canonical path.
#[derive(Clone)]
struct Prefix(String);

impl Site {
    pub(crate) fn new(catalogue: &Catalogue) -> Self {
        let flags = CountryCode::every().map(|code| {
            let flag = catalogue.get(code)?;
            Some(FlagFiles {
                image: ServedFile::new(&flag.image, "image/gif", flag.last_modified),
                metadata: ServedFile::new(&flag.metadata, "application/json", flag.last_modified),
            })
        });
        let files = Arc::new(Files {
            flags: flags.collect(),
            list: List::new(catalogue),
        });
        let router = Router::new()
            .route(HEALTH_CHECK, get(healthy))
            .route("/flags", get(slash))
            .route("/flags/", get(list))
            .route("/flags/{folder}/{name}", get(file))
            .fallback(other)
            .with_state(Arc::clone(&files));
        Self { files, router }
    }

    /// The file that a resource is, if there is one.
    pub(crate) fn file(&self, resource: &Resource<'_>) -> Option<&ServedFile> {
        self.files.get(resource)
    }

    /// The answer to a request for this resource.
    pub(crate) async fn answer(&self, mut request: Request, resource: &Resource<'_>) -> Response {
        if !resource.is_canonical(request.uri().path())
            && let Ok(uri) = resource.path().parse()
        {
            *request.uri_mut() = uri;
        }
        request
            .extensions_mut()
            .insert(Prefix(resource.prefix().to_owned()));
        let response = self.router.clone().call(request).await;
        response.unwrap_or_else(|never| match never {})
    }
}

impl Files {
    fn get(&self, resource: &Resource<'_>) -> Option<&ServedFile> {
        let flag = |code: CountryCode| self.flags[code.index()].as_ref();
        match resource.kind() {
            ResourceKind::Image(code) => flag(code).map(|files| &files.image),
            ResourceKind::Metadata(code) => flag(code).map(|files| &files.metadata),
            _ => None,
        }
    }
}

fn not_found() -> Response<Body> {
    (StatusCode::NOT_FOUND, NOT_FOUND).into_response()
}

/// A resource that there is, by another method, or none.
async fn other(uri: Uri) -> Response {
    match Resource::parse(uri.path()).kind() {
        ResourceKind::Upload => {
            (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, ALLOWED)]).into_response()
        }
        _ => not_found(),
    }
}

/// The header is how a client recognises a Flagbench server.
async fn healthy() -> impl IntoResponse {
    ([(SERVER, "flag-server")], "ok")
}

async fn slash(Extension(Prefix(prefix)): Extension<Prefix>) -> Redirect {
    Redirect::permanent(&format!("{prefix}/flags/"))
}

async fn file(
    State(files): State<Arc<Files>>,
    uri: Uri,
    method: Method,
    headers: HeaderMap,
) -> Response {
    match files.get(&Resource::parse(uri.path())) {
        Some(file) => file.answer(&method, &headers),
        None => not_found(),
    }
}

async fn list(State(files): State<Arc<Files>>, headers: HeaderMap) -> Response {
    let (content_type, body) = if List::prefers_json(&headers) {
        ("application/json", &files.list.json)
    } else {
        ("text/html; charset=utf-8", &files.list.html)
    };
    let fixed = [
        (CONTENT_TYPE, content_type),
        (VARY, "accept"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (fixed, body.clone()).into_response()
}
