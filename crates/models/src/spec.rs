//! The string that names a model: `gguf:PATH`, `hf:FOLDER`, `openai:BASE_URL#MODEL`.

use std::{fmt, path::PathBuf, str::FromStr};

/// A parsed model string.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelSpec {
    /// A GGUF file, through llama.cpp (feature `llama`).
    Gguf(PathBuf),
    /// A folder in Hugging Face layout (`config.json`, `tokenizer.json`, `*.safetensors`).
    Hf(PathBuf),
    /// An OpenAI-compatible endpoint; the base URL includes `/v1`.
    OpenAi {
        /// Base URL, with `/v1`.
        base_url: String,
        /// Model name at that server.
        model: String,
    },
}

/// Why a model string can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "can't read model string {input:?}: {reason}; expected gguf:PATH, hf:FOLDER or openai:BASE_URL#MODEL"
)]
pub struct SpecError {
    input: String,
    reason: &'static str,
}

impl FromStr for ModelSpec {
    type Err = SpecError;

    fn from_str(input: &str) -> Result<Self, SpecError> {
        let fail = |reason| SpecError { input: input.to_owned(), reason };
        let (kind, rest) = input.split_once(':').ok_or_else(|| fail("no ':'"))?;
        if rest.is_empty() {
            return Err(fail("nothing after ':'"));
        }
        match kind {
            "gguf" => Ok(Self::Gguf(rest.into())),
            "hf" => Ok(Self::Hf(rest.into())),
            "openai" => {
                let (base_url, model) =
                    rest.rsplit_once('#').ok_or_else(|| fail("no '#MODEL' at the end"))?;
                if !(base_url.starts_with("http://") || base_url.starts_with("https://")) {
                    return Err(fail("the base URL must start with http:// or https://"));
                }
                if model.is_empty() {
                    return Err(fail("no model after '#'"));
                }
                Ok(Self::OpenAi {
                    base_url: base_url.trim_end_matches('/').to_owned(),
                    model: model.to_owned(),
                })
            }
            _ => Err(fail("unknown kind")),
        }
    }
}

impl fmt::Display for ModelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gguf(path) => write!(f, "gguf:{}", path.display()),
            Self::Hf(path) => write!(f, "hf:{}", path.display()),
            Self::OpenAi { base_url, model } => write!(f, "openai:{base_url}#{model}"),
        }
    }
}
