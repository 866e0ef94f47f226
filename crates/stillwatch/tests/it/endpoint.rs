//! Audits of endpoints that fail, are slow, and are given a key.

use crate::{
    harness::{Sandbox, stillwatch},
    mock::{Mock, Reply},
    synth::exposures,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

const KEY: &str = "sk-very-secret-4711";

fn args(model: &str) -> Vec<&str> {
    vec![
        "audit",
        "--suspect",
        model,
        "--exposures",
        "exposures.jsonl",
        "--samples",
        "1",
        "--attempts",
        "2",
        "--out",
        "case",
        "--json",
    ]
}

fn sandbox(n: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("exposures.jsonl", exposures(n));
    sandbox
}

#[test]
fn faults_from_the_start() {
    let cases: [(u16, &str, i32, &str); 6] = [
        (401, r#"{"error":{"message":"bad key"}}"#, 2, "OPENAI_API_KEY"),
        (404, "nothing here", 2, "/v1"),
        (429, "slow down", 3, "429"),
        (500, "oops", 3, "500"),
        (503, "later", 3, "503"),
        (200, "<html>hello</html>", 2, "/v1"),
    ];
    for (status, body, code, piece) in cases {
        let mock = Mock::start(move |_| Reply::new(status, body));
        let sandbox = sandbox(2);
        let ran = sandbox.run(&args(&mock.model()));
        assert_eq!(ran.code, code, "{status}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains(piece), "{status}: {}", ran.stderr);
        assert!(ran.stderr.lines().count() <= 4, "{status}: {}", ran.stderr);
        let value: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert!(value["error"]["hint"].is_string(), "{status}: {value}");
        assert_eq!(value["partial"] == true, code == 3, "{status}: {value}");
        assert!(!ran.stderr.contains("panicked"));
    }
    let mock = Mock::start(|_| Reply::chat("a good answer").cut());
    assert_eq!(sandbox(2).run(&args(&mock.model())).code, 2);
}

#[test]
fn an_endpoint_that_dies_half_way_leaves_a_partial_case_that_resumes() {
    let dead = std::sync::Arc::new(AtomicBool::new(true));
    let asleep = std::sync::Arc::clone(&dead);
    let mock = Mock::chat(move |hit| {
        if hit.prompt() == "Question 3?" && asleep.load(Ordering::SeqCst) {
            return Reply::chat("cut").cut();
        }
        Reply::chat("yes to number")
    });
    let sandbox = sandbox(6);
    let model = mock.model();
    let flags = [&args(&model)[..], &["--concurrency", "1"]].concat();
    let ran = sandbox.run(&flags);
    assert_eq!(ran.code, 3, "{}{}", ran.stdout, ran.stderr);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["partial"], true);
    dead.store(false, Ordering::SeqCst);
    let ran = sandbox.run(&flags);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((&value["partial"], &value["n_pairs"]), (&false.into(), &6.into()));
    for (prompt, times) in asked(&mock) {
        assert!(prompt == "Question 3?" || times == 1, "{prompt} was asked {times} times");
    }
}

/// How often each exposure's prompt was asked.
fn asked(mock: &Mock) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for hit in mock.hits() {
        if hit.prompt().starts_with("Question ") {
            *counts.entry(hit.prompt()).or_default() += 1;
        }
    }
    counts
}

#[test]
fn an_interrupted_audit_is_partial_and_resumes_without_asking_again() {
    let slow = Duration::from_millis(60);
    let mock = Mock::chat(move |_| Reply::chat("well, perhaps").after(slow));
    let sandbox = sandbox(80);
    let model = mock.model();
    let flags = args(&model);
    let child =
        stillwatch(&sandbox, &flags).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while asked(&mock).len() < 8 && begun.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let kill = format!("kill -INT {}", child.id());
    assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["partial"], true);
    let before = asked(&mock).len();
    assert!((8..80).contains(&before), "{before} were asked before the interrupt");
    let ran = sandbox.run(&flags);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(value["partial"], false);
    let asked = asked(&mock);
    assert_eq!(asked.len(), 80);
    assert!(asked.values().all(|times| *times == 1), "{asked:?}");
    assert_eq!(sandbox.run(&["verify", "case"]).code, 0);
}

#[test]
fn a_key_reaches_the_endpoint_and_nothing_else() {
    for fails in [false, true] {
        let mock = Mock::chat(move |_| {
            if fails {
                // Some servers quote the key that they refuse.
                Reply::new(401, &format!(r#"{{"error":{{"message":"no: {KEY}"}}}}"#))
            } else {
                Reply::chat("yes to number")
            }
        });
        let sandbox = sandbox(4);
        let model = mock.model();
        let flags = [&args(&model)[..], &["--suspect-key-env", "THE_KEY"]].concat();
        let output = stillwatch(&sandbox, &flags).env("THE_KEY", KEY).output().unwrap();
        assert_eq!(output.status.code(), Some(if fails { 2 } else { 0 }));
        let sent = format!("Bearer {KEY}");
        assert!(mock.hits().iter().all(|hit| hit.authorization.as_ref() == Some(&sent)));
        let mut texts = vec![output.stdout, output.stderr];
        collect(sandbox.path(), &mut texts);
        for text in texts {
            assert!(!String::from_utf8_lossy(&text).contains(KEY), "the key leaked");
        }
    }
    let sandbox = sandbox(4);
    let flags = [&args("openai:http://127.0.0.1:1/v1#m")[..], &["--suspect-key-env", "NONE_SET"]];
    let ran = sandbox.run(&flags.concat());
    assert!(ran.code == 2 && ran.stderr.contains("NONE_SET"), "{}", ran.stderr);
}

/// Every file below a folder.
fn collect(folder: &std::path::Path, texts: &mut Vec<Vec<u8>>) {
    for entry in fs_err::read_dir(folder).expect("the sandbox can be read") {
        let path = entry.expect("the sandbox can be read").path();
        if path.is_dir() {
            collect(&path, texts);
        } else {
            texts.push(fs_err::read(path).expect("the sandbox can be read"));
        }
    }
}

#[test]
fn a_forced_choice_shows_the_texts_and_similarity_does_not() {
    for (kind, shown) in [("similarity", false), ("forced-choice", true)] {
        let mock = Mock::chat(|_| Reply::chat("A"));
        let sandbox = sandbox(3);
        let model = mock.model();
        let ran = sandbox.run(&[&args(&model)[..], &["--score-by", kind]].concat());
        assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
        let texts = mock.hits().iter().any(|hit| hit.prompt().contains("yes to number"));
        assert_eq!(texts, shown, "{kind}");
        let asked = mock.hits().iter().filter(|h| h.prompt().contains("Question ")).count();
        assert_eq!(asked, if shown { 6 } else { 3 }, "{kind}");
    }
}
