//! Reads a model's folder: configuration, tokeniser, template, weights, hashes.

use super::{unusable, weights};
use crate::{ChatTemplate, ModelError, cache::hex, decoder::DecoderConfig};
use candle_core::Tensor;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, io::Read as _, path::Path};
use tokenizers::Tokenizer;

/// Longest JSON or template file read, bytes; the largest published tokeniser is 35 MB.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// A folder that was read and checked.
pub(super) struct Folder {
    pub(super) config: DecoderConfig,
    pub(super) tensors: BTreeMap<String, Tensor>,
    pub(super) tokenizer: Tokenizer,
    pub(super) template: ChatTemplate,
    pub(super) stop: Vec<u32>,
    pub(super) first: Option<u32>,
    pub(super) model_hash: String,
    pub(super) template_hash: String,
}

impl Folder {
    pub(super) fn read(path: &Path) -> Result<Self, ModelError> {
        if !path.is_dir() {
            return Err(unusable(
                path,
                "no such folder",
                "hf: takes a folder with config.json, tokenizer.json and *.safetensors",
            ));
        }
        let config_path = path.join("config.json");
        let config_bytes = needed(&config_path)?;
        let config =
            DecoderConfig::from_json(&String::from_utf8_lossy(&config_bytes)).map_err(|error| {
                let hint = "convert other models to GGUF and name them gguf:PATH";
                unusable(&config_path, &error.to_string(), hint)
            })?;

        let tokenizer_path = path.join("tokenizer.json");
        let tokenizer_bytes = needed(&tokenizer_path)?;
        let tokenizer = Tokenizer::from_bytes(&tokenizer_bytes).map_err(|error| {
            unusable(&tokenizer_path, &format!("no tokeniser: {error}"), "download it again")
        })?;
        // Fewer tokens than rows is common (padding to a round number); more would be
        // out of the matrix.
        let highest = tokenizer.get_vocab(true).into_values().max().unwrap_or(0) as usize;
        if highest >= config.vocab_size {
            let what = format!(
                "token {highest} is outside the model's vocabulary of {}",
                config.vocab_size
            );
            return Err(unusable(
                &tokenizer_path,
                &what,
                "take config.json and tokenizer.json of one model",
            ));
        }

        let settings = TokenizerConfig::read(path)?;
        let template = settings.template(path)?;
        let mut template_hash = Sha256::new();
        template_hash.update(template.fingerprint());
        template_hash.update(&tokenizer_bytes);

        let mut stop = config.eos_token_ids.clone();
        stop.extend(generation_stops(path)?);
        stop.extend(tokenizer.token_to_id(&settings.eos_token));
        stop.sort_unstable();
        stop.dedup();
        let first = tokenizer
            .token_to_id(&settings.bos_token)
            .or(config.bos_token_id)
            .or_else(|| stop.first().copied())
            .filter(|&token| (token as usize) < config.vocab_size);

        let mut model_hash = Sha256::new();
        model_hash.update(&config_bytes);
        let tensors = weights::read(path, &config, &mut model_hash)?;
        Ok(Self {
            config,
            tensors,
            tokenizer,
            template,
            stop,
            first,
            model_hash: hex(&model_hash.finalize()),
            template_hash: hex(&template_hash.finalize()),
        })
    }
}

/// What `tokenizer_config.json` says (all of it optional).
#[derive(Default)]
struct TokenizerConfig {
    bos_token: String,
    eos_token: String,
    chat_template: Option<String>,
}

impl TokenizerConfig {
    fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join("tokenizer_config.json");
        let Some(value) = json(&path)? else { return Ok(Self::default()) };
        let token = |field| match value.get(field) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Object(map)) => {
                map.get("content").and_then(Value::as_str).unwrap_or_default().to_owned()
            }
            _ => String::new(),
        };
        let chat_template = match value.get("chat_template") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(Value::Array(list)) => Some(named_default(list).ok_or_else(|| {
                let what = "chat_template is a list without one named \"default\"";
                unusable(&path, what, "name the template to use \"default\"")
            })?),
            Some(_) => {
                let what = "chat_template is neither text nor a list of templates";
                return Err(unusable(&path, what, "download the file again"));
            }
        };
        Ok(Self { bos_token: token("bos_token"), eos_token: token("eos_token"), chat_template })
    }

    /// `chat_template.jinja` wins, as in `transformers`.
    fn template(&self, folder: &Path) -> Result<ChatTemplate, ModelError> {
        let file = folder.join("chat_template.jinja");
        let (origin, source) = match optional(&file)? {
            Some(bytes) => (file, Some(String::from_utf8_lossy(&bytes).into_owned())),
            None => (folder.join("tokenizer_config.json"), self.chat_template.clone()),
        };
        let named = origin.display().to_string();
        match source {
            Some(source) => ChatTemplate::new(named, &source, &self.bos_token, &self.eos_token),
            None => ChatTemplate::plain(named),
        }
        .map_err(|error| unusable(&origin, &error.to_string(), "correct the template"))
    }
}

/// Some models bring several templates, `[{"name", "template"}]`.
fn named_default(list: &[Value]) -> Option<String> {
    let default =
        list.iter().find(|entry| entry.get("name").and_then(Value::as_str) == Some("default"))?;
    default.get("template").and_then(Value::as_str).map(str::to_owned)
}

/// `eos_token_id` of `generation_config.json`: one token or a list.
fn generation_stops(folder: &Path) -> Result<Vec<u32>, ModelError> {
    let Some(value) = json(&folder.join("generation_config.json"))? else { return Ok(Vec::new()) };
    let token = |value: &Value| value.as_u64().and_then(|n| u32::try_from(n).ok());
    Ok(match value.get("eos_token_id") {
        Some(Value::Array(list)) => list.iter().filter_map(token).collect(),
        Some(value) => token(value).into_iter().collect(),
        None => Vec::new(),
    })
}

/// A JSON file that may be absent.
fn json(path: &Path) -> Result<Option<Value>, ModelError> {
    let Some(bytes) = optional(path)? else { return Ok(None) };
    let value = serde_json::from_slice(&bytes)
        .map_err(|error| unusable(path, &format!("no JSON: {error}"), "download the file again"))?;
    Ok(Some(value))
}

fn needed(path: &Path) -> Result<Vec<u8>, ModelError> {
    optional(path)?.ok_or_else(|| {
        unusable(
            path,
            "no such file",
            "hf: takes a folder with config.json, tokenizer.json and *.safetensors",
        )
    })
}

fn optional(path: &Path) -> Result<Option<Vec<u8>>, ModelError> {
    let fail = |error: std::io::Error| ModelError::Unusable {
        message: error.to_string(),
        hint: "check the file and its permissions".to_owned(),
    };
    let file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    let mut bytes = Vec::new();
    let n = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(fail)?;
    if n as u64 > FILE_BYTES_MAX {
        let what = format!("longer than {FILE_BYTES_MAX} bytes");
        return Err(unusable(path, &what, "check that it is the right file"));
    }
    Ok(Some(bytes))
}
