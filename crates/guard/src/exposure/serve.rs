//! An exposed request: two calls, one answer, two ledger entries.
//!
//! The client gets the first byte when the heads of *both* answers are there, so that it can't
//! tell from an error, or from its absence, which slot was released. Where one of the two failed
//! by then, or took [`HEAD_PATIENCE`] longer, the client gets the other one whatever the coin says,
//! and the pair is set aside.

use super::draw::Wanted;
use super::forward::{Forward, Piece};
use super::slots::{self, Slot, Task, slot};
use super::verdict::{Failure, SlotEnd, judge};
use super::writer::{Begun, End, Order};
use super::{Capture, OnLedgerFailure, Skip};
use crate::limits::{Cost, Permit};
use crate::proxy::{Open, ProxyBody};
use crate::request::RequestView;
use crate::response::Answer;
use crate::upstream::{Outgoing, UpstreamError};
use crate::{Guard, Identity};
use http::{HeaderValue, Response, response::Parts};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

/// How much later than the first head the second one may come.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Call {
    /// Name of the request.
    pub(crate) id: String,
    /// When its head was read.
    pub(crate) start: Instant,
    /// The same by the wall clock.
    pub(crate) start_ms: i64,
    pub(crate) who: Identity,
    pub(crate) user_agent: Option<String>,
    pub(crate) request: RequestView,
    pub(crate) prompt_tokens: u64,
    pub(crate) permit: Permit,
}

/// Why an exposed request has no answer.
#[derive(Debug)]
pub(crate) enum NotServed {
    /// The first entry wasn't written: everything is handed back, with what the configuration says
    /// where the ledger is at fault.
    Unexposed(Option<OnLedgerFailure>, Box<(Call, Outgoing)>),
    /// Neither slot had an answer.
    Upstream(UpstreamError),
}

/// Answers a request from one of two slots. The exposure goes on whatever becomes of the returned
/// answer, or of this future once the first entry is written.
///
/// # Errors
/// [`NotServed`].
pub(crate) async fn serve(
    guard: &Arc<Guard>,
    capture: &Capture,
    wanted: Wanted,
    upstream: usize,
    call: Call,
    outgoing: Outgoing,
) -> Result<Response<ProxyBody>, NotServed> {
    let begun = match capture.begin(&call, &outgoing.model).await {
        Ok(begun) => begun,
        Err(skip) => {
            capture.spend.settle(wanted.reserved.tokens, 0, capture.clock.now_ms());
            capture.skipped(skip);
            let then = (skip == Skip::Ledger).then_some(capture.config.on_ledger_failure);
            return Err(NotServed::Unexposed(then, Box::new((call, outgoing))));
        }
    };
    let (answer, answered) = oneshot::channel();
    let exposure = Exposure {
        begun,
        wanted,
        upstream,
        call,
        outgoing: Outgoing { may_retry: false, ..outgoing },
        answer,
    };
    // On its own from here: a client that goes away must not end it.
    tokio::spawn(exposure.run(Arc::clone(guard)));
    match answered.await {
        Ok(answer) => answer.map_err(NotServed::Upstream),
        Err(_) => Err(NotServed::Upstream(UpstreamError::Broken)),
    }
}

struct Exposure {
    begun: Begun,
    wanted: Wanted,
    upstream: usize,
    call: Call,
    outgoing: Outgoing,
    answer: oneshot::Sender<Result<Response<ProxyBody>, UpstreamError>>,
}

/// What of an exposure remains when its slots run.
struct Conduct {
    guard: Arc<Guard>,
    begun: Begun,
    wanted: Wanted,
    upstream: usize,
    call: Call,
    answer: oneshot::Sender<Result<Response<ProxyBody>, UpstreamError>>,
}

impl Exposure {
    async fn run(self, guard: Arc<Guard>) {
        let Self { begun, wanted, upstream, call, outgoing, answer } = self;
        let Some(capture) = guard.exposure.as_ref() else { return };
        let patience = Duration::from_millis(capture.config.slot_timeout_ms);
        let task = Task {
            guard: Arc::clone(&guard),
            upstream,
            outgoing,
            api: call.request.api,
            deadline: tokio::time::Instant::now() + patience,
            key: capture.key,
            own: Arc::clone(&wanted.own),
        };
        let ((reports_0, slot_0), (reports_1, slot_1)) = (slot(), slot());
        let conduct = Conduct { guard: Arc::clone(&guard), begun, wanted, upstream, call, answer };
        // In one order, whatever the coin.
        tokio::join!(
            biased;
            slots::run(&task, reports_0),
            slots::run(&task, reports_1),
            conduct.run([slot_0, slot_1]),
        );
    }
}

/// The slot that goes out: the coin's where both have an answer, the other one where one has none,
/// the first where none has. Returns whether the coin decided.
fn choose(heads: &[Result<Parts, UpstreamError>; 2], coin: usize) -> usize {
    let is_good = |head: &Result<Parts, UpstreamError>| {
        head.as_ref().is_ok_and(|parts| parts.status.is_success())
    };
    match [is_good(&heads[0]), is_good(&heads[1])] {
        [true, true] => coin.min(1),
        [false, true] => 1,
        [false, false] if heads[0].is_err() && heads[1].is_ok() => 1,
        [_, false] => 0,
    }
}

