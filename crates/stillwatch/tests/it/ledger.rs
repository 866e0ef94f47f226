//! `ledger`: two parties and a witness, from nothing to a checked range.

use crate::harness::Sandbox;
use serde_json::Value;

fn drafts(n: usize) -> String {
    let line = |number: usize| {
        serde_json::json!({
            "id": format!("draft-{number}"),
            "messages": [{ "role": "user", "content": format!("Question {number}?") }],
            "texts": [format!("one answer to {number}"), format!("another answer to {number}")],
            "account": format!("account-{}", number % 2),
        })
        .to_string()
    };
    (0..n).map(line).collect::<Vec<_>>().join("\n")
}

pub(crate) fn json(sandbox: &Sandbox, code: i32, args: &[&str]) -> Value {
    let ran = sandbox.run(&[args, &["--json"]].concat());
    assert_eq!(ran.code, code, "{args:?}\n{}\n{}", ran.stdout, ran.stderr);
    serde_json::from_str(&ran.stdout).expect("one JSON value")
}

/// A log with eight exposures under one head, and the file of exposures.
pub(crate) fn filled() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("drafts.jsonl", drafts(8));
    json(&sandbox, 0, &["ledger", "init", "log"]);
    let append = ["ledger", "append", "log", "--texts", "drafts.jsonl", "--openings", "kept.jsonl"];
    assert_eq!(json(&sandbox, 0, &append)["n_finished"], 8);
    json(&sandbox, 0, &["ledger", "head", "log", "--out", "head.json"]);
    let prove =
        ["ledger", "prove", "log", "--openings", "kept.jsonl", "--exposures", "exposures.jsonl"];
    assert_eq!(json(&sandbox, 0, &prove)["n_exposures"], 8);
    sandbox
}

#[test]
fn an_honest_ledger_verifies_in_every_way() {
    let sandbox = filled();
    let found = json(&sandbox, 0, &["ledger", "verify", "log", "--exposures", "exposures.jsonl"]);
    assert_eq!(found["valid"], true);
    assert_eq!(found["range"]["opened"].as_array().unwrap().len(), 8);
    assert_eq!(found["range"]["coin"], "server");
    let again = ["ledger", "append", "log", "--texts", "drafts.jsonl", "--openings", "kept.jsonl"];
    assert_eq!(json(&sandbox, 0, &again)["n_committed"], 0, "repeating changes nothing");

    // A witness who has only the published files.
    let weights = format!("hf:reference={}", "ab".repeat(32));
    json(&sandbox, 0, &["ledger", "append", "log", "--weights", &weights]);
    json(&sandbox, 0, &["ledger", "head", "log", "--out", "later.json"]);
    let prove = ["ledger", "prove", "log", "--consistency", "16", "--out", "grown.json"];
    json(&sandbox, 0, &prove);
    let cosign = [
        "ledger",
        "cosign",
        "later.json",
        "--key",
        "witness.key",
        "--new-key",
        "--previous",
        "head.json",
        "--consistency",
        "grown.json",
        "--out",
        "cosigned.json",
    ];
    let cosigned = json(&sandbox, 0, &cosign);
    assert_eq!(cosigned["cosignatures"].as_array().unwrap().len(), 1);
    let into = ["ledger", "cosign", "cosigned.json", "--into", "log"];
    assert_eq!(json(&sandbox, 0, &into)["n_new"], 1);
    json(&sandbox, 0, &["ledger", "prove", "log", "--id", "draft-3", "--out", "included.json"]);
    let verify = [
        "ledger",
        "verify",
        "--head",
        "cosigned.json",
        "--inclusion",
        "included.json",
        "--previous",
        "head.json",
        "--consistency",
        "grown.json",
    ];
    assert_eq!(json(&sandbox, 0, &verify)["n_cosignatures"], 1);
    assert_eq!(
        json(&sandbox, 0, &["ledger", "verify", "log", "--head", "cosigned.json"])["valid"],
        true
    );
    assert!(sandbox.run(&["ledger", "head", "log", "--last"]).stdout.contains("witness    "));
}

#[test]
fn whatever_is_hidden_or_changed_ends_with_1() {
    let sandbox = filled();
    let all = sandbox.read("exposures.jsonl");
    let lines: Vec<&str> = all.lines().collect();
    sandbox.write("fewer.jsonl", lines[1..].join("\n"));
    let found = json(&sandbox, 1, &["ledger", "verify", "log", "--exposures", "fewer.jsonl"]);
    assert_eq!(found["range"]["adverse"][0]["reason"], "unopened");
    sandbox.write("changed.jsonl", all.replacen("answer to 3", "answer to three", 1));
    let ran = sandbox.run(&["ledger", "verify", "log", "--exposures", "changed.jsonl"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("isn't the one committed to\nNOT valid"), "{}", ran.stdout);

    let head = sandbox.read("head.json");
    sandbox.write("forged.json", head.replace("\"epoch_count\": 8", "\"epoch_count\": 7"));
    let found = json(&sandbox, 1, &["ledger", "verify", "--head", "forged.json"]);
    assert!(found["problem"].as_str().unwrap().contains("signature"));

    let path = sandbox.path().join("log/entries.log");
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[100] ^= 1;
    fs_err::write(&path, bytes).unwrap();
    let found = json(&sandbox, 1, &["ledger", "verify", "log"]);
    assert!(found["problem"].as_str().unwrap().contains("altered"), "{found}");
}

#[test]
fn bad_input_ends_with_2_and_says_what_to_do() {
    let sandbox = filled();
    let cases: [(&[&str], &str); 9] = [
        (&["ledger", "init", "log"], "exists already"),
        (&["ledger", "verify", "nowhere"], "no ledger here"),
        (&["ledger", "head", "nowhere"], "no ledger here"),
        (&["ledger", "append", "log", "--weights", "hf:x"], "MODEL=SHA256"),
        (&["ledger", "append", "log", "--weights", "hf:x=12"], "64 hexadecimal digits"),
        (&["ledger", "prove", "log", "--leaf", "99"], "lies beyond the log"),
        (&["ledger", "prove", "log", "--id", "nobody"], "no exposure"),
        (&["ledger", "cosign", "drafts.jsonl", "--key", "k", "--new-key"], "drafts.jsonl"),
        (&["ledger", "append", "log", "--delete-account", "a"], "--reason"),
    ];
    for (args, piece) in cases {
        let ran = sandbox.run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(piece), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.lines().count() <= 12, "{args:?}: {}", ran.stderr);
        let error = json(&sandbox, 2, args);
        assert!(error["error"]["message"].is_string());
    }
    let append = [
        "ledger",
        "append",
        "log",
        "--texts",
        "drafts.jsonl",
        "--openings",
        "kept.jsonl",
        "--beacon",
        "quicknet",
        "--round",
        "123",
    ];
    assert!(sandbox.run(&append).stderr.contains("known already"));
}

#[test]
fn a_deleted_account_leaves_before_the_plan() {
    let sandbox = filled();
    let delete = ["ledger", "append", "log", "--delete-account", "account-1", "--reason", "asked"];
    assert_eq!(json(&sandbox, 0, &delete)["leaf_index"], 16);
    let entries = fs_err::read(sandbox.path().join("log/entries.log")).unwrap();
    let name = b"account-1";
    assert!(!entries.windows(name.len()).any(|window| window == name), "names stay outside");
}
