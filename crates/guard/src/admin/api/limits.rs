//! Limits: plans, how the buckets of accounts and clusters stand, and the nodes that share them.

use super::input::{ApiError, Body, name};
use crate::Guard;
use crate::admin::auth::Admin;
use crate::limits::PlanLimits;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Extension, Json, Router};
use serde_json::{Value, json};
use std::sync::Arc;

/// A node that wasn't heard of for so long isn't shown.
const NODE_SHOWN_MS: i64 = 86_400_000;

/// Routes below `/admin/api`.
pub(crate) fn router() -> Router<Arc<Guard>> {
    Router::new()
        .route("/plans", get(plans))
        .route("/plans/{name}", put(put_plan).delete(delete_plan))
        .route("/limits/accounts/{name}", get(account))
        .route("/limits/accounts/{name}/reset", post(reset))
        .route("/limits/clusters", get(clusters))
        .route("/nodes", get(nodes))
}

async fn plans(State(guard): State<Arc<Guard>>) -> Json<Value> {
    let plans: Vec<Value> = guard
        .limits
        .plans()
        .into_iter()
        .map(|(name, limits)| {
            let is_configured = guard.limits.is_configured(&name);
            json!({ "name": name, "limits": limits, "in_configuration": is_configured })
        })
        .collect();
    Json(json!({ "plans": plans }))
}

async fn put_plan(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    Path(plan): Path<String>,
    Body(limits): Body<PlanLimits>,
) -> Result<Json<Value>, ApiError> {
    name("name", &plan)?;
    for (field, amount) in [
        ("requests_per_minute", limits.requests_per_minute),
        ("tokens_per_minute", limits.tokens_per_minute),
        ("micros_per_day", limits.micros_per_day),
    ] {
        // Larger numbers can't be counted exactly.
        if amount.is_some_and(|amount| !(1..=1 << 53).contains(&amount)) {
            let message = "expected 1 to 9007199254740992, or leave it out for no limit";
            return Err(ApiError::field(field, message));
        }
    }
    let text = json!(limits).to_string();
    guard.store.put_plan(&plan, &text).await?;
    guard.limits.refresh().await?;
    tracing::info!(admin = &*admin.0, plan, "plan set");
    Ok(Json(json!({ "name": plan, "limits": limits })))
}

async fn delete_plan(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    Path(plan): Path<String>,
) -> Result<StatusCode, ApiError> {
    if !guard.store.plans().await?.iter().any(|row| row.name == plan && !row.deleted) {
        return Err(ApiError::not_found("plan outside the configuration"));
    }
    guard.store.delete_plan(&plan).await?;
    guard.limits.refresh().await?;
    tracing::info!(admin = &*admin.0, plan, "plan removed");
    Ok(StatusCode::NO_CONTENT)
}

/// How an account's buckets stand on this node; empty where it has no limits or didn't ask since
/// the start.
async fn account(State(guard): State<Arc<Guard>>, Path(account): Path<String>) -> Json<Value> {
    Json(json!({ "account": account, "limits": guard.limits.standing(&account) }))
}

async fn reset(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    Path(account): Path<String>,
) -> Result<StatusCode, ApiError> {
    guard.limits.reset(&account).await?;
    tracing::info!(admin = &*admin.0, account, "limits reset");
    Ok(StatusCode::NO_CONTENT)
}

async fn clusters(State(guard): State<Arc<Guard>>) -> Json<Value> {
    Json(json!({ "clusters": guard.limits.clusters() }))
}

/// The nodes that share the database; only this one where it is a file.
async fn nodes(State(guard): State<Arc<Guard>>) -> Result<Json<Value>, ApiError> {
    let now_ms = guard.clock.now_ms();
    let nodes = guard.store.nodes(now_ms - NODE_SHOWN_MS).await?;
    Ok(Json(json!({
        "this": guard.store.node(),
        "is_shared": guard.store.is_shared(),
        "is_degraded": guard.store.is_degraded(),
        "nodes": nodes,
    })))
}
