//! Accounting for a range.

use super::{claim, filled};
use stillwatch_evidence::ledger::{AdverseReason, Filter, account_for_range};
use stillwatch_evidence::{Coin, CoinEvidence};

#[test]
fn an_honest_range_is_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, head, exposures) = filled(dir.path(), 12, 3);
    let filter = Filter::default();
    let check = account_for_range(&ledger, &head, &claim(11, &filter), &exposures).unwrap();
    assert_eq!(check.problems, Vec::<String>::new());
    assert_eq!(check.adverse, []);
    assert_eq!(check.opened.len(), 12);
    assert_eq!((check.coin, check.coin_evidence()), (Coin::Server, CoinEvidence::Ledger));
}

#[test]
fn what_is_left_out_counts_against_the_owner() {
    let dir = tempfile::tempdir().unwrap();
    let (ledger, head, mut exposures) = filled(dir.path(), 6, 2);
    exposures.remove(2);
    let filter = Filter::default();
    let check = account_for_range(&ledger, &head, &claim(5, &filter), &exposures).unwrap();
    assert_eq!(check.opened.len(), 5);
    assert_eq!(check.adverse.len(), 1);
    assert_eq!(
        (check.adverse[0].sequence, &check.adverse[0].reason),
        (2, &AdverseReason::Unopened)
    );
}
