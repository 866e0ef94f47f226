//! What all pages share: head, navigation, what is degraded, foot.

use super::show;
use crate::{
    Guard,
    admin::session::{Session, Sessions},
};
use axum::{
    Extension,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    response::Html,
};
use maud::{DOCTYPE, Markup, html};
use std::sync::Arc;

/// Sections: path, name.
const SECTIONS: [(&str, &str); 6] = [
    ("/", "Overview"),
    ("/accounts", "Accounts"),
    ("/campaigns", "Campaigns"),
    ("/decisions", "Decisions"),
    ("/exposures", "Exposures"),
    ("/keys", "Keys"),
];

/// What a page needs besides its own content: the guard and the session.
pub(super) struct Frame {
    pub(super) guard: Arc<Guard>,
    pub(super) now_ms: i64,
    token: String,
}

impl FromRequestParts<Arc<Guard>> for Frame {
    type Rejection = StatusCode;

    async fn from_request_parts(
        parts: &mut Parts,
        guard: &Arc<Guard>,
    ) -> Result<Self, Self::Rejection> {
        let missing = |_| StatusCode::FORBIDDEN;
        let session = Extension::<Session>::from_request_parts(parts, guard).await;
        let sessions = Extension::<Arc<Sessions>>::from_request_parts(parts, guard).await;
        let (session, sessions) = (session.map_err(missing)?, sessions.map_err(missing)?);
        let token = sessions.form_token(&session).ok_or(StatusCode::FORBIDDEN)?;
        Ok(Self { guard: Arc::clone(guard), now_ms: guard.clock.now_ms(), token })
    }
}

impl Frame {
    /// The hidden field that every form carries.
    pub(super) fn token(&self) -> Markup {
        html! { input type="hidden" name="token" value=(self.token); }
    }

    /// A page of the section at `path`.
    pub(super) fn page(&self, path: &str, title: &str, content: &Markup) -> Html<String> {
        let degraded = self.guard.metrics.health.degraded();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                (head(title))
                body {
                    a.skip href="#main" { "Skip to the content" }
                    header.top {
                        div.bar {
                            p.brand { "Stillwatch " span { "guard" } }
                            nav aria-label="Sections" { ul {
                                @for (target, name) in SECTIONS {
                                    li { a href=(target) aria-current=[(target == path).then_some("page")] { (name) } }
                                }
                            } }
                            form method="post" action="/logout" { (self.token()) button.quiet { "Log out" } }
                        }
                    }
                    main id="main" tabindex="-1" {
                        @if !degraded.is_empty() {
                            div.note.bad role="status" {
                                p { strong { "Degraded" } }
                                @for (part, why) in &degraded { p { b { (part) } ": " (why) } }
                            }
                        }
                        (content)
                    }
                    (foot(Some(self.now_ms)))
                }
            }
        };
        Html(page.into_string())
    }
}

/// A page without navigation.
pub(super) fn bare(title: &str, content: &Markup) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head(title))
            body { main.login id="main" { (content) } }
        }
    };
    Html(page.into_string())
}

fn head(title: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="color-scheme" content="light dark";
            title { (title) " - Stillwatch guard" }
            link rel="icon" href="/icon.svg";
            link rel="stylesheet" href="/style.css";
        }
    }
}

fn foot(now_ms: Option<i64>) -> Markup {
    html! {
        footer {
            "Stillwatch " (env!("CARGO_PKG_VERSION"))
            @if let Some(now_ms) = now_ms { ". As of " (show::time(now_ms)) }
            ". Scores rank accounts and campaigns; they are no probabilities. "
            a href="/metrics" { "Metrics" }
        }
    }
}
