//! One slot, that is one sequence of llama.cpp: prompt in chunks from its start, answer in chunks from its.
//!
//! What the context holds of the prompt is kept for the next text with the same prompt, at the
//! same cells; the answer's passes are the same either way, so results don't depend on order.

use crate::{
    ChatTemplate, ModelError, SampleRequest, Sampled, ScoreRequest, Scored,
    logprob::log_probability, sampler::Sampler,
};
use llama_cpp_2::{
    context::LlamaContext, llama_batch::LlamaBatch, token::LlamaToken, vocab::LlamaVocab,
};
use stillwatch_evidence::Message;

/// A context with all that it needs.
pub(super) struct Runner<'a> {
    context: LlamaContext<'a>,
    vocab: LlamaVocab<'a>,
    template: &'a ChatTemplate,
    chunk: usize,
    batch: LlamaBatch<'a>,
    /// Tokens of the prompt, but its last, that the context holds.
    held: Vec<LlamaToken>,
}

/// The context's only sequence.
const SEQUENCE: i32 = 0;

impl<'a> Runner<'a> {
    pub(super) fn new(
        context: LlamaContext<'a>,
        vocab: LlamaVocab<'a>,
        template: &'a ChatTemplate,
        chunk: usize,
    ) -> Self {
        let batch = LlamaBatch::new(chunk, 1);
        Self { context, vocab, template, chunk, batch, held: Vec::new() }
    }

    pub(super) fn score(&mut self, request: &ScoreRequest) -> Result<Scored, ModelError> {
        let prompt = self.prompt_tokens(&request.messages)?;
        let answer = self.vocab.tokenize(request.answer.as_bytes(), false, false);
        if answer.is_empty() {
            return Err(ModelError::Request("the answer is empty".to_owned()));
        }
        // The last token is only predicted, never read.
        self.fits(prompt.len() + answer.len() - 1)?;
        let last = self.read_prompt(prompt)?;
        let read: Vec<LlamaToken> =
            std::iter::once(last).chain(answer.iter().copied()).take(answer.len()).collect();
        let mut scores = Vec::with_capacity(answer.len());
        let mut position = self.held.len();
        for (read, targets) in read.chunks(self.chunk).zip(answer.chunks(self.chunk)) {
            self.decode(read, position, Wanted::All)?;
            position += read.len();
            for (target, i) in targets.iter().zip(0_i32..) {
                let target = u32::try_from(target.0).unwrap_or(u32::MAX);
                let score = log_probability(self.context.get_logits_ith(i), target);
                scores.push(score.ok_or_else(|| {
                    ModelError::Request("the answer's log-likelihood is not finite".to_owned())
                })?);
            }
        }
        Ok(Scored { token_log_likelihoods: scores })
    }

    pub(super) fn sample(&mut self, request: &SampleRequest) -> Result<Sampled, ModelError> {
        let mut sampler = Sampler::new(&request.params)?;
        let prompt = self.prompt_tokens(&request.messages)?;
        self.fits(prompt.len())?;
        let room = self.context.n_ctx() as usize - prompt.len() + 1;
        let tokens_max = request.params.max_tokens.min(room);
        let mut token = self.read_prompt(prompt)?;
        let start = self.held.len();
        let mut text = Vec::new();
        let mut reason = "length";
        for position in start..start + tokens_max {
            self.decode(&[token], position, Wanted::Last)?;
            let next = sampler.next(self.context.get_logits_ith(0))?;
            token = LlamaToken(i32::try_from(next).unwrap_or(i32::MAX));
            if self.vocab.is_eog(token) {
                reason = "stop";
                break;
            }
            text.extend(self.vocab.token_to_piece(token, false, None));
        }
        Ok(Sampled {
            text: String::from_utf8_lossy(&text).into_owned(),
            finish_reason: reason.to_owned(),
        })
    }

    fn fits(&self, length: usize) -> Result<(), ModelError> {
        let limit = self.context.n_ctx() as usize;
        if length <= limit {
            return Ok(());
        }
        Err(ModelError::Request(format!(
            "prompt and answer take {length} tokens, the model reads {limit}"
        )))
    }

    /// Tokens of the rendered prompt; at least one.
    fn prompt_tokens(&self, messages: &[Message]) -> Result<Vec<LlamaToken>, ModelError> {
        let text =
            self.template.render(messages).map_err(|e| ModelError::Request(e.to_string()))?;
        // Templates write their own beginning-of-sequence; without one the tokeniser does, but
        // nothing may end the sequence before the answer.
        let plain = self.template.is_plain();
        let mut tokens = self.vocab.tokenize(text.as_bytes(), false, !plain);
        let bos = self.vocab.bos();
        if bos.0 >= 0 && (tokens.is_empty() || plain && self.vocab.should_add_bos()) {
            tokens.insert(0, bos);
        }
        let eos = self.vocab.eos();
        if tokens.is_empty() && eos.0 >= 0 {
            tokens.push(eos);
        }
        if tokens.is_empty() {
            let text = "the prompt is empty and the model has no beginning-of-sequence token";
            return Err(ModelError::Request(text.to_owned()));
        }
        Ok(tokens)
    }

    /// Makes the context hold the prompt but its last token, which is returned.
    fn read_prompt(&mut self, mut prompt: Vec<LlamaToken>) -> Result<LlamaToken, ModelError> {
        let last = prompt
            .pop()
            .ok_or_else(|| ModelError::Request("the prompt has no tokens".to_owned()))?;
        if self.held == prompt && self.forget_answer() {
            return Ok(last);
        }
        self.context.clear_kv_cache();
        self.held.clear();
        let mut position = 0;
        for chunk in prompt.chunks(self.chunk) {
            self.decode(chunk, position, Wanted::Nothing)?;
            position += chunk.len();
        }
        self.held = prompt;
        Ok(last)
    }

    /// Takes back everything after the prompt; recurrent models can't.
    fn forget_answer(&mut self) -> bool {
        let Ok(end) = u32::try_from(self.held.len()) else { return false };
        end > 0 && matches!(self.context.clear_kv_cache_seq(Some(0), Some(end), None), Ok(true))
    }

    /// One pass over at most a chunk of tokens that begin at `position`.
    fn decode(
        &mut self,
        tokens: &[LlamaToken],
        position: usize,
        wanted: Wanted,
    ) -> Result<(), ModelError> {
        self.batch.clear();
        for (i, &token) in tokens.iter().enumerate() {
            let logits = match wanted {
                Wanted::All => true,
                Wanted::Last => i + 1 == tokens.len(),
                Wanted::Nothing => false,
            };
            let at = i32::try_from(position + i)
                .map_err(|_| ModelError::Request("the text is too long".to_owned()))?;
            self.batch
                .add(token, at, &[SEQUENCE], logits)
                .map_err(|error| ModelError::Request(format!("llama.cpp: {error}")))?;
        }
        let done = self.context.decode(&mut self.batch);
        if done.is_err() {
            // What the context holds now is unknown.
            self.held.clear();
            self.context.clear_kv_cache();
        }
        done.map_err(|error| ModelError::Request(format!("llama.cpp: {error}")))
    }
}

/// The positions of a pass whose logits are needed.
#[derive(Clone, Copy)]
enum Wanted {
    All,
    Last,
    Nothing,
}
