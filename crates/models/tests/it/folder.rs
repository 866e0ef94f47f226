//! Folders that are damaged or don't fit together: an error that names the file, no panic.

use super::parity::{data, open, request};
use fs_err as fs;
use proptest::prelude::*;
use std::path::Path;
use stillwatch_models::{HfModel, Model, ModelError, ModelSpec, OpenOptions};
use tempfile::TempDir;

/// A copy of one of the test folders.
fn copy(name: &str) -> TempDir {
    let target = tempfile::tempdir().expect("temporary folder");
    for entry in fs::read_dir(data(name)).expect("test data") {
        let path = entry.expect("test data").path();
        fs::copy(&path, target.path().join(path.file_name().expect("a file"))).expect("copy");
    }
    target
}

fn try_open(folder: &Path) -> Result<HfModel, ModelError> {
    HfModel::open(folder, &OpenOptions { threads: 1, ..OpenOptions::default() })
}

#[track_caller]
fn unusable(folder: &Path, parts: &[&str]) {
    let opened = try_open(folder);
    let Err(ModelError::Unusable { message, hint }) = opened else {
        assert!(opened.is_err(), "{opened:?} was opened");
        return assert!(opened.is_ok(), "{opened:?} is another error");
    };
    for part in parts {
        assert!(message.contains(part), "{message}: lacks {part:?}");
    }
    assert!(!hint.is_empty());
    assert!(message.lines().count() <= 3, "{message}");
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).expect("file");
    change(&mut bytes);
    fs::write(path, bytes).expect("write");
}

#[test]
fn missing_parts_are_named() {
    unusable(Path::new("/nowhere/at/all"), &["/nowhere/at/all", "no such folder"]);
    for (file, part) in [
        ("config.json", "config.json: no such file"),
        ("tokenizer.json", "tokenizer.json: no such file"),
        ("model.safetensors", "no *.safetensors file"),
    ] {
        let folder = copy("llama-tied-bf16");
        fs::remove_file(folder.path().join(file)).unwrap();
        unusable(folder.path(), &[part]);
    }
    let folder = copy("qwen2-sharded-f32");
    fs::remove_file(folder.path().join("model-00002-of-00003.safetensors")).unwrap();
    unusable(folder.path(), &["model-00002-of-00003.safetensors"]);
}

#[test]
fn damaged_weights_are_named() {
    let folder = copy("llama-tied-bf16");
    let weights = folder.path().join("model.safetensors");
    edit(&weights, |bytes| bytes.truncate(bytes.len() / 2));
    unusable(folder.path(), &["model.safetensors", "no whole safetensors file"]);
    for length in [0, 4, 8, 100] {
        edit(&weights, |bytes| bytes.truncate(length));
        unusable(folder.path(), &["model.safetensors"]);
    }
    let folder = copy("llama-tied-bf16");
    edit(&folder.path().join("model.safetensors"), |bytes| {
        let end = bytes.len();
        bytes[end - 2..].copy_from_slice(&[0xc0, 0x7f]); // a NaN in bf16
    });
    unusable(folder.path(), &["model.safetensors", "NaN or infinite"]);
}

#[test]
fn parts_of_different_models_are_refused() {
    let folder = copy("llama-tied-bf16");
    let config = folder.path().join("config.json");
    let replace = |from: &str, to: &str| {
        let text = fs::read_to_string(&config).unwrap();
        assert!(text.contains(from), "{text}");
        fs::write(&config, text.replace(from, to)).unwrap();
    };
    replace("\"vocab_size\": 260", "\"vocab_size\": 257");
    unusable(folder.path(), &["tokenizer.json", "outside the model's vocabulary of 257"]);
    replace("\"vocab_size\": 257", "\"vocab_size\": 261");
    unusable(folder.path(), &["model.embed_tokens.weight has shape [260, 32]", "[261, 32]"]);
    replace("\"vocab_size\": 261", "\"vocab_size\": 260");
    replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    unusable(folder.path(), &["lm_head.weight is in no *.safetensors file"]);
    replace("LlamaForCausalLM", "MambaForCausalLM");
    unusable(folder.path(), &["config.json", "MambaForCausalLM", "Qwen2ForCausalLM"]);
    fs::write(folder.path().join("tokenizer.json"), "{}").unwrap();
    replace("MambaForCausalLM", "LlamaForCausalLM");
    unusable(folder.path(), &["tokenizer.json", "no tokeniser"]);
}

