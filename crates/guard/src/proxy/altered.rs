//! An answer out of which a policy takes something: the only kind whose bytes aren't the
//! upstream's own. What is taken out, and how, is the business of [`crate::policy::alter`].

use crate::policy::alter::{Alteration, SseAlterer};
use crate::upstream::UpstreamError;
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// The longest JSON answer that is altered, bytes; a longer one passes as it is, because an answer
/// that arrives is worth more than a trace that is withheld.
const JSON_BYTES_MAX: usize = 16 << 20;

/// An answer on its way through an alteration.
#[derive(Debug)]
pub(super) struct Altered<B> {
    body: B,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Collected whole.
    Json(Alteration, BytesMut),
    /// Event by event.
    Events(Box<SseAlterer>),
    /// Too long: it passes.
    Passing,
    /// Nothing more comes.
    Ended,
}

impl<B> Altered<B> {
    pub(super) fn new(body: B, alteration: Alteration, is_stream: bool) -> Self {
        let state = if is_stream {
            State::Events(Box::new(alteration.stream()))
        } else {
            State::Json(alteration, BytesMut::new())
        };
        Self { body, state }
    }

    /// What is ready to be sent of these bytes.
    fn take(&mut self, data: Bytes) -> Bytes {
        match &mut self.state {
            State::Events(alterer) => alterer.push(&data),
            State::Json(_, all) => {
                all.extend_from_slice(&data);
                if all.len() <= JSON_BYTES_MAX {
                    return Bytes::new();
                }
                let all = std::mem::take(all).freeze();
                self.state = State::Passing;
                all
            }
            State::Passing | State::Ended => data,
        }
    }

    /// The rest, at the end.
    fn finish(&mut self) -> Bytes {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Events(alterer) => alterer.finish(),
            State::Json(alteration, all) => alteration.alter_json(&all.freeze()),
            State::Passing | State::Ended => Bytes::new(),
        }
    }
}

impl<B: Body<Data = Bytes, Error = UpstreamError> + Unpin> Body for Altered<B> {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = &mut *self;
        loop {
            if matches!(this.state, State::Ended) {
                return Poll::Ready(None);
            }
            let out = match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                None => {
                    let rest = this.finish();
                    if rest.is_empty() {
                        return Poll::Ready(None);
                    }
                    rest
                }
                Some(Err(error)) => {
                    this.state = State::Ended;
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.take(data),
                    // Trailers come last; what is still held comes before them.
                    Err(trailers) => {
                        let rest = this.finish();
                        if rest.is_empty() {
                            return Poll::Ready(Some(Ok(trailers)));
                        }
                        rest
                    }
                },
            };
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(out))));
            }
        }
    }
}
