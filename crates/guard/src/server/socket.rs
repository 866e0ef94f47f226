//! A client's socket with two habits: it gives up on clients that take nothing of their answer,
//! and it closes slowly on clients that are still sending.

use super::connection::{Peer, after};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// How long a client may go on sending what nobody reads, before the connection is closed.
const LINGER: Duration = Duration::from_secs(2);
/// How much it may send in that time, bytes.
const LINGER_BYTES_MAX: usize = 8 << 20;
/// How much is thrown away at once, bytes.
const LINGER_READ: usize = 16 << 10;

/// A socket.
#[derive(Debug)]
pub(super) struct Socket<S> {
    inner: S,
    peer: Arc<Peer>,
    write_timeout: Duration,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Runs while the connection is being closed slowly, with what was thrown away so far.
    closing: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Socket<S> {
    pub(super) fn new(inner: S, peer: &Arc<Peer>, write_timeout: Duration) -> Self {
        Self { inner, peer: Arc::clone(peer), write_timeout, stalled: None, closing: None }
    }

    /// Passes a result of writing on; `Pending` for too long is an error.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.stalled.is_some() {
                self.stalled = None;
            }
            return written;
        }
        let timeout = self.write_timeout;
        let stalled =
            self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(after(timeout))));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.watch(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        this.watch(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closing.is_none() {
            let shut = Pin::new(&mut this.inner).poll_shutdown(cx);
            let result = ready!(this.watch(cx, shut));
            if result.is_err() || !this.peer.lingers() {
                return Poll::Ready(result);
            }
        }
        let (timer, thrown) = this
            .closing
            .get_or_insert_with(|| (Box::pin(tokio::time::sleep_until(after(LINGER))), 0));
        let mut space = [0; LINGER_READ];
        loop {
            let mut buf = ReadBuf::new(&mut space);
            match Pin::new(&mut this.inner).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                    *thrown += buf.filled().len();
                    if *thrown > LINGER_BYTES_MAX {
                        return Poll::Ready(Ok(()));
                    }
                }
                // It has hung up, having read its answer or not wanting it.
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => return timer.as_mut().poll(cx).map(Ok),
            }
        }
    }
}
