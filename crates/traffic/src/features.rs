//! Features of one exchange: numbers and keyed hashes, no text.
//!
//! What is kept of a prompt: eight [items](Features::items) by which prompts can turn out to share
//! text (how it opens and closes, the four smallest 6-word shingles of its ends, the shape of its
//! opening, the smallest shingle of the system prompt), a sample of content words, lengths, the
//! profile of parameters, the network. The smallest hashes are taken because equal texts then
//! yield equal samples wherever they are met (min-wise sampling, Broder 1997).

use crate::Observation;
use crate::hash::{HashKey, SHINGLE_WORDS, narrow};
use crate::lexicon::{self, Kind};
use crate::sketch::seconds;
use crate::text::{Reader, Word};

/// Items per exchange by which texts are compared.
pub const ITEMS: usize = 8;
/// Content words kept per exchange.
pub const TOPICS: usize = 4;
/// Shingles kept of an answer, to know it again in a later prompt.
pub(crate) const ANSWER_GRAMS: usize = 6;
/// Only shingles below this count in answers: one in 32, whatever the answer.
pub(crate) const ANSWER_GRAM_BELOW: u32 = 1 << 27;
/// Bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 320;
/// Words at each end of a prompt from which the smallest shingles are taken: instructions stand
/// at the ends, retrieved or pasted text in the middle.
const ENDS_WORDS: usize = 64;
/// Words of an opening and of a closing.
const EDGE_WORDS: usize = 5;
/// Words (after masking) of the shape of an opening.
const SHAPE_WORDS: usize = 16;
/// Answers of fewer words ("yes", a label) are met again by chance.
const ANSWER_WORDS_MIN: usize = 12;
/// Seconds of a week.
const WEEK_S: u32 = 7 * 86_400;

/// Positions in [`Features::items`].
pub(crate) mod item {
    pub(crate) const OPENING: usize = 0;
    pub(crate) const CLOSING: usize = 1;
    pub(crate) const GRAMS: std::ops::Range<usize> = 2..6;
    pub(crate) const SHAPE: usize = 6;
    pub(crate) const SYSTEM: usize = 7;
}

/// Domains of finished hashes.
mod domain {
    pub(super) const PROMPT: u8 = 10;
    pub(super) const GRAM: u8 = 11;
    pub(super) const OPENING: u8 = 12;
    pub(super) const CLOSING: u8 = 13;
    pub(super) const SHAPE: u8 = 14;
    pub(super) const SYSTEM: u8 = 15;
    pub(super) const TOPIC: u8 = 16;
    pub(super) const PROFILE: u8 = 17;
    pub(super) const NETWORK: u8 = 18;
    pub(super) const AGENT: u8 = 19;
    pub(super) const PLAN: u8 = 20;
    pub(super) const ACCOUNT: u8 = 21;
    pub(super) const WEEK: u8 = 22;
}

/// What is kept of one exchange.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts of a request")]
pub struct Features {
    /// When, milliseconds since the epoch.
    pub time_ms: i64,
    /// Plan, hashed; 0 where unknown.
    pub plan: u32,
    /// The prompt after normalisation, hashed.
    pub prompt: u32,
    /// Hashes by which texts are compared; 0 where there is none.
    pub items: [u32; ITEMS],
    /// Smallest hashes of its content words; 0 where there are fewer.
    pub topics: [u16; TOPICS],
    /// Words of the prompt (of its ends where it is long).
    pub words: u16,
    /// Tokens of the answer, estimated from its length where unknown.
    pub answer_tokens: u32,
    /// Model and parameters, hashed.
    pub profile: u16,
    /// Messages in the request.
    pub n_messages: u8,
    /// Whether the prompt asks for the reasoning itself.
    pub asks_reasoning: bool,
    /// Whether it failed.
    pub failed: bool,
    /// Whether tools were offered.
    pub tools: bool,
    /// Whether log-probabilities were asked for.
    pub logprobs: bool,
    /// Network of the client (/24, or /48 of IPv6), hashed; 0 where unknown.
    pub network: u32,
    /// What the client says that it is, hashed; 0 where unknown.
    pub agent: u32,
    /// The week, hashed: weeks whose times are kept are chosen by it.
    pub(crate) week: u32,
    /// Smallest shingles of the answer below [`ANSWER_GRAM_BELOW`]; 0 where there are fewer.
    pub(crate) answer: [u32; ANSWER_GRAMS],
}

