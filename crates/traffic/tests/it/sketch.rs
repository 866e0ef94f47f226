//! Sketches and aggregates: bounded, merged in any order, decoded strictly.

use crate::world::{Random, START_MS, Sent, prose};
use proptest::prelude::*;
use stillwatch_traffic::{
    AccountSketch, Extractor, HashKey, Population, SKETCH_BYTES_MAX, SketchError,
};

fn extractor() -> Extractor {
    Extractor::new(HashKey::new(&[3; 32]))
}

/// Traffic with everything that a sketch keeps, `n` exchanges out of some seed.
fn traffic(seed: u64, n: usize) -> Vec<Sent> {
    let mut r = Random(seed);
    (0..n)
        .map(|i| {
            let (topic, long) = (r.below(30), 1 + r.below(4));
            // A fifth of the prompts are answers to others.
            let topic = if r.chance(0.2) { 99 } else { topic };
            Sent {
                account: "a".to_owned(),
                time_ms: START_MS + i64::try_from(r.below(40 * 86_400)).unwrap_or(0) * 1000,
                system: if r.chance(0.3) { prose(&mut r, 1, 1) } else { String::new() },
                user: prose(&mut r, topic, long),
                response: prose(&mut r, topic, 4),
                n_messages: u32::try_from(1 + 2 * r.below(3)).unwrap_or(1),
                temperature: r.chance(0.5).then_some(0.5),
                max_tokens: r.chance(0.5).then_some(100 + u32::try_from(i).unwrap_or(0) % 20),
                failed: r.chance(0.1),
                ip: format!("10.{}.{}.1", r.below(40), r.below(3)),
                user_agent: format!("agent/{}", r.below(9)),
            }
        })
        .collect()
}

/// The exchanges parted at random, each part observed in a random order, the parts merged in a
/// random tree.
fn merged(r: &mut Random, sent: &[Sent]) -> AccountSketch {
    let mut extractor = extractor();
    let n_parts = 1 + r.below(12);
    let mut parts = vec![AccountSketch::default(); n_parts];
    let mut order: Vec<usize> = (0..sent.len()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, r.below(i + 1));
    }
    for i in order {
        let part = r.below(n_parts);
        parts[part].observe(&extractor.extract(&sent[i].observation()));
    }
    while parts.len() > 1 {
        let from = parts.swap_remove(r.below(parts.len()));
        // What went through the store counts the same.
        let from = AccountSketch::from_bytes(&from.to_bytes()).expect("just encoded");
        let into = r.below(parts.len());
        parts[into].merge(&from);
    }
    parts.swap_remove(0)
}

fn observed(sent: &[Sent]) -> AccountSketch {
    let mut extractor = extractor();
    let mut sketch = AccountSketch::default();
    for s in sent {
        sketch.observe(&extractor.extract(&s.observation()));
    }
    sketch
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The sketch is a function of the multiset of exchanges.
    #[test]
    fn parts_orders_and_merge_trees_give_the_same_bytes(seed in any::<u64>(), n in 0usize..300) {
        let sent = traffic(seed, n);
        let mut r = Random(seed ^ 1);
        let whole = observed(&sent);
        for _ in 0..3 {
            let parted = merged(&mut r, &sent);
            prop_assert_eq!(parted.to_bytes(), whole.to_bytes());
            prop_assert_eq!(parted.statistics(), whole.statistics());
        }
    }

    #[test]
    fn bytes_come_back_and_bounds_hold(seed in any::<u64>(), n in 0usize..200) {
        let sketch = observed(&traffic(seed, n));
        let bytes = sketch.to_bytes();
        prop_assert!(bytes.len() <= SKETCH_BYTES_MAX, "{} bytes encoded", bytes.len());
        prop_assert!(sketch.memory_bytes() <= SKETCH_BYTES_MAX, "{} in memory", sketch.memory_bytes());
        let back = AccountSketch::from_bytes(&bytes);
        prop_assert_eq!(back.as_ref(), Ok(&sketch));
        prop_assert_eq!(back.map(|s| s.to_bytes()), Ok(bytes));
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        AccountSketch::from_bytes(&bytes).map(|s| s.to_bytes()).ok();
        Population::from_bytes(&bytes).map(|p| p.to_bytes()).ok();
        let mut versioned = bytes;
        if let Some(first) = versioned.first_mut() {
            *first = 2;
        }
        AccountSketch::from_bytes(&versioned).ok();
        Population::from_bytes(&versioned).ok();
    }

    #[test]
    fn bytes_that_were_changed_are_refused_or_are_a_sketch(
        seed in any::<u64>(), at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let bytes = observed(&traffic(seed, 30)).to_bytes();
        let mut changed = bytes.clone();
        let at = at.index(changed.len());
        changed[at] = to;
        if let Ok(sketch) = AccountSketch::from_bytes(&changed) {
            prop_assert_eq!(sketch.to_bytes(), changed);
            let _ = sketch.statistics();
        }
        let cut = cut.index(bytes.len());
        prop_assert!(AccountSketch::from_bytes(&bytes[..cut]).is_err());
    }

    #[test]
    fn populations_are_unions(seed in any::<u64>(), n in 1usize..12) {
        let mut r = Random(seed);
        let parts: Vec<Population> = (0..n)
            .map(|_| {
                let mut p = Population::default();
                let account = r.next();
                let n_sent = r.below(20);
                p.add(account, &observed(&traffic(r.next() % 3, n_sent)));
                p
            })
            .collect();
        let union = |parts: &mut dyn Iterator<Item = &Population>| {
            let mut all = Population::default();
            for p in parts {
                all.merge(p);
            }
            all
        };
        let all = union(&mut parts.iter());
        prop_assert_eq!(&all, &union(&mut parts.iter().rev()));
        prop_assert_eq!(&all, &union(&mut parts.iter().chain(&parts)));
        let back = Population::from_bytes(&all.to_bytes());
        prop_assert_eq!(back.as_ref(), Ok(&all));
        let mut small = all.clone();
        small.trim(10);
        prop_assert!(small.len() <= 10);
        let least = small.hot(0.0).map(|(_, n)| n).fold(f64::INFINITY, f64::min);
        let kept: Vec<u32> = small.hot(0.0).map(|(item, _)| item).collect();
        prop_assert!(all.hot(0.0).filter(|(item, _)| !kept.contains(item)).all(|(_, n)| n <= least));
    }
}

