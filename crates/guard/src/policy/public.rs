//! What accounts may see and do without an administrator: terms, decisions about them, appeals.

use crate::Guard;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use std::net::IpAddr;
use std::sync::Arc;

/// The longest body that is taken, bytes. Routers may refuse longer ones unread.
pub const BODY_BYTES_MAX: usize = 16 << 10;

/// Answers `/stillwatch/terms`, `/stillwatch/decisions/…` and `/stillwatch/verified`.
pub async fn handle(guard: &Arc<Guard>, _ip: IpAddr, request: Request<Bytes>) -> Response<Bytes> {
    let path = request.uri().path();
    let body = match path {
        "/stillwatch/terms" => serde_json::json!({
            "measures": guard.policies.configs().iter().map(|config| {
                serde_json::json!({"measure": config.measure, "says": config.measure.says()})
            }).collect::<Vec<_>>(),
        }),
        _ => {
            serde_json::json!({"error": {"code": "not_found", "message": "there is no such path"}})
        }
    };
    let status = if path == "/stillwatch/terms" { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
