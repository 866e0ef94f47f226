//! Text from grammars: patterns with alternatives and slots over a vocabulary of thousands.
//!
//! `[a|b|]` chooses, `{t}` fills a slot for each text, `<t>` fills it once when a template is
//! frozen. Words come from hand-written banks and from the books that the project ships.

use rand::Rng;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};

const BOOKS: [&str; 2] = [
    include_str!("../../../../data/demo/moby-dick.txt"),
    include_str!("../../../../data/demo/addresses.txt"),
];

const BANKS: [&str; 7] = [
    include_str!("words/ordinary.txt"),
    include_str!("words/bank.txt"),
    include_str!("words/campaigns.txt"),
    include_str!("words/classes.txt"),
    include_str!("words/answers.txt"),
    include_str!("words/style_b.txt"),
    include_str!("words/style_c.txt"),
];

/// The bank of [`BANKS`] whose sections get this prefix, so that names don't collide.
const PREFIXES: [&str; 7] = ["", "bank_", "campaign_", "", "", "b_", "c_"];

/// Depth of nesting that patterns may have; ours have two.
const DEPTH_MAX: u8 = 4;

/// What a text is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) domain: usize,
    term: usize,
    other: usize,
}

struct Domain {
    name: &'static str,
    terms: Vec<&'static str>,
}

/// The vocabulary and the patterns.
pub(super) struct Language {
    domains: Vec<Domain>,
    adjectives: Vec<&'static str>,
    verbs: Vec<&'static str>,
    names: Vec<&'static str>,
    places: Vec<&'static str>,
    roles: Vec<&'static str>,
    words: Vec<&'static str>,
    sentences: Vec<&'static str>,
    banks: BTreeMap<String, Vec<&'static str>>,
}

/// What fills the slots that aren't drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fill<'a> {
    pub(super) subject: Subject,
    /// `{i}`: the item a template is about.
    pub(super) item: &'a str,
    /// `{q}`: words quoted from an answer.
    pub(super) quote: &'a str,
}

impl Fill<'_> {
    pub(super) fn about(subject: Subject) -> Self {
        Self { subject, item: "", quote: "" }
    }
}

