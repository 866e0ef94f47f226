//! How a person writes: an own style, favourite subjects, conversations that go on.

use super::account::{Draft, Say, Script};
use super::grammar::{Fill, Language, Subject, zipf};
use super::times::MINUTE;
use rand::Rng;
use rand::seq::IndexedRandom as _;
use rand_chacha::ChaCha8Rng;
use stillwatch_evidence::Message;

/// Messages of a conversation that are sent along.
const HISTORY_MAX: usize = 6;

/// Kinds of request that people make, the common ones first.
const INTENTS: [&str; 9] =
    ["ask", "write", "chat", "plan", "text", "code", "homework", "bank_question", "library"];

/// Hand of a person.
#[derive(Debug, Clone)]
pub(super) struct Hand {
    lower_case: bool,
    typos: f64,
    greeting: &'static str,
    farewell: &'static str,
    no_full_stop: bool,
    talks: f64,
}

impl Hand {
    pub(super) fn new(rng: &mut ChaCha8Rng) -> Self {
        let greetings = ["", "", "", "", "hi, ", "hey ", "Hello! ", "ok so ", "Hi there, "];
        let farewells = ["", "", "", "", " please", " thanks", " Thank you!", " thx", " :)"];
        Self {
            lower_case: rng.random_bool(0.45),
            typos: if rng.random_bool(0.4) { rng.random_range(0.002..0.02) } else { 0.0 },
            greeting: greetings.choose(rng).copied().unwrap_or_default(),
            farewell: farewells.choose(rng).copied().unwrap_or_default(),
            no_full_stop: rng.random_bool(0.4),
            talks: rng.random_range(0.0..0.5),
        }
    }

    /// A text in this hand.
    pub(super) fn write(
        &self,
        language: &Language,
        rng: &mut ChaCha8Rng,
        text: &str,
        about: Subject,
    ) -> String {
        let mut out = String::with_capacity(text.len() + 96);
        if rng.random_bool(0.6) {
            out.push_str(self.greeting);
        }
        out.push_str(text);
        if rng.random_bool(self.talks) {
            out.push_str(". ");
            let context = language.pattern(rng, "context");
            out.push_str(&language.expand(rng, context, Fill::about(about)));
        }
        if rng.random_bool(0.5) {
            out.push_str(self.farewell);
        }
        if self.lower_case {
            out = out.to_lowercase();
        } else {
            let mut letters = out.chars();
            let head: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
            out = head + letters.as_str();
        }
        if self.no_full_stop {
            out.truncate(out.trim_end_matches(['.', '?']).len());
        }
        if self.typos > 0.0 { self.mistype(rng, &out) } else { out }
    }

    fn mistype(&self, rng: &mut ChaCha8Rng, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        for letter in text.chars() {
            if letter.is_ascii_lowercase() && rng.random_bool(self.typos) {
                match rng.random_range(0..3) {
                    0 => continue,
                    1 => out.push(letter),
                    _ => out.push('e'),
                }
            }
            out.push(letter);
        }
        out
    }
}

/// A person in conversation.
#[derive(Debug)]
pub(super) struct Person {
    hand: Hand,
    interests: Vec<usize>,
    intents: Vec<&'static str>,
    system: String,
    goes_on: f64,
    suffix: &'static str,
    history: Vec<Message>,
    subject: Option<Subject>,
    last_answer: String,
    last_ms: i64,
}

impl Person {
    /// Anyone.
    pub(super) fn new(language: &Language, rng: &mut ChaCha8Rng) -> Self {
        let n_interests = rng.random_range(2..9);
        let interests =
            (0..n_interests).map(|_| zipf(rng, language.n_domains()) * 37 % language.n_domains());
        let interests: Vec<_> = interests.collect();
        let n_intents = rng.random_range(2..7);
        let intents = (0..n_intents)
            .map(|_| INTENTS.get(zipf(rng, INTENTS.len())).copied().unwrap_or("ask"))
            .collect();
        Self {
            hand: Hand::new(rng),
            interests,
            intents,
            system: String::new(),
            goes_on: rng.random_range(0.2..0.8),
            suffix: "",
            history: Vec::new(),
            subject: None,
            last_answer: String::new(),
            last_ms: i64::MIN / 2,
        }
    }

