//! What accounts may see and do without an administrator: the terms, a decision about them, an
//! appeal against it, a signed report that they were verified.
//!
//! Whoever knows a decision's name (128 random bits) was told it, so nothing else is asked for.
//! No account is named, that of the decision neither; what is told of a decision is what was
//! measured, the rule, the time and the ways out.

use super::pages;
use super::{Decision, Policies, PolicyError, decision::is_id, webhook::SIGNATURE_HEADER};
use crate::{Guard, store::AppealRow};
use axum::extract::FromRequest;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;

/// The longest body that is taken, bytes. Routers may refuse longer ones unread.
pub const BODY_BYTES_MAX: usize = 16 << 10;
/// Pages load nothing and send forms to this place only.
const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'";

/// What is said in public of a decision.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PublicDecision {
    /// Its name.
    pub id: String,
    /// What is done, snake case.
    pub measure: &'static str,
    /// What is done, in words.
    pub says: &'static str,
    /// The rule that it goes by.
    pub rule: String,
    /// The weightiest reason's code.
    pub reason: String,
    /// What was measured, and what is usual.
    pub measured: Vec<stillwatch_traffic::Reason>,
    /// The families of evidence that this belongs to.
    pub families: Vec<String>,
    /// Where it stands.
    pub state: &'static str,
    /// Whether it only is noted, without doing anything.
    pub dry_run: bool,
    /// Since when, RFC 3339.
    pub since: String,
    /// Until when, RFC 3339; it may be renewed while the same is measured.
    pub until: String,
    /// `rule` or `person`; `unknown` where what was known of the account was deleted.
    pub made_by: &'static str,
    /// Where the account can verify itself, if that ends it.
    pub verification: Option<String>,
    /// How to contest it.
    pub contest: String,
    /// Appeals so far.
    pub appeals: Vec<PublicAppeal>,
}

/// What is said in public of an appeal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicAppeal {
    /// When it was made, RFC 3339.
    pub made: String,
    /// `open`, `granted` or `denied`.
    pub state: String,
    /// The answer; empty while open.
    pub answer: String,
}

/// An appeal as it is sent.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AppealForm {
    text: String,
    #[serde(default)]
    contact: String,
}

