//! Exposures and the ledger.
//!
//! - `GET /admin/api/exposures`: the state of the capture;
//! - `POST /admin/api/exposures/epoch`: signs a head now;
//! - `POST /admin/api/exposures/delete` with `{"account", "reason"}`: deletes an account.

use super::problem;
use crate::{Guard, exposure::Capture};
use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// The longest reason of a deletion, bytes; it stands in the ledger for ever.
const REASON_BYTES_MAX: usize = 200;

/// Routes below `/admin/api`.
pub(crate) fn router() -> Router<Arc<Guard>> {
    Router::new()
        .route("/exposures", get(state))
        .route("/exposures/epoch", post(close_epoch))
        .route("/exposures/delete", post(delete))
}

fn off() -> Response {
    problem(StatusCode::NOT_FOUND, "exposure_off", "nothing is exposed here; set exposure.rate")
}

fn busy() -> Response {
    let message = "the ledger can't be used now; try again later";
    problem(StatusCode::SERVICE_UNAVAILABLE, "ledger_busy", message)
}

fn capture(guard: &Guard) -> Option<&Capture> {
    guard.exposure.as_ref()
}

async fn state(State(guard): State<Arc<Guard>>) -> Response {
    let Some(capture) = capture(&guard) else { return off() };
    match capture.state().await {
        Some(state) => Json(state).into_response(),
        None => busy(),
    }
}

async fn close_epoch(State(guard): State<Arc<Guard>>) -> Response {
    let Some(capture) = capture(&guard) else { return off() };
    match capture.close_epoch_now(&guard).await {
        Ok(head) => Json(json!({ "head": head })).into_response(),
        Err(error) => {
            tracing::warn!(%error, "an epoch of the ledger can't be closed");
            busy()
        }
    }
}

/// Which account is to be deleted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deletion {
    account: String,
    /// Why or on whose request; it must not name the account.
    reason: String,
}

async fn delete(State(guard): State<Arc<Guard>>, Json(asked): Json<Deletion>) -> Response {
    let Some(capture) = capture(&guard) else { return off() };
    let Deletion { account, reason } = asked;
    if account.is_empty() || reason.is_empty() || reason.len() > REASON_BYTES_MAX {
        let message =
            format!("account and reason: expected text, the reason up to {REASON_BYTES_MAX} bytes");
        return problem(StatusCode::BAD_REQUEST, "bad_request", &message);
    }
    if reason.contains(&account) {
        let message = "reason: it names the account, but it stands in the ledger for ever";
        return problem(StatusCode::BAD_REQUEST, "bad_request", message);
    }
    match capture.delete_account(&account, &reason).await {
        Ok(removed) => Json(json!({ "texts_removed_of": removed })).into_response(),
        Err(error) => {
            tracing::warn!(%error, "an account can't be deleted from the ledger");
            busy()
        }
    }
}
