//! All that is kept of an account: at most 4 KiB, merged in any order.
//!
//! Counters, histograms and bitmaps are integers that saturate; sets are
//! [samples by smallest hash](crate::sample). So the sketch of two logs is the merge of their
//! sketches, whatever the order, but for two things that look at neighbours in time: the gaps
//! between requests and the use of earlier answers miss what lies across the seam.
//!
//! The heart is a uniform sample of up to 40 different prompts with what came with each
//! ([`Record`]): for most accounts that is their whole traffic.

use crate::features::{ANSWER_GRAMS, Features, ITEMS, TOPICS};
use crate::sample::{Counted, Entry, Sample};

/// Different prompts kept.
pub(crate) const RECORDS: usize = 40;
/// Networks, client names and profiles kept.
pub(crate) const NETWORKS: usize = 16;
const AGENTS: usize = 4;
const PROFILES: usize = 8;
/// Earlier answers that are recognised in later prompts.
pub(crate) const ANSWERS: usize = 6;
/// Hours of activity remembered: three weeks.
pub(crate) const ACTIVE_HOURS: u32 = 512;
pub(crate) const ACTIVE_WORDS: usize = ACTIVE_HOURS as usize / 64;
/// Bins of the logarithms of gaps (seconds, up to three days) and lengths (words).
pub(crate) const BINS: usize = 18;
/// The lowest bin of gaps that can be a pace: 256 s, longer than anybody reads an answer.
const PACE_BIN_MIN: usize = 8;
/// Bytes that a sketch never exceeds, encoded or in memory.
pub const SKETCH_BYTES_MAX: usize = 4096;

/// One prompt and what came with it; repeats are absorbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) prompt: u32,
    /// When first asked, seconds since the epoch.
    pub(crate) time_s: u32,
    pub(crate) items: [u32; ITEMS],
    pub(crate) topics: [u16; TOPICS],
    pub(crate) words: u16,
    pub(crate) answer_tokens: u16,
    pub(crate) profile: u16,
    pub(crate) n: u16,
    pub(crate) n_messages: u8,
    pub(crate) flags: u8,
}

impl Record {
    pub(crate) const ASKS_REASONING: u8 = 1;
    pub(crate) const FAILED: u8 = 2;
    pub(crate) const USES_ANSWER: u8 = 4;
    pub(crate) const TOOLS: u8 = 8;
    pub(crate) const LOGPROBS: u8 = 16;
    pub(crate) const FLAGS: u8 = 31;

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

impl Entry for Record {
    fn key(&self) -> u32 {
        self.prompt
    }

    /// The first time decides on what came with it; flags and counts are joined.
    fn absorb(&mut self, other: &Self) {
        let flags = self.flags | other.flags;
        let n = self.n.saturating_add(other.n);
        let key = |r: &Self| (r.time_s, r.items, r.topics, r.words, r.answer_tokens, r.profile);
        let messages = self.n_messages.max(other.n_messages);
        if key(other) < key(self) {
            *self = *other;
        }
        self.flags = flags;
        self.n = n;
        self.n_messages = messages;
    }
}

/// The smallest shingles of an earlier answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Answer {
    pub(crate) time_s: u32,
    pub(crate) grams: [u32; ANSWER_GRAMS],
}

/// All that is kept of an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountSketch {
    pub(crate) plan: u32,
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    pub(crate) n: u32,
    pub(crate) n_conversing: u32,
    pub(crate) n_asking_reasoning: u32,
    pub(crate) n_using_answers: u32,
    pub(crate) n_failed: u32,
    pub(crate) n_tools: u32,
    pub(crate) n_logprobs: u32,
    pub(crate) sum_messages: u64,
    pub(crate) sum_words: u64,
    pub(crate) sum_answer_tokens: u64,
    /// Requests by hour of the day (UTC).
    pub(crate) hours: [u16; 24],
    /// Gaps between requests by log2 of seconds.
    pub(crate) gaps: [u16; BINS],
    /// Prompts by log2 of words.
    pub(crate) lengths: [u16; BINS],
    /// The last hour (since the epoch) that the bitmap covers.
    pub(crate) active_until: u32,
    /// Hours with activity; bit `hour % 512`.
    pub(crate) active: [u64; ACTIVE_WORDS],
    pub(crate) networks: Sample<Counted, NETWORKS>,
    pub(crate) agents: Sample<Counted, AGENTS>,
    pub(crate) profiles: Sample<Counted, PROFILES>,
    pub(crate) records: Sample<Record, RECORDS>,
    /// The latest answers, newest first.
    pub(crate) answers: Vec<Answer>,
}

