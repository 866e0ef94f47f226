//! The replay: repeatable, in order, complete, and told apart by more than names.

use std::collections::{BTreeMap, BTreeSet};
use stillwatch_evidence::Exchange;
use stillwatch_testkit::traffic::{Class, Kind, Label, Replay, ReplayParams, Style};

fn small(seed: u64) -> ReplayParams {
    ReplayParams {
        seed,
        ordinary: 120,
        per_class: 8,
        per_campaign: 5,
        requests_per_account: 12,
        ..ReplayParams::default()
    }
}

fn last_user(exchange: &Exchange) -> &str {
    exchange.messages.last().map_or("", |m| m.content.as_str())
}

#[test]
fn a_seed_repeats_and_another_differs() {
    let texts = |seed| {
        Replay::new(&small(seed))
            .map(|e| serde_json::to_string(&e).expect("JSON"))
            .collect::<Vec<_>>()
    };
    let first = texts(3);
    assert_eq!(first, texts(3));
    assert_ne!(first, texts(4));
}

#[test]
fn time_goes_forward_and_every_account_has_a_label() {
    let replay = Replay::new(&small(1));
    let labels = replay.labels().clone();
    let end_ms = replay.end_ms();
    let mut last = i64::MIN;
    let mut seen = BTreeMap::<String, usize>::new();
    for exchange in replay {
        let time = exchange.time.expect("a time").as_millisecond();
        assert!(time >= last && time < end_ms);
        last = time;
        *seen.entry(exchange.account.expect("an account")).or_default() += 1;
    }
    assert!(seen.keys().all(|account| labels.contains_key(account)));
    let mut classes = BTreeSet::new();
    for (account, label) in &labels {
        match label {
            Label::Negative(class, _) => {
                classes.insert(*class);
            }
            Label::Campaign(Kind::RoundRobin, ..) => assert!(seen[account] >= 11),
            Label::Campaign(..) => assert_eq!(seen.get(account), Some(&12), "{label:?}"),
            Label::Ordinary => {}
        }
    }
    assert_eq!(classes.len(), Class::ALL.len());
    let campaigns = labels.values().filter(|l| l.harvests()).collect::<BTreeSet<_>>();
    assert_eq!(campaigns.len(), Kind::ALL.len());
}

#[test]
fn patterns_leave_no_marks_in_texts() {
    let mut params = small(2);
    for style in [Style::B, Style::C] {
        params.campaigns.extend(Kind::ALL.iter().map(|kind| (*kind, style)));
    }
    let mut n = 0;
    for exchange in Replay::new(&params) {
        for message in &exchange.messages {
            let text = &message.content;
            for mark in ["{t}", "{u}", "{i}", "{c}", "{x}", "<t>", "<brand>", "[a", "\\n", "{w}"] {
                assert!(!text.contains(mark), "{mark} in {text}");
            }
            assert!(!text.is_empty(), "{exchange:?}");
        }
        n += 1;
    }
    assert!(n > 1_000);
}

#[test]
fn people_vary_their_words_and_templates_repeat() {
    let params = ReplayParams { ordinary: 300, ..small(5) };
    let replay = Replay::new(&params);
    let labels = replay.labels().clone();
    let mut ordinary = Vec::new();
    let mut fixed = BTreeSet::new();
    for exchange in replay {
        let label = labels[exchange.account.as_deref().expect("an account")];
        let start: String = last_user(&exchange).chars().take(40).collect();
        match label {
            Label::Ordinary => ordinary.push(start),
            Label::Campaign(Kind::FixedPrompt, ..) => {
                fixed.insert(start);
            }
            _ => {}
        }
    }
    let distinct: BTreeSet<_> = ordinary.iter().collect();
    assert!(distinct.len() * 10 > ordinary.len() * 6, "{} of {}", distinct.len(), ordinary.len());
    assert_eq!(fixed.len(), 1);
    let words: BTreeSet<_> = ordinary.iter().flat_map(|t| t.split_whitespace()).collect();
    assert!(words.len() > 3_000, "{} words", words.len());
}
