//! A request's way through the guard.
//!
//! The client's own bytes go upstream and the upstream's own bytes come back, frame by frame,
//! unless a policy says otherwise; the guard reads along. Nothing is forwarded before the account,
//! its limits and the policies had their say, and nothing of a request that was refused.

mod altered;
mod body;
mod client;
mod headers;
mod intake;
mod models;
mod refusal;
mod relay;
mod route;
mod state;

pub use body::ProxyBody;
pub(crate) use headers::of_answer as clean_answer;
pub use refusal::Refusal;
pub(crate) use refusal::json_response;
pub(crate) use relay::{Open, error_code};
pub(crate) use state::ProxyState;

use crate::{
    Guard, Identity,
    exposure::{self, Call, Draw, NotServed, OnLedgerFailure},
    limits::Cost,
    observe::Ended,
    policy::alter::{Alteration, with_model},
    policy::{self, Actions},
    request::{Api, RequestView},
    server::Peer,
    upstream::Outgoing,
};
use altered::Altered;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header, request::Parts};
use hyper::body::Incoming;
use relay::Relay;
use route::Route;
use serde_json::json;
use state::Arrival;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

/// Answer tokens that are reserved where the request names no limit.
const TOKENS_DEFAULT: u64 = 1_024;
/// The longest name of a client that is kept, bytes.
const USER_AGENT_BYTES_MAX: usize = 256;

/// Answers a request. A handler that panics is an error of the guard's, and of one request's.
pub(crate) async fn handle(
    guard: &Arc<Guard>,
    peer: &Peer,
    request: Request<Incoming>,
) -> Response<ProxyBody> {
    let route = Route::find(request.method(), request.uri());
    let api = match &route {
        Route::Upstream { api, .. } => Some(*api),
        _ => None,
    };
    let in_flight = state::InFlight::new(&guard.metrics);
    let answered = AssertUnwindSafe(answered(guard, peer, route, api, request)).catch_unwind();
    let response = answered.await.unwrap_or_else(|_panic| {
        tracing::error!("a handler panicked");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        guard.metrics.answered(api, status.as_u16(), None, Duration::ZERO);
        let message = "the gateway failed at this request";
        Refusal::new(status, "internal", message).into_response(api)
    });
    response.map(|body| body.counted(in_flight))
}

async fn answered(
    guard: &Arc<Guard>,
    peer: &Peer,
    route: Route,
    api: Option<Api>,
    request: Request<Incoming>,
) -> Response<ProxyBody> {
    let arrival = guard.proxy.arrive(&*guard.clock);
    let mut response = match answer(guard, peer, &arrival, route, request).await {
        Ok(response) => response,
        Err(refusal) => {
            refused(guard, &arrival, api, &refusal);
            refusal.into_response(api)
        }
    };
    response.headers_mut().insert("stillwatch-request-id", arrival.header());
    response
}

fn refused(guard: &Guard, arrival: &Arrival, api: Option<Api>, refusal: &Refusal) {
    guard.observer.ended(&Ended {
        request_id: arrival.id(),
        api,
        who: None,
        model: "",
        response_model: None,
        upstream: None,
        status: refusal.status.as_u16(),
        error: Some(&refusal.code),
        start_ms: arrival.start_ms,
        first_byte: None,
        duration: arrival.start.elapsed(),
        cost: None,
        finish_reason: None,
        stream: false,
        exposed: false,
    });
}

