//! Whether a request was made from a campaign's template.

use super::subjects::Subject;
use crate::request::RequestView;
use std::sync::{Mutex, PoisonError};
use stillwatch_traffic::{Extractor, Features, HashKey, Observation};

/// Hashes of its text that a request must share with a campaign: by one alone (a common opening,
/// a shared system prompt) an honest request could be met.
const SHARED_MIN: usize = 2;
/// Hashes of a campaign that a decision keeps.
const KEPT_MAX: usize = 512;

/// Recognises templates. Only requests of accounts under quarantine are looked at, so one set of
/// buffers serves all.
#[derive(Debug)]
pub(super) struct Templates(Mutex<Extractor>);

impl Templates {
    /// Under the key that the detector's hashes are made with.
    pub(super) fn new(hash_key: &[u8; 32]) -> Self {
        Self(Mutex::new(Extractor::new(HashKey::new(hash_key))))
    }

    /// Whether the request was made from one of these (sorted) templates.
    pub(super) fn matches_request(&self, request: &RequestView, templates: &[u64]) -> bool {
        let of = |role: &'static str| {
            request.messages.iter().filter(move |message| message.role == role)
        };
        let observation = Observation {
            system: of("system").next().map_or("", |message| &message.content),
            user: of("user").next_back().map_or("", |message| &message.content),
            ..Observation::default()
        };
        self.matches(observation, templates)
    }

    /// Whether the exchange was made from one of these (sorted) templates.
    pub(super) fn matches(&self, observation: Observation<'_>, templates: &[u64]) -> bool {
        if templates.is_empty() {
            return false;
        }
        let observation = Observation { response: "", ..observation };
        let mut extractor = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shares(&extractor.extract(&observation), templates)
    }
}

fn shares(features: &Features, templates: &[u64]) -> bool {
    let items = features.items.iter().filter(|item| **item != 0);
    let n = items.filter(|item| templates.binary_search(&u64::from(**item)).is_ok()).count();
    n >= SHARED_MIN
}

/// Hashes of the templates of the campaign that the account is counted to, sorted.
pub(super) fn of_subject(subject: &Subject<'_>) -> Vec<u64> {
    let indicators = subject.campaign.map(|campaign| campaign.indicators.as_slice());
    let indicators = indicators.unwrap_or_default().iter().take(KEPT_MAX);
    let mut templates: Vec<u64> = indicators.map(|item| u64::from(*item)).collect();
    templates.sort_unstable();
    templates.dedup();
    templates
}
