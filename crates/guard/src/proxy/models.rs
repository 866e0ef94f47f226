//! The list of models of several upstreams as one.

use super::{ProxyBody, Refusal, headers, json_response};
use crate::{
    Guard,
    upstream::{Outgoing, UpstreamError},
};
use bytes::{Bytes, BytesMut};
use futures_util::future::join_all;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The longest list that is read from one upstream, bytes.
const LIST_BYTES_MAX: usize = 4 << 20;

/// Asks all upstreams; those that don't answer are left out. Where none does, the first's answer
/// or failure is the answer.
pub(super) async fn merged(
    guard: &Guard,
    outgoing: &Outgoing,
) -> Result<Response<ProxyBody>, Refusal> {
    let asked = (0..guard.upstreams.len()).map(|i| async move {
        let only = guard.upstreams.models(i);
        list(guard, i, outgoing).await.map(|mut models| {
            if !only.is_empty() {
                models.retain(|model| name(model).is_some_and(|n| only.iter().any(|o| o == n)));
            }
            models
        })
    });
    let lists = join_all(asked).await;
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    let mut failure = None;
    let mut is_any = false;
    for list in lists {
        match list {
            Ok(models) => {
                is_any = true;
                for model in models {
                    if name(&model).is_none_or(|name| seen.insert(name.to_owned())) {
                        all.push(model);
                    }
                }
            }
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    match failure {
        Some(failure) if !is_any => Err(failure),
        _ => Ok(json_response(StatusCode::OK, &json!({"object": "list", "data": all}))),
    }
}

fn name(model: &Value) -> Option<&str> {
    model.get("id").and_then(Value::as_str)
}

async fn list(guard: &Guard, index: usize, outgoing: &Outgoing) -> Result<Vec<Value>, Refusal> {
    let mut outgoing = outgoing.clone();
    outgoing.may_retry = false;
    let response = guard.upstreams.send(index, &outgoing).await?;
    let status = response.status();
    if status != StatusCode::OK || headers::is_packed(response.headers()) {
        let status = if status.is_client_error() { status } else { StatusCode::BAD_GATEWAY };
        return Err(Refusal::new(
            status,
            "upstream_refused",
            "the upstream gave no list of models",
        ));
    }
    let mut body = response.into_body();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data): Result<Bytes, _> = frame?.into_data() else { continue };
        if bytes.len() + data.len() > LIST_BYTES_MAX {
            return Err(UpstreamError::Broken.into());
        }
        bytes.extend_from_slice(&data);
    }
    let mut list: Map<String, Value> =
        serde_json::from_slice(&bytes).map_err(|_| UpstreamError::Broken)?;
    match list.remove("data") {
        Some(Value::Array(models)) => Ok(models),
        _ => Err(UpstreamError::Broken.into()),
    }
}
