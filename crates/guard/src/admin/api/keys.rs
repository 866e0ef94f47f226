//! Virtual keys and admin keys: make, list, revoke. A key is shown once, in the answer to the
//! request that makes it.

use super::input::{ApiError, Body, Page, future, text, time};
use crate::Guard;
use crate::admin::auth::Admin;
use crate::keys::NewKey;
use crate::store::{KeyKind, KeyRow};
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
        .route("/keys", get(list))
        .route("/keys/{id}", delete(revoke))
        .route("/accounts/{name}/keys", get(list_of).post(create))
        .route("/admin-keys", get(list_admin).post(create_admin))
        .route("/admin-keys/{id}", delete(revoke_admin))
}

fn view(row: &KeyRow) -> Value {
    let mut view = json!({
        "id": row.id,
        "prefix": row.prefix,
        "label": row.label,
        "created": time(row.created_ms),
        "expires": row.expires_ms.map(time),
        "revoked": row.revoked_ms.map(time),
    });
    if row.kind == KeyKind::Virtual {
        view["account"] = Value::from(row.account.as_str());
    }
    view
}

async fn page_of(
    guard: &Guard,
    kind: KeyKind,
    account: Option<&str>,
    page: &Page,
) -> Result<Json<Value>, ApiError> {
    let rows = guard.store.list_keys(kind, account, &page.after, page.limit).await?;
    let last = rows.last().map(|row| row.id.clone());
    Ok(page.answer("keys", &rows.iter().map(view).collect::<Vec<_>>(), last.as_deref()))
}

async fn list(State(guard): State<Arc<Guard>>, page: Page) -> Result<Json<Value>, ApiError> {
    page_of(&guard, KeyKind::Virtual, None, &page).await
}

async fn list_of(
    State(guard): State<Arc<Guard>>,
    Path(account): Path<String>,
    page: Page,
) -> Result<Json<Value>, ApiError> {
    if guard.store.account(&account).await?.is_none() {
        return Err(ApiError::not_found("account"));
    }
    page_of(&guard, KeyKind::Virtual, Some(&account), &page).await
}

async fn list_admin(State(guard): State<Arc<Guard>>, page: Page) -> Result<Json<Value>, ApiError> {
    page_of(&guard, KeyKind::Admin, None, &page).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    #[serde(default)]
    label: String,
    /// RFC 3339.
    expires: Option<String>,
}

fn made(new: &NewKey) -> Response {
    let mut answer = view(&new.row);
    answer["key"] = Value::from(new.secret.expose());
    (StatusCode::CREATED, Json(answer)).into_response()
}

async fn create(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    Path(account): Path<String>,
    Body(create): Body<Create>,
) -> Result<Response, ApiError> {
    text("label", &create.label)?;
    let expires_ms = future("expires", create.expires.as_deref(), &guard)?;
    let now_ms = guard.clock.now_ms();
    let new = guard.keys.create_key(&account, &create.label, expires_ms, now_ms).await?;
    let new = new.ok_or_else(|| ApiError::not_found("account"))?;
    tracing::info!(admin = &*admin.0, account, key = new.row.id, "key made");
    Ok(made(&new))
}

async fn create_admin(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    Body(create): Body<Create>,
) -> Result<Response, ApiError> {
    text("label", &create.label)?;
    let expires_ms = future("expires", create.expires.as_deref(), &guard)?;
    let now_ms = guard.clock.now_ms();
    let new = guard.keys.create_admin_key(&create.label, expires_ms, now_ms).await?;
    tracing::info!(admin = &*admin.0, key = new.row.id, "admin key made");
    Ok(made(&new))
}

async fn revoke(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    if !guard.keys.revoke_key(KeyKind::Virtual, &id, guard.clock.now_ms()).await? {
        return Err(ApiError::not_found("key that holds"));
    }
    tracing::info!(admin = &*admin.0, key = id, "key revoked");
    Ok(StatusCode::NO_CONTENT)
}

async fn revoke_admin(
    State(guard): State<Arc<Guard>>,
    Extension(admin): Extension<Admin>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let now_ms = guard.clock.now_ms();
    if guard.keys.n_admin_keys(now_ms) <= 1 && guard.keys.is_admin(&id, now_ms) {
        let message = "it is the last admin key: make another one first";
        return Err(ApiError::conflict("last_admin_key", message));
    }
    if !guard.keys.revoke_key(KeyKind::Admin, &id, now_ms).await? {
        return Err(ApiError::not_found("admin key that holds"));
    }
    tracing::info!(admin = &*admin.0, key = id, "admin key revoked");
    Ok(StatusCode::NO_CONTENT)
}
