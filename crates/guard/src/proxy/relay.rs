//! An upstream's answer on its way to the client, and what is done when it has ended.

use crate::{
    Guard,
    exposure::Call,
    limits::Cost,
    observe::Ended,
    request::{Api, BYTES_PER_TOKEN},
    response::{Answer, Reader},
    upstream::{UpstreamBody, UpstreamError},
};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use stillwatch_evidence::{Client, Exchange, Response, Usage};

/// An answer passing through: every frame goes on as it came, read along on the way.
#[derive(Debug)]
pub(super) struct Relay {
    body: UpstreamBody,
    reader: Option<Reader>,
    open: Option<Open>,
    /// The upstream broke off; what came before is on its way to the client.
    failed: Option<UpstreamError>,
}

/// A request whose answer hasn't ended.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) guard: Arc<Guard>,
    pub(crate) call: Call,
    pub(crate) upstream: usize,
    pub(crate) status: u16,
    pub(crate) stream: bool,
    pub(crate) first_byte: Option<Duration>,
    /// Whether it was exposed.
    pub(crate) is_exposed: bool,
    /// What the text of an exposed request cost that wasn't sent.
    pub(crate) other_text: Cost,
}

impl Relay {
    /// Reads along unless the answer is packed or an error.
    pub(super) fn new(body: UpstreamBody, is_readable: bool, open: Open) -> Self {
        let reader = is_readable.then(|| Reader::new(open.call.request.api, open.stream));
        Self { body, reader, open: Some(open), failed: None }
    }

    fn end(&mut self, error: Option<UpstreamError>, is_whole: bool) {
        let Some(open) = self.open.take() else { return };
        let answer = self.reader.take().map(Reader::finish).unwrap_or_default();
        let error = match error {
            Some(error) => Some(error_code(error)),
            None if is_whole => None,
            None => Some("client_gone"),
        };
        open.end(answer, error);
    }
}

/// Stable name of an upstream's failure.
pub(crate) fn error_code(error: UpstreamError) -> &'static str {
    match error {
        UpstreamError::NoSuchModel => "no_such_model",
        UpstreamError::Unavailable => "unavailable",
        UpstreamError::Connect => "connect",
        UpstreamError::Timeout => "timeout",
        UpstreamError::Broken => "broken",
    }
}

impl Open {
    /// For an answer that begins.
    pub(crate) fn new(
        guard: &Arc<Guard>,
        call: Call,
        upstream: usize,
        status: u16,
        stream: bool,
    ) -> Self {
        Self {
            guard: Arc::clone(guard),
            call,
            upstream,
            status,
            stream,
            first_byte: None,
            is_exposed: false,
            other_text: Cost::default(),
        }
    }

    fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// What it cost: as the upstream said, or what passed, guessed by length. Refused requests
    /// cost nothing.
    fn cost(&self, answer: &Answer) -> Cost {
        match answer.cost {
            Some(cost) => cost,
            None if self.is_success() && self.call.request.api != Api::Models => Cost {
                prompt_tokens: self.call.prompt_tokens,
                completion_tokens: answer.text.len() as u64 / BYTES_PER_TOKEN,
            },
            None => Cost::default(),
        }
    }

    /// Books the cost, counts, hands the exchange on.
    pub(crate) fn end(self, answer: Answer, error: Option<&'static str>) {
        let cost = self.cost(&answer);
        let is_success = self.is_success();
        let Self { guard, call, upstream, status, stream, first_byte, is_exposed, other_text } =
            self;
        let Call { id, start, start_ms, who, user_agent, request, permit, .. } = call;
        permit.settle(Cost {
            prompt_tokens: cost.prompt_tokens.saturating_add(other_text.prompt_tokens),
            completion_tokens: cost.completion_tokens.saturating_add(other_text.completion_tokens),
        });
        if let Some(kind) = error.filter(|kind| *kind != "client_gone") {
            guard.metrics.upstream_errors.get(kind).inc();
        }
        guard.observer.ended(&Ended {
            request_id: &id,
            api: Some(request.api),
            who: Some(&who),
            model: &request.model,
            response_model: None,
            upstream: Some(guard.upstreams.url(upstream)),
            status,
            error,
            start_ms,
            first_byte,
            duration: start.elapsed(),
            cost: Some(cost),
            finish_reason: answer.finish_reason.as_deref(),
            stream,
            exposed: is_exposed,
        });
        let keeps = guard.observer.keeps_exchanges();
        if !is_success || request.api == Api::Models || !(guard.config.live.enabled || keeps) {
            return;
        }
        let exchange = Exchange {
            id,
            time: jiff::Timestamp::from_millisecond(start_ms).ok(),
            account: Some(who.account.as_ref().to_owned()),
            plan: Some(who.plan.as_ref().to_owned()),
            client: Client { ip: Some(who.ip.to_string()), user_agent },
            model: request.model,
            params: request.params,
            messages: request.messages,
            response: Response { text: answer.text, finish_reason: answer.finish_reason },
            usage: Some(Usage {
                prompt_tokens: cost.prompt_tokens,
                completion_tokens: cost.completion_tokens,
            }),
        };
        if keeps {
            guard.observer.keep(&exchange);
        }
        if guard.config.live.enabled {
            guard.detector.observe(exchange);
        }
    }
}

impl Body for Relay {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = &mut *self;
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    if let Some(reader) = &mut this.reader {
                        reader.push(data);
                    }
                    if let Some(open) = &mut this.open
                        && open.first_byte.is_none()
                    {
                        open.first_byte = Some(open.call.start.elapsed());
                    }
                }
            }
            Poll::Ready(Some(Err(error))) => {
                this.end(Some(*error), false);
                // An error ends the connection at once; one turn later what is buffered has been
                // handed to the socket, so that the client has all that came before the cut.
                this.failed = Some(*error);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(None) => this.end(None, true),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let is_whole = self.body.is_end_stream();
        self.end(None, is_whole);
    }
}
