//! Reads safetensors, one file or many, into f32 tensors.
//!
//! Each file is read whole, hashed and let go before the next: no memory map, so a file that
//! shrinks under us can't crash the process. What is allocated is bounded by the sizes of the
//! files, and every name, type and shape is checked against `config.json`.

use super::unusable;
use crate::{
    ModelError,
    decoder::{DecoderConfig, tensor_shapes},
};
use candle_core::{DType, Device, Tensor};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

const INDEX: &str = "model.safetensors.index.json";
const AGAIN: &str = "download the model again";

/// All tensors that the configuration names, f32; `hash` takes in every file's bytes.
pub(super) fn read(
    folder: &Path,
    config: &DecoderConfig,
    hash: &mut Sha256,
) -> Result<BTreeMap<String, Tensor>, ModelError> {
    let shapes = tensor_shapes(config);
    let mut tensors = BTreeMap::new();
    for path in files(folder)? {
        let bytes = fs_err::read(&path).map_err(|error| ModelError::Unusable {
            message: error.to_string(),
            hint: AGAIN.to_owned(),
        })?;
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
        let file = SafeTensors::deserialize(&bytes).map_err(|error| {
            let what = format!("no whole safetensors file of {} bytes: {error}", bytes.len());
            unusable(&path, &what, AGAIN)
        })?;
        for (name, view) in file.iter() {
            // Others (rotary buffers of old files, a copy of a tied matrix) aren't used.
            let Some(shape) = shapes.get(name) else { continue };
            let tensor = convert(name, &view, shape)
                .map_err(|what| unusable(&path, &what, "check config.json against the weights"))?;
            if tensors.insert(name.to_owned(), tensor).is_some() {
                let what = format!("tensor {name} is in two files");
                return Err(unusable(&path, &what, "remove the file that doesn't belong"));
            }
        }
    }
    match shapes.keys().find(|name| !tensors.contains_key(*name)) {
        None => Ok(tensors),
        Some(name) => {
            let what = format!("tensor {name} is in no *.safetensors file");
            Err(unusable(folder, &what, "check config.json against the weights"))
        }
    }
}

/// One tensor in f32, or what is wrong with it.
fn convert(name: &str, view: &TensorView<'_>, shape: &[usize]) -> Result<Tensor, String> {
    if view.shape() != shape {
        return Err(format!(
            "tensor {name} has shape {:?}, config.json says {shape:?}",
            view.shape()
        ));
    }
    let dtype = match view.dtype() {
        Dtype::F32 => DType::F32,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        other => return Err(format!("tensor {name} is {other:?}; read are F32, F16 and BF16")),
    };
    let told = |error: candle_core::Error| format!("tensor {name}: {error}");
    let tensor = Tensor::from_raw_buffer(view.data(), dtype, shape, &Device::Cpu)
        .and_then(|tensor| tensor.to_dtype(DType::F32))
        .map_err(told)?;
    // A NaN or infinity anywhere makes the sum one.
    let sum =
        tensor.abs().and_then(|t| t.sum_all()).and_then(|t| t.to_scalar::<f32>()).map_err(told)?;
    if sum.is_finite() {
        Ok(tensor)
    } else {
        Err(format!("tensor {name} holds NaN or infinite values"))
    }
}

/// The files that hold the weights, in name order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let index = folder.join(INDEX);
    if index.is_file() {
        return indexed(folder, &index);
    }
    let one = folder.join("model.safetensors");
    if one.is_file() {
        return Ok(vec![one]);
    }
    let entries = fs_err::read_dir(folder).map_err(|error| ModelError::Unusable {
        message: error.to_string(),
        hint: "check the folder's permissions".to_owned(),
    })?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .collect();
    found.sort();
    if found.is_empty() {
        return Err(unusable(folder, "no *.safetensors file", "convert other formats first"));
    }
    Ok(found)
}

/// The files that `model.safetensors.index.json` names.
fn indexed(folder: &Path, index: &Path) -> Result<Vec<PathBuf>, ModelError> {
    let bytes = fs_err::read(index).map_err(|error| ModelError::Unusable {
        message: error.to_string(),
        hint: AGAIN.to_owned(),
    })?;
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|error| unusable(index, &format!("no JSON: {error}"), AGAIN))?;
    let map = value
        .get("weight_map")
        .and_then(Value::as_object)
        .ok_or_else(|| unusable(index, "no object weight_map", AGAIN))?;
    let mut names = BTreeSet::new();
    for (tensor, file) in map {
        // A plain name: the index may not point out of its folder.
        let plain = file.as_str().filter(|name| {
            Path::new(name).file_name().is_some_and(|f| f == *name)
                && Path::new(name).extension().is_some_and(|e| e == "safetensors")
        });
        let Some(name) = plain else {
            let what = format!("weight_map of {tensor:.80} names no *.safetensors file");
            return Err(unusable(index, &what, AGAIN));
        };
        names.insert(name);
    }
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}
