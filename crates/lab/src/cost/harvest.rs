//! What it would have cost to buy the answers instead: a harvest at list prices, and fine-tuning.

use super::answer::gpu_money;
use super::registry::Registry;
use super::{CostError, Question, Range};
use serde::Serialize;

/// What an API would have charged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fetched {
    /// Key of the price.
    pub price: String,
    /// Whose API.
    pub label: String,
    /// Dollars.
    pub usd: Range,
    /// What the money doesn't buy.
    pub caveat: Option<String>,
}

/// The distillation alternative.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Harvest {
    /// Prompts.
    pub prompts: f64,
    /// Tokens of a prompt (an assumption).
    pub prompt_tokens: f64,
    /// Tokens of an answer (an assumption, as a range).
    pub answer_tokens: Range,
    /// Passes over the answers.
    pub epochs: f64,
    /// The harvest at list prices.
    pub answers: Vec<Fetched>,
    /// Parameters of the student that learns them.
    pub student_params: Option<f64>,
    /// FLOP of fine-tuning, 6·N·D·epochs.
    pub sft_flop: Option<Range>,
    /// GPU-hours of fine-tuning.
    pub sft_gpu_hours: Option<Range>,
    /// Dollars of fine-tuning.
    pub sft_usd: Option<Range>,
    /// As many tokens as the whole training, written by an API.
    pub whole_diet: Vec<Fetched>,
}

const MILLION: f64 = 1e6;

/// Prices the alternative.
pub(super) fn harvest(question: &Question, registry: &Registry) -> Result<Harvest, CostError> {
    let defaults = &registry.harvest;
    let mut answers = Vec::new();
    for name in &question.teachers {
        let price = registry.price(name)?;
        let usd = |answer: f64| {
            let per_prompt =
                defaults.prompt_tokens * price.usd_in.value + answer * price.usd_out.value;
            question.prompts * per_prompt / MILLION
        };
        answers.push(Fetched {
            price: price.name.clone(),
            label: price.label.clone(),
            usd: Range {
                low: usd(question.answer_tokens.low),
                high: usd(question.answer_tokens.high),
            },
            caveat: price.caveat.clone(),
        });
    }
    let mut whole_diet = Vec::new();
    if let Some(tokens) = question.tokens {
        for name in &question.pages {
            let price = registry.price(name)?;
            let usd = tokens * price.usd_out.value / MILLION;
            whole_diet.push(Fetched {
                price: price.name.clone(),
                label: price.label.clone(),
                usd: Range { low: usd, high: usd },
                caveat: None,
            });
        }
    }
    let sft_flop = question.student_params.map(|n| {
        let tokens = |answer: f64| question.prompts * answer * defaults.epochs;
        Range {
            low: 6.0 * n * tokens(question.answer_tokens.low),
            high: 6.0 * n * tokens(question.answer_tokens.high),
        }
    });
    let sft = sft_flop.map(|flop| gpu_money(question, flop));
    Ok(Harvest {
        prompts: question.prompts,
        prompt_tokens: defaults.prompt_tokens,
        answer_tokens: question.answer_tokens,
        epochs: defaults.epochs,
        answers,
        student_params: question.student_params,
        sft_flop,
        sft_gpu_hours: sft.map(|(hours, _)| hours),
        sft_usd: sft.map(|(_, usd)| usd),
        whole_diet,
    })
}
