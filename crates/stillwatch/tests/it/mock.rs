//! A small HTTP server on a port from the system: counts what it is asked, answers as a closure
//! says, and can cut an answer short, which well-behaved servers can't.
#![expect(clippy::expect_used, reason = "helpers of tests")]

use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) path: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

impl Hit {
    /// Text of the last message.
    pub(crate) fn prompt(&self) -> String {
        let last = self.body["messages"].as_array().and_then(|m| m.last());
        last.and_then(|m| m["content"].as_str()).unwrap_or_default().to_owned()
    }
}

/// One answer: bytes on the wire, after a while.
pub(crate) struct Reply {
    bytes: Vec<u8>,
    delay: Duration,
}

impl Reply {
    pub(crate) fn new(status: u16, body: &str) -> Self {
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        Self { bytes: text.into_bytes(), delay: Duration::ZERO }
    }

    pub(crate) fn chat(text: &str) -> Self {
        let body = json!({
            "choices": [{ "message": { "content": text }, "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 5, "completion_tokens": 1 },
        });
        Self::new(200, &body.to_string())
    }

    /// The head and half of the body, then the connection closes.
    pub(crate) fn cut(mut self) -> Self {
        self.bytes.truncate(self.bytes.len() - 20);
        self
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// The server; its threads end with the process.
pub(crate) struct Mock {
    pub(crate) port: u16,
    hits: Arc<Mutex<Vec<Hit>>>,
}

impl Mock {
    pub(crate) fn start(answer: impl Fn(&Hit) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the system's");
        let port = listener.local_addr().expect("an address").port();
        let hits = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&hits), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                // A client that hangs up, as an interrupted one does, is no failure.
                std::thread::spawn(move || drop(serve(stream, &kept, answer.as_ref())));
            }
        });
        Self { port, hits }
    }

    /// A plain chat API, which can't score.
    pub(crate) fn chat(answer: impl Fn(&Hit) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |hit| match hit.path.as_str() {
            "/v1/chat/completions" if hit.body.get("prompt_logprobs").is_none() => answer(hit),
            "/v1/chat/completions" => Reply::new(400, r#"{"error":{"message":"unknown"}}"#),
            _ => Reply::new(404, r#"{"error":{"message":"not found"}}"#),
        })
    }

    pub(crate) fn model(&self) -> String {
        format!("openai:http://127.0.0.1:{}/v1#toy", self.port)
    }

    pub(crate) fn hits(&self) -> Vec<Hit> {
        self.hits.lock().expect("no panic under the lock").clone()
    }
}

fn serve(
    mut stream: TcpStream,
    hits: &Mutex<Vec<Hit>>,
    answer: &impl Fn(&Hit) -> Reply,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut authorization) = (0, None);
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().expect("a length"),
            "authorization" => authorization = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let hit = Hit { path, authorization, body };
    hits.lock().expect("no panic under the lock").push(hit.clone());
    let reply = answer(&hit);
    std::thread::sleep(reply.delay);
    stream.write_all(&reply.bytes)
}
