//! Bad input: the documented exit code, one to three lines that name file, line or field and
//! what to do, the same as JSON, and never a panic.

use crate::{
    harness::Sandbox,
    synth::{exposures, scores},
};
use serde_json::Value;

const HEADER: &str = "id,suspect_released,suspect_withheld\n";

/// Runs with and without `--json`; checks form, code and pieces.
#[track_caller]
fn refused(sandbox: &Sandbox, code: i32, args: &[&str], pieces: &[&str]) -> Value {
    let plain = sandbox.run(args);
    assert_eq!(plain.code, code, "{args:?}\n{}{}", plain.stdout, plain.stderr);
    assert!(plain.stdout.is_empty(), "{args:?}: {}", plain.stdout);
    let lines = plain.stderr.lines().filter(|l| !l.trim().is_empty()).count();
    assert!((1..=4).contains(&lines), "{args:?}: {}", plain.stderr);
    assert!(plain.stderr.starts_with("error: "), "{args:?}: {}", plain.stderr);
    let ran = sandbox.run(&[args, &["--json"]].concat());
    assert_eq!(ran.code, code, "{args:?}");
    for text in [&plain.stderr, &ran.stderr, &ran.stdout] {
        assert!(!text.contains("panicked"), "{args:?}: {text}");
    }
    let value: Value = serde_json::from_str(&ran.stdout).expect("one JSON value");
    for field in ["code", "message", "file", "line", "hint"] {
        assert!(value["error"].get(field).is_some(), "{args:?}: {field} is missing in {value}");
    }
    for piece in pieces {
        assert!(plain.stderr.contains(piece), "{args:?}: {} lacks {piece:?}", plain.stderr);
    }
    value["error"].clone()
}

#[test]
fn files_of_scores() {
    let sandbox = Sandbox::new();
    let good = scores(3, 0.0, "server");
    sandbox
        .write("empty.csv", "")
        .write("nan.csv", format!("{HEADER}a,-1,-2\nb,NaN,-2\n"))
        .write("inf.csv", format!("{HEADER}a,-1,-2\nb,-inf,-2\n"))
        .write("column.csv", "id,suspect_released\na,-1\n")
        .write("short.csv", format!("{HEADER}a,-1,-2\nb,-1\n"))
        .write("word.csv", format!("{HEADER}a,-1,minus two\n"))
        .write("twice.csv", format!("{HEADER}a,-1,-2\na,-2,-1\n"))
        .write("latin.csv", [HEADER.as_bytes(), b"caf\xe9,-1,-2\n"].concat())
        .write("long.csv", format!("{HEADER}{},-1,-2\n", "x".repeat(5 << 20)))
        .write("coin.csv", good.replace("server", "heads"))
        .write("semicolon.csv", good.replace(',', ";"));
    let cases: [(&str, &[&str], Option<u64>); 12] = [
        ("none.csv", &["none.csv"], None),
        ("empty.csv", &["empty.csv"], None),
        ("nan.csv", &["nan.csv:3", "suspect_released"], Some(3)),
        ("inf.csv", &["inf.csv:3", "suspect_released"], Some(3)),
        ("column.csv", &["column.csv", "suspect_withheld"], Some(1)),
        ("short.csv", &["short.csv:3", "2 cells"], Some(3)),
        ("word.csv", &["word.csv:2", "suspect_withheld"], Some(2)),
        ("twice.csv", &["twice.csv"], None),
        ("latin.csv", &["latin.csv:2", "UTF-8"], Some(2)),
        ("long.csv", &["long.csv:2"], Some(2)),
        ("coin.csv", &["coin.csv:2", "coin"], Some(2)),
        ("semicolon.csv", &["semicolon.csv:1", "commas"], Some(1)),
    ];
    for (file, pieces, line) in cases {
        let error = refused(&sandbox, 2, &["audit", "--scores", file], pieces);
        assert!(error["file"].as_str().is_some_and(|f| f.ends_with(file)), "{error}");
        if line.is_some() {
            assert_eq!(error["line"].as_u64(), line, "{error}");
        }
    }
    refused(&sandbox, 2, &["audit", "--scores", "."], &["."]);
}

#[test]
fn flags() {
    let sandbox = Sandbox::new();
    sandbox.write("scores.csv", scores(3, 0.0, "server")).write("file", "");
    for alpha in ["0", "1", "-0.1", "NaN", "inf"] {
        let alpha = format!("--alpha={alpha}");
        refused(&sandbox, 2, &["audit", "--scores", "scores.csv", &alpha], &["alpha"]);
    }
    for flag in ["--target-effect=0", "--resamples=0"] {
        refused(&sandbox, 2, &["audit", "--scores", "scores.csv", flag], &["must be"]);
    }
    let out = |dir: &str| {
        refused(&sandbox, 2, &["audit", "--scores", "scores.csv", "--out", dir], &["file"]);
    };
    out("file");
    out("file/below");
    refused(&sandbox, 2, &["verify", "file"], &["file"]);
    refused(&sandbox, 2, &["verify", "."], &["no case"]);
}

