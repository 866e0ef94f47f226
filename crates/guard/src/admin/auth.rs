//! Who may use the admin listener: holders of an admin key, or of a session that one opened.

use super::{
    api::problem,
    session::{Session, Sessions},
    throttle::Throttle,
};
use crate::Guard;
use axum::{
    Extension,
    extract::{ConnectInfo, Request, State},
    http::{Extensions, HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// The key of an `authorization: Bearer` header.
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// The caller's address, where the listener says it.
pub(super) fn caller(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip())
}

/// Who does something: the name of an admin key. In the extensions of every request that was let
/// through.
#[derive(Debug, Clone)]
pub(crate) struct Admin(pub(crate) Arc<str>);

/// What came of a presented key.
pub(super) enum Checked {
    /// It is an admin key, of this name.
    Right(Arc<str>),
    /// It is none.
    Wrong,
    /// The caller guesses; the key wasn't looked at. Seconds to wait.
    Wait(i64),
}

/// Checks a presented admin key; guessing gets slower.
pub(super) fn check_key(
    guard: &Guard,
    throttle: &Throttle,
    ip: Option<IpAddr>,
    key: &str,
) -> Checked {
    let now_ms = guard.clock.now_ms();
    let wait_ms = throttle.wait(ip, now_ms);
    if wait_ms > 0 {
        guard.metrics.key_failures.get("admin_too_many_guesses").inc();
        return Checked::Wait(wait_ms.div_euclid(1_000) + 1);
    }
    if let Some(id) = guard.keys.admin_id(key, now_ms) {
        throttle.succeeded(ip);
        return Checked::Right(id.into());
    }
    throttle.failed(ip, now_ms);
    guard.metrics.key_failures.get("admin").inc();
    Checked::Wrong
}

fn needs_key() -> Response {
    let message = "an admin key is needed: send \"authorization: Bearer KEY\"";
    let refused = problem(StatusCode::UNAUTHORIZED, "admin_key_needed", message);
    ([(header::WWW_AUTHENTICATE, "Bearer")], refused).into_response()
}

/// Notes who it is, where the key is an admin key.
fn by_key(guard: &Guard, throttle: &Throttle, request: &mut Request) -> Result<(), Box<Response>> {
    let Some(key) = bearer(request.headers()) else { return Err(Box::new(needs_key())) };
    match check_key(guard, throttle, caller(request.extensions()), key) {
        Checked::Right(id) => {
            request.extensions_mut().insert(Admin(id));
            Ok(())
        }
        Checked::Wrong => Err(Box::new(needs_key())),
        Checked::Wait(seconds) => {
            let message = "too many wrong admin keys from this address; wait";
            let refused = problem(StatusCode::TOO_MANY_REQUESTS, "too_many_guesses", message);
            let answer = ([(header::RETRY_AFTER, seconds.to_string())], refused).into_response();
            Err(Box::new(answer))
        }
    }
}

/// Lets a request through whose key is an admin key.
pub(super) async fn require_key(
    State(guard): State<Arc<Guard>>,
    Extension(throttle): Extension<Arc<Throttle>>,
    mut request: Request,
    next: Next,
) -> Response {
    match by_key(&guard, &throttle, &mut request) {
        Ok(()) => next.run(request).await,
        Err(refused) => *refused,
    }
}

/// Lets a request through that has an admin key or a session.
pub(super) async fn require_either(
    State(guard): State<Arc<Guard>>,
    Extension(sessions): Extension<Arc<Sessions>>,
    Extension(throttle): Extension<Arc<Throttle>>,
    mut request: Request,
    next: Next,
) -> Response {
    if session_of(&guard, &sessions, request.headers()).is_some() {
        return next.run(request).await;
    }
    match by_key(&guard, &throttle, &mut request) {
        Ok(()) => next.run(request).await,
        Err(refused) => *refused,
    }
}

/// The session of a request, while the key that opened it is an admin key.
pub(super) fn session_of(
    guard: &Guard,
    sessions: &Sessions,
    headers: &HeaderMap,
) -> Option<Session> {
    let now_ms = guard.clock.now_ms();
    let session = sessions.of(headers, now_ms)?;
    guard.keys.is_admin(&session.admin, now_ms).then_some(session)
}

/// Lets a request through that has a session; others are sent to the login page.
pub(super) async fn require_session(
    State(guard): State<Arc<Guard>>,
    Extension(sessions): Extension<Arc<Sessions>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(session) = session_of(&guard, &sessions, request.headers()) else {
        return Redirect::to("/login").into_response();
    };
    if request.method() != Method::GET && is_cross_site(request.headers()) {
        let why = "this form was sent from another site";
        return problem(StatusCode::FORBIDDEN, "cross_site", why);
    }
    request.extensions_mut().insert(Admin(Arc::clone(&session.admin)));
    request.extensions_mut().insert::<Session>(session);
    next.run(request).await
}

/// Whether a browser says that another site made it send this. The form's token decides; this
/// is a second lock on the same door.
pub(super) fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
    site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
}
