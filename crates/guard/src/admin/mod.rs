//! The admin listener: its API, the dashboard, `/metrics`. Never on the public address.
//!
//! Everything but `/healthz` and the login page asks for an admin key: as
//! `authorization: Bearer KEY`, or once on the login page, which gives a cookie.

pub(crate) mod api;
mod auth;
mod health;

use crate::Guard;
use axum::{Router, middleware, routing::get};
use std::sync::Arc;

/// Everything that the admin listener serves.
pub fn router(guard: Arc<Guard>) -> Router {
    let with_key = Router::new()
        .nest("/admin/api", api::router())
        .route("/metrics", get(health::metrics))
        .layer(middleware::from_fn_with_state(Arc::clone(&guard), auth::require_key));
    Router::new().route("/healthz", get(health::healthz)).merge(with_key).with_state(guard)
}
