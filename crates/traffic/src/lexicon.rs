//! The words that the room knows: those that name reasoning, demand it, or say nothing.

use crate::hash::{HashKey, WORD_BYTES_MAX};
use crate::text::Word;

/// What kind of word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Says what the text is about.
    Content,
    /// Function word or too short to say anything.
    Function,
    /// Has a digit.
    Number,
    /// Names reasoning (`reasoning`, `rationale`, …).
    Cue,
    /// Names reasoning in company (`step`, `thought`, …).
    Step,
    /// Demands completeness (`show`, `every`, …).
    Demand,
}

const FUNCTION_WORDS: &str = "a an the and or but if of to in on at by for with from as is are was were be been am do does did \
    have has had i you he she it we they me him her us them my your his its our their this that these those what which who whom \
    when where why how can could will would shall should may might must not no yes so than too very just about into over under \
    again there here s t re ve ll d m please hi hello thanks thank der die das und oder ein eine ist sind nicht mit von zu im den \
    le la les un une et ou de des du est sont que qui dans pour el los las y o en es son por para con il lo gli e di";
/// Names of reasoning that mean little else.
const CUE_WORDS: &str = "reasoning rationale rationales stepwise thinking derivation deduction scratchpad inference inferences \
    monologue cot deliberation workings gedankengang begründung raisonnement razonamiento ragionamento raciocínio рассуждение";
/// Words that name reasoning in company only (`step by step`, `chain of thought`, `every step`).
const STEP_WORDS: &str = "step steps chain thought thoughts think reason reasons logic intermediate stage stages working schritt \
    schritte étape étapes paso pasos passo passos шаг";
/// Demands for completeness.
const DEMAND_WORDS: &str = "show every each all full fully complete completely detail detailed details aloud explicitly explicit \
    carefully entire verbatim verbose thorough thoroughly explain describe lay walk write share include spell jeden alle chaque \
    toutes cada todos";

/// Buckets of the table (a power of two) and words in each.
const BUCKETS: usize = 512;
const BUCKET: usize = 4;
/// Kinds by the number in a table's entry; 0 is no word of the lexicon.
const KINDS: [Kind; 8] = [
    Kind::Content,
    Kind::Cue,
    Kind::Step,
    Kind::Demand,
    Kind::Function,
    Kind::Content,
    Kind::Content,
    Kind::Content,
];

/// The words that the room knows, found by their hashes under the key: by 38 bits of them, so
/// that one in 10^8 of the other words is taken for one of these.
#[derive(Debug, Clone)]
pub(crate) struct Lexicon {
    /// Entries: 29 bits of the hash above the number of the kind.
    buckets: Vec<[u32; BUCKET]>,
    /// How far hashes are turned before bits are taken, so that no bucket overflows.
    turn: u32,
}

impl Lexicon {
    pub(crate) fn new(key: &HashKey) -> Self {
        let mut known: Vec<(u64, u32)> = Vec::new();
        for (words, kind) in
            [(CUE_WORDS, 1), (STEP_WORDS, 2), (DEMAND_WORDS, 3), (FUNCTION_WORDS, 4)]
        {
            for word in words.split_whitespace() {
                let mut bytes = [0u8; WORD_BYTES_MAX];
                for (to, from) in bytes.iter_mut().zip(word.bytes()) {
                    *to = from;
                }
                let hash = key.word(&bytes, word.len().min(WORD_BYTES_MAX));
                // A word in two lists keeps the first kind.
                if known.iter().all(|(h, _)| *h != hash) {
                    known.push((hash, kind));
                }
            }
        }
        // One turn in ten overflows a bucket; with the last one a few words may be left out.
        let fits = |turn: &u32| Self::fill(&known, *turn).1;
        let turn = (0..32).find(fits).unwrap_or(0);
        Self { buckets: Self::fill(&known, turn).0, turn }
    }

    /// The table, and whether every word found room.
    fn fill(known: &[(u64, u32)], turn: u32) -> (Vec<[u32; BUCKET]>, bool) {
        let mut buckets = vec![[0; BUCKET]; BUCKETS];
        let mut fits = true;
        for (hash, kind) in known {
            let (bucket, tag) = place(*hash, turn);
            let free = buckets.get_mut(bucket).and_then(|b| b.iter_mut().find(|e| **e == 0));
            match free {
                Some(entry) => *entry = tag | kind,
                None => fits = false,
            }
        }
        (buckets, fits)
    }