    pub(super) fn intents(mut self, intents: &[&'static str]) -> Self {
        self.intents = intents.to_vec();
        self
    }

    pub(super) fn interests(mut self, interests: Vec<usize>) -> Self {
        self.interests = interests;
        self
    }

    pub(super) fn system(mut self, system: &str) -> Self {
        system.clone_into(&mut self.system);
        self
    }

    pub(super) fn goes_on(mut self, goes_on: f64) -> Self {
        self.goes_on = goes_on;
        self
    }

    /// Words that this person ends first questions with.
    pub(super) fn suffix(mut self, suffix: &'static str) -> Self {
        self.suffix = suffix;
        self
    }

    fn quote(&self, rng: &mut ChaCha8Rng) -> String {
        let words: Vec<&str> = self.last_answer.split(' ').collect();
        let n = rng.random_range(4..9).min(words.len());
        let from = rng.random_range(0..=words.len() - n);
        let quoted = words.get(from..from + n).unwrap_or_default().join(" ");
        quoted.trim_end_matches(['.', ',', ':']).to_owned()
    }
}

impl Script for Person {
    fn compose(&mut self, say: &mut Say<'_>) -> Draft {
        let Say { language, rng, time_ms, .. } = say;
        let stale = *time_ms - self.last_ms > 40 * MINUTE;
        self.last_ms = *time_ms;
        let follows = !stale && !self.history.is_empty() && rng.random_bool(self.goes_on);
        let subject = match self.subject {
            Some(subject) if follows => subject,
            _ => {
                let at = zipf(rng, self.interests.len());
                let domain = if rng.random_bool(0.12) {
                    rng.random_range(0..language.n_domains())
                } else {
                    self.interests.get(at).copied().unwrap_or_default()
                };
                language.subject_in(rng, domain)
            }
        };
        self.subject = Some(subject);
        let intent =
            if follows { "followup" } else { self.intents.choose(rng).copied().unwrap_or("ask") };
        if !follows {
            self.history.clear();
        }
        let quote = if follows { self.quote(rng) } else { String::new() };
        let pattern = language.pattern(rng, intent);
        let fill = Fill { subject, item: "", quote: &quote };
        let mut text = language.expand(rng, pattern, fill);
        if !follows {
            text.push_str(self.suffix);
        }
        let user = self.hand.write(language, rng, &text, subject);
        let sentences = rng.random_range(2..9);
        Draft {
            system: self.system.clone(),
            history: self.history.clone(),
            user,
            subject,
            sentences,
        }
    }

    fn hear(&mut self, draft: &Draft, answer: &str) {
        let message = |role: &str, content: &str| Message {
            role: role.to_owned(),
            content: content.to_owned(),
        };
        self.history.push(message("user", &draft.user));
        self.history.push(message("assistant", answer));
        let surplus = self.history.len().saturating_sub(HISTORY_MAX);
        self.history.drain(..surplus);
        answer.clone_into(&mut self.last_answer);
    }
}

/// A script that is a closure: for what needs no memory of answers.
pub(super) struct By<F>(pub(super) F);

impl<F: FnMut(&mut Say<'_>) -> Draft + Send> Script for By<F> {
    fn compose(&mut self, say: &mut Say<'_>) -> Draft {
        (self.0)(say)
    }
}

/// Two scripts in one account: the second for this share of requests.
pub(super) struct Mixed {
    pub(super) first: Box<dyn Script>,
    pub(super) second: Box<dyn Script>,
    pub(super) share: f64,
    pub(super) was_second: bool,
}

impl Script for Mixed {
    fn compose(&mut self, say: &mut Say<'_>) -> Draft {
        self.was_second = say.rng.random_bool(self.share);
        let script = if self.was_second { &mut self.second } else { &mut self.first };
        script.compose(say)
    }

    fn hear(&mut self, draft: &Draft, answer: &str) {
        let script = if self.was_second { &mut self.second } else { &mut self.first };
        script.hear(draft, answer);
    }
}

/// A template around items of a bank, on subjects of these domains (none: of all).
pub(super) fn template(
    system: String,
    user: String,
    bank: &'static str,
    domains: Vec<usize>,
) -> Box<dyn Script> {
    Box::new(By(move |say: &mut Say<'_>| {
        let language = say.language;
        let subject = match domains.choose(say.rng) {
            Some(domain) => language.subject_in(say.rng, *domain),
            None => language.any_subject(say.rng),
        };
        let item = item(language, say.rng, bank, subject);
        let fill = Fill { subject, item: &item, quote: "" };
        let text = language.expand(say.rng, &user, fill);
        let sentences = say.rng.random_range(1..7);
        Draft { system: system.clone(), ..Draft::new(text, subject, sentences) }
    }))
}

/// One item of a bank.
pub(super) fn item(
    language: &Language,
    rng: &mut ChaCha8Rng,
    bank: &str,
    subject: Subject,
) -> String {
    let pattern = language.pattern(rng, bank);
    language.expand(rng, pattern, Fill::about(subject))
}
