//! Accounts: list, create, change, remove; and the deletion of what is kept of one.

use super::input::{ApiError, Body, Page, name, text, time};
use crate::admin::auth::Admin;
use crate::keys::NewAccount;
use crate::store::AccountRow;
use crate::{Guard, GuardError};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Routes below `/admin/api`.
pub(crate) fn router() -> Router<Arc<Guard>> {
    Router::new()
        .route("/accounts", get(list).post(create))
        .route("/accounts/{name}", get(show).patch(change).delete(remove))
        .route("/accounts/{name}/data", delete(delete_data))
}

fn view(row: &AccountRow) -> Value {
    json!({
        "name": row.name,
        "plan": row.plan,
        "note": row.note,
        "created": time(row.created_ms),
        "disabled": row.disabled,
    })
}

async fn list(State(guard): State<Arc<Guard>>, page: Page) -> Result<Json<Value>, ApiError> {
    let rows = guard.store.accounts(&page.after, page.limit).await?;
    let last = rows.last().map(|row| row.name.clone());
    Ok(page.answer("accounts", &rows.iter().map(view).collect::<Vec<_>>(), last.as_deref()))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    name: String,
    plan: Option<String>,
    #[serde(default)]
    note: String,
}

async fn create(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    Body(new): Body<Create>,
) -> Result<Response, ApiError> {
    name("name", &new.name)?;
    text("note", &new.note)?;
    if let Some(plan) = &new.plan {
        known_plan(&guard, plan)?;
    }
    let account = NewAccount { name: new.name, plan: new.plan, note: new.note };
    if !guard.keys.create_account(&account, guard.clock.now_ms()).await? {
        return Err(ApiError::conflict("account_exists", "there is an account of that name"));
    }
    tracing::info!(admin = &*admin.0, account = account.name, "account made");
    let row = guard.store.account(&account.name).await?;
    Ok((StatusCode::CREATED, Json(row.as_ref().map(view))).into_response())
}

/// A plan that is in the configuration or was made here. A wrong name would mean no limits.
fn known_plan(guard: &Guard, plan: &str) -> Result<(), ApiError> {
    if plan == crate::keys::DEFAULT_PLAN || guard.limits.plans().contains_key(plan) {
        return Ok(());
    }
    let plans: Vec<String> = guard.limits.plans().into_keys().collect();
    let message =
        format!("there is no plan of that name; there are: default, {}", plans.join(", "));
    Err(ApiError::field("plan", message))
}

async fn show(
    State(guard): State<Arc<Guard>>,
    Path(account): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let row = guard.store.account(&account).await?;
    let row = row.ok_or_else(|| ApiError::not_found("account"))?;
    let mut answer = view(&row);
    answer["limits"] = json!(guard.limits.standing(&account));
    Ok(Json(answer))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    plan: Option<String>,
    note: Option<String>,
    disabled: Option<bool>,
}

async fn change(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    Path(account): Path<String>,
    Body(change): Body<Change>,
) -> Result<Json<Value>, ApiError> {
    if let Some(plan) = &change.plan {
        known_plan(&guard, plan)?;
    }
    if let Some(note) = &change.note {
        text("note", note)?;
    }
    let (plan, note) = (change.plan.as_deref(), change.note.as_deref());
    if !guard.keys.update_account(&account, plan, note, change.disabled).await? {
        return Err(ApiError::not_found("account"));
    }
    tracing::info!(admin = &*admin.0, account, "account changed");
    show(State(guard), Path(account)).await
}

async fn remove(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    Path(account): Path<String>,
) -> Result<StatusCode, ApiError> {
    if !guard.keys.delete_account(&account, guard.clock.now_ms()).await? {
        return Err(ApiError::not_found("account"));
    }
    tracing::info!(admin = &*admin.0, account, "account removed, its keys revoked");
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes what is kept of an account's behaviour and texts, whether or not it has a row of its
/// own (before virtual keys are made none has). The ledger keeps salted commitments, and an entry
/// that says that they will not be opened. May be repeated when it failed half-way.
async fn delete_data(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    Path(account): Path<String>,
) -> Result<Json<Value>, ApiError> {
    name("name", &account)?;
    // The ledger first: what is in it can't be taken back, what follows can be repeated.
    let n_exposures = match &guard.exposure {
        Some(capture) => capture.delete_account(&account, "on request").await?,
        None => 0,
    };
    guard.detector.forget(&account);
    let n_exchanges = guard.observer.forget_account(&account).await.map_err(|source| {
        GuardError::Io { what: "can't remove kept exchanges".to_owned(), source }
    })?;
    let rows = guard.store.delete_account_data(&account).await?;
    tracing::info!(admin = &*admin.0, "an account's data were deleted on request");
    Ok(Json(json!({
        "exposures": n_exposures,
        "exchanges": n_exchanges,
        "sketches": rows.sketches,
        "decisions": rows.decisions,
        "appeals": rows.appeals,
        "exposed_hashes": rows.exposed,
    })))
}
