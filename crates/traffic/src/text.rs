//! From text to words: normalised, hashed under the key, each with what kind of word it is.
//!
//! A word is a run of letters and digits, in lower case; a Chinese, Japanese or Korean character
//! is a word of its own; zero-width characters are skipped, so they split nothing. Only the ends
//! of a long text are read ([`TEXT_BYTES_MAX`] at each end): instructions stand at the ends, and
//! the work per exchange stays bounded.
//!
//! A text is first normalised into a buffer in which every byte is one of a word (lower case, or
//! above 127) or none; then 64 bytes at a time become one mask of bits, whose edges are the words.

use crate::hash::{HashKey, WORD_BYTES_MAX};
use crate::lexicon::{Kind, Lexicon};

/// Bytes read at each end of a text.
pub(crate) const TEXT_BYTES_MAX: usize = 4096;
/// Bytes of a block of the buffer.
const BLOCK: usize = 64;

/// A hashed word.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    pub(crate) hash: u64,
    pub(crate) kind: Kind,
}

/// Reads texts. Reuses its buffers.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    lexicon: Lexicon,
    bytes: Vec<u8>,
    words: Vec<Word>,
}

impl Reader {
    pub(crate) fn new(key: &HashKey) -> Self {
        Self {
            lexicon: Lexicon::new(key),
            bytes: Vec::with_capacity(2 * TEXT_BYTES_MAX + 4 * BLOCK),
            words: Vec::with_capacity(512),
        }
    }

    /// The words of the ends of the text.
    pub(crate) fn read(&mut self, text: &str, key: &HashKey) -> &[Word] {
        self.bytes.clear();
        if text.len() <= 2 * TEXT_BYTES_MAX {
            normalise(text, &mut self.bytes);
        } else {
            let head = text.floor_char_boundary(TEXT_BYTES_MAX);
            let tail = text.ceil_char_boundary(text.len() - TEXT_BYTES_MAX);
            normalise(text.get(..head).unwrap_or_default(), &mut self.bytes);
            self.bytes.push(b' ');
            normalise(text.get(tail..).unwrap_or_default(), &mut self.bytes);
        }
        // Room for the blocks of the last word, and an end to it.
        let padded = (self.bytes.len() / BLOCK + 2) * BLOCK;
        self.bytes.resize(padded, b' ');
        self.words.clear();
        split(&self.bytes, key, &self.lexicon, &mut self.words);
        &self.words
    }

    /// The words read last.
    pub(crate) fn words(&self) -> &[Word] {
        &self.words
    }
}

/// Appends the text in lower case, without invisible characters, ideographs set apart, other
/// characters that aren't of words as spaces.
fn normalise(text: &str, out: &mut Vec<u8>) {
    let mut rest = text;
    loop {
        let n = if rest.is_ascii() {
            rest.len()
        } else {
            rest.bytes().position(|b| !b.is_ascii()).unwrap_or(rest.len())
        };
        let Some((ascii, after)) = rest.split_at_checked(n) else { return };
        out.extend(ascii.bytes().map(|b| b.to_ascii_lowercase()));
        rest = after;
        // As long as characters beyond ASCII follow each other.
        loop {
            let mut chars = rest.chars();
            match chars.next() {
                Some(c) if !c.is_ascii() => push_char(c, out),
                Some(_) => break,
                None => return,
            }
            rest = chars.as_str();
        }
    }
}

