//! The admin listener: its API, the dashboard, `/metrics`. Never on the public address.
//!
//! Everything but `/healthz` and the login page asks for an admin key: as
//! `authorization: Bearer KEY` for the API, or once on the login page, which gives a cookie for
//! the pages. The API takes no cookie, so another site can't make a browser use it.

pub(crate) mod api;
mod auth;
mod health;
mod pages;
mod session;
mod throttle;

use crate::Guard;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderName, HeaderValue, header},
    middleware::{self, Next},
    routing::get,
};
use session::Sessions;
use std::sync::Arc;
use throttle::Throttle;

/// The largest body that the admin listener takes, bytes.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// What a page may load: its stylesheet and its icon, from here. Nothing else, no script.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, HeaderValue); 8] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY_POLICY)),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=()"),
    ),
];

/// Everything that the admin listener serves.
pub fn router(guard: Arc<Guard>) -> Router {
    let sessions = Arc::new(Sessions::new());
    let throttle = Arc::new(Throttle::default());
    let with_key = Router::new()
        .nest("/admin/api", api::router())
        .layer(middleware::from_fn_with_state(Arc::clone(&guard), auth::require_key));
    let metrics = Router::new().route("/metrics", get(health::metrics));
    let metrics = if guard.config.observe.metrics_open {
        metrics
    } else {
        metrics.layer(middleware::from_fn_with_state(Arc::clone(&guard), auth::require_either))
    };
    let with_session = pages::router()
        .layer(middleware::from_fn_with_state(Arc::clone(&guard), auth::require_session));
    Router::new()
        .route("/healthz", get(health::healthz))
        .merge(pages::open_router())
        .merge(with_key)
        .merge(metrics)
        .merge(with_session)
        .fallback(pages::not_found)
        .layer(axum::Extension(sessions))
        .layer(axum::Extension(throttle))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(async |request, next: Next| {
            let mut response = next.run(request).await;
            for (name, value) in HEADERS {
                response.headers_mut().entry(name).or_insert(value);
            }
            response
        }))
        .with_state(guard)
}