#[test]
fn the_fullest_sketch_fits() {
    let mut sent = traffic(1, 5_000);
    for (i, s) in sent.iter_mut().enumerate() {
        s.ip = format!("{}.{}.{}.1", i % 200, i / 200, i % 7);
        s.max_tokens = u32::try_from(i).ok();
        s.user_agent = format!("agent/{i}");
    }
    let sketch = observed(&sent);
    let (encoded, memory) = (sketch.to_bytes().len(), sketch.memory_bytes());
    assert!(encoded <= SKETCH_BYTES_MAX && memory <= SKETCH_BYTES_MAX, "{encoded}, {memory}");
    assert_eq!(sketch.n(), 5_000);
    // Few exchanges take little.
    let small = observed(&sent[..3]);
    assert!(small.memory_bytes() < 1_100, "{}", small.memory_bytes());
}

#[test]
fn errors_say_what_is_wrong() {
    let bytes = observed(&traffic(2, 20)).to_bytes();
    let with = |at: usize, to: u8| {
        let mut changed = bytes.clone();
        changed[at] = to;
        AccountSketch::from_bytes(&changed)
    };
    assert_eq!(with(0, 9), Err(SketchError::Version { found: 9 }));
    assert_eq!(AccountSketch::from_bytes(&[]), Err(SketchError::Short { field: "version" }));
    let mut longer = bytes.clone();
    longer.extend([0, 0]);
    assert_eq!(AccountSketch::from_bytes(&longer), Err(SketchError::Trailing { n: 2 }));
    assert_eq!(with(0, 1), Err(SketchError::Version { found: 1 }));
    // The first counter is the number of exchanges: no other may exceed it.
    assert_eq!(with(21, 0), Err(SketchError::Invalid { field: "counts" }));
}

/// Somebody who comes back to answers is told from somebody who never does, in any order.
#[test]
fn quoted_answers_show() {
    let share_used = |quotes: bool| {
        let mut r = Random(11);
        let mut last = String::new();
        let mut sent: Vec<Sent> = (0..200)
            .map(|i| {
                let (topic, said) = (r.below(30), r.below(30));
                let mut user = prose(&mut r, topic, 2);
                if quotes {
                    user = format!("{user}: {last}");
                }
                last = prose(&mut r, said, 3);
                Sent {
                    account: "a".to_owned(),
                    time_ms: START_MS + i * 60_000,
                    user,
                    response: last.clone(),
                    ..Sent::default()
                }
            })
            .collect();
        sent.reverse();
        // The last of the ten statistics is the share that isn't used.
        1.0 - observed(&sent).statistics().values[9]
    };
    assert!(share_used(false) < 0.05, "{}", share_used(false));
    assert!(share_used(true) > 0.4, "{}", share_used(true));
}

#[test]
fn a_population_counts_accounts_not_prompts() {
    let (mut p, sent) = (Population::default(), traffic(5, 10));
    let sketch = observed(&sent);
    for _ in 0..50 {
        p.add(1 << 40, &sketch);
    }
    assert!(p.hot(1.5).next().is_none());
    for account in 2..=5u64 {
        p.add(account << 40, &sketch);
    }
    assert!(p.hot(5.0).count() == p.len() && p.hot(5.5).next().is_none());
    let mut r = Random(9);
    for _ in 0..1000 {
        p.add(r.next(), &sketch);
    }
    let (_, n) = p.hot(0.0).next().expect("there are pieces of text");
    assert!((400.0..2500.0).contains(&n), "{n}");
    p.age(u32::MAX);
    assert!(p.is_empty());
}
