//! Files of scores that are good: both formats, any K, and the round trip bit for bit.

use crate::shared_texts::gzip;
use proptest::prelude::*;
use std::path::Path;
use stillwatch_evidence::{
    Coin, Limits, ScoreRow, ScoreTable, WriteError, read_scores, read_scores_from, write_scores,
};

fn read(text: &str) -> ScoreTable {
    let bytes = text.as_bytes();
    read_scores_from(bytes, Path::new("s.csv"), &Limits::default()).expect("good scores")
}

const PLAIN: &str = "\
id,account,coin,suspect_released,suspect_withheld,base_v2_released,base_v2_withheld,n_tokens_released,n_tokens_withheld
a,alice,server,-1.5,-2,-3,-4.25,3,4
b,,,-1e-3,+2, -3 ,-4,1,1
";

#[test]
fn csv_and_json_lines_say_the_same() {
    let table = read(PLAIN);
    assert_eq!(table.reference_names, ["base_v2"]);
    let first = ScoreRow {
        id: "a".into(),
        account: Some("alice".into()),
        coin: Some(Coin::Server),
        unit: None,
        suspect: vec![-1.5, -2.0],
        references: vec![vec![-3.0, -4.25]],
        n_tokens: Some(vec![3.0, 4.0]),
    };
    assert_eq!(table.rows[0], first);
    assert_eq!(table.rows[1].account, None);
    assert_eq!(table.rows[1].coin, None);
    assert_eq!(table.rows[1].suspect, [-1e-3, 2.0]);
    // The keys of the second row stand in another order.
    let json = r#"{"id":"a","account":"alice","coin":"server","suspect_released":-1.5,"suspect_withheld":-2,"base_v2_released":-3,"base_v2_withheld":-4.25,"n_tokens_released":3,"n_tokens_withheld":4}

{"n_tokens_withheld":1,"base_v2_withheld":-4,"base_v2_released":-3,"suspect_withheld_1":2.0,"id":"b","account":null,"suspect_released":-0.001,"n_tokens_released":1}"#;
    let from_json = read(json);
    assert_eq!(from_json.rows, table.rows);
    assert_eq!(from_json.reference_names, table.reference_names);
}

#[test]
fn bom_line_ends_and_compression_change_nothing() {
    let rows = read(PLAIN).rows;
    assert_eq!(read(&format!("\u{feff}{PLAIN}")).rows, rows);
    assert_eq!(read(&PLAIN.replace('\n', "\r\n")).rows, rows);
    assert_eq!(read(PLAIN.trim_end()).rows, rows);
    assert_eq!(read(&PLAIN.replace('\n', "\n\n")).rows, rows);
    let packed = gzip(PLAIN.as_bytes());
    let unpacked = read_scores_from(packed.as_slice(), Path::new("s"), &Limits::default());
    assert_eq!(unpacked.unwrap().rows, rows);
}

