//! `config.json` of a decoder, read and written as `transformers` does (Llama and Qwen2).

use serde_json::{Map, Value, json};
use std::fmt;

/// Layouts that the decoder speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// `LlamaForCausalLM` (SmolLM2, Llama 2 and 3, TinyLlama, ...).
    Llama,
    /// `Qwen2ForCausalLM` (Qwen 1.5 to 2.5): biases on query, key and value.
    Qwen2,
}

/// How rotary frequencies are stretched for long contexts.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// All frequencies divided by one factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Llama 3: long wavelengths are stretched, short ones kept, those between blended.
    Llama3 {
        /// Stretch of long wavelengths.
        factor: f64,
        /// Wavelengths above `original_positions / low_freq_factor` are stretched.
        low_freq_factor: f64,
        /// Wavelengths below `original_positions / high_freq_factor` are kept.
        high_freq_factor: f64,
        /// Positions of the original training.
        original_positions: usize,
    },
}

/// Shape and constants of a decoder. Field names are those of `config.json`.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Layout.
    pub architecture: Architecture,
    /// Tokens known.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the feed-forward part.
    pub intermediate_size: usize,
    /// Layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads; divides `num_attention_heads`.
    pub num_key_value_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Longest sequence, tokens.
    pub max_position_embeddings: usize,
    /// Added to the mean square before the root.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Stretch of the rotary frequencies.
    pub rope_scaling: RopeScaling,
    /// The embedding is the output matrix too.
    pub tie_word_embeddings: bool,
    /// Biases on query, key and value.
    pub qkv_bias: bool,
    /// Bias on the attention's output.
    pub out_bias: bool,
    /// Token that begins a sequence.
    pub bos_token_id: Option<u32>,
    /// Tokens that end an answer.
    pub eos_token_ids: Vec<u32>,
}

/// Why a `config.json` can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not JSON, or not an object.
    #[error("not a JSON object: {0}")]
    Json(String),
    /// A field is missing or not of its kind.
    #[error("field {field:?}: expected {expected}, found {found}")]
    Field {
        /// Its name.
        field: &'static str,
        /// What it should hold.
        expected: String,
        /// What it holds.
        found: String,
    },
    /// A layout that this decoder doesn't speak.
    #[error(
        "architecture {0} is not supported here; supported are LlamaForCausalLM and Qwen2ForCausalLM"
    )]
    Architecture(String),
    /// A known layout with an option that changes the computation and isn't implemented.
    #[error("{field} = {found} is not supported; supported: {supported}")]
    Option {
        /// Its name.
        field: &'static str,
        /// What it holds.
        found: String,
        /// What it may hold.
        supported: &'static str,
    },
}

// Limits beyond any published dense model; they bound what a foreign file can make us allocate.
const VOCAB_MAX: usize = 1 << 20;
const WIDTH_MAX: usize = 1 << 17;
const LAYERS_MAX: usize = 1 << 10;
const HEADS_MAX: usize = 1 << 10;
const POSITIONS_MAX: usize = 1 << 25;

impl DecoderConfig {
    /// A small Llama-layout model with tied embeddings and `heads` heads of width
    /// `hidden / heads`, context 2,048; change fields at will before use.
    pub fn small(vocab: usize, hidden: usize, layers: usize, heads: usize) -> Self {
        Self {
            architecture: Architecture::Llama,
            vocab_size: vocab,
            hidden_size: hidden,
            // 8/3 of the width, as Llama, in steps of 8.
            intermediate_size: (hidden * 8 / 3).div_ceil(8) * 8,
            num_hidden_layers: layers,
            num_attention_heads: heads,
            num_key_value_heads: heads,
            head_dim: hidden.checked_div(heads).unwrap_or(0),
            max_position_embeddings: 2048,
            rms_norm_eps: 1e-5,
            rope_theta: 10_000.0,
            rope_scaling: RopeScaling::None,
            tie_word_embeddings: true,
            qkv_bias: false,
            out_bias: false,
            bos_token_id: None,
            eos_token_ids: Vec::new(),
        }
    }

