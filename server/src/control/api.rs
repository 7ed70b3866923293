//! The requests that the control plane answers.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use super::metrics;
use super::problem::Problem;
use super::queries::{
    ForQuery, ListenerQuery, RecordsQuery, RunQuery, WaitQuery, checked_run, scenario,
};
use super::views::{ListenerView, ListenersView, RecordView, RecordsView};
use crate::listeners::Listeners;
use crate::scenario::Scenario;

type Of = State<Arc<Listeners>>;
type PathOf = Result<Path<String>, PathRejection>;
type QueryOf<T> = Result<Query<T>, QueryRejection>;

/// The listeners, with their scenarios.
#[utoipa::path(
    get,
    path = "/api/listeners",
    responses((status = 200, body = ListenersView), Refusals)
)]
pub(super) async fn listeners(State(listeners): Of) -> Json<ListenersView> {
    let views = listeners.endpoints().iter().filter_map(|endpoint| {
        let (scenario, remaining) = listeners.scenario(&endpoint.name).ok()?;
        let ends_in_ms = remaining.map(|remaining| remaining.as_secs_f64() * 1e3);
        Some(ListenerView::of(
            &endpoint.name,
            &endpoint.url,
            &scenario,
            ends_in_ms,
        ))
    });
    Json(ListenersView {
        listeners: views.collect(),
    })
}

/// The scenario of a listener: TOML, or JSON for who asks for it.
#[utoipa::path(
    get,
    path = "/api/listeners/{listener}/scenario",
    params(("listener" = String, Path, description = "The name of a listener.")),
    responses(ScenarioText, Refusals, NotFound)
)]
pub(super) async fn listener_scenario(
    State(listeners): Of,
    listener: PathOf,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(listener) = listener?;
    let (scenario, _) = listeners.scenario(&listener)?;
    Ok(written(&scenario, &headers))
}

/// Replaces the scenario of a listener between two requests. Attempts and records go on.
#[utoipa::path(
    put,
    path = "/api/listeners/{listener}/scenario",
    params(("listener" = String, Path, description = "The name of a listener."), ForQuery),
    request_body(content((String = "application/toml"), (ref("#/components/schemas/scenario") = "application/json"))),
    responses(Done, Refusals, NotFound, BadScenario)
)]
pub(super) async fn put_listener_scenario(
    State(listeners): Of,
    listener: PathOf,
    query: QueryOf<ForQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let Path(listener) = listener?;
    let Query(query) = query?;
    let lasts = query.time()?;
    listeners.scenario(&listener)?; // before the body is read
    let scenario = scenario(&headers, body).await?;
    listeners.set_scenario(&listener, &scenario, lasts)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The scenario that a run has for itself: TOML, or JSON for who asks for it.
#[utoipa::path(
    get,
    path = "/api/runs/{run}/scenario",
    params(("run" = String, Path, description = "The name of a run.", pattern = r"^[\t -~]{1,128}$"), ListenerQuery),
    responses(ScenarioText, Refusals, NotFound)
)]
pub(super) async fn run_scenario(
    State(listeners): Of,
    run: PathOf,
    query: QueryOf<ListenerQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Path(run) = run?;
    checked_run(&run)?;
    let Query(ListenerQuery { listener }) = query?;
    let first = || {
        listeners
            .endpoints()
            .first()
            .map(|first| first.name.clone())
    };
    let listener = listener.or_else(first).unwrap_or_default();
    match listeners.run_scenario(&listener, &run)? {
        Some((scenario, _)) => Ok(written(&scenario, &headers)),
        None => Err(Problem::not_found(format!(
            "run: {run:?} has no scenario of its own on {listener}; PUT one"
        ))),
    }
}

/// Gives a run a scenario of its own, which ends by itself: after an hour, if no time is told.
#[utoipa::path(
    put,
    path = "/api/runs/{run}/scenario",
    params(("run" = String, Path, description = "The name of a run.", pattern = r"^[\t -~]{1,128}$"), RunQuery),
    request_body(content((String = "application/toml"), (ref("#/components/schemas/scenario") = "application/json"))),
    responses(Done, Refusals, NotFound, BadScenario, TooMany)
)]
pub(super) async fn put_run_scenario(
    State(listeners): Of,
    run: PathOf,
    query: QueryOf<RunQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    let Path(run) = run?;
    checked_run(&run)?;
    let Query(query) = query?;
    let lasts = query.time()?;
    let listener = query.listener.as_deref();
    if let Some(listener) = listener {
        listeners.scenario(listener)?; // before the body is read
    }
    let scenario = scenario(&headers, body).await?;
    match listener {
        None => listeners.set_run_scenario(&run, &scenario, lasts)?,
        Some(listener) => listeners.set_run_scenario_on(listener, &run, &scenario, lasts)??,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the scenario of a run away: it meets that of the listener again. It need not have one.
#[utoipa::path(
    delete,
    path = "/api/runs/{run}/scenario",
    params(("run" = String, Path, description = "The name of a run.", pattern = r"^[\t -~]{1,128}$")),
    responses(Done, Refusals)
)]
pub(super) async fn delete_run_scenario(
    State(listeners): Of,
    run: PathOf,
) -> Result<StatusCode, Problem> {
    let Path(run) = run?;
    checked_run(&run)?;
    listeners.remove_run_scenario(&run);
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets the scenario, the attempts and the records of a run. It need not be known.
#[utoipa::path(
    delete,
    path = "/api/runs/{run}",
    params(("run" = String, Path, description = "The name of a run.", pattern = r"^[\t -~]{1,128}$")),
    responses(Done, Refusals)
)]
pub(super) async fn delete_run(State(listeners): Of, run: PathOf) -> Result<StatusCode, Problem> {
    let Path(run) = run?;
    checked_run(&run)?;
    listeners.forget_run(&run);
    Ok(StatusCode::NO_CONTENT)
}

