//! One of the two samples: asked for, read to its end, handed on piece by piece.
//!
//! Both slots run this same code, and neither knows whether it is the one that goes out. A slot
//! is settled at its end or at the first failure; one that failed goes on for the client's sake
//! as long as somebody listens, which no longer concerns the pair.

use super::forward::Piece;
use super::quotes::{MarkKey, Winnower};
use super::verdict::{Failure, SlotEnd};
use crate::Guard;
use crate::request::Api;
use crate::response::Reader;
use crate::upstream::{Outgoing, UpstreamBody, UpstreamError};
use bytes::Bytes;
use http::{HeaderMap, header, response::Parts};
use http_body_util::BodyExt as _;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// Bytes of one answer that may wait for a slow client; a longer answer is left out with its twin.
pub(super) const SLOT_BYTES_MAX: usize = 4 << 20;

/// What both slots share.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) guard: Arc<Guard>,
    pub(super) upstream: usize,
    pub(super) outgoing: Outgoing,
    pub(super) api: Api,
    pub(super) deadline: Instant,
    pub(super) key: MarkKey,
    pub(super) own: Arc<[u64]>,
}

/// Where a slot reports to.
#[derive(Debug)]
pub(super) struct Reports {
    /// The head of its answer, or why there is none.
    pub(super) head: oneshot::Sender<Result<Parts, UpstreamError>>,
    /// How it ended.
    pub(super) settled: oneshot::Sender<SlotEnd>,
    /// Its bytes.
    pub(super) pieces: mpsc::UnboundedSender<Piece>,
}

/// What a slot reports.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) head: oneshot::Receiver<Result<Parts, UpstreamError>>,
    pub(super) settled: oneshot::Receiver<SlotEnd>,
    pub(super) pieces: mpsc::UnboundedReceiver<Piece>,
}

/// The two ends of a slot.
pub(super) fn slot() -> (Reports, Slot) {
    let (head, head_seen) = oneshot::channel();
    let (settled, settled_seen) = oneshot::channel();
    let (pieces, pieces_seen) = mpsc::unbounded_channel();
    let reports = Reports { head, settled, pieces };
    (reports, Slot { head: head_seen, settled: settled_seen, pieces: pieces_seen })
}

/// Asks the upstream and reads its answer to the end.
pub(super) async fn run(task: &Task, reports: Reports) {
    let Reports { head, settled, pieces } = reports;
    let answered = task.guard.upstreams.send(task.upstream, &task.outgoing);
    let response = match timeout_at(task.deadline, answered).await {
        Ok(Ok(response)) => response,
        failed => {
            let (error, failure) = match failed {
                Ok(Err(UpstreamError::Timeout)) | Err(_) => {
                    (UpstreamError::Timeout, Failure::TimeOut)
                }
                Ok(Err(error)) => (error, Failure::Upstream),
                Ok(Ok(_)) => (UpstreamError::Broken, Failure::Upstream),
            };
            settled.send(SlotEnd::failed(failure)).ok();
            head.send(Err(error)).ok();
            return;
        }
    };
    let (parts, body) = response.into_parts();
    let kind = Kind::of(&parts.headers);
    let failure = if parts.status.is_success() {
        matches!(kind, Kind::Other).then_some(Failure::Unreadable)
    } else {
        Some(Failure::Status)
    };
    let reading = Reading {
        reader: Some(Reader::new(task.api, matches!(kind, Kind::Events))),
        settled: Some(settled),
        failure,
        winnower: Winnower::new(&task.key, Arc::clone(&task.own)),
        n_seen: 0,
        n_bytes: 0,
    };
    head.send(Ok(parts)).ok();
    read(task, reading, &kind, body, pieces).await;
}

/// What a body is, by its headers.
#[derive(Debug)]
enum Kind {
    Json,
    Events,
    /// Something else, or packed.
    Other,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Self {
        let is_packed = headers
            .get_all(header::CONTENT_ENCODING)
            .iter()
            .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
        let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        let begins = |with: &[u8]| {
            kind.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with))
        };
        match () {
            () if is_packed => Self::Other,
            () if begins(b"text/event-stream") => Self::Events,
            () if begins(b"application/json") => Self::Json,
            () => Self::Other,
        }
    }
}

