//! The body of an upstream's answer, frame by frame as it comes.

use super::{UpstreamError, connection::Link, pool::Pool};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// The body of an answer. Read to its end, its connection is kept for the next request; dropped
/// before, the connection is closed, so that the upstream stops.
#[derive(Debug)]
pub struct UpstreamBody {
    incoming: Incoming,
    /// Absent once the answer has ended.
    link: Option<Link>,
    pool: Arc<Pool>,
    idle_timeout: Duration,
    upstream: usize,
}

impl UpstreamBody {
    pub(super) fn new(
        incoming: Incoming,
        link: Link,
        pool: Arc<Pool>,
        idle_timeout: Duration,
        upstream: usize,
    ) -> Self {
        let mut body = Self { incoming, link: Some(link), pool, idle_timeout, upstream };
        if let Some(link) = &mut body.link {
            link.patience().start(idle_timeout);
        }
        body
    }

    /// Index of the upstream that answered: another than was chosen, where that one couldn't be
    /// reached.
    pub fn upstream(&self) -> usize {
        self.upstream
    }

    fn fail(&mut self, error: UpstreamError) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        self.link = None;
        Poll::Ready(Some(Err(error)))
    }

    /// The connection has carried a whole answer.
    fn release(&mut self) {
        if let Some(mut link) = self.link.take()
            && link.is_ready()
        {
            self.pool.give_back(link);
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let this = &mut *self;
        // What was read before comes first; then bytes move, and what came of it.
        for is_last_look in [false, true] {
            match Pin::new(&mut this.incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    if let Some(link) = &mut this.link {
                        link.patience().start(this.idle_timeout);
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Poll::Ready(Some(Err(_))) => return this.fail(UpstreamError::Broken),
                Poll::Ready(None) => {
                    this.release();
                    return Poll::Ready(None);
                }
                Poll::Pending => {}
            }
            let Some(link) = &mut this.link else { return this.fail(UpstreamError::Broken) };
            if is_last_look {
                if link.is_over() {
                    return this.fail(UpstreamError::Broken);
                }
                if link.patience().poll(cx).is_ready() {
                    return this.fail(UpstreamError::Timeout);
                }
            } else {
                link.drive(cx);
            }
        }
        Poll::Pending
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for UpstreamBody {
    fn drop(&mut self) {
        if self.incoming.is_end_stream() {
            self.release();
        }
    }
}
