//! What the fuzz targets and the replay of their corpus call: foreign bytes in, invariants out.
//!
//! Panics are the findings; nothing here is for use elsewhere.

use crate::request::{Api, RequestView};
use crate::response::{Answer, Reader};

const APIS: [Api; 5] =
    [Api::Chat, Api::Completions, Api::Responses, Api::Embeddings, Api::Messages];

fn read(api: Api, stream: bool, bytes: &[u8], piece: usize) -> Answer {
    let mut reader = Reader::new(api, stream);
    for part in bytes.chunks(piece.max(1)) {
        reader.push(part);
    }
    reader.finish()
}

/// An answer of any shape: the same however it is cut.
///
/// # Panics
/// Where that doesn't hold.
pub fn answer(bytes: &[u8]) {
    for api in APIS {
        for stream in [false, true] {
            let whole = read(api, stream, bytes, bytes.len());
            assert_eq!(read(api, stream, bytes, 1), whole, "cut into bytes");
        }
    }
}

/// A request of any shape: read or refused, within bounds.
///
/// # Panics
/// Where that doesn't hold.
pub fn request(bytes: &[u8]) {
    for api in APIS {
        if let Ok(view) = RequestView::parse(api, bytes) {
            assert!(view.prompt_bytes() <= bytes.len().saturating_mul(2), "texts grow");
            assert!(view.estimate(0).prompt_tokens <= bytes.len() as u64, "tokens grow");
        }
    }
}
