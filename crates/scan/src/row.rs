//! One exchange of a log, whatever product wrote it: what detection needs, borrowed from the
//! line where that is possible.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use stillwatch_traffic::Observation;

/// Why an exchange holds neither prompt nor answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoContent {
    /// The log never held it.
    NotStored,
    /// It is encrypted with a key that isn't here.
    Encrypted,
    /// The product replaced it by a fixed text.
    Redacted,
    /// It lies in a store that the log only names.
    Elsewhere,
}

/// One exchange of a log. Texts are empty where the log holds none; `None` is unknown.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a request")]
pub struct LogRow<'a> {
    /// Its name in the log; empty where it has none.
    pub id: Cow<'a, str>,
    /// Who asked.
    pub account: Option<Cow<'a, str>>,
    /// Plan or stratum.
    pub plan: Cow<'a, str>,
    /// When it was asked, milliseconds since the epoch.
    pub time_ms: Option<i64>,
    /// Model asked for.
    pub model: Cow<'a, str>,
    /// The first system prompt.
    pub system: Cow<'a, str>,
    /// The last message of the user.
    pub user: Cow<'a, str>,
    /// The answer.
    pub response: Cow<'a, str>,
    /// Why the answer ended.
    pub finish_reason: Cow<'a, str>,
    /// Messages in the request.
    pub n_messages: u32,
    /// Tokens of the prompt; 0: unknown.
    pub prompt_tokens: u32,
    /// Tokens of the answer; 0: unknown.
    pub completion_tokens: u32,
    /// Limit of tokens asked for.
    pub max_tokens: Option<u32>,
    /// Temperature asked for.
    pub temperature: Option<f32>,
    /// Nucleus asked for.
    pub top_p: Option<f32>,
    /// Whether log-probabilities were asked for.
    pub logprobs: bool,
    /// Whether it was streamed.
    pub stream: bool,
    /// Whether tools were offered.
    pub tools: bool,
    /// Whether it failed.
    pub failed: bool,
    /// Address of the client, as text.
    pub ip: Cow<'a, str>,
    /// What the client says that it is.
    pub user_agent: Cow<'a, str>,
    /// The request's messages as a JSON array, to ask them again; empty where unknown.
    pub messages_json: Cow<'a, str>,
    /// The request's sampling parameters as a JSON object; empty where unknown.
    pub params_json: Cow<'a, str>,
    /// Why there is no content, where a reader knows.
    pub no_content: Option<NoContent>,
}

impl LogRow<'_> {
    /// Whether it holds any text of a prompt or an answer.
    pub fn has_content(&self) -> bool {
        !(self.user.is_empty() && self.response.is_empty() && self.system.is_empty())
    }

    /// The row with texts of its own.
    pub fn to_owned_row(&self) -> LogRow<'static> {
        let own = |text: &Cow<'_, str>| Cow::Owned(text.clone().into_owned());
        LogRow {
            id: own(&self.id),
            account: self.account.as_ref().map(own),
            plan: own(&self.plan),
            time_ms: self.time_ms,
            model: own(&self.model),
            system: own(&self.system),
            user: own(&self.user),
            response: own(&self.response),
            finish_reason: own(&self.finish_reason),
            n_messages: self.n_messages,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            logprobs: self.logprobs,
            stream: self.stream,
            tools: self.tools,
            failed: self.failed,
            ip: own(&self.ip),
            user_agent: own(&self.user_agent),
            messages_json: own(&self.messages_json),
            params_json: own(&self.params_json),
            no_content: self.no_content,
        }
    }

    /// What detection looks at; none without an account. A missing time counts as the epoch.
    pub fn observation(&self) -> Option<Observation<'_>> {
        Some(Observation {
            account: self.account.as_deref()?,
            plan: &self.plan,
            time_ms: self.time_ms.unwrap_or(0),
            model: &self.model,
            system: &self.system,
            user: &self.user,
            response: &self.response,
            n_messages: self.n_messages,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            max_tokens: self.max_tokens,
            temperature: self.temperature,
            top_p: self.top_p,
            logprobs: self.logprobs,
            stream: self.stream,
            tools: self.tools,
            failed: self.failed,
            ip: &self.ip,
            user_agent: &self.user_agent,
        })
    }
}
