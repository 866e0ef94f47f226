//! Accounting for a range: nothing is passed over, nothing altered is believed.

use super::beacon::recorded;
use super::{Made, Repeating, at, claim, create, filled};
use jiff::Timestamp;
use proptest::prelude::*;
use stillwatch_evidence::beacon::Chain;
use stillwatch_evidence::ledger::{
    AdverseReason, CoinSource, Filter, Ledger, LedgerClaim, LogKey, OsEntropy, Sha256Hash,
    Unfinished, account_for_range,
};
use stillwatch_evidence::{Coin, CoinEvidence, Exposure};

#[test]
fn an_honest_range_is_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, head, mut exposures) = filled(dir.path(), 12, 3);
    exposures.reverse();
    let filter = Filter::default();
    let check = account_for_range(&ledger, &head, &claim(11, &filter), &exposures).unwrap();
    assert_eq!(check.problems, Vec::<String>::new());
    assert_eq!(check.adverse, []);
    let order: Vec<u64> = check.opened.iter().map(|o| o.sequence).collect();
    assert_eq!(order, (0..12).collect::<Vec<_>>(), "ledger order");
    assert!(check.opened.iter().all(|o| o.sequence + o.index as u64 == 11));
    assert_eq!((check.coin, check.coin_evidence()), (Coin::Server, CoinEvidence::Ledger));
}

#[test]
fn what_is_left_out_counts_against_the_owner() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _, mut exposures) = filled(dir.path(), 6, 2);
    Made::new(6, 2).begin(&mut ledger);
    let head = ledger.close_epoch(at(2)).unwrap();
    exposures.remove(2);
    let filter = Filter::default();
    let check = account_for_range(&ledger, &head, &claim(6, &filter), &exposures).unwrap();
    assert_eq!((check.n_exposures, check.opened.len(), check.n_unfinished), (7, 5, 1));
    let adverse: Vec<_> = check.adverse.iter().map(|a| (a.sequence, a.reason.clone())).collect();
    assert_eq!(adverse, [(2, AdverseReason::Unopened), (6, AdverseReason::Unfinished)]);
    let lenient = LedgerClaim { unfinished: Unfinished::SetAside, ..claim(6, &filter) };
    let check = account_for_range(&ledger, &head, &lenient, &exposures).unwrap();
    assert_eq!((check.adverse.len(), check.n_unfinished, check.n_set_aside), (1, 1, 1));
}

/// One thing changed in one exposure, and a piece of the reason it must give.
type Tampering = (&'static str, fn(&mut Exposure), &'static str);

const TAMPERINGS: &[Tampering] = &[
    ("released", |e| e.released.push('!'), "text of slot"),
    ("withheld", |e| e.withheld[0].insert(0, ' '), "text of slot"),
    ("swap", |e| std::mem::swap(&mut e.released, &mut e.withheld[0]), "text of slot"),
    ("slot", |e| e.slot = e.slot.map(|s| (s + 1) % 3), "slot"),
    ("slot beyond", |e| e.slot = Some(3), "slot 3 of 3 texts"),
    ("no slot", |e| e.slot = None, "slot is missing"),
    ("extra text", |e| e.withheld.push("more".to_owned()), "3 salts and 4 texts"),
    ("message", |e| e.messages[0].content.push('?'), "messages"),
    ("role", |e| e.messages[0].role.push('s'), "messages"),
    ("account", |e| e.account = Some("account-9".to_owned()), "account"),
    ("no account", |e| e.account = None, "account"),
    ("model", |e| e.model = None, "model"),
    ("time", |e| e.time = Some("2026-01-01T00:00:01Z".to_owned()), "time"),
    ("params", |e| e.params = Some(serde_json::json!({ "temperature": 0 })), "params"),
    ("grade", |e| e.coin = Coin::Public, "public coin"),
    ("no commitment", |e| e.commitment = None, "no commitment"),
    ("log", |e| commitment(e).log_id.push('0'), "another log"),
    ("sequence", |e| commitment(e).sequence += 1, "another place"),
    ("leaf", |e| commitment(e).leaf_index += 1, "another place"),
    ("tree size", |e| commitment(e).tree_size -= 1, "root"),
    ("tree size beyond", |e| commitment(e).tree_size += 1, "beyond"),
    ("root", |e| commitment(e).root = Sha256Hash::of(b"").to_string(), "root"),
    ("salt", |e| flip_salt(e, 0), "salt of slot 0"),
    ("second salt", |e| flip_salt(e, 1), "salt of slot 1"),
    ("salts swapped", |e| commitment(e).salts.swap(0, 1), "salt of slot 0"),
    ("salt missing", |e| drop(commitment(e).salts.pop()), "2 salts"),
    ("salt spelt", |e| commitment(e).salts[0].push('0'), "64 hexadecimal digits"),
];

