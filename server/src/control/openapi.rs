//! The description of the control plane: OpenAPI 3.1, from the types of what it takes and gives.

use std::sync::OnceLock;

use axum::Json;
use serde_json::{Map, Value};
use utoipa::OpenApi;

use super::api;
use super::problem::{KeyProblem, Problem};
use crate::scenario;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "The control plane of flag-server",
        description = "Says what goes wrong, and tells what happened, while the server runs.",
    ),
    tags((name = "api", description = "Scenarios and records.")),
    paths(
        api::listeners,
        api::listener_scenario,
        api::put_listener_scenario,
        api::run_scenario,
        api::put_run_scenario,
        api::delete_run_scenario,
        api::delete_run,
        api::run_records,
        api::records,
        api::metrics,
    ),
    components(schemas(Problem, KeyProblem))
)]
struct Description;

/// The document.
pub(super) async fn document() -> Json<&'static Value> {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    Json(DOCUMENT.get_or_init(described))
}

/// With the schema of scenario files, which comes from their own types.
fn described() -> Value {
    let document = serde_json::to_value(Description::openapi());
    let mut document = document.expect("a description is JSON");
    let files: Value = serde_json::from_str(&scenario::schema()).expect("a schema is JSON");
    let definitions = files["$defs"].as_object().cloned().unwrap_or_default();
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        schemas.extend(used_by_scenarios(definitions));
    }
    document
}

/// The definitions but for those of files with listeners, at the place that they have in a
/// description.
fn used_by_scenarios(definitions: Map<String, Value>) -> impl Iterator<Item = (String, Value)> {
    let used = definitions
        .into_iter()
        .filter(|(name, _)| !matches!(name.as_str(), "config" | "listener"));
    used.map(|(name, mut definition)| {
        move_references(&mut definition);
        (name, definition)
    })
}

fn move_references(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(name) = text.strip_prefix("#/$defs/") {
                *text = format!("#/components/schemas/{name}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(move_references),
        Value::Object(keys) => keys.values_mut().for_each(move_references),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