/// How far a slot was read.
struct Reading {
    /// Absent once it is settled.
    reader: Option<Reader>,
    settled: Option<oneshot::Sender<SlotEnd>>,
    /// Why it can't count, known from its head.
    failure: Option<Failure>,
    winnower: Winnower,
    /// Bytes of text whose marks were made.
    n_seen: usize,
    n_bytes: usize,
}

impl Reading {
    fn push(&mut self, bytes: &[u8], marks: &mut Vec<u64>) {
        self.n_bytes = self.n_bytes.saturating_add(bytes.len());
        if let Some(reader) = &mut self.reader {
            reader.push(bytes);
            let new = reader.text().get(self.n_seen..).unwrap_or_default();
            self.n_seen += new.len();
            self.winnower.push(new, marks);
        }
        if self.n_bytes > SLOT_BYTES_MAX {
            self.settle(Some(Failure::Overflow), None, marks);
        }
    }

    /// Says how the slot ended, once.
    fn settle(&mut self, failure: Option<Failure>, key: Option<&MarkKey>, marks: &mut Vec<u64>) {
        let (Some(reader), Some(settled)) = (self.reader.take(), self.settled.take()) else {
            return;
        };
        let answer = reader.finish();
        self.winnower.push(answer.text.get(self.n_seen..).unwrap_or_default(), marks);
        self.winnower.finish(marks);
        marks.extend(key.and_then(|key| key.whole(&answer.text)));
        settled.send(SlotEnd::of(answer, self.failure.or(failure))).ok();
    }
}

async fn read(
    task: &Task,
    mut reading: Reading,
    kind: &Kind,
    mut body: UpstreamBody,
    pieces: mpsc::UnboundedSender<Piece>,
) {
    let buffer = Arc::new(Semaphore::new(SLOT_BYTES_MAX));
    // The last bytes of a JSON body wait until the marks of its text are known.
    let mut held = Bytes::new();
    let mut marks = Vec::new();
    loop {
        let frame = if reading.settled.is_some() {
            let Ok(frame) = timeout_at(task.deadline, body.frame()).await else {
                reading.settle(Some(Failure::TimeOut), None, &mut marks);
                continue;
            };
            frame
        } else {
            tokio::select! {
                frame = body.frame() => frame,
                () = pieces.closed() => return,
            }
        };
        let next = match frame {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => bytes,
                // Trailers.
                Err(_) => continue,
            },
            Some(Err(error)) => {
                let failure = match error {
                    UpstreamError::Timeout => Failure::TimeOut,
                    _ => Failure::Upstream,
                };
                reading.settle(Some(failure), Some(&task.key), &mut marks);
                pieces.send(Piece::Bytes(held, marks, None)).ok();
                pieces.send(Piece::Cut(error)).ok();
                return;
            }
            None => {
                reading.settle(None, Some(&task.key), &mut marks);
                pieces.send(Piece::Bytes(held, marks, None)).ok();
                pieces.send(Piece::End).ok();
                return;
            }
        };
        reading.push(&next, &mut marks);
        let is_settled = reading.settled.is_none();
        let out =
            if matches!(kind, Kind::Events) { next } else { std::mem::replace(&mut held, next) };
        if out.is_empty() {
            continue;
        }
        let Some(share) = share(&buffer, out.len(), is_settled, &pieces).await else {
            if is_settled {
                return;
            }
            continue;
        };
        let sent = pieces.send(Piece::Bytes(out, std::mem::take(&mut marks), Some(share)));
        if sent.is_err() && is_settled {
            return;
        }
    }
}

/// Room for bytes that wait for the client. A slot that isn't settled has room for all that it may
/// read, so that no client can hold it up; afterwards it goes at the client's pace.
async fn share(
    buffer: &Arc<Semaphore>,
    n_bytes: usize,
    is_settled: bool,
    pieces: &mpsc::UnboundedSender<Piece>,
) -> Option<tokio::sync::OwnedSemaphorePermit> {
    let n = u32::try_from(n_bytes.min(SLOT_BYTES_MAX)).unwrap_or(u32::MAX);
    let buffer = Arc::clone(buffer);
    if is_settled {
        tokio::select! {
            share = buffer.acquire_many_owned(n) => share.ok(),
            () = pieces.closed() => None,
        }
    } else {
        buffer.try_acquire_many_owned(n).ok()
    }
}
