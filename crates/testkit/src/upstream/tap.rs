//! A connection whose next answer can be replaced by raw bytes, or by its end.

use bytes::{Buf, Bytes};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Where a handler leaves the bytes that go out instead of its answer. Empty bytes: nothing goes
/// out, the connection ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Instead(Arc<Mutex<Option<Bytes>>>);

impl Instead {
    pub(super) fn set(&self, bytes: Bytes) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(bytes);
    }

    fn take(&self) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The connection.
#[derive(Debug)]
pub(super) struct Tap {
    inner: TcpStream,
    instead: Instead,
    raw: Option<Bytes>,
}

impl Tap {
    pub(super) fn new(inner: TcpStream, instead: Instead) -> Self {
        Self { inner, instead, raw: None }
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.raw.is_none() {
            self.raw = self.instead.take();
        }
        let this = &mut *self;
        let Some(raw) = &mut this.raw else {
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        };
        while raw.has_remaining() {
            let n = ready!(Pin::new(&mut this.inner).poll_write(cx, raw))?;
            raw.advance(n);
        }
        ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
