//! From text to words: normalised, hashed under the key, each with what kind of word it is.
//!
//! A word is a run of letters and digits, in lower case; a Chinese, Japanese or Korean character
//! is a word of its own; zero-width characters are skipped, so they split nothing. Only the ends
//! of a long text are read ([`TEXT_BYTES_MAX`] at each end): instructions stand at the ends, and
//! the work per exchange stays bounded.

use crate::hash::HashKey;

/// Bytes read at each end of a text.
pub(crate) const TEXT_BYTES_MAX: usize = 4096;
/// Bytes of a word that count.
const WORD_BYTES_MAX: usize = 48;
/// Domain of word hashes.
const WORD: u8 = 1;

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

/// A hashed word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    pub(crate) hash: u64,
    pub(crate) kind: Kind,
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

/// The words that the room knows, hashed under the key.
#[derive(Debug, Clone)]
pub(crate) struct Lexicon {
    /// Sorted by hash.
    known: Vec<(u64, Kind)>,
    /// Which upper bytes occur at all: most words are told apart without a search.
    present: [u64; 64],
}

impl Lexicon {
    pub(crate) fn new(key: &HashKey) -> Self {
        let mut known = Vec::new();
        for (words, kind) in [
            (CUE_WORDS, Kind::Cue),
            (STEP_WORDS, Kind::Step),
            (DEMAND_WORDS, Kind::Demand),
            (FUNCTION_WORDS, Kind::Function),
        ] {
            known.extend(words.split_whitespace().map(|w| (key.hash(WORD, w.as_bytes()), kind)));
        }
        // A word in two lists keeps the first kind: the sort is stable.
        known.sort_by_key(|(hash, _)| *hash);
        known.dedup_by_key(|(hash, _)| *hash);
        let mut present = [0u64; 64];
        for (hash, _) in &known {
            let (slot, bit) = filter(*hash);
            if let Some(slot) = present.get_mut(slot) {
                *slot |= bit;
            }
        }
        Self { known, present }
    }

    fn kind(&self, hash: u64, n_bytes: usize, number: bool) -> Kind {
        if number {
            return Kind::Number;
        }
        let (slot, bit) = filter(hash);
        if self.present.get(slot).is_some_and(|s| s & bit != 0)
            && let Ok(i) = self.known.binary_search_by_key(&hash, |(h, _)| *h)
            && let Some((_, kind)) = self.known.get(i)
        {
            return *kind;
        }
        if n_bytes < 4 { Kind::Function } else { Kind::Content }
    }
}

/// Slot and bit of a hash in the filter of 4,096 bits.
fn filter(hash: u64) -> (usize, u64) {
    let h = usize::try_from(hash >> 52).unwrap_or(0);
    (h >> 6, 1 << (h & 63))
}

/// Hashes the words of the text into `words`, which is emptied first.
pub(crate) fn words_into(text: &str, key: &HashKey, lexicon: &Lexicon, words: &mut Vec<Word>) {
    words.clear();
    if text.len() <= 2 * TEXT_BYTES_MAX {
        push_words(text, key, lexicon, words);
        return;
    }
    let head = text.get(..text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default();
    let tail = text.get(text.ceil_char_boundary(text.len() - TEXT_BYTES_MAX)..);
    push_words(head, key, lexicon, words);
    push_words(tail.unwrap_or_default(), key, lexicon, words);
}

/// A word being read.
struct Builder {
    bytes: [u8; WORD_BYTES_MAX],
    n: usize,
    number: bool,
}

impl Builder {
    #[inline]
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.n) {
            *slot = byte;
            self.n += 1;
        }
    }

    fn push_char(&mut self, c: char) {
        for lower in c.to_lowercase() {
            let mut utf8 = [0u8; 4];
            for byte in lower.encode_utf8(&mut utf8).bytes() {
                self.push(byte);
            }
        }
        self.number |= c.is_numeric();
    }

    #[inline]
    fn end(&mut self, key: &HashKey, lexicon: &Lexicon, words: &mut Vec<Word>) {
        if self.n == 0 {
            return;
        }
        let hash = key.hash(WORD, self.bytes.get(..self.n).unwrap_or_default());
        words.push(Word { hash, kind: lexicon.kind(hash, self.n, self.number) });
        self.n = 0;
        self.number = false;
    }
}

fn push_words(text: &str, key: &HashKey, lexicon: &Lexicon, words: &mut Vec<Word>) {
    let mut word = Builder { bytes: [0; WORD_BYTES_MAX], n: 0, number: false };
    for c in text.chars() {
        if c.is_ascii() {
            let byte = u8::try_from(c).unwrap_or(b' ');
            if byte.is_ascii_alphanumeric() {
                word.push(byte.to_ascii_lowercase());
                word.number |= byte.is_ascii_digit();
            } else {
                word.end(key, lexicon, words);
            }
        } else if is_invisible(c) {
        } else if is_ideograph(c) {
            word.end(key, lexicon, words);
            word.push_char(c);
            word.end(key, lexicon, words);
        } else if c.is_alphanumeric() {
            word.push_char(c);
        } else {
            word.end(key, lexicon, words);
        }
    }
    word.end(key, lexicon, words);
}

/// Zero-width characters, soft hyphen, byte order mark, variation selectors.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
}

/// Scripts written without spaces between words.
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{ac00}'..='\u{d7af}' | '\u{20000}'..='\u{2fa1f}' | '\u{e00}'..='\u{e7f}')
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
            _ => false,
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

    fn words(text: &str) -> Vec<Word> {
        let key = HashKey::new(&[7; 32]);
        let mut words = Vec::new();
        words_into(text, &key, &Lexicon::new(&key), &mut words);
        words
    }

    fn hashes(text: &str) -> Vec<u64> {
        words(text).iter().map(|w| w.hash).collect()
    }

    #[test]
    fn spelling_variants_give_the_same_words() {
        for (a, b, n) in [
            ("Hello, World!", "hello   world", 2),
            ("ein Maß", "EIN maß", 2),
            ("zero\u{200b}width", "zerowidth", 1),
            ("漢字 かな", "漢字かな", 4),
            ("", " .,;", 0),
        ] {
            assert_eq!(hashes(a), hashes(b), "{a} / {b}");
            assert_eq!(hashes(a).len(), n, "{a}");
        }
    }

    #[test]
    fn long_texts_are_read_at_both_ends_within_a_bound() {
        let text = format!("begin {} end", "é ".repeat(100_000));
        let got = hashes(&text);
        assert!(got.len() <= TEXT_BYTES_MAX, "{}", got.len());
        assert_eq!(got.first(), hashes("begin").first());
        assert_eq!(got.last(), hashes("end").first());
        assert_eq!(hashes(&"a".repeat(1 << 20)).len(), 2);
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
            assert_eq!(asks_for_reasoning(&words(text)), expected, "{text}");
        }
    }
}
