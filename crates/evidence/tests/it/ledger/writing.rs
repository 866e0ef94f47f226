//! Writing, closing, opening again.

use super::{Made, at, create};
use stillwatch_evidence::ledger::{
    Leaf, Ledger, LedgerError, LogKey, LogView, OsEntropy, Sha256Hash, leaf_hash,
};

#[test]
fn what_was_written_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = create(dir.path(), 1);
    let weights = Sha256Hash::of(b"weights");
    assert_eq!(ledger.record_weights("hf:reference", weights).unwrap(), 0);
    let mut made = Made::new(0, 2);
    made.begin(&mut ledger);
    made.end(&mut ledger);
    let first = ledger.close_epoch(at(1)).unwrap();
    let mut other = Made::new(1, 3);
    other.begin(&mut ledger);
    let second = ledger.close_epoch(at(2)).unwrap();
    assert_eq!((first.head.epoch, first.head.epoch_count, first.head.tree_size), (0, 1, 3));
    assert_eq!((second.head.epoch, second.head.epoch_count, second.head.tree_size), (1, 1, 4));
    drop(ledger);

    let view = LogView::open(dir.path()).unwrap();
    assert_eq!(view.heads(), [first.clone(), second.clone()]);
    assert_eq!(view.root(4).unwrap(), second.head.root);
    assert_eq!(view.weights_recorded_at(&weights), Some(0));
    let position = view.position("exposure-0").unwrap();
    assert_eq!((position.sequence, position.commit, position.outcome), (0, 1, Some(2)));
    assert_eq!(view.position("exposure-1").unwrap().outcome, None);
    for index in 0..4 {
        for head in [&first, &second] {
            if index < head.head.tree_size {
                let proof = view.prove_inclusion(index, head.head.tree_size).unwrap();
                assert_eq!(proof.verify(head).unwrap(), view.leaf(index).unwrap());
            }
        }
    }
    view.prove_consistency(3, 4).unwrap().verify(&first, &second).unwrap();

    let mut ledger = Ledger::open(dir.path()).unwrap();
    other.end(&mut ledger);
    assert_eq!(ledger.position("exposure-1").unwrap().outcome, Some(4));
}

#[test]
fn a_leaf_is_the_contract_in_canonical_json() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = create(dir.path(), 2);
    let mut made = Made::new(0, 2);
    made.account = None;
    made.begin(&mut ledger);
    made.end(&mut ledger);
    for (index, kind) in [(0, "commit"), (1, "outcome")] {
        let data = ledger.leaf_data(index).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&data).unwrap();
        let keys: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = ["coin_commitment", "id", "kind", "request_hash", "slot_hashes", "version"];
        assert_eq!(keys, expected);
        assert_eq!(json["kind"], kind);
        assert_eq!(ledger.leaf_hash(index), Some(leaf_hash(&data)));
        assert_eq!(Leaf::decode_strict(&data, index).unwrap().encode().unwrap(), data);
    }
}

#[test]
fn what_contradicts_the_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = create(dir.path(), 3);
    let mut made = Made::new(0, 2);
    made.begin(&mut ledger);
    let reason = |result: Result<_, LedgerError>| match result {
        Err(LedgerError::Refused { reason, .. }) => reason,
        other => panic!("expected a refusal, found {other:?}"),
    };
    assert!(reason(ledger.commit_exposure(&made.request()).map(|_| ())).contains("unique"));
    let one = ["a"];
    assert!(reason(ledger.record_outcome(made.opening(), &one).map(|_| ())).contains("slots"));
    let mut forged = made.opening().clone();
    forged.slot = forged.slot.map(|slot| 1 - slot);
    let texts = made.texts();
    assert!(reason(ledger.record_outcome(&forged, &texts).map(|_| ())).contains("committed"));
    let mut stranger = made.opening().clone();
    stranger.id = "nobody".to_owned();
    assert!(reason(ledger.record_outcome(&stranger, &texts).map(|_| ())).contains("first entry"));
    made.end(&mut ledger);
    assert!(reason(ledger.record_outcome(made.opening(), &texts).map(|_| ())).contains("ended"));
    let mut one_slot = Made::new(1, 1);
    one_slot.account = None;
    assert!(reason(ledger.commit_exposure(&one_slot.request()).map(|_| ())).contains("2 to 64"));
    assert_eq!(ledger.tree_size(), 2, "nothing refused was written");
    ledger.record_deletion("account-1", "request 17").unwrap();
    assert!(
        reason(ledger.commit_exposure(&Made::new(4, 2).request()).map(|_| ())).contains("deleted")
    );
    ledger.close_epoch(at(10)).unwrap();
    assert!(matches!(ledger.close_epoch(at(9)), Err(LedgerError::Clock { .. })));
}