#[test]
fn an_index_can_not_point_out_of_its_folder() {
    for name in ["../model.safetensors", "/etc/passwd", "a/b.safetensors", "weights.bin", ""] {
        let folder = copy("qwen2-sharded-f32");
        let index = format!(r#"{{"weight_map":{{"model.norm.weight":"{name}"}}}}"#);
        fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
        unusable(folder.path(), &["model.safetensors.index.json", "model.norm.weight"]);
    }
}

#[test]
fn templates_are_found_where_transformers_finds_them() {
    let folder = copy("llama-tied-bf16");
    let base = open("llama-tied-bf16", 1);
    let settings = folder.path().join("tokenizer_config.json");
    // None: contents on lines of their own.
    fs::write(&settings, "{}").unwrap();
    let plain = try_open(folder.path()).unwrap();
    assert_ne!(plain.identity().template_hash, base.identity().template_hash);
    assert_eq!(plain.identity().model_hash, base.identity().model_hash);
    // The same thing as a template of the folder's own.
    fs::write(
        folder.path().join("chat_template.jinja"),
        "{% for m in messages %}{{ m.content }}\n{% endfor %}",
    )
    .unwrap();
    let own = try_open(folder.path()).unwrap();
    let [a, b] = [&plain, &own].map(|m| m.score(&[request("Who?", "I.")]).remove(0).unwrap());
    assert_eq!(a, b);
    fs::write(folder.path().join("chat_template.jinja"), "{% for %}").unwrap();
    unusable(folder.path(), &["chat_template.jinja", "line 1"]);
    fs::remove_file(folder.path().join("chat_template.jinja")).unwrap();
    fs::write(&settings, r#"{"chat_template":[{"name":"tool_use","template":"x"}]}"#).unwrap();
    unusable(folder.path(), &["tokenizer_config.json", "default"]);
    fs::write(
        &settings,
        r#"{"chat_template":[{"name":"default","template":"{{ raise_exception('no users') }}"}]}"#,
    )
    .unwrap();
    let refusing = try_open(folder.path()).unwrap();
    match refusing.score(&[request("Who?", "I.")]).remove(0) {
        Err(ModelError::Request(text)) => assert!(text.contains("no users"), "{text}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_empty_prompt_begins_with_the_first_token() {
    let folder = copy("llama-tied-bf16");
    let settings = folder.path().join("tokenizer_config.json");
    fs::write(&settings, r#"{"bos_token":{"content":"<|im_start|>"}}"#).unwrap();
    let model = try_open(folder.path()).unwrap();
    let empty = stillwatch_models::ScoreRequest { messages: vec![], answer: "Once".into() };
    assert_eq!(model.score(&[empty]).remove(0).unwrap().n_tokens(), 4);
}

#[test]
fn the_model_string_opens_the_folder() {
    let text = format!("hf:{}", data("llama-tied-bf16").display());
    let spec: ModelSpec = text.parse().unwrap();
    let model = stillwatch_models::open(&spec, &OpenOptions::default()).unwrap();
    assert_eq!(model.identity().spec, text);
    let gguf: ModelSpec = "gguf:/nowhere.gguf".parse().unwrap();
    match stillwatch_models::open(&gguf, &OpenOptions::default()) {
        Err(ModelError::Unusable { message, .. }) => assert!(message.contains("/nowhere.gguf")),
        other => panic!("{:?}", other.map(|m| m.identity().clone())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Any change in the header, any cut: an error or a model, never a panic.
    #[test]
    fn a_header_with_flipped_bytes_never_panics(
        flips in prop::collection::vec((0_usize..2048, any::<u8>()), 1..4),
        cut in prop::option::of(0_usize..4096),
    ) {
        let folder = copy("llama-tied-bf16");
        edit(&folder.path().join("model.safetensors"), |bytes| {
            for (at, value) in flips {
                bytes[at] ^= value;
            }
            if let Some(length) = cut {
                bytes.truncate(length);
            }
        });
        if let Err(error) = try_open(folder.path()) {
            let unusable = matches!(error, ModelError::Unusable { .. });
            prop_assert!(unusable);
        }
    }
}
