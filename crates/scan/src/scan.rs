//! The whole way, from what was given to the result.

use crate::readers::ReadOptions;
use crate::result::ScanResult;
use crate::{ScanError, engine, input, judge, readers};

/// What is scanned, and how.
#[derive(Debug, Clone)]
pub struct ScanParams {
    /// Files, globs, folders.
    pub paths: Vec<String>,
    /// Keys the hashes.
    pub hash_key: [u8; 32],
    /// Level of the false discovery rate of the list of campaigns.
    pub fdr: f64,
}

/// Scans logs.
///
/// # Errors
/// Nothing to read, or nothing in it that is an exchange.
pub fn scan(params: &ScanParams) -> Result<ScanResult, ScanError> {
    let inputs = input::find(&params.paths)?;
    let plan = readers::plan(&inputs, &ReadOptions::default())?;
    let sketched = engine::sketch(&plan.units, &params.hash_key)?;
    if sketched.n_exchanges == 0
        && let Some((file, reject)) = sketched.rejects.first()
    {
        return Err(ScanError::NoExchange {
            file: file.into(),
            line: reject.line,
            reason: reject.reason.clone(),
        });
    }
    Ok(judge::judge(&sketched, params.fdr))
}
