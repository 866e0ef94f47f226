//! What the admin API takes and how it says what is wrong with it: every error names its field.

use crate::{Guard, GuardError};
use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Bytes of a name, a note, a label.
const TEXT_MAX: usize = 256;
/// Rows of a page.
const PAGE_MAX: i64 = 1_000;
const PAGE: i64 = 100;

/// Why the admin API doesn't do what it was asked.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    field: Option<String>,
}

impl ApiError {
    /// A field that isn't as expected.
    pub(crate) fn field(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "invalid_field",
            message: message.into(),
            field: Some(field.into()),
        }
    }

    /// Something that isn't there.
    pub(crate) fn not_found(what: &str) -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            code: "not_found",
            message: format!("there is no such {what}"),
            field: None,
        }
    }

    /// Something that can't be done now.
    pub(crate) fn conflict(code: &'static str, message: &str) -> Self {
        Self { status: StatusCode::CONFLICT, code, message: message.to_owned(), field: None }
    }
}

impl From<GuardError> for ApiError {
    fn from(error: GuardError) -> Self {
        // The cause names hosts and files: it goes to the log.
        tracing::warn!(error = &error as &dyn std::error::Error, "the admin API failed");
        let message = match error {
            GuardError::Store(_) => "the database can't be used now: nothing was changed",
            GuardError::Ledger(_) => "the ledger can't be written now: repeat the request",
            _ => "it failed: the guard's log says why",
        };
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            code: "unavailable",
            message: message.to_owned(),
            field: None,
        }
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        GuardError::Store(error).into()
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(field) = self.field {
            error["field"] = Value::from(field);
        }
        (self.status, Json(json!({ "error": error }))).into_response()
    }
}

/// A JSON body whose errors name the field.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = axum::body::Bytes::from_request(request, state)
            .await
            .map_err(|error| ApiError::field("body", error.to_string()))?;
        let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        let mut json = serde_json::Deserializer::from_slice(bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let field = if path == "." { "body".to_owned() } else { path };
            ApiError::field(field, error.into_inner().to_string())
        })?;
        json.end().map_err(|error| ApiError::field("body", error.to_string()))?;
        Ok(Self(value))
    }
}

/// Which page of a list: `?after=NAME&limit=N`.
#[derive(Debug)]
pub(crate) struct Page {
    /// The last name of the page before; empty: the first page.
    pub(crate) after: String,
    /// Rows, 1 to 1,000.
    pub(crate) limit: i64,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PageQuery {
    after: String,
    limit: Option<i64>,
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        page(&parts.uri)
    }
}

fn page(uri: &Uri) -> Result<Page, ApiError> {
    let query = axum::extract::Query::<PageQuery>::try_from_uri(uri)
        .map_err(|error| ApiError::field("query", error.body_text()))?
        .0;
    let limit = query.limit.unwrap_or(PAGE);
    if !(1..=PAGE_MAX).contains(&limit) {
        return Err(ApiError::field("limit", format!("expected 1 to {PAGE_MAX}, got {limit}")));
    }
    Ok(Page { after: query.after, limit })
}

impl Page {
    /// A page's answer: the rows, and where the next page begins (`null` after the last).
    pub(crate) fn answer(&self, what: &str, rows: &[Value], last: Option<&str>) -> Json<Value> {
        let is_full = i64::try_from(rows.len()).is_ok_and(|n| n >= self.limit);
        Json(json!({ what: rows, "next": last.filter(|_| is_full) }))
    }
}

/// A name that can stand in a URL, a header and a log line.
pub(crate) fn name(field: &str, name: &str) -> Result<(), ApiError> {
    if name.is_empty() || name.trim() != name {
        return Err(ApiError::field(field, "expected a name without blanks around it"));
    }
    text(field, name)
}

/// A short text without control characters.
pub(crate) fn text(field: &str, text: &str) -> Result<(), ApiError> {
    if text.len() > TEXT_MAX {
        let message = format!("expected {TEXT_MAX} bytes at most, got {}", text.len());
        return Err(ApiError::field(field, message));
    }
    if text.chars().any(char::is_control) {
        return Err(ApiError::field(field, "expected no control characters"));
    }
    Ok(())
}

/// An RFC 3339 time in the future, milliseconds.
pub(crate) fn future(
    field: &str,
    time: Option<&str>,
    guard: &Guard,
) -> Result<Option<i64>, ApiError> {
    let Some(time) = time else { return Ok(None) };
    let parsed: Timestamp = time
        .parse()
        .map_err(|_| ApiError::field(field, "expected a time as 2027-01-31T12:00:00Z"))?;
    if parsed.as_millisecond() <= guard.clock.now_ms() {
        return Err(ApiError::field(field, "expected a time in the future"));
    }
    Ok(Some(parsed.as_millisecond()))
}

/// Milliseconds as RFC 3339.
pub(crate) fn time(ms: i64) -> Value {
    Timestamp::from_millisecond(ms).map_or(Value::Null, |time| Value::from(time.to_string()))
}
