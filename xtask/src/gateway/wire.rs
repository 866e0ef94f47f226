//! One HTTP/1.1 connection, blocking: the least that a load generator needs, so that what is
//! measured is the gateway and not its client.

use anyhow::{Context as _, bail};
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// The longest head that is taken, bytes.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// The longest body that is taken, bytes.
const BODY_BYTES_MAX: usize = 64 << 20;
/// A hang guard, no measurement.
const PATIENCE: Duration = Duration::from_mins(1);

/// A connection that is kept open.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    /// HTTP status.
    pub(crate) status: u16,
    /// The head, as sent.
    pub(crate) head: String,
    /// The body, chunks joined.
    pub(crate) body: Vec<u8>,
    /// From the first byte sent to the first byte of the body.
    pub(crate) first: Duration,
    /// From the first byte sent to the last one of the body.
    pub(crate) whole: Duration,
}

impl Reply {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

impl Connection {
    /// Connects.
    pub(crate) fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .with_context(|| format!("can't connect to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10), start: 0 })
    }

    /// Sends a whole request and reads the whole answer.
    pub(crate) fn ask(&mut self, request: &[u8]) -> anyhow::Result<Reply> {
        let since = Instant::now();
        self.stream.write_all(request).context("the request can't be sent")?;
        let head = self.head()?;
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .with_context(|| format!("no status in {head:?}"))?;
        let mut body = Vec::new();
        let mut first = None;
        let chunked = header(&head, "transfer-encoding").is_some_and(|v| v.contains("chunked"));
        if chunked {
            while self.chunk(&mut body)? {
                first.get_or_insert_with(|| since.elapsed());
            }
        } else {
            let length: usize = match header(&head, "content-length") {
                Some(length) => length.parse().context("content-length")?,
                None => bail!("an answer of unknown length: {head:?}"),
            };
            self.need(1.min(length))?;
            first = Some(since.elapsed());
            self.take(length, &mut body)?;
        }
        let whole = since.elapsed();
        Ok(Reply { status, head, body, first: first.unwrap_or(whole), whole })
    }

    /// Up to the empty line.
    fn head(&mut self) -> anyhow::Result<String> {
        loop {
            let unread = self.buffer.get(self.start..).unwrap_or_default();
            if let Some(end) = unread.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = unread.get(..end).unwrap_or_default();
                let head = String::from_utf8_lossy(head).into_owned();
                self.start += end + 4;
                return Ok(head);
            }
            if unread.len() > HEAD_BYTES_MAX {
                bail!("a head of more than {HEAD_BYTES_MAX} bytes");
            }
            self.fill()?;
        }
    }

    /// One chunk; false after the last.
    fn chunk(&mut self, body: &mut Vec<u8>) -> anyhow::Result<bool> {
        let line = self.line()?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size =
            usize::from_str_radix(size, 16).with_context(|| format!("a chunk of size {size:?}"))?;
        if size > 0 {
            self.take(size, body)?;
        }
        self.line()?; // the end of the chunk, or of the (empty) trailers
        Ok(size > 0)
    }

    /// Up to the end of the line.
    fn line(&mut self) -> anyhow::Result<String> {
        loop {
            let unread = self.buffer.get(self.start..).unwrap_or_default();
            if let Some(end) = unread.windows(2).position(|w| w == b"\r\n") {
                let line = String::from_utf8_lossy(unread.get(..end).unwrap_or_default());
                let line = line.into_owned();
                self.start += end + 2;
                return Ok(line);
            }
            if unread.len() > HEAD_BYTES_MAX {
                bail!("a line of more than {HEAD_BYTES_MAX} bytes");
            }
            self.fill()?;
        }
    }

    /// Waits until so many bytes are there.
    fn need(&mut self, n: usize) -> anyhow::Result<()> {
        while self.buffer.len() - self.start < n {
            self.fill()?;
        }
        Ok(())
    }

    /// Moves so many bytes to `to`.
    fn take(&mut self, n: usize, to: &mut Vec<u8>) -> anyhow::Result<()> {
        if to.len() + n > BODY_BYTES_MAX {
            bail!("a body of more than {BODY_BYTES_MAX} bytes");
        }
        self.need(n)?;
        to.extend_from_slice(self.buffer.get(self.start..self.start + n).unwrap_or_default());
        self.start += n;
        Ok(())
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        }
        let mut piece = [0; 16 << 10];
        let n = self.stream.read(&mut piece).context("the answer can't be read")?;
        if n == 0 {
            bail!("the answer broke off");
        }
        self.buffer.extend_from_slice(piece.get(..n).unwrap_or_default());
        Ok(())
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// The bytes of a POST of JSON.
pub(crate) fn post(path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        text.extend([*name, ": ", *value, "\r\n"]);
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server that sends this, in these pieces, for one request.
    fn served(pieces: &'static [&'static str]) -> Connection {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            stream.set_nodelay(true).expect("a socket");
            let mut request = [0; 1024];
            let n = stream.read(&mut request).expect("a request");
            assert!(n > 0, "a request came");
            for piece in pieces {
                stream.write_all(piece.as_bytes()).expect("a listener");
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Connection::open(address).expect("the server listens")
    }

    #[test]
    fn bodies_by_length_and_by_chunks() {
        let plain = &["HTTP/1.1 200 OK\r\nContent-", "Length: 5\r\nx: y\r\n\r\nhe", "llo"];
        let reply = served(plain).ask(b"GET / HTTP/1.1\r\n\r\n").expect("an answer");
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"hello"[..]));
        assert_eq!(reply.header("X"), Some("y"));
        let chunked = &[
            "HTTP/1.1 429 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n",
            "1",
            "\r\nc\r\n0\r\n\r\n",
        ];
        let reply = served(chunked).ask(b"GET / HTTP/1.1\r\n\r\n").expect("an answer");
        assert_eq!((reply.status, reply.body.as_slice()), (429, &b"abc"[..]));
        assert!(reply.first <= reply.whole);
    }

    #[test]
    fn what_breaks_off_is_an_error() {
        let cut = &["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhe"];
        assert!(served(cut).ask(b"GET / HTTP/1.1\r\n\r\n").is_err());
        let unknown = &["HTTP/1.1 200 OK\r\n\r\nhe"];
        assert!(served(unknown).ask(b"GET / HTTP/1.1\r\n\r\n").is_err());
    }
}