/// What was received and sent in a run. `complete` says whether what was waited for is there.
#[utoipa::path(
    get,
    path = "/api/runs/{run}/records",
    params(("run" = String, Path, description = "The name of a run.", pattern = r"^[\t -~]{1,128}$"), WaitQuery),
    responses((status = 200, body = RecordsView), Refusals)
)]
pub(super) async fn run_records(
    State(listeners): Of,
    run: PathOf,
    query: QueryOf<WaitQuery>,
) -> Result<Json<RecordsView>, Problem> {
    let Path(run) = run?;
    let Query(query) = query?;
    found(&listeners, &run, &query).await
}

/// The same for the run in the query, or for the requests that name none.
#[utoipa::path(
    get,
    path = "/api/records",
    params(RecordsQuery),
    responses((status = 200, body = RecordsView), Refusals)
)]
pub(super) async fn records(
    State(listeners): Of,
    query: QueryOf<RecordsQuery>,
) -> Result<Json<RecordsView>, Problem> {
    let Query(query) = query?;
    let (run, query) = query.wait();
    found(&listeners, &run, &query).await
}

async fn found(
    listeners: &Listeners,
    run: &str,
    query: &WaitQuery,
) -> Result<Json<RecordsView>, Problem> {
    checked_run(run)?;
    let wish = query.wish()?;
    let holds = || {
        listeners.count_of(run) >= wish.count && (!wish.settled || listeners.is_settled_for(run))
    };
    let complete = listeners.wait_until(Some(run), wish.wait, holds).await;
    let records = listeners.records_by_listener(run);
    let records = records.map(|(listener, record)| RecordView::of(listener, record));
    Ok(Json(RecordsView {
        complete,
        records: records.collect(),
    }))
}

/// What the listeners have counted since the start, as Prometheus reads it.
#[utoipa::path(get, path = "/metrics", responses(MetricsText, Refusals))]
pub(super) async fn metrics(State(listeners): Of) -> impl IntoResponse {
    (
        [(CONTENT_TYPE, metrics::CONTENT_TYPE)],
        metrics::text(&listeners),
    )
}

/// What is nothing of the above.
pub(super) async fn unknown(uri: Uri) -> Problem {
    Problem::not_found(format!(
        "{}: there is no such resource; GET /openapi.json describes them",
        uri.path()
    ))
}

/// What another method would get.
pub(super) async fn unsupported(method: Method, uri: Uri) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!(
            "{method} {}: GET /openapi.json lists the methods",
            uri.path()
        ),
    )
}

fn written(scenario: &Scenario, headers: &HeaderMap) -> Response {
    let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    let wants_json = accepts.is_some_and(|accept| accept.contains("application/json"));
    let (kind, text) = if wants_json {
        ("application/json", scenario.to_json().to_string() + "\n")
    } else {
        ("application/toml", scenario.to_toml())
    };
    ([(CONTENT_TYPE, kind), (VARY, "accept")], text).into_response()
}

/// It is done.
#[derive(utoipa::IntoResponses)]
#[response(status = 204)]
struct Done;

/// A scenario.
#[derive(utoipa::IntoResponses)]
#[response(status = 200, content_type = "application/toml")]
#[expect(dead_code, reason = "only its shape is used")]
struct ScenarioText(String);

/// Counts.
#[derive(utoipa::IntoResponses)]
#[response(status = 200, content_type = "text/plain")]
#[expect(dead_code, reason = "only its shape is used")]
struct MetricsText(String);

/// Requests that are refused.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only its shape is used")]
enum Refusals {
    /// A value in the path or in the query is wrong.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// The token is missing, or wrong.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// A page of another site, or another name of the machine.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
}

/// There is no such thing.
#[derive(utoipa::IntoResponses)]
#[response(status = 404, content_type = "application/problem+json")]
#[expect(dead_code, reason = "only its shape is used")]
struct NotFound(Problem);

/// Bodies that are no scenario.
#[derive(utoipa::IntoResponses)]
#[expect(dead_code, reason = "only its shape is used")]
enum BadScenario {
    /// It has not come in time.
    #[response(status = 408, content_type = "application/problem+json")]
    TooSlow(Problem),
    /// It is too long.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLong(Problem),
    /// It is neither TOML nor JSON.
    #[response(status = 415, content_type = "application/problem+json")]
    OtherType(Problem),
}

/// Too many runs have a scenario.
#[derive(utoipa::IntoResponses)]
#[response(status = 429, content_type = "application/problem+json")]
#[expect(dead_code, reason = "only its shape is used")]
struct TooMany(Problem);