/// Appends a character beyond ASCII.
fn push_char(c: char, out: &mut Vec<u8>) {
    let mut utf8 = [0u8; 4];
    if is_invisible(c) {
    } else if is_ideograph(c) {
        out.push(b' ');
        out.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
        out.push(b' ');
    } else if c.is_numeric() {
        // Any number is a number; which one doesn't matter.
        out.push(b'0');
    } else if c.is_alphanumeric() {
        for lower in c.to_lowercase() {
            out.extend_from_slice(lower.encode_utf8(&mut utf8).as_bytes());
        }
    } else {
        out.push(b' ');
    }
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

/// Hashes the words of whole blocks; the last block holds no word.
fn split(bytes: &[u8], key: &HashKey, lexicon: &Lexicon, words: &mut Vec<Word>) {
    let (mut start, mut inside, mut number, mut carry) = (0, false, false, 0);
    for (i, block) in bytes.as_chunks::<BLOCK>().0.iter().enumerate() {
        let (of_word, digits) = masks(block);
        let mut edges = of_word ^ (of_word << 1 | carry);
        carry = of_word >> 63;
        let mut begun = 0;
        while edges != 0 {
            let at = edges.trailing_zeros();
            edges &= edges - 1;
            // Digits between the word's begin, or the block's, and here.
            if inside {
                let end = i * BLOCK + at as usize;
                number |= digits & ((1 << at) - 1) & (u64::MAX << begun) != 0;
                let n = (end - start).min(WORD_BYTES_MAX);
                let hash = key.word(bytes.get(start..).unwrap_or_default(), n);
                words.push(Word { hash, kind: lexicon.kind(hash, n, number) });
            } else {
                start = i * BLOCK + at as usize;
                begun = at;
                number = false;
            }
            inside = !inside;
        }
        if inside {
            number |= digits & (u64::MAX << begun) != 0;
        }
    }
}

/// Which bytes of a block belong to words, and which are digits.
#[inline]
fn masks(block: &[u8; BLOCK]) -> (u64, u64) {
    let (mut of_word, mut digit) = ([0u8; BLOCK], [0u8; BLOCK]);
    for ((byte, of_word), digit) in block.iter().zip(&mut of_word).zip(&mut digit) {
        // Numbers in place of conditions: sixteen bytes at a time.
        *digit = u8::from(byte.wrapping_sub(b'0') < 10);
        *of_word = *digit | u8::from(byte.wrapping_sub(b'a') < 26) | (*byte >> 7);
    }
    (bits(&of_word), bits(&digit))
}

/// Bytes of 0 or 1 as bits: the product brings the lowest bit of byte i to bit 56 + i.
#[inline]
fn bits(bytes: &[u8; BLOCK]) -> u64 {
    let mut mask = 0;
    for chunk in bytes.as_chunks::<8>().0.iter().rev() {
        mask = mask << 8 | u64::from_le_bytes(*chunk).wrapping_mul(0x0102_0408_1020_4080) >> 56;
    }
    mask
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Word> {
        let key = HashKey::new(&[7; 32]);
        Reader::new(&key).read(text, &key).to_vec()
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
            ("x² ok", "X0 OK", 2),
            ("“quoted”—dash", "quoted dash", 2),
            ("", " .,;", 0),
        ] {
            assert_eq!(hashes(a), hashes(b), "{a} / {b}");
            assert_eq!(hashes(a).len(), n, "{a}");
        }
    }

    /// Against a plain reading, character by character, at every offset to the blocks.
    #[test]
    fn words_are_the_runs_of_letters_and_digits() {
        let text = "It's 5 o'clock; B2B sales rose 12.5% in Q3-2025, see https://example.org/a_b?x=1 \
            and Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft. Fin";
        let key = HashKey::new(&[7; 32]);
        for shift in 0..70 {
            let text = format!("{}{text}{}", "-".repeat(shift), "?".repeat(shift % 7));
            let plain: Vec<(u64, bool)> = text
                .to_lowercase()
                .split(|c: char| !c.is_alphanumeric())
                .filter(|w| !w.is_empty())
                .map(|w| {
                    let mut bytes = [0u8; WORD_BYTES_MAX];
                    let n = w.len().min(WORD_BYTES_MAX);
                    bytes[..n].copy_from_slice(&w.as_bytes()[..n]);
                    (key.word(&bytes, n), w.contains(|c: char| c.is_ascii_digit()))
                })
                .collect();
            let read: Vec<(u64, bool)> =
                words(&text).iter().map(|w| (w.hash, w.kind == Kind::Number)).collect();
            assert_eq!(read, plain, "{shift}");
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
}
