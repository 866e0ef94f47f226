//! Writing scores so that reading gives them back bit for bit.
//!
//! Floats are written in the shortest form that reads back as the same number.

use super::columns::{SUSPECT, TOKENS};
use super::{ScoreRow, ScoreTable};
use crate::Coin;
use crate::error::WriteError;
use crate::source::{FileDigest, digest_bytes};
use serde_json::{Map, Value};
use std::path::Path;

pub(super) fn write(path: &Path, table: &ScoreTable) -> Result<FileDigest, WriteError> {
    let unfit = |problem| WriteError::Value { file: path.to_owned(), problem };
    table.check().map_err(unfit)?;
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let contents = match extension.as_str() {
        "jsonl" | "ndjson" | "json" => json(table),
        _ => csv(table).map_err(|error| unfit(error.to_string()))?,
    };
    crate::atomic::write(path, &contents)?;
    Ok(digest_bytes(&contents))
}

/// Columns of text, in their order; each is written where any row has it.
const EXTRAS: [&str; 4] = ["account", "coin", "unit", "k"];

fn csv(table: &ScoreTable) -> Result<Vec<u8>, csv::Error> {
    let k = table.rows.iter().map(ScoreRow::k).max().unwrap_or(1).max(1);
    let varies = table.rows.iter().any(|row| row.k() != k);
    let extra = |row: &ScoreRow, name: &str| match name {
        "account" => row.account.clone(),
        "coin" => row.coin.map(|coin| coin_word(coin).to_owned()),
        "unit" => row.unit.clone(),
        _ => varies.then(|| row.k().to_string()),
    };
    let there = |name: &&str| table.rows.iter().any(|row| extra(row, name).is_some());
    let extras: Vec<&str> = EXTRAS.into_iter().filter(there).collect();
    let tokens = table.rows.iter().any(|row| row.n_tokens.is_some()).then_some(TOKENS);
    let names = table.reference_names.iter().map(String::as_str);

    let mut writer = csv::WriterBuilder::new().from_writer(Vec::new());
    let mut header = vec!["id".to_owned()];
    header.extend(extras.iter().map(|name| (*name).to_owned()));
    for name in [SUSPECT].into_iter().chain(names).chain(tokens) {
        header.extend(keys(name, k));
    }
    writer.write_record(&header)?;
    for row in &table.rows {
        let mut cells = vec![row.id.clone()];
        cells.extend(extras.iter().map(|name| extra(row, name).unwrap_or_default()));
        for values in [&row.suspect].into_iter().chain(&row.references).chain(&row.n_tokens) {
            let padded = values.iter().map(|value| shortest(*value));
            cells.extend(padded.chain(std::iter::repeat(String::new())).take(k + 1));
        }
        writer.write_record(&cells)?;
    }
    writer.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}

fn json(table: &ScoreTable) -> Vec<u8> {
    let mut out = Vec::new();
    for row in &table.rows {
        let mut object = Map::new();
        object.insert("id".into(), row.id.clone().into());
        let texts = [
            ("account", row.account.as_deref()),
            ("coin", row.coin.map(coin_word)),
            ("unit", row.unit.as_deref()),
        ];
        for (key, text) in texts {
            if let Some(text) = text {
                object.insert(key.into(), text.into());
            }
        }
        let named = table.reference_names.iter().map(String::as_str).zip(&row.references);
        let tokens = row.n_tokens.as_ref().map(|counts| (TOKENS, counts));
        for (name, values) in [(SUSPECT, &row.suspect)].into_iter().chain(named).chain(tokens) {
            for (key, value) in keys(name, row.k()).into_iter().zip(values) {
                object.insert(key, (*value).into());
            }
        }
        out.extend_from_slice(Value::Object(object).to_string().as_bytes());
        out.push(b'\n');
    }
    out
}

fn keys(name: &str, k: usize) -> Vec<String> {
    let released = [format!("{name}_released")].into_iter();
    if k == 1 {
        return released.chain([format!("{name}_withheld")]).collect();
    }
    released.chain((1..=k).map(|i| format!("{name}_withheld_{i}"))).collect()
}

/// `Debug` of a float is its shortest form that reads back as the same bits.
fn shortest(value: f64) -> String {
    format!("{value:?}")
}

fn coin_word(coin: Coin) -> &'static str {
    match coin {
        Coin::None => "none",
        Coin::Iid => "iid",
        Coin::Server => "server",
        Coin::Public => "public",
    }
}
