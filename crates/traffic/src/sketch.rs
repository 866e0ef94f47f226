//! All that is kept of an account: at most 4 KiB, a function of the *multiset* of its exchanges.
//!
//! Counters, histograms and bitmaps are integers that saturate; sets are
//! [samples by smallest hash](crate::sample); of times and answers likewise the smallest are kept
//! in an order that doesn't depend on when they came. So observing and merging are commutative
//! and associative: whatever the order of exchanges, however they were parted over machines and
//! files, the same exchanges give the same bytes. What lies between neighbours in time (pace,
//! sessions, the use of earlier answers) is worked out only when the sketch is
//! [looked at](crate::rhythm).
//!
//! The heart is a uniform sample of up to 40 different prompts with what came with each
//! ([`Record`]): for most accounts that is their whole traffic.

use crate::features::{Features, ITEMS, TOPICS};
use crate::rhythm::Times;
use crate::sample::{Counted, Entry, Sample};

/// Different prompts kept.
pub(crate) const RECORDS: usize = 40;
/// Networks, client names and profiles kept.
pub(crate) const NETWORKS: usize = 16;
const AGENTS: usize = 4;
const PROFILES: usize = 8;
/// Shingles of answers kept, to recognise them in later prompts.
pub(crate) const SAID: usize = 32;
/// Hours of activity remembered: three weeks.
pub(crate) const ACTIVE_HOURS: u32 = 512;
pub(crate) const ACTIVE_WORDS: usize = ACTIVE_HOURS as usize / 64;
/// Bins of the logarithms of gaps (seconds, up to three days) and lengths (words).
pub(crate) const BINS: usize = 18;
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
    pub(crate) const TOOLS: u8 = 4;
    pub(crate) const LOGPROBS: u8 = 8;
    pub(crate) const FLAGS: u8 = 15;

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

/// A shingle of an answer, and when it was first said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) gram: u32,
    /// Of the earliest exchange, seconds since the epoch.
    pub(crate) time_s: u32,
}

impl Entry for Said {
    fn key(&self) -> u32 {
        self.gram
    }

    fn absorb(&mut self, other: &Self) {
        self.time_s = self.time_s.min(other.time_s);
    }
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
    pub(crate) n_failed: u32,
    pub(crate) n_tools: u32,
    pub(crate) n_logprobs: u32,
    pub(crate) sum_messages: u64,
    pub(crate) sum_words: u64,
    pub(crate) sum_answer_tokens: u64,
    /// Requests by hour of the day (UTC).
    pub(crate) hours: [u16; 24],
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
    /// The smallest shingles of answers.
    pub(crate) said: Sample<Said, SAID>,
    pub(crate) times: Times,
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
            n_failed: 0,
            n_tools: 0,
            n_logprobs: 0,
            sum_messages: 0,
            sum_words: 0,
            sum_answer_tokens: 0,
            hours: [0; 24],
            lengths: [0; BINS],
            active_until: 0,
            active: [0; ACTIVE_WORDS],
            networks: Sample::default(),
            agents: Sample::default(),
            profiles: Sample::default(),
            records: Sample::default(),
            said: Sample::default(),
            times: Times::default(),
        }
    }
}

impl AccountSketch {
    /// Takes an exchange in.
    pub fn observe(&mut self, f: &Features) {
        let time_s = seconds(f.time_ms);
        let conversing = f.n_messages > 2;
        (self.last_ms, self.plan) = (self.last_ms, self.plan).max((f.time_ms, f.plan));
        self.first_ms = self.first_ms.min(f.time_ms);
        self.n = self.n.saturating_add(1);
        count(&mut self.n_conversing, conversing);
        count(&mut self.n_asking_reasoning, f.asks_reasoning);
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
                (f.tools, Record::TOOLS),
                (f.logprobs, Record::LOGPROBS),
            ]
            .iter()
            .fold(0, |flags, (on, flag)| if *on { flags | flag } else { flags }),
        });
        for gram in f.answer.into_iter().take_while(|gram| *gram != 0) {
            self.said.offer(Said { gram, time_s });
        }
        self.times.offer(f.week, time_s);
    }

    /// Takes in what another node or an earlier time saw of the same account.
    pub fn merge(&mut self, other: &Self) {
        (self.last_ms, self.plan) = (self.last_ms, self.plan).max((other.last_ms, other.plan));
        self.first_ms = self.first_ms.min(other.first_ms);
        for (mine, theirs) in [
            (&mut self.n, other.n),
            (&mut self.n_conversing, other.n_conversing),
            (&mut self.n_asking_reasoning, other.n_asking_reasoning),
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
        self.said.merge(&other.said);
        self.times.merge(&other.times);
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
            + self.said.heap_bytes()
            + self.times.heap_bytes()
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
pub(crate) fn log2_bin(value: u64) -> usize {
    (value.max(1).ilog2() as usize).min(BINS - 1)
}
