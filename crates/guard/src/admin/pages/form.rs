//! Forms: nothing is taken that doesn't carry the session's token.

use super::layout;
use crate::{
    Guard,
    admin::session::{Session, Sessions},
};
use axum::{
    Extension, Form,
    extract::{FromRequest, FromRequestParts as _, Request},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::html;
use std::{collections::BTreeMap, sync::Arc};

/// The fields of a form that carried its session's token.
pub(super) struct Checked(BTreeMap<String, String>);

impl Checked {
    /// A field, without blanks around it; empty where it is missing.
    pub(super) fn field(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }
}

impl FromRequest<Arc<Guard>> for Checked {
    type Rejection = Response;

    async fn from_request(request: Request, guard: &Arc<Guard>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let session = Extension::<Session>::from_request_parts(&mut parts, guard).await;
        let sessions = Extension::<Arc<Sessions>>::from_request_parts(&mut parts, guard).await;
        let request = Request::from_parts(parts, body);
        let form = Form::<BTreeMap<String, String>>::from_request(request, guard).await;
        let Form(fields) = form.map_err(IntoResponse::into_response)?;
        let token = fields.get("token").map_or("", String::as_str);
        match (session, sessions) {
            (Ok(session), Ok(sessions)) if sessions.is_form_token(&session, token) => {
                Ok(Self(fields))
            }
            _ => Err(refused()),
        }
    }
}

/// The answer to a form that doesn't come from a page of ours.
pub(super) fn refused() -> Response {
    let body = layout::bare(
        "Form not taken",
        &html! {
            h1 { "This form wasn’t taken" }
            p { "It doesn’t come from a page of this session. Nothing was changed." }
            p { a href="/" { "Go to the overview" } }
        },
    );
    (StatusCode::FORBIDDEN, body).into_response()
}

/// The page that says why something couldn't be done.
pub(super) fn failed(status: StatusCode, why: &str) -> Response {
    let body = layout::bare(
        "Not done",
        &html! {
            h1 { "That couldn’t be done" }
            p { (why) }
            p { a href="/" { "Go to the overview" } }
        },
    );
    (status, body).into_response()
}
