//! Scores of texts by suspects that only answer: the same null as with likelihoods, less power.
//!
//! - [`by_similarity`]: the suspect answers the exposure's prompt, which holds none of its
//!   texts; each text's score is its mean [`similarity`](crate::similarity) to the answers. The
//!   texts are shown to no one.
//! - [`by_forced_choice`]: the suspect is asked which of the texts it wrote. Every text stands
//!   once in every place, so that a suspect that prefers a place prefers no text; a text's score
//!   is the share of questions that chose it. This shows the texts to the suspect.
//!
//! **Null, and why labels are exchangeable.** Everything here is computed from the exposure's
//! prompt, its *unordered* set of texts and seeds: texts are put in an order by a hash of their
//! contents before anything is asked, and the label `released` enters only when the scores are
//! handed back. If the suspect is independent of the coin, swapping released and withheld swaps
//! the scores and does nothing else, so `similarity(answer, released) − similarity(answer,
//! withheld)` has the law of its negative, and the twins test of `stats` applies as it stands.
//! A failure of any question drops the exposure, whichever text it was about.

use crate::similarity::Words;
use sha2::{Digest, Sha256};
use stillwatch_evidence::{Exposure, Message, Progress};
use stillwatch_models::{
    AnswerCache, Model, ModelError, SampleParams, SampleRequest, Sampled, sample_cached,
};

/// Letters that name the texts in a forced choice; `I` is left out, answers begin with it.
const LETTERS: &[u8] = b"ABCDEFGHJKLMNOPQRSTUVWXYZ";
/// Longest answer to a forced choice, tokens: room for a short sentence around the letter.
const CHOICE_TOKENS: usize = 16;

/// How to ask. The same for every exposure and every text, so blind to the coin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SamplingParams {
    /// Answers per prompt, or times that each order of a forced choice is asked; at least 1.
    pub samples: usize,
    /// Softmax temperature.
    pub temperature: f64,
    /// Nucleus mass.
    pub top_p: f64,
    /// Longest answer, tokens.
    pub max_tokens: usize,
    /// Seed of the answers and of the texts' places.
    pub seed: u64,
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self { samples: 4, temperature: 0.7, top_p: 1.0, max_tokens: 256, seed: 0 }
    }
}

/// Scores of each exposure's texts by one model, released first, in [0, 1]; in the order of the
/// exposures. An exposure with any failed answer has that error instead.
pub fn by_similarity(
    model: &dyn Model,
    exposures: &[&Exposure],
    params: &SamplingParams,
    cache: &mut AnswerCache,
    progress: &dyn Progress,
) -> Vec<Result<Vec<f64>, ModelError>> {
    let questions: Vec<Vec<SampleRequest>> = exposures
        .iter()
        .map(|exposure| {
            (0..params.samples.max(1))
                .map(|sample| SampleRequest {
                    messages: exposure.messages.clone(),
                    params: sample_params(params, params.max_tokens, &exposure.id, sample),
                })
                .collect()
        })
        .collect();
    let answers = ask(model, &questions, cache, progress);
    let score = |(exposure, answers): (&&Exposure, Result<Vec<Sampled>, ModelError>)| {
        let answers: Vec<Words> = answers?.iter().map(|a| Words::new(&a.text)).collect();
        let score = |text: &str| {
            let text = Words::new(text);
            let total: f64 = answers.iter().map(|answer| answer.similarity(&text)).sum();
            total / answers.len() as f64
        };
        Ok(texts(exposure).map(score).collect())
    };
    exposures.iter().zip(answers).map(score).collect()
}

/// Share of the questions in which one model said that it wrote the text, released first; in the
/// order of the exposures. Answers that name no text speak for none.
pub fn by_forced_choice(
    model: &dyn Model,
    exposures: &[&Exposure],
    params: &SamplingParams,
    cache: &mut AnswerCache,
    progress: &dyn Progress,
) -> Vec<Result<Vec<f64>, ModelError>> {
    let choices: Vec<Choice<'_>> =
        exposures.iter().map(|exposure| Choice::new(exposure, params.seed)).collect();
    let questions: Vec<Vec<SampleRequest>> = choices.iter().map(|c| c.requests(params)).collect();
    let answers = ask(model, &questions, cache, progress);
    choices.iter().zip(answers).map(|(choice, answers)| choice.scores(&answers?)).collect()
}

/// One forced choice: the texts in an order that depends on their contents and the seed.
struct Choice<'a> {
    exposure: &'a Exposure,
    /// Text `order[j]` (0: released) is the j-th.
    order: Vec<usize>,
}

impl<'a> Choice<'a> {
    fn new(exposure: &'a Exposure, seed: u64) -> Self {
        let mut order: Vec<(Vec<u8>, usize)> = texts(exposure)
            .enumerate()
            .map(|(i, text)| (hash(&[&seed.to_le_bytes(), b"place", text.as_bytes()]), i))
            .collect();
        order.sort();
        Self { exposure, order: order.into_iter().map(|(_, i)| i).collect() }
    }