/// Turns observations into features. Reuses its buffers: one per thread.
#[derive(Debug, Clone)]
pub struct Extractor {
    key: HashKey,
    reader: Reader,
    /// The last system prompt and its item: applications send the same one each time.
    system: (String, u32),
}

impl Extractor {
    /// An extractor under the key.
    pub fn new(key: HashKey) -> Self {
        let reader = Reader::new(&key);
        Self { key, reader, system: (String::new(), 0) }
    }

    /// The hash by which an account is told from others.
    pub fn account(&self, account: &str) -> u64 {
        self.key.hash(domain::ACCOUNT, account.as_bytes())
    }

    /// The features of an exchange.
    pub fn extract(&mut self, observation: &Observation<'_>) -> Features {
        let system = self.system(observation.system);
        let answer = self.answer(observation.response);
        self.reader.read(observation.user, &self.key);
        let (key, words) = (&self.key, self.reader.words());
        let mut items = [0; ITEMS];
        if let Some(slots) = items.get_mut(item::GRAMS) {
            slots.copy_from_slice(&smallest::<4>(key, words, domain::GRAM));
        }
        let tail = words.len().saturating_sub(EDGE_WORDS);
        for (i, value) in [
            (item::OPENING, edge(key, words.iter().take(EDGE_WORDS), domain::OPENING)),
            (item::CLOSING, edge(key, words.iter().skip(tail), domain::CLOSING)),
            (item::SHAPE, shape(key, words)),
            (item::SYSTEM, system),
        ] {
            if let Some(slot) = items.get_mut(i) {
                *slot = value;
            }
        }
        Features {
            time_ms: observation.time_ms,
            plan: self.name(domain::PLAN, observation.plan),
            prompt: whole(key, words),
            items,
            topics: topics(key, words),
            words: u16::try_from(words.len()).unwrap_or(u16::MAX),
            answer_tokens: answer_tokens(observation),
            profile: self.profile(observation),
            n_messages: u8::try_from(observation.n_messages).unwrap_or(u8::MAX),
            asks_reasoning: lexicon::asks_for_reasoning(words),
            failed: observation.failed,
            tools: observation.tools,
            logprobs: observation.logprobs,
            network: self.name(domain::NETWORK, network(observation.ip)),
            agent: self.name(domain::AGENT, observation.user_agent),
            week: narrow(
                key.finish(domain::WEEK, u64::from(seconds(observation.time_ms) / WEEK_S)),
            ),
            answer,
        }
    }

    /// The smallest shingle of the system prompt.
    fn system(&mut self, system: &str) -> u32 {
        if system.is_empty() {
            return 0;
        }
        if self.system.0 != system {
            let words = self.reader.read(system, &self.key);
            let [gram] = smallest::<1>(&self.key, words, domain::SYSTEM);
            system.clone_into(&mut self.system.0);
            self.system.1 = gram;
        }
        self.system.1
    }

    fn answer(&mut self, answer: &str) -> [u32; ANSWER_GRAMS] {
        if answer.is_empty() {
            return [0; ANSWER_GRAMS];
        }
        let head = answer.floor_char_boundary(ANSWER_BYTES_MAX);
        let words = self.reader.read(answer.get(..head).unwrap_or_default(), &self.key);
        let mut lowest = Lowest::<ANSWER_GRAMS>::new();
        if words.len() >= ANSWER_WORDS_MIN {
            each_gram(&self.key, words, domain::GRAM, |gram| {
                if gram < ANSWER_GRAM_BELOW {
                    lowest.push(gram);
                }
            });
        }
        lowest.0
    }

