//! `audit --scores` and `verify`, from small files to exit codes.

use crate::{
    harness::{Ran, Sandbox},
    ledger::json,
    synth::scores,
};
use serde_json::Value;

/// Quick flags: few resamples, a case.
const QUICK: [&str; 4] = ["--resamples", "2000", "--alpha", "0.01"];

fn audit(sandbox: &Sandbox, more: &[&str]) -> Ran {
    let file = if more.contains(&"--scores") { &[][..] } else { &["--scores", "scores.csv"] };
    sandbox.run(&[&["audit"], file, &QUICK, more].concat())
}

fn result(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).expect("one JSON value")
}

#[test]
fn the_json_has_every_field_and_repeats_byte_for_byte() {
    let sandbox = Sandbox::new();
    sandbox.write("scores.csv", scores(80, 1.0, "server"));
    let flags = ["--json", "--reference", "ref1", "--references-predate", "--seed", "3"];
    let ran = audit(&sandbox, &flags);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let found = result(&ran);
    let fields = [
        "schema",
        "verdict",
        "sentence",
        "alpha",
        "alpha_split",
        "decide",
        "seed",
        "grade",
        "n_pairs",
        "n_set_aside",
        "references",
        "findings",
        "accounts",
        "partial",
    ];
    for field in fields {
        assert!(found.get(field).is_some(), "{field} is missing");
    }
    assert_eq!(found["verdict"], "established");
    assert_eq!(found["decide"], "p");
    assert_eq!(found["seed"], 3);
    assert_eq!(found["grade"]["coin"], "server");
    assert_eq!(found["references"][0]["model"], "ref1");
    assert_eq!(found["references"][0]["predates_coin"], "declared");
    assert_eq!(found["accounts"].as_array().map(Vec::len), Some(4));
    assert_eq!(audit(&sandbox, &flags).stdout, ran.stdout);
}

