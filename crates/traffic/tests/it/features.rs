//! Features: what is kept of an exchange, and what can't be done without the key.

use crate::world::{Random, prose};
use stillwatch_traffic::{Extractor, Features, HashKey, Observation};

fn extract(key: u8, observation: &Observation<'_>) -> Features {
    Extractor::new(HashKey::new(&[key; 32])).extract(observation)
}

fn user(text: &str) -> Observation<'_> {
    Observation { account: "a", user: text, ..Observation::default() }
}

const TEMPLATE: &str =
    "Answer the question below in full and give reasons for all that you say. Question: ";

#[test]
fn a_template_shows_whatever_fills_it() {
    let mut r = Random(4);
    for _ in 0..50 {
        let (a, b) = (prose(&mut r, 1, 2), prose(&mut r, 2, 2));
        let (a, b) = (format!("{TEMPLATE}{a}"), format!("{TEMPLATE}{b}"));
        let (a, b) = (extract(1, &user(&a)), extract(1, &user(&b)));
        assert!(a.items.iter().filter(|i| **i != 0).any(|i| b.items.contains(i)));
        assert_ne!(a.prompt, b.prompt);
    }
}

#[test]
fn spelling_doesn_t_hide_a_prompt() {
    let plain = extract(1, &user("Tell me, in ten words or fewer, what a glacier is."));
    for variant in [
        "tell me in ten words or fewer what a glacier is",
        "TELL ME -- in ten\nwords, or fewer: what a glacier is?!",
        "Tell me, in t\u{200b}en words or few\u{ad}er, what a glacier is.",
    ] {
        assert_eq!(extract(1, &user(variant)).items, plain.items, "{variant}");
        assert_eq!(extract(1, &user(variant)).prompt, plain.prompt, "{variant}");
    }
}

/// Texts that collide under one key, found by search, don't under another: without the key
/// nobody can make a bystander look like a member.
#[test]
fn collisions_don_t_carry_over_to_another_key() {
    let text = |i: u64| {
        format!("{} {} {} {} {} {}", i, i * 7 % 1013, i * 31 % 769, i * 3, i + 9, i * i % 5003)
    };
    let letters = |i: u64| -> String {
        (0..4u32)
            .map(|at| char::from(b'a' + u8::try_from(i / 9u64.pow(at) % 9).unwrap_or(0)))
            .collect()
    };
    let topics = |key: u8, i: u64| extract(key, &user(&format!("mono{}", letters(i)))).topics[0];
    // 16-bit hashes of words collide soon: some thousand words give many pairs.
    let mut seen: Vec<(u16, u64)> = (0..6000).map(|i| (topics(1, i), i)).collect();
    seen.sort_unstable();
    let pairs: Vec<(u64, u64)> =
        seen.windows(2).filter(|w| w[0].0 == w[1].0).map(|w| (w[0].1, w[1].1)).collect();
    assert!(!pairs.is_empty(), "no collision among 6000 words");
    let carried = pairs.iter().filter(|(a, b)| topics(2, *a) == topics(2, *b)).count();
    assert_eq!(carried, 0, "of {}", pairs.len());
    // 32-bit hashes of shingles: none in some thousand texts.
    let mut grams: Vec<u32> = (0..4000).map(|i| extract(1, &user(&text(i))).items[2]).collect();
    grams.sort_unstable();
    grams.dedup();
    assert_eq!(grams.len(), 4000);
}

#[test]
fn fields_are_taken_as_they_are() {
    let base = Observation {
        account: "a",
        plan: "pro",
        time_ms: 5_000,
        user: "how tall is the tower in the old town",
        ip: "10.0.3.4",
        user_agent: "curl/8",
        n_messages: 3,
        temperature: Some(0.7),
        ..Observation::default()
    };
    let f = extract(1, &base);
    let same = |o: &Observation<'_>| extract(1, o);
    assert_eq!(same(&Observation { ip: "10.0.3.99", ..base }).network, f.network);
    assert_ne!(same(&Observation { ip: "10.0.4.4", ..base }).network, f.network);
    assert_ne!(same(&Observation { temperature: None, ..base }).profile, f.profile);
    assert_ne!(same(&Observation { max_tokens: Some(1), ..base }).profile, f.profile);
    assert_ne!(same(&Observation { model: "other", ..base }).profile, f.profile);
    assert_eq!((f.n_messages, f.words, f.time_ms), (3, 9, 5_000));
    assert_eq!(same(&Observation { completion_tokens: 77, ..base }).answer_tokens, 77);
    let empty = extract(1, &Observation::default());
    assert_eq!((empty.items, empty.words, empty.network, empty.agent), ([0; 8], 0, 0, 0));
}

#[test]
fn hostile_texts_cost_no_more_than_the_bound() {
    let mut extractor = Extractor::new(HashKey::new(&[1; 32]));
    for text in [
        "a".repeat(5 << 20),
        "a ".repeat(3 << 20),
        "漢".repeat(1 << 20),
        "\u{200b}".repeat(1 << 20),
    ] {
        let f = extractor.extract(&Observation { system: &text, response: &text, ..user(&text) });
        assert!(f.words <= 8_192, "{}", f.words);
    }
}
