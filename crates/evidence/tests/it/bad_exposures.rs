//! Every kind of bad exposure with the exact message that it causes.

use crate::shared_texts::{gzip, line};
use std::fmt::Write;
use std::path::Path;
use stillwatch_evidence::{Limits, ReadError, Report, read_exposures, read_exposures_from};

/// Reads a good line, then each bad one, and lists the reasons.
fn reasons(bad: &[&[u8]]) -> String {
    let good = line("good");
    let mut out = String::new();
    for bytes in bad {
        let all = [good.as_bytes(), b"\n", bytes].concat();
        match read_exposures_from(all.as_slice(), Path::new("e.jsonl"), &Limits::default()) {
            Ok(file) => {
                assert_eq!(file.exposures.len(), 1, "{}", String::from_utf8_lossy(bytes));
                for reject in file.rejects {
                    writeln!(out, "{}: {}", reject.line, reject.reason).expect("memory");
                }
            }
            Err(error) => writeln!(out, "error {}", error.report()).expect("memory"),
        }
    }
    out
}

/// A good line with one piece of text replaced.
fn with(from: &str, to: &str) -> Vec<u8> {
    let good = line("x");
    assert!(good.contains(from), "{from} in {good}");
    (good.replacen(from, to, 1) + "\n").into_bytes()
}

