//! Sketches as bytes: a version, then fields in a fixed order, little-endian.
//!
//! Decoding is strict: a length, an order or a value that no encoder writes is an error, never a
//! panic, since the bytes come back from a database or from another node.

use crate::features::ITEMS;
use crate::sample::{Counted, Entry, Sample};
use crate::sketch::{ANSWERS, AccountSketch, Answer, Record};

/// Version of the layout.
const VERSION: u8 = 1;

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
        for bin in self.hours.iter().chain(&self.gaps).chain(&self.lengths) {
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
        put_len(&mut out, self.answers.len());
        for answer in &self.answers {
            out.extend(answer.time_s.to_le_bytes());
            for gram in answer.grams {
                out.extend(gram.to_le_bytes());
            }
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
        let mut counts = [0; 7];
        for count in &mut counts {
            *count = from.u32("counts")?;
        }
        let [n, conversing, reasoning, using, failed, tools, logprobs] = counts;
        if counts.iter().any(|count| *count > n) {
            return Err(SketchError::Invalid { field: "counts" });
        }
        if (n == 0) != (sketch.first_ms > sketch.last_ms) {
            return Err(SketchError::Invalid { field: "times" });
        }
        sketch.n = n;
        sketch.n_conversing = conversing;
        sketch.n_asking_reasoning = reasoning;
        sketch.n_using_answers = using;
        sketch.n_failed = failed;
        sketch.n_tools = tools;
        sketch.n_logprobs = logprobs;
        sketch.sum_messages = from.u64("messages")?;
        sketch.sum_words = from.u64("words")?;
        sketch.sum_answer_tokens = from.u64("answers")?;
        for bin in sketch.hours.iter_mut().chain(&mut sketch.gaps).chain(&mut sketch.lengths) {
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
        let n_answers = from.len("answers")?;
        if n_answers > ANSWERS {
            return Err(SketchError::Invalid { field: "answers" });
        }
        for _ in 0..n_answers {
            let time_s = from.u32("answers")?;
            let mut grams = [0; 4];
            for gram in &mut grams {
                *gram = from.u32("answers")?;
            }
            sketch.answers.reserve_exact(1);
            sketch.answers.push(Answer { time_s, grams });
        }
        if !sketch.answers.is_sorted_by(|a, b| a > b) {
            return Err(SketchError::Invalid { field: "answers" });
        }
        match from.bytes.len() {
            0 => Ok(sketch),
            n => Err(SketchError::Trailing { n }),
        }
    }

    fn counts(&self) -> [u32; 7] {
        [
            self.n,
            self.n_conversing,
            self.n_asking_reasoning,
            self.n_using_answers,
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
