//! An upstream that counts how often it saw each request, by the number that the request carries.
//!
//! It is blocking, one thread per connection, and shares no code with the guard: what it counts
//! is what arrived.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
};

/// The longest body that is taken, bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// The counts.
#[derive(Debug)]
pub(crate) struct Counting {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Debug)]
struct Seen {
    by_number: Vec<AtomicU8>,
    unknown: AtomicU64,
}

impl Counting {
    /// Starts it; it ends with the process.
    pub(crate) fn start(numbers: usize) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let by_number = (0..numbers).map(|_| AtomicU8::new(0)).collect();
        let seen = Arc::new(Seen { by_number, unknown: AtomicU64::new(0) });
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = Arc::clone(&shared);
                // A gateway that closes its connection is no failure.
                std::thread::spawn(move || drop(converse(&stream, &seen)));
            }
        });
        Ok(Self { address, seen })
    }

    /// How often the request with this number came.
    pub(crate) fn times(&self, number: u64) -> u8 {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        self.seen.by_number.get(at).map_or(0, |count| count.load(Ordering::SeqCst))
    }

    /// Requests without a number.
    pub(crate) fn unknown(&self) -> u64 {
        self.seen.unknown.load(Ordering::SeqCst)
    }
}

fn converse(stream: &TcpStream, seen: &Seen) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream);
    let mut writer = stream;
    let mut line = String::new();
    loop {
        let mut length = 0;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let Some((name, value)) = line.split_once(':') else {
                if line.trim().is_empty() {
                    break;
                }
                continue;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; BODY_BYTES_MAX.min(length)];
        reader.read_exact(&mut body)?;
        let body = String::from_utf8_lossy(&body);
        let number = number_of(&body);
        let at = number.and_then(|n| usize::try_from(n).ok());
        let times = if let Some(count) = at.and_then(|at| seen.by_number.get(at)) {
            // 255 times is wrong however often it is.
            let more = |c: u8| Some(c.saturating_add(1));
            count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).unwrap_or(u8::MAX)
        } else {
            seen.unknown.fetch_add(1, Ordering::SeqCst);
            0
        };
        let number = number.unwrap_or(u64::MAX);
        if body.contains("\"stream\":true") {
            writer.write_all(stream_of(number, times).as_bytes())?;
        } else {
            writer.write_all(answer(number, times).as_bytes())?;
        }
    }
}

/// What a request carries: `number=N;` somewhere in its prompt.
pub(crate) fn number_of(text: &str) -> Option<u64> {
    text.split("number=").nth(1)?.split(';').next()?.parse().ok()
}

/// An answer; two to one request differ, as samples do.
fn answer(number: u64, times: u8) -> String {
    let body = format!(
        "{{\"id\":\"c{number}\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"mock-1\",\
         \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\
         \"the answer to number={number}; as asked for time {times}\"}},\"finish_reason\":\"stop\"}}],\
         \"usage\":{{\"prompt_tokens\":20,\"completion_tokens\":9,\"total_tokens\":29}}}}"
    );
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn stream_of(number: u64, times: u8) -> String {
    let mut text = String::from(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n",
    );
    let mut event = |data: &str| {
        let event = format!("data: {data}\n\n");
        // Writing to a string doesn't fail.
        write!(text, "{:x}\r\n{event}\r\n", event.len()).ok();
    };
    for piece in
        ["the answer to ", &format!("number={number}; "), &format!("as asked for time {times}")]
    {
        event(&format!(
            "{{\"id\":\"c{number}\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"mock-1\",\
             \"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{piece}\"}},\"finish_reason\":null}}]}}"
        ));
    }
    event(&format!(
        "{{\"id\":\"c{number}\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"mock-1\",\
         \"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}"
    ));
    event("[DONE]");
    text.push_str("0\r\n\r\n");
    text
}
