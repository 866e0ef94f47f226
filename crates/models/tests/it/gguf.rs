//! GGUF headers in any build; real models where the feature `llama` and the file are there
//! (`scripts/models` fetches it).

use fs_err as fs;
use proptest::prelude::*;
use std::path::Path;
use stillwatch_models::{GgufError, ModelError, ModelSpec, OpenOptions, read_gguf_header};

/// A GGUF file by hand (`docs/gguf.md` of the ggml project).
struct Builder(Vec<u8>);

impl Builder {
    fn new(n_tensors: u64, n_values: u64) -> Self {
        let mut bytes = b"GGUF\x03\0\0\0".to_vec();
        bytes.extend(n_tensors.to_le_bytes());
        bytes.extend(n_values.to_le_bytes());
        Self(bytes)
    }

    fn text(mut self, text: &str) -> Self {
        self.0.extend((text.len() as u64).to_le_bytes());
        self.0.extend(text.as_bytes());
        self
    }

    fn u32(mut self, n: u32) -> Self {
        self.0.extend(n.to_le_bytes());
        self
    }

    fn u64(mut self, n: u64) -> Self {
        self.0.extend(n.to_le_bytes());
        self
    }

    fn architecture(self, name: &str) -> Self {
        self.text("general.architecture").u32(8).text(name)
    }

    /// Q4_0, 32 elements in 18 bytes.
    fn tensor(self, n: u64, offset: u64) -> Self {
        self.text("w").u32(1).u64(n).u32(2).u64(offset)
    }

    fn bytes(self, n: usize) -> Vec<u8> {
        let mut bytes = self.0;
        bytes.resize(bytes.len().next_multiple_of(32) + n, 0);
        bytes
    }
}

/// Two values, an array of texts among them, and one tensor of 180 bytes.
fn small() -> Vec<u8> {
    Builder::new(1, 2)
        .text("tokens")
        .u32(9)
        .u32(8)
        .u64(2)
        .text("a")
        .text("b")
        .architecture("llama")
        .tensor(320, 0)
        .bytes(180)
}

fn read(bytes: &[u8]) -> Result<stillwatch_models::GgufHeader, GgufError> {
    let folder = tempfile::tempdir().expect("temporary folder");
    let path = folder.path().join("m.gguf");
    fs::write(&path, bytes).expect("write");
    read_gguf_header(&path)
}

#[test]
fn a_whole_header_is_read() {
    let bytes = small();
    let header = read(&bytes).unwrap();
    assert_eq!((header.architecture.as_str(), header.n_tensors), ("llama", 1));
    assert_eq!(header.bytes_needed, bytes.len() as u64);
}

#[test]
fn what_is_wrong_is_said() {
    let whole = small();
    for cut in 4..whole.len() {
        let error = read(&whole[..cut]).unwrap_err();
        assert!(matches!(error, GgufError::Truncated { .. } | GgufError::Layout { .. }), "{error}");
        assert!(error.to_string().contains("m.gguf"), "{error}");
    }
    let said = |bytes: Vec<u8>| read(&bytes).unwrap_err().to_string();
    assert!(said(whole[..whole.len() - 1].to_vec()).contains("cut off"));
    assert!(said(b"PK\x03\x04 a zip file".to_vec()).contains("doesn't begin with GGUF"));
    assert!(said(b"GGUF\x01\0\0\0".to_vec()).contains("version 1"));
    assert!(said(Builder::new(0, 0).bytes(0)).contains("no general.architecture"));
    assert!(said(Builder::new(u64::MAX, 0).bytes(0)).contains("tensors"));
    assert!(said(Builder::new(0, 1).text("k").u32(99).bytes(9)).contains("unknown type 99"));
    let deep = (0..9).fold(Builder::new(0, 1).text("k").u32(9), |b, _| b.u32(9).u64(1));
    assert!(said(deep.bytes(0)).contains("unknown type 9"));
    let huge = Builder::new(0, 1).text("k").u32(9).u32(12).u64(u64::MAX);
    assert!(said(huge.bytes(0)).contains("cut off"));
    let tensor = Builder::new(1, 1).architecture("x").tensor(u64::MAX, u64::MAX);
    assert!(said(tensor.bytes(0)).contains("cut off"));
    let error = read_gguf_header(Path::new("/nowhere/m.gguf")).unwrap_err();
    assert!(error.to_string().contains("/nowhere/m.gguf"), "{error}");
}

#[test]
fn the_model_string_gives_an_error_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.gguf");
    fs::write(&path, small()).unwrap();
    let spec: ModelSpec = format!("gguf:{}", path.display()).parse().unwrap();
    // Whole by its header, but no model: llama.cpp refuses it, or isn't there.
    match stillwatch_models::open(&spec, &OpenOptions::default()) {
        Err(ModelError::Unusable { message, hint }) => {
            assert!(message.contains("m.gguf") && message.contains("llama"), "{message}");
            assert!(!hint.is_empty());
        }
        other => panic!("{:?}", other.map(|m| m.identity().clone())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn flipped_bytes_never_panic(
        flips in prop::collection::vec((0_usize..170, any::<u8>()), 1..4),
    ) {
        let mut bytes = small();
        for (at, value) in flips {
            bytes[at] ^= value;
        }
        if let Ok(header) = read(&bytes) {
            prop_assert!(header.bytes_needed <= bytes.len() as u64);
        }
    }
}
