//! The whole way, from what was given to the result.

use crate::engine::EngineParams;
use crate::judge::{Innocents, JudgeParams, N_PERMUTATIONS};
use crate::readers::{Plan, ReadOptions};
use crate::result::{ScanFile, ScanResult, Unreadable};
use crate::{ScanError, engine, input, judge, readers};
use stillwatch_evidence::{Progress, Reject};
use stillwatch_stats::Alpha;

/// What is scanned, and how.
#[derive(Debug, Clone)]
pub struct ScanParams {
    /// Files, globs, folders.
    pub paths: Vec<String>,
    /// How logs are read.
    pub read: ReadOptions,
    /// Keys the hashes.
    pub hash_key: [u8; 32],
    /// Seed that the key was made of; none where it is random.
    pub seed: Option<u64>,
    /// Level of the false discovery rate of the list of signatures, between 0 and 1.
    pub fdr: Alpha,
    /// Accounts declared innocent.
    pub innocents: Innocents,
    /// What the engine may use.
    pub engine: EngineParams,
}

/// What a scan gives.
#[derive(Debug)]
pub struct Scanned {
    /// What was found.
    pub result: ScanResult,
    /// What was read, to be read again.
    pub plan: Plan,
    /// Bad lines, each with its file; not all where there are very many.
    pub rejects: Vec<(String, Reject)>,
}

/// Scans logs.
///
/// # Errors
/// Nothing to read, or nothing in it that is an exchange.
pub fn scan(params: &ScanParams, progress: &dyn Progress) -> Result<Scanned, ScanError> {
    let inputs = input::find(&params.paths)?;
    progress.begin("Reading logs", inputs.logs.iter().map(|log| log.bytes).sum());
    let plan = readers::plan(&inputs, &params.read)?;
    let sketched = engine::sketch(&plan.units, &params.hash_key, &params.engine)?;
    progress.end();
    if sketched.n_exchanges == 0
        && let Some((file, reject)) = sketched.rejects.first()
    {
        return Err(ScanError::NoExchange {
            file: file.into(),
            line: reject.line,
            reason: reject.reason.clone(),
        });
    }
    progress.begin("Looking for campaigns", 0);
    let judge_params = JudgeParams {
        key: params.hash_key,
        fdr: params.fdr,
        n_permutations: N_PERMUTATIONS,
        innocents: params.innocents.clone(),
    };
    let mut result = judge::judge(&sketched, &judge_params);
    progress.end();
    result.seed = params.seed;
    result.files = plan
        .detected
        .iter()
        .map(|detected| ScanFile {
            file: detected.file.display().to_string(),
            format: detected.format.name().to_owned(),
            why: detected.why.clone(),
        })
        .collect();
    result.unreadable = plan
        .unreadable
        .iter()
        .map(|(file, reason)| Unreadable {
            file: file.display().to_string(),
            reason: reason.clone(),
        })
        .collect();
    result.partial |= !result.unreadable.is_empty() || sketched.report.is_partial();
    Ok(Scanned { result, plan, rejects: sketched.rejects })
}
