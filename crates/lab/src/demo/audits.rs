//! The four audits, through the same door that a user takes.

use super::service::{Traffic, open_folder, weights_hash};
use super::{DemoParams, Exposed, Files, exposing::range, plans};
use crate::LabError;
use std::path::Path;
use std::time::Instant;
use stillwatch_audit::{
    AuditContext, AuditParams, AuditRequest, AuditSource, OtherModel, Role, run_audit,
};
use stillwatch_evidence::ledger::{
    Filter, Ledger, LedgerCheck, LedgerClaim, Unfinished, account_for_range,
};
use stillwatch_evidence::plan::SealedPlan;
use stillwatch_evidence::{
    AuditResult, Decide, DemoAudit, DemoReport, PlanState, Predates, Progress, VerdictKind,
};

/// One audit with its figures, for a table.
#[derive(Debug, Clone, PartialEq)]
pub struct DemoRow {
    /// Name of the audit.
    pub name: String,
    /// Model string of the suspect.
    pub suspect: String,
    /// What was asked, in one sentence.
    pub question: String,
    /// The whole result.
    pub result: AuditResult,
    /// Seconds that it took.
    pub seconds: f64,
}

/// What an audit asks, and what is known to be true.
pub(super) struct Question<'a> {
    pub(super) name: &'a str,
    sentence: &'a str,
    pub(super) suspect: &'a Path,
    pub(super) reference: &'a Path,
    pub(super) exposures: &'a Path,
    pub(super) exposed: &'a Exposed,
    pub(super) expected: VerdictKind,
    accounts: Vec<String>,
}

/// Asks the four questions.
pub(super) fn run(
    params: &DemoParams,
    files: &Files,
    ledger: &mut Ledger,
    (author, traffic): (&Exposed, &Traffic),
    progress: &dyn Progress,
) -> Result<(DemoReport, Vec<DemoRow>), LabError> {
    let of_author = |name, sentence, suspect, expected| Question {
        name,
        sentence,
        suspect,
        reference: &files.base,
        exposures: &files.author,
        exposed: author,
        expected,
        accounts: Vec::new(),
    };
    let of_teacher = |name, sentence, suspect, expected, accounts| Question {
        name,
        sentence,
        suspect,
        reference: &files.teacher,
        exposures: &files.traffic,
        exposed: &traffic.exposed,
        expected,
        accounts,
    };
    let questions = [
        of_author(
            "teacher",
            "Was the teacher trained on the drafts that the author published?",
            &files.teacher,
            VerdictKind::Established,
        ),
        of_author(
            "innocent-teacher",
            "Was the innocent teacher trained on the drafts that the author published?",
            &files.innocent_teacher,
            VerdictKind::NoEvidence,
        ),
        of_teacher(
            "student",
            "Was the student trained on the teacher's answers, and through which accounts?",
            &files.student,
            VerdictKind::Established,
            traffic.harvesters.clone(),
        ),
        of_teacher(
            "innocent-student",
            "Was the innocent student trained on the teacher's answers?",
            &files.innocent_student,
            VerdictKind::NoEvidence,
            Vec::new(),
        ),
    ];
    let audit = AuditParams {
        alpha: params.alpha,
        decide: Decide::P,
        seed: params.seed,
        ..AuditParams::default()
    };
    let sealed = plans::seal(params, &audit, &questions, ledger)?;
    let mut audits = Vec::new();
    let mut rows = Vec::new();
    for (question, sealed) in questions.into_iter().zip(&sealed) {
        let start = Instant::now();
        let case = files.cases.join(question.name);
        let plan = files.plans.join(format!("{}.json", question.name));
        plans::write(&plan, sealed)?;
        let room = Room { case: &case, plan: &plan, sealed, now: params.now };
        let result = ask(&question, &audit, &room, ledger, progress)?;
        let mut named: Vec<String> =
            result.accounts.iter().filter(|a| a.rejected).map(|a| a.account.clone()).collect();
        named.sort();
        audits.push(DemoAudit {
            name: question.name.to_owned(),
            expected: question.expected,
            verdict: result.verdict,
            accounts_expected: question.accounts,
            accounts_rejected: named,
            case: case.display().to_string(),
        });
        rows.push(DemoRow {
            name: question.name.to_owned(),
            suspect: spec(question.suspect),
            question: question.sentence.to_owned(),
            result,
            seconds: start.elapsed().as_secs_f64(),
        });
    }
    Ok((DemoReport::new(audits), rows))
}

/// Model string of a folder.
pub(super) fn spec(folder: &Path) -> String {
    format!("hf:{}", folder.display())
}

/// Where an audit is written, and the plan that it follows.
struct Room<'a> {
    case: &'a Path,
    plan: &'a Path,
    sealed: &'a SealedPlan,
    now: jiff::Timestamp,
}

fn ask(
    question: &Question<'_>,
    audit: &AuditParams,
    room: &Room<'_>,
    ledger: &Ledger,
    progress: &dyn Progress,
) -> Result<AuditResult, LabError> {
    room.sealed.verify_in(ledger.view())?;
    let check = check_ledger(question.exposed, room.sealed, ledger)?;
    let suspect = open_folder(question.suspect)?;
    let reference = open_folder(question.reference)?;
    let older = check.predates(ledger.view(), &weights_hash(question.reference)?);
    let predates = if older { Predates::Ledger } else { Predates::Unknown };
    let request = AuditRequest {
        source: AuditSource::Exposures {
            path: question.exposures.to_owned(),
            suspect_spec: spec(question.suspect),
            suspect: suspect.as_ref(),
            others: vec![OtherModel {
                spec: spec(question.reference),
                role: Role::Reference { predates },
                model: reference.as_ref(),
            }],
            budget: None,
        },
        params: AuditParams { plan_index: u32::try_from(room.sealed.number).ok(), ..audit.clone() },
        context: AuditContext {
            coin_evidence: check.coin_evidence(),
            plan: PlanState::Sealed,
            unopened_leaves: check.adverse.len(),
            prompts_fixed: true,
            ..AuditContext::default()
        },
        question: Some(question.sentence.to_owned()),
        out: Some(room.case.to_owned()),
        show_texts: true,
        inputs: vec![("plan".to_owned(), room.plan.to_owned())],
        timeline: Vec::new(),
        commands: Vec::new(),
    };
    let outcome = run_audit(&request, progress, &room.now.to_string())?;
    Ok(outcome.result().clone())
}

/// Accounts for every leaf of the range that the exposures lie in.
fn check_ledger(
    exposed: &Exposed,
    sealed: &SealedPlan,
    ledger: &Ledger,
) -> Result<LedgerCheck, LabError> {
    let (first_sequence, last_sequence) = range(&exposed.exposures);
    let claim = LedgerClaim {
        first_sequence,
        last_sequence,
        filter: &Filter::default(),
        plan_leaf: sealed.leaf_index,
        rounds: &[],
        witnesses: &[],
        unfinished: Unfinished::Adverse,
    };
    Ok(account_for_range(ledger.view(), &exposed.head, &claim, &exposed.exposures)?)
}