    /// What kind of word has the hash. Words of fewer than four bytes say nothing.
    #[inline]
    pub(crate) fn kind(&self, hash: u64, n_bytes: usize, number: bool) -> Kind {
        let (bucket, tag) = place(hash, self.turn);
        let entries = self.buckets.get(bucket).copied().unwrap_or_default();
        // Without branches: which words come next can't be foreseen.
        let known = entries.iter().fold(0, |found, entry| {
            let differs = entry ^ tag;
            found | if differs < 8 { differs } else { 0 }
        });
        let other = if n_bytes < 4 { Kind::Function } else { Kind::Content };
        let kind = KINDS.get(known as usize).copied().unwrap_or(other);
        let kind = if known == 0 { other } else { kind };
        if number { Kind::Number } else { kind }
    }
}

/// Bucket and entry (without a kind) of a hash.
#[inline]
fn place(hash: u64, turn: u32) -> (usize, u32) {
    let turned = hash.rotate_left(turn);
    let tag = u32::try_from(turned >> 26 & 0x1fff_ffff).unwrap_or(0) << 3;
    ((turned >> 55) as usize % BUCKETS, tag)
}

/// Whether the text asks for the reasoning itself: a name of it within [`CUE_REACH`] words of a
/// demand, a word that names it in company within [`STEP_REACH`] words of a demand or of another
/// such word (`step by step`, `chain of thought`).
pub(crate) fn asks_for_reasoning(words: &[Word]) -> bool {
    let (mut cue, mut step, mut demand) = (None, None, None);
    for (i, word) in words.iter().enumerate() {
        let within = |last: Option<usize>, reach: usize| last.is_some_and(|last| i - last <= reach);
        let asks = match word.kind {
            Kind::Cue => {
                cue = Some(i);
                within(demand, CUE_REACH) || within(step, STEP_REACH)
            }
            Kind::Step => {
                let asks = within(demand, STEP_REACH)
                    || within(step, STEP_REACH)
                    || within(cue, STEP_REACH);
                step = Some(i);
                asks
            }
            Kind::Demand => {
                demand = Some(i);
                within(cue, CUE_REACH) || within(step, 1)
            }
            _ => continue,
        };
        if asks {
            return true;
        }
    }
    false
}

/// Words between a name of reasoning and the demand for it.
const CUE_REACH: usize = 8;
/// Words between two words that name reasoning in company.
const STEP_REACH: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Reader;

    #[test]
    fn every_word_is_found_whatever_the_key() {
        for seed in 0..40 {
            let key = HashKey::new(&[seed; 32]);
            let lexicon = Lexicon::new(&key);
            let mut reader = Reader::new(&key);
            for (words, kind) in [(CUE_WORDS, Kind::Cue), (FUNCTION_WORDS, Kind::Function)] {
                for word in reader.read(words, &key) {
                    assert_eq!(word.kind, kind, "{seed}");
                }
            }
            assert_eq!(lexicon.kind(12_345, 9, false), Kind::Content);
            assert_eq!(lexicon.kind(12_345, 9, true), Kind::Number);
        }
    }

    fn asks(text: &str) -> bool {
        let key = HashKey::new(&[7; 32]);
        asks_for_reasoning(Reader::new(&key).read(text, &key))
    }

    #[test]
    fn demands_for_reasoning_are_told_from_questions() {
        for (text, expected) in [
            ("Think step by step and then answer.", true),
            ("Show your complete reasoning before the result.", true),
            ("Give the full chain of thought.", true),
            ("Lay out each stage of your thinking.", true),
            ("What is the capital of France?", false),
            ("Translate the following sentence into German.", false),
            ("I think this function is slow, can you look at it?", false),
            ("Fix the next step of my build", false),
            (
                "One line per incident, severity first, then owner, then next step. Skip closed items.",
                false,
            ),
            ("Think carefully about it.", true),
            ("List every intermediate step.", true),
        ] {
            assert_eq!(asks(text), expected, "{text}");
        }
    }
}
