//! The body of an answer to a client.

use super::relay::Relay;
use super::state::InFlight;
use crate::upstream::UpstreamError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body of another making, for instance an exposure's.
type Other = Pin<Box<dyn Body<Data = Bytes, Error = UpstreamError> + Send>>;

/// The body of an answer to a client: bytes at hand, an upstream's answer passing through, or
/// anything else, boxed. An error in the midst cuts the answer off, so that the client sees a cut
/// and not an ending.
pub struct ProxyBody {
    kind: Kind,
    _in_flight: Option<InFlight>,
}

enum Kind {
    Whole(Bytes),
    Relay(Box<Relay>),
    Other(Other),
}

impl ProxyBody {
    fn new(kind: Kind) -> Self {
        Self { kind, _in_flight: None }
    }

    /// Counts the request as long as its answer lasts.
    pub(super) fn counted(self, in_flight: InFlight) -> Self {
        Self { _in_flight: Some(in_flight), ..self }
    }

    /// Bytes at hand.
    pub fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::new(Kind::Whole(bytes.into()))
    }

    /// Nothing.
    pub fn empty() -> Self {
        Self::new(Kind::Whole(Bytes::new()))
    }

    /// Any body.
    pub fn other(body: impl Body<Data = Bytes, Error = UpstreamError> + Send + 'static) -> Self {
        Self::new(Kind::Other(Box::pin(body)))
    }

    pub(super) fn relay(relay: Relay) -> Self {
        Self::new(Kind::Relay(Box::new(relay)))
    }
}

impl fmt::Debug for ProxyBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Whole(_) => "ProxyBody::Whole",
            Kind::Relay(_) => "ProxyBody::Relay",
            Kind::Other(_) => "ProxyBody::Other",
        })
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        match &mut self.kind {
            Kind::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Kind::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Kind::Relay(relay) => Pin::new(relay.as_mut()).poll_frame(cx),
            Kind::Other(other) => other.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Whole(bytes) => bytes.is_empty(),
            Kind::Relay(relay) => relay.is_end_stream(),
            Kind::Other(other) => other.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Relay(relay) => relay.size_hint(),
            Kind::Other(other) => other.size_hint(),
        }
    }
}
