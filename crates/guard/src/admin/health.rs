//! `/healthz` and `/metrics`.

use super::auth::bearer;
use crate::Guard;
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What OpenMetrics text calls itself.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether it serves, and which parts are degraded. What is wrong with them is told to holders
/// of an admin key only. The status is 200 as long as requests are served.
pub(super) async fn healthz(State(guard): State<Arc<Guard>>, headers: HeaderMap) -> Json<Value> {
    let degraded = guard.metrics.health.degraded();
    let status = if degraded.is_empty() { "ok" } else { "degraded" };
    let parts: Vec<&str> = degraded.iter().map(|(part, _)| part.as_str()).collect();
    let mut answer = json!({ "status": status, "degraded": parts });
    if bearer(&headers).is_some_and(|key| guard.keys.admin_id(key, guard.clock.now_ms()).is_some())
    {
        let why = degraded.iter().map(|(part, why)| (part.clone(), Value::from(why.as_str())));
        answer["reasons"] = Value::Object(why.collect::<Map<_, _>>());
    }
    Json(answer)
}

/// The counters.
pub(super) async fn metrics(State(guard): State<Arc<Guard>>) -> Response {
    ([(header::CONTENT_TYPE, OPENMETRICS)], guard.metrics.text()).into_response()
}