impl Default for AccountSketch {
    fn default() -> Self {
        Self {
            plan: 0,
            first_ms: i64::MAX,
            last_ms: i64::MIN,
            n: 0,
            n_conversing: 0,
            n_asking_reasoning: 0,
            n_using_answers: 0,
            n_failed: 0,
            n_tools: 0,
            n_logprobs: 0,
            sum_messages: 0,
            sum_words: 0,
            sum_answer_tokens: 0,
            hours: [0; 24],
            gaps: [0; BINS],
            lengths: [0; BINS],
            active_until: 0,
            active: [0; ACTIVE_WORDS],
            networks: Sample::default(),
            agents: Sample::default(),
            profiles: Sample::default(),
            records: Sample::default(),
            answers: Vec::new(),
        }
    }
}

impl AccountSketch {
    /// Takes an exchange in.
    pub fn observe(&mut self, f: &Features) {
        let time_s = seconds(f.time_ms);
        let uses_answer = self.uses_answer(f);
        let conversing = f.n_messages > 2;
        if self.n > 0 {
            let gap_s = f.time_ms.abs_diff(self.last_ms) / 1000;
            bump(&mut self.gaps, log2_bin(gap_s));
        }
        (self.last_ms, self.plan) = (self.last_ms, self.plan).max((f.time_ms, f.plan));
        self.first_ms = self.first_ms.min(f.time_ms);
        self.n = self.n.saturating_add(1);
        count(&mut self.n_conversing, conversing);
        count(&mut self.n_asking_reasoning, f.asks_reasoning);
        count(&mut self.n_using_answers, uses_answer);
        count(&mut self.n_failed, f.failed);
        count(&mut self.n_tools, f.tools);
        count(&mut self.n_logprobs, f.logprobs);
        self.sum_messages = self.sum_messages.saturating_add(u64::from(f.n_messages));
        self.sum_words = self.sum_words.saturating_add(u64::from(f.words));
        self.sum_answer_tokens = self.sum_answer_tokens.saturating_add(u64::from(f.answer_tokens));
        let hour = time_s / 3600;
        bump(&mut self.hours, hour as usize % 24);
        bump(&mut self.lengths, log2_bin(u64::from(f.words)));
        self.mark_active(hour);
        offer(&mut self.networks, f.network);
        offer(&mut self.agents, f.agent);
        offer(&mut self.profiles, u32::from(f.profile).wrapping_mul(0x9e37_79b1));
        self.records.offer(Record {
            prompt: f.prompt,
            time_s,
            items: f.items,
            topics: f.topics,
            words: f.words,
            answer_tokens: u16::try_from(f.answer_tokens).unwrap_or(u16::MAX),
            profile: f.profile,
            n: 1,
            n_messages: f.n_messages,
            flags: [
                (f.asks_reasoning, Record::ASKS_REASONING),
                (f.failed, Record::FAILED),
                (uses_answer, Record::USES_ANSWER),
                (f.tools, Record::TOOLS),
                (f.logprobs, Record::LOGPROBS),
            ]
            .iter()
            .fold(0, |flags, (on, flag)| if *on { flags | flag } else { flags }),
        });
        if f.answer.iter().all(|g| *g != 0) {
            self.remember(Answer { time_s, grams: f.answer });
        }
    }

    /// Takes in what another node or an earlier time saw of the same account.
    pub fn merge(&mut self, other: &Self) {
        (self.last_ms, self.plan) = (self.last_ms, self.plan).max((other.last_ms, other.plan));
        self.first_ms = self.first_ms.min(other.first_ms);
        for (mine, theirs) in [
            (&mut self.n, other.n),
            (&mut self.n_conversing, other.n_conversing),
            (&mut self.n_asking_reasoning, other.n_asking_reasoning),
            (&mut self.n_using_answers, other.n_using_answers),
            (&mut self.n_failed, other.n_failed),
            (&mut self.n_tools, other.n_tools),
            (&mut self.n_logprobs, other.n_logprobs),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        for (mine, theirs) in [
            (&mut self.sum_messages, other.sum_messages),
            (&mut self.sum_words, other.sum_words),
            (&mut self.sum_answer_tokens, other.sum_answer_tokens),
        ] {
            *mine = mine.saturating_add(theirs);
        }
        add(&mut self.hours, &other.hours);
        add(&mut self.gaps, &other.gaps);
        add(&mut self.lengths, &other.lengths);
        self.advance(other.active_until);
        let mut theirs = other.clone_activity();
        theirs.advance(self.active_until);
        for (mine, theirs) in self.active.iter_mut().zip(theirs.active) {
            *mine |= theirs;
        }
        self.networks.merge(&other.networks);
        self.agents.merge(&other.agents);
        self.profiles.merge(&other.profiles);
        self.records.merge(&other.records);
        for answer in &other.answers {
            self.remember(*answer);
        }
    }

    /// Exchanges seen.
    pub fn n(&self) -> u64 {
        u64::from(self.n)
    }

    /// When the account was last seen, milliseconds since the epoch.
    pub fn last_ms(&self) -> i64 {
        self.last_ms
    }

    /// Bytes in memory, heap included.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.networks.heap_bytes()
            + self.agents.heap_bytes()
            + self.profiles.heap_bytes()
            + self.records.heap_bytes()
            + self.answers.capacity() * size_of::<Answer>()
    }