/// Answers `/stillwatch/terms` and `/stillwatch/decisions/…`.
pub async fn handle(guard: &Arc<Guard>, ip: IpAddr, request: Request<Bytes>) -> Response<Bytes> {
    let wants_page = wants_page(request.headers());
    let answered = match request.uri().path() {
        "/stillwatch/terms" if request.method() == Method::GET => {
            let terms = super::terms::terms(guard);
            Ok(if wants_page { page(StatusCode::OK, pages::terms(&terms)) } else { ok(&terms) })
        }
        "/stillwatch/terms" => Err(wrong_method("GET")),
        path => {
            let rest = path.strip_prefix("/stillwatch/decisions/").unwrap_or_default().to_owned();
            of_decision(guard, ip, &rest, wants_page, request).await
        }
    };
    let mut response = answered.unwrap_or_else(|response| response);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The address of a decision's page is its key.
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn of_decision(
    guard: &Guard,
    ip: IpAddr,
    rest: &str,
    wants_page: bool,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Response<Bytes>> {
    let (id, action) = rest.split_once('/').unwrap_or((rest, ""));
    if !is_id(id) {
        return Err(failed(&PolicyError::Unknown("decision"), wants_page));
    }
    let now_ms = guard.clock.now_ms();
    let policies = &guard.policies;
    let post = request.method() == Method::POST;
    match action {
        "" if request.method() == Method::GET => {
            let said = public(policies, id).await.map_err(|error| failed(&error, wants_page))?;
            Ok(if wants_page { page(StatusCode::OK, pages::decision(&said)) } else { ok(&said) })
        }
        "" => Err(wrong_method("GET")),
        "appeal" if post => {
            let form = appeal_form(request).await.map_err(|error| failed(&error, wants_page))?;
            let made = policies.appeal(id, &form.text, &form.contact, ip, now_ms).await;
            let appeal = made.map_err(|error| failed(&error, wants_page))?;
            Ok(if wants_page {
                page(StatusCode::CREATED, pages::appealed(id))
            } else {
                json_response(
                    StatusCode::CREATED,
                    &json!({"appeal": appeal.id, "state": appeal.state}),
                )
            })
        }
        "verified" if post => {
            let signature = request.headers().get(SIGNATURE_HEADER);
            let signature = signature.and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
            let done = policies.verified_by_report(id, &signature, request.body(), now_ms).await;
            let decision = done.map_err(|error| failed(&error, false))?;
            Ok(ok(&json!({"decision": decision.id, "verified": true})))
        }
        "appeal" | "verified" => Err(wrong_method("POST")),
        _ => Err(failed(&PolicyError::Unknown("end point"), wants_page)),
    }
}

/// What is said in public of a decision.
///
/// # Errors
/// [`PolicyError`].
pub async fn public(policies: &Policies, id: &str) -> Result<PublicDecision, PolicyError> {
    let decision = policies.decision(id).await?;
    let appeals = policies.appeals(Some(id), false, super::appeal::APPEALS_MAX, 0).await?;
    Ok(said(policies, decision, appeals))
}

fn said(policies: &Policies, decision: Decision, appeals: Vec<AppealRow>) -> PublicDecision {
    let verification = policies
        .policy(&decision.policy)
        .and_then(|config| config.verification_url.as_ref())
        .map(|url| url.replace("{decision}", &decision.id));
    PublicDecision {
        measure: decision.measure.name(),
        says: decision.measure.says(),
        rule: decision.policy,
        reason: decision.reason,
        measured: decision.reasons,
        families: decision.families,
        state: decision.state.name(),
        dry_run: decision.dry_run,
        since: when(decision.made_ms),
        until: when(decision.expires_ms),
        made_by: match decision.made_by.as_str() {
            super::engine::BY_POLICY => "rule",
            "" => "unknown",
            _ => "person",
        },
        verification,
        contest: format!(
            "POST /stillwatch/decisions/{}/appeal with {{\"text\": \"why it is wrong\", \
             \"contact\": \"where to answer\"}}; a person reads it",
            decision.id
        ),
        appeals: appeals
            .into_iter()
            .map(|appeal| PublicAppeal {
                made: when(appeal.created_ms),
                state: appeal.state,
                answer: appeal.answer,
            })
            .collect(),
        id: decision.id,
    }
}

/// A time for readers; far beyond any calendar: `unknown`.
fn when(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| "unknown".to_owned(), |time| time.to_string())
}

async fn appeal_form(request: Request<Bytes>) -> Result<AppealForm, PolicyError> {
    if request.body().len() > BODY_BYTES_MAX {
        return Err(PolicyError::Invalid(format!(
            "the body has {} bytes, expected at most {BODY_BYTES_MAX}",
            request.body().len()
        )));
    }
    let kind = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded")) {
        let request = request.map(axum::body::Body::from);
        let form = axum::Form::<AppealForm>::from_request(request, &()).await;
        let axum::Form(form) = form.map_err(|e| PolicyError::Invalid(e.body_text()))?;
        return Ok(form);
    }
    serde_json::from_slice(request.body()).map_err(|e| {
        PolicyError::Invalid(format!("the body: {e}; expected {{\"text\", \"contact\"}}"))
    })
}

/// Browsers name HTML before anything else.
fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| {
        let place = |kind| accept.find(kind).unwrap_or(usize::MAX);
        place("text/html") < place("application/json")
    })
}

fn json_response(status: StatusCode, value: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(value).unwrap_or_default();
    respond(status, "application/json", Bytes::from(body))
}

fn ok(value: &impl Serialize) -> Response<Bytes> {
    json_response(StatusCode::OK, value)
}

fn page(status: StatusCode, markup: maud::Markup) -> Response<Bytes> {
    respond(status, "text/html; charset=utf-8", Bytes::from(markup.into_string()))
}

fn respond(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn failed(error: &PolicyError, wants_page: bool) -> Response<Bytes> {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    if let PolicyError::Guard(cause) = error {
        tracing::warn!(error = %cause, "a decision can't be read or an appeal can't be taken");
    }
    if wants_page {
        return page(status, pages::failed(&error.to_string()));
    }
    let body = json!({"error": {"message": error.to_string(), "type": "invalid_request_error",
                                "code": error.code(), "param": null}});
    json_response(status, &body)
}

fn wrong_method(allow: &'static str) -> Response<Bytes> {
    let message = format!("this end point takes {allow} only");
    let body = json!({"error": {"message": message, "type": "invalid_request_error",
                                "code": "method_not_allowed", "param": null}});
    let mut response = json_response(StatusCode::METHOD_NOT_ALLOWED, &body);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}
