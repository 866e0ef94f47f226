//! Our own exchanges.

use super::Reader;
use crate::row::LogRow;
use serde_json::Value;
use stillwatch_evidence::{Exchange, Validate as _};

/// The reader of native exchanges.
pub(super) struct Native;

impl Reader for Native {
    fn read(&mut self, line: &[u8], out: &mut dyn FnMut(&LogRow<'_>)) -> Result<(), String> {
        let exchange: Exchange = serde_json::from_slice(line).map_err(|e| e.to_string())?;
        exchange.validate()?;
        let role = |names: &[&str]| {
            exchange.messages.iter().filter(move |m| names.contains(&m.role.as_str())).collect()
        };
        let systems: Vec<_> = role(&["system", "developer"]);
        let users: Vec<_> = role(&["user"]);
        let number = |name: &str| exchange.params.get(name).and_then(Value::as_f64);
        let asked = |name: &str| exchange.params.get(name) == Some(&Value::Bool(true));
        let usage = exchange.usage.unwrap_or_default();
        let tokens = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        #[expect(clippy::cast_possible_truncation, reason = "hundredths are looked at")]
        out(&LogRow {
            id: exchange.id.as_str().into(),
            account: exchange.account.as_deref().map(Into::into),
            plan: exchange.plan.as_deref().unwrap_or_default().into(),
            time_ms: exchange.time.map(|t| t.as_millisecond()),
            model: exchange.model.as_str().into(),
            system: systems.first().map_or("", |m| &m.content).into(),
            user: users.last().map_or("", |m| &m.content).into(),
            response: exchange.response.text.as_str().into(),
            finish_reason: exchange.response.finish_reason.as_deref().unwrap_or_default().into(),
            n_messages: u32::try_from(exchange.messages.len()).unwrap_or(u32::MAX),
            prompt_tokens: tokens(usage.prompt_tokens),
            completion_tokens: tokens(usage.completion_tokens),
            max_tokens: exchange
                .params
                .get("max_tokens")
                .and_then(Value::as_u64)
                .and_then(|n| u32::try_from(n).ok()),
            temperature: number("temperature").map(|t| t as f32),
            top_p: number("top_p").map(|t| t as f32),
            logprobs: asked("logprobs"),
            stream: asked("stream"),
            tools: exchange.params.contains_key("tools"),
            ip: exchange.client.ip.as_deref().unwrap_or_default().into(),
            user_agent: exchange.client.user_agent.as_deref().unwrap_or_default().into(),
            ..LogRow::default()
        });
        Ok(())
    }
}
