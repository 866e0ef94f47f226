//! Models older than the coins take the same test: they must not tell the texts apart.
//!
//! An owner who releases whichever text a public model prefers convicts every innocent suspect
//! that resembles it; but then older models see the coin too. References and placebos are
//! tested two-sided. The outcome never clears anyone and never drops a reference.

use crate::{
    AuditError, AuditParams,
    prepare::{Prepared, Subject, select},
    twins::test_params,
    verdict::Doubt,
};
use stillwatch_evidence::{PlaceboFinding, Predates, ReferenceFinding};
use stillwatch_stats::{correct, twins_test_two_sided};

/// Each reference with its slope and its own test, made without other references.
pub(crate) fn reference_findings(
    prepared: &Prepared,
    beta: &[f64],
    params: &AuditParams,
) -> Result<Vec<ReferenceFinding>, AuditError> {
    prepared
        .references
        .iter()
        .enumerate()
        .map(|(i, reference)| {
            Ok(ReferenceFinding {
                model: reference.column.name.clone(),
                beta: beta.get(i).copied().unwrap_or(0.0),
                own_p_value_two_sided: two_sided(prepared, reference.column.index, &[], params)?,
                predates_coin: reference.predates,
            })
        })
        .collect()
}

/// Each placebo in the suspect's place, with the references of the deciding finding.
pub(crate) fn placebo_findings(
    prepared: &Prepared,
    references: &[usize],
    params: &AuditParams,
) -> Result<Vec<PlaceboFinding>, AuditError> {
    prepared
        .placebos
        .iter()
        .map(|placebo| {
            Ok(PlaceboFinding {
                model: placebo.name.clone(),
                p_value_two_sided: two_sided(prepared, placebo.index, references, params)?,
            })
        })
        .collect()
}

/// Models said to be older than the coins that reject at alpha.
///
/// Placebos and references of declared or committed age are held to the whole of alpha each,
/// whatever the number of models or plans: a share would let whoever rigs the coin blunt this test
/// by naming many harmless models. If such a model tells released from withheld, the coin wasn't
/// thrown as said or the model isn't as old as said; either way nothing may rest on it. This can
/// only lower a verdict, wrongly so in at most alpha times the number of these models.
pub(crate) fn doubts(
    references: &[ReferenceFinding],
    placebos: &[PlaceboFinding],
    alpha: f64,
) -> Vec<Doubt> {
    let older = references
        .iter()
        .filter(|r| r.predates_coin != Predates::Unknown)
        .map(|r| (&r.model, r.own_p_value_two_sided));
    let all: Vec<(&String, f64)> =
        older.chain(placebos.iter().map(|p| (&p.model, p.p_value_two_sided))).collect();
    all.into_iter()
        .filter(|(_, p)| *p <= alpha)
        .map(|(model, p)| Doubt { model: model.clone(), log10_p: p.max(f64::MIN_POSITIVE).log10() })
        .collect()
}

fn two_sided(
    prepared: &Prepared,
    subject: usize,
    references: &[usize],
    params: &AuditParams,
) -> Result<f64, AuditError> {
    let units = correct(&select(&prepared.sets, Subject::Other(subject), references)?)?.units;
    Ok(twins_test_two_sided(&units, &test_params(params)).p_value.value())
}
