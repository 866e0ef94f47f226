//! Scores of a classroom's pairs by a model, through the door that a user takes; kept on disk.

use super::breed::{Bred, read_json, write_json};
use super::world::{Classroom, Pair};
use crate::{LabError, hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use stillwatch_evidence::Progress;
use stillwatch_models::{ModelSpec, OpenOptions, ScoreRequest, open};

/// What one model gives to every pair, nats: released, withheld; and the texts' tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Scores {
    pub(super) values: Vec<[f64; 2]>,
    pub(super) tokens: Vec<[f64; 2]>,
}

impl Scores {
    /// The same with the texts of some pairs changing places.
    pub(super) fn turned(&self, turn: &[bool]) -> Self {
        let turned = |list: &[[f64; 2]]| {
            let pairs = list.iter().zip(turn);
            pairs.map(|(&[a, b], &t)| if t { [b, a] } else { [a, b] }).collect()
        };
        Self { values: turned(&self.values), tokens: turned(&self.tokens) }
    }

    /// Difference released minus withheld, pair by pair.
    pub(super) fn differences(&self) -> Vec<f64> {
        self.values.iter().map(|[a, b]| a - b).collect()
    }
}

/// What is written to disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    scores: Scores,
}

/// Scores every pair of a classroom by a model.
pub(super) fn score(
    model: &Bred,
    room: &Classroom,
    out: &Path,
    progress: &dyn Progress,
) -> Result<Scores, LabError> {
    let key = hex(&Sha256::digest(format!("{} {:?}", model.key, room.pairs)));
    let path = out.join("scores").join(format!("{}.json", key.get(..16).unwrap_or(&key)));
    if let Some(kept) = read_json::<Kept>(&path)
        && kept.key == key
    {
        progress.advance(room.pairs.len() as u64);
        return Ok(kept.scores);
    }
    if progress.stop_requested() {
        return Err(LabError::Interrupted);
    }
    let scores = ask(model, &room.pairs)?;
    progress.advance(room.pairs.len() as u64);
    let kept = Kept { key, scores };
    write_json(&path, &kept)?;
    Ok(kept.scores)
}

fn ask(model: &Bred, pairs: &[Pair]) -> Result<Scores, LabError> {
    let opened = open(&ModelSpec::Hf(model.folder.clone()), &OpenOptions::default())?;
    let requests: Vec<ScoreRequest> = pairs
        .iter()
        .flat_map(|pair| {
            pair.texts
                .iter()
                .map(|text| ScoreRequest { messages: pair.messages.clone(), answer: text.clone() })
        })
        .collect();
    let mut values = Vec::with_capacity(pairs.len());
    let mut tokens = Vec::with_capacity(pairs.len());
    for both in opened.score(&requests).chunks(2) {
        let mut value = [0.0; 2];
        let mut count = [0.0; 2];
        for ((value, count), scored) in value.iter_mut().zip(&mut count).zip(both) {
            let scored = scored.as_ref().map_err(|e| LabError::Data(format!("a score: {e}")))?;
            *value = scored.log_likelihood();
            *count = scored.n_tokens() as f64;
        }
        values.push(value);
        tokens.push(count);
    }
    Ok(Scores { values, tokens })
}
