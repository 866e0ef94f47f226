//! From rows of scores to units, one coin each: grouping, grade, columns, adverse pairs.
//!
//! Everything here is blind to the coin: it would do the same if released and withheld were
//! swapped in any row. What is lost for want of a ledger opening is added as adverse pairs.

use crate::{AuditContext, AuditError, context::Role};
use std::collections::{BTreeMap, BTreeSet};
use stillwatch_evidence::{Coin, Predates, ScoreRow, ScoreTable, score_groups};
use stillwatch_stats::{ScoreSet, correct, merge_coin};

/// A column besides the suspect's.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub name: String,
    pub index: usize,
}

/// A reference with what is known of its age.
#[derive(Debug, Clone)]
pub(crate) struct Reference {
    pub column: Column,
    pub predates: Predates,
}

/// Rows sorted into units, in the order of the rows.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// One set for each coin, all columns, in the order of its first row.
    pub sets: Vec<ScoreSet>,
    /// Accounts, sorted by name.
    pub accounts: Vec<String>,
    /// For each unit of `sets`, the accounts that its texts were sent to, by index.
    pub members: Vec<Vec<usize>>,
    /// Units of each account that the run set out to score; they decide who is tested.
    pub planned_units: Vec<usize>,
    /// Some coin counts in more than one account.
    pub shared_coins: bool,
    pub references: Vec<Reference>,
    pub placebos: Vec<Column>,
    pub coin: Coin,
    /// Fewest withheld siblings of any unit.
    pub k_min: usize,
    /// Units whose scores are equal in every column: they stay, as zeros.
    pub n_ties: usize,
    /// Units whose scores, in every column and whichever text was released, are those of an
    /// earlier unit to the last bit: maybe copies that should have been joined.
    pub n_repeats: usize,
}

/// Which scores stand for the suspect.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject {
    Suspect,
    /// Index among the table's other columns.
    Other(usize),
}

/// Sorts rows into units.
pub(crate) fn prepare(table: &ScoreTable, context: &AuditContext) -> Result<Prepared, AuditError> {
    check_names(table, context)?;
    let (references, placebos) = columns(table, context);
    let groups: Vec<Vec<&ScoreRow>> = score_groups(table)
        .iter()
        .map(|group| group.iter().filter_map(|i| table.rows.get(*i)).collect())
        .collect();
    let sets = groups.iter().map(|rows| merged(rows)).collect::<Result<Vec<_>, _>>()?;
    let (accounts, members) = by_account(&groups, context);
    let planned = context.planned.as_ref();
    Ok(Prepared {
        coin: context.coin.unwrap_or_else(|| lowest_coin(&table.rows)),
        k_min: planned
            .map_or_else(|| sets.iter().map(ScoreSet::k).min().unwrap_or(1), |p| p.k_min.max(1)),
        planned_units: planned_units(&accounts, &members, context),
        n_ties: sets.iter().filter(|s| all_equal(s)).count(),
        n_repeats: repeats(&sets),
        shared_coins: members.iter().any(|m| m.len() > 1),
        sets,
        accounts,
        members,
        references,
        placebos,
    })
}

/// One coin's rows as one set.
fn merged(rows: &[&ScoreRow]) -> Result<ScoreSet, AuditError> {
    let sets = rows
        .iter()
        .map(|row| {
            ScoreSet::new(row.suspect.clone(), row.references.clone(), row.n_tokens.clone())
                .map_err(|e| AuditError::data(format!("row {}", row.id), e.to_string()))
        })
        .collect::<Result<Vec<_>, _>>()?;
    match sets.as_slice() {
        [only] => Ok(only.clone()),
        many => merge_coin(many).map_err(|e| {
            let ids: Vec<&str> = rows.iter().map(|r| r.id.as_str()).collect();
            AuditError::data(format!("rows {} of one coin", ids.join(", ")), e.to_string())
        }),
    }
}

fn by_account(groups: &[Vec<&ScoreRow>], context: &AuditContext) -> (Vec<String>, Vec<Vec<usize>>) {
    let planned = context.planned.iter().flat_map(|p| p.units.keys()).map(String::as_str);
    let names: BTreeSet<&str> =
        groups.iter().flatten().filter_map(|row| row.account.as_deref()).chain(planned).collect();
    let index: BTreeMap<&str, usize> = names.iter().enumerate().map(|(i, n)| (*n, i)).collect();
    let members = groups
        .iter()
        .map(|rows| {
            let own: BTreeSet<usize> =
                rows.iter().filter_map(|row| index.get(row.account.as_deref()?).copied()).collect();
            own.into_iter().collect()
        })
        .collect();
    (names.into_iter().map(str::to_owned).collect(), members)
}

fn planned_units(names: &[String], members: &[Vec<usize>], context: &AuditContext) -> Vec<usize> {
    if let Some(planned) = &context.planned {
        return names.iter().map(|n| planned.units.get(n).copied().unwrap_or(0)).collect();
    }
    units_of(names.len(), members)
}

/// Units of each account.
pub(crate) fn units_of(n_accounts: usize, members: &[Vec<usize>]) -> Vec<usize> {
    let mut counts = vec![0usize; n_accounts];
    for account in members.iter().flatten() {
        if let Some(count) = counts.get_mut(*account) {
            *count += 1;
        }
    }
    counts
}

