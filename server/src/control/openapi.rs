//! The description of the control plane: OpenAPI 3.1, from the types of what it takes and gives.

use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;

use super::api;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "The control plane of flag-server",
        description = "Says what goes wrong, and tells what happened, while the server runs.",
    ),
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
    )
)]
struct Description;

/// The document.
pub(super) async fn document() -> Json<Document> {
    Json(Description::openapi())
}