fn commitment(exposure: &mut Exposure) -> &mut stillwatch_evidence::Commitment {
    exposure.commitment.as_mut().expect("a commitment")
}

fn flip_salt(exposure: &mut Exposure, slot: usize) {
    let salt = &mut commitment(exposure).salts[slot];
    let first = if salt.starts_with('0') { "1" } else { "0" };
    salt.replace_range(..1, first);
}

#[test]
fn whatever_is_altered_is_caught() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, head, exposures) = filled(dir.path(), 5, 3);
    let filter = Filter::default();
    for (name, tamper, piece) in TAMPERINGS {
        let mut altered = exposures.clone();
        tamper(&mut altered[3]);
        let check = account_for_range(&ledger, &head, &claim(4, &filter), &altered).unwrap();
        assert_eq!((check.opened.len(), check.adverse.len()), (4, 1), "{name}");
        assert_eq!(check.adverse[0].sequence, 3, "{name}");
        let AdverseReason::Invalid(reason) = &check.adverse[0].reason else {
            panic!("{name}: {:?}", check.adverse[0].reason);
        };
        assert!(reason.contains(piece), "{name}: {reason}");
    }
}

#[test]
fn what_does_not_belong_is_a_problem() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, head, exposures) = filled(dir.path(), 5, 2);
    let filter = Filter::default();
    let narrow = LedgerClaim { first_sequence: 1, last_sequence: 3, ..claim(3, &filter) };
    let check = account_for_range(&ledger, &head, &narrow, &exposures).unwrap();
    assert_eq!((check.opened.len(), check.problems.len()), (3, 2));
    assert_eq!(check.coin_evidence(), CoinEvidence::Declared);
    let mut twice = exposures.clone();
    twice.push(exposures[1].clone());
    let check = account_for_range(&ledger, &head, &claim(4, &filter), &twice).unwrap();
    assert!(check.problems[0].contains("twice"));
    let mut stranger = exposures.clone();
    stranger[0].id = "nobody".to_owned();
    let check = account_for_range(&ledger, &head, &claim(4, &filter), &stranger).unwrap();
    assert!(check.problems[0].contains("isn't in the ledger"));
    assert_eq!(check.adverse[0].reason, AdverseReason::Unopened, "and its place stays empty");
    assert!(account_for_range(&ledger, &head, &claim(5, &filter), &exposures).is_err());
    let mut forged = head.clone();
    forged.head.root = Sha256Hash::of(b"");
    assert!(account_for_range(&ledger, &forged, &claim(4, &filter), &exposures).is_err());
}