    /// Reads the text of a `config.json` and checks it.
    ///
    /// # Errors
    /// The field that can't be used, or the architecture that isn't supported.
    pub fn from_json(text: &str) -> Result<Self, ConfigError> {
        let value: Value =
            serde_json::from_str(text).map_err(|e| ConfigError::Json(e.to_string()))?;
        let Value::Object(map) = value else {
            return Err(ConfigError::Json(format!("found {}", kind(&value))));
        };
        let fields = Fields(&map);
        let architecture = fields.architecture()?;
        fields.refuse_unsupported(architecture)?;
        let hidden_size = fields.size("hidden_size")?;
        let heads = fields.size("num_attention_heads")?;
        let llama_bias =
            architecture == Architecture::Llama && fields.flag("attention_bias", false)?;
        let config = Self {
            architecture,
            vocab_size: fields.size("vocab_size")?,
            hidden_size,
            intermediate_size: fields.size("intermediate_size")?,
            num_hidden_layers: fields.size("num_hidden_layers")?,
            num_attention_heads: heads,
            num_key_value_heads: fields.size_or("num_key_value_heads", heads)?,
            head_dim: fields.size_or("head_dim", hidden_size.checked_div(heads).unwrap_or(0))?,
            max_position_embeddings: fields.size_or("max_position_embeddings", 2048)?,
            rms_norm_eps: fields.number_or("rms_norm_eps", 1e-6)?,
            rope_theta: fields.rope_theta()?,
            rope_scaling: fields.rope_scaling()?,
            tie_word_embeddings: fields.flag("tie_word_embeddings", false)?,
            qkv_bias: llama_bias || architecture == Architecture::Qwen2,
            out_bias: llama_bias,
            bos_token_id: fields.tokens("bos_token_id")?.first().copied(),
            eos_token_ids: fields.tokens("eos_token_id")?,
        };
        config.check()?;
        Ok(config)
    }

    /// The `config.json` that `transformers` loads as this model.
    pub fn to_json(&self) -> Value {
        let (name, kind) = match self.architecture {
            Architecture::Llama => ("LlamaForCausalLM", "llama"),
            Architecture::Qwen2 => ("Qwen2ForCausalLM", "qwen2"),
        };
        let scaling = match &self.rope_scaling {
            RopeScaling::None => Value::Null,
            RopeScaling::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
            RopeScaling::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_positions,
            } => {
                json!({
                    "rope_type": "llama3", "factor": factor, "low_freq_factor": low_freq_factor,
                    "high_freq_factor": high_freq_factor,
                    "original_max_position_embeddings": original_positions,
                })
            }
        };
        let eos = match self.eos_token_ids.as_slice() {
            [] => Value::Null,
            [one] => json!(one),
            many => json!(many),
        };
        json!({
            "architectures": [name],
            "model_type": kind,
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_hidden_layers,
            "num_attention_heads": self.num_attention_heads,
            "num_key_value_heads": self.num_key_value_heads,
            "head_dim": self.head_dim,
            "hidden_act": "silu",
            "max_position_embeddings": self.max_position_embeddings,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "rope_scaling": scaling,
            "tie_word_embeddings": self.tie_word_embeddings,
            "attention_bias": self.qkv_bias,
            "mlp_bias": false,
            "bos_token_id": self.bos_token_id,
            "eos_token_id": eos,
            "torch_dtype": "float32",
        })
    }

    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// The first field that doesn't.
    pub fn check(&self) -> Result<(), ConfigError> {
        between("vocab_size", self.vocab_size, 1, VOCAB_MAX)?;
        between("hidden_size", self.hidden_size, 1, WIDTH_MAX)?;
        between("intermediate_size", self.intermediate_size, 1, WIDTH_MAX)?;
        between("num_hidden_layers", self.num_hidden_layers, 1, LAYERS_MAX)?;
        between("num_attention_heads", self.num_attention_heads, 1, HEADS_MAX)?;
        between("num_key_value_heads", self.num_key_value_heads, 1, self.num_attention_heads)?;
        between("head_dim", self.head_dim, 2, WIDTH_MAX)?;
        between("max_position_embeddings", self.max_position_embeddings, 1, POSITIONS_MAX)?;
        if !self.num_attention_heads.is_multiple_of(self.num_key_value_heads) {
            return Err(wrong(
                "num_key_value_heads",
                format!("a divisor of num_attention_heads ({})", self.num_attention_heads),
                self.num_key_value_heads,
            ));
        }
        if !self.head_dim.is_multiple_of(2) {
            return Err(wrong("head_dim", "an even number", self.head_dim));
        }
        if !(self.rms_norm_eps >= 0.0 && self.rms_norm_eps < 1.0) {
            return Err(wrong("rms_norm_eps", "a small number, 0 or more", self.rms_norm_eps));
        }
        if !(self.rope_theta.is_finite() && self.rope_theta > 0.0) {
            return Err(wrong("rope_theta", "a finite number above 0", self.rope_theta));
        }
        let fits = match (self.architecture, self.qkv_bias, self.out_bias) {
            (Architecture::Llama, qkv, out) => qkv == out,
            (Architecture::Qwen2, qkv, out) => qkv && !out,
        };
        if !fits {
            let found = format!("query, key, value: {}; out: {}", self.qkv_bias, self.out_bias);
            return Err(wrong("attention_bias", "the biases of the architecture", found));
        }
        Ok(())
    }

    /// Number of weights; a tied matrix counts once.
    pub fn n_parameters(&self) -> usize {
        super::tensor_shapes(self).values().map(|shape| shape.iter().product::<usize>()).sum()
    }
}

