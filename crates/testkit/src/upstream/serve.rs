//! The mock's server loop: receives a request whole, asks for its fault, writes the answer.

use super::body::{InFlight, Script, Step, Tallies};
use super::sample::Sample;
use super::tap::{Instead, Tap};
use super::{Fault, RecordedRequest, Shared, anthropic, openai, responses};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::json;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// Larger requests are cut off; gateways' own limits are far below.
const BODY_BYTES_MAX: usize = 256 << 20;

/// Runs until it is told to stop.
pub(super) fn run(
    listener: std::net::TcpListener,
    shared: &Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    runtime.block_on(async {
        let Ok(listener) = TcpListener::from_std(listener) else { return };
        tokio::select! {
            () = accept(&listener, shared) => {}
            _ = stopped => {}
        }
    });
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                stream
            } else {
                // Out of files, say: others will close theirs.
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            },
            Some(_) = connections.join_next() => continue,
        };
        let _harmless = stream.set_nodelay(true);
        Tallies::add(&shared.tallies.connections);
        let shared = Arc::clone(shared);
        connections.spawn(async move {
            let instead = Instead::default();
            let io = TokioIo::new(Tap::new(stream, instead.clone()));
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                let instead = instead.clone();
                async move { Ok::<_, Infallible>(handle(&shared, &instead, request).await) }
            });
            let mut server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            server.http1().max_buf_size(16 << 20).max_headers(1_000);
            server.http2().max_header_list_size(16 << 20);
            let _client_gone = server.serve_connection(io, service).await;
        });
    }
}

async fn handle(
    shared: &Arc<Shared>,
    instead: &Instead,
    request: Request<Incoming>,
) -> Response<Script> {
    let (parts, body) = request.into_parts();
    let limited = http_body_util::Limited::new(body, BODY_BYTES_MAX);
    let Ok(body) = limited.collect().await.map(http_body_util::Collected::to_bytes) else {
        instead.set(Bytes::new());
        return Response::new(Script::new(VecDeque::new(), InFlight::begin(Arc::default())));
    };
    let mut in_flight = InFlight::begin(Arc::clone(&shared.tallies));
    let recorded = {
        let mut kept = shared.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: numbers are dense and in the order of the records.
        let number = shared.numbers.fetch_add(1, Ordering::SeqCst);
        let recorded = RecordedRequest {
            number,
            method: parts.method,
            path: parts.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            version: parts.version,
            headers: parts.headers,
            body,
        };
        if kept.len() < shared.behaviour.recorded_max {
            kept.push(recorded.clone());
        }
        recorded
    };
    let fault = shared.behaviour.fault(&recorded);
    let late = if let Some(Fault::Late { ms }) = fault { ms } else { 0 };
    let wait = Duration::from_millis(shared.behaviour.latency_ms + late);
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    match &fault {
        Some(Fault::HangBeforeHeaders) => std::future::pending().await,
        Some(Fault::Drop) => {
            in_flight.broken();
            instead.set(Bytes::new());
        }
        Some(Fault::Raw(bytes)) => {
            in_flight.broken();
            instead.set(bytes.clone());
        }
        _ => {}
    }
    answer(shared, &recorded, fault.as_ref(), in_flight)
}

/// An answer before it is cut up: whole JSON or the events of a stream.
struct Draft {
    status: StatusCode,
    content_type: &'static str,
    pieces: Vec<String>,
}

impl Draft {
    fn json(status: u16, value: &serde_json::Value) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or_default(),
            content_type: "application/json",
            pieces: vec![value.to_string()],
        }
    }

    fn events(pieces: Vec<String>) -> Self {
        let content_type = "text/event-stream; charset=utf-8";
        Self { status: StatusCode::OK, content_type, pieces }
    }

    fn is_stream(&self) -> bool {
        self.content_type.starts_with("text/event-stream")
    }
}

/// The right answer to a request.
fn draft(shared: &Shared, request: &RecordedRequest) -> Draft {
    let path = request.path.split('?').next().unwrap_or_default();
    let is_post = request.method == Method::POST;
    if request.method == Method::GET {
        return match path.strip_prefix("/v1/models") {
            Some("") => Draft::json(200, &openai::models(&shared.behaviour.models)),
            Some(name)
                if shared.behaviour.models.iter().any(|m| name.strip_prefix('/') == Some(m)) =>
            {
                Draft::json(200, &openai::model(name.trim_start_matches('/')))
            }
            _ => Draft::json(404, &openai::error(404)),
        };
    }
    let known = [
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/embeddings",
        "/v1/messages",
    ];
    if !is_post || !known.contains(&path) {
        return Draft::json(404, &openai::error(404));
    }
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(&request.body) else {
        let error = if path == "/v1/messages" { anthropic::error(400) } else { openai::error(400) };
        return Draft::json(400, &error);
    };
    if path == "/v1/embeddings" {
        return Draft::json(200, &openai::embeddings(&body));
    }
    let sample = Sample::new(&shared.behaviour, &shared.asked, request.number, &body);
    match (path, sample.stream) {
        ("/v1/chat/completions", false) => Draft::json(200, &openai::chat(&sample)),
        ("/v1/chat/completions", true) => Draft::events(openai::chat_events(&sample)),
        ("/v1/completions", false) => Draft::json(200, &openai::completion(&sample)),
        ("/v1/completions", true) => Draft::events(openai::completion_events(&sample)),
        ("/v1/responses", false) => Draft::json(200, &responses::whole(&sample)),
        ("/v1/responses", true) => Draft::events(responses::events(&sample)),
        (_, false) => Draft::json(200, &anthropic::whole(&sample)),
        (_, true) => Draft::events(anthropic::events(&sample)),
    }
}