fn check_names(table: &ScoreTable, context: &AuditContext) -> Result<(), AuditError> {
    let mut seen = BTreeSet::new();
    for row in &table.rows {
        if !seen.insert(row.id.as_str()) {
            return Err(AuditError::data(
                format!("row {}", row.id),
                "this id occurs twice; ids must be unique, and rows that share a coin are joined \
                 by their `unit`",
            ));
        }
        if row.references.len() != table.reference_names.len() {
            return Err(AuditError::data(
                format!("row {}", row.id),
                format!(
                    "has scores of {} other models, the table names {}",
                    row.references.len(),
                    table.reference_names.len()
                ),
            ));
        }
    }
    match context.roles.keys().find(|name| !table.reference_names.contains(name)) {
        Some(name) => Err(AuditError::data(
            format!("model {name}"),
            format!(
                "there are no scores of it; the table has {}",
                if table.reference_names.is_empty() {
                    "the suspect's only".to_owned()
                } else {
                    table.reference_names.join(", ")
                }
            ),
        )),
        None => Ok(()),
    }
}

fn columns(table: &ScoreTable, context: &AuditContext) -> (Vec<Reference>, Vec<Column>) {
    let mut references = Vec::new();
    let mut placebos = Vec::new();
    for (index, name) in table.reference_names.iter().enumerate() {
        let column = Column { name: name.clone(), index };
        match context.role(name) {
            Role::Reference { predates } => references.push(Reference { column, predates }),
            Role::Placebo => placebos.push(column),
        }
    }
    (references, placebos)
}

/// The grade that decides for all: the lowest among the rows; a row without one has none.
fn lowest_coin(rows: &[ScoreRow]) -> Coin {
    rows.iter().map(|r| r.coin.unwrap_or(Coin::None)).min().unwrap_or(Coin::None)
}

fn all_equal(set: &ScoreSet) -> bool {
    let flat = |scores: &[f64]| scores.windows(2).all(|w| w.first() == w.get(1));
    flat(set.suspect()) && set.references().iter().all(|r| flat(r))
}

/// Sets that repeat an earlier one; those without any difference aside, which repeat by nature.
fn repeats(sets: &[ScoreSet]) -> usize {
    let mut seen = BTreeSet::new();
    let unordered = |set: &ScoreSet| {
        let mut texts: Vec<Vec<u64>> = (0..=set.k())
            .map(|text| {
                std::iter::once(set.suspect())
                    .chain(set.references().iter().map(Vec::as_slice))
                    .filter_map(|column| column.get(text).map(|v| v.to_bits()))
                    .collect()
            })
            .collect();
        texts.sort_unstable();
        texts
    };
    sets.iter().filter(|s| !all_equal(s)).filter(|s| !seen.insert(unordered(s))).count()
}

/// The sets as one test sees them: whose scores are tested, and which columns correct them.
pub(crate) fn select(
    sets: &[ScoreSet],
    subject: Subject,
    references: &[usize],
) -> Result<Vec<ScoreSet>, AuditError> {
    sets.iter().map(|set| select_one(set, subject, references)).collect()
}

fn select_one(
    set: &ScoreSet,
    subject: Subject,
    references: &[usize],
) -> Result<ScoreSet, AuditError> {
    let column = |i: usize| {
        set.references()
            .get(i)
            .cloned()
            .ok_or_else(|| AuditError::data("scores", format!("column {i} is missing in a set")))
    };
    let subject = match subject {
        Subject::Suspect => set.suspect().to_vec(),
        Subject::Other(i) => column(i)?,
    };
    let others = references.iter().map(|i| column(*i)).collect::<Result<Vec<_>, _>>()?;
    Ok(ScoreSet::new(subject, others, set.n_tokens().map(<[f64]>::to_vec))?)
}

/// The sets with `n` adverse ones in front: copies of the set with the largest corrected
/// preference in its own scale, turned so that its released text is the least preferred.
///
/// Turning a set changes neither slopes nor scales, so the turned copies have exactly that
/// preference, negative. Without any set, or where all preferences are zero, they are zeros.
pub(crate) fn with_adverse(sets: &[ScoreSet], n: usize) -> Result<Vec<ScoreSet>, AuditError> {
    if n == 0 || sets.is_empty() {
        return Ok(sets.to_vec());
    }
    let strongest = correct(sets)?
        .units
        .iter()
        .enumerate()
        .map(|(i, unit)| {
            let spread = unit.scores().iter().fold(0.0f64, |m, s| m.max(s.abs()));
            (i, spread / unit.scale())
        })
        .fold((0, f64::NEG_INFINITY), |best, next| if next.1 > best.1 { next } else { best })
        .0;
    let Some(copied) = sets.get(strongest) else { return Ok(sets.to_vec()) };
    let joined = |adverse: &ScoreSet| -> Vec<ScoreSet> {
        std::iter::repeat_n(adverse, n).chain(sets).cloned().collect()
    };
    let all = joined(copied);
    let least = correct(&all)?.units.first().map_or(0, |unit| {
        unit.scores()
            .iter()
            .enumerate()
            .fold((0, f64::INFINITY), |best, (j, s)| if *s < best.1 { (j, *s) } else { best })
            .0
    });
    Ok(joined(&released_is(copied, least)?))
}

/// The set as if text `j` had been released.
pub(crate) fn released_is(set: &ScoreSet, j: usize) -> Result<ScoreSet, AuditError> {
    let turn = |scores: &[f64]| {
        let mut out = scores.to_vec();
        if j < out.len() {
            out.swap(0, j);
        }
        out
    };
    Ok(ScoreSet::new(
        turn(set.suspect()),
        set.references().iter().map(|r| turn(r)).collect(),
        set.n_tokens().map(turn),
    )?)
}
