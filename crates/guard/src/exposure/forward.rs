//! The released slot on its way to the client.

use super::marks::Marks;
use crate::upstream::UpstreamError;
use bytes::Bytes;
use http_body::{Body, Frame};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// A piece of a slot's answer.
#[derive(Debug)]
pub(super) enum Piece {
    /// Bytes as they came, with the marks of the text that ends in them, and their share of the
    /// slot's buffer.
    Bytes(Bytes, Vec<u64>, Option<OwnedSemaphorePermit>),
    /// The orderly end.
    End,
    /// The end of an answer that broke off.
    Cut(UpstreamError),
}

/// The body of an exposed answer. Dropping it, as a client that hangs up does, stops nothing.
#[derive(Debug)]
pub(super) struct Forward {
    pieces: mpsc::UnboundedReceiver<Piece>,
    released: Arc<Marks>,
    is_over: bool,
}

impl Forward {
    pub(super) fn new(pieces: mpsc::UnboundedReceiver<Piece>, released: Arc<Marks>) -> Self {
        Self { pieces, released, is_over: false }
    }
}

impl Body for Forward {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        loop {
            let polled = self.pieces.poll_recv(cx);
            return match polled {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Some(Piece::Bytes(bytes, marks, share))) => {
                    // Noted before they leave: no later request may quote what isn't known yet.
                    self.released.insert(&marks);
                    drop(share);
                    if bytes.is_empty() {
                        continue;
                    }
                    Poll::Ready(Some(Ok(Frame::data(bytes))))
                }
                Poll::Ready(Some(Piece::End)) => {
                    self.is_over = true;
                    Poll::Ready(None)
                }
                Poll::Ready(Some(Piece::Cut(error))) => {
                    self.is_over = true;
                    Poll::Ready(Some(Err(error)))
                }
                Poll::Ready(None) => {
                    self.is_over = true;
                    Poll::Ready(Some(Err(UpstreamError::Broken)))
                }
            };
        }
    }

    fn is_end_stream(&self) -> bool {
        self.is_over
    }
}
