//! Whether a request is exposed: the draw, and what is reserved for one that is.

use super::skip::{by_fields, own_pieces};
use super::writer::{Begun, Order};
use super::{Call, Capture, OnLedgerFailure, Skip, keep::KeptRequest};
use crate::{Identity, request::RequestView};
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use stillwatch_evidence::ledger::{Entropy as _, OsEntropy, to_hex};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// Tokens that an answer is taken for where the request doesn't bound it.
const ANSWER_TOKENS: u64 = 1_024;

/// What becomes of a request.
#[derive(Debug)]
pub enum Draw {
    /// It is served as usual.
    No,
    /// It is to be exposed.
    Yes(Wanted),
    /// It was to be exposed, the ledger can't be written, and the configuration says what then.
    Impossible(OnLedgerFailure),
}

/// A request that is to be exposed, with what was reserved for it.
#[derive(Debug)]
pub struct Wanted {
    pub(super) reserved: Reserved,
    /// Pieces of the request's own texts, sorted.
    pub(super) own: Arc<[u64]>,
}

/// What was reserved; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Reserved {
    pub(super) tokens: u64,
    pub(super) _place: OwnedSemaphorePermit,
}

impl Capture {
    /// Whether this request is to be exposed. Looks at the request alone. `factor` multiplies
    /// the rate.
    pub fn draw(&self, who: &Identity, request: &RequestView, factor: u32, now_ms: i64) -> Draw {
        let rate = self.config.rate_for(&request.model, &who.plan) * f64::from(factor);
        if rate <= 0.0 || !self.is_chosen(rate) {
            return Draw::No;
        }
        match self.reserve(who, request, now_ms) {
            Ok(wanted) => Draw::Yes(wanted),
            Err(Skip::Ledger) => {
                self.skipped(Skip::Ledger);
                Draw::Impossible(self.config.on_ledger_failure)
            }
            Err(skip) => {
                self.skipped(skip);
                Draw::No
            }
        }
    }

    pub(super) fn skipped(&self, skip: Skip) {
        self.metrics.exposures_skipped.get(skip.name()).inc();
    }

    /// One draw: a keyed hash of how many there were. The key comes from the operating system at
    /// every start, so nobody can tell beforehand which requests are exposed.
    fn is_chosen(&self, rate: f64) -> bool {
        let n = self.n_draws.fetch_add(1, Ordering::Relaxed);
        let hash = blake3::keyed_hash(&self.draw_key, &n.to_le_bytes());
        let word = hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        // 53 bits: every value of the quotient is exact, and 1 is never reached.
        ((word >> 11) as f64) / ((1_u64 << 53) as f64) < rate
    }

    fn reserve(&self, who: &Identity, request: &RequestView, now_ms: i64) -> Result<Wanted, Skip> {
        by_fields(&self.config, request)?;
        let own = own_pieces(&self.key, &self.released, request)?;
        let chain = self.key.chain(&who.account, &request.messages);
        // Looked at before anything is reserved, noted after.
        if self.conversations.contains_any(&chain) {
            return Err(Skip::Conversation);
        }
        if self.shared.is_failing.load(Ordering::Relaxed) && self.orders.capacity() == 0 {
            return Err(Skip::Ledger);
        }
        let place = Arc::clone(&self.under_way).try_acquire_owned().map_err(|_| Skip::Busy)?;
        let estimate = request.estimate(ANSWER_TOKENS);
        let each = estimate.prompt_tokens.saturating_add(estimate.completion_tokens);
        let tokens = each.saturating_mul(2);
        if !self.spend.reserve(tokens, now_ms) {
            return Err(Skip::Cap);
        }
        let is_first = chain
            .split_last()
            .is_some_and(|(last, earlier)| self.conversations.insert_new(*last, earlier));
        if !is_first {
            self.spend.settle(tokens, 0, now_ms);
            return Err(Skip::Conversation);
        }
        Ok(Wanted { reserved: Reserved { tokens, _place: place }, own: own.into() })
    }

    /// Writes the first entry. Nothing may be asked of the upstream before.
    ///
    /// `model` is the one that answers, which a policy may have set in the place of another.
    pub(super) async fn begin(&self, call: &Call, model: &str) -> Result<Begun, Skip> {
        let Call { who, request, start_ms, .. } = call;
        let mut id = [0; 16];
        OsEntropy.fill(&mut id).map_err(|_| Skip::Ledger)?;
        let time = Timestamp::from_millisecond(*start_ms).unwrap_or_default();
        let kept = KeptRequest {
            id: format!("x-{}", to_hex(&id)),
            account: Some(who.account.as_ref().to_owned()).filter(|account| !account.is_empty()),
            messages: request.messages.clone(),
            model: Some(model.to_owned()).filter(|model| !model.is_empty()),
            params: serde_json::Value::Object(request.params.clone()),
            time: time.to_string(),
        };
        let (reply, answer) = oneshot::channel();
        self.orders.try_send(Order::Begin(Box::new(kept), reply)).map_err(|_| Skip::Ledger)?;
        answer.await.map_err(|_| Skip::Ledger)?
    }
}
