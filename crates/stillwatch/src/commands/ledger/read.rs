//! `ledger prove|verify`: what anyone can be shown, and check.

use super::{read_json, write_json};
use crate::{
    cli::ledger::{LedgerVerifyArgs, ProveArgs},
    outcome::{Exit, Failure},
    printer::Printer,
};
use serde::Serialize;
use serde_json::json;
use std::path::{Path, PathBuf};
use stillwatch_evidence::{
    CoinEvidence, Exposure, atomic,
    beacon::{Chain, CheckedRound, Round},
    ledger::{
        AdverseReason, ConsistencyProof, Filter, InclusionProof, Ledger, LedgerCheck, LedgerClaim,
        LedgerError, LogView, SignedHead, Unfinished, account_for_range, read_kept,
    },
    plan::SealedPlan,
    read_exposures,
};

/// Reads beacon rounds and checks their signatures. A round with a previous signature is one of
/// the chained beacon.
///
/// # Errors
/// A file that is no round, or a round that doesn't verify.
pub fn checked_rounds(paths: &[PathBuf]) -> Result<Vec<CheckedRound>, Failure> {
    let check = |path: &PathBuf| {
        let round: Round = read_json(path)?;
        let chained = round.previous_signature.is_some();
        let chain = if chained { Chain::Default } else { Chain::Quicknet };
        round.check(chain).map_err(|e| Failure::from(e).file(path.display()))
    };
    paths.iter().map(check).collect()
}

fn last_head(view: &LogView) -> Result<&SignedHead, Failure> {
    view.heads().last().ok_or_else(|| {
        Failure::input("no_head", "this ledger has no head yet").hint("sign one: ledger head DIR")
    })
}

/// `ledger prove`.
pub(super) fn prove(args: &ProveArgs, printer: Printer) -> Result<Exit, Failure> {
    if let (Some(openings), Some(exposures)) = (&args.openings, &args.exposures) {
        return open(args, openings, exposures, printer);
    }
    let view = LogView::open(&args.dir)?;
    let size = match args.tree_size {
        Some(size) => size,
        None => last_head(&view)?.head.tree_size,
    };
    if let Some(first) = args.consistency {
        let proof = view.prove_consistency(first, size)?;
        return deliver(&proof, args.out.as_deref(), printer);
    }
    let leaf = match (args.leaf, &args.id) {
        (Some(leaf), _) => leaf,
        (None, Some(id)) => {
            let at = view.position(id).ok_or_else(|| {
                Failure::input("out_of_range", format!("no exposure {id:?} in this ledger"))
            })?;
            at.outcome.filter(|&leaf| leaf < size).unwrap_or(at.commit)
        }
        (None, None) => return Err(Failure::input("usage", "nothing to prove")),
    };
    deliver(&view.prove_inclusion(leaf, size)?, args.out.as_deref(), printer)
}

/// A proof is JSON for people too: it is made for programs.
fn deliver(proof: &impl Serialize, out: Option<&Path>, printer: Printer) -> Result<Exit, Failure> {
    match out {
        Some(out) => write_json(out, proof)?,
        None => printer.json(proof),
    }
    if let Some(out) = out.filter(|_| !printer.is_json()) {
        printer.out(&format!("wrote {}", out.display()));
    } else if out.is_some() {
        printer.json(proof);
    }
    Ok(Exit::Clean)
}