    fn name(&self, domain: u8, name: &str) -> u32 {
        if name.is_empty() { 0 } else { narrow(self.key.hash(domain, name.as_bytes())) }
    }

    fn profile(&self, o: &Observation<'_>) -> u16 {
        let mut bytes = [0u8; 16];
        let fields = [
            o.max_tokens.map_or(u32::MAX, |v| v.min(u32::MAX - 1)),
            o.temperature.map_or(u32::MAX, hundredths),
            o.top_p.map_or(u32::MAX, hundredths),
            u32::from(o.logprobs) | u32::from(o.stream) << 1 | u32::from(o.tools) << 2,
        ];
        for (to, field) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(fields) {
            *to = field.to_le_bytes();
        }
        let hash = self.key.hash(domain::PROFILE, &bytes)
            ^ self.key.hash(domain::PROFILE, o.model.as_bytes()).rotate_left(17);
        u16::try_from(hash >> 48).unwrap_or(u16::MAX).max(1)
    }
}

/// Hundredths, rounded; sampling parameters lie within 0 and 2.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped before")]
fn hundredths(value: f32) -> u32 {
    if value.is_finite() {
        (f64::from(value) * 100.0).round().clamp(0.0, 1e6) as u32
    } else {
        1 << 30
    }
}

/// Tokens of the answer; four bytes a token where the upstream doesn't say.
fn answer_tokens(o: &Observation<'_>) -> u32 {
    if o.completion_tokens > 0 {
        return o.completion_tokens;
    }
    u32::try_from(o.response.len() / 4).unwrap_or(u32::MAX)
}

/// The part of an address that names the network: three numbers of IPv4, three groups of IPv6.
fn network(ip: &str) -> &str {
    let separator = if ip.contains(':') && !ip.contains('.') { ':' } else { '.' };
    match ip.match_indices(separator).nth(2) {
        Some((end, _)) => ip.get(..end).unwrap_or(ip),
        None => ip,
    }
}

/// Calls with each shingle of the two ends of a text; a text shorter than a shingle is one.
fn each_gram(key: &HashKey, words: &[Word], domain: u8, mut call: impl FnMut(u32)) {
    if words.is_empty() {
        return;
    }
    if words.len() <= 2 * ENDS_WORDS {
        roll(key, words, domain, &mut call);
    } else {
        roll(key, words.get(..ENDS_WORDS).unwrap_or_default(), domain, &mut call);
        roll(key, words.get(words.len() - ENDS_WORDS..).unwrap_or_default(), domain, &mut call);
    }
}

fn roll(key: &HashKey, words: &[Word], domain: u8, call: &mut impl FnMut(u32)) {
    let take_in =
        |rolled: u64, word: &Word| rolled.wrapping_mul(key.multiplier).wrapping_add(word.hash);
    let n = words.len().min(SHINGLE_WORDS - 1);
    let (first, rest) = words.split_at_checked(n).unwrap_or_default();
    let mut rolled = first.iter().fold(0u64, take_in);
    let mut last = 0;
    for (word, next_out) in rest.iter().zip(words) {
        // What left the window, and before the window is full nothing.
        rolled = take_in(rolled, word).wrapping_sub(last);
        last = next_out.hash.wrapping_mul(key.multiplier_out);
        call(narrow(key.finish(domain, rolled)));
    }
    if rest.is_empty() {
        call(narrow(key.finish(domain, rolled)));
    }
}

/// The smallest `N` different values, ascending, 0 where there are fewer.
struct Lowest<const N: usize>([u32; N]);

impl<const N: usize> Lowest<N> {
    fn new() -> Self {
        Self([0; N])
    }

    #[inline]
    fn push(&mut self, mut value: u32) {
        if self.0.last().is_some_and(|&last| last != 0 && value >= last) {
            return;
        }
        for slot in &mut self.0 {
            if *slot == value {
                return;
            }
            if *slot == 0 {
                *slot = value;
                return;
            }
            if value < *slot {
                std::mem::swap(slot, &mut value);
            }
        }
    }
}