#[test]
fn a_bad_line_is_set_aside_with_its_reason() {
    let commitment = |change: (&str, &str)| {
        let root = "ab".repeat(32);
        let text = format!(
            r#","commitment":{{"log_id":"l","sequence":0,"leaf_index":1,"tree_size":2,"root":"{root}","salts":["00","11"]}}}}"#
        );
        let good = line("x");
        let good = format!("{}{text}", good.strip_suffix('}').expect("an object"));
        assert!(good.contains(change.0));
        good.replacen(change.0, change.1, 1).into_bytes()
    };
    let bad: Vec<Vec<u8>> = vec![
        b"nonsense\n".to_vec(),
        b"[1, 2]\n".to_vec(),
        b"{}\n".to_vec(),
        [line("x").as_bytes(), b" {}\n"].concat(),
        line("x").split_at(50).0.as_bytes().to_vec(),
        [line("x").split_at(50).0.as_bytes(), b"\n"].concat(),
        b"{\"id\":\"\xff\"}\n".to_vec(),
        b"\x00\x00\x00\x00".to_vec(),
        with(r#""x""#, "7"),
        with(r#""x""#, r#""""#),
        with(r#""coin":"server""#, r#""coin":"heads""#),
        with(r#""coin":"server""#, r#""coin":null"#),
        with(r#","coin":"server""#, ""),
        with(r#""coin""#, r#""Coin""#),
        with(r#""role":"user""#, r#""role":"human""#),
        with(r#""role":"user","#, ""),
        with(r#""content":"q""#, r#""content":["q"]"#),
        with(r#""released":"a""#, r#""released":"""#),
        with(r#""released":"a""#, r#""released":"a","released":"c""#),
        with(r#"["b"]"#, "[]"),
        with(r#"["b"]"#, r#""b""#),
        with(r#"["b"]"#, r#"["b",""]"#),
        with(r#""coin""#, r#""slot":2,"coin""#),
        with(r#""coin""#, r#""slot":-1,"coin""#),
        with(r#""coin""#, r#""account":"","coin""#),
        with(r#""coin""#, r#""time":"yesterday","coin""#),
        with(r#""coin""#, r#""time":"2025-01-31T12:00:00","coin""#),
        with(r#""q""#, r#""\ud800""#),
        with(r#""coin""#, &format!(r#""params":{}1{},"coin""#, "[".repeat(200), "]".repeat(200))),
        commitment((r#""log_id":"l""#, r#""log_id":"""#)),
        commitment((r#""leaf_index":1"#, r#""leaf_index":2"#)),
        commitment((r#""root":"ab"#, r#""root":"zz"#)),
        commitment((r#"["00","11"]"#, r#"["00"]"#)),
        commitment((r#"["00","11"]"#, r#"["00","xx"]"#)),
    ];
    let bad: Vec<&[u8]> = bad.iter().map(Vec::as_slice).collect();
    insta::assert_snapshot!(reasons(&bad), @r#"
    2: expected a JSON object, found `nonsense`
    2: expected a JSON object, found `[1, 2]`
    2: missing field `id`
    2: not valid JSON: trailing characters at column 103
    2: the line is cut short: the file ends in the middle of it
    2: not valid JSON at field `messages[0].?`: EOF while parsing an object at column 50
    2: not UTF-8 from byte 8 on
    2: expected a JSON object, found `\0\0\0\0`
    2: field `id`: invalid type: integer `7`, expected a string
    2: field `id`: empty, expected text
    2: field `coin`: unknown variant `heads`, expected one of `none`, `iid`, `server`, `public`
    2: not valid JSON at field `coin`: expected value at column 93
    2: missing field `coin`
    2: field `Coin`: unknown field `Coin`, expected one of `id`, `messages`, `released`, `withheld`, `coin`, `account`, `time`, `model`, `params`, `slot`, `commitment`
    2: field `messages[0].role`: `human` is no role, expected system, user or assistant
    2: field `messages[0]`: missing field `role`
    2: field `messages[0].content`: invalid type: sequence, expected a string
    2: field `released`: empty, expected text
    2: duplicate field `released`
    2: field `withheld`: empty list, expected one to K texts
    2: field `withheld`: invalid type: string "b", expected a sequence
    2: field `withheld[1]`: empty, expected text
    2: field `slot`: 2 is out of range, expected 0 to 1 (2 texts)
    2: field `slot`: invalid value: integer `-1`, expected usize
    2: field `account`: empty, expected text
    2: field `time`: `yesterday` is no time, expected RFC 3339 such as 2025-01-31T12:00:00Z
    2: field `time`: `2025-01-31T12:00:00` is no time, expected RFC 3339 such as 2025-01-31T12:00:00Z
    2: not valid JSON at field `messages[0].content`: unexpected end of hex escape at column 55
    2: not valid JSON at field `params[0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]…`: recursion limit exceeded at column 221
    2: field `commitment.log_id`: empty, expected text
    2: field `commitment.leaf_index`: 2 is out of range, expected less than tree_size 2
    2: field `commitment.root`: `zzababababababababababababababababababababababababababababab…` is no hash, expected 64 hexadecimal digits
    2: field `commitment.salts`: 1 salts, expected 2, one for each text
    2: field `commitment.salts[1]`: expected hexadecimal digits
    "#);
}

fn error(bytes: &[u8], limits: &Limits) -> String {
    match read_exposures_from(bytes, Path::new("e.jsonl"), limits) {
        Ok(file) => format!("{} exposures", file.exposures.len()),
        Err(error) => format!("{}: {}", error.code(), error.report()),
    }
}

#[test]
fn a_bad_file_is_an_error() {
    let usual = Limits::default();
    let few = Limits { rejects_max: 2, ..Limits::default() };
    let twice = format!("{}\n\n{}\n{}\n", line("a"), line("b"), line("a"));
    let long = format!("{0}\n{0}\n", line(&"é\n".repeat(99).replace('\n', "\\n")));
    let utf16: Vec<u8> = [0xff, 0xfe, b'{', 0].to_vec();
    let messages = [
        error(b"", &usual),
        error(b"\xef\xbb\xbf\n \r\n", &usual),
        error(&gzip(b""), &usual),
        error(b"\x1f\x8b", &usual),
        error(b"\x1f\x8b\x08\x00garbage", &usual),
        error(b"\x28\xb5\x2f\xfdgarbage", &usual),
        error(b"id,suspect_released\na,1\n", &usual),
        error(b"a\nb\nc\n", &few),
        error(&utf16, &usual),
        error(twice.as_bytes(), &usual),
        error(long.as_bytes(), &usual),
    ]
    .join("\n");
    insta::assert_snapshot!(messages, @r#"
    empty_file: e.jsonl holds no exposures
    hint: check that it is the right file
    empty_file: e.jsonl holds no exposures
    hint: check that it is the right file
    empty_file: e.jsonl holds no exposures
    hint: check that it is the right file
    damaged_file: e.jsonl:1: the gzip stream is cut short
    hint: copy or download the file again
    damaged_file: e.jsonl:1: the gzip stream is cut short
    hint: copy or download the file again
    damaged_file: e.jsonl:1: the zstd stream is damaged (Dictionary mismatch)
    hint: copy or download the file again
    unreadable_lines: e.jsonl:1: none of its 2 lines can be read as an exposure; the first: expected a JSON object, found `id,suspect_released`
    hint: check that it is the right file: one JSON object per line
    unreadable_lines: e.jsonl:3: more than 2 lines can't be read; this one: expected a JSON object, found `c`
    hint: check that it is the right file: one JSON object per line
    bad_encoding: e.jsonl is UTF-16, expected UTF-8
    hint: save it as UTF-8
    duplicate_id: e.jsonl:4: id `a` was already used at line 1
    hint: give every row an id of its own; copies of one row must not count as several
    duplicate_id: e.jsonl:2: id `é\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\né\n…` was already used at line 1
    hint: give every row an id of its own; copies of one row must not count as several
    "#);
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let missing = read_exposures(Path::new("no/such.jsonl")).unwrap_err();
    assert!(matches!(missing, ReadError::Open { .. }));
    insta::assert_snapshot!(missing.report().to_json(), @r#"{"error":{"code":"open_failed","message":"can't open no/such.jsonl: No such file or directory (os error 2)","file":"no/such.jsonl","line":null,"hint":"check the path"}}"#);
    let dir = tempfile::tempdir().unwrap();
    let folder = read_exposures(dir.path()).unwrap_err().report();
    let message = folder.message.replace(&dir.path().display().to_string(), "DIR");
    insta::assert_snapshot!(message, @r#"can't read DIR: Is a directory (os error 21)"#);
}
