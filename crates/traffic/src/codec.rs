//! Sketches as bytes: a version, then fields in a fixed order, little-endian.
//!
//! Decoding is strict: a length, an order or a value that no encoder writes is an error, never a
//! panic, since the bytes come back from a database or from another node.

use crate::features::{ANSWER_GRAM_BELOW, ITEMS};
use crate::rhythm::{TIMES, Times};
use crate::sample::{Counted, Entry, Sample};
use crate::sketch::{AccountSketch, Record, SAID, Said};

/// Version of the layout.
const VERSION: u8 = 2;

/// Why bytes aren't a sketch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SketchError {
    /// Another version wrote them.
    #[error("version {found}, expected {VERSION}: start the sketch anew")]
    Version {
        /// What the bytes say.
        found: u8,
    },
    /// They end too early.
    #[error("the bytes end within {field}")]
    Short {
        /// Where they end.
        field: &'static str,
    },
    /// A value that no encoder writes.
    #[error("{field}: not as an encoder writes it")]
    Invalid {
        /// Which field.
        field: &'static str,
    },
    /// Bytes follow the last field.
    #[error("{n} bytes follow the last field")]
    Trailing {
        /// How many.
        n: usize,
    },
}

impl AccountSketch {
    /// The sketch as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + self.records.entries().len() * 60);
        out.push(VERSION);
        out.extend(self.plan.to_le_bytes());
        out.extend(self.first_ms.to_le_bytes());
        out.extend(self.last_ms.to_le_bytes());
        for count in self.counts() {
            out.extend(count.to_le_bytes());
        }
        for sum in [self.sum_messages, self.sum_words, self.sum_answer_tokens] {
            out.extend(sum.to_le_bytes());
        }
        for bin in self.hours.iter().chain(&self.lengths) {
            out.extend(bin.to_le_bytes());
        }
        out.extend(self.active_until.to_le_bytes());
        for word in self.active {
            out.extend(word.to_le_bytes());
        }
        put_counted(&mut out, &self.networks);
        put_counted(&mut out, &self.agents);
        put_counted(&mut out, &self.profiles);
        put_len(&mut out, self.records.entries().len());
        for record in self.records.entries() {
            put_record(&mut out, record);
        }
        put_len(&mut out, self.said.entries().len());
        for said in self.said.entries() {
            out.extend(said.gram.to_le_bytes());
            out.extend(said.time_s.to_le_bytes());
        }
        put_len(&mut out, self.times.kept().len());
        for time in self.times.kept() {
            out.extend(time.to_le_bytes());
        }
        out
    }

    /// The sketch that the bytes hold.
    ///
    /// # Errors
    /// Another version, or bytes that no encoder writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SketchError> {
        let mut from = Reader { bytes };
        let version = from.u8("version")?;
        if version != VERSION {
            return Err(SketchError::Version { found: version });
        }
        let mut sketch = Self {
            plan: from.u32("plan")?,
            first_ms: from.i64("first")?,
            last_ms: from.i64("last")?,
            ..Self::default()
        };
        let mut counts = [0; 6];
        for count in &mut counts {
            *count = from.u32("counts")?;
        }
        let [n, conversing, reasoning, failed, tools, logprobs] = counts;
        if counts.iter().any(|count| *count > n) {
            return Err(SketchError::Invalid { field: "counts" });
        }
        if (n == 0) != (sketch.first_ms > sketch.last_ms) {
            return Err(SketchError::Invalid { field: "times" });
        }
        sketch.n = n;
        sketch.n_conversing = conversing;
        sketch.n_asking_reasoning = reasoning;
        sketch.n_failed = failed;
        sketch.n_tools = tools;
        sketch.n_logprobs = logprobs;
        sketch.sum_messages = from.u64("messages")?;
        sketch.sum_words = from.u64("words")?;
        sketch.sum_answer_tokens = from.u64("answers")?;
        for bin in sketch.hours.iter_mut().chain(&mut sketch.lengths) {
            *bin = from.u16("histograms")?;
        }
        sketch.active_until = from.u32("activity")?;
        for word in &mut sketch.active {
            *word = from.u64("activity")?;
        }
        sketch.networks = from.counted("networks")?;
        sketch.agents = from.counted("agents")?;
        sketch.profiles = from.counted("profiles")?;
        let n_records = from.len("records")?;
        let mut records = Vec::with_capacity(n_records);
        for _ in 0..n_records {
            records.push(from.record()?);
        }
        sketch.records =
            Sample::from_entries(records).ok_or(SketchError::Invalid { field: "records" })?;
        sketch.said = from.said()?;
        let n_times = from.len("request times")?;
        let mut times = Vec::with_capacity(n_times);
        for _ in 0..n_times {
            times.push(from.u64("request times")?);
        }
        sketch.times = Times::from_kept(times)
            .filter(|times| times.kept().len() == (n as usize).min(TIMES))
            .ok_or(SketchError::Invalid { field: "request times" })?;
        match from.bytes.len() {
            0 => Ok(sketch),
            n => Err(SketchError::Trailing { n }),
        }
    }

    fn counts(&self) -> [u32; 6] {
        [
            self.n,
            self.n_conversing,
            self.n_asking_reasoning,
            self.n_failed,
            self.n_tools,
            self.n_logprobs,
        ]
    }
}

