//! Limits: what was spent, what is left.

use crate::Guard;
use axum::Router;
use std::sync::Arc;

/// Routes below `/admin/api`.
pub(crate) fn router() -> Router<Arc<Guard>> {
    Router::new()
}
