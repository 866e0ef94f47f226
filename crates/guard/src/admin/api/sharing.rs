//! Indicators shared between providers: a file of what is flagged here, and what of another
//! provider's file is met here. Nothing is kept of a file, and nothing is decided by it.

use super::problem;
use crate::Guard;
use crate::sharing::{
    FILE_BYTES_MAX, Share, SharedKey, export_file, import_file, local_campaigns, matches,
};
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use stillwatch_evidence::ledger::OsEntropy;

/// Routes below `/admin/api`.
pub(crate) fn router() -> Router<Arc<Guard>> {
    Router::new()
        .route("/sharing/export", get(export))
        .route("/sharing/match", post(match_file).layer(DefaultBodyLimit::max(FILE_BYTES_MAX)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ExportQuery {
    /// Who makes the file, in one's own words.
    source: String,
}

impl Default for ExportQuery {
    fn default() -> Self {
        Self { source: "unnamed".to_owned() }
    }
}

fn no_key() -> Response {
    let message = "there is no shared key: name its environment variable as sharing.key_env";
    problem(StatusCode::CONFLICT, "no_shared_key", message)
}

fn key(guard: &Guard) -> Option<&SharedKey> {
    guard.sharing.as_ref()
}

async fn export(State(guard): State<Arc<Guard>>, Query(query): Query<ExportQuery>) -> Response {
    let Some(key) = key(&guard) else { return no_key() };
    let analysis = guard.detector.latest();
    let mut first_seen: BTreeMap<String, i64> = BTreeMap::new();
    for decision in guard.policies.open_decisions() {
        if let Some(campaign) = decision.campaign {
            let first = first_seen.entry(campaign).or_insert(decision.made_ms);
            *first = decision.made_ms.min(*first);
        }
    }
    let shares: Vec<Share<'_>> = analysis
        .campaigns
        .iter()
        .map(|campaign| Share {
            campaign,
            first_seen_ms: first_seen.get(&campaign.id).copied(),
            last_seen_ms: analysis.time_ms,
        })
        .collect();
    let now_ms = guard.clock.now_ms();
    match export_file(key, &query.source, &shares, now_ms, &mut OsEntropy) {
        Ok(file) => ([(header::CONTENT_TYPE, "application/json")], file.to_json()).into_response(),
        Err(error) => problem(StatusCode::SERVICE_UNAVAILABLE, "no_randomness", &error.to_string()),
    }
}

async fn match_file(State(guard): State<Arc<Guard>>, body: Bytes) -> Response {
    let Some(key) = key(&guard) else { return no_key() };
    let analysis = guard.detector.latest();
    let report =
        import_file(key, &body).and_then(|file| matches(key, &file, &local_campaigns(&analysis)));
    match report {
        Ok(report) => Json(report).into_response(),
        Err(error) => problem(StatusCode::BAD_REQUEST, "invalid", &error.to_string()),
    }
}