fn put_len(out: &mut Vec<u8>, n: usize) {
    out.push(u8::try_from(n).unwrap_or(u8::MAX));
}

fn put_counted<const K: usize>(out: &mut Vec<u8>, sample: &Sample<Counted, K>) {
    put_len(out, sample.entries().len());
    for entry in sample.entries() {
        out.extend(entry.hash.to_le_bytes());
        out.extend(entry.n.to_le_bytes());
    }
}

fn put_record(out: &mut Vec<u8>, r: &Record) {
    out.extend(r.prompt.to_le_bytes());
    out.extend(r.time_s.to_le_bytes());
    for item in r.items {
        out.extend(item.to_le_bytes());
    }
    for topic in r.topics {
        out.extend(topic.to_le_bytes());
    }
    for value in [r.words, r.answer_tokens, r.profile, r.n] {
        out.extend(value.to_le_bytes());
    }
    out.push(r.n_messages);
    out.push(r.flags);
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], SketchError> {
        let (first, rest) =
            self.bytes.split_first_chunk::<N>().ok_or(SketchError::Short { field })?;
        self.bytes = rest;
        Ok(*first)
    }

    fn u8(&mut self, field: &'static str) -> Result<u8, SketchError> {
        self.take(field).map(u8::from_le_bytes)
    }

    fn u16(&mut self, field: &'static str) -> Result<u16, SketchError> {
        self.take(field).map(u16::from_le_bytes)
    }

    fn u32(&mut self, field: &'static str) -> Result<u32, SketchError> {
        self.take(field).map(u32::from_le_bytes)
    }

    fn u64(&mut self, field: &'static str) -> Result<u64, SketchError> {
        self.take(field).map(u64::from_le_bytes)
    }

    fn i64(&mut self, field: &'static str) -> Result<i64, SketchError> {
        self.take(field).map(i64::from_le_bytes)
    }

    fn len(&mut self, field: &'static str) -> Result<usize, SketchError> {
        self.u8(field).map(usize::from)
    }

    fn counted<const K: usize>(
        &mut self,
        field: &'static str,
    ) -> Result<Sample<Counted, K>, SketchError> {
        let n = self.len(field)?;
        let mut entries = Vec::with_capacity(n);
        for _ in 0..n {
            let entry = Counted { hash: self.u32(field)?, n: self.u32(field)? };
            if entry.n == 0 || entry.key() == 0 {
                return Err(SketchError::Invalid { field });
            }
            entries.push(entry);
        }
        Sample::from_entries(entries).ok_or(SketchError::Invalid { field })
    }

    fn said(&mut self) -> Result<Sample<Said, SAID>, SketchError> {
        const FIELD: &str = "answers";
        let n = self.len(FIELD)?;
        let mut entries = Vec::with_capacity(n);
        for _ in 0..n {
            let entry = Said { gram: self.u32(FIELD)?, time_s: self.u32(FIELD)? };
            if entry.gram == 0 || entry.gram >= ANSWER_GRAM_BELOW {
                return Err(SketchError::Invalid { field: FIELD });
            }
            entries.push(entry);
        }
        Sample::from_entries(entries).ok_or(SketchError::Invalid { field: FIELD })
    }

    fn record(&mut self) -> Result<Record, SketchError> {
        const FIELD: &str = "records";
        let (prompt, time_s) = (self.u32(FIELD)?, self.u32(FIELD)?);
        let mut items = [0; ITEMS];
        for item in &mut items {
            *item = self.u32(FIELD)?;
        }
        let mut topics = [0; 4];
        for topic in &mut topics {
            *topic = self.u16(FIELD)?;
        }
        let record = Record {
            prompt,
            time_s,
            items,
            topics,
            words: self.u16(FIELD)?,
            answer_tokens: self.u16(FIELD)?,
            profile: self.u16(FIELD)?,
            n: self.u16(FIELD)?,
            n_messages: self.u8(FIELD)?,
            flags: self.u8(FIELD)?,
        };
        if record.n == 0 || record.flags & !Record::FLAGS != 0 {
            return Err(SketchError::Invalid { field: FIELD });
        }
        Ok(record)
    }
}
