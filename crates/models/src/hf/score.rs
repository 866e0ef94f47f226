//! Log-likelihood of answers: every answer by its own passes, split at the same places.

use super::{CHUNK, HfModel, failed};
use crate::{
    ModelError, ScoreRequest, Scored,
    decoder::{Decoder, KvCache},
    logprob::log_probability,
};
use candle_core::{Device, Tensor};
use rayon::prelude::*;

/// Logits held at a time, in numbers: 16 MB.
const LOGITS_MAX: usize = 1 << 22;

/// A request in tokens.
struct Prepared {
    index: usize,
    prompt: Vec<u32>,
    answer: Vec<u32>,
}

impl HfModel {
    pub(super) fn score_all(&self, requests: &[ScoreRequest]) -> Vec<Result<Scored, ModelError>> {
        let mut results: Vec<Option<Result<Scored, ModelError>>> = Vec::new();
        let mut prepared = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            match self.prepare(index, request) {
                Ok(ready) => {
                    prepared.push(ready);
                    results.push(None);
                }
                Err(error) => results.push(Some(Err(error))),
            }
        }
        // Neighbours with one prompt (the two texts of a pair) share its passes.
        let groups: Vec<&[Prepared]> = prepared.chunk_by(|a, b| a.prompt == b.prompt).collect();
        let scored: Vec<(usize, Result<Scored, ModelError>)> = self
            .pool
            .install(|| groups.par_iter().flat_map_iter(|group| self.score_group(group)).collect());
        for (index, result) in scored {
            if let Some(slot) = results.get_mut(index) {
                *slot = Some(result);
            }
        }
        let lost = || Err(ModelError::Request("not scored".to_owned()));
        results.into_iter().map(|result| result.unwrap_or_else(lost)).collect()
    }

    fn prepare(&self, index: usize, request: &ScoreRequest) -> Result<Prepared, ModelError> {
        let prompt = self.prompt_tokens(&request.messages)?;
        let encoding = self
            .answer_tokenizer
            .encode_fast(request.answer.as_str(), false)
            .map_err(|e| ModelError::Request(format!("can't tokenise the answer: {e}")))?;
        let answer = encoding.get_ids().to_vec();
        if answer.is_empty() {
            return Err(ModelError::Request("the answer is empty".to_owned()));
        }
        // The last token is only predicted, never read.
        let length = prompt.len() + answer.len() - 1;
        if length > self.context {
            return Err(ModelError::Request(format!(
                "prompt and answer take {length} tokens, the model reads {}",
                self.context
            )));
        }
        Ok(Prepared { index, prompt, answer })
    }

    fn score_group(&self, group: &[Prepared]) -> Vec<(usize, Result<Scored, ModelError>)> {
        let Some((&last, before)) = group.first().and_then(|g| g.prompt.split_last()) else {
            return Vec::new();
        };
        let mut cache = self.decoder.cache(1);
        let read = advance(&self.decoder, before, &mut cache);
        group
            .iter()
            .map(|item| {
                let result = match &read {
                    Err(error) => Err(failed(error)),
                    // Tensors are shared: the copy costs nothing.
                    Ok(()) => score_answer(&self.decoder, cache.clone(), last, &item.answer),
                };
                (item.index, result)
            })
            .collect()
    }
}

/// Reads tokens into the cache.
pub(super) fn advance(
    decoder: &Decoder,
    tokens: &[u32],
    cache: &mut KvCache,
) -> candle_core::Result<()> {
    for chunk in tokens.chunks(CHUNK) {
        decoder.forward_hidden(&Tensor::new(chunk, &Device::Cpu)?.unsqueeze(0)?, Some(cache))?;
    }
    Ok(())
}

/// The answer's tokens one by one, given all before them.
fn score_answer(
    decoder: &Decoder,
    mut cache: KvCache,
    last: u32,
    answer: &[u32],
) -> Result<Scored, ModelError> {
    let read: Vec<u32> =
        std::iter::once(last).chain(answer.iter().copied()).take(answer.len()).collect();
    let vocab = decoder.config().vocab_size;
    let rows_max = (LOGITS_MAX / vocab).max(1);
    let mut scores = Vec::with_capacity(answer.len());
    for (read, targets) in read.chunks(CHUNK).zip(answer.chunks(CHUNK)) {
        let hidden = Tensor::new(read, &Device::Cpu)
            .and_then(|tokens| tokens.unsqueeze(0))
            .and_then(|tokens| decoder.forward_hidden(&tokens, Some(&mut cache)))
            .and_then(|hidden| hidden.squeeze(0))
            .map_err(|e| failed(&e))?;
        for (i, targets) in targets.chunks(rows_max).enumerate() {
            let logits = hidden
                .narrow(0, i * rows_max, targets.len())
                .and_then(|rows| decoder.logits(&rows))
                .and_then(|logits| logits.flatten_all()?.to_vec1::<f32>())
                .map_err(|e| failed(&e))?;
            let found: Vec<Option<f64>> = logits
                .par_chunks(vocab)
                .zip(targets)
                .map(|(row, &target)| log_probability(row, target))
                .collect();
            for score in found {
                scores.push(score.ok_or_else(|| {
                    ModelError::Request("the answer's log-likelihood is not finite".to_owned())
                })?);
            }
        }
    }
    Ok(Scored { token_log_likelihoods: scores })
}
