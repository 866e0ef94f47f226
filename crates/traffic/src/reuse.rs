//! Whether prompts contain earlier answers of the same account: people work with what they get.
//!
//! Of all answers only shingles below a fixed share of the hash space are looked at, and of these
//! the 32 smallest are kept with the time of the earliest answer; each kept prompt has its four
//! smallest shingles. Below the smaller of the two limits both sides are complete: a shingle of a
//! prompt that is smaller and isn't among those of the answers stands in none that was read.

use crate::features::{ANSWER_GRAM_BELOW, item};
use crate::sample::Entry;
use crate::sketch::{AccountSketch, SAID};

impl AccountSketch {
    /// For each record whether it contains an earlier answer; none where none of its shingles is
    /// small enough to tell. Shingles of more than one record are a frame, not an answer.
    pub(crate) fn uses_answers(&self) -> Vec<Option<bool>> {
        let said = self.said.entries();
        let limit = match said.last() {
            Some(last) if said.len() == SAID => last.key(),
            _ => ANSWER_GRAM_BELOW - 1,
        };
        let small = |items: &[u32]| {
            let grams = items.get(item::GRAMS).unwrap_or_default();
            grams.iter().copied().filter(|gram| *gram != 0 && *gram <= limit).collect::<Vec<u32>>()
        };
        let of_records: Vec<Vec<u32>> =
            self.records.entries().iter().map(|r| small(&r.items)).collect();
        let mut all = of_records.concat();
        all.sort_unstable();
        let is_own = |gram: &u32| {
            let from = all.partition_point(|g| g < gram);
            all.get(from + 1) != Some(gram)
        };
        self.records
            .entries()
            .iter()
            .zip(&of_records)
            .map(|(record, grams)| {
                let mut own = grams.iter().filter(|gram| is_own(gram)).peekable();
                own.peek()?;
                Some(own.any(|gram| {
                    let at = said.binary_search_by_key(gram, Entry::key).ok();
                    at.and_then(|i| said.get(i)).is_some_and(|s| s.time_s < record.time_s)
                }))
            })
            .collect()
    }

    /// Of the records of which it can be told, the share that contain an earlier answer.
    pub(crate) fn answers_used(&self) -> f64 {
        let told: Vec<bool> = self.uses_answers().into_iter().flatten().collect();
        told.iter().filter(|used| **used).count() as f64 / told.len().max(1) as f64
    }
}