impl Language {
    pub(super) fn new() -> Self {
        let domains = include_str!("words/domains.txt")
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, terms)| Domain { name, terms: terms.split("; ").collect() })
            .collect();
        let mut banks = BTreeMap::new();
        for (text, prefix) in BANKS.iter().zip(PREFIXES) {
            let mut name = String::new();
            for line in text.lines().filter(|line| !line.is_empty()) {
                if let Some(section) = line.strip_prefix("# ") {
                    name = format!("{prefix}{section}");
                } else {
                    banks.entry(name.clone()).or_insert_with(Vec::new).push(line);
                }
            }
        }
        Self {
            domains,
            adjectives: include_str!("words/adjectives.txt").split_whitespace().collect(),
            verbs: include_str!("words/verbs.txt").split_whitespace().collect(),
            names: include_str!("words/names.txt").split_whitespace().collect(),
            places: include_str!("words/places.txt").split_whitespace().collect(),
            roles: include_str!("words/roles.txt").split_whitespace().collect(),
            words: book_words(),
            sentences: book_sentences(),
            banks,
        }
    }

    pub(super) fn n_domains(&self) -> usize {
        self.domains.len()
    }

    /// Patterns of a bank.
    ///
    /// # Panics
    /// There is no such bank: a slip in this crate.
    pub(super) fn bank(&self, name: &str) -> &[&'static str] {
        self.banks.get(name).map(Vec::as_slice).expect("a bank of that name")
    }

    /// A pattern of a bank.
    pub(super) fn pattern(&self, rng: &mut ChaCha8Rng, bank: &str) -> &'static str {
        self.bank(bank).choose(rng).copied().unwrap_or_default()
    }

    /// A subject within a domain.
    pub(super) fn subject_in(&self, rng: &mut ChaCha8Rng, domain: usize) -> Subject {
        let domain = domain % self.domains.len().max(1);
        let n = self.domains.get(domain).map_or(1, |d| d.terms.len()).max(2);
        // Terms are long-tailed too: some things are asked far more often than others.
        let term = zipf(rng, n);
        let other = (term + rng.random_range(1..n)) % n;
        Subject { domain, term, other }
    }

    /// A subject drawn evenly over everything.
    pub(super) fn any_subject(&self, rng: &mut ChaCha8Rng) -> Subject {
        let domain = rng.random_range(0..self.n_domains());
        let n = self.domains.get(domain).map_or(1, |d| d.terms.len()).max(2);
        let term = rng.random_range(0..n);
        Subject { domain, term, other: (term + rng.random_range(1..n)) % n }
    }

    /// A text by a pattern.
    pub(super) fn expand(&self, rng: &mut ChaCha8Rng, pattern: &str, fill: Fill<'_>) -> String {
        let mut out = String::with_capacity(pattern.len() + 64);
        self.run(rng, pattern, Some(fill), None, 0, &mut out);
        out
    }

    /// A template: alternatives are chosen and `<…>` is filled, `{…}` stays.
    pub(super) fn freeze(&self, rng: &mut ChaCha8Rng, pattern: &str, subject: Subject) -> String {
        let mut out = String::with_capacity(pattern.len() + 64);
        self.run(rng, pattern, None, Some(Fill::about(subject)), 0, &mut out);
        out
    }

    fn run(
        &self,
        rng: &mut ChaCha8Rng,
        mut rest: &str,
        fill: Option<Fill<'_>>,
        freeze: Option<Fill<'_>>,
        depth: u8,
        out: &mut String,
    ) {
        while let Some(at) = rest.find(['[', '{', '<', '\\']) {
            let (plain, from) = rest.split_at(at);
            out.push_str(plain);
            let (close, used) = match from.as_bytes().first() {
                Some(b'[') => (closing(from), true),
                Some(b'{') => (from.find('}'), fill.is_some()),
                Some(b'<') => (from.find('>').filter(|end| *end <= 6), freeze.is_some()),
                _ => (Some(1), true),
            };
            let Some((whole, after)) = close.and_then(|close| from.split_at_checked(close + 1))
            else {
                out.push_str(from.get(..1).unwrap_or_default());
                rest = from.get(1..).unwrap_or_default();
                continue;
            };
            let inner = whole.get(1..whole.len() - 1).unwrap_or_default();
            match whole.as_bytes().first() {
                Some(b'[') if depth < DEPTH_MAX => {
                    let chosen = alternative(rng, inner);
                    self.run(rng, chosen, fill, freeze, depth + 1, out);
                }
                Some(b'\\') => out.push(if whole == "\\n" { '\n' } else { ' ' }),
                Some(b'{') if used => self.slot(rng, inner, fill, depth, out),
                Some(b'<') if used => self.slot(rng, inner, freeze, depth, out),
                _ => out.push_str(whole),
            }
            rest = after;
        }
        out.push_str(rest);
    }

    fn slot(
        &self,
        rng: &mut ChaCha8Rng,
        name: &str,
        fill: Option<Fill<'_>>,
        depth: u8,
        out: &mut String,
    ) {
        let Some(fill) = fill else { return };
        let domain = self.domains.get(fill.subject.domain);
        let term = |i: usize| domain.and_then(|d| d.terms.get(i)).copied().unwrap_or("things");
        match name {
            "t" => out.push_str(term(fill.subject.term)),
            "u" => out.push_str(term(fill.subject.other)),
            "d" => out.push_str(domain.map_or("life", |d| d.name)),
            "a" => out.push_str(pick(rng, &self.adjectives)),
            "v" => out.push_str(pick(rng, &self.verbs)),
            "p" => out.push_str(pick(rng, &self.names)),
            "l" => out.push_str(pick(rng, &self.places)),
            "r" => out.push_str(pick(rng, &self.roles)),
            "n" => out.push_str(&rng.random_range(2..10).to_string()),
            "w" => out.push_str(self.word(rng)),
            "s" => out.push_str(pick(rng, &self.sentences)),
            "x" => out.push_str(&self.passage(rng)),
            "k" => out.push_str(&self.code(rng)),
            "ext" => out.push_str(pick(rng, &["py", "rs", "ts", "go", "java", "rb"])),
            "i" => out.push_str(fill.item),
            "q" => out.push_str(fill.quote),
            "brand" => {
                let word = self.word(rng);
                let mut letters = word.chars();
                out.extend(letters.next().into_iter().flat_map(char::to_uppercase));
                out.push_str(letters.as_str());
                out.push_str(pick(
                    rng,
                    &["ly", " Works", " & Co", "Hub", " Labs", "ify", " Group"],
                ));
            }
            "c" if depth < DEPTH_MAX => {
                let context = self.pattern(rng, "context");
                self.run(rng, context, Some(fill), None, depth + 1, out);
            }
            _ => out.push_str("it"),
        }
    }

    /// A word of the books, the common ones more often.
    pub(super) fn word(&self, rng: &mut ChaCha8Rng) -> &'static str {
        self.words.get(zipf(rng, self.words.len())).copied().unwrap_or("thing")
    }

    /// Two to four sentences of a book, as they stand.
    pub(super) fn passage(&self, rng: &mut ChaCha8Rng) -> String {
        let n = rng.random_range(2..=4);
        let from = rng.random_range(0..self.sentences.len().saturating_sub(n).max(1));
        self.sentences.get(from..from + n).unwrap_or_default().join(" ")
    }

    /// A few lines of code.
    pub(super) fn code(&self, rng: &mut ChaCha8Rng) -> String {
        let [f, x, y, z] = [(); 4].map(|()| self.word(rng));
        let n = rng.random_range(2..100);
        match rng.random_range(0..6) {
            0 => format!(
                "def {f}_{x}({y}):\n    {z} = []\n    for i in range(len({y})):\n        if {y}[i] > {n}:\n            {z}.append({y}[i])\n    return {z}"
            ),
            1 => format!(
                "fn {f}_{x}({y}: &[u32]) -> Option<u32> {{\n    {y}.iter().filter(|{z}| **{z} > {n}).max().copied()\n}}"
            ),
            2 => format!(
                "SELECT {f}, COUNT({x}) AS {z}\nFROM {y}\nWHERE {x} > {n}\nGROUP BY {f}\nORDER BY {z} DESC"
            ),
            3 => format!(
                "const {f} = async ({x}) => {{\n  const {y} = await fetch(`/api/{z}/${{{x}}}?limit={n}`);\n  return {y}.json();\n}};"
            ),
            4 => format!(
                "func {f}({x} map[string]int) int {{\n\t{y} := 0\n\tfor _, {z} := range {x} {{\n\t\tif {z} > {n} {{ {y} += {z} }}\n\t}}\n\treturn {y}\n}}"
            ),
            _ => format!(
                "for {f} in *.{x}; do\n  grep -c \"{y}\" \"${f}\" >> {z}.log\n  sleep {n}\ndone"
            ),
        }
    }

    /// An answer of this many sentences.
    pub(super) fn answer(&self, rng: &mut ChaCha8Rng, subject: Subject, n: usize) -> String {
        let mut out = String::new();
        for i in 0..n {
            if i > 0 {
                out.push(' ');
            }
            let pattern = self.pattern(rng, "answer");
            let sentence = self.expand(rng, pattern, Fill::about(subject));
            let mut letters = sentence.chars();
            out.extend(letters.next().into_iter().flat_map(char::to_uppercase));
            out.push_str(letters.as_str());
        }
        out
    }
}