    /// The pace of an account that asks at regular intervals: the lower of two neighbouring bins
    /// (log2 of seconds) that hold nine tenths of its gaps. None where gaps are irregular, few, or
    /// below [`PACE_BIN_MIN`], where they are those within a session.
    pub(crate) fn pace(&self) -> Option<usize> {
        let n: u32 = self.gaps.iter().map(|g| u32::from(*g)).sum();
        let two = |(i, pair): (usize, &[u16])| (i, pair.iter().map(|g| u32::from(*g)).sum::<u32>());
        let (bin, most) = self.gaps.windows(2).enumerate().map(two).max_by_key(|(_, n)| *n)?;
        (n >= 8 && bin >= PACE_BIN_MIN && 10 * most >= 9 * n).then_some(bin)
    }

    /// Whether the prompt contains an earlier answer: at least two of the four smallest shingles
    /// of one answer (a single 6-word phrase can be a coincidence).
    fn uses_answer(&self, f: &Features) -> bool {
        self.answers
            .iter()
            .any(|answer| answer.grams.iter().filter(|gram| f.grams.contains(gram)).count() >= 2)
    }

    /// Keeps the newest answers.
    fn remember(&mut self, answer: Answer) {
        if let Err(i) = self.answers.binary_search_by(|known| answer.cmp(known)) {
            if i >= ANSWERS {
                return;
            }
            if self.answers.len() == ANSWERS {
                self.answers.pop();
            } else {
                self.answers.reserve_exact(1);
            }
            self.answers.insert(i, answer);
        }
    }

    fn mark_active(&mut self, hour: u32) {
        self.advance(hour);
        if hour.saturating_add(ACTIVE_HOURS) > self.active_until {
            let bit = hour % ACTIVE_HOURS;
            if let Some(word) = self.active.get_mut(bit as usize / 64) {
                *word |= 1 << (bit % 64);
            }
        }
    }

    /// Moves the bitmap forward and clears the hours that leave it.
    fn advance(&mut self, until: u32) {
        if until <= self.active_until {
            return;
        }
        if until - self.active_until >= ACTIVE_HOURS {
            self.active = [0; ACTIVE_WORDS];
        } else {
            for hour in self.active_until + 1..=until {
                let bit = hour % ACTIVE_HOURS;
                if let Some(word) = self.active.get_mut(bit as usize / 64) {
                    *word &= !(1 << (bit % 64));
                }
            }
        }
        self.active_until = until;
    }

    /// The bitmap alone, to be moved without touching the original.
    fn clone_activity(&self) -> Self {
        Self { active: self.active, active_until: self.active_until, ..Self::default() }
    }

    /// Whether there was activity in the hour (since the epoch).
    pub(crate) fn active_in(&self, hour: u32) -> bool {
        hour <= self.active_until
            && hour.saturating_add(ACTIVE_HOURS) > self.active_until
            && self
                .active
                .get((hour % ACTIVE_HOURS) as usize / 64)
                .is_some_and(|w| w >> (hour % 64) & 1 == 1)
    }
}

/// Seconds since the epoch; times before 1970 and after 2106 count as these ends.
pub(crate) fn seconds(time_ms: i64) -> u32 {
    u32::try_from((time_ms / 1000).max(0)).unwrap_or(u32::MAX)
}

fn offer<const K: usize>(sample: &mut Sample<Counted, K>, hash: u32) {
    if hash != 0 {
        sample.offer(Counted { hash, n: 1 });
    }
}

fn count(counter: &mut u32, on: bool) {
    *counter = counter.saturating_add(u32::from(on));
}

fn bump(bins: &mut [u16], i: usize) {
    if let Some(bin) = bins.get_mut(i) {
        *bin = bin.saturating_add(1);
    }
}

fn add(mine: &mut [u16], theirs: &[u16]) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine = mine.saturating_add(*theirs);
    }
}

/// Bin 0 holds 0 and 1, bin b holds 2^b to 2^(b+1) − 1, the last all above.
fn log2_bin(value: u64) -> usize {
    (value.max(1).ilog2() as usize).min(BINS - 1)
}