async fn answer(
    guard: &Arc<Guard>,
    peer: &Peer,
    arrival: &Arrival,
    route: Route,
    request: Request<Incoming>,
) -> Result<Response<ProxyBody>, Refusal> {
    let (mut head, body) = request.into_parts();
    // Whoever is answered before the body was read may still be sending.
    let unread = state::Unread::new(peer, &body);
    match route {
        Route::Upstream { api, model, path } => {
            let who = identify(guard, peer, arrival, &head.headers)?;
            let (bytes, _share) = if api == Api::Models {
                (Bytes::new(), None)
            } else {
                let (bytes, share) = take_body(guard, &head, body, usize::MAX).await?;
                unread.is_read();
                (bytes, Some(share))
            };
            let view = view(api, model, &bytes)?;
            let outgoing = Outgoing {
                api,
                method: head.method.clone(),
                path,
                headers: std::mem::take(&mut head.headers),
                body: bytes,
                model: view.model.clone(),
                replace_key: who.is_virtual,
                may_retry: true,
            };
            forward(guard, arrival, who, view, outgoing).await
        }
        Route::Health => Ok(json_response(StatusCode::OK, &json!({"status": "ok"}))),
        Route::Policy => {
            let ip = guard.proxy.trusted.client(peer.address.ip(), &head.headers);
            let (bytes, _share) =
                take_body(guard, &head, body, policy::public::BODY_BYTES_MAX).await?;
            unread.is_read();
            let request = Request::from_parts(head, bytes);
            Ok(policy::public::handle(guard, ip, request).await.map(ProxyBody::whole))
        }
        Route::Ledger => {
            let asked = Request::from_parts(head, Bytes::new());
            Ok(exposure::public::handle(guard, &asked).await.map(ProxyBody::whole))
        }
        Route::NotFound => {
            Err(Refusal::new(StatusCode::NOT_FOUND, "unknown_path", "there is no such end point"))
        }
        Route::WrongMethod { allow } => {
            let message = format!("this end point takes {allow} only");
            Err(Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
                .with_header(header::ALLOW, allow))
        }
    }
}

fn identify(
    guard: &Guard,
    peer: &Peer,
    arrival: &Arrival,
    headers: &HeaderMap,
) -> Result<Identity, Refusal> {
    let ip = guard.proxy.trusted.client(peer.address.ip(), headers);
    let presented = headers::presented_key(headers);
    guard.keys.authenticate(presented, ip, arrival.start_ms).map_err(|error| {
        let kind = match &error {
            crate::keys::KeyError::Missing => "missing",
            crate::keys::KeyError::Unknown => "unknown",
            crate::keys::KeyError::Disabled => "disabled",
            crate::keys::KeyError::TooManyGuesses { .. } => "too_many_guesses",
        };
        guard.metrics.key_failures.get(kind).inc();
        Refusal::from(error)
    })
}

async fn take_body<'a>(
    guard: &'a Guard,
    head: &Parts,
    body: Incoming,
    bytes_max: usize,
) -> Result<(Bytes, intake::Share<'a>), Refusal> {
    if headers::is_packed(&head.headers) {
        let message = "packed bodies aren't taken: send it without content-encoding";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_encoding", message)
            .with_header(header::ACCEPT_ENCODING, "identity")
            .last());
    }
    guard.proxy.intake.at_most(bytes_max).take(&head.headers, body, &guard.proxy.bodies).await
}

fn view(api: Api, model: String, bytes: &Bytes) -> Result<RequestView, Refusal> {
    let mut view = RequestView::parse(api, bytes)?;
    if api == Api::Models {
        view.model = model;
    }
    Ok(view)
}

async fn forward(
    guard: &Arc<Guard>,
    arrival: &Arrival,
    who: Identity,
    request: RequestView,
    mut outgoing: Outgoing,
) -> Result<Response<ProxyBody>, Refusal> {
    let actions = guard.policies.decide(&who, &request, arrival.start_ms);
    if let Some(refusal) = actions.refusal {
        return Err(refusal.into());
    }
    let alteration = Alteration::new(request.api, &actions);
    if let Some(instead) = &actions.downgrade_to
        && let Some(body) = with_model(&outgoing.body, instead)
    {
        outgoing.body = body;
        outgoing.model.clone_from(instead);
    }
    let estimate = request.estimate(TOKENS_DEFAULT);
    let permit = guard.limits.reserve(&who, &outgoing.model, estimate).await.map_err(|limit| {
        guard.metrics.limited.get(&format!("{} {}", limit.scope, limit.what)).inc();
        Refusal::from(limit)
    })?;
    let user_agent = outgoing.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok());
    let user_agent = user_agent.map(|text| text.chars().take(USER_AGENT_BYTES_MAX).collect());
    headers::of_request(&mut outgoing.headers);

    if request.api == Api::Models && request.model.is_empty() && guard.upstreams.len() > 1 {
        permit.settle(Cost::default());
        return models::merged(guard, &outgoing).await;
    }
    guard.metrics.added.observe(arrival.start.elapsed());
    let upstream = guard.upstreams.choose(&outgoing.model)?;
    // The upstream's own limits are those of the key that all accounts share.
    let left = permit.headers();
    let call = Call {
        id: arrival.id().to_owned(),
        start: arrival.start,
        start_ms: arrival.start_ms,
        who,
        user_agent,
        request,
        prompt_tokens: estimate.prompt_tokens,
        permit,
    };
    let factor = actions.exposure_factor.unwrap_or(1);
    let (call, outgoing, is_unexposed) =
        match expose(guard, upstream, factor, call, outgoing).await? {
            Exposed::Answer(mut response) => {
                response.headers_mut().extend(left);
                declare(&actions, response.headers_mut());
                return Ok(altered(response, alteration));
            }
            Exposed::No(call, outgoing) => (call, outgoing, false),
            Exposed::Impossible(call, outgoing) => (call, outgoing, true),
        };
    let answered = guard.upstreams.send_owned(upstream, outgoing).await.inspect_err(|error| {
        guard.metrics.upstream_errors.get(error_code(*error)).inc();
    })?;
    let (mut head, body) = answered.into_parts();
    headers::of_answer(&mut head.headers);
    head.headers.extend(left);
    declare(&actions, &mut head.headers);
    if is_unexposed {
        let value = HeaderValue::from_static("off; reason=ledger");
        head.headers.insert("stillwatch-exposure", value);
    }
    let stream = is_event_stream(&head.headers);
    let open = Open::new(guard, call, body.upstream(), head.status.as_u16(), stream);
    let is_readable = head.status.is_success() && !headers::is_packed(&head.headers);
    let relay = Relay::new(body, is_readable, open);
    let body = match alteration.filter(|_| is_readable) {
        None => ProxyBody::relay(relay),
        Some(alteration) => {
            forget_length(&mut head.headers);
            ProxyBody::other(Altered::new(relay, alteration, stream))
        }
    };
    Ok(Response::from_parts(head, body))
}