fn between(field: &'static str, value: usize, low: usize, high: usize) -> Result<(), ConfigError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(wrong(field, format!("{low} to {high}"), value))
}

fn wrong(
    field: &'static str,
    expected: impl Into<String>,
    found: impl fmt::Display,
) -> ConfigError {
    ConfigError::Field { field, expected: expected.into(), found: found.to_string() }
}

/// What a value is, in few characters: foreign text is never echoed at length.
fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(b) => b.to_string(),
        Value::Number(n) => n.to_string(),
        Value::String(s) => format!("the text {:?}", s.chars().take(40).collect::<String>()),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// The fields of a `config.json`; `null` counts as absent.
struct Fields<'a>(&'a Map<String, Value>);

impl Fields<'_> {
    fn get(&self, field: &str) -> Option<&Value> {
        self.0.get(field).filter(|value| !value.is_null())
    }

    fn size(&self, field: &'static str) -> Result<usize, ConfigError> {
        let value = self.get(field).unwrap_or(&Value::Null);
        as_size(value).ok_or_else(|| wrong(field, "a whole number", kind(value)))
    }

    fn size_or(&self, field: &'static str, default: usize) -> Result<usize, ConfigError> {
        if self.get(field).is_none() { Ok(default) } else { self.size(field) }
    }

    fn number_or(&self, field: &'static str, default: f64) -> Result<f64, ConfigError> {
        number(self.0, field).map(|found| found.unwrap_or(default))
    }

    fn flag(&self, field: &'static str, default: bool) -> Result<bool, ConfigError> {
        match self.get(field) {
            None => Ok(default),
            Some(Value::Bool(b)) => Ok(*b),
            Some(other) => Err(wrong(field, "true or false", kind(other))),
        }
    }

    /// One token or a list of tokens; absent is an empty list.
    fn tokens(&self, field: &'static str) -> Result<Vec<u32>, ConfigError> {
        let fail = |value: &Value| wrong(field, "a token number or a list of them", kind(value));
        let one = |value: &Value| {
            value.as_u64().and_then(|n| u32::try_from(n).ok()).ok_or_else(|| fail(value))
        };
        match self.get(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => list.iter().map(one).collect(),
            Some(value) => Ok(vec![one(value)?]),
        }
    }

    fn architecture(&self) -> Result<Architecture, ConfigError> {
        let listed = self.get("architectures").and_then(|list| list.get(0)).and_then(Value::as_str);
        let named = match listed {
            Some(name) => name,
            None => self.get("model_type").and_then(Value::as_str).ok_or_else(|| {
                wrong("architectures", "a list with the model's class", "nothing")
            })?,
        };
        match named {
            "LlamaForCausalLM" | "llama" => Ok(Architecture::Llama),
            "Qwen2ForCausalLM" | "qwen2" => Ok(Architecture::Qwen2),
            other => Err(ConfigError::Architecture(other.chars().take(80).collect())),
        }
    }

    /// Options that change the computation and aren't implemented.
    fn refuse_unsupported(&self, architecture: Architecture) -> Result<(), ConfigError> {
        let option = |field, found, supported| Err(ConfigError::Option { field, found, supported });
        match self.get("hidden_act") {
            None => {}
            Some(Value::String(name)) if name == "silu" || name == "swish" => {}
            Some(other) => return option("hidden_act", kind(other), "silu"),
        }
        if self.flag("mlp_bias", false)? {
            return option("mlp_bias", "true".to_owned(), "false");
        }
        if architecture == Architecture::Qwen2 && self.flag("use_sliding_window", false)? {
            return option("use_sliding_window", "true".to_owned(), "false");
        }
        if let Some(other) = self.get("quantization_config") {
            let found = kind(other.get("quant_method").unwrap_or(other));
            return option("quantization_config", found, "none (f32, f16 and bf16 weights)");
        }
        Ok(())
    }

    /// Since version 5, `transformers` writes `rope_parameters` for theta and scaling.
    fn rope_object(&self) -> Result<Option<&Map<String, Value>>, ConfigError> {
        for field in ["rope_parameters", "rope_scaling"] {
            match self.get(field) {
                None => {}
                Some(Value::Object(map)) => return Ok(Some(map)),
                Some(other) => return Err(wrong("rope_scaling", "an object", kind(other))),
            }
        }
        Ok(None)
    }

    fn rope_theta(&self) -> Result<f64, ConfigError> {
        if let Some(map) = self.rope_object()?
            && let Some(theta) = number(map, "rope_theta")?
        {
            return Ok(theta);
        }
        self.number_or("rope_theta", 10_000.0)
    }

    fn rope_scaling(&self) -> Result<RopeScaling, ConfigError> {
        let Some(map) = self.rope_object()? else { return Ok(RopeScaling::None) };
        let needed = |field| {
            let value: Option<f64> = number(map, field)?;
            match value {
                Some(x) if x.is_finite() && x > 0.0 => Ok(x),
                Some(x) => Err(wrong(field, "a finite number above 0", x)),
                None => Err(wrong(field, "a number in rope_scaling", "nothing")),
            }
        };
        let named = map.get("rope_type").or_else(|| map.get("type")).unwrap_or(&Value::Null);
        match named.as_str() {
            Some("default") => Ok(RopeScaling::None),
            None if named.is_null() && map.get("factor").is_none() => Ok(RopeScaling::None),
            Some("linear") => Ok(RopeScaling::Linear { factor: needed("factor")? }),
            Some("llama3") => Ok(RopeScaling::Llama3 {
                factor: needed("factor")?,
                low_freq_factor: needed("low_freq_factor")?,
                high_freq_factor: needed("high_freq_factor")?,
                original_positions: {
                    let field = "original_max_position_embeddings";
                    let value = map.get(field).unwrap_or(&Value::Null);
                    as_size(value).ok_or_else(|| wrong(field, "a whole number", kind(value)))?
                },
            }),
            _ => Err(ConfigError::Option {
                field: "rope_scaling.rope_type",
                found: kind(named),
                supported: "default, linear, llama3",
            }),
        }
    }
}

fn as_size(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|n| usize::try_from(n).ok())
}

fn number(map: &Map<String, Value>, field: &'static str) -> Result<Option<f64>, ConfigError> {
    match map.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            value.as_f64().map(Some).ok_or_else(|| wrong(field, "a number", kind(value)))
        }
    }
}
