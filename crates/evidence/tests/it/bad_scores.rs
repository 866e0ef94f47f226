//! Every kind of bad file of scores with the exact message that it causes.

use crate::shared_texts::gzip;
use proptest::prelude::*;
use std::fmt::Write;
use std::path::Path;
use stillwatch_evidence::{Limits, Report, read_scores_from};

fn error(bytes: &[u8]) -> String {
    let limits = Limits { line_bytes_max: 100_000, ..Limits::default() };
    match read_scores_from(bytes, Path::new("s"), &limits) {
        Ok(table) => format!("{} rows", table.rows.len()),
        Err(error) => {
            assert_eq!(error.exit_code(), 2);
            assert!(error.report().hint.is_some() || error.code() == "bad_line");
            format!("{}: {error}", error.code())
        }
    }
}

fn errors(texts: &[&str]) -> String {
    texts.iter().fold(String::new(), |mut out, text| {
        writeln!(out, "{}", error(text.as_bytes())).expect("memory");
        out
    })
}

#[test]
fn columns_must_fit_together() {
    insta::assert_snapshot!(errors(&[
        "",
        "\n\n",
        "id,suspect_released,suspect_withheld\n",
        "suspect_released,suspect_withheld\n1,2\n",
        "id,suspect_withheld\na,2\n",
        "id,suspect_released\na,2\n",
        "id,r_released,r_withheld\na,1,2\n",
        "id,suspect_released,suspect_withheld,r_released\na,1,2,3\n",
        "id,suspect_released,suspect_withheld,suspect_withheld_1\na,1,2,3\n",
        "id,suspect_released,suspect_withheld_2\na,1,2\n",
        "id,suspect_released,suspect_withheld_01\na,1,2\n",
        "id,suspect_released,suspect_withheld_0\na,1,2\n",
        "id,suspect_released,suspect_withheld_1,suspect_withheld_2,r_released,r_withheld\na,1,2,3,4,5\n",
        "id,suspect_released,suspect_withheld,n_tokens_released\na,1,2,3\n",
        "id,suspect_released,suspect_withheld,acount\na,1,2,x\n",
        "id,suspect_released,suspect_withheld,id\na,1,2,x\n",
        "id,suspect_released,suspect_withheld,_released\na,1,2,x\n",
        "id,suspect_released,suspect_withheld,\na,1,2,x\n",
        "id;suspect_released;suspect_withheld\na;1;2\n",
        "a,-1.5,-2\n",
    ]), @r#"
    empty_file: s holds no rows of scores
    empty_file: s holds no rows of scores
    empty_file: s holds no rows of scores
    bad_columns: s:1: no column `id`
    bad_columns: s:1: no column `suspect_released`
    bad_columns: s:1: no column `suspect_withheld`
    bad_columns: s:1: no column `suspect_released`
    bad_columns: s:1: no column `r_withheld`
    bad_columns: s:1: both `suspect_withheld` and `suspect_withheld_1`
    bad_columns: s:1: no column `suspect_withheld_1`
    bad_columns: s:1: unknown column `suspect_withheld_01`
    bad_columns: s:1: unknown column `suspect_withheld_0`
    bad_columns: s:1: 1 withheld columns for `r`, but 2 for `suspect`
    bad_columns: s:1: no column `n_tokens_withheld`
    bad_columns: s:1: unknown column `acount`
    bad_columns: s:1: two columns are called `id`
    bad_columns: s:1: unknown column `_released`
    bad_columns: s:1: unknown column ``
    bad_columns: s:1: one column only
    bad_columns: s:1: unknown column `a`
    "#);
}

#[test]
fn values_must_be_finite_and_none_missing() {
    let csv =
        |rows: &str| format!("id,coin,suspect_released,suspect_withheld\nok,server,1,2\n{rows}\n");
    let texts = [
        csv("b,server,NaN,2"),
        csv("b,server,1,-inf"),
        csv("b,server,1,1e999"),
        csv("b,server,1,"),
        csv("b,server, ,2"),
        csv("b,server,1,two"),
        csv("b,server,1"),
        csv("b,server,1,2,3"),
        csv("\nb,server,1,"),
        csv("\"b\nb\",server,1,2\nc,server,1,"),
        csv(",server,1,2"),
        csv("b,heads,1,2"),
        csv("ok,server,3,4"),
        csv(&format!("\"{}", "x".repeat(200_000))),
        "id,k,suspect_released,suspect_withheld_1,suspect_withheld_2\na,1,1,2,3\n".into(),
        "id,k,suspect_released,suspect_withheld_1,suspect_withheld_2\na,2,1,2,\n".into(),
        "id,k,suspect_released,suspect_withheld_1,suspect_withheld_2\na,3,1,2,3\n".into(),
        "id,k,suspect_released,suspect_withheld_1,suspect_withheld_2\na,0,1,2,3\n".into(),
        "id,k,suspect_released,suspect_withheld_1,suspect_withheld_2\na,1.5,1,2,3\n".into(),
        "id,suspect_released,suspect_withheld_1,suspect_withheld_2\na,1,2,\n".into(),
        "id,suspect_released,suspect_withheld,n_tokens_released,n_tokens_withheld\na,1,2,0,3\n"
            .into(),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    insta::assert_snapshot!(errors(&texts), @r#"
    bad_field: s:3: column `suspect_released`: NaN, expected a finite number of nats
    bad_field: s:3: column `suspect_withheld`: -inf, expected a finite number of nats
    bad_field: s:3: column `suspect_withheld`: inf, expected a finite number of nats
    bad_field: s:3: column `suspect_withheld`: empty, expected a finite number of nats
    bad_field: s:3: column `suspect_released`: empty, expected a finite number of nats
    bad_field: s:3: column `suspect_withheld`: `two` is no number, expected a finite number of nats
    bad_line: s:3: 3 cells, but 4 columns
    bad_line: s:3: 5 cells, but 4 columns
    bad_field: s:4: column `suspect_withheld`: empty, expected a finite number of nats
    bad_field: s:5: column `suspect_withheld`: empty, expected a finite number of nats
    bad_field: s:3: column `id`: empty, expected a name
    bad_field: s:3: column `coin`: `heads` is no coin, expected public, server, iid or none
    duplicate_id: s:3: id `ok` was already used at line 2
    bad_line: s:3: row longer than 100000 bytes
    bad_field: s:2: column `suspect_withheld_2`: a value beyond the row's `k`, expected an empty cell
    bad_field: s:2: column `suspect_withheld_2`: empty, expected a finite number of nats
    bad_field: s:2: column `k`: 3, expected how many of the withheld columns this row fills, at least 1
    bad_field: s:2: column `k`: 0, expected how many of the withheld columns this row fills, at least 1
    bad_field: s:2: column `k`: 1.5, expected how many of the withheld columns this row fills, at least 1
    bad_field: s:2: column `suspect_withheld_2`: empty, expected a finite number of nats
    bad_field: s:2: column `n_tokens_released`: 0, expected a positive number of tokens
    "#);
}

#[test]
fn json_lines_are_held_to_the_same() {
    let good =
        r#"{"id":"a","suspect_released":1,"suspect_withheld":2,"r_released":3,"r_withheld":4}"#;
    let after = |row: &str| format!("{good}\n{row}\n");
    let texts = [
        "{}\n".to_owned(),
        after("[1]"),
        after("nonsense"),
        after(&good.replace(":2,", ":3,")),
        after(&good.replace("\"a\"", "\"b\"").replace(":2,", ":NaN,")),
        after(&good.replace("\"a\"", "\"b\"").replace(":2,", ":null,")),
        after(&good.replace("\"a\"", "\"b\"").replace(":2,", ":\"2\",")),
        after(&good.replace("\"a\"", "\"b\"").replace(":2,", ":true,")),
        after(&good.replace("\"a\"", "\"b\"").replace(":2,", ":[2],")),
        after(&good.replace("\"a\"", "\"b\"").replace(":2,", ":1e999,")),
        after(&good.replace("\"a\"", "7")),
        after(&good.replace("\"a\"", "\"b\"").replace("\"r_", "\"q_")),
        after(r#"{"id":"b","suspect_released":1,"suspect_withheld":2}"#),
        after(&good.replace("\"a\"", "\"b\"").replace("r_released", "suspect_released")),
        after(&good.replace("\"a\"", "\"b\"").replace("\"id\"", "\"prompt\":\"x\",\"id\"")),
        format!("{good}\n{}", good.split_at(30).0),
        format!("{good}\n{{\"id\":\"{}\"}}", "x".repeat(200_000)),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    insta::assert_snapshot!(errors(&texts), @r#"
    bad_columns: s:1: no column `id`
    bad_line: s:2: expected a JSON object, found `[1]`
    bad_line: s:2: expected a JSON object, found `nonsense`
    duplicate_id: s:2: id `a` was already used at line 1
    bad_line: s:2: not valid JSON at field `suspect_withheld`: expected value at column 51
    bad_field: s:2: column `suspect_withheld`: empty, expected a finite number of nats
    bad_field: s:2: column `suspect_withheld`: the text `2`, expected a finite number of nats
    bad_field: s:2: column `suspect_withheld`: true or false, expected a finite number of nats
    bad_field: s:2: column `suspect_withheld`: a list, expected a finite number of nats
    bad_line: s:2: not valid JSON at field `suspect_withheld`: number out of range at column 55
    bad_field: s:2: column `id`: the number 7, expected text in quotes
    bad_columns: s:2: reference `q` is not in the first row
    bad_columns: s:2: no scores by reference `r`
    bad_columns: s:2: two columns are called `suspect_released`
    bad_columns: s:2: unknown column `prompt`
    bad_line: s:2: the line is cut short: the file ends in the middle of it
    bad_line: s:2: line longer than 100000 bytes
    "#);
}

#[test]
fn damaged_files_are_errors_because_no_row_may_be_missing() {
    // Scores that compress badly, so that the files have more than one block.
    let csv: Vec<String> =
        (0..3000).map(|i| format!("{i},{},{}\n", i * 7919 % 3001, i * 104_729 % 3001)).collect();
    let csv = format!("id,suspect_released,suspect_withheld\n{}", csv.concat());
    let packed = gzip(csv.as_bytes());
    let json: Vec<String> = (0..3000)
        .map(|i| {
            format!(
                "{{\"id\":\"{i}\",\"suspect_released\":{},\"suspect_withheld\":0}}\n",
                i * 7919 % 3001
            )
        })
        .collect();
    let packed_json = gzip(json.concat().as_bytes());
    let messages = [
        error(&packed),
        error(packed.get(..packed.len() - 1).unwrap()),
        error(packed_json.get(..packed_json.len() - 1).unwrap()),
        error(b"id,suspect_released,suspect_withheld\na,\xff,2\n"),
        error(b"{\"id\":\"\xff\"}\n"),
        error(b"\xff\xfei\x00d\x00"),
        error(b"\x00\x01\x02\x03\n"),
    ]
    .join("\n");
    insta::assert_snapshot!(messages, @r#"
    3000 rows
    damaged_file: s:3002: the gzip stream is cut short
    damaged_file: s:3001: the gzip stream is cut short
    bad_line: s:2: cell 2 is not UTF-8
    bad_line: s:1: not UTF-8 from byte 8 on
    bad_encoding: s is UTF-16, expected UTF-8
    bad_columns: s:1: unknown column `\0\u{1}\u{2}\u{3}`
    "#);
}

#[test]
fn what_to_do_stands_with_the_error() {
    let bytes = b"id,suspect_released,suspect_withheld\na,nan,2\n".as_slice();
    let error = read_scores_from(bytes, Path::new("s.csv"), &Limits::default()).unwrap_err();
    insta::assert_snapshot!(error.report().to_json(), @r#"{"error":{"code":"bad_field","message":"s.csv:2: column `suspect_released`: NaN, expected a finite number of nats","file":"s.csv","line":2,"hint":"fill it in, or leave out the whole row (both texts of it, whichever failed)"}}"#);
    insta::assert_snapshot!(error.report(), @r#"
    s.csv:2: column `suspect_released`: NaN, expected a finite number of nats
    hint: fill it in, or leave out the whole row (both texts of it, whichever failed)
    "#);
}

proptest! {
    /// Blank lines and line ends within quotes, of either kind, don't shift the line that an
    /// error names.
    #[test]
    fn the_line_of_an_error_is_where_its_row_begins(
        rows in prop::collection::vec((0usize..3, 0usize..3), 0..20),
        blank_before in 0usize..4,
        crlf in any::<bool>(),
    ) {
        let mut text = String::from("id,suspect_released,suspect_withheld\n");
        for (i, (blank, within)) in rows.iter().enumerate() {
            text.push_str(&"\n".repeat(*blank));
            writeln!(text, "\"{i}{}\",1,2", "\nx".repeat(*within)).expect("memory");
        }
        text.push_str(&"\n".repeat(blank_before));
        let line = text.matches('\n').count() + 1;
        text.push_str("bad,,2\n");
        let text = if crlf { text.replace('\n', "\r\n") } else { text };
        let wanted = format!("bad_field: s:{line}: column `suspect_released`: empty, expected a finite number of nats");
        prop_assert_eq!(error(text.as_bytes()), wanted);
    }
}
