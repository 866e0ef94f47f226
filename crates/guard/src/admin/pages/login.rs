//! The login page: an admin key, once, for a session.

use super::{form, layout};
use crate::{
    Guard,
    admin::{
        auth::{Checked, caller, check_key, is_cross_site, session_of},
        session::{COOKIE, SESSION_MS, Session, Sessions, VISIT_COOKIE, set_cookie},
        throttle::Throttle,
    },
};
use axum::{
    Extension, Form,
    extract::{FromRequest as _, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use maud::html;
use std::{collections::BTreeMap, sync::Arc};

/// An empty login page.
pub(super) async fn page(
    State(guard): State<Arc<Guard>>,
    Extension(sessions): Extension<Arc<Sessions>>,
    headers: HeaderMap,
) -> Response {
    if session_of(&guard, &sessions, &headers).is_some() {
        return Redirect::to("/").into_response();
    }
    answer(&guard, &sessions, &headers, StatusCode::OK, None)
}

fn answer(
    guard: &Guard,
    sessions: &Sessions,
    headers: &HeaderMap,
    status: StatusCode,
    why: Option<&str>,
) -> Response {
    let Some((visit, token)) = sessions.visit(guard.clock.now_ms()) else {
        let why = "The operating system gives no random numbers, so nobody can log in.";
        return form::failed(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    let cookie = set_cookie(VISIT_COOKIE, &visit, 3_600, is_secure(headers));
    (status, [(header::SET_COOKIE, cookie)], login_form(&token, why)).into_response()
}

fn login_form(token: &str, why: Option<&str>) -> Html<String> {
    layout::bare(
        "Log in",
        &html! {
            div.card {
                h1 { "Stillwatch guard" }
                p.soft { "The admin key was shown when the guard first started; more are made with " code { "stillwatch serve keys" } "." }
                @if let Some(why) = why { div.note.bad role="alert" { p { (why) } } }
                form method="post" action="/login" {
                    input type="hidden" name="token" value=(token);
                    // For password managers: there is one user.
                input type="text" name="user" value="admin" autocomplete="username" hidden;
                label.block for="key" { "Admin key" }
                    input.wide type="password" id="key" name="key" required autocomplete="current-password" autofocus aria-invalid=[why.map(|_| "true")];
                    button { "Log in" }
                }
            }
        },
    )
}

/// Takes the key.
pub(super) async fn submit(
    State(guard): State<Arc<Guard>>,
    Extension(sessions): Extension<Arc<Sessions>>,
    Extension(throttle): Extension<Arc<Throttle>>,
    request: Request,
) -> Response {
    let ip = caller(request.extensions());
    let headers = request.headers().clone();
    let fields = match Form::<BTreeMap<String, String>>::from_request(request, &guard).await {
        Ok(Form(fields)) => fields,
        Err(refused) => return refused.into_response(),
    };
    let field = |name: &str| fields.get(name).map_or("", |value| value.trim());
    let now_ms = guard.clock.now_ms();
    if is_cross_site(&headers) || !sessions.is_visit(&headers, field("token"), now_ms) {
        let why = "This page was open for too long, or cookies are off. Try again.";
        return answer(&guard, &sessions, &headers, StatusCode::FORBIDDEN, Some(why));
    }
    match check_key(&guard, &throttle, ip, field("key")) {
        Checked::Right(id) => opened(&guard, &sessions, &headers, &id),
        Checked::Wrong => {
            let why = "That is no admin key.";
            answer(&guard, &sessions, &headers, StatusCode::UNAUTHORIZED, Some(why))
        }
        Checked::Wait(seconds) => {
            let why = format!("Too many wrong keys. Try again in {seconds} s.");
            let mut response =
                answer(&guard, &sessions, &headers, StatusCode::TOO_MANY_REQUESTS, Some(&why));
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            response
        }
    }
}

fn opened(guard: &Guard, sessions: &Sessions, headers: &HeaderMap, id: &Arc<str>) -> Response {
    let Some(value) = sessions.open(id, guard.clock.now_ms()) else {
        let why = "The operating system gives no random numbers, so nobody can log in.";
        return form::failed(StatusCode::SERVICE_UNAVAILABLE, why);
    };
    let secure = is_secure(headers);
    let mut response = Redirect::to("/").into_response();
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, set_cookie(COOKIE, &value, SESSION_MS / 1_000, secure));
    headers.append(header::SET_COOKIE, set_cookie(VISIT_COOKIE, "", 0, secure));
    response
}

/// Ends the session.
pub(super) async fn logout(
    headers: HeaderMap,
    Extension(sessions): Extension<Arc<Sessions>>,
    Extension(session): Extension<Session>,
    _form: form::Checked,
) -> Response {
    sessions.close(&session);
    let cookie = set_cookie(COOKIE, "", 0, is_secure(&headers));
    ([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response()
}

/// Whether the browser speaks TLS to what stands before the admin listener: then cookies never
/// go out without it.
fn is_secure(headers: &HeaderMap) -> bool {
    let scheme = headers.get("x-forwarded-proto").and_then(|scheme| scheme.to_str().ok());
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"))
}