    /// One question for every rotation of the order, `samples` times: each text stands in each
    /// place equally often.
    fn requests(&self, params: &SamplingParams) -> Vec<SampleRequest> {
        (0..params.samples.max(1))
            .flat_map(|sample| (0..self.order.len()).map(move |rotation| (sample, rotation)))
            .map(|(sample, rotation)| {
                let number = sample * self.order.len() + rotation;
                SampleRequest {
                    messages: vec![self.question(rotation)],
                    params: sample_params(params, CHOICE_TOKENS, &self.exposure.id, number),
                }
            })
            .collect()
    }

    /// Which text stands at a place of a rotation.
    fn at(&self, rotation: usize, place: usize) -> Option<usize> {
        self.order.get((place + rotation) % self.order.len()).copied()
    }

    fn question(&self, rotation: usize) -> Message {
        let all: Vec<&str> = texts(self.exposure).collect();
        let n = all.len();
        let mut content = format!(
            "Below are a conversation and {n} answers to it, each under a letter. You wrote one \
             of the answers. Which one? Reply with its letter only.\n\nConversation:\n"
        );
        for message in &self.exposure.messages {
            content.extend([&message.role, ": ", &message.content, "\n"]);
        }
        for (place, letter) in LETTERS.iter().enumerate().take(n) {
            let text = self.at(rotation, place).and_then(|i| all.get(i)).copied();
            content.push_str("\nAnswer ");
            content.push(char::from(*letter));
            content.extend([":\n", text.unwrap_or_default(), "\n"]);
        }
        content.push_str("\nWhich answer did you write? Reply with one letter.");
        Message { role: "user".to_owned(), content }
    }

    fn scores(&self, answers: &[Sampled]) -> Result<Vec<f64>, ModelError> {
        let n = self.order.len();
        if n > LETTERS.len() {
            return Err(ModelError::Request(format!(
                "a forced choice takes at most {} texts, the exposure has {n}",
                LETTERS.len()
            )));
        }
        let mut votes = vec![0_u32; n];
        for (number, answer) in answers.iter().enumerate() {
            let chosen = letter(&answer.text, n).and_then(|place| self.at(number % n, place));
            if let Some(vote) = chosen.and_then(|i| votes.get_mut(i)) {
                *vote += 1;
            }
        }
        Ok(votes.into_iter().map(|v| f64::from(v) / answers.len() as f64).collect())
    }
}

/// The place that an answer names: the first of the letters that stands alone, in upper case;
/// or, if the answer is nothing else, in lower case.
fn letter(answer: &str, n: usize) -> Option<usize> {
    let letters = LETTERS.get(..n)?;
    let place = |word: &str| match word.as_bytes() {
        [only] => letters.iter().position(|letter| letter == only),
        _ => None,
    };
    let mut words = answer.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.clone().find_map(place).or_else(|| match (words.next(), words.next()) {
        (Some(only), None) => place(&only.to_ascii_uppercase()),
        _ => None,
    })
}

/// The texts, released first.
fn texts(exposure: &Exposure) -> impl Iterator<Item = &str> {
    std::iter::once(exposure.released.as_str()).chain(exposure.withheld.iter().map(String::as_str))
}

fn sample_params(
    params: &SamplingParams,
    max_tokens: usize,
    id: &str,
    number: usize,
) -> SampleParams {
    let hash = hash(&[&params.seed.to_le_bytes(), b"answer", &number.to_le_bytes(), id.as_bytes()]);
    // 31 bits: servers read seeds as signed numbers of 32 or 64 bits.
    let seed = hash.iter().take(4).fold(0_u64, |seed, byte| seed << 8 | u64::from(*byte)) >> 1;
    SampleParams { temperature: params.temperature, top_p: params.top_p, max_tokens, seed }
}

fn hash(parts: &[&[u8]]) -> Vec<u8> {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize().to_vec()
}

/// Asks all questions of all exposures at once and hands each exposure its answers back, or the
/// gravest of its errors.
fn ask(
    model: &dyn Model,
    questions: &[Vec<SampleRequest>],
    cache: &mut AnswerCache,
    progress: &dyn Progress,
) -> Vec<Result<Vec<Sampled>, ModelError>> {
    let requests: Vec<SampleRequest> = questions.iter().flatten().cloned().collect();
    let mut answers = sample_cached(model, cache, &requests, progress).into_iter();
    questions.iter().map(|q| together(answers.by_ref().take(q.len()))).collect()
}

fn together(
    answers: impl Iterator<Item = Result<Sampled, ModelError>>,
) -> Result<Vec<Sampled>, ModelError> {
    let mut gravest: Option<ModelError> = None;
    let mut whole = Vec::new();
    for answer in answers {
        match answer {
            Ok(sampled) => whole.push(sampled),
            Err(error) => {
                if gravest.as_ref().is_none_or(|known| gravity(&error) > gravity(known)) {
                    gravest = Some(error);
                }
            }
        }
    }
    gravest.map_or(Ok(whole), Err)
}

/// One text's matter, an endpoint that may come back, a model that can't be used.
fn gravity(error: &ModelError) -> u8 {
    match error {
        ModelError::Request(_) => 0,
        ModelError::Lost(_) | ModelError::Budget(_) => 1,
        _ => 2,
    }
}
