//! One model, several contexts: each sequence has a slot of its own.
//!
//! Slots work side by side, one llama.cpp thread each (more only where there are more threads
//! than slots). That keeps scores the same for any number of slots, and llama.cpp's spinning
//! barriers from wasting a busy machine. A slot is made when it is first needed.

use super::run::Runner;
use crate::{ChatTemplate, ModelError, SampleRequest, Sampled, ScoreRequest, Scored};
use llama_cpp_2::{
    context::params::LlamaContextParams, llama_backend::LlamaBackend, model::LlamaModel,
};
use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// Slots at most: each holds keys and values of a whole context.
const SLOTS_MAX: usize = 8;
/// Logits of one chunk, in numbers: 64 MB.
const LOGITS_MAX: u32 = 1 << 24;
/// Positions per chunk at most, and at least.
const CHUNK_MAX: u32 = 256;
const CHUNK_MIN: u32 = 32;

/// The shape that all slots share; it decides the bits of a score.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    n_ctx: u32,
    chunk: u32,
    slots: usize,
    threads: i32,
}

impl Shape {
    /// For a model on so many threads and contexts of at most so many tokens.
    pub(super) fn new(model: &LlamaModel, threads: usize, context_max: usize) -> Self {
        let context_max = u32::try_from(context_max).unwrap_or(u32::MAX).max(2);
        let n_vocab = u32::try_from(model.n_vocab()).unwrap_or(0).max(1);
        let slots = threads.clamp(1, SLOTS_MAX);
        Self {
            n_ctx: model.n_ctx_train().clamp(2, context_max),
            // Steps of 32, so that kernels run on whole tiles.
            chunk: (LOGITS_MAX / n_vocab / 32 * 32).clamp(CHUNK_MIN, CHUNK_MAX),
            slots,
            threads: i32::try_from(threads / slots).unwrap_or(i32::MAX).max(1),
        }
    }

    /// What can change a score's bits, as text.
    pub(super) fn settings(self) -> String {
        format!(
            "llama-cpp-2 0.1.160, cpu, n_ctx {}, n_ubatch {}, threads per slot {}, kv f16, \
             flash attention off, split at the answer",
            self.n_ctx, self.chunk, self.threads
        )
    }

    fn params(self) -> LlamaContextParams {
        LlamaContextParams::default()
            .with_n_ctx(NonZeroU32::new(self.n_ctx))
            .with_n_batch(self.chunk)
            .with_n_ubatch(self.chunk)
            .with_n_seq_max(1)
            .with_n_threads(self.threads)
            .with_n_threads_batch(self.threads)
            .with_flash_attention_policy(0)
            // The prompt stays whole while answers come and go.
            .with_swa_full(true)
            .with_no_perf(true)
    }
}

/// The slots made so far.
pub(super) struct Slots<'a> {
    backend: &'a LlamaBackend,
    model: &'a LlamaModel,
    template: &'a ChatTemplate,
    shape: Shape,
    runners: Vec<Runner<'a>>,
}

impl<'a> Slots<'a> {
    /// Makes the first slot.
    pub(super) fn new(
        backend: &'a LlamaBackend,
        model: &'a LlamaModel,
        template: &'a ChatTemplate,
        shape: Shape,
    ) -> Result<Self, String> {
        let mut slots = Self { backend, model, template, shape, runners: Vec::new() };
        slots.add()?;
        Ok(slots)
    }

    fn add(&mut self) -> Result<(), String> {
        let context = self
            .model
            .new_context(self.backend, self.shape.params())
            .map_err(|error| format!("no memory for {} tokens: {error}", self.shape.n_ctx))?;
        let chunk = self.shape.chunk as usize;
        self.runners.push(Runner::new(context, self.model.vocab(), self.template, chunk));
        Ok(())
    }

    pub(super) fn score(&mut self, requests: &[ScoreRequest]) -> Vec<Result<Scored, ModelError>> {
        // The two texts of a pair share the prompt's passes, unless slots would stand idle.
        let mut groups: Vec<&[ScoreRequest]> =
            requests.chunk_by(|a, b| a.messages == b.messages).collect();
        if groups.len() < self.shape.slots {
            groups = requests.chunks(1).collect();
        }
        let work = |runner: &mut Runner<'a>, group: &&[ScoreRequest]| {
            group.iter().map(|request| runner.score(request)).collect::<Vec<_>>()
        };
        self.spread(&groups, work).into_iter().flatten().collect()
    }

    pub(super) fn sample(
        &mut self,
        requests: &[SampleRequest],
    ) -> Vec<Result<Sampled, ModelError>> {
        self.spread(requests, |runner: &mut Runner<'a>, request| runner.sample(request))
    }

    /// Each item by whichever slot is free next; results in the order of the items.
    fn spread<T: Sync, R: Send>(
        &mut self,
        items: &[T],
        work: impl Fn(&mut Runner<'a>, &T) -> R + Sync,
    ) -> Vec<R> {
        while self.runners.len() < self.shape.slots.min(items.len()) {
            if self.add().is_err() {
                // Memory is short: the slots that are there do it.
                self.shape.slots = self.runners.len();
            }
        }
        let next = AtomicUsize::new(0);
        let (next, work) = (&next, &work);
        let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .runners
                .iter_mut()
                .take(items.len())
                .map(|runner| {
                    scope.spawn(move || {
                        let mut done = Vec::new();
                        loop {
                            let i = next.fetch_add(1, Relaxed);
                            let Some(item) = items.get(i) else { return done };
                            done.push((i, work(runner, item)));
                        }
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| {
                    // A panic in llama.cpp's wrapper ends the worker; the caller is told.
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        results.sort_by_key(|(i, _)| *i);
        results.into_iter().map(|(_, result)| result).collect()
    }
}
