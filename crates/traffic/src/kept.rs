//! What a sketch keeps, for those who test what was found: hashes and numbers, no text.

use crate::features::{ITEMS, TOPICS};
use crate::sample::Entry;
use crate::shared;
use crate::sketch::{AccountSketch, Record};

/// One kept prompt of an account and what came with it; repeats are absorbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptPrompt {
    /// The prompt after normalisation, hashed.
    pub prompt: u32,
    /// When first asked, seconds since the epoch.
    pub time_s: u32,
    /// Hashes by which texts are compared; 0 where there is none.
    pub items: [u32; ITEMS],
    /// Hashes of some of its content words; 0 where there are fewer.
    pub topics: [u16; TOPICS],
    /// Words of the prompt.
    pub words: u16,
    /// Tokens of the answer.
    pub answer_tokens: u16,
    /// Model and parameters, hashed.
    pub profile: u16,
    /// Times asked.
    pub n: u16,
    /// Messages in the request.
    pub n_messages: u8,
    /// Whether it asks for the reasoning itself.
    pub asks_reasoning: bool,
    /// Whether it contains an earlier answer; false where that can't be told.
    pub uses_answer: bool,
}

impl KeptPrompt {
    fn of(record: &Record, uses_answer: Option<bool>) -> Self {
        Self {
            prompt: record.prompt,
            time_s: record.time_s,
            items: record.items,
            topics: record.topics,
            words: record.words,
            answer_tokens: record.answer_tokens,
            profile: record.profile,
            n: record.n,
            n_messages: record.n_messages,
            asks_reasoning: record.has(Record::ASKS_REASONING),
            uses_answer: uses_answer == Some(true),
        }
    }
}

impl AccountSketch {
    /// The kept prompts: all of them where there are few, else a uniform sample.
    pub fn kept_prompts(&self) -> Vec<KeptPrompt> {
        let with_use = self.records.entries().iter().zip(self.uses_answers());
        with_use.map(|(record, uses_answer)| KeptPrompt::of(record, uses_answer)).collect()
    }

    /// Of each kept prompt, when it was first asked (seconds since the epoch) and the hashes by
    /// which texts are compared; 0 where there is none.
    pub fn kept_items(&self) -> impl Iterator<Item = (u32, &[u32; ITEMS])> {
        self.records.entries().iter().map(|record| (record.time_s, &record.items))
    }

    /// Networks that it came from (of those kept), hashed, ascending.
    pub fn kept_networks(&self) -> impl Iterator<Item = u32> + '_ {
        self.networks.entries().iter().map(Entry::key)
    }

    /// Its commonest client with its commonest parameters, hashed; none where both are unknown.
    pub fn client(&self) -> Option<u32> {
        shared::client(self)
    }

    /// Its plan, hashed; 0 where unknown.
    pub fn plan(&self) -> u32 {
        self.plan
    }
}
