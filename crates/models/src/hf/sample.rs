//! Samples answers in batches of similar length, with a key-value cache.
//!
//! Each answer draws from its own seed. Rows of a batch begin together, the shorter prompts
//! behind padding that nothing attends to; finished rows leave the batch.

use super::{CHUNK, HfModel, failed};
use crate::{ModelError, SampleRequest, Sampled, sampler::Sampler};
use candle_core::{Device, Tensor};
use rayon::prelude::*;

/// Rows per batch: small models gain little beyond.
const ROWS_MAX: usize = 16;

/// One answer under way.
struct Row {
    index: usize,
    prompt: Vec<u32>,
    sampler: Sampler,
    tokens_max: usize,
    tokens: Vec<u32>,
}

type Answer = (usize, Result<Sampled, ModelError>);

impl HfModel {
    pub(super) fn sample_all(
        &self,
        requests: &[SampleRequest],
    ) -> Vec<Result<Sampled, ModelError>> {
        let mut answers: Vec<Answer> = Vec::new();
        let mut rows = Vec::new();
        for (index, request) in requests.iter().enumerate() {
            match self.row(index, request) {
                Ok(row) => rows.push(row),
                Err(error) => answers.push((index, Err(error))),
            }
        }
        rows.sort_by_key(|row| row.prompt.len());
        let mut batches: Vec<Vec<Row>> = Vec::new();
        for row in rows {
            match batches.last_mut() {
                Some(batch) if batch.len() < ROWS_MAX => batch.push(row),
                _ => batches.push(vec![row]),
            }
        }
        answers.extend(self.pool.install(|| {
            batches.into_par_iter().flat_map_iter(|rows| self.batch(rows)).collect::<Vec<_>>()
        }));
        answers.sort_by_key(|(index, _)| *index);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    fn row(&self, index: usize, request: &SampleRequest) -> Result<Row, ModelError> {
        let prompt = self.prompt_tokens(&request.messages)?;
        if prompt.len() >= self.context {
            return Err(ModelError::Request(format!(
                "the prompt takes {} tokens, the model reads {}",
                prompt.len(),
                self.context
            )));
        }
        Ok(Row {
            index,
            tokens_max: request.params.max_tokens.min(self.context - prompt.len()),
            sampler: Sampler::new(&request.params)?,
            prompt,
            tokens: Vec::new(),
        })
    }

    /// All answers of one batch; a failed computation fails the rows that were left in it.
    fn batch(&self, mut rows: Vec<Row>) -> Vec<Answer> {
        let mut answers = Vec::new();
        if let Err(error) = self.run(&mut rows, &mut answers) {
            answers.extend(rows.into_iter().map(|row| (row.index, Err(failed(&error)))));
        }
        answers
    }

    fn run(&self, rows: &mut Vec<Row>, answers: &mut Vec<Answer>) -> candle_core::Result<()> {
        let longest = rows.iter().map(|row| row.prompt.len()).max().unwrap_or(0);
        let pads: Vec<usize> = rows.iter().map(|row| longest - row.prompt.len()).collect();
        let padded: Vec<Vec<u32>> = rows
            .iter()
            .zip(&pads)
            .map(|(row, &pad)| [vec![0; pad], row.prompt.clone()].concat())
            .collect();
        let mut cache = self.decoder.cache_padded(pads);
        let prompts = Tensor::new(padded, &Device::Cpu)?;
        let mut start = 0;
        while start + CHUNK < longest {
            let chunk = prompts.narrow(1, start, CHUNK)?.contiguous()?;
            self.decoder.forward_hidden(&chunk, Some(&mut cache))?;
            start += CHUNK;
        }
        let mut next = prompts.narrow(1, start, longest - start)?.contiguous()?;
        while !rows.is_empty() {
            let logits = self.decoder.forward_last(&next, Some(&mut cache))?.to_vec2::<f32>()?;
            let mut kept = Vec::new();
            let mut going = Vec::new();
            for ((mut row, logits), position) in rows.drain(..).zip(&logits).zip(0_u32..) {
                match self.step(&mut row, logits) {
                    None => {
                        kept.push(position);
                        going.push(row);
                    }
                    Some(answer) => answers.push((row.index, answer)),
                }
            }
            *rows = going;
            if !rows.is_empty() && kept.len() < logits.len() {
                cache.keep_rows(&kept)?;
            }
            let last: Vec<u32> = rows.iter().filter_map(|row| row.tokens.last().copied()).collect();
            let n = last.len();
            next = Tensor::from_vec(last, (n, 1), &Device::Cpu)?;
        }
        Ok(())
    }

    /// Draws the row's next token; the answer when that ends it.
    fn step(&self, row: &mut Row, logits: &[f32]) -> Option<Result<Sampled, ModelError>> {
        let token = match row.sampler.next(logits) {
            Ok(token) => token,
            Err(error) => return Some(Err(error)),
        };
        if self.stop.contains(&token) {
            return Some(self.finish(row, "stop"));
        }
        row.tokens.push(token);
        (row.tokens.len() >= row.tokens_max).then(|| self.finish(row, "length"))
    }

    fn finish(&self, row: &Row, reason: &str) -> Result<Sampled, ModelError> {
        let text = self
            .tokenizer
            .decode(&row.tokens, true)
            .map_err(|e| ModelError::Request(format!("can't turn tokens into text: {e}")))?;
        Ok(Sampled { text, finish_reason: reason.to_owned() })
    }
}
