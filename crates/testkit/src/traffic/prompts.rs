//! Prompts as ordinary people write them, without the rest of a replay.

use super::account::{Say, Script as _};
use super::grammar::Language;
use super::person::Person;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::sync::OnceLock;

/// An endless stream of prompts by seed; each opens a conversation.
#[derive(Debug)]
pub struct Prompts {
    rng: ChaCha8Rng,
    person: Person,
}

fn language() -> &'static Language {
    static LANGUAGE: OnceLock<Language> = OnceLock::new();
    LANGUAGE.get_or_init(Language::new)
}

impl Prompts {
    /// Prompts of one person.
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let person = Person::new(language(), &mut rng).goes_on(0.0);
        Self { rng, person }
    }
}

impl Iterator for Prompts {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        let mut say = Say { language: language(), rng: &mut self.rng, item: 0, time_ms: 0 };
        Some(self.person.compose(&mut say).user)
    }
}
