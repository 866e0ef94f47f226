//! Which end point a path means. The path that goes upstream comes from the table here, never
//! from the client, except for the name of a model, which is checked.

use crate::request::Api;
use http::{Method, Uri, uri::PathAndQuery};

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// To an upstream.
    Upstream {
        /// The end point.
        api: Api,
        /// The model in the path; empty where there is none.
        model: String,
        /// Path and query for the upstream.
        path: PathAndQuery,
    },
    /// `GET /healthz`.
    Health,
    /// `/stillwatch/decisions/…`, `/stillwatch/terms`, `/stillwatch/verified`.
    Policy,
    /// `/stillwatch/ledger/…`.
    Ledger,
    /// Nothing is there.
    NotFound,
    /// Something is there, under another method.
    WrongMethod {
        /// That method.
        allow: &'static str,
    },
}

/// The longest query that is forwarded, bytes.
const QUERY_BYTES_MAX: usize = 4 << 10;
/// The longest name of a model in a path, bytes.
const MODEL_BYTES_MAX: usize = 512;

impl Route {
    /// Looks a request up.
    pub(super) fn find(method: &Method, uri: &Uri) -> Self {
        let path = uri.path();
        let posted = match path {
            "/v1/chat/completions" => Some((Api::Chat, "/v1/chat/completions")),
            "/v1/completions" => Some((Api::Completions, "/v1/completions")),
            "/v1/responses" => Some((Api::Responses, "/v1/responses")),
            "/v1/embeddings" => Some((Api::Embeddings, "/v1/embeddings")),
            "/v1/messages" => Some((Api::Messages, "/v1/messages")),
            _ => None,
        };
        if let Some((api, fixed)) = posted {
            if method != Method::POST {
                return Self::WrongMethod { allow: "POST" };
            }
            return match with_query(fixed, uri.query()) {
                Some(path) => Self::Upstream { api, model: String::new(), path },
                None => Self::NotFound,
            };
        }
        if path == "/v1/models" {
            return Self::get(method, || {
                let path = with_query("/v1/models", uri.query())?;
                Some(Self::Upstream { api: Api::Models, model: String::new(), path })
            });
        }
        if let Some(name) = path.strip_prefix("/v1/models/") {
            return Self::get(method, || {
                let model = model_name(name)?;
                // Rebuilt from the checked name: what was escaped stays so.
                let path = with_query(&format!("/v1/models/{name}"), uri.query())?;
                Some(Self::Upstream { api: Api::Models, model, path })
            });
        }
        if path == "/healthz" {
            return Self::get(method, || Some(Self::Health));
        }
        if path.starts_with("/stillwatch/decisions/")
            || matches!(path, "/stillwatch/terms" | "/stillwatch/verified")
        {
            return Self::Policy;
        }
        if path.starts_with("/stillwatch/ledger/") {
            return Self::Ledger;
        }
        Self::NotFound
    }

    fn get(method: &Method, found: impl FnOnce() -> Option<Self>) -> Self {
        if method == Method::GET {
            found().unwrap_or(Self::NotFound)
        } else {
            Self::WrongMethod { allow: "GET" }
        }
    }
}

fn with_query(path: &str, query: Option<&str>) -> Option<PathAndQuery> {
    match query {
        None | Some("") => PathAndQuery::try_from(path).ok(),
        Some(query) if query.len() > QUERY_BYTES_MAX => None,
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")).ok(),
    }
}

/// The name in a path, unescaped; `None` where it could mean another path upstream (dot segments,
/// empty segments, backslashes, anything unusual, escaped or not).
fn model_name(escaped: &str) -> Option<String> {
    if escaped.is_empty() || escaped.len() > MODEL_BYTES_MAX {
        return None;
    }
    let mut name = String::with_capacity(escaped.len());
    let mut bytes = escaped.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            u8::try_from(high * 16 + low).ok()?
        } else {
            byte
        };
        if !byte.is_ascii_alphanumeric() && !b"-._~:/@+".contains(&byte) {
            return None;
        }
        name.push(char::from(byte));
    }
    let is_plain = |segment: &str| !segment.is_empty() && segment != "." && segment != "..";
    name.split('/').all(is_plain).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(method: &Method, target: &str) -> Route {
        Route::find(method, &target.parse().expect("a target"))
    }

    #[test]
    fn finds_the_end_points() {
        for (method, target, api, sent) in [
            (Method::POST, "/v1/chat/completions", Api::Chat, "/v1/chat/completions"),
            (Method::POST, "/v1/completions", Api::Completions, "/v1/completions"),
            (Method::POST, "/v1/responses", Api::Responses, "/v1/responses"),
            (Method::POST, "/v1/embeddings", Api::Embeddings, "/v1/embeddings"),
            (Method::POST, "/v1/messages?beta=true", Api::Messages, "/v1/messages?beta=true"),
            (Method::GET, "/v1/models", Api::Models, "/v1/models"),
            (Method::GET, "/v1/models/org%2Fname", Api::Models, "/v1/models/org%2Fname"),
            (Method::GET, "/v1/models/org/name:free", Api::Models, "/v1/models/org/name:free"),
            (Method::POST, "http://evil.example/v1/messages", Api::Messages, "/v1/messages"),
        ] {
            match find(&method, target) {
                Route::Upstream { api: found, path, .. } => {
                    assert_eq!((found, path.as_str()), (api, sent), "{target}");
                }
                other => panic!("{target}: {other:?}"),
            }
        }
    }

    #[test]
    fn paths_that_could_mean_another_are_nothing() {
        for target in [
            "/",
            "/v1",
            "/v1/",
            "/v1/chat",
            "/v1/chat/completions/",
            "//v1/chat/completions",
            "/v1/chat/completions/../models",
            "/v1/../admin",
            "/V1/chat/completions",
            "/v1/chat%2Fcompletions",
            "/v1/models/",
            "/v1/models/..",
            "/v1/models/%2e%2e",
            "/v1/models/a/../b",
            "/v1/models/a%2f..%2fb",
            "/v1/models/a//b",
            "/v1/models/a%5cb",
            "/v1/models/%00",
            "/v1/models/a%0d%0ab",
            "/v1/models/%",
            "/v1/models/%2",
            "/v1/models/a%3Fb",
            "/v1/models/%25",
            "/metrics",
            "/admin",
            "/api/accounts",
        ] {
            for method in [Method::GET, Method::POST] {
                let found = find(&method, target);
                assert!(
                    matches!(found, Route::NotFound | Route::WrongMethod { .. }),
                    "{target}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn another_method_is_said_so() {
        for (method, target, allow) in [
            (Method::GET, "/v1/chat/completions", "POST"),
            (Method::DELETE, "/v1/models/m", "GET"),
            (Method::POST, "/v1/models", "GET"),
            (Method::CONNECT, "/healthz", "GET"),
        ] {
            assert_eq!(find(&method, target), Route::WrongMethod { allow }, "{method} {target}");
        }
    }
}
