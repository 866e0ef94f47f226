//! Files of a training: the checkpoint that resumes it, and the model folder that it ends in.
//!
//! A checkpoint is one safetensors file (weights, both moments, and in its header the position,
//! the parameters and the hash of the data); it is replaced in one move, so a crash leaves the
//! old one. The folder is in Llama layout: `hf:FOLDER` opens it here, `transformers` elsewhere.

use crate::network::{NORM_EPSILON, Network, NetworkConfig, ROPE_THETA};
use crate::tokenizer::{BEGIN, END, LabTokenizer, tokenizer_config};
use crate::train::{TrainParams, Trainer};
use crate::{LabError, hex};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::io::Write as _;
use std::path::Path;

const HEADER_KEY: &str = "stillwatch";

#[derive(Serialize, Deserialize)]
struct Header {
    step: u64,
    n_updates: u64,
    data_sha256: String,
    params: TrainParams,
    network: String,
}

pub(crate) fn save(path: &Path, trainer: &Trainer<'_>) -> Result<(), LabError> {
    let header = Header {
        step: trainer.step,
        n_updates: trainer.optimizer.n_updates,
        data_sha256: trainer.data_sha256.clone(),
        params: trainer.params.clone(),
        network: format!("{:?}", trainer.network.config()),
    };
    let header = serde_json::to_string(&header).map_err(|e| format_error(path, e))?;
    let parts = [
        ("weights", bytes(trainer.network.weights())),
        ("first", bytes(&trainer.optimizer.first)),
        ("second", bytes(&trainer.optimizer.second)),
    ];
    let mut views = Vec::new();
    for (name, data) in &parts {
        let view = TensorView::new(Dtype::F32, vec![data.len() / 4], data);
        views.push((*name, view.map_err(|e| format_error(path, e))?));
    }
    let metadata = Some([(HEADER_KEY.to_owned(), header)].into());
    let file = safetensors::serialize(views, metadata).map_err(|e| format_error(path, e))?;
    replace(path, &file)
}

pub(crate) fn load(path: &Path, trainer: &mut Trainer<'_>) -> Result<(), LabError> {
    let file = fs_err::read(path)?;
    let (_, metadata) = SafeTensors::read_metadata(&file).map_err(|e| format_error(path, e))?;
    let header = metadata.metadata().as_ref().and_then(|m| m.get(HEADER_KEY));
    let header = header.ok_or_else(|| format_error(path, "no header of a training"))?;
    let header: Header = serde_json::from_str(header).map_err(|e| format_error(path, e))?;
    let params = |p: &TrainParams| serde_json::to_string(p).unwrap_or_default();
    let pairs = [
        ("data_sha256", header.data_sha256, trainer.data_sha256.clone()),
        ("params", params(&header.params), params(&trainer.params)),
        ("network", header.network, format!("{:?}", trainer.network.config())),
    ];
    for (field, found, expected) in pairs {
        if found != expected {
            return Err(LabError::Checkpoint { path: path.to_owned(), field, found, expected });
        }
    }
    let tensors = SafeTensors::deserialize(&file).map_err(|e| format_error(path, e))?;
    let n = trainer.network.weights().len();
    let read = |name: &str| -> Result<Vec<f32>, LabError> {
        let tensor = tensors.tensor(name).map_err(|e| format_error(path, e))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != [n] {
            return Err(format_error(path, format!("tensor {name} is not {n} numbers in f32")));
        }
        Ok(floats(tensor.data()))
    };
    let (weights, first, second) = (read("weights")?, read("first")?, read("second")?);
    trainer.network.set_weights(&weights)?;
    trainer.optimizer.first = first;
    trainer.optimizer.second = second;
    trainer.optimizer.n_updates = header.n_updates;
    trainer.step = header.step;
    Ok(())
}