fn answer(
    shared: &Shared,
    request: &RecordedRequest,
    fault: Option<&Fault>,
    in_flight: InFlight,
) -> Response<Script> {
    let mut draft = match fault {
        Some(Fault::Status { status, .. }) => {
            let anthropic = request.path.starts_with("/v1/messages");
            Draft::json(
                *status,
                &if anthropic { anthropic::error(*status) } else { openai::error(*status) },
            )
        }
        Some(Fault::Answer { status, headers, body }) => {
            let steps = VecDeque::from([Step::Data(body.clone())]);
            let mut response = Response::new(Script::new(steps, in_flight));
            *response.status_mut() = StatusCode::from_u16(*status).unwrap_or_default();
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) =
                    (name.parse::<http::HeaderName>(), HeaderValue::from_str(value))
                {
                    response.headers_mut().append(name, value);
                }
            }
            return response;
        }
        Some(Fault::Echo) => Draft::json(200, &echo(request)),
        _ => draft(shared, request),
    };
    match fault {
        Some(Fault::GarbageJson) => {
            let body = "{\"id\": \"chatcmpl-1\", \"choices\": [{\"mess\u{0}age\": }}}]".to_owned();
            draft = Draft { content_type: "application/json", pieces: vec![body], ..draft };
        }
        Some(Fault::HugeBody { bytes }) => {
            draft = Draft::json(200, &json!({"padding": "x".repeat(*bytes)}));
        }
        _ => {}
    }
    let length: usize = draft.pieces.iter().map(String::len).sum();
    let steps = steps(shared, &draft, fault);
    let mut response = Response::new(Script::new(steps, in_flight));
    *response.status_mut() = draft.status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(draft.content_type));
    headers.insert("x-request-id", HeaderValue::from(request.number));
    headers.insert("openai-processing-ms", HeaderValue::from_static("1"));
    if draft.is_stream() {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    } else {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    match fault {
        Some(Fault::Status { retry_after: Some(seconds), .. }) => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
        }
        Some(Fault::HugeHeader { bytes }) => {
            if let Ok(value) = HeaderValue::from_str(&"h".repeat(*bytes)) {
                headers.insert("x-huge", value);
            }
        }
        Some(Fault::CloseAfter) => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Some(Fault::EndEarly { .. }) if !draft.is_stream() => {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length / 2));
        }
        _ => {}
    }
    response
}

fn echo(request: &RecordedRequest) -> serde_json::Value {
    let headers: Vec<_> = request
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    json!({"method": request.method.as_str(), "path": request.path,
           "version": format!("{:?}", request.version), "headers": headers})
}

/// Cuts an answer into what is sent when.
fn steps(shared: &Shared, draft: &Draft, fault: Option<&Fault>) -> VecDeque<Step> {
    let data = |text: &[u8]| Step::Data(Bytes::copy_from_slice(text));
    let half = |text: &str| data(text.as_bytes().get(..text.len() / 2).unwrap_or_default());
    let (after, last) = match fault {
        Some(Fault::HangMidStream { after_events }) => (*after_events, Some(Step::Hang)),
        Some(Fault::CutMidEvent { after_events } | Fault::CutMidStream { after_events }) => {
            (*after_events, Some(Step::Break))
        }
        Some(Fault::EndEarly { after_events }) => (*after_events, None),
        Some(Fault::SlowDrip { bytes, gap_ms }) => {
            let whole = draft.pieces.concat();
            let pieces = whole.as_bytes().chunks((*bytes).max(1));
            return pieces
                .flat_map(|piece| [Step::Wait(Duration::from_millis(*gap_ms)), data(piece)])
                .collect();
        }
        _ => (usize::MAX, None),
    };
    let whole = after == usize::MAX;
    let gap = match shared.behaviour.tokens_per_second {
        Some(rate) if draft.is_stream() && rate > 0.0 => Some(Duration::from_secs_f64(1.0 / rate)),
        _ => None,
    };
    let mut steps = VecDeque::new();
    if draft.is_stream() {
        for (index, piece) in draft.pieces.iter().enumerate().take(after) {
            if let Some(gap) = gap.filter(|_| index > 0) {
                steps.push_back(Step::Wait(gap));
            }
            steps.push_back(data(piece.as_bytes()));
        }
        if let (Some(Fault::CutMidEvent { .. }), Some(next)) = (fault, draft.pieces.get(after)) {
            steps.push_back(half(next));
        }
    } else if whole {
        steps.extend(draft.pieces.iter().map(|piece| data(piece.as_bytes())));
    } else {
        steps.extend(draft.pieces.iter().map(|piece| half(piece)));
    }
    if let Some(last) = last {
        // What was written goes out before the connection breaks.
        steps.push_back(Step::Wait(Duration::from_millis(20)));
        steps.push_back(last);
    }
    steps
}