#[test]
fn byte_order_marks_and_line_ends_are_read() {
    let sandbox = Sandbox::new();
    let plain = scores(60, 4.0, "server");
    sandbox.write("plain.csv", &plain).write("marked.csv", format!("\u{feff}{plain}"));
    sandbox.write("crlf.csv", plain.replace('\n', "\r\n"));
    let run = |file| {
        let ran = sandbox.run(&["audit", "--scores", file, "--resamples", "2000", "--json"]);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        ran.stdout
    };
    let expected = run("plain.csv");
    assert_eq!(run("marked.csv"), expected);
    assert_eq!(run("crlf.csv"), expected);
}

#[test]
fn too_little_to_test_is_inconclusive_and_says_what_is_missing() {
    let sandbox = Sandbox::new();
    sandbox
        .write("header.csv", HEADER)
        .write("one.csv", format!("{HEADER}a,-1,-2\n"))
        .write("equal.csv", format!("{HEADER}a,-1,-1\nb,-2,-2\n"));
    for file in ["header.csv", "one.csv", "equal.csv"] {
        let ran = sandbox.run(&["audit", "--scores", file, "--coin", "server", "--json"]);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        if ran.code == 2 {
            assert!(ran.stderr.contains(file), "{}", ran.stderr);
            continue;
        }
        assert_eq!(ran.code, 0, "{file}: {}", ran.stderr);
        let result: Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(result["verdict"], "inconclusive", "{file}");
        assert!(!result["sentence"].as_str().unwrap().is_empty());
    }
}

#[test]
fn models_that_can_not_be_opened() {
    let sandbox = Sandbox::new();
    for folder in ["odd", "cut"] {
        fs_err::create_dir(sandbox.path().join(folder)).unwrap();
    }
    sandbox
        .write("exposures.jsonl", exposures(2))
        .write("odd/config.json", r#"{"architectures":["MambaForCausalLM"],"model_type":"mamba"}"#)
        .write("cut/config.json", r#"{"architectures":["LlamaForCausalLM"],"#)
        .write("cut.gguf", b"GGUF\x03\0\0\0\x01")
        .write("text.gguf", "not a model");
    let cases: [(&str, &[&str]); 8] = [
        ("nonsense", &["nonsense", "gguf:"]),
        ("hf:nowhere", &["nowhere"]),
        ("hf:odd", &["config.json", "MambaForCausalLM"]),
        ("hf:cut", &["config.json"]),
        ("gguf:nowhere.gguf", &["nowhere.gguf"]),
        ("gguf:cut.gguf", &["cut.gguf"]),
        ("gguf:text.gguf", &["text.gguf"]),
        ("openai:http://127.0.0.1:1/v1#m", &["127.0.0.1:1"]),
    ];
    for (model, pieces) in cases {
        let args = ["audit", "--suspect", model, "--exposures", "exposures.jsonl"];
        let error = refused(&sandbox, 2, &args, pieces);
        assert!(error["hint"].is_string(), "{error}");
    }
    let weights = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tests/data/llama-tied-bf16");
    fs_err::create_dir(sandbox.path().join("half")).unwrap();
    for entry in fs_err::read_dir(weights).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs_err::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "model.safetensors" {
            bytes.truncate(bytes.len() / 2);
        }
        sandbox.write(&format!("half/{name}"), bytes);
    }
    let args = ["audit", "--suspect", "hf:half", "--exposures", "exposures.jsonl"];
    refused(&sandbox, 2, &args, &["model.safetensors"]);
    let outside = "openai:https://api.example.com/v1#m";
    let args = ["audit", "--suspect", outside, "--exposures", "exposures.jsonl"];
    refused(&sandbox, 2, &args, &["--disclose", "api.example.com"]);
}

#[test]
fn a_full_disk_ends_with_3_and_can_be_resumed() {
    let sandbox = Sandbox::new();
    sandbox.write("scores.csv", scores(100, 0.0, "server"));
    let exe = env!("CARGO_BIN_EXE_stillwatch");
    // 8 blocks of 512 bytes: scores of 100 pairs do not fit. Without SIGXFSZ, writes fail.
    let command = format!(
        "trap '' XFSZ; ulimit -f 8; exec {exe} audit --scores scores.csv --resamples 999 \
         --out case --json"
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &command])
        .current_dir(sandbox.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["partial"], true, "{value}");
    assert!(value["error"]["hint"].is_string(), "{value}");
    let again =
        sandbox.run(&["audit", "--scores", "scores.csv", "--resamples", "999", "--out", "case"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert_eq!(sandbox.run(&["verify", "case"]).code, 0);
}