/// The contents of `model.safetensors`: every weight under its Llama name, f32.
pub fn model_bytes(network: &Network) -> Result<Vec<u8>, LabError> {
    let path = Path::new("model.safetensors");
    let mut data = Vec::new();
    for tensor in network.config().tensors() {
        let values = network.weights().get(tensor.range.clone()).unwrap_or_default();
        data.push((tensor.name, tensor.shape, bytes(values)));
    }
    let mut views = Vec::new();
    for (name, shape, data) in &data {
        let view = TensorView::new(Dtype::F32, shape.clone(), data);
        views.push((name.as_str(), view.map_err(|e| format_error(path, e))?));
    }
    let metadata = Some([("format".to_owned(), "pt".to_owned())].into());
    safetensors::serialize(views, metadata).map_err(|e| format_error(path, e))
}

/// Writes a model folder: `config.json`, `tokenizer.json`, `tokenizer_config.json`,
/// `model.safetensors`. Returns the SHA-256 of the weights' file, hexadecimal.
pub fn write_model(
    folder: &Path,
    network: &Network,
    tokenizer: &LabTokenizer,
) -> Result<String, LabError> {
    fs_err::create_dir_all(folder)?;
    let write_json = |name: &str, value: &serde_json::Value| -> Result<(), LabError> {
        let path = folder.join(name);
        let text = serde_json::to_string_pretty(value).map_err(|e| format_error(&path, e))?;
        replace(&path, text.as_bytes())
    };
    let config = network.config();
    write_json("config.json", &config_json(config, tokenizer)?)?;
    write_json("tokenizer_config.json", &tokenizer_config(config.max_positions))?;
    replace(&folder.join("tokenizer.json"), tokenizer.to_json()?.as_bytes())?;
    let weights = model_bytes(network)?;
    replace(&folder.join("model.safetensors"), &weights)?;
    Ok(hex(&Sha256::digest(&weights)))
}

/// Reads the weights of a folder that [`write_model`] wrote.
///
/// # Errors
/// A file that can't be read, or tensors of other names or shapes.
pub fn read_weights(folder: &Path, config: &NetworkConfig) -> Result<Vec<f32>, LabError> {
    let path = folder.join("model.safetensors");
    let file = fs_err::read(&path)?;
    let tensors = SafeTensors::deserialize(&file).map_err(|e| format_error(&path, e))?;
    let named = config.tensors();
    let n = named.iter().map(|t| t.range.end).max().unwrap_or(0);
    let mut weights = vec![0.0; n];
    for tensor in named {
        let found = tensors.tensor(&tensor.name).map_err(|e| format_error(&path, e))?;
        if found.dtype() != Dtype::F32 || found.shape() != tensor.shape {
            let reason = format!("tensor {} is not {:?} in f32", tensor.name, tensor.shape);
            return Err(format_error(&path, reason));
        }
        if let Some(place) = weights.get_mut(tensor.range) {
            place.copy_from_slice(&floats(found.data()));
        }
    }
    Ok(weights)
}

fn config_json(c: &NetworkConfig, tokenizer: &LabTokenizer) -> Result<serde_json::Value, LabError> {
    let id = |token: &str| tokenizer.token_id(token);
    Ok(serde_json::json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": c.vocab_size,
        "hidden_size": c.hidden_size,
        "intermediate_size": c.intermediate_size,
        "num_hidden_layers": c.n_layers,
        "num_attention_heads": c.n_heads,
        "num_key_value_heads": c.n_heads,
        "head_dim": c.head_size(),
        "hidden_act": "silu",
        "max_position_embeddings": c.max_positions,
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": ROPE_THETA,
        "rope_scaling": null,
        "attention_bias": false,
        "mlp_bias": false,
        "attention_dropout": 0.0,
        "tie_word_embeddings": true,
        "bos_token_id": id(BEGIN)?,
        "eos_token_id": id(END)?,
        "torch_dtype": "float32",
    }))
}

/// Writes beside the target and renames, so that a reader sees the old file or the new one.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> Result<(), LabError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let mut file = fs_err::File::create(&partial)?;
    file.write_all(contents)?;
    file.sync_all()?;
    drop(file);
    fs_err::rename(&partial, path)?;
    Ok(())
}

pub(crate) fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

fn format_error(path: &Path, reason: impl std::fmt::Display) -> LabError {
    LabError::Format { path: path.to_owned(), reason: format!("{reason}") }
}
