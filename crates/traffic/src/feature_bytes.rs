//! Features of an exchange as bytes of a fixed length, to carry them between threads and machines
//! of one version; what is kept for longer are sketches.

use crate::features::{ANSWER_GRAMS, Features, ITEMS, TOPICS};

const ASKS_REASONING: u8 = 1;
const FAILED: u8 = 2;
const TOOLS: u8 = 4;
const LOGPROBS: u8 = 8;

impl Features {
    /// Bytes of an encoded exchange: less than any encoded sketch has.
    pub const BYTES: usize = 8 + 4 * (6 + ITEMS + ANSWER_GRAMS) + 2 * (2 + TOPICS) + 2;

    /// As bytes, little-endian.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        let mut rest = out.as_mut_slice();
        rest = put(rest, self.time_ms.to_le_bytes());
        for number in
            [self.plan, self.prompt, self.answer_tokens, self.network, self.agent, self.week]
        {
            rest = put(rest, number.to_le_bytes());
        }
        for number in self.items.into_iter().chain(self.answer) {
            rest = put(rest, number.to_le_bytes());
        }
        for number in [self.words, self.profile].into_iter().chain(self.topics) {
            rest = put(rest, number.to_le_bytes());
        }
        let flags = [
            (self.asks_reasoning, ASKS_REASONING),
            (self.failed, FAILED),
            (self.tools, TOOLS),
            (self.logprobs, LOGPROBS),
        ];
        let flags = flags.iter().filter(|(on, _)| *on).fold(0, |all, (_, flag)| all | flag);
        put(rest, [self.n_messages, flags]);
        out
    }

    /// The features that the bytes hold; none where the length is another.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let time_ms = i64::from_le_bytes(take(&mut rest)?);
        let mut long = || Some(u32::from_le_bytes(take(&mut rest)?));
        let (plan, prompt, answer_tokens) = (long()?, long()?, long()?);
        let (network, agent, week) = (long()?, long()?, long()?);
        let mut items = [0; ITEMS];
        for item in &mut items {
            *item = long()?;
        }
        let mut answer = [0; ANSWER_GRAMS];
        for gram in &mut answer {
            *gram = long()?;
        }
        let mut short = || Some(u16::from_le_bytes(take(&mut rest)?));
        let (words, profile) = (short()?, short()?);
        let mut topics = [0; TOPICS];
        for topic in &mut topics {
            *topic = short()?;
        }
        let [n_messages, flags] = take(&mut rest)?;
        rest.is_empty().then_some(Self {
            time_ms,
            plan,
            prompt,
            items,
            topics,
            words,
            answer_tokens,
            profile,
            n_messages,
            asks_reasoning: flags & ASKS_REASONING != 0,
            failed: flags & FAILED != 0,
            tools: flags & TOOLS != 0,
            logprobs: flags & LOGPROBS != 0,
            network,
            agent,
            week,
            answer,
        })
    }
}

/// Writes the bytes and returns what is left behind them.
fn put<const N: usize>(rest: &mut [u8], bytes: [u8; N]) -> &mut [u8] {
    match rest.split_first_chunk_mut::<N>() {
        Some((to, behind)) => {
            *to = bytes;
            behind
        }
        None => &mut [],
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*bytes)
}
