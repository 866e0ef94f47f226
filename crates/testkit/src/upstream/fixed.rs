//! The cheapest upstream there is, for benchmarks: one fixed answer, no HTTP library, one
//! runtime per thread on one port.
//!
//! It looks at a request only for its length (`Content-Length` or chunked) and for
//! `"stream":true`. Faults, recording and other shapes are the business of
//! [`super::MockUpstream`].

use super::behaviour::Behaviour;
use super::openai;
use super::sample::{Asked, Sample};
use bytes::{Buf as _, Bytes, BytesMut};
use serde_json::json;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Longest header that is read, bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// What it answers.
#[derive(Debug, Clone)]
pub struct FixedAnswer {
    json: Bytes,
    events: Vec<Bytes>,
    always_stream: bool,
    gap: Option<Duration>,
}

impl FixedAnswer {
    /// A chat completion of this many tokens; a stream where the request asks for one.
    pub fn chat(tokens: usize) -> Self {
        let behaviour = Behaviour::new().tokens(tokens..=tokens);
        let body =
            json!({"model": "mock-1", "messages": [], "stream_options": {"include_usage": true}});
        let sample = Sample::new(&behaviour, &Asked::default(), 0, &body);
        let text = openai::chat(&sample).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        let mut events: Vec<Bytes> = openai::chat_events(&sample)
            .into_iter()
            .map(|event| Bytes::from(format!("{:x}\r\n{event}\r\n", event.len())))
            .collect();
        let head_of_stream = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                              cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
        if let Some(first) = events.first_mut() {
            *first = [head_of_stream.as_bytes(), first].concat().into();
        }
        events.push(Bytes::from_static(b"0\r\n\r\n"));
        Self { json: Bytes::from(head + &text), events, always_stream: false, gap: None }
    }

    /// Streams whatever the request says.
    #[must_use]
    pub fn always_stream(mut self) -> Self {
        self.always_stream = true;
        self
    }

    /// Waits between two events of a stream; without it a stream is one write.
    #[must_use]
    pub fn gap_ms(mut self, gap_ms: u64) -> Self {
        self.gap = (gap_ms > 0).then(|| Duration::from_millis(gap_ms));
        self
    }
}

/// A listener with a long backlog; `shared`: several may listen at the port.
pub(super) fn listen(addr: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(4_096)?;
    Ok(socket.into())
}

/// A running fixed upstream; dropping it stops it.
#[derive(Debug)]
pub struct FixedUpstream {
    /// Where it listens.
    pub addr: SocketAddr,
    answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl FixedUpstream {
    /// Starts it on this many threads.
    ///
    /// # Errors
    /// The address can't be listened at.
    pub fn start(addr: SocketAddr, threads: usize, answer: FixedAnswer) -> io::Result<Self> {
        let first = listen(addr, true)?;
        let addr = first.local_addr()?;
        let mut listeners = vec![first];
        for _ in 1..threads.max(1) {
            listeners.push(listen(addr, true)?);
        }
        let answered = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        let threads = listeners
            .into_iter()
            .map(|listener| {
                let (answer, answered, stop) =
                    (Arc::clone(&answer), Arc::clone(&answered), Arc::clone(&stop));
                std::thread::spawn(move || run(listener, &answer, &answered, &stop))
            })
            .collect();
        Ok(Self { addr, answered, stop, threads })
    }

    /// Requests answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::SeqCst)
    }

    /// Waits until it is stopped, which nobody does: for a program of its own.
    pub fn join(mut self) {
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

impl Drop for FixedUpstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

fn run(
    listener: std::net::TcpListener,
    answer: &Arc<FixedAnswer>,
    answered: &Arc<AtomicU64>,
    stop: &AtomicBool,
) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    runtime.block_on(async {
        let Ok(listener) = TcpListener::from_std(listener) else { return };
        while !stop.load(Ordering::Relaxed) {
            let wait = tokio::time::timeout(Duration::from_millis(100), listener.accept());
            if let Ok(Ok((stream, _))) = wait.await {
                let (answer, answered) = (Arc::clone(answer), Arc::clone(answered));
                tokio::spawn(async move {
                    let _client_gone = converse(stream, &answer, &answered).await;
                });
            }
        }
    });
}

async fn converse(
    mut stream: TcpStream,
    answer: &FixedAnswer,
    answered: &AtomicU64,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = BytesMut::with_capacity(16 << 10);
    loop {
        let Some((end, wants_stream)) = whole_request(&buffer) else {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        buffer.advance(end);
        if !(wants_stream || answer.always_stream) {
            stream.write_all(&answer.json).await?;
        } else if let Some(gap) = answer.gap {
            for (index, event) in answer.events.iter().enumerate() {
                if index > 0 {
                    tokio::time::sleep(gap).await;
                }
                stream.write_all(event).await?;
            }
        } else {
            stream.write_all(&answer.events.concat()).await?;
        }
        answered.fetch_add(1, Ordering::Relaxed);
    }
}

/// Where the first request in the buffer ends, and whether it asks for a stream; nothing while
/// it isn't whole.
fn whole_request(buffer: &[u8]) -> Option<(usize, bool)> {
    let head_end = find(buffer, b"\r\n\r\n")? + 4;
    let head = buffer.get(..head_end.min(HEAD_BYTES_MAX))?;
    let end = match header(head, b"content-length") {
        Some(value) => head_end + std::str::from_utf8(value).ok()?.trim().parse::<usize>().ok()?,
        None if header(head, b"transfer-encoding").is_some() => {
            head_end + find(buffer.get(head_end..)?, b"0\r\n\r\n")? + 5
        }
        None => head_end,
    };
    let body = buffer.get(head_end..end)?;
    let wants_stream =
        find(body, b"\"stream\":true").or_else(|| find(body, b"\"stream\": true")).is_some();
    Some((end, wants_stream))
}

fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|b| *b == b'\n').find_map(|line| {
        let (n, value) = line.split_at_checked(name.len())?;
        if n.eq_ignore_ascii_case(name) { value.strip_prefix(b":") } else { None }
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
