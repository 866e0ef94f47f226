//! The admin API: JSON, one file per noun, all behind an admin key.

pub(crate) mod accounts;
pub(crate) mod decisions;
pub(crate) mod exposures;
pub(crate) mod input;
pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod sharing;

use crate::Guard;
use axum::{
    Router,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// All routes below `/admin/api`; each file's paths are relative to that.
pub(super) fn router() -> Router<Arc<Guard>> {
    Router::new()
        .merge(accounts::router())
        .merge(keys::router())
        .merge(limits::router())
        .merge(exposures::router())
        .merge(decisions::router())
        .merge(sharing::router())
        .fallback(async || problem(StatusCode::NOT_FOUND, "not_found", "there is no such path"))
}

/// An error in the shape of the admin API: `{"error":{"code","message"}}`.
pub(crate) fn problem(status: StatusCode, code: &str, message: &str) -> Response {
    let body = serde_json::json!({ "error": { "code": code, "message": message } });
    (status, axum::Json(body)).into_response()
}
