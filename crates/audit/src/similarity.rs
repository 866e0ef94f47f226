//! How alike two texts are, without any model: for suspects that only answer.
//!
//! [`similarity`] is symmetric, lies in [0, 1], and looks at nothing but its two texts, so the
//! difference between the similarities of an answer to the released text and to a withheld one
//! changes its sign, and nothing else, when their labels are swapped. It is a score, not
//! evidence by itself: any text of the same topic is somewhat alike.
//!
//! It is the mean of two classical measures over words (letters of scripts without upper and
//! lower case stand alone, and so do signs):
//!
//! - **n-gram overlap**: Dice's coefficient of the multisets of n-grams, 2|A∩B| / (|A|+|B|),
//!   averaged over n = 1…4 (Dice 1945; n as in BLEU, Papineni et al. 2002). Long n-grams carry
//!   what was learnt by heart, short ones keep power where little was.
//! - **edit similarity**: 1 − d/max(length), d the Levenshtein distance (Levenshtein 1966).

use std::collections::BTreeMap;

/// Longest n-gram, words.
const N_MAX: usize = 4;
/// Words of a text that enter; the rest of both texts is left out alike. The distance takes time
/// proportional to the product of the lengths.
const WORDS_MAX: usize = 2000;

/// A text prepared for comparison with many others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words(Vec<String>);

impl Words {
    /// Splits a text, case folded.
    pub fn new(text: &str) -> Self {
        let mut words: Vec<String> = Vec::new();
        let mut open = false;
        for c in text.chars() {
            let joins = c.is_lowercase() || c.is_uppercase() || c.is_numeric() || c == '\'';
            if c.is_whitespace() {
                open = false;
                continue;
            }
            let folded = c.to_lowercase();
            let n = words.len();
            match words.last_mut() {
                Some(word) if open && joins => word.extend(folded),
                _ if n == WORDS_MAX => break,
                _ => words.push(folded.collect()),
            }
            open = joins;
        }
        Self(words)
    }

    /// Similarity to another text, in [0, 1]; 1 for the same words, symmetric.
    pub fn similarity(&self, other: &Self) -> f64 {
        if self.0.is_empty() || other.0.is_empty() {
            return if self.0 == other.0 { 1.0 } else { 0.0 };
        }
        f64::midpoint(overlap(&self.0, &other.0), edit_similarity(&self.0, &other.0))
    }
}

/// Similarity of two texts, in [0, 1].
pub fn similarity(a: &str, b: &str) -> f64 {
    Words::new(a).similarity(&Words::new(b))
}

/// Mean of Dice's coefficients; an n that is longer than both texts doesn't count.
fn overlap(a: &[String], b: &[String]) -> f64 {
    let longest = a.len().max(b.len()).min(N_MAX);
    (1..=longest).map(|n| dice(a, b, n)).sum::<f64>() / longest as f64
}

fn dice(a: &[String], b: &[String], n: usize) -> f64 {
    let mut counts: BTreeMap<&[String], usize> = BTreeMap::new();
    for gram in a.windows(n) {
        *counts.entry(gram).or_default() += 1;
    }
    let mut shared = 0_usize;
    for gram in b.windows(n) {
        if let Some(count) = counts.get_mut(gram).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    let grams = |words: &[String]| (words.len() + 1).saturating_sub(n);
    2.0 * shared as f64 / (grams(a) + grams(b)) as f64
}

fn edit_similarity(a: &[String], b: &[String]) -> f64 {
    1.0 - levenshtein(a, b) as f64 / a.len().max(b.len()) as f64
}

/// Insertions, deletions and substitutions of words, by Wagner and Fischer's table, a row at a
/// time.
fn levenshtein(a: &[String], b: &[String]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, word) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, other) in row.iter_mut().skip(1).zip(b) {
            let substituted = diagonal + usize::from(word != other);
            diagonal = *cell;
            left = substituted.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<String> {
        Words::new(text).0
    }

    #[test]
    fn splits_words() {
        for (text, expected) in [
            ("The cat's 2 mats.", &["the", "cat's", "2", "mats", "."][..]),
            ("ÉTÉ—été", &["été", "—", "été"]),
            ("漢字 ab", &["漢", "字", "ab"]),
            ("  \n", &[]),
            ("a,b", &["a", ",", "b"]),
        ] {
            assert_eq!(words(text), expected, "{text:?}");
        }
    }

    /// Distances of words from Wagner and Fischer (1974) and by hand; letters stand for words.
    #[test]
    fn counts_edits() {
        for (a, b, expected) in [
            ("k i t t e n", "s i t t i n g", 3),
            ("s a t u r d a y", "s u n d a y", 3),
            ("f l a w", "l a w n", 2),
            ("a b c", "a b c", 0),
            ("a", "", 1),
            ("", "", 0),
        ] {
            assert_eq!(levenshtein(&words(a), &words(b)), expected, "{a} → {b}");
            assert_eq!(levenshtein(&words(b), &words(a)), expected, "{b} → {a}");
        }
    }

    /// By hand: 1-grams share 3 of 4 and 4, 2-grams 2 of 3 and 3, 3-grams 1 of 2 and 2, 4-grams
    /// none of 1 and 1; one substitution of four words.
    #[test]
    fn is_the_mean_of_both_measures() {
        let expected = f64::midpoint((0.75 + 2.0 / 3.0 + 0.5 + 0.0) / 4.0, 0.75);
        assert!((similarity("one two three four", "One two three five") - expected).abs() < 1e-12);
        assert!((similarity("a", "b") - 0.0).abs() < 1e-12);
        assert!((similarity("", "b") - 0.0).abs() < 1e-12);
        assert!((similarity("", " ") - 1.0).abs() < 1e-12);
        // Repeated n-grams count as often as both have them: 1-grams 2·2/5, 2-grams 2·1/3,
        // 3-grams 0/1; one deletion.
        let expected = f64::midpoint((0.8 + 2.0 / 3.0 + 0.0) / 3.0, 2.0 / 3.0);
        assert!((similarity("a a a", "a a") - expected).abs() < 1e-12);
    }

    #[test]
    fn long_texts_take_bounded_time() {
        let long = "word ".repeat(200_000);
        assert_eq!(words(&long).len(), WORDS_MAX);
    }

    proptest! {
        #[test]
        fn is_symmetric_bounded_and_one_for_itself(
            a in "([ab]{1,2}[ .]){0,12}",
            b in "([ab]{1,2}[ .]){0,12}",
        ) {
            let value = similarity(&a, &b);
            prop_assert!((0.0..=1.0).contains(&value), "{value}");
            prop_assert_eq!(value.to_bits(), similarity(&b, &a).to_bits());
            prop_assert!((similarity(&a, &a) - 1.0).abs() < 1e-12);
        }
    }
}
