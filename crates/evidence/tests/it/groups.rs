//! Coins and units: which exposures flip together.

use crate::shared_texts::exposure;
use proptest::prelude::*;
use std::collections::BTreeSet;
use stillwatch_evidence::{
    Commitment, Exposure, ScoreRow, ScoreTable, coin_groups, is_identical, score_groups,
    unit_names, units,
};

fn committed(mut exposure: Exposure, log_id: &str, sequence: u64) -> Exposure {
    exposure.commitment = Some(Commitment {
        log_id: log_id.into(),
        sequence,
        leaf_index: 2 * sequence + 1,
        tree_size: 100,
        root: "00".repeat(32),
        salts: vec!["00".into(), "11".into()],
    });
    exposure
}

#[test]
fn rows_of_one_coin_flip_together() {
    let exposures = [
        exposure("0", "q", "a", &["b"]),
        exposure("1", "q", "b", &["a"]), // the same texts, the other way round
        exposure("2", "other", "a", &["b"]),
        committed(exposure("3", "q3", "a", &["b"]), "log", 7),
        committed(exposure("4", "q4", "c", &["d"]), "log", 7),
        committed(exposure("5", "q4", "c", &["d"]), "other log", 7),
        exposure("6", "q", "same", &["same"]),
        exposure("7", "q", "a", &["b", "b"]),
        exposure("8", "q", "b", &["a", "b"]),
        committed(exposure("9", "q9", "x", &["y"]), "log", 8),
    ];
    let groups = [vec![0, 1], vec![2], vec![3, 4, 5], vec![6], vec![7, 8], vec![9]];
    assert_eq!(coin_groups(&exposures), groups);
    let units = units(&exposures);
    assert_eq!(units.identical, [6]);
    assert_eq!(units.units, [vec![0, 1], vec![2], vec![3, 4, 5], vec![7, 8], vec![9]]);
    let names: Vec<_> = unit_names(&exposures).into_iter().map(Option::unwrap_or_default).collect();
    assert_eq!(names, ["0", "0", "", "3", "3", "3", "", "7", "7", ""]);
}

#[test]
fn only_texts_that_are_all_equal_say_nothing() {
    assert!(is_identical(&exposure("0", "q", "a", &["a", "a"])));
    assert!(!is_identical(&exposure("0", "q", "a", &["a", "b"])));
    assert!(!is_identical(&exposure("0", "q", "a", &["b", "b"])));
}

#[test]
fn rows_of_scores_are_grouped_by_unit() {
    let row = |unit: Option<&str>| ScoreRow {
        id: String::new(),
        account: None,
        coin: None,
        unit: unit.map(str::to_owned),
        suspect: vec![0.0, 0.0],
        references: vec![],
        n_tokens: None,
    };
    let units = [None, Some("u"), None, Some("v"), Some("u"), None];
    let table = ScoreTable { rows: units.map(row).into(), ..ScoreTable::default() };
    let groups = [vec![0], vec![1, 4], vec![2], vec![3], vec![5]];
    assert_eq!(score_groups(&table), groups);
}

fn flipped(exposure: &Exposure) -> Exposure {
    let mut other = exposure.clone();
    std::mem::swap(&mut other.released, &mut other.withheld[0]);
    other
}

proptest! {
    /// Groups are a partition, and swapping released and withheld anywhere changes nothing.
    #[test]
    fn groups_are_blind_to_the_coin(
        rows in prop::collection::vec((0u8..3, "[ab]", "[ab]", prop::option::of(0u64..4), any::<bool>()), 0..30),
    ) {
        let make = |(i, (prompt, released, withheld, sequence, _)): (usize, &(u8, String, String, Option<u64>, bool))| {
            let one = exposure(&i.to_string(), &prompt.to_string(), released, &[withheld]);
            match sequence {
                Some(sequence) => committed(one, "log", *sequence),
                None => one,
            }
        };
        let exposures: Vec<Exposure> = rows.iter().enumerate().map(make).collect();
        let other: Vec<Exposure> = exposures.iter().zip(&rows)
            .map(|(one, row)| if row.4 { flipped(one) } else { one.clone() })
            .collect();
        prop_assert_eq!(units(&exposures), units(&other));
        prop_assert_eq!(unit_names(&exposures), unit_names(&other));
        let groups = coin_groups(&exposures);
        let members: BTreeSet<usize> = groups.iter().flatten().copied().collect();
        prop_assert_eq!(members.len(), groups.iter().map(Vec::len).sum::<usize>());
        prop_assert_eq!(members, (0..exposures.len()).collect::<BTreeSet<_>>());
    }
}
