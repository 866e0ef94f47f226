//! Asks for answers, by chat or, where a server has none, by legacy completions.

use super::{
    http::{Endpoint, Failure},
    wire::{self, LengthField},
};
use crate::{SampleRequest, Sampled, budget::Usage};
use serde_json::json;
use std::fmt;

/// How the endpoint samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SamplingRoute {
    /// `/chat/completions`, with the server's own template.
    Chat,
    /// `/completions` with roles and texts, plain.
    Completions,
}

impl fmt::Display for SamplingRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
        })
    }
}

/// Samples one answer by the given way.
pub(super) async fn sample(
    endpoint: &Endpoint,
    route: SamplingRoute,
    length: LengthField,
    request: &SampleRequest,
) -> Result<Sampled, Failure> {
    let body = wire::sampling(&endpoint.model, &request.params, length);
    let (path, prompt) = match route {
        SamplingRoute::Chat => {
            ("chat/completions", json!({"messages": wire::chat_messages(&request.messages)}))
        }
        SamplingRoute::Completions => (
            "completions",
            json!({
                "prompt": wire::plain_prompt(&request.messages),
                "stop": [wire::PLAIN_STOP],
            }),
        ),
    };
    let bytes = request.messages.iter().map(|m| m.role.len() + m.content.len()).sum();
    let bound = Usage {
        input_tokens: endpoint.input_bound(bytes, request.messages.len() + 1),
        output_tokens: request.params.max_tokens as u64,
    };
    endpoint.post(path, &wire::merged(body, prompt), bound, wire::sampled).await
}
