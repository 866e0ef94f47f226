//! Small exposures and files for the other tests.

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use stillwatch_evidence::{Coin, Exposure, Message};

/// An exposure with one message and the given texts.
pub(crate) fn exposure(id: &str, prompt: &str, released: &str, withheld: &[&str]) -> Exposure {
    Exposure {
        id: id.into(),
        messages: vec![Message { role: "user".into(), content: prompt.into() }],
        released: released.into(),
        withheld: withheld.iter().map(|text| (*text).into()).collect(),
        coin: Coin::Server,
        account: None,
        time: None,
        model: None,
        params: None,
        slot: None,
        commitment: None,
    }
}

/// One good line of JSON, without its end.
pub(crate) fn line(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","messages":[{{"role":"user","content":"q"}}],"released":"a","withheld":["b"],"coin":"server"}}"#
    )
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes every byte");
    encoder.finish().expect("memory takes every byte")
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory takes every byte")
}
