//! The live state: bounded, evicting, forgetting.

use crate::world::{Kind, Random, START_MS, Sent, campaign, people, prose};
use stillwatch_traffic::{Live, LiveParams, analyse_exchanges};

fn live(accounts_max: usize) -> Live {
    Live::new(LiveParams { hash_key: [9; 32], accounts_max })
}

fn sent(account: &str, i: i64) -> Sent {
    let mut r = Random(i.unsigned_abs());
    Sent {
        account: account.to_owned(),
        time_ms: START_MS + i * 60_000,
        user: prose(&mut r, 3, 2),
        ip: "10.1.1.1".to_owned(),
        ..Sent::default()
    }
}

#[test]
fn the_longest_unseen_leaves_and_comes_back_whole() {
    let mut live = live(3);
    for (i, account) in (0..).zip(["a", "b", "c", "a"]) {
        assert_eq!(live.observe(&sent(account, i).observation()), None);
    }
    let evicted = live.observe(&sent("d", 9).observation()).expect("memory is full");
    assert_eq!(evicted.account, "b");
    assert!(!live.knows("b") && live.knows("a"));
    // Seen again before its bytes come back from the store.
    let next = live.observe(&sent("b", 10).observation()).expect("memory is full");
    assert_eq!(next.account, "c");
    assert_eq!(live.admit("b", &evicted.bytes), Ok(None));
    assert_eq!(live.sketch("b").map(stillwatch_traffic::AccountSketch::n), Some(2));
    assert!(live.admit("b", b"no sketch").is_err());
    assert_eq!(live.sketch("b").map(stillwatch_traffic::AccountSketch::n), Some(2));
    assert!(live.forget("b") && !live.forget("b") && !live.knows("b"));
    assert_eq!(live.accounts().count(), 2);
}

#[test]
fn memory_stays_within_its_bound() {
    let mut live = live(200);
    let mut r = Random(1);
    for i in 0..40_000 {
        let account = format!("account-{}", r.below(1_000));
        live.observe(&sent(&account, i).observation());
    }
    assert_eq!(live.accounts().count(), 200);
    // 4 KiB each, and what is remembered of those who left.
    assert!(live.memory_bytes() <= 200 * 4_300 + (1 << 21) + 10, "{}", live.memory_bytes());
}

#[test]
fn live_and_batch_say_the_same() {
    let mut r = Random(8);
    let mut all = people(&mut r, 60, 7);
    all.extend(campaign(&mut r, Kind::Fixed, "harvest", 12, 30, 7));
    all.sort_by_key(|s| s.time_ms);
    let batch = analyse_exchanges(all.iter().map(Sent::observation), &[9; 32]);
    let mut live = live(1_000);
    for s in &all {
        live.observe(&s.observation());
    }
    let now = live.analyse(batch.time_ms);
    assert_eq!(now.accounts, batch.accounts);
    assert!(now.campaigns.iter().any(|c| c.flagged));
    // Asking again changes nothing.
    assert_eq!(live.analyse(batch.time_ms), now);
    // A name stays as the campaign grows.
    let id = |a: &stillwatch_traffic::Analysis| {
        a.campaigns.iter().find(|c| c.flagged).map(|c| c.id.clone())
    };
    for s in campaign(&mut r, Kind::Fixed, "harvest", 12, 5, 7) {
        live.observe(&s.observation());
    }
    assert_eq!(id(&live.analyse(batch.time_ms)), id(&now));
}