#[test]
fn names_are_split_at_the_last_ending() {
    let table = read(
        "id,suspect_released,suspect_withheld_1,x_withheld_released,x_withheld_withheld_1,\
         my_released_released,my_released_withheld,suspect_2_released,suspect_2_withheld\n\
         a,1,2,3,4,5,6,7,8\n",
    );
    assert_eq!(table.reference_names, ["x_withheld", "my_released", "suspect_2"]);
    assert_eq!(table.rows[0].references, [[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]);
}

#[test]
fn k_may_differ_from_row_to_row() {
    let csv = read(
        "id,k,suspect_withheld_2,suspect_released,suspect_withheld_1,r_released,r_withheld_1,r_withheld_2\n\
         a,2,3,1,2,4,5,6\n\
         b,1,,1,2,4,5,\n",
    );
    assert_eq!(csv.rows[0].suspect, [1.0, 2.0, 3.0]);
    assert_eq!(csv.rows[1].references, [[4.0, 5.0]]);
    let json = read(
        "{\"id\":\"a\",\"suspect_released\":1,\"suspect_withheld_1\":2,\"suspect_withheld_2\":3}\n\
         {\"id\":\"b\",\"suspect_released\":1,\"suspect_withheld\":2}\n",
    );
    assert_eq!(json.rows[0].k(), 2);
    assert_eq!(json.rows[1].k(), 1);
}

#[test]
fn a_table_that_no_file_can_hold_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s.csv");
    let good = read(PLAIN);
    let refused = |change: &dyn Fn(&mut ScoreTable)| {
        let mut table = good.clone();
        change(&mut table);
        match write_scores(&path, &table) {
            Err(WriteError::Value { problem, .. }) => problem,
            other => panic!("{other:?}"),
        }
    };
    let problems = [
        refused(&|table| table.rows[1].suspect[0] = f64::NAN),
        refused(&|table| table.rows[1].references[0][1] = f64::INFINITY),
        refused(&|table| table.rows[1].id = "a".into()),
        refused(&|table| table.rows[1].id.clear()),
        refused(&|table| table.rows[0].suspect.truncate(1)),
        refused(&|table| table.rows[0].references.clear()),
        refused(&|table| table.rows[0].n_tokens = None),
        refused(&|table| table.rows[0].n_tokens = Some(vec![0.0, 1.0])),
        refused(&|table| table.reference_names[0] = "suspect".into()),
        refused(&|table| table.reference_names[0] = " r".into()),
    ]
    .join("\n");
    insta::assert_snapshot!(problems, @r#"
    row 2: `suspect` holds NaN, expected finite numbers
    row 2: `base_v2` holds inf, expected finite numbers
    rows 1 and 2 have the same id
    row 2: `id` is empty
    row 1: no withheld text
    row 1: scores by 0 references, expected 1
    row 2: token counts must be given for all rows or for none
    row 1: `n_tokens` must be positive
    a reference can't be called `suspect`: the name is taken
    a reference can't be called ` r`: empty or padded
    "#);
    assert!(!path.exists());
    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 0, "no temporary file stays");
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![Just("a\"b,\r\n".to_owned()), Just("\u{feff}".to_owned()), "(?s).{1,12}"]
}

fn finite() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>().prop_filter("finite", |x| x.is_finite()),
        Just(-0.0),
        Just(f64::MIN_POSITIVE / 3.0),
        Just(0.1 + 0.2),
    ]
}

prop_compose! {
    fn any_row(references: usize, tokens: bool)(k in 1usize..4)(
        id in any_text(),
        account in prop::option::of(any_text()),
        unit in prop::option::of(any_text()),
        coin in prop::option::of(prop_oneof![
            Just(Coin::None), Just(Coin::Iid), Just(Coin::Server), Just(Coin::Public)
        ]),
        suspect in prop::collection::vec(finite(), k + 1),
        references in prop::collection::vec(prop::collection::vec(finite(), k + 1), references),
        n_tokens in prop::collection::vec(1f64..1e6, k + 1),
    ) -> ScoreRow {
        ScoreRow { id, account, coin, unit, suspect, references, n_tokens: tokens.then_some(n_tokens) }
    }
}

fn any_table() -> impl Strategy<Value = ScoreTable> {
    (0usize..3, any::<bool>())
        .prop_flat_map(|(references, tokens)| {
            (Just(references), prop::collection::vec(any_row(references, tokens), 1..5))
        })
        .prop_map(|(references, mut rows)| {
            for (i, row) in rows.iter_mut().enumerate() {
                row.id.push_str(&i.to_string());
            }
            let names = ["base", "a_withheld_1", "x, \"y\"_released"];
            let reference_names = names.iter().take(references).map(|s| (*s).into()).collect();
            ScoreTable { reference_names, rows, sha256: String::new() }
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn scores_round_trip_bit_for_bit(table in any_table(), json in any::<bool>()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(if json { "s.jsonl" } else { "s.csv" });
        let digest = write_scores(&path, &table).unwrap();
        let read = read_scores(&path).unwrap();
        prop_assert_eq!(&read.sha256, &digest.sha256);
        prop_assert_eq!(&read.reference_names, &table.reference_names);
        prop_assert_eq!(&read.rows, &table.rows);
        let bits = |table: &ScoreTable| -> Vec<u64> {
            table.rows.iter().flat_map(|row| row.suspect.iter().chain(row.references.iter().flatten()))
                .map(|x| x.to_bits()).collect()
        };
        prop_assert_eq!(bits(&read), bits(&table));
    }
}
