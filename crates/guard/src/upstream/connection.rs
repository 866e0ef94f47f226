//! One connection to an upstream.
//!
//! It is driven by whoever waits for its answer, not by a task of its own: a request and its
//! answer then run in the task of the client's connection, without a hop between threads, and
//! dropping the answer closes the connection, which is how an upstream learns that nobody
//! listens any more.

use super::{UpstreamError, target::Target};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The longest head of an answer, and the most that is read at once, bytes.
const READ_BYTES_MAX: usize = 64 << 10;

/// A request without an answer.
#[derive(Debug)]
pub(super) struct Failed {
    /// Why.
    pub(super) error: UpstreamError,
    /// The request, where not a byte of it was sent.
    pub(super) unsent: Option<Box<Request<Full<Bytes>>>>,
}

impl From<UpstreamError> for Failed {
    fn from(error: UpstreamError) -> Self {
        Self { error, unsent: None }
    }
}

/// A connection that HTTP/1.1 is spoken on.
#[derive(Debug)]
pub(super) struct Link {
    sender: http1::SendRequest<Full<Bytes>>,
    driver: Pin<Box<http1::Connection<TokioIo<Stream>, Full<Bytes>>>>,
    patience: Patience,
    /// Whether the driver has come to its end; it must not be polled again.
    is_over: bool,
}

impl Link {
    pub(super) async fn open(target: &Target, tls: Option<&Arc<ClientConfig>>) -> io::Result<Self> {
        let tcp = TcpStream::connect(target.address()).await?;
        tcp.set_nodelay(true)?;
        let stream = match (tls, target.server_name()) {
            (Some(config), Some(name)) => {
                let connector = TlsConnector::from(Arc::clone(config));
                Stream::Tls(Box::new(connector.connect(name, tcp).await?))
            }
            _ => Stream::Tcp(tcp),
        };
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(READ_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        Ok(Self { sender, driver: Box::pin(driver), patience: Patience::new(), is_over: false })
    }

    /// Whether the other end has neither closed it nor sent what nobody asked for.
    pub(super) fn is_ready(&mut self) -> bool {
        !self.drive(&mut Context::from_waker(Waker::noop())) && self.sender.is_ready()
    }

    /// Sends a request, waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        timeout: Duration,
    ) -> Result<Response<Incoming>, Failed> {
        self.patience.start(timeout);
        let mut answer = pin!(self.sender.try_send_request(request));
        let (driver, is_over, patience) = (&mut self.driver, &mut self.is_over, &mut self.patience);
        poll_fn(|cx| {
            // The answer is handed over by the driver, hence after it.
            if !*is_over {
                *is_over = driver.as_mut().poll(cx).is_ready();
            }
            if let Poll::Ready(result) = answer.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(|mut error| Failed {
                    error: UpstreamError::Broken,
                    unsent: error.take_message().map(Box::new),
                }));
            }
            if *is_over {
                return Poll::Ready(Err(UpstreamError::Broken.into()));
            }
            patience.poll(cx).map(|()| Err(UpstreamError::Timeout.into()))
        })
        .await
    }

    /// Lets bytes move; whether the connection has come to its end.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.is_over {
            self.is_over = self.driver.as_mut().poll(cx).is_ready();
        }
        self.is_over
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    pub(super) fn patience(&mut self) -> &mut Patience {
        &mut self.patience
    }
}

/// A deadline that is moved often and reached rarely: the timer underneath stays where it is
/// until it fires, and is set anew only then.
#[derive(Debug)]
pub(super) struct Patience {
    deadline: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    fn new() -> Self {
        Self { deadline: Instant::now(), timer: None }
    }

    /// Ends `timeout` from now.
    pub(super) fn start(&mut self, timeout: Duration) {
        self.deadline = Instant::now() + timeout;
    }

    /// Ready when the deadline has passed.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

/// A socket, encrypted or not.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Tcp(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