/// Heads of both answers, and whether one of them came too late. Treats both slots alike.
async fn both_heads(
    slot_0: &mut Slot,
    slot_1: &mut Slot,
) -> ([Result<Parts, UpstreamError>; 2], bool) {
    let known = |head: Result<_, _>| head.unwrap_or(Err(UpstreamError::Broken));
    let is_good = |head: &Result<Parts, UpstreamError>| {
        head.as_ref().is_ok_and(|parts| parts.status.is_success())
    };
    let (first, at) = tokio::select! {
        biased;
        head = &mut slot_0.head => (known(head), 0),
        head = &mut slot_1.head => (known(head), 1),
    };
    let other = if at == 0 { &mut slot_1.head } else { &mut slot_0.head };
    // Without a good answer at hand there is nothing to gain by not waiting.
    let (second, is_late) = if is_good(&first) {
        match tokio::time::timeout(HEAD_PATIENCE, other).await {
            Ok(head) => (known(head), false),
            Err(_) => (Err(UpstreamError::Timeout), true),
        }
    } else {
        (known(other.await), false)
    };
    (if at == 0 { [first, second] } else { [second, first] }, is_late)
}

impl Conduct {
    async fn run(self, slots: [Slot; 2]) {
        let Self { guard, begun, wanted, upstream, call, answer } = self;
        let Some(capture) = guard.exposure.as_ref() else { return };
        let [mut slot_0, mut slot_1] = slots;
        let (heads, is_late) = both_heads(&mut slot_0, &mut slot_1).await;
        let out = choose(&heads, begun.opening.slot.unwrap_or(0));
        let [head_0, head_1] = heads;
        // The other slot's bytes end here.
        let (head, pieces) = match out {
            0 => (head_0, slot_0.pieces),
            _ => (head_1, slot_1.pieces),
        };
        let first_byte = call.start.elapsed();
        let is_stream = call.request.stream;
        let status = head.as_ref().map_or(502, |parts| parts.status.as_u16());
        let response = head.map(|parts| respond(capture, parts, pieces, &begun));
        let error = response.as_ref().err().copied();
        answer.send(response).ok();

        let end = |end: Result<_, _>| end.unwrap_or_else(|_| SlotEnd::failed(Failure::Upstream));
        let ends = [end(slot_0.settled.await), end(slot_1.settled.await)];
        let late = is_late.then_some(Failure::TimeOut);
        let failure = judge(&ends[0], &ends[1]).into_iter().chain(late).min();
        let costs = [cost(&ends[0], &call), cost(&ends[1], &call)];
        let [end_0, end_1] = ends;
        let texts = [end_0.text.clone(), end_1.text.clone()];
        let opening = begun.opening;
        let order = Order::End(Box::new(End { opening, texts, failure, is_kept: false }));
        // Waits where the ledger is slow; bounded by how many may be exposed at once.
        capture.orders.send(order).await.ok();

        let tokens = costs.iter().map(|cost| cost.prompt_tokens + cost.completion_tokens).sum();
        capture.spend.settle(wanted.reserved.tokens, tokens, capture.clock.now_ms());
        // Half of both, so that the counter doesn't tell which text was longer.
        capture.metrics.exposure_tokens.inc_by(tokens.div_ceil(2));
        let (sent, other) = if out == 0 { (end_0, costs[1]) } else { (end_1, costs[0]) };
        let mut open = Open::new(&guard, call, upstream, status, is_stream);
        open.first_byte = Some(first_byte);
        open.is_exposed = true;
        open.other_text = other;
        let answer = Answer {
            text: sent.text,
            finish_reason: sent.finish_reason,
            cost: Some(costs[out]),
            ..Answer::default()
        };
        open.end(answer, error.map(crate::proxy::error_code));
    }
}

fn respond(
    capture: &Capture,
    mut head: Parts,
    pieces: mpsc::UnboundedReceiver<Piece>,
    begun: &Begun,
) -> Response<ProxyBody> {
    crate::proxy::clean_answer(&mut head.headers);
    if let Ok(receipt) = HeaderValue::try_from(begun.receipt.to_header()) {
        head.headers.insert("stillwatch-receipt", receipt);
    }
    let body = Forward::new(pieces, Arc::clone(&capture.released));
    Response::from_parts(head, ProxyBody::other(body))
}

/// What a slot cost: as the upstream said, or guessed by length. A failed call without text cost
/// nothing that is known.
fn cost(end: &SlotEnd, call: &Call) -> Cost {
    use crate::request::BYTES_PER_TOKEN;
    match end.cost {
        Some(cost) => cost,
        None if end.text.is_empty() => Cost::default(),
        None => Cost {
            prompt_tokens: call.prompt_tokens,
            completion_tokens: (end.text.len() as u64).div_ceil(BYTES_PER_TOKEN),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "a head as a slot reports it")]
    fn head(status: u16) -> Result<Parts, UpstreamError> {
        let mut response = Response::new(());
        *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        Ok(response.into_parts().0)
    }

    #[test]
    fn the_coin_decides_only_between_two_answers() {
        for coin in [0, 1] {
            assert_eq!(choose(&[head(200), head(200)], coin), coin);
            for bad in [|| head(500), || Err(UpstreamError::Timeout)] {
                assert_eq!(choose(&[head(200), bad()], coin), 0);
                assert_eq!(choose(&[bad(), head(200)], coin), 1);
                assert_eq!(choose(&[head(429), bad()], coin), 0);
            }
            assert_eq!(choose(&[Err(UpstreamError::Broken), head(429)], coin), 1);
        }
    }
}
