//! GGUF files, through llama.cpp (feature `llama`).
//!
//! The header is read by this crate in any build, so that a file which is cut off or no GGUF
//! at all is named as such. Scores are bit-equal for fixed settings: one sequence per
//! slot, chunks of fixed size from the start of the prompt and again from that of the answer. Templates
//! are rendered by [`crate::ChatTemplate`], not by llama.cpp.

mod header;
#[cfg(feature = "llama")]
mod model;
#[cfg(feature = "llama")]
mod run;
#[cfg(feature = "llama")]
mod slots;
#[cfg(feature = "llama")]
mod worker;

pub use header::{GgufError, GgufHeader, read_gguf_header};
#[cfg(feature = "llama")]
pub use model::GgufModel;

use crate::{Model, ModelError, OpenOptions};
use std::path::Path;

/// Opens a GGUF file, or says why not.
pub(crate) fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn Model>, ModelError> {
    let header = read_gguf_header(path).map_err(|error| ModelError::Unusable {
        message: error.to_string(),
        hint: "check the path, or download the file again".to_owned(),
    })?;
    with_llama(path, &header, options)
}

#[cfg(feature = "llama")]
fn with_llama(
    path: &Path,
    header: &GgufHeader,
    options: &OpenOptions,
) -> Result<Box<dyn Model>, ModelError> {
    GgufModel::open_checked(path, header, options).map(|model| Box::new(model) as Box<dyn Model>)
}

#[cfg(not(feature = "llama"))]
fn with_llama(
    path: &Path,
    header: &GgufHeader,
    _options: &OpenOptions,
) -> Result<Box<dyn Model>, ModelError> {
    Err(ModelError::Unusable {
        message: format!(
            "{}: this build runs no GGUF models (architecture {})",
            path.display(),
            header.architecture
        ),
        hint: "install cmake and libclang, then build with --features llama".to_owned(),
    })
}
