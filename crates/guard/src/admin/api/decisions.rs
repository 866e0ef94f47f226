//! Decisions and appeals: read them, approve, revoke, make one by hand, resolve an appeal, say
//! that an account was verified, let a stopped policy go on. Every change notes whose key it was.

use super::problem;
use crate::Guard;
use crate::admin::auth::Admin;
use crate::policy::{Decision, DecisionState, PolicyError, admin::ByHand};
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Rows of a list at most.
const ROWS_MAX: u32 = 1000;
/// Events that are listed.
const EVENTS_MAX: i64 = 200;
/// Routes below `/admin/api`.
pub(crate) fn router() -> Router<Arc<Guard>> {
    Router::new()
        .route("/decisions", get(list).post(make))
        .route("/decisions/{id}", get(one))
        .route("/decisions/{id}/approve", post(approve))
        .route("/decisions/{id}/revoke", post(revoke))
        .route("/decisions/{id}/verified", post(verified))
        .route("/appeals", get(appeals))
        .route("/appeals/{id}/resolve", post(resolve))
        .route("/policies", get(policies))
        .route("/policies/{name}/resume", post(resume))
        .route("/policies/events", get(events))
}

type Answer = Result<Response, Failed>;

/// Something that can't be done, as a response.
struct Failed(Response);

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        self.0
    }
}

impl From<PolicyError> for Failed {
    fn from(error: PolicyError) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
        if let PolicyError::Guard(cause) = &error {
            tracing::warn!(error = %cause, "a decision can't be read or changed");
        }
        Self(problem(status, error.code(), &error.to_string()))
    }
}

impl From<JsonRejection> for Failed {
    fn from(rejection: JsonRejection) -> Self {
        Self(problem(rejection.status(), "invalid", &rejection.body_text()))
    }
}

impl From<QueryRejection> for Failed {
    fn from(rejection: QueryRejection) -> Self {
        Self(problem(rejection.status(), "invalid", &rejection.body_text()))
    }
}