#[test]
fn an_innocent_ends_with_0_and_the_effect_that_would_have_been_seen() {
    let sandbox = Sandbox::new();
    sandbox.write("scores.csv", scores(200, 0.0, "server"));
    let ran = audit(&sandbox, &["--json", "--target-effect", "1"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let found = result(&ran);
    assert_eq!(found["verdict"], "no_evidence");
    assert!(found["findings"][0]["min_detectable_effect"].as_f64().unwrap() < 1.0);
}

#[test]
fn without_a_coin_there_is_no_p_value_and_at_most_an_indication() {
    let sandbox = Sandbox::new();
    let unknown = scores(80, 1.5, "").replace(",coin\n", "\n").replace(",\n", "\n");
    sandbox.write("scores.csv", scores(80, 1.5, "none")).write("unknown.csv", unknown);
    for file in ["scores.csv", "unknown.csv"] {
        let ran = audit(&sandbox, &["--json", "--scores", file]);
        let found = result(&ran);
        assert_eq!((ran.code, &found["verdict"]), (1, &"indicated".into()), "{found}");
        assert_eq!(found["grade"]["coin"], "none");
        for finding in found["findings"].as_array().unwrap() {
            assert!(finding["p_value"].is_null() && finding["e_value"].is_null(), "{finding}");
        }
        assert!(!found["sentence"].as_str().unwrap().contains("p ="), "{found}");
    }
}

#[test]
fn e_decides_after_the_last_pair_when_asked() {
    let sandbox = Sandbox::new();
    sandbox.write("scores.csv", scores(120, 1.5, "iid"));
    let ran = audit(&sandbox, &["--json", "--decide", "e"]);
    let found = result(&ran);
    assert_eq!((ran.code, &found["verdict"]), (1, &"indicated".into()), "{found}");
    assert_eq!(found["findings"][0]["n"], 120, "every pair is settled");
}

#[test]
fn columns_are_named_by_reference_and_placebo() {
    let sandbox = Sandbox::new();
    sandbox.write("scores.csv", scores(60, 0.0, "server"));
    let found = result(&audit(&sandbox, &["--json", "--placebo", "ref1"]));
    assert_eq!(found["grade"]["placebos"][0]["model"], "ref1");
    for flag in ["--reference", "--placebo"] {
        let ran = audit(&sandbox, &["--json", flag, "ref2"]);
        assert_eq!(ran.code, 2);
        let message = result(&ran)["error"]["message"].as_str().unwrap().to_owned();
        for part in ["scores.csv", "ref2", "ref1"] {
            assert!(message.contains(part), "{message}: lacks {part}");
        }
    }
}

/// A case in `case`, made by an audit.
fn case() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("scores.csv", scores(40, 4.0, "server"));
    let ran = audit(&sandbox, &["--out", "case"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    sandbox
}

#[test]
fn a_case_verifies_and_every_tampering_is_named() {
    let sandbox = case();
    let report = json(&sandbox, 0, &["verify", "case"]);
    assert_eq!(report["follows"], true);
    let tampered: [(&str, &str, &str); 4] = [
        ("case/scores.csv", "p7,", "p8x,"),
        ("case/result.json", "\"established\"", "\"no_evidence\""),
        ("case/report.html", "<html", "<html data-x"),
        ("scores.csv", "p7,", "p8x,"),
    ];
    for (file, from, to) in tampered {
        let before = sandbox.read(file);
        assert!(before.contains(from), "{file}: {before}");
        sandbox.write(file, before.replacen(from, to, 1));
        let ran = sandbox.run(&["verify", "case"]);
        assert_eq!(ran.code, 1, "{file}: {}{}", ran.stdout, ran.stderr);
        let name = file.trim_start_matches("case/");
        assert!(ran.stdout.contains("changed: ") && ran.stdout.contains(name), "{}", ran.stdout);
        sandbox.write(file, before);
    }
    let result = sandbox.read("case/result.json");
    sandbox.write("case/result.json", result.replacen("\"established\"", "\"no_evidence\"", 1));
    let report = json(&sandbox, 1, &["verify", "case"]);
    assert!(report["differences"].as_array().unwrap().contains(&"verdict".into()), "{report}");
    assert_eq!(sandbox.run(&["verify", "nowhere"]).code, 2);
}

#[test]
fn a_case_of_another_question_is_not_overwritten() {
    let sandbox = case();
    let ran = audit(&sandbox, &["--out", "case", "--seed", "9"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("parameters") || ran.stderr.contains("seed"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--out"), "{}", ran.stderr);
    assert_eq!(json(&sandbox, 0, &["verify", "case"])["follows"], true);
}

#[test]
fn a_sealed_plan_is_followed_and_a_changed_alpha_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("scores.csv", scores(80, 1.5, "server"));
    let plan = ["audit", "plan", "--scores", "scores.csv", "--plan", "plan.json"];
    let plan = [&plan[..], &QUICK].concat();
    assert_eq!(sandbox.run(&plan).code, 0);
    let run = |more: &[&str]| {
        let run = ["audit", "run", "--scores", "scores.csv", "--plan", "plan.json", "--json"];
        sandbox.run(&[&run[..], more].concat())
    };
    let followed = run(&QUICK);
    assert_eq!(followed.code, 1, "{}", followed.stderr);
    assert_eq!(result(&followed)["grade"]["plan"], "sealed");
    for (flag, value) in [("--alpha", "0.02"), ("--seed", "4"), ("--decide", "e")] {
        let mut flags = QUICK.to_vec();
        if flag == "--alpha" {
            flags.truncate(2);
        }
        flags.extend([flag, value]);
        let refused = run(&flags);
        assert_eq!(refused.code, 2, "{flag}: {}", refused.stderr);
        let error = &result(&refused)["error"];
        assert_eq!(error["code"], "plan_not_followed");
        assert!(error["hint"].is_string());
    }
    let forged = sandbox.read("plan.json").replace("\"alpha\": 0.01", "\"alpha\": 0.02");
    sandbox.write("plan.json", forged);
    assert_eq!(run(&["--resamples", "2000", "--alpha", "0.02"]).code, 2);
}