/// An index below `n`, the low ones more often (Zipf with exponent 1, by inversion).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and n")]
pub(super) fn zipf(rng: &mut ChaCha8Rng, n: usize) -> usize {
    let n = n.max(1);
    let u: f64 = rng.random();
    let x = ((n + 1) as f64).powf(u) - 1.0;
    (x as usize).min(n - 1)
}

fn pick(rng: &mut ChaCha8Rng, from: &[&'static str]) -> &'static str {
    from.choose(rng).copied().unwrap_or_default()
}

/// Where the bracket that opens a text closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_i32;
    text.bytes().position(|byte| {
        depth += i32::from(byte == b'[') - i32::from(byte == b']');
        depth == 0
    })
}

/// One of the alternatives that `|` separates outside inner brackets.
fn alternative<'a>(rng: &mut ChaCha8Rng, inner: &'a str) -> &'a str {
    let mut cuts = vec![];
    let mut depth = 0_i32;
    for (at, byte) in inner.bytes().enumerate() {
        depth += i32::from(byte == b'[') - i32::from(byte == b']');
        if byte == b'|' && depth == 0 {
            cuts.push(at);
        }
    }
    let which = rng.random_range(0..=cuts.len());
    let from = if which == 0 { 0 } else { cuts.get(which - 1).map_or(0, |cut| cut + 1) };
    let to = cuts.get(which).copied().unwrap_or(inner.len());
    inner.get(from..to).unwrap_or_default()
}

/// Words of five to ten letters that the books use, the frequent ones first.
fn book_words() -> Vec<&'static str> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in BOOKS.iter().flat_map(|book| book.split(|c: char| !c.is_ascii_alphabetic())) {
        if (5..=10).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase()) {
            *counts.entry(word).or_default() += 1;
        }
    }
    let mut words: Vec<_> = counts.into_iter().filter(|(_, n)| *n > 1).collect();
    words.sort_by_key(|(word, n)| (std::cmp::Reverse(*n), *word));
    // The most frequent are function words.
    words.into_iter().skip(60).map(|(word, _)| word).collect()
}

/// Sentences of middling length.
fn book_sentences() -> Vec<&'static str> {
    let mut seen = BTreeSet::new();
    BOOKS
        .iter()
        .flat_map(|book| book.split_inclusive(['.', '!', '?']))
        .map(str::trim)
        .filter(|s| {
            (40..=220).contains(&s.len()) && !s.contains(['\n', '[', '{', '<', '\\', '"', '“'])
        })
        .filter(|s| seen.insert(*s))
        .collect()
}
