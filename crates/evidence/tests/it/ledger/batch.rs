//! Batches that exist already, interrupted and repeated.

use super::beacon::recorded;
use super::{Repeating, at, claim, create};
use stillwatch_evidence::beacon::Chain;
use stillwatch_evidence::ledger::{
    Appended, Draft, Filter, FutureRound, Ledger, LedgerClaim, LedgerError, account_for_range,
    append_drafts, read_kept,
};
use stillwatch_evidence::{Coin, Exposure, Message};

fn drafts(n: usize) -> Vec<Draft> {
    let draft = |number: usize| Draft {
        id: format!("draft-{number}"),
        messages: vec![Message { role: "user".to_owned(), content: format!("{number}") }],
        texts: (0..2 + number % 2).map(|k| format!("text {k} of {number}")).collect(),
        account: number.is_multiple_of(2).then(|| format!("account-{}", number % 5)),
        model: None,
        params: Some(serde_json::json!({ "temperature": 0.7 })),
        time: None,
    };
    (0..n).map(draft).collect()
}

#[test]
fn a_batch_becomes_exposures_that_account_for_themselves() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = create(&dir.path().join("log"), 1);
    let kept = dir.path().join("kept.jsonl");
    let drafts = drafts(600);
    let appended = append_drafts(&mut ledger, &drafts, None, &kept).unwrap();
    assert_eq!(appended, Appended { n_committed: 600, n_finished: 600 });
    assert_eq!(fs_err::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(append_drafts(&mut ledger, &drafts, None, &kept).unwrap(), Appended::default());
    let head = ledger.close_epoch(at(1)).unwrap();
    let exposures: Vec<Exposure> = read_kept(&kept)
        .unwrap()
        .iter()
        .map(|kept| kept.exposure(&ledger, &head, &[]).unwrap())
        .collect();
    let filter = Filter::default();
    let check = account_for_range(&ledger, &head, &claim(599, &filter), &exposures).unwrap();
    assert_eq!((check.opened.len(), check.adverse.len()), (600, 0));
}

#[test]
fn interrupted_anywhere_it_continues() {
    for stop in 0..3 {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = create(&dir.path().join("log"), 2);
        let kept = dir.path().join("kept.jsonl");
        let drafts = drafts(4);
        match stop {
            // After the secrets of some were kept, before their entries: they are drawn anew.
            0 => {
                let elsewhere = tempfile::tempdir().unwrap();
                let mut other = create(elsewhere.path(), 3);
                append_drafts(&mut other, &drafts[..2], None, &kept).unwrap();
            }
            // After some were done.
            1 => drop(append_drafts(&mut ledger, &drafts[..2], None, &kept).unwrap()),
            // In the middle of keeping a line.
            _ => {
                append_drafts(&mut ledger, &drafts[..1], None, &kept).unwrap();
                let mut bytes = fs_err::read(&kept).unwrap();
                bytes.extend_from_slice(b"{\"draft\":{\"id\":\"draft-1\",\"mess");
                fs_err::write(&kept, &bytes).unwrap();
            }
        }
        append_drafts(&mut ledger, &drafts, None, &kept).unwrap();
        let head = ledger.close_epoch(at(1)).unwrap();
        let exposures: Vec<Exposure> = read_kept(&kept)
            .unwrap()
            .iter()
            .map(|kept| kept.exposure(&ledger, &head, &[]).unwrap())
            .collect();
        let filter = Filter::default();
        let check = account_for_range(&ledger, &head, &claim(3, &filter), &exposures).unwrap();
        assert_eq!((check.opened.len(), check.adverse.len()), (4, 0), "stopped at {stop}");
    }
}

#[test]
fn without_the_kept_secrets_nothing_can_be_finished() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = create(&dir.path().join("log"), 4);
    let drafts = drafts(2);
    let request = super::Made::new(0, 2);
    ledger.commit_exposure(&request.request()).unwrap();
    let mut lost = drafts.clone();
    lost[0].id = request.id.clone();
    let result = append_drafts(&mut ledger, &lost, None, &dir.path().join("kept.jsonl"));
    assert!(matches!(result, Err(LedgerError::Refused { .. })));
}

#[test]
fn a_public_batch_waits_for_its_round() {
    let dir = tempfile::tempdir().unwrap();
    let due = Chain::Quicknet.round_time(123).unwrap();
    let before = due - jiff::SignedDuration::from_secs(60);
    let log = dir.path().join("log");
    let mut ledger = Ledger::create_with(&log, before, Repeating::boxed(6)).unwrap();
    let kept = dir.path().join("kept.jsonl");
    let beacon = Some(FutureRound { chain: Chain::Quicknet, round: 123 });
    append_drafts(&mut ledger, &drafts(6), beacon, &kept).unwrap();
    let head = ledger.close_epoch(before).unwrap();
    let all = read_kept(&kept).unwrap();
    assert!(all[0].exposure(&ledger, &head, &[]).is_err(), "the round isn't known yet");
    let (chain, round) = recorded().swap_remove(1);
    let rounds = [round.check(chain).unwrap()];
    let exposures: Vec<Exposure> =
        all.iter().map(|kept| kept.exposure(&ledger, &head, &rounds).unwrap()).collect();
    assert!(exposures.iter().all(|exposure| exposure.coin == Coin::Public));
    let filter = Filter::default();
    let claim = LedgerClaim { rounds: &rounds, ..claim(5, &filter) };
    let check = account_for_range(&ledger, &head, &claim, &exposures).unwrap();
    assert_eq!((check.opened.len(), check.coin), (6, Coin::Server), "nobody witnessed it");
}
