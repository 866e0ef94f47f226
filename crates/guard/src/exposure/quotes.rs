//! Recognising conversations, and passages of released texts in later requests.
//!
//! A conversation is a chain of hashes over its messages: a request whose messages extend those
//! of an exposed one has that one's last link among its own. Passages are found by winnowing
//! (Schleimer, Wilkerson and Aiken, SIGMOD 2003): of a released text, the smallest hash of every
//! [`WINDOW`] consecutive pieces of [`PIECE`] bytes is kept; of a request, every piece is looked
//! up. Texts are compared by their letters and digits alone, in lower case, so that mark-up,
//! punctuation and line breaks don't matter. Any passage of `PIECE + WINDOW - 1` = 35 such bytes
//! or more is then found for certain, shorter ones by chance; a text that is shorter than one
//! piece is found only where a whole message of an assistant repeats it.
//!
//! A piece that stands in the request itself says nothing about who saw the answer, so the pieces
//! of the request are left out of the marks of its own answer.

use std::collections::VecDeque;
use stillwatch_evidence::Message;

/// Bytes of letters and digits that are hashed together.
pub(super) const PIECE: usize = 20;
/// Consecutive pieces of which one is kept.
pub(super) const WINDOW: usize = 16;

/// The key of all marks: without it they can't be made.
#[derive(Debug, Clone, Copy)]
pub(super) struct MarkKey(pub(super) [u8; 32]);

impl MarkKey {
    fn short(&self, domain: &str, parts: &[&[u8]]) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(domain.as_bytes());
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        let hash = hasher.finalize();
        hash.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// One link for each message: the last is the conversation's own.
    pub(super) fn chain(&self, account: &str, messages: &[Message]) -> Vec<u64> {
        let mut link = self.short("account", &[account.as_bytes()]);
        messages
            .iter()
            .map(|message| {
                let parts =
                    [&link.to_le_bytes(), message.role.as_bytes(), message.content.as_bytes()];
                link = self.short("message", &parts);
                link
            })
            .collect()
    }

    /// The mark of a text as a whole; `None` where it has no letter or digit.
    pub(super) fn whole(&self, text: &str) -> Option<u64> {
        let bytes = plain(text);
        (!bytes.is_empty()).then(|| self.short("whole", &[&bytes]))
    }

    /// Hashes of all pieces of a text.
    pub(super) fn pieces(&self, text: &str, out: &mut Vec<u64>) {
        let mut roller = Roller::new(self);
        for byte in plain(text) {
            out.extend(roller.push(byte));
        }
    }
}

/// Letters and digits in lower case.
fn plain(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    push_plain(text, &mut bytes);
    bytes
}

