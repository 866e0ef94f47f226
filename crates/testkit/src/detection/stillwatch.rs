//! The detector of this project, fed from exchanges.

use super::{Detector, Flagged};
use std::collections::BTreeSet;
use stillwatch_evidence::Exchange;
use stillwatch_traffic::{Live, LiveParams, Observation};

/// What detection looks at in an exchange.
pub fn observation(exchange: &Exchange) -> Observation<'_> {
    let of_role = |role: &str| {
        exchange.messages.iter().rev().find(|m| m.role == role).map_or("", |m| m.content.as_str())
    };
    let param = |name: &str| exchange.params.get(name);
    #[expect(clippy::cast_possible_truncation, reason = "a sampling parameter")]
    let number = |name: &str| param(name).and_then(serde_json::Value::as_f64).map(|x| x as f32);
    let is_set = |name: &str| param(name).and_then(serde_json::Value::as_bool).unwrap_or(false);
    let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Observation {
        account: exchange.account.as_deref().unwrap_or_default(),
        plan: exchange.plan.as_deref().unwrap_or_default(),
        time_ms: exchange.time.map_or(0, jiff::Timestamp::as_millisecond),
        model: &exchange.model,
        system: of_role("system"),
        user: of_role("user"),
        response: &exchange.response.text,
        n_messages: small(exchange.messages.len() as u64),
        prompt_tokens: exchange.usage.map_or(0, |u| small(u.prompt_tokens)),
        completion_tokens: exchange.usage.map_or(0, |u| small(u.completion_tokens)),
        max_tokens: param("max_tokens").and_then(serde_json::Value::as_u64).map(small),
        temperature: number("temperature"),
        top_p: number("top_p"),
        logprobs: is_set("logprobs"),
        stream: is_set("stream"),
        tools: param("tools").is_some(),
        failed: exchange.response.text.is_empty(),
        ip: exchange.client.ip.as_deref().unwrap_or_default(),
        user_agent: exchange.client.user_agent.as_deref().unwrap_or_default(),
    }
}

/// Live detection with its defaults.
#[derive(Debug)]
pub struct Stillwatch {
    live: Live,
    last: Option<stillwatch_traffic::Analysis>,
}

impl Stillwatch {
    /// With hashes keyed by this seed.
    pub fn new(seed: u64) -> Self {
        let mut hash_key = [7; 32];
        for (place, byte) in hash_key.iter_mut().zip(seed.to_le_bytes()) {
            *place ^= byte;
        }
        let params = LiveParams { hash_key, accounts_max: 1_000_000 };
        Self { live: Live::new(params), last: None }
    }

    /// What it said last.
    pub fn last(&self) -> Option<&stillwatch_traffic::Analysis> {
        self.last.as_ref()
    }
}

impl Detector for Stillwatch {
    fn name(&self) -> &'static str {
        "stillwatch"
    }

    fn observe(&mut self, exchange: &Exchange) {
        let _evicted = self.live.observe(&observation(exchange));
    }

    fn flagged(&mut self, now_ms: i64) -> Flagged {
        let analysis = self.live.analyse(now_ms);
        let groups: Vec<BTreeSet<String>> = analysis
            .campaigns
            .iter()
            .filter(|campaign| campaign.flagged)
            .map(|campaign| campaign.accounts.iter().cloned().collect())
            .collect();
        let own = analysis.accounts.iter().filter(|a| a.flagged).map(|a| a.account.clone());
        let accounts = own.chain(groups.iter().flatten().cloned()).collect();
        self.last = Some(analysis);
        Flagged { accounts, groups }
    }
}
