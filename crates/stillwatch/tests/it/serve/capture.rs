//! What was captured: kept through a kill, exported, accounted for by the ledger.

use super::running::{Guard, chat, post, post_as};
use crate::harness::Sandbox;
use serde_json::Value;
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

/// Exports and checks against the ledger; ids of the exposures.
fn export(sandbox: &Sandbox) -> Vec<Value> {
    let args = ["serve", "exposures", "--data", "data", "--out", "exposures.jsonl"];
    let ran = sandbox.run(&args);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let lines = sandbox.read("exposures.jsonl");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn captured_pairs_go_from_the_guard_into_an_audit() {
    let sandbox = Sandbox::new();
    let upstream = MockUpstream::start(Behaviour::new());
    let guard = Guard::start(&sandbox, &upstream.url(), &["--exposure-rate", "1"]);
    let url = format!("{}/v1/chat/completions", guard.url);
    let mut sent = Vec::new();
    for number in 0..30 {
        let body = chat(&format!("prompt {number}"), 1, number % 2 == 0);
        let got = post_as(&url, &format!("account-{}", number % 3), &body);
        assert_eq!(got.status, 200, "{}", got.text());
        assert!(got.header("stillwatch-receipt").is_some(), "{}", got.head);
        sent.push(got.text());
    }
    // Greedy: not exposed, no receipt.
    let greedy = post(&url, &chat("prompt", 0, false));
    assert!(greedy.header("stillwatch-receipt").is_none(), "{}", greedy.head);
    assert_eq!(guard.stop().code, 0);
    assert_eq!(upstream.counts().completed, 61);

    let exposures = export(&sandbox);
    assert_eq!(exposures.len(), 30);
    for exposure in &exposures {
        let released = exposure["released"].as_str().expect("text");
        let number: usize = exposure["messages"][0]["content"]
            .as_str()
            .and_then(|prompt| prompt.strip_prefix("prompt ")?.parse().ok())
            .expect("a prompt of this test");
        let sent = &sent[number];
        let text: String = if number.is_multiple_of(2) {
            let data = sent.lines().filter_map(|line| line.strip_prefix("data: "));
            let chunks = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
            chunks
                .filter_map(|c| Some(c["choices"][0]["delta"]["content"].as_str()?.to_owned()))
                .collect()
        } else {
            let json: Value = serde_json::from_str(sent).expect("JSON");
            json["choices"][0]["message"]["content"].as_str().expect("text").to_owned()
        };
        assert_eq!(released, text, "what went out is what was released");
        assert_ne!(exposure["withheld"][0].as_str().expect("text"), text);
        assert_eq!(exposure["coin"], "server");
    }
    let verify = ["ledger", "verify", "data/ledger", "--exposures", "exposures.jsonl", "--json"];
    let ran = sandbox.run(&verify);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);

    // Scores made elsewhere: here of a model that prefers what it saw.
    let rows = exposures.iter().map(|exposure| {
        let id = exposure["id"].as_str().expect("an id");
        let account = exposure["account"].as_str().expect("an account");
        format!("{id},{account},-10,-14\n")
    });
    let rows = rows.collect::<String>();
    sandbox.write("scores.csv", format!("id,account,suspect_released,suspect_withheld\n{rows}"));
    let ran = sandbox.run(&["audit", "--json", "--scores", "scores.csv", "--coin", "server"]);
    let result: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!((ran.code, &result["verdict"]), (1, &"established".into()), "{}", ran.stdout);
    let accounts = result["accounts"].as_array().expect("a list");
    assert_eq!(accounts.len(), 3, "the guard's accounts are the audit's");
}

#[test]
fn a_killed_guard_loses_no_acknowledged_entry() {
    let sandbox = Sandbox::new();
    let upstream = MockUpstream::start(Behaviour::new());
    let rate = ["--exposure-rate", "1"];
    let mut receipts = Vec::new();
    for round in 0..2 {
        let guard = Guard::start(&sandbox, &upstream.url(), &rate);
        let url = format!("{}/v1/chat/completions", guard.url);
        for number in 0..10 {
            let got = post(&url, &chat(&format!("round {round}, prompt {number}"), 1, false));
            assert_eq!(got.status, 200, "{}", got.text());
            receipts.push(got.header("stillwatch-receipt").expect("exposed").to_owned());
        }
        guard.signal("-KILL");
        guard.wait();
    }
    let guard = Guard::start(&sandbox, &upstream.url(), &rate);
    assert_eq!(guard.stop().code, 0);
    let verify = sandbox.run(&["ledger", "verify", "data/ledger", "--json"]);
    assert_eq!(verify.code, 0, "{}", verify.stdout);
    // Every answer that was acknowledged has its first entry; the second one of the last few may
    // have been under way when the process died, and then the pair is unfinished, not lost.
    let known: Value = serde_json::from_str(&verify.stdout).expect("JSON");
    assert_eq!(receipts.len(), 20);
    assert!(known["n_exposures"].as_u64().is_some_and(|n| n >= 20), "{known}");
    assert!(export(&sandbox).len() >= 18, "what was captured can be exported");
}
