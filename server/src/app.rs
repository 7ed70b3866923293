//! Which path is answered by what, and the order of the layers.
//!
//! [`app`] is a service without a socket. The faults are its outermost layer: whatever is
//! asked for below `/flags/`, also what does not exist, meets its fate first.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use flags_data::{Catalogue, CountryCode};
use tower::util::MapResponse;

use crate::asset::ServedFile;
use crate::closing::Closing;
use crate::fault::{self, Chaos};
use crate::journal::Journal;
use crate::list::List;
use crate::scenario::Scenario;

/// The two roots of the tree: ours, and the one of the book's public site.
const ROOTS: [&str; 2] = ["/flags", "/data/flags"];

/// What is answered where nothing is.
pub(crate) const NOT_FOUND: (StatusCode, &str) = (
    StatusCode::NOT_FOUND,
    "not found: the flags are at /flags/br/br.gif, their list at /flags/\n",
);

/// All that is served, in memory and ready to send. Listeners share it.
#[derive(Debug)]
pub(crate) struct Site {
    files: HashMap<CountryCode, Files>,
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
        let files = catalogue.flags().map(|flag| {
            let image = ServedFile::new(&flag.image, "image/gif", flag.last_modified);
            let metadata = ServedFile::new(&flag.metadata, "application/json", flag.last_modified);
            (flag.code, Files { image, metadata })
        });
        Self {
            files: files.collect(),
            list: List::new(catalogue),
        }
    }

    /// The file of this name in the folder of this code, in either case.
    fn file(&self, folder: &str, name: &str) -> Option<&ServedFile> {
        let code: CountryCode = folder.parse().ok()?;
        let files = self.files.get(&code)?;
        if name.eq_ignore_ascii_case("metadata.json") {
            return Some(&files.metadata);
        }
        let (stem, extension) = name.split_once('.')?;
        let is_image = stem.eq_ignore_ascii_case(folder) && extension.eq_ignore_ascii_case("gif");
        is_image.then_some(&files.image)
    }
}

/// The service of one listener.
pub(crate) type App = MapResponse<Router, fn(Response) -> Response>;

/// This site behind this scenario.
pub(crate) fn app(
    site: Arc<Site>,
    scenario: &Scenario,
    journal: Arc<Journal>,
    closing: Arc<Closing>,
) -> App {
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
    let router: Router =
        router
            .fallback(async || NOT_FOUND)
            .with_state(site)
            .layer(from_fn_with_state(
                Arc::new(Chaos::new(scenario, journal, closing)),
                fault::meet,
            ));
    MapResponse::new(router, without_length_where_none_belongs)
}

/// The router gives every response the length of its body. On a 204 that is forbidden, and on a 304 it
/// would have to be the length of what was not sent (RFC 9110, section 8.6).
fn without_length_where_none_belongs(mut response: Response) -> Response {
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
