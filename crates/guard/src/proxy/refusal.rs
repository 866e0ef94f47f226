//! What a client gets instead of an answer: a status, and JSON in the shape that its API has for
//! errors, so that the official clients raise what they would raise without the guard.

use super::ProxyBody;
use crate::{
    keys::KeyError, limits::LimitExceeded, policy, request::Api, request::NotARequest,
    upstream::UpstreamError,
};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::json;

/// A request that isn't answered, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable reason, snake case.
    pub code: String,
    /// One plain sentence.
    pub message: String,
    /// The decision behind it, to be looked up and contested.
    pub decision: Option<String>,
    /// When to try again, milliseconds.
    pub retry_after_ms: Option<u64>,
    /// A header that belongs to the status.
    pub header: Option<Box<(HeaderName, HeaderValue)>>,
    /// Whether the rest of the request isn't read, so that the connection ends with it.
    pub is_last: bool,
}

impl Refusal {
    /// With a status, a code and a sentence.
    pub fn new(status: StatusCode, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            decision: None,
            retry_after_ms: None,
            header: None,
            is_last: false,
        }
    }

    /// The client may try again after this time.
    #[must_use]
    pub fn retry_after(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some(Box::new((name, HeaderValue::from_static(value))));
        self
    }

    /// The rest of the request isn't read.
    pub(super) fn last(mut self) -> Self {
        self.is_last = true;
        self
    }

    /// The answer, in the shape of this API.
    pub fn into_response(self, api: Option<Api>) -> Response<ProxyBody> {
        let body = if api == Some(Api::Messages) {
            let mut error = json!({"type": self.kind_anthropic(), "message": self.message});
            if let (Some(decision), Some(error)) = (&self.decision, error.as_object_mut()) {
                error.insert("decision".to_owned(), json!(decision));
            }
            json!({"type": "error", "error": error})
        } else {
            let mut error = json!({
                "message": self.message,
                "type": self.kind_openai(),
                "param": null,
                "code": self.code,
            });
            if let (Some(decision), Some(error)) = (&self.decision, error.as_object_mut()) {
                error.insert("decision".to_owned(), json!(decision));
            }
            json!({"error": error})
        };
        let mut response = json_response(self.status, &body);
        let headers = response.headers_mut();
        if let Some(header) = self.header {
            headers.insert(header.0, header.1);
        }
        if let Some(ms) = self.retry_after_ms {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000).max(1)));
        }
        if self.is_last {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn kind_openai(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            _ => "server_error",
        }
    }

    fn kind_anthropic(&self) -> &'static str {
        match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            400..=499 => "invalid_request_error",
            503 => "overloaded_error",
            504 => "timeout_error",
            _ => "api_error",
        }
    }
}

/// A JSON answer.
pub(crate) fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<ProxyBody> {
    let mut response = Response::new(ProxyBody::whole(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl From<KeyError> for Refusal {
    fn from(error: KeyError) -> Self {
        let message = error.to_string();
        match error {
            KeyError::TooManyGuesses { retry_after_ms } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_wrong_keys", message)
                    .retry_after(retry_after_ms)
            }
            KeyError::Disabled => Self::new(StatusCode::FORBIDDEN, "account_disabled", message),
            _ => Self::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
                .with_header(header::WWW_AUTHENTICATE, "Bearer"),
        }
    }
}

impl From<LimitExceeded> for Refusal {
    fn from(limit: LimitExceeded) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", limit.to_string())
            .retry_after(limit.retry_after_ms)
    }
}

impl From<NotARequest> for Refusal {
    fn from(error: NotARequest) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", error.to_string())
    }
}

impl From<policy::Refusal> for Refusal {
    fn from(refusal: policy::Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::FORBIDDEN);
        let mut this = Self::new(status, &refusal.code, refusal.message);
        this.decision = Some(refusal.decision);
        this
    }
}

impl From<UpstreamError> for Refusal {
    fn from(error: UpstreamError) -> Self {
        let (status, code) = match error {
            UpstreamError::NoSuchModel => (StatusCode::NOT_FOUND, "model_not_found"),
            UpstreamError::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "upstream_unavailable"),
            UpstreamError::Connect => (StatusCode::BAD_GATEWAY, "upstream_unreachable"),
            UpstreamError::Timeout => (StatusCode::GATEWAY_TIMEOUT, "upstream_timeout"),
            UpstreamError::Broken => (StatusCode::BAD_GATEWAY, "upstream_broken"),
        };
        let this = Self::new(status, code, error.to_string());
        if error == UpstreamError::Unavailable { this.retry_after(1_000) } else { this }
    }
}
