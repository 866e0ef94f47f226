//! `audit plan`.

use crate::ledger::{filled, json};

const URL: &str = "openai:http://127.0.0.1:9/v1#suspect";

#[test]
fn a_plan_in_the_ledger_fixes_range_and_share_of_alpha() {
    let sandbox = filled();
    let plan = |file: &str, alpha: &str| {
        let args = [
            "audit",
            "plan",
            "--suspect",
            URL,
            "--exposures",
            "exposures.jsonl",
            "--ledger",
            "log",
            "--alpha",
            alpha,
            "--plan",
            file,
        ];
        sandbox.run(&args)
    };
    let first = plan("one.json", "0.01");
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert!(first.stdout.contains("sealed as leaf 16"), "{}", first.stdout);
    assert!(first.stdout.contains("it may spend 5e-3 of alpha 1e-2"), "{}", first.stdout);
    let again = plan("again.json", "0.01");
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("sealed already"), "{}", again.stderr);
    assert_eq!(plan("two.json", "0.02").code, 0);
    let sealed: serde_json::Value = serde_json::from_str(&sandbox.read("two.json")).unwrap();
    assert_eq!(sealed["number"], 2);
    assert_eq!(sealed["plan"]["exposures"]["ledger"]["last_sequence"], 7);
    assert_eq!(sealed["plan"]["decide"], "e");
    assert_eq!(sealed["plan"]["suspect"], serde_json::json!({ "model": URL }));
    json(&sandbox, 0, &["ledger", "head", "log"]);
    let verify =
        ["ledger", "verify", "log", "--exposures", "exposures.jsonl", "--plan", "two.json"];
    assert_eq!(json(&sandbox, 0, &verify)["range"]["last_sequence"], 7);
    let forged = sandbox.read("two.json").replace("\"alpha\": 0.02", "\"alpha\": 0.03");
    sandbox.write("two.json", forged);
    assert_eq!(json(&sandbox, 1, &verify)["valid"], false);
}

#[test]
fn without_a_ledger_a_plan_is_signed_and_counted() {
    let sandbox = filled();
    let plan = |file: &str, seed: &str| {
        let args = [
            "audit",
            "plan",
            "--suspect",
            URL,
            "--exposures",
            "exposures.jsonl",
            "--seed",
            seed,
            "--plan",
            file,
        ];
        json(&sandbox, 0, &args)["number"].clone()
    };
    assert_eq!(plan("one.json", "1"), 1);
    assert_eq!(plan("two.json", "2"), 2);
    assert_eq!(plan("three.json", "3"), 3);
    let again = sandbox.run(&[
        "audit",
        "plan",
        "--suspect",
        URL,
        "--exposures",
        "exposures.jsonl",
        "--plan",
        "one.json",
    ]);
    assert_eq!(again.code, 2);
    assert!(again.stderr.contains("a plan is sealed once"), "{}", again.stderr);
    let missing =
        sandbox.run(&["audit", "plan", "--suspect", URL, "--exposures", "exposures.jsonl"]);
    assert!(missing.stderr.contains("--plan FILE is missing"), "{}", missing.stderr);
}