/// What the upstream said of its bytes doesn't hold for others.
fn forget_length(headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_LENGTH);
    headers.remove("content-digest");
    headers.remove(header::ETAG);
}

/// An exposed answer with the alteration that a policy asks for. The text stays as it is.
fn altered(response: Response<ProxyBody>, alteration: Option<Alteration>) -> Response<ProxyBody> {
    let is_readable = response.status().is_success() && !headers::is_packed(response.headers());
    let Some(alteration) = alteration.filter(|_| is_readable) else { return response };
    let stream = is_event_stream(response.headers());
    let (mut head, body) = response.into_parts();
    forget_length(&mut head.headers);
    Response::from_parts(head, ProxyBody::other(Altered::new(body, alteration, stream)))
}

/// What became of a request that might be exposed.
enum Exposed {
    /// It was.
    Answer(Response<ProxyBody>),
    /// It is served as usual.
    No(Call, Outgoing),
    /// As usual, though it was to be exposed: the ledger can't be written.
    Impossible(Call, Outgoing),
}

async fn expose(
    guard: &Arc<Guard>,
    upstream: usize,
    factor: u32,
    call: Call,
    outgoing: Outgoing,
) -> Result<Exposed, Refusal> {
    let Some(capture) = guard.exposure.as_ref() else { return Ok(Exposed::No(call, outgoing)) };
    let (then, call, outgoing) = match capture.draw(&call.who, &call.request, factor, call.start_ms)
    {
        Draw::No => return Ok(Exposed::No(call, outgoing)),
        Draw::Impossible(then) => (Some(then), call, outgoing),
        Draw::Yes(wanted) => {
            match exposure::serve(guard, capture, wanted, upstream, call, outgoing).await {
                Ok(response) => return Ok(Exposed::Answer(response)),
                Err(NotServed::Upstream(error)) => return Err(error.into()),
                Err(NotServed::Unexposed(then, back)) => (then, back.0, back.1),
            }
        }
    };
    match then {
        None => Ok(Exposed::No(call, outgoing)),
        Some(OnLedgerFailure::ServeUnexposed) => Ok(Exposed::Impossible(call, outgoing)),
        Some(OnLedgerFailure::Refuse) => {
            let message = "the gateway can't keep its records now; try again later";
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "ledger_unavailable", message)
                .retry_after(1_000))
        }
    }
}

/// What was done to an answer is said in its headers.
fn declare(actions: &Actions, headers: &mut HeaderMap) {
    for (measure, decision) in &actions.declared {
        let value = format!("{}; decision={decision}", measure.name());
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.append("stillwatch-policy", value);
        }
    }
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        value
            .as_bytes()
            .get(..17)
            .is_some_and(|begin| begin.eq_ignore_ascii_case(b"text/event-stream"))
    })
}
