//! Whether a pair is kept: a function of both slots that doesn't change when they are swapped.

use crate::limits::Cost;
use crate::response::Answer;
use stillwatch_evidence::ledger::{Opening, parse_salts, text_commitment};

/// Why a pair is set aside, the first that applies to either slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// The upstream couldn't be reached, or broke off.
    Upstream,
    /// The upstream answered with an error.
    Status,
    /// It took too long.
    TimeOut,
    /// It was longer than what is kept.
    Overflow,
    /// It wasn't what its end point answers, or packed.
    Unreadable,
    /// It ended without the end that its protocol has.
    Incomplete,
    /// The model or its filter declined to answer.
    Refused,
    /// It held more than text.
    OtherParts,
    /// It was empty.
    Empty,
    /// The guard was stopped before both had ended.
    Stopped,
}

impl Failure {
    /// All of them, in order.
    pub const ALL: [Self; 10] = [
        Self::Upstream,
        Self::Status,
        Self::TimeOut,
        Self::Overflow,
        Self::Unreadable,
        Self::Incomplete,
        Self::Refused,
        Self::OtherParts,
        Self::Empty,
        Self::Stopped,
    ];

    /// The one of this name; what is unknown was written by another version and counts as
    /// [`Self::Unreadable`].
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|one| one.name() == name).unwrap_or(Self::Unreadable)
    }

    /// Stable name, for counters and for what stands in the ledger's place of the texts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Status => "status",
            Self::TimeOut => "time_out",
            Self::Overflow => "overflow",
            Self::Unreadable => "unreadable",
            Self::Incomplete => "incomplete",
            Self::Refused => "refused",
            Self::OtherParts => "other_parts",
            Self::Empty => "empty",
            Self::Stopped => "stopped",
        }
    }
}

/// How one slot ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SlotEnd {
    /// What was read of its text.
    pub(super) text: String,
    /// Why it can't count.
    pub(super) failure: Option<Failure>,
    /// What it cost, where the upstream said so.
    pub(super) cost: Option<Cost>,
    /// Why the answer ended.
    pub(super) finish_reason: Option<String>,
}

impl SlotEnd {
    /// A slot that failed before it had any text.
    pub(super) fn failed(failure: Failure) -> Self {
        Self { failure: Some(failure), ..Self::default() }
    }

    /// A slot whose body was read to its end, or as far as it came.
    pub(super) fn of(answer: Answer, failure: Option<Failure>) -> Self {
        let own = if answer.is_cut {
            Some(Failure::Overflow)
        } else if !answer.complete {
            Some(Failure::Incomplete)
        } else if answer.refused {
            Some(Failure::Refused)
        } else if answer.has_other_parts {
            Some(Failure::OtherParts)
        } else if answer.text.is_empty() {
            Some(Failure::Empty)
        } else {
            None
        };
        let Answer { text, cost, finish_reason, .. } = answer;
        Self { text, failure: failure.or(own), cost, finish_reason }
    }
}

/// Why the pair is set aside, if it is.
pub(super) fn judge(a: &SlotEnd, b: &SlotEnd) -> Option<Failure> {
    a.failure.into_iter().chain(b.failure).min()
}

/// What the second entry commits to in the place of both texts of a pair that is set aside: the
/// reason, and the commitments to the texts as they ended, in slot order. The same for both
/// slots, so that the pair is one of identical twins, which no test uses.
///
/// # Errors
/// The opening has no salts (never, for one that the ledger made).
pub fn set_aside_text(
    failure: Failure,
    opening: &Opening,
    texts: &[String; 2],
) -> Result<String, String> {
    let salts = parse_salts(&opening.salts)?;
    let slots: Vec<String> = salts
        .iter()
        .zip(texts)
        .map(|(salt, text)| text_commitment(salt, text).to_string())
        .collect();
    let record = serde_json::json!({ "stillwatch_set_aside": failure.name(), "slots": slots });
    Ok(record.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swapping_the_slots_changes_nothing() {
        let ends: Vec<SlotEnd> = Failure::ALL
            .iter()
            .map(|&failure| SlotEnd { text: "x".to_owned(), ..SlotEnd::failed(failure) })
            .chain([SlotEnd { text: "y".to_owned(), ..SlotEnd::default() }])
            .collect();
        for a in &ends {
            for b in &ends {
                assert_eq!(judge(a, b), judge(b, a));
                assert_eq!(judge(a, b).is_none(), a.failure.is_none() && b.failure.is_none());
            }
        }
    }

    #[test]
    fn what_stands_for_the_texts_is_the_same_in_both_slots_and_binds_them() {
        let opening = Opening {
            id: "x".to_owned(),
            sequence: 0,
            salts: vec!["11".repeat(32), "22".repeat(32)],
            slot: Some(1),
        };
        let texts = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        let one = set_aside_text(Failure::TimeOut, &opening, &texts("a", "b")).expect("salts");
        assert!(one.contains("time_out"));
        assert_ne!(
            one,
            set_aside_text(Failure::TimeOut, &opening, &texts("a", "c")).expect("salts")
        );
        // It doesn't tell the slot.
        let other = Opening { slot: Some(0), ..opening };
        assert_eq!(one, set_aside_text(Failure::TimeOut, &other, &texts("a", "b")).expect("salts"));
    }
}