fn smallest<const N: usize>(key: &HashKey, words: &[Word], domain: u8) -> [u32; N] {
    let mut lowest = Lowest::<N>::new();
    each_gram(key, words, domain, |gram| lowest.push(gram));
    lowest.0
}

/// The hash of a few words at an edge; none where the text is shorter.
fn edge<'a>(key: &HashKey, words: impl Iterator<Item = &'a Word>, domain: u8) -> u32 {
    let mut rolled = 0u64;
    let mut n = 0;
    for word in words {
        rolled = rolled.wrapping_mul(key.multiplier).wrapping_add(word.hash);
        n += 1;
    }
    if n < EDGE_WORDS { 0 } else { narrow(key.finish(domain, rolled)) }
}

fn whole(key: &HashKey, words: &[Word]) -> u32 {
    narrow(key.finish(domain::PROMPT, key.whole(words.len(), words.iter().map(|w| w.hash))))
}

/// The opening with its variable parts masked: numbers become one mark, runs of content words
/// another, function words, cues and demands stay. A shape of few kept words says nothing: 0.
fn shape(key: &HashKey, words: &[Word]) -> u32 {
    let (mut rolled, mut n, mut kept, mut in_run) = (0u64, 0, 0, false);
    for word in words {
        let mark = match word.kind {
            Kind::Content if in_run => continue,
            Kind::Content => 2,
            Kind::Number => 1,
            _ => {
                kept += 1;
                word.hash
            }
        };
        in_run = word.kind == Kind::Content;
        rolled = rolled.wrapping_mul(key.multiplier).wrapping_add(mark);
        n += 1;
        if n == SHAPE_WORDS {
            break;
        }
    }
    if kept < SHAPE_WORDS / 2 { 0 } else { narrow(key.finish(domain::SHAPE, rolled)) }
}

/// The smallest hashes of its content words: a sample that equal words enter wherever met.
fn topics(key: &HashKey, words: &[Word]) -> [u16; TOPICS] {
    let mut lowest = Lowest::<TOPICS>::new();
    for word in words.iter().filter(|w| w.kind == Kind::Content) {
        lowest.push(narrow(key.finish(domain::TOPIC, word.hash)));
    }
    // The upper bits of small values are alike: identity comes from the lower ones.
    lowest.0.map(|h| if h == 0 { 0 } else { u16::try_from(h & 0xffff).unwrap_or(0).max(1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        for (ip, expected) in [
            ("10.1.2.3", "10.1.2"),
            ("2001:db8:1:2::3", "2001:db8:1"),
            ("", ""),
            ("unknown", "unknown"),
            ("1.2", "1.2"),
        ] {
            assert_eq!(network(ip), expected, "{ip}");
        }
    }

    #[test]
    fn lowest_keeps_the_smallest_once() {
        let mut lowest = Lowest::<3>::new();
        for v in [9, 4, 4, 7, 2, 9, 8] {
            lowest.push(v);
        }
        assert_eq!(lowest.0, [2, 4, 7]);
    }

    #[test]
    fn rolling_agrees_with_hashing_anew() {
        let key = HashKey::new(&[3; 32]);
        let words: Vec<Word> = (1..40u64)
            .map(|i| Word { hash: i.wrapping_mul(0x9e37_79b9_7f4a_7c15), kind: Kind::Content })
            .collect();
        let mut rolled = Vec::new();
        each_gram(&key, &words, 11, |g| rolled.push(g));
        let anew: Vec<u32> = words
            .windows(SHINGLE_WORDS)
            .map(|w| {
                let h =
                    w.iter().fold(0u64, |h, w| h.wrapping_mul(key.multiplier).wrapping_add(w.hash));
                narrow(key.finish(11, h))
            })
            .collect();
        assert_eq!(rolled, anew);
    }
}