#[test]
fn a_filter_leaves_out_only_what_was_opened() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, head, mut exposures) = filled(dir.path(), 9, 2);
    // Account 1 (sequences 1, 4, 7) is asked about; of the others, sequence 3 isn't opened.
    exposures.remove(3);
    let filter = Filter {
        accounts: Some(["account-1".to_owned()].into()),
        models: Some(["teacher".to_owned()].into()),
        time_from: Some("2025-12-31T00:00:00Z".parse().unwrap()),
        time_before: Some("2026-01-02T00:00:00Z".parse().unwrap()),
        n_slots: Some(2),
    };
    let check = account_for_range(&ledger, &head, &claim(8, &filter), &exposures).unwrap();
    assert_eq!((check.opened.len(), check.n_excluded), (3, 5));
    assert_eq!(check.adverse.len(), 1, "nobody can tell that it was another account's");
    let none = Filter { n_slots: Some(3), ..filter.clone() };
    let check = account_for_range(&ledger, &head, &claim(8, &none), &exposures).unwrap();
    assert_eq!((check.opened.len(), check.n_excluded), (0, 8));
    assert_eq!(check.coin_evidence(), CoinEvidence::Declared, "nothing opened is no evidence");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Swapping released and withheld never changes what a filter says.
    #[test]
    fn filters_are_blind_to_the_coin(account in 0..3_usize, n in 2..4_usize, wanted in 2..4_usize) {
        let mut exposure = Exposure {
            id: "x".to_owned(),
            messages: Vec::new(),
            released: "a".to_owned(),
            withheld: (1..n).map(|k| format!("w{k}")).collect(),
            coin: Coin::Server,
            account: Some(format!("account-{account}")),
            time: None,
            model: None,
            params: None,
            slot: Some(0),
            commitment: None,
        };
        let filter = Filter {
            accounts: Some(["account-1".to_owned()].into()),
            n_slots: Some(wanted),
            ..Filter::default()
        };
        let before = filter.includes(&exposure);
        std::mem::swap(&mut exposure.released, &mut exposure.withheld[0]);
        exposure.slot = Some(1);
        prop_assert_eq!(filter.includes(&exposure), before);
    }
}

#[test]
fn whole_accounts_can_be_deleted_before_the_plan_and_no_part_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut ledger, _, exposures) = filled(dir.path(), 9, 2);
    let deletion = ledger.record_deletion("account-2", "request 4711").unwrap();
    assert_eq!(ledger.deleted_at(&ledger.account_tag("account-2")), Some(deletion));
    let head = ledger.close_epoch(at(5)).unwrap();
    let filter = Filter::default();
    let kept: Vec<Exposure> =
        exposures.iter().filter(|e| e.account.as_deref() != Some("account-2")).cloned().collect();
    let after = LedgerClaim { plan_leaf: Some(deletion + 1), ..claim(8, &filter) };
    let check = account_for_range(&ledger, &head, &after, &kept).unwrap();
    assert_eq!((check.n_deleted, check.opened.len(), check.adverse.len()), (3, 6, 0));
    assert_eq!(check.coin_evidence(), CoinEvidence::Ledger);
    // Opening some of a deleted account: then it wasn't deleted, it was chosen from.
    let check = account_for_range(&ledger, &head, &after, &exposures).unwrap();
    assert_eq!((check.problems.len(), check.coin_evidence()), (3, CoinEvidence::Declared));
    // Without a plan after it, or before one, a deletion excuses nothing.
    for plan_leaf in [None, Some(deletion)] {
        let unplanned = LedgerClaim { plan_leaf, ..claim(8, &filter) };
        let check = account_for_range(&ledger, &head, &unplanned, &kept).unwrap();
        assert_eq!((check.n_deleted, check.adverse.len()), (0, 3));
    }
}

#[test]
fn weights_predate_the_coins_only_if_recorded_before_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = create(dir.path(), 3);
    let (early, late) = (Sha256Hash::of(b"early"), Sha256Hash::of(b"late"));
    ledger.record_weights("hf:early", early).unwrap();
    let mut made = Made::new(0, 2);
    made.begin(&mut ledger);
    made.end(&mut ledger);
    ledger.record_weights("hf:late", late).unwrap();
    ledger.record_weights("hf:early", early).unwrap();
    let head = ledger.close_epoch(at(1)).unwrap();
    let exposures = [made.exposure(&ledger, &head)];
    let filter = Filter::default();
    let check = account_for_range(&ledger, &head, &claim(0, &filter), &exposures).unwrap();
    assert!(check.predates(&ledger, &early));
    assert!(!check.predates(&ledger, &late));
    assert!(!check.predates(&ledger, &Sha256Hash::of(b"unknown")));
}

