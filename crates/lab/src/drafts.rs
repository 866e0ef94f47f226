//! Drafts of one text, made so that none can be told to be the one that was published.
//!
//! Responsible for: the procedure that makes K+1 drafts of a parent passage (word choice,
//! omissions, order of clauses, punctuation). Each draft is a function of the parent and of a
//! seed of its own, and the seeds are independent draws; hence the drafts are exchangeable:
//! permuting the seeds permutes the drafts, so no label carries information (a test checks that
//! identity itself). The parent is none of the drafts. Leaves the coin to the ledger.

mod lexicon;

use crate::LabError;
use lexicon::{DROPPABLE, SYNONYMS};
use rand::{Rng as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;

/// How freely a draft departs from its parent; probabilities of each single change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DraftParams {
    /// A word that has synonyms is drawn anew among all of them, itself included.
    pub reword: f64,
    /// A word that can be missed is left out.
    pub omit: f64,
    /// Two neighbouring clauses change places.
    pub reorder: f64,
    /// A mark between clauses is drawn anew.
    pub repunctuate: f64,
}

impl Default for DraftParams {
    fn default() -> Self {
        Self { reword: 0.8, omit: 0.4, reorder: 0.3, repunctuate: 0.4 }
    }
}

/// Changes nothing but marks and spaces, which every draft sets in one way.
const UNCHANGED: DraftParams =
    DraftParams { reword: 0.0, omit: 0.0, reorder: 0.0, repunctuate: 0.0 };
/// Sets of seeds drawn before a passage is given up as too poor in alternatives.
const ATTEMPTS_MAX: u32 = 64;
/// Marks between clauses, equally likely.
const MARKS: [&str; 3] = [",", ";", " —"];

/// One draft of `parent` from a seed of its own.
pub fn draft(parent: &str, seed: u64, params: &DraftParams) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut clauses = split_clauses(parent);
    let mut i = 0;
    while i + 1 < clauses.len() {
        // Only clauses of one sentence, whose words may trade places; marks stay where they are.
        let joined = clauses.get(i).is_some_and(|c| MARKS.contains(&c.mark.as_str()));
        if joined && rng.random_bool(params.reorder) {
            let (left, right) = clauses.split_at_mut(i + 1);
            if let (Some(a), Some(b)) = (left.last_mut(), right.first_mut()) {
                std::mem::swap(&mut a.words, &mut b.words);
            }
            i += 1;
        }
        i += 1;
    }
    let mut text = String::new();
    let mut starts_sentence = true;
    for clause in &clauses {
        let mut mark = clause.mark.as_str();
        if MARKS.contains(&mark) && rng.random_bool(params.repunctuate) {
            mark = MARKS.choose(&mut rng).copied().unwrap_or(mark);
        }
        for word in &clause.words {
            let Some(word) = choose_word(word, &mut rng, params) else { continue };
            if !text.is_empty() {
                text.push(' ');
            }
            if starts_sentence {
                text.push_str(&capitalised(&word));
            } else {
                text.push_str(&word);
            }
            starts_sentence = false;
        }
        text.push_str(mark);
        starts_sentence |= mark.contains(['.', '!', '?']);
    }
    text
}

/// The drafts that these seeds give, or `None` if two are the same or one is the parent, be it
/// only with its marks and spaces set as drafts have them.
///
/// The answer treats all seeds alike: permuting them permutes the drafts.
pub fn drafts_from_seeds(parent: &str, seeds: &[u64], params: &DraftParams) -> Option<Vec<String>> {
    let drafts: Vec<String> = seeds.iter().map(|&seed| draft(parent, seed, params)).collect();
    let mut sorted: Vec<&str> = drafts.iter().map(String::as_str).collect();
    let unchanged = draft(parent, 0, &UNCHANGED);
    sorted.push(&unchanged);
    if unchanged != parent {
        sorted.push(parent);
    }
    sorted.sort_unstable();
    let distinct = sorted.windows(2).all(|pair| pair.first() != pair.last());
    distinct.then_some(drafts)
}

/// `n` drafts of `parent`, all different and none the parent. A set that fails is drawn anew as
/// a whole, so that the drafts stay exchangeable.
///
/// # Errors
/// The passage has too few alternatives for `n` drafts.
pub fn make_drafts(
    parent: &str,
    n: usize,
    rng: &mut ChaCha8Rng,
    params: &DraftParams,
) -> Result<Vec<String>, LabError> {
    for _ in 0..ATTEMPTS_MAX {
        let seeds: Vec<u64> = (0..n).map(|_| rng.random()).collect();
        if let Some(drafts) = drafts_from_seeds(parent, &seeds, params) {
            return Ok(drafts);
        }
    }
    Err(LabError::Data(format!("{n} different drafts can't be made of {parent:?}")))
}

/// Words up to a mark.
#[derive(Debug, Clone)]
struct Clause {
    words: Vec<String>,
    mark: String,
}

/// Splits at marks that end a word; the last clause may have none.
fn split_clauses(text: &str) -> Vec<Clause> {
    let spaced = text.replace('—', " — ");
    let mut clauses = Vec::new();
    let mut words = Vec::new();
    for word in spaced.split_whitespace() {
        if word == "—" {
            clauses.push(Clause { words: std::mem::take(&mut words), mark: " —".to_owned() });
            continue;
        }
        let core = word.trim_end_matches([',', ';', ':', '.', '!', '?']);
        let mark = word.strip_prefix(core).unwrap_or_default();
        if !core.is_empty() {
            words.push(core.to_owned());
        }
        if !mark.is_empty() {
            clauses.push(Clause { words: std::mem::take(&mut words), mark: mark.to_owned() });
        }
    }
    if !words.is_empty() {
        clauses.push(Clause { words, mark: String::new() });
    }
    clauses.retain(|c| !c.words.is_empty());
    clauses
}

/// The word itself, another, or none.
fn choose_word(word: &str, rng: &mut ChaCha8Rng, params: &DraftParams) -> Option<String> {
    let lower = word.to_lowercase();
    if DROPPABLE.contains(&lower.as_str()) && rng.random_bool(params.omit) {
        return None;
    }
    let group = SYNONYMS.iter().find(|group| group.contains(&lower.as_str()));
    if let Some(group) = group
        && rng.random_bool(params.reword)
    {
        let chosen = group.choose(rng).copied().unwrap_or(&lower);
        let was_capital = word.chars().next().is_some_and(char::is_uppercase);
        return Some(if was_capital { capitalised(chosen) } else { chosen.to_owned() });
    }
    Some(word.to_owned())
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