#[test]
fn one_process_writes() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = create(dir.path(), 4);
    assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::Locked { .. })));
    assert!(matches!(Ledger::create(dir.path(), at(0)), Err(LedgerError::Locked { .. })));
    LogView::open(dir.path()).expect("reading needs no lock");
    drop(ledger);
    assert!(matches!(Ledger::create(dir.path(), at(0)), Err(LedgerError::Exists { .. })));
    Ledger::open(dir.path()).unwrap();
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Ledger::open(empty.path()), Err(LedgerError::NotALedger { .. })));
}

#[test]
fn keys_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    drop(Ledger::create(dir.path(), at(0)).unwrap());
    let key = dir.path().join("key");
    let mode = fs_err::metadata(&key).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs_err::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::Key { .. })));
    fs_err::remove_file(&key).unwrap();
    let other = LogKey::generate(&mut OsEntropy).unwrap();
    stillwatch_evidence::ledger::write_key(&key, &other).unwrap();
    assert!(matches!(Ledger::open(dir.path()), Err(LedgerError::Key { .. })));
    assert!(!format!("{other:?}").contains(fs_err::read_to_string(&key).unwrap().trim()));
}

#[test]
fn witnesses_sign_heads() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = create(dir.path(), 5);
    let head = ledger.close_epoch(at(1)).unwrap();
    let witness = LogKey::generate(&mut OsEntropy).unwrap();
    let mut cosigned = head.clone();
    cosigned.cosign(&witness, at(5)).unwrap();
    cosigned.verify().unwrap();
    assert_eq!(cosigned.witnessed_at(&[]), None);
    assert_eq!(cosigned.witnessed_at(&[witness.public_key()]), Some(at(5)));
    assert_eq!(ledger.add_cosignatures(&cosigned).unwrap(), 1);
    assert_eq!(ledger.add_cosignatures(&cosigned).unwrap(), 0, "once is enough");
    drop(ledger);
    assert_eq!(LogView::open(dir.path()).unwrap().heads(), [cosigned]);
}

#[test]
fn heads_of_other_logs_are_recorded_and_checked() {
    let (here, there) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("one"));
    let now: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
    let mut other = Ledger::create(there.path(), now).expect("a ledger");
    let head = other.close_epoch(now).expect("a head");
    let mut ledger = Ledger::create(here.path(), now).expect("a ledger");
    ledger.record_heads(&[("node-2", &head)]).expect("recorded");
    let mut forged = head.clone();
    forged.head.tree_size += 1;
    assert!(ledger.record_heads(&[("node-2", &forged)]).is_err(), "it doesn't verify");
    let own = ledger.close_epoch(now).expect("a head");
    assert!(ledger.record_heads(&[("node-1", &own)]).is_err(), "its own");
    drop(ledger);
    let view = LogView::open(here.path()).expect("reads like a stranger");
    assert_eq!(view.tree_size(), 1);
    let Leaf::Anchor(anchor) = view.leaf(0).expect("a leaf") else { panic!("an anchor") };
    assert_eq!((anchor.log_id, anchor.tree_size), (head.head.log_id.clone(), 0));
    assert_eq!(anchor.head_hash, head.head_hash().expect("a hash"));
}