fn push_plain(text: &str, bytes: &mut Vec<u8>) {
    for character in text.chars() {
        if character.is_ascii() {
            if character.is_ascii_alphanumeric() {
                bytes.push(u8::try_from(character.to_ascii_lowercase()).unwrap_or(b'x'));
            }
        } else if character.is_alphanumeric() {
            for lower in character.to_lowercase() {
                bytes.extend_from_slice(lower.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }
}

/// A rolling hash over [`PIECE`] bytes.
#[derive(Debug, Clone)]
struct Roller {
    base: u64,
    /// `base` to the power of [`PIECE`].
    leaving: u64,
    salt: u64,
    bytes: VecDeque<u8>,
    hash: u64,
}

impl Roller {
    fn new(key: &MarkKey) -> Self {
        let base = key.short("base", &[]) | 1;
        let leaving = (0..PIECE).fold(1_u64, |power, _| power.wrapping_mul(base));
        let salt = key.short("salt", &[]);
        Self { base, leaving, salt, bytes: VecDeque::with_capacity(PIECE + 1), hash: 0 }
    }

    fn push(&mut self, byte: u8) -> Option<u64> {
        self.bytes.push_back(byte);
        self.hash = self.hash.wrapping_mul(self.base).wrapping_add(u64::from(byte) + 1);
        if self.bytes.len() > PIECE {
            let old = u64::from(self.bytes.pop_front().unwrap_or(0)) + 1;
            self.hash = self.hash.wrapping_sub(self.leaving.wrapping_mul(old));
        }
        (self.bytes.len() == PIECE).then(|| mix(self.hash ^ self.salt))
    }
}

/// The finaliser of splitmix64: spreads a hash over all bits.
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// Chooses the marks of a text that grows.
#[derive(Debug, Clone)]
pub(super) struct Winnower {
    roller: Roller,
    window: VecDeque<u64>,
    last: Option<u64>,
    n_pieces: usize,
    /// Pieces of the request, sorted.
    own: std::sync::Arc<[u64]>,
}

impl Winnower {
    /// For the answer to a request whose pieces are `own`, sorted.
    pub(super) fn new(key: &MarkKey, own: std::sync::Arc<[u64]>) -> Self {
        Self { roller: Roller::new(key), window: VecDeque::new(), last: None, n_pieces: 0, own }
    }

    /// Takes the next part of the text, cut anywhere between characters.
    pub(super) fn push(&mut self, text: &str, marks: &mut Vec<u64>) {
        let mut bytes = Vec::with_capacity(text.len());
        push_plain(text, &mut bytes);
        for byte in bytes {
            if let Some(piece) = self.roller.push(byte) {
                self.n_pieces += 1;
                let is_own = self.own.binary_search(&piece).is_ok();
                self.window.push_back(if is_own { u64::MAX } else { piece });
                if self.window.len() > WINDOW {
                    self.window.pop_front();
                }
                if self.window.len() == WINDOW {
                    self.choose(marks);
                }
            }
        }
    }

    /// The end of the text: one that is shorter than a window has one mark all the same.
    pub(super) fn finish(&mut self, marks: &mut Vec<u64>) {
        if self.n_pieces > 0 && self.n_pieces < WINDOW {
            self.choose(marks);
        }
    }

    fn choose(&mut self, marks: &mut Vec<u64>) {
        let smallest = self.window.iter().copied().min();
        if let Some(mark) = smallest.filter(|&mark| mark != u64::MAX && self.last != Some(mark)) {
            self.last = Some(mark);
            marks.push(mark);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::sync::Arc;

    const KEY: MarkKey = MarkKey([7; 32]);

    fn marks(text: &str, own: &str, cut: usize) -> Vec<u64> {
        let mut pieces = Vec::new();
        KEY.pieces(own, &mut pieces);
        pieces.sort_unstable();
        let mut winnower = Winnower::new(&KEY, Arc::from(pieces));
        let mut marks = Vec::new();
        let chars: Vec<char> = text.chars().collect();
        for part in chars.chunks(cut) {
            winnower.push(&part.iter().collect::<String>(), &mut marks);
        }
        winnower.finish(&mut marks);
        marks
    }

    fn finds(marks: &[u64], quote: &str) -> bool {
        let mut pieces = Vec::new();
        KEY.pieces(quote, &mut pieces);
        let marks: BTreeSet<u64> = marks.iter().copied().collect();
        pieces.iter().any(|piece| marks.contains(piece))
    }

    fn text(n: usize) -> String {
        let words: Vec<String> = (0..n).map(|i| format!("w{:x}", mix(i as u64) >> 40)).collect();
        words.join(" ")
    }

    #[test]
    fn every_passage_of_the_promised_length_is_found() {
        let text = text(200);
        let marks_whole = marks(&text, "", usize::MAX);
        assert_eq!(marks(&text, "", 3), marks_whole, "however it grows");
        let letters: Vec<char> = text.chars().filter(|c| c.is_alphanumeric()).collect();
        for window in letters.windows(PIECE + WINDOW - 1) {
            let quote: String = window.iter().collect();
            assert!(finds(&marks_whole, &format!("> {}!", quote.to_uppercase())), "{quote}");
        }
        let density = marks_whole.len() as f64 / letters.len() as f64;
        assert!((0.08..0.16).contains(&density), "{density}");
    }

    #[test]
    fn what_the_request_said_itself_is_no_mark() {
        let (mine, new) = (text(60), "and this is what only the answer has said so far");
        let marks = marks(&format!("{mine} {new}"), &mine, 50);
        assert!(!finds(&marks, &mine));
        assert!(finds(&marks, new));
    }

    #[test]
    fn short_texts_and_other_scripts() {
        let short = marks("Twenty-three letters here", "", 5);
        assert_eq!(short.len(), 1);
        assert!(finds(&short, "he said: twenty three letters here, didn't he"));
        assert!(marks("Yes.", "", 5).is_empty());
        assert_eq!(KEY.whole("Yes."), KEY.whole("yes"));
        assert_ne!(KEY.whole("Yes."), KEY.whole("No."));
        assert_eq!(KEY.whole("?!"), None);
        let chinese = marks("蒸馏是指用一个模型的输出来训练另一个模型的过程", "", 1);
        assert!(finds(&chinese, "什么叫“用一个模型的输出来训练另一个模型的过程”?"));
    }

    #[test]
    fn a_conversation_that_goes_on_has_the_links_of_its_beginning() {
        let message = |role: &str, content: &str| Message {
            role: role.to_owned(),
            content: content.to_owned(),
        };
        let start = [message("system", "s"), message("user", "u")];
        let mut later = start.to_vec();
        later.extend([message("assistant", "a"), message("user", "v")]);
        let (first, second) = (KEY.chain("kim", &start), KEY.chain("kim", &later));
        assert_eq!(first, second[..2]);
        assert_ne!(KEY.chain("lee", &start), first);
        let moved = [message("system", "su"), message("user", "")];
        assert_ne!(KEY.chain("kim", &moved)[1], first[1]);
    }
}