/// A ledger whose coins a recorded round throws: quicknet's 123rd, of 2023-08-23 15:15:33 UTC.
struct Public {
    ledger: Ledger,
    made: Vec<Made>,
    due: Timestamp,
    _dir: tempfile::TempDir,
}

fn public() -> Public {
    let dir = tempfile::tempdir().expect("a folder");
    let due = Chain::Quicknet.round_time(123).expect("a time");
    let created = due - jiff::SignedDuration::from_secs(100);
    let mut ledger =
        Ledger::create_with(dir.path(), created, Repeating::boxed(5)).expect("a ledger");
    let mut made: Vec<Made> = (0..8).map(|number| Made::new(number, 2 + number % 2)).collect();
    for one in &mut made {
        one.coin = CoinSource::Beacon { chain: Chain::Quicknet, round: 123 };
        one.begin(&mut ledger);
        assert_eq!(one.opening().slot, None, "nobody knows it yet");
        one.end(&mut ledger);
    }
    Public { ledger, made, due, _dir: dir }
}

#[test]
fn a_public_coin_needs_a_witness_before_its_round() {
    let second = jiff::SignedDuration::from_secs(1);
    let (chain, round) = recorded().swap_remove(1);
    let round = round.check(chain).unwrap();
    let witness = LogKey::generate(&mut OsEntropy).unwrap();
    // (head after due?, witness's time after due?, witness trusted?, expected grade)
    let table = [
        (-second, Some(-second), true, Ok(Coin::Public)),
        (-second, Some(-second), false, Ok(Coin::Server)),
        (-second, None, true, Ok(Coin::Server)),
        (-second, Some(second), true, Ok(Coin::Server)),
        (second - second, None, true, Err("signed before")),
        (second, Some(second), true, Err("signed before")),
    ];
    for (head_at, seen_at, trusted, expected) in table {
        let mut public = public();
        let mut head = public.ledger.close_epoch(public.due + head_at).unwrap();
        if let Some(seen_at) = seen_at {
            head.cosign(&witness, public.due + seen_at).unwrap();
            public.ledger.add_cosignatures(&head).unwrap();
        }
        let exposures: Vec<Exposure> = public
            .made
            .iter()
            .map(|made| {
                let outcome = public.ledger.position(&made.id).unwrap().outcome.unwrap();
                let leaf = public.ledger.leaf_hash(outcome).unwrap();
                let slot = round.coin(&leaf, made.texts.len());
                made.exposure_with_slot(&public.ledger, &head, slot)
            })
            .collect();
        let witnesses = if trusted { vec![witness.public_key()] } else { Vec::new() };
        let filter = Filter::default();
        let rounds = [round];
        let claim = LedgerClaim { rounds: &rounds, witnesses: &witnesses, ..claim(7, &filter) };
        let check = account_for_range(&public.ledger, &head, &claim, &exposures).unwrap();
        match expected {
            Ok(coin) => {
                assert_eq!((check.opened.len(), check.coin), (8, coin));
                // Another slot than the round's is caught, and so is a round that is missing.
                let mut altered = exposures.clone();
                let other = &mut altered[0];
                std::mem::swap(&mut other.released, &mut other.withheld[0]);
                other.slot = other.slot.map(|slot| 1 - slot);
                let check = account_for_range(&public.ledger, &head, &claim, &altered).unwrap();
                assert_eq!(check.adverse.len(), 1);
                let without = LedgerClaim { rounds: &[], ..claim };
                let check = account_for_range(&public.ledger, &head, &without, &exposures).unwrap();
                assert_eq!(check.adverse.len(), 8);
            }
            Err(piece) => {
                assert_eq!(check.adverse.len(), 8);
                let AdverseReason::Invalid(reason) = &check.adverse[0].reason else {
                    panic!("{:?}", check.adverse[0].reason);
                };
                assert!(reason.contains(piece), "{reason}");
            }
        }
    }
}
