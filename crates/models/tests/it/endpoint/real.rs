//! Against a real server: llama.cpp's, with a real model.
#![expect(clippy::expect_used, clippy::print_stderr, reason = "helpers of tests")]

use super::mock::{ask, user};
use std::{
    env,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use stillwatch_models::{
    AccessLevel, EndpointOptions, Model, ModelError, OpenAiModel, SampleParams, SampleRequest,
    ScoreRequest, install_tls_provider,
};

struct RealServer {
    child: Child,
    url: String,
}

impl RealServer {
    /// `None`, with the reason printed, where the server or the model is not installed.
    fn start() -> Option<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/serve-model");
        let there = Command::new(&script)
            .arg("--check")
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !there {
            eprintln!("skipped: no server here; run scripts/serve-model --setup");
            return None;
        }
        let folder = env::var_os("STILLWATCH_MODELS").map_or_else(
            || {
                PathBuf::from(env::var_os("HOME").unwrap_or_default())
                    .join(".cache/stillwatch/models")
            },
            PathBuf::from,
        );
        let Some(model) = find_model(&folder) else {
            eprintln!("skipped: no SmolLM2 in {}; run scripts/models", folder.display());
            return None;
        };
        let mut child = Command::new(&script)
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

impl Drop for RealServer {
    fn drop(&mut self) {
        // Closing its standard input ends the server too, should this fail.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn find_model(folder: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = fs_err::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            name.contains("smollm2") && path.extension().is_some_and(|kind| kind == "gguf")
        })
        .collect();
    found.sort();
    found.into_iter().next()
}

#[test]
fn real_server_samples_and_does_not_pretend_to_score() {
    let Some(server) = RealServer::start() else { return };
    install_tls_provider();
    let options = EndpointOptions { timeout: Duration::from_mins(2), ..EndpointOptions::default() };
    let model = OpenAiModel::connect(&server.url, "smollm2", &options).expect("open");

    // It takes `echo` and returns log-probabilities, of generated tokens alone.
    assert_eq!(model.access(), AccessLevel::Sampling);
    let score = ScoreRequest { messages: user("Hello."), answer: "Hello!".to_owned() };
    assert!(matches!(model.score(&[score]).remove(0), Err(ModelError::Access { .. })));

    let requests: Vec<SampleRequest> = ["What is 2 + 2?", "Name a colour.", "Say hello."]
        .iter()
        .map(|text| SampleRequest {
            messages: user(text),
            params: SampleParams { temperature: 0.0, top_p: 1.0, max_tokens: 12, seed: 1 },
        })
        .collect();
    let first = model.sample(&requests);
    for sampled in &first {
        let sampled = sampled.as_ref().expect("sampled");
        assert!(!sampled.text.is_empty());
        assert!(["stop", "length"].contains(&sampled.finish_reason.as_str()));
    }
    let again = model.sample(&requests[..1]).remove(0).expect("sampled");
    assert_eq!(first[0].as_ref().expect("sampled").text, again.text, "greedy answers repeat");

    let spent = model.meter().spent();
    assert!(spent.input_tokens > 0 && spent.output_tokens > 3, "{spent:?}");

    // A prompt that doesn't fit concerns that prompt alone.
    let results = model.sample(&[ask(&"word ".repeat(20_000)), ask("Say hello.")]);
    assert!(matches!(&results[0], Err(ModelError::Request(_))), "{:?}", results[0]);
    assert!(results[1].is_ok(), "{:?}", results[1]);
}
