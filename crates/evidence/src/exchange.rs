//! One request and its response, as the guard sees it and logs hold it.
//!
//! This is the native form of a log line. Foreign logs are translated into it by their readers;
//! what harvesting looks like in it is the business of `traffic`.

use crate::Message;
use crate::jsonl::Validate;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a request came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Client {
    /// Address, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// What the client says that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// What was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Response {
    /// The answer's text; empty where the log holds none.
    #[serde(default)]
    pub text: String,
    /// Why it ended: `stop`, `length`, `tool_calls`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
}

/// Tokens of the request and its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens of the prompt.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Tokens of the answer.
    #[serde(default)]
    pub completion_tokens: u64,
}

/// One request and its response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Exchange {
    /// Name of the exchange, unique in its log.
    pub id: String,
    /// When it was asked, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub time: Option<Timestamp>,
    /// Who asked; without it the exchange counts for the population only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The plan or stratum of the account, where the log knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Where it came from.
    #[serde(default)]
    pub client: Client,
    /// Model asked for.
    #[serde(default)]
    pub model: String,
    /// Sampling parameters as sent (`temperature`, `max_tokens`, `stream`, …).
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub params: serde_json::Map<String, serde_json::Value>,
    /// The conversation up to the answer.
    pub messages: Vec<Message>,
    /// The answer.
    #[serde(default)]
    pub response: Response,
    /// Tokens; absent where the log doesn't say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

impl Validate for Exchange {
    fn validate(&self) -> Result<(), String> {
        if self.id.is_empty() {
            return Err("id: it is empty, expected a name for the exchange".to_owned());
        }
        Ok(())
    }
}
