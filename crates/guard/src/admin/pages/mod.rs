//! The dashboard: pages made here, with one stylesheet and no script.
//!
//! Every path is fixed in this file; none names a file on the disk. Whatever came from outside
//! (names of accounts, reasons, appeals) goes through `maud`, which escapes it.

mod accounts;
mod acts;
mod campaigns;
mod decisions;
mod exposures;
mod form;
mod graph;
mod keys;
mod layout;
mod login;
mod overview;
mod plot;
mod show;
mod traffic;

use crate::Guard;
use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use maud::html;
use std::sync::Arc;

/// The stylesheet of all pages.
pub(super) const STYLE: &str = include_str!("style.css");

const ICON: &str = concat!(
    r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#1d4ed8"/>"##,
    r##"<path d="M3 8c2.5-4 7.500-4 10 0-2.500 4-7.500 4-10 0z" fill="none" stroke="#fff" stroke-width="1.500"/><circle cx="8" cy="8" r="1.800" fill="#fff"/></svg>"##
);

/// Pages that ask for a session.
pub(super) fn router() -> Router<Arc<Guard>> {
    Router::new()
        .route("/", get(overview::page))
        .route("/accounts", get(accounts::list))
        .route("/accounts/{account}", get(accounts::one))
        .route("/campaigns", get(campaigns::list))
        .route("/campaigns/{campaign}", get(campaigns::one))
        .route("/decisions", get(decisions::list).post(acts::make))
        .route("/decisions/{decision}", get(decisions::one).post(acts::decide))
        .route("/appeals/{appeal}", post(acts::resolve))
        .route("/policies/{policy}", post(acts::resume))
        .route("/keys", get(keys::page))
        .route("/exposures", get(exposures::page))
        .route("/logout", post(login::logout))
}

/// What is shown to everyone: the login page and what it looks like.
pub(super) fn open_router() -> Router<Arc<Guard>> {
    Router::new()
        .route("/login", get(login::page).post(login::submit))
        .route(
            "/style.css",
            get(async || ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)),
        )
        .route("/icon.svg", get(async || ([(header::CONTENT_TYPE, "image/svg+xml")], ICON)))
}

/// The answer to every path that isn't one.
pub(super) async fn not_found() -> Response {
    let body = layout::bare(
        "Not found",
        &html! {
            h1 { "There is no such page" }
            p { a href="/" { "Go to the overview" } }
        },
    );
    (StatusCode::NOT_FOUND, body).into_response()
}