/// Who did it: the name of the admin key.
fn actor(Extension(Admin(name)): &Extension<Admin>) -> String {
    format!("admin {name}")
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ListQuery {
    account: Option<String>,
    state: Option<DecisionState>,
    limit: u32,
    offset: u32,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self { account: None, state: None, limit: 100, offset: 0 }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Note {
    note: Option<String>,
    whole_campaign: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AppealsQuery {
    decision: Option<String>,
    open: bool,
    offset: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolution {
    granted: bool,
    answer: String,
    #[serde(default)]
    whole_campaign: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct EventsQuery {
    subject: Option<String>,
}

async fn list(
    State(guard): State<Arc<Guard>>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Answer {
    let Query(query) = query?;
    let limit = query.limit.clamp(1, ROWS_MAX);
    let account = query.account.as_deref();
    let found = guard.policies.list(account, query.state, limit, query.offset).await?;
    Ok(Json(json!({ "decisions": found })).into_response())
}

async fn one(State(guard): State<Arc<Guard>>, Path(id): Path<String>) -> Answer {
    let decision = guard.policies.decision(&id).await?;
    let appeals = guard.policies.appeals(Some(&id), false, ROWS_MAX, 0).await?;
    let events =
        guard.store.policy_events(Some(&id), EVENTS_MAX).await.map_err(PolicyError::from)?;
    let body = json!({ "decision": decision, "appeals": appeals, "events": events });
    Ok(Json(body).into_response())
}

async fn make(
    State(guard): State<Arc<Guard>>,
    admin: Extension<Admin>,
    body: Result<Json<ByHand>, JsonRejection>,
) -> Answer {
    let Json(wish) = body?;
    let analysis = guard.detector.latest();
    let now_ms = guard.clock.now_ms();
    let made = guard.policies.make(&wish, &analysis, &actor(&admin), now_ms).await?;
    Ok((StatusCode::CREATED, Json(json!({ "decisions": made }))).into_response())
}

/// An absent body is an empty note.
fn note(body: Option<Json<Note>>) -> Note {
    body.map(|Json(note)| note).unwrap_or_default()
}

fn changed(decisions: &[Decision]) -> Response {
    Json(json!({ "decisions": decisions })).into_response()
}

async fn approve(
    State(guard): State<Arc<Guard>>,
    Path(id): Path<String>,
    admin: Extension<Admin>,
    body: Result<Option<Json<Note>>, JsonRejection>,
) -> Answer {
    let (note, now_ms) = (note(body?), guard.clock.now_ms());
    let by = actor(&admin);
    let done = guard.policies.approve(&id, &by, note.note.as_deref(), now_ms).await?;
    Ok(changed(&done))
}

async fn revoke(
    State(guard): State<Arc<Guard>>,
    Path(id): Path<String>,
    admin: Extension<Admin>,
    body: Result<Option<Json<Note>>, JsonRejection>,
) -> Answer {
    let (note, now_ms) = (note(body?), guard.clock.now_ms());
    let by = actor(&admin);
    let policies = &guard.policies;
    let done = policies.revoke(&id, note.whole_campaign, &by, note.note.as_deref(), now_ms).await?;
    Ok(changed(&done))
}

async fn verified(
    State(guard): State<Arc<Guard>>,
    Path(id): Path<String>,
    admin: Extension<Admin>,
    body: Result<Option<Json<Note>>, JsonRejection>,
) -> Answer {
    let (note, now_ms) = (note(body?), guard.clock.now_ms());
    let by = actor(&admin);
    let done = guard.policies.verified(&id, &by, note.note.as_deref(), now_ms).await?;
    Ok(changed(&[done]))
}

async fn appeals(
    State(guard): State<Arc<Guard>>,
    query: Result<Query<AppealsQuery>, QueryRejection>,
) -> Answer {
    let Query(query) = query?;
    let decision = query.decision.as_deref();
    let found = guard.policies.appeals(decision, query.open, ROWS_MAX, query.offset).await?;
    Ok(Json(json!({ "appeals": found })).into_response())
}

async fn resolve(
    State(guard): State<Arc<Guard>>,
    Path(id): Path<String>,
    admin: Extension<Admin>,
    body: Result<Json<Resolution>, JsonRejection>,
) -> Answer {
    let Json(wish) = body?;
    let (by, now_ms) = (actor(&admin), guard.clock.now_ms());
    let policies = &guard.policies;
    let appeal =
        policies.resolve(&id, wish.granted, &wish.answer, wish.whole_campaign, &by, now_ms).await?;
    Ok(Json(json!({ "appeal": appeal })).into_response())
}

async fn policies(State(guard): State<Arc<Guard>>) -> Answer {
    let now_ms = guard.clock.now_ms();
    let stopped = guard.policies.stopped();
    let rows: Vec<_> = guard
        .policies
        .configs()
        .iter()
        .map(|config| {
            let (touched, rests) = guard.policies.touched_today(&config.name, now_ms);
            json!({
                "policy": config,
                "needs_human": config.needs_human(),
                "families_min": config.families_min(),
                "stopped": stopped.get(&config.name),
                "requests_today": touched,
                "rests_today": rests,
            })
        })
        .collect();
    Ok(Json(json!({ "policies": rows })).into_response())
}

async fn resume(
    State(guard): State<Arc<Guard>>,
    Path(name): Path<String>,
    admin: Extension<Admin>,
) -> Answer {
    guard.policies.resume(&name, &actor(&admin), guard.clock.now_ms()).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn events(
    State(guard): State<Arc<Guard>>,
    query: Result<Query<EventsQuery>, QueryRejection>,
) -> Answer {
    let Query(query) = query?;
    let subject = query.subject.as_deref();
    let found = guard.store.policy_events(subject, EVENTS_MAX).await.map_err(PolicyError::from)?;
    Ok(Json(json!({ "events": found })).into_response())
}
