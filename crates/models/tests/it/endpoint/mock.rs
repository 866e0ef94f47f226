//! A server in this process, on a port from the system, that answers as a closure says.
#![expect(clippy::expect_used, reason = "helpers of tests")]

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, Response, StatusCode, Uri},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use stillwatch_evidence::Message;
use stillwatch_models::{
    EndpointOptions, ModelError, OpenAiModel, SampleParams, SampleRequest, install_tls_provider,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Runtime,
};

/// What the server was asked.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    /// Counted from 0 over the server's life.
    pub(crate) n: usize,
    pub(crate) path: String,
    pub(crate) body: Value,
    pub(crate) authorization: Option<String>,
}

impl Hit {
    /// Text of the last message.
    pub(crate) fn last_text(&self) -> String {
        let messages = self.body["messages"].as_array().cloned().unwrap_or_default();
        messages.last().and_then(|m| m["content"].as_str()).unwrap_or_default().to_owned()
    }
}

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    delay: Duration,
}

impl Reply {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), delay: Duration::ZERO }
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self::new(200, body.to_string()).header("content-type", "application/json")
    }

    /// A chat answer with token counts.
    pub(crate) fn chat(text: &str) -> Self {
        Self::json(&json!({
            "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 1},
        }))
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// The server, until it is dropped.
pub(crate) struct Mock {
    pub(crate) url: String,
    hits: Arc<Mutex<Vec<Hit>>>,
    most_at_once: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

impl Mock {
    pub(crate) fn start(answer: impl Fn(&Hit) -> Reply + Send + Sync + 'static) -> Self {
        install_tls_provider();
        let runtime = runtime();
        let hits = Arc::new(Mutex::new(Vec::new()));
        let now = Arc::new(AtomicUsize::new(0));
        let most_at_once = Arc::new(AtomicUsize::new(0));
        let (kept, most) = (Arc::clone(&hits), Arc::clone(&most_at_once));
        let answer = Arc::new(answer);
        let handle = move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let (kept, most) = (Arc::clone(&kept), Arc::clone(&most));
            let (now, answer) = (Arc::clone(&now), Arc::clone(&answer));
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let hit = {
                    let mut kept = kept.lock().expect("no panic under the lock");
                    let hit = Hit {
                        n: kept.len(),
                        path: uri.path().to_owned(),
                        body: serde_json::from_slice(&body).unwrap_or_default(),
                        authorization: headers
                            .get("authorization")
                            .map(|v| v.to_str().expect("ASCII").to_owned()),
                    };
                    kept.push(hit.clone());
                    hit
                };
                let reply = answer(&hit);
                tokio::time::sleep(reply.delay).await;
                now.fetch_sub(1, Ordering::SeqCst);
                let mut response =
                    Response::builder().status(StatusCode::from_u16(reply.status).expect("status"));
                for (name, value) in reply.headers {
                    response = response.header(name, value);
                }
                response.body(Body::from(reply.body)).expect("response")
            }
        };
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .expect("a port of the system's");
        let url = format!("http://{}/v1", listener.local_addr().expect("address"));
        runtime.spawn(async move {
            axum::serve(listener, Router::new().fallback(handle)).await.expect("serve");
        });
        Self { url, hits, most_at_once, runtime: Some(runtime) }
    }

    /// Chat answers come from `chat`; every other path is unknown, as at a plain chat API.
    pub(crate) fn chat_only(chat: impl Fn(&Hit) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(move |hit| match hit.path.as_str() {
            "/v1/chat/completions" if hit.body.get("prompt_logprobs").is_none() => chat(hit),
            "/v1/chat/completions" => Reply::new(400, r#"{"error":{"message":"unknown"}}"#),
            _ => Reply::new(404, "not found"),
        })
    }

    pub(crate) fn hits(&self) -> Vec<Hit> {
        self.hits.lock().expect("no panic under the lock").clone()
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }

    pub(crate) fn connect(&self) -> Result<OpenAiModel, ModelError> {
        self.connect_with(&quick())
    }

    pub(crate) fn connect_with(
        &self,
        options: &EndpointOptions,
    ) -> Result<OpenAiModel, ModelError> {
        OpenAiModel::connect(&self.url, "toy", options)
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A server below HTTP: sends the bytes that `answer` gives for connection `n` after a request
/// was read, then closes; `None` resets the connection.
pub(crate) fn start_raw(
    answer: impl Fn(usize) -> Option<Vec<u8>> + Send + 'static,
) -> (String, Runtime) {
    install_tls_provider();
    let runtime = runtime();
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .expect("a port of the system's");
    let url = format!("http://{}/v1", listener.local_addr().expect("address"));
    runtime.spawn(async move {
        for n in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let mut buffer = vec![0; 1 << 16];
            match answer(n) {
                Some(bytes) => {
                    // Requests of these tests fit one read.
                    assert_ne!(stream.read(&mut buffer).await.expect("read"), 0);
                    stream.write_all(&bytes).await.expect("write");
                    stream.shutdown().await.expect("shutdown");
                }
                None => stream.set_zero_linger().expect("linger"),
            }
        }
    });
    (url, runtime)
}

/// A whole HTTP answer.
pub(crate) fn raw_chat(text: &str) -> Vec<u8> {
    let body = format!(r#"{{"choices":[{{"message":{{"content":"{text}"}}}}]}}"#);
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("runtime")
}

/// Options with waits of milliseconds.
pub(crate) fn quick() -> EndpointOptions {
    EndpointOptions {
        attempts: 4,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(1500),
        timeout: Duration::from_secs(5),
        ..EndpointOptions::default()
    }
}

pub(crate) fn user(text: &str) -> Vec<Message> {
    vec![Message { role: "user".to_owned(), content: text.to_owned() }]
}

pub(crate) fn ask(text: &str) -> SampleRequest {
    SampleRequest {
        messages: user(text),
        params: SampleParams { temperature: 1.0, top_p: 0.9, max_tokens: 8, seed: 7 },
    }
}
