//! `config.json`: what is read, and what is refused by name. Foreign bytes never panic.

use proptest::prelude::*;
use stillwatch_models::decoder::{Architecture, DecoderConfig, RopeScaling};

const LLAMA: &str = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":576,
 "intermediate_size":1536,"num_attention_heads":9,"num_key_value_heads":3,
 "num_hidden_layers":30,"vocab_size":49152,"max_position_embeddings":8192,"rope_theta":100000,
 "rms_norm_eps":1e-05,"tie_word_embeddings":true,"hidden_act":"silu","eos_token_id":2,
 "bos_token_id":1,"rope_scaling":null,"attention_bias":false}"#;

/// `LLAMA` with one field set.
fn with(field: &str, value: &str) -> String {
    let mut config: serde_json::Value = serde_json::from_str(LLAMA).expect("JSON");
    config[field] = serde_json::from_str(value).expect("JSON");
    config.to_string()
}

#[track_caller]
fn refused(text: &str, part: &str) {
    let error = DecoderConfig::from_json(text).expect_err("must be refused").to_string();
    assert!(error.contains(part), "{error}");
    assert!(error.len() < 300, "{error}");
}

#[test]
fn published_fields_are_read() {
    let config = DecoderConfig::from_json(LLAMA).unwrap();
    assert_eq!(config.architecture, Architecture::Llama);
    assert_eq!((config.head_dim, config.num_key_value_heads), (64, 3));
    assert_eq!((config.bos_token_id, config.eos_token_ids.as_slice()), (Some(1), &[2][..]));
    // SmolLM2-135M has 134,515,008 weights.
    assert_eq!(config.n_parameters(), 134_515_008);
    let qwen = with("architectures", r#"["Qwen2ForCausalLM"]"#);
    let config = DecoderConfig::from_json(&qwen).unwrap();
    assert!(config.qkv_bias && !config.out_bias);
    let config = DecoderConfig::from_json(&with("eos_token_id", "[1, 2]")).unwrap();
    assert_eq!(config.eos_token_ids, [1, 2]);
}

#[test]
fn rotary_settings_of_both_generations_are_read() {
    let old = with("rope_scaling", r#"{"type":"linear","factor":4.0}"#);
    let config = DecoderConfig::from_json(&old).unwrap();
    assert_eq!(config.rope_scaling, RopeScaling::Linear { factor: 4.0 });
    assert!((config.rope_theta - 100_000.0).abs() < 1e-9);
    let new = with("rope_parameters", r#"{"rope_type":"default","rope_theta":500.0}"#);
    let config = DecoderConfig::from_json(&new).unwrap();
    assert_eq!(config.rope_scaling, RopeScaling::None);
    assert!((config.rope_theta - 500.0).abs() < 1e-9);
}

#[test]
fn what_is_not_supported_is_named() {
    let gemma = with("architectures", r#"["Gemma3ForCausalLM"]"#);
    refused(&gemma, "Gemma3ForCausalLM is not supported here; supported are LlamaForCausalLM and");
    refused(&with("rope_scaling", r#"{"rope_type":"yarn","factor":4.0}"#), "yarn");
    refused(&with("rope_scaling", r#"{"rope_type":"linear"}"#), "factor");
    refused(&with("hidden_act", "\"gelu\""), "gelu");
    refused(&with("mlp_bias", "true"), "mlp_bias");
    refused(&with("quantization_config", r#"{"quant_method":"awq"}"#), "awq");
    refused("[]", "found a list");
    refused("{", "not a JSON object");
    refused("{}", "architectures");
}

#[test]
fn numbers_that_do_not_fit_are_refused() {
    for (field, value) in [
        ("hidden_size", "0"),
        ("hidden_size", "1e3"),
        ("hidden_size", "-4"),
        ("vocab_size", "99999999999"),
        ("vocab_size", "\"many\""),
        ("num_hidden_layers", "100000"),
        ("num_key_value_heads", "4"),
        ("num_key_value_heads", "0"),
        ("num_attention_heads", "0"),
        ("head_dim", "63"),
        ("rms_norm_eps", "-1"),
        ("rope_theta", "0"),
        ("rope_theta", "[]"),
        ("eos_token_id", "-1"),
        ("eos_token_id", "{}"),
        ("tie_word_embeddings", "1"),
        ("max_position_embeddings", "0"),
    ] {
        refused(&with(field, value), field.trim_end_matches("_size"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn foreign_text_never_panics(text in "\\PC{0,200}") {
        prop_assert!(DecoderConfig::from_json(&text).is_err());
    }

    #[test]
    fn any_number_in_any_field_is_read_or_refused(
        field in prop::sample::select(vec![
            "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads",
            "num_hidden_layers", "vocab_size", "max_position_embeddings", "rope_theta",
            "rms_norm_eps", "head_dim", "eos_token_id", "bos_token_id",
        ]),
        number in prop_oneof![any::<i64>().prop_map(|n| n.to_string()),
                              any::<f64>().prop_filter("JSON", |x| x.is_finite()).prop_map(|x| format!("{x:e}")),
                              (0_u32..100).prop_map(|n| n.to_string())],
    ) {
        if let Ok(config) = DecoderConfig::from_json(&with(field, &number)) {
            prop_assert!(config.check().is_ok());
            prop_assert!(config.n_parameters() > 0);
            let again = DecoderConfig::from_json(&config.to_json().to_string());
            prop_assert_eq!(again, Ok(config));
        }
    }
}