/// Kept openings to exposures under the last head.
fn open(
    args: &ProveArgs,
    openings: &Path,
    exposures: &Path,
    printer: Printer,
) -> Result<Exit, Failure> {
    let rounds = checked_rounds(&args.round_file)?;
    let ledger = Ledger::open(&args.dir)?;
    let head = last_head(&ledger)?.clone();
    let kept = read_kept(openings).map_err(|e| Failure::report(&e))?;
    if kept.is_empty() {
        return Err(Failure::input("empty_file", format!("{} is empty", openings.display()))
            .file(openings.display()));
    }
    let mut lines = Vec::new();
    for kept in &kept {
        let exposure = kept.exposure(&ledger, &head, &rounds)?;
        serde_json::to_writer(&mut lines, &exposure)
            .map_err(|e| Failure::new(Exit::Internal, "json", e))?;
        lines.push(b'\n');
    }
    atomic::write(exposures, &lines).map_err(|e| Failure::report(&e))?;
    if printer.is_json() {
        printer.json(&json!({ "n_exposures": kept.len(), "epoch": head.head.epoch }));
    } else {
        printer.out(&format!("wrote {} exposures to {}", kept.len(), exposures.display()));
    }
    Ok(Exit::Clean)
}

/// What `ledger verify` found.
#[derive(Debug, Serialize)]
struct Verified {
    valid: bool,
    problem: Option<String>,
    log_id: Option<String>,
    tree_size: Option<u64>,
    n_exposures: Option<u64>,
    n_heads: Option<usize>,
    n_cosignatures: Option<usize>,
    range: Option<LedgerCheck>,
}

/// `ledger verify`.
pub(super) fn verify(args: &LedgerVerifyArgs, printer: Printer) -> Result<Exit, Failure> {
    let mut found = Verified {
        valid: true,
        problem: None,
        log_id: None,
        tree_size: None,
        n_exposures: None,
        n_heads: None,
        n_cosignatures: None,
        range: None,
    };
    match checked(args, &mut found)? {
        Ok(()) => {}
        Err(
            error @ (LedgerError::Verification { .. }
            | LedgerError::Corrupt { .. }
            | LedgerError::Line { .. }
            | LedgerError::Leaf { .. }),
        ) => {
            found.valid = false;
            found.problem = Some(error.to_string());
        }
        Err(error) => return Err(error.into()),
    }
    if let Some(range) = &found.range {
        let clean = range.coin_evidence() == CoinEvidence::Ledger && range.adverse.is_empty();
        found.valid &= clean;
    }
    if printer.is_json() {
        printer.json(&found);
    } else {
        printer.out(&in_words(&found));
    }
    Ok(if found.valid { Exit::Clean } else { Exit::Finding })
}

