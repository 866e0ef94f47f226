//! What detection looks at in an exchange, owned, with everything else let go of.

use serde_json::{Map, Value};
use stillwatch_evidence::{Exchange, Message};
use stillwatch_traffic::Observation;

/// The longest name of an account, a plan, a model or a client that is kept, bytes.
const NAME_BYTES_MAX: usize = 256;

/// An exchange on its way to the detector. Made by moving, so that the way of a request pays for
/// no copy of a text.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts of a request")]
pub(crate) struct Seen {
    pub(super) account: String,
    plan: String,
    time_ms: i64,
    model: String,
    system: String,
    user: String,
    response: String,
    n_messages: u32,
    prompt_tokens: u32,
    completion_tokens: u32,
    max_tokens: Option<u32>,
    temperature: Option<f32>,
    top_p: Option<f32>,
    logprobs: bool,
    stream: bool,
    tools: bool,
    failed: bool,
    ip: String,
    user_agent: String,
}

impl Seen {
    /// `None` for an exchange that names no account: nothing can be learnt from it.
    pub(crate) fn new(exchange: Exchange) -> Option<Self> {
        let account = exchange.account.filter(|account| !account.is_empty())?;
        let n_messages = u32::try_from(exchange.messages.len()).unwrap_or(u32::MAX);
        let (system, user) = ends(exchange.messages);
        let params = &exchange.params;
        let usage = exchange.usage.unwrap_or_default();
        let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let limit = ["max_completion_tokens", "max_tokens", "max_output_tokens"];
        Some(Self {
            account: cut(account),
            plan: cut(exchange.plan.unwrap_or_default()),
            time_ms: exchange.time.map_or(0, jiff::Timestamp::as_millisecond),
            model: cut(exchange.model),
            n_messages,
            system,
            user,
            prompt_tokens: narrow(usage.prompt_tokens),
            completion_tokens: narrow(usage.completion_tokens),
            max_tokens: limit.iter().find_map(|name| params.get(*name)?.as_u64()).map(narrow),
            temperature: number(params, "temperature"),
            top_p: number(params, "top_p"),
            logprobs: params.get("logprobs").is_some_and(is_asked)
                || params.get("top_logprobs").is_some_and(is_asked),
            stream: params.get("stream").is_some_and(is_asked),
            tools: ["tools", "functions"]
                .iter()
                .any(|name| params.get(*name).is_some_and(is_asked)),
            failed: matches!(
                exchange.response.finish_reason.as_deref(),
                Some("content_filter" | "refusal" | "error")
            ),
            response: exchange.response.text,
            ip: cut(exchange.client.ip.unwrap_or_default()),
            user_agent: cut(exchange.client.user_agent.unwrap_or_default()),
        })
    }

    /// Bytes of text that it holds.
    pub(super) fn bytes(&self) -> usize {
        self.system.capacity() + self.user.capacity() + self.response.capacity()
    }

    /// As `traffic` wants it.
    pub(crate) fn observation(&self) -> Observation<'_> {
        Observation {
            account: &self.account,
            plan: &self.plan,
            time_ms: self.time_ms,
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
        }
    }
}

/// The first message of the system and the last of the user.
fn ends(messages: Vec<Message>) -> (String, String) {
    let (mut system, mut user) = (None, None);
    for message in messages {
        match message.role.as_str() {
            "system" | "developer" if system.is_none() => system = Some(message.content),
            "user" => user = Some(message.content),
            _ => {}
        }
    }
    (system.unwrap_or_default(), user.unwrap_or_default())
}

fn cut(mut name: String) -> String {
    name.truncate(name.floor_char_boundary(NAME_BYTES_MAX));
    name
}

/// A parameter that asks for something: neither absent in meaning nor empty.
fn is_asked(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Number(number) => number.as_f64() != Some(0.0),
        _ => true,
    }
}

fn number(params: &Map<String, Value>, name: &str) -> Option<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "a sampling parameter")]
    params.get(name)?.as_f64().map(|value| value as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_is_reduced_to_what_detection_needs() {
        let exchange: Exchange = serde_json::from_value(serde_json::json!({
            "id": "x", "account": "a", "time": "2026-11-24T00:00:00Z", "model": "m",
            "params": {"temperature": 0.5, "max_tokens": 7, "logprobs": true, "tools": []},
            "messages": [
                {"role": "system", "content": "s"}, {"role": "user", "content": "first"},
                {"role": "assistant", "content": "between"}, {"role": "user", "content": "last"}
            ],
            "response": {"text": "r", "finish_reason": "content_filter"},
            "usage": {"prompt_tokens": 3, "completion_tokens": 5_000_000_000_u64}
        }))
        .expect("an exchange");
        let seen = Seen::new(exchange.clone()).expect("has an account");
        let o = seen.observation();
        assert_eq!((o.account, o.system, o.user, o.response), ("a", "s", "last", "r"));
        assert_eq!((o.n_messages, o.prompt_tokens, o.completion_tokens), (4, 3, u32::MAX));
        assert_eq!((o.max_tokens, o.temperature), (Some(7), Some(0.5)));
        assert!(o.logprobs && o.failed && !o.tools && !o.stream);
        let nobody = Exchange { account: None, ..exchange };
        assert!(Seen::new(nobody).is_none());
    }
}
