//! `audit plan`: seal what will be done, before the first query; and whether a run keeps to it.

use super::ledger::{read_json, write_json};
use crate::{
    cli::{AuditArgs, ScoreByArg},
    outcome::{Exit, Failure},
    printer::Printer,
};
use jiff::Timestamp;
use std::{collections::BTreeMap, path::Path};
use stillwatch_audit::{AuditContext, AuditParams, Stopping};
use stillwatch_evidence::{
    Decide, Exposure, digest_file,
    ledger::{
        Filter, Ledger, LogIdentity, LogKey, LogView, OsEntropy, Sha256Hash, read_key, write_key,
    },
    plan::{
        Difference, PLAN_VERSION, Plan, PlannedBudget, PlannedExposures, PlannedModel,
        PlannedRange, SealedPlan, seal_alone, seal_in_ledger,
    },
    read_exposures, read_scores,
};
use stillwatch_models::{ModelSpec, OpenOptions, open};

/// Name of every plan that the command line makes: what distinguishes plans is what they say.
const NAME: &str = "audit";

/// Seals the plan that these flags make, and writes it to `--plan FILE`.
pub fn run(args: &AuditArgs, printer: Printer) -> Result<Exit, Failure> {
    let file = args.plan.as_deref().ok_or_else(|| {
        Failure::input("usage", "audit plan: --plan FILE is missing")
            .hint("name the file to write the sealed plan to; give it to `audit run` later")
    })?;
    if file.exists() {
        let message = format!("{} exists already; a plan is sealed once", file.display());
        return Err(Failure::input("plan_exists", message).file(file.display()));
    }
    let plan = planned(args)?;
    let now = Timestamp::now();
    let sealed = if let Some(dir) = &args.ledger {
        let mut ledger = Ledger::open(dir)?;
        seal_in_ledger(&mut ledger, plan, now)?
    } else {
        let earlier = sealed_beside(file)?;
        seal_alone(plan, now, &key_beside(file)?, &earlier)?
    };
    write_json(file, &sealed)?;
    if printer.is_json() {
        printer.json(&sealed);
    } else {
        printer.out(&in_words(&sealed, file));
    }
    Ok(Exit::Clean)
}

fn in_words(sealed: &SealedPlan, file: &Path) -> String {
    let place = match sealed.leaf_index {
        Some(leaf) => format!("as leaf {leaf} of the ledger; close the epoch to sign it in"),
        None => "by a signature of its own; only a ledger shows others when".to_owned(),
    };
    format!(
        "sealed {place}\nplan       {}\nnumber     {} over these exposures: it may spend {:e} of \
         alpha {:e}\nwrote      {}",
        sealed.plan_hash,
        sealed.number,
        sealed.alpha(),
        sealed.plan.alpha,
        file.display()
    )
}

/// The sealed plan that a run names, once it is checked that the run keeps to it.
///
/// # Errors
/// A seal that doesn't verify, or every difference between plan and flags.
pub fn follow(args: &AuditArgs) -> Result<Option<SealedPlan>, Failure> {
    let Some(path) = args.plan.as_deref() else { return Ok(None) };
    let sealed: SealedPlan = read_json(path)?;
    match &args.ledger {
        Some(dir) => sealed.verify_in(&LogView::open(dir)?)?,
        None => sealed.verify()?,
    }
    let differences = sealed.check(&planned(args)?)?;
    if differences.is_empty() {
        return Ok(Some(sealed));
    }
    let list =
        |one: &Difference| format!("{}: planned {}, now {}", one.field, one.planned, one.actual);
    let listed: Vec<String> = differences.iter().map(list).collect();
    Err(Failure::input(
        "plan_not_followed",
        format!("the run differs from its plan: {}", listed.join("; ")),
    )
    .file(path.display())
    .hint("give the flags that were sealed, or seal another plan (it costs a share of alpha)"))
}

/// What is asked about: hash of the file, exposures if they are known, whether accounts occur.
struct Asked {
    sha256: Sha256Hash,
    exposures: Vec<Exposure>,
    accounts: bool,
}

fn asked(args: &AuditArgs) -> Result<Asked, Failure> {
    let path = args.exposures.as_ref().or(args.scores.as_ref());
    let path =
        path.ok_or_else(|| Failure::input("usage", "neither --exposures nor --scores is given"))?;
    let digest = digest_file(path).map_err(|e| Failure::report(&e))?;
    let sha256 = digest.sha256.parse().map_err(|e| Failure::new(Exit::Internal, "hash", e))?;
    if args.exposures.is_some() {
        let exposures = read_exposures(path).map_err(|e| Failure::report(&e))?.exposures;
        let accounts = exposures.iter().any(|one| one.account.is_some());
        Ok(Asked { sha256, exposures, accounts })
    } else {
        let table = read_scores(path).map_err(|e| Failure::report(&e))?;
        let accounts = table.rows.iter().any(|row| row.account.is_some());
        Ok(Asked { sha256, exposures: Vec::new(), accounts })
    }
}

