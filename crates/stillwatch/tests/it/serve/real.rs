//! With a real model behind a real server: the official clients work unchanged, and what is
//! captured goes straight into an audit.
#![expect(clippy::expect_used, clippy::print_stderr, reason = "helpers of tests")]

use super::running::{Guard, curl, post};
use crate::harness::Sandbox;
use serde_json::Value;
use std::{
    env,
    ffi::OsString,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use stillwatch_testkit::upstream::{Behaviour, MockUpstream};

/// SmolLM2 as `scripts/models` names it.
const MODEL: &str = "smollm2-135m-instruct-q4_1.gguf";

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts").join(name)
}

fn model_file() -> PathBuf {
    let home = || PathBuf::from(env::var_os("HOME").unwrap_or_default());
    let folder = env::var_os("STILLWATCH_MODELS")
        .map_or_else(|| home().join(".cache/stillwatch/models"), PathBuf::from);
    folder.join(MODEL)
}

/// Whether the script finds what it needs; says so where it doesn't.
fn has(name: &str) -> bool {
    let checked = Command::new(script(name)).arg("--check").stderr(Stdio::null()).status();
    let there = checked.is_ok_and(|status| status.success());
    if !there {
        eprintln!("skipped: run scripts/{name} --setup");
    }
    there
}

/// A server with SmolLM2 in it.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// `None`, with the reason printed, where server or model are not installed.
    fn start() -> Option<Self> {
        let model = model_file();
        if !has("serve-model") || !model.is_file() {
            eprintln!("skipped: no server, or no {}; run scripts/models", model.display());
            return None;
        }
        let mut child = Command::new(script("serve-model"))
            .args([model.as_os_str(), "0".as_ref(), "--until-stdin-closes".as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the script");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let url = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with("http"));
        Some(Self { child, url: url.expect("the server prints its address") })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Closing its standard input ends the server too, should this fail.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// One of the Python programs in `tests/data`; what it saw.
fn client(program: &str, args: &[&str]) -> Value {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(program);
    let mut all = vec![program.into_os_string()];
    all.extend(args.iter().map(OsString::from));
    let ran = Command::new(script("python-clients")).args(&all).output().expect("python runs");
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{all:?}: {stderr}");
    serde_json::from_slice(&ran.stdout).expect("one line of JSON")
}

#[test]
fn real_clients_work_unchanged_and_what_is_captured_can_be_audited() {
    if !has("python-clients") {
        return;
    }
    let Some(server) = Server::start() else { return };
    let sandbox = Sandbox::new();
    let guard = Guard::start(&sandbox, &server.url, &["--exposure-rate", "1"]);

    let seen = client("openai_client.py", &[&guard.url, "20"]);
    assert_eq!((&seen["error"], &seen["receipts"]), (&400.into(), &20.into()), "{seen}");
    let model = seen["model"].as_str().expect("a name");
    let seen = client("anthropic_client.py", &[&guard.url, model, "4"]);
    assert_eq!((&seen["error"], &seen["receipts"]), (&400.into(), &4.into()), "{seen}");

    // curl -N: greedy, so that the upstream says the same when it is asked directly.
    let body = r#"{"temperature":0,"max_tokens":8,"stream":true,
                   "messages":[{"role":"user","content":"Count to three."}]}"#;
    let passed = post(&format!("{}/v1/chat/completions", guard.url), body);
    let direct = post(&format!("{}/chat/completions", server.url), body);
    assert_eq!(said(&passed.text()), said(&direct.text()));
    assert!(passed.text().ends_with("data: [DONE]\n\n"), "{}", passed.text());
    assert_eq!(curl(&[&format!("{}/v1/models", guard.url)]).status, 200);

    let ran = guard.stop();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let export = ["serve", "exposures", "--data", "data", "--out", "exposures.jsonl"];
    let ran = sandbox.run(&export);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let n = sandbox.read("exposures.jsonl").lines().count();
    // Two short answers to one prompt may be the same text; then no pair is left.
    assert!((20..=24).contains(&n), "{n} exposures of 24: {}", ran.stderr);

    let verify = ["ledger", "verify", "data/ledger", "--exposures", "exposures.jsonl", "--json"];
    let ran = sandbox.run(&verify);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    audit(&sandbox, n);
}

/// The model that answered never saw what it sampled: nothing may be established.
fn audit(sandbox: &Sandbox, n: usize) {
    if !cfg!(feature = "llama") {
        eprintln!("skipped the audit: built without the feature llama");
        return;
    }
    let suspect = format!("gguf:{}", model_file().display());
    let args = ["audit", "--json", "--suspect", &suspect, "--exposures", "exposures.jsonl"];
    let ran = sandbox.run(&[&args[..], &["--ledger", "data/ledger", "--out", "case"]].concat());
    let result: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    // Pairs of the same text twice are set aside.
    let n_of = |field: &str| result[field].as_u64().unwrap_or(0);
    assert_eq!(n_of("n_pairs") + n_of("n_set_aside"), n as u64, "{result}");
    assert_eq!(result["grade"]["coin_evidence"], "ledger", "{result}");
    assert!(["no_evidence", "inconclusive"].contains(&result["verdict"].as_str().expect("one")));
}

/// The text of a stream of chat chunks.
fn said(stream: &str) -> String {
    let events = stream.lines().filter_map(|line| line.strip_prefix("data: "));
    let chunks = events.filter_map(|data| serde_json::from_str::<Value>(data).ok());
    chunks.filter_map(|c| Some(c["choices"][0]["delta"]["content"].as_str()?.to_owned())).collect()
}

#[test]
fn real_clients_before_a_mock() {
    if !has("python-clients") {
        return;
    }
    let sandbox = Sandbox::new();
    let upstream = MockUpstream::start(Behaviour::new());
    let guard = Guard::start(&sandbox, &upstream.url(), &["--exposure-rate", "1"]);
    let seen = client("openai_client.py", &[&guard.url, "30"]);
    assert_eq!(seen["receipts"], 30, "{seen}");
    let seen = client("anthropic_client.py", &[&guard.url, "mock-1", "10"]);
    assert_eq!(seen["receipts"], 10, "{seen}");
    assert_eq!(guard.stop().code, 0);
}
