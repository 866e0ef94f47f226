//! Who may use the admin listener.

use super::api::problem;
use crate::Guard;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::sync::Arc;

/// The key of an `authorization: Bearer` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// Lets a request through whose key is an admin key.
pub(super) async fn require_key(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    match bearer(request.headers()) {
        Some(key) if guard.keys.check_admin(key) => next.run(request).await,
        presented => {
            let kind = if presented.is_some() { "admin" } else { "admin_missing" };
            guard.metrics.key_failures.get(kind).inc();
            let message = "an admin key is needed: send \"authorization: Bearer KEY\"";
            let refused = problem(StatusCode::UNAUTHORIZED, "admin_key_needed", message);
            ([(header::WWW_AUTHENTICATE, "Bearer")], refused).into_response()
        }
    }
}
