//! The terms: which measures may be taken here, what is altered and how that is declared, what is
//! recorded.

use super::Measure;
use crate::Guard;
use serde::Serialize;
use std::collections::BTreeMap;

/// One measure that may be taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TermsMeasure {
    /// Its name.
    pub measure: &'static str,
    /// The rule that it goes by.
    pub rule: String,
    /// What it does.
    pub says: &'static str,
    /// Whether the rule only notes whom it would hit.
    pub dry_run: bool,
    /// Whether requests are refused, so that a human has to approve it.
    pub refuses: bool,
    /// `downgrade`: which model answers instead of which.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub instead: BTreeMap<String, String>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Terms {
    /// Measures that may be taken, the least harmful first.
    pub measures: Vec<TermsMeasure>,
    /// What is never done.
    pub never: Vec<String>,
    /// How alterations are declared.
    pub declared: Vec<String>,
    /// What is recorded.
    pub recorded: Vec<String>,
    /// How to contest a decision.
    pub contest: String,
}

/// The terms of this guard, from its configuration.
pub fn terms(guard: &Guard) -> Terms {
    let mut measures: Vec<TermsMeasure> = guard
        .policies
        .configs()
        .iter()
        .map(|config| TermsMeasure {
            measure: config.measure.name(),
            rule: config.name.clone(),
            says: config.measure.says(),
            dry_run: config.dry_run,
            refuses: config.measure.blocks(),
            instead: config.instead.clone(),
        })
        .collect();
    measures.sort_by_key(|entry| (Measure::from_name(entry.measure), entry.rule.clone()));
    Terms {
        measures,
        never: vec![
            "The text of a final answer is never altered.".to_owned(),
            "Nobody is refused by a machine alone: a person approves it, on three families of \
             evidence."
                .to_owned(),
        ],
        declared: vec![
            "An answer that was altered, or given by another model, says so in the header \
             stillwatch-policy: MEASURE; decision=NAME. A refused request names its decision in \
             the body."
                .to_owned(),
            "Reasoning and log-probabilities may be taken out of answers by a measure above; the \
             final answer stays."
                .to_owned(),
            "What is done can be read, and contested, at /stillwatch/decisions/NAME.".to_owned(),
        ],
        recorded: recorded(guard),
        contest: "POST /stillwatch/decisions/NAME/appeal with {\"text\", \"contact\"}".to_owned(),
    }
}

fn recorded(guard: &Guard) -> Vec<String> {
    let mut recorded = Vec::new();
    let rate = guard.config.exposure.rate;
    if guard.exposure.is_some() && rate > 0.0 {
        recorded.push(format!(
            "Of about {}% of requests two answers are sampled and a coin decides which one is \
             sent; the request, both answers and a salted commitment to the coin are kept, so that \
             it can be tested later whether a model was trained on answers from here. Such an \
             answer carries a receipt in the header stillwatch-receipt.",
            rate * 100.0
        ));
    }
    if guard.config.live.enabled {
        recorded.push(
            "Of each account numbers and keyed hashes of how it asks are kept, to tell systematic \
             harvesting from use; texts can't be got back from them."
                .to_owned(),
        );
    }
    recorded.push(if guard.observer.keeps_exchanges() {
        "Prompts and answers are kept, because the operator configured it.".to_owned()
    } else {
        "Apart from that, prompts and answers aren't kept.".to_owned()
    });
    recorded
}
