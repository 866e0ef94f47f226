//! What anyone may see of the ledger: signed heads, and that an entry is in the log.
//!
//! Proofs give the hash of a leaf, not the leaf: whoever holds a receipt knows that hash, and
//! nobody else learns how often a pseudonym asks.

use crate::Guard;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};
use std::sync::Arc;
use stillwatch_evidence::ledger::{Ledger, LedgerError, SignedHead};

/// Heads of one answer at most, the latest.
const HEADS_MAX: usize = 100;

/// Answers `/stillwatch/ledger/heads`, `/stillwatch/ledger/proof/SEQUENCE` and
/// `/stillwatch/ledger/consistency/FIRST/SECOND`.
pub async fn handle(guard: &Arc<Guard>, request: &Request<Bytes>) -> Response<Bytes> {
    if request.method() != Method::GET {
        return error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "GET only");
    }
    let path = request.uri().path().strip_prefix("/stillwatch/ledger/").unwrap_or_default();
    let mut parts = path.split('/');
    let asked = match (parts.next(), number(parts.next()), number(parts.next()), parts.next()) {
        (Some("heads"), None, None, None) => Asked::Heads,
        (Some("proof"), Some(sequence), None, None) => Asked::Proof(sequence),
        (Some("consistency"), Some(first), Some(second), None) => Asked::Consistency(first, second),
        _ => return error(StatusCode::NOT_FOUND, "not_found", "there is no such path"),
    };
    let Some(capture) = guard.exposure.as_ref() else {
        return error(
            StatusCode::NOT_FOUND,
            "no_ledger",
            "nothing is exposed here, so there is no ledger",
        );
    };
    let busy = || {
        error(StatusCode::SERVICE_UNAVAILABLE, "ledger_busy", "the ledger is busy; try again later")
    };
    // A flood of questions must not keep entries out of the ledger's queue.
    let Ok(_place) = capture.readers.try_acquire() else { return busy() };
    match capture.read(move |ledger| asked.answer(ledger)).await {
        Some(Ok(body)) => json_response(StatusCode::OK, &body),
        Some(Err(problem)) => error(StatusCode::NOT_FOUND, "not_in_the_log", &problem.to_string()),
        None => busy(),
    }
}

fn number(part: Option<&str>) -> Option<u64> {
    part.filter(|digits| digits.len() <= 16)?.parse().ok()
}

#[derive(Debug, Clone, Copy)]
enum Asked {
    Heads,
    Proof(u64),
    Consistency(u64, u64),
}

impl Asked {
    fn answer(self, ledger: &Ledger) -> Result<Value, LedgerError> {
        let identity = ledger.identity();
        match self {
            Self::Heads => {
                let heads = ledger.heads();
                let latest = heads.get(heads.len().saturating_sub(HEADS_MAX)..).unwrap_or_default();
                Ok(json!({
                    "log_id": identity.log_id,
                    "public_key": identity.public_key,
                    "heads": latest,
                }))
            }
            Self::Proof(sequence) => proof(ledger, sequence),
            Self::Consistency(first, second) => Ok(json!(ledger.prove_consistency(first, second)?)),
        }
    }
}

/// That both entries of an exposure are under the first head that covers them.
fn proof(ledger: &Ledger, sequence: u64) -> Result<Value, LedgerError> {
    let n_sequences = ledger.n_sequences();
    let position = ledger.position_of_sequence(sequence).ok_or(LedgerError::OutOfRange {
        what: "sequence number",
        value: sequence,
        limit: n_sequences,
    })?;
    let under = |leaf: u64| ledger.heads().iter().find(|signed| leaf < signed.head.tree_size);
    let entry = |leaf: u64, signed: &SignedHead| -> Result<Value, LedgerError> {
        let proof = ledger.prove_inclusion(leaf, signed.head.tree_size)?;
        Ok(json!({
            "leaf_index": leaf,
            "leaf_hash": ledger.leaf_hash(leaf),
            "hashes": proof.hashes,
            "head": signed,
        }))
    };
    let commit = under(position.commit).map(|signed| entry(position.commit, signed)).transpose()?;
    let outcome = match position.outcome {
        Some(leaf) => under(leaf).map(|signed| entry(leaf, signed)).transpose()?,
        None => None,
    };
    Ok(json!({
        "log_id": ledger.identity().log_id,
        "sequence": sequence,
        "commit": commit,
        "outcome": outcome,
        "has_ended": position.outcome.is_some(),
    }))
}

fn error(status: StatusCode, code: &str, message: &str) -> Response<Bytes> {
    let body =
        json!({"error": {"message": message, "type": "ledger", "code": code, "param": null}});
    json_response(status, &body)
}

fn json_response(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