/// The plan that these flags amount to.
///
/// # Errors
/// A file or model that can't be read.
pub fn planned(args: &AuditArgs) -> Result<Plan, Failure> {
    let asked = asked(args)?;
    let decide = args.decides();
    let whole = AuditParams { alpha: args.alpha, ..AuditParams::default() };
    let alpha_split = whole.split(asked.accounts);
    let committed = asked.exposures.iter().all(|one| one.commitment.is_some());
    let suspect = match &args.suspect {
        Some(spec) => model(spec)?,
        None => PlannedModel { model: "scores made elsewhere".to_owned(), hash: None },
    };
    let models = |specs: &[String]| -> Result<Vec<_>, Failure> {
        specs.iter().map(|spec| model(spec)).collect()
    };
    Ok(Plan {
        version: PLAN_VERSION,
        name: NAME.to_owned(),
        suspect,
        references: models(&args.reference)?,
        placebos: models(&args.placebo)?,
        alpha: args.alpha,
        alpha_split,
        decide,
        statistic: statistic(args),
        order: if committed && !asked.exposures.is_empty() { "ledger" } else { "file" }.to_owned(),
        seeds: BTreeMap::from([("run".to_owned(), args.seed)]),
        budget: PlannedBudget {
            pairs: args.budget.map(|pairs| pairs as u64),
            requests: args.max_requests,
            tokens: args.max_tokens,
            money: args.max_usd,
        },
        exposures: PlannedExposures {
            sha256: Some(asked.sha256),
            ledger: args
                .ledger
                .as_deref()
                .and_then(|dir| range(dir, &asked.exposures).transpose())
                .transpose()?,
        },
        stopping_rule: match (decide, args.stopping()) {
            (Decide::E, Stopping::AtEvidence) => "e >= 1/alpha, or the budget".to_owned(),
            (Decide::E, Stopping::AtEnd) | (Decide::P, _) => "all pairs of the budget".to_owned(),
        },
        target_effect: args.target_effect,
    })
}

/// The test, and how its scores are made.
fn statistic(args: &AuditArgs) -> String {
    let samples = args.samples.map_or_else(|| AuditContext::default().samples, usize::from);
    let scored = match (&args.scores, args.score_by) {
        (Some(_), _) => "scores made elsewhere".to_owned(),
        (None, Some(ScoreByArg::ForcedChoice)) => format!("forced choice, {samples} rounds"),
        (None, Some(ScoreByArg::Similarity)) => format!("similarity to {samples} answers"),
        (None, None) => {
            format!("likelihood, or similarity to {samples} answers if the suspect only answers")
        }
    };
    format!("twins, {} resamples; {scored}", args.resamples)
}

/// The range of the ledger that the exposures span.
fn range(dir: &Path, exposures: &[Exposure]) -> Result<Option<PlannedRange>, Failure> {
    let log_id = LogIdentity::read(dir)?.log_id;
    let sequences = || {
        let commitments = exposures.iter().filter_map(|one| one.commitment.as_ref());
        commitments.filter(|one| one.log_id == log_id).map(|one| one.sequence)
    };
    let range = sequences().min().zip(sequences().max());
    Ok(range.map(|(first_sequence, last_sequence)| PlannedRange {
        log_id: log_id.clone(),
        first_sequence,
        last_sequence,
        filter: Filter::default(),
    }))
}

/// A model string with the hash of its weights; an endpoint isn't asked for anything.
fn model(spec: &str) -> Result<PlannedModel, Failure> {
    let parsed: ModelSpec = spec.parse().map_err(|e| Failure::input("model", e))?;
    let hash = match parsed {
        ModelSpec::OpenAi { .. } => None,
        ModelSpec::Hf(_) | ModelSpec::Gguf(_) => {
            let model = open(&parsed, &OpenOptions::default())
                .map_err(|e| Failure::input("model", format!("{spec}: {e}")))?;
            let hash = model.identity().model_hash.parse();
            Some(hash.map_err(|e| Failure::new(Exit::Internal, "hash", e))?)
        }
    };
    Ok(PlannedModel { model: spec.to_owned(), hash })
}

/// The sealer's key beside the plan, made if missing.
fn key_beside(file: &Path) -> Result<LogKey, Failure> {
    let path = file.with_extension("key");
    if path.exists() {
        return read_key(&path).map_err(Failure::from);
    }
    let key = LogKey::generate(&mut OsEntropy)?;
    write_key(&path, &key)?;
    Ok(key)
}

/// Sealed plans in the same folder, for the count.
fn sealed_beside(file: &Path) -> Result<Vec<SealedPlan>, Failure> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let entries = fs_err::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| Failure::input("io", e).file(folder.display()))?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let json = paths.iter().filter(|path| path.extension().is_some_and(|e| e == "json"));
    // What isn't a sealed plan is somebody else's file.
    Ok(json
        .filter_map(|path| read_json::<SealedPlan>(path).ok())
        .filter(|p| p.verify().is_ok())
        .collect())
}