/// The outer error is about the files given, the inner one about what they claim.
fn checked(
    args: &LedgerVerifyArgs,
    found: &mut Verified,
) -> Result<Result<(), LedgerError>, Failure> {
    let head: Option<SignedHead> = args.head.as_deref().map(read_json).transpose()?;
    if let Some(head) = &head {
        found.log_id = Some(head.head.log_id.clone());
        found.tree_size = Some(head.head.tree_size);
        found.n_cosignatures = Some(head.cosignatures.len());
        if let Err(error) = proofs(args, head)? {
            return Ok(Err(error));
        }
    }
    let Some(dir) = &args.dir else { return Ok(Ok(())) };
    let view = match LogView::open(dir) {
        Ok(view) => view,
        Err(error) => return Ok(Err(error)),
    };
    found.log_id = Some(view.identity().log_id.clone());
    found.tree_size = Some(view.tree_size());
    found.n_exposures = Some(view.n_sequences());
    found.n_heads = Some(view.heads().len());
    found.n_cosignatures = Some(view.heads().iter().map(|head| head.cosignatures.len()).sum());
    if let Some(head) = &head
        && !view.heads().iter().any(|own| own.head == head.head)
    {
        let reason = "it isn't among the log's heads: the log was shown in two versions".to_owned();
        return Ok(Err(LedgerError::Verification { what: "head", reason }));
    }
    if let Some(path) = &args.exposures {
        let file = read_exposures(path).map_err(|e| Failure::report(&e))?;
        let head = match head {
            Some(head) => head,
            None => last_head(&view)?.clone(),
        };
        match range_of(args, &view, &head, &file.exposures)? {
            Ok(check) => found.range = Some(check),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}

fn proofs(args: &LedgerVerifyArgs, head: &SignedHead) -> Result<Result<(), LedgerError>, Failure> {
    if let Err(error) = head.verify() {
        return Ok(Err(error));
    }
    if let Some(path) = &args.inclusion {
        let proof: InclusionProof = read_json(path)?;
        if let Err(error) = proof.verify(head) {
            return Ok(Err(error));
        }
    }
    if let (Some(previous), Some(path)) = (&args.previous, &args.consistency) {
        let previous: SignedHead = read_json(previous)?;
        let proof: ConsistencyProof = read_json(path)?;
        return Ok(proof.verify(&previous, head));
    }
    Ok(Ok(()))
}

/// Accounts for the range that flags or a sealed plan name.
///
/// # Errors
/// Outer: files that can't be read. Inner: a plan or head that doesn't verify.
pub fn range_of(
    args: &LedgerVerifyArgs,
    view: &LogView,
    head: &SignedHead,
    exposures: &[Exposure],
) -> Result<Result<LedgerCheck, LedgerError>, Failure> {
    let rounds = checked_rounds(&args.round_file)?;
    let plan: Option<SealedPlan> = args.plan.as_deref().map(read_json).transpose()?;
    let mut filter = Filter::default();
    let mut first = args.first.unwrap_or(0);
    let mut last = args.last;
    if let Some(sealed) = &plan {
        if let Err(error) = sealed.verify_in(view) {
            return Ok(Err(error));
        }
        if let Some(range) = &sealed.plan.exposures.ledger {
            filter = range.filter.clone();
            (first, last) = (range.first_sequence, Some(range.last_sequence));
        }
    }
    let covered = view.n_sequences_under(head);
    let last = last.unwrap_or_else(|| covered.saturating_sub(1));
    let claim = LedgerClaim {
        first_sequence: first,
        last_sequence: last,
        filter: &filter,
        plan_leaf: plan.and_then(|sealed| sealed.leaf_index),
        rounds: &rounds,
        witnesses: &args.witness,
        unfinished: if args.set_unfinished_aside {
            Unfinished::SetAside
        } else {
            Unfinished::Adverse
        },
    };
    Ok(account_for_range(view, head, &claim, exposures))
}

fn in_words(found: &Verified) -> String {
    let mut lines = Vec::new();
    if let Some(log_id) = &found.log_id {
        lines.push(format!("log {log_id}"));
    }
    if let (Some(entries), Some(exposures), Some(heads)) =
        (found.tree_size, found.n_exposures, found.n_heads)
    {
        lines.push(format!("{entries} entries, {exposures} exposures, {heads} heads"));
    }
    if let Some(n) = found.n_cosignatures {
        lines.push(format!("{n} cosignatures"));
    }
    if let Some(range) = &found.range {
        lines.push(format!(
            "exposures {} to {}: {} opened, {} excluded by the filter, {} deleted, {} unfinished \
             ({} set aside), {} adverse",
            range.first_sequence,
            range.last_sequence,
            range.opened.len(),
            range.n_excluded,
            range.n_deleted,
            range.n_unfinished,
            range.n_set_aside,
            range.adverse.len()
        ));
        for adverse in range.adverse.iter().take(20) {
            let why = match &adverse.reason {
                AdverseReason::Unopened => "not opened",
                AdverseReason::Unfinished => "not finished",
                AdverseReason::Invalid(reason) => reason,
            };
            lines.push(format!("adverse: {} ({:?}): {why}", adverse.sequence, adverse.id));
        }
        if range.adverse.len() > 20 {
            lines.push(format!("… and {} more", range.adverse.len() - 20));
        }
        lines.extend(range.problems.iter().take(20).map(|problem| format!("problem: {problem}")));
    }
    lines.extend(found.problem.iter().map(|problem| format!("problem: {problem}")));
    lines.push(if found.valid { "valid" } else { "NOT valid" }.to_owned());
    lines.join("\n")
}
