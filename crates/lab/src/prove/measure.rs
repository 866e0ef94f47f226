//! From stored scores to rates: who is accused by which test, power by pairs, size by coins.

use super::battery::{BATTERY, Case, audit};
use super::plan::{Diet, Truth};
use super::rate::Rate;
use super::report::{Cell, NeededPairs, PairsPoint, Situation, Size};
use super::score::Scores;
use super::world::{Classroom, Member, harvested, rng};
use crate::LabError;
use rand::{Rng as _, seq::index::sample};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use stillwatch_evidence::{Decide, Predates, Progress, VerdictKind};

/// Resamples of an audit whose verdict is counted.
const RESAMPLES: u32 = 20_000;
/// Resamples of an audit among thousands.
const RESAMPLES_FEW: u32 = 199;
/// Subsets drawn for each number of pairs.
const SUBSETS: u32 = 40;
/// Power that "needed pairs" are stated for.
pub(super) const POWER: f64 = 0.8;

/// A model with its scores.
pub(super) struct Scored<'a> {
    pub(super) member: &'a Member,
    pub(super) room: &'a Classroom,
    pub(super) suspect: Scores,
}

/// What all suspects of a classroom are measured with.
pub(super) struct Yardsticks {
    pub(super) teacher: Scores,
    pub(super) base: Scores,
    /// Student of the released side, and of the withheld side.
    pub(super) tainted: Option<(Scores, Scores)>,
}

/// Accounts of the pairs.
pub(super) fn accounts(room: &Classroom) -> Vec<String> {
    room.pairs.iter().map(|pair| pair.account.clone()).collect()
}

fn learnt_accounts(scored: &Scored<'_>) -> BTreeSet<String> {
    harvested(scored.member, scored.room).iter().map(|pair| pair.account.clone()).collect()
}

/// Every test on every suspect in every situation.
pub(super) fn cells(
    everyone: &[Scored<'_>],
    yardsticks: &[Yardsticks],
    alpha: f64,
    seed: u64,
    progress: &dyn Progress,
) -> Result<Vec<Cell>, LabError> {
    progress.begin("the battery", everyone.len() as u64);
    let mut cells = Vec::new();
    for scored in everyone {
        if scored.member.kind.truth == Truth::Reference {
            continue;
        }
        if progress.stop_requested() {
            return Err(LabError::Interrupted);
        }
        let Some(yard) = yardsticks.get(scored.member.teacher) else { continue };
        let accounts = accounts(scored.room);
        let learnt = learnt_accounts(scored);
        let plain = Case {
            accounts: &accounts,
            suspect: &scored.suspect,
            reference: &yard.teacher,
            predates: Predates::Ledger,
            base: &yard.base,
            placebo: false,
            learnt: &learnt,
            alpha,
            seed,
            n_resamples: RESAMPLES,
        };
        put(&mut cells, scored.member, Situation::Plain, &plain)?;
        if scored.member.kind.truth == Truth::Innocent {
            innocent_situations(&mut cells, scored, yard, &plain)?;
        }
        progress.advance(1);
    }
    progress.end();
    Ok(cells)
}

/// What may be done to an innocent besides: references that saw a side, and a rigged coin.
fn innocent_situations(
    cells: &mut Vec<Cell>,
    scored: &Scored<'_>,
    yard: &Yardsticks,
    plain: &Case<'_>,
) -> Result<(), LabError> {
    if let Some((released, withheld)) = &yard.tainted {
        for (reference, predates, situation) in [
            (released, Predates::Unknown, Situation::ReferenceSawReleased),
            (withheld, Predates::Unknown, Situation::ReferenceSawWithheld),
            (withheld, Predates::Declared, Situation::AgeDeclaredFalsely),
        ] {
            let case = Case { reference, predates, ..*plain };
            put(cells, scored.member, situation, &case)?;
        }
    }
    // The owner "releases" whichever text a public model prefers.
    let turn: Vec<bool> = yard.base.differences().iter().map(|d| *d < 0.0).collect();
    let (suspect, reference, base) =
        (scored.suspect.turned(&turn), yard.teacher.turned(&turn), yard.base.turned(&turn));
    for (placebo, situation) in
        [(false, Situation::RiggedCoin), (true, Situation::RiggedCoinWithPlacebo)]
    {
        let case =
            Case { suspect: &suspect, reference: &reference, base: &base, placebo, ..*plain };
        put(cells, scored.member, situation, &case)?;
    }
    Ok(())
}

fn put(
    cells: &mut Vec<Cell>,
    member: &Member,
    situation: Situation,
    case: &Case<'_>,
) -> Result<(), LabError> {
    for test in BATTERY {
        let outcome = (test.run)(case)?;
        cells.push(Cell {
            model: member.name.clone(),
            kind: member.kind.name,
            teacher: member.teacher,
            seed: member.seed,
            truth: member.kind.truth,
            situation,
            test: test.name,
            accuses: outcome.accuses,
            log10_p: outcome.log10_p,
        });
    }
    Ok(())
}

/// Power against the number of pairs, by random subsets of the stored pairs of each student of
/// the whole diet. Subsets are drawn without a look at scores.
pub(super) fn pairs_needed(
    everyone: &[Scored<'_>],
    yardsticks: &[Yardsticks],
    alpha: f64,
    seed: u64,
) -> Result<Vec<NeededPairs>, LabError> {
    let mut kinds: Vec<&'static str> = Vec::new();
    let wanted = |s: &&Scored<'_>| {
        s.member.kind.truth == Truth::Learnt
            && !matches!(s.member.kind.diet, Diet::Released { dose } if dose < 1.0)
    };
    for scored in everyone.iter().filter(wanted) {
        if !kinds.contains(&scored.member.kind.name) {
            kinds.push(scored.member.kind.name);
        }
    }
    let mut rows = Vec::new();
    for kind in kinds {
        let mut points = Vec::new();
        let most = everyone.iter().map(|s| s.room.pairs.len()).min().unwrap_or(0);
        for n in [10, 20, 40, 80, 120, 160, 240].into_iter().filter(|n| *n <= most) {
            let mut found = 0;
            let mut tried = 0;
            for scored in everyone.iter().filter(|s| s.member.kind.name == kind) {
                let Some(yard) = yardsticks.get(scored.member.teacher) else { continue };
                let mut random = rng(seed, &format!("subsets of {} by {n}", scored.member.name));
                let rounds = if n == most { 1 } else { SUBSETS };
                for _ in 0..rounds {
                    let chosen = sample(&mut random, most, n).into_vec();
                    tried += 1;
                    found += u64::from(subset_accuses(scored, yard, &chosen, alpha, seed)?);
                }
            }
            points.push(PairsPoint { n_pairs: n, power: Rate::new(found, tried) });
        }
        let needed =
            points.iter().find(|p| p.power.rate.is_some_and(|r| r >= POWER)).map(|p| p.n_pairs);
        rows.push(NeededPairs { kind, needed, points });
    }
    Ok(rows)
}

/// The pooled test alone on a subset, accounts left out.
fn subset_accuses(
    scored: &Scored<'_>,
    yard: &Yardsticks,
    chosen: &[usize],
    alpha: f64,
    seed: u64,
) -> Result<bool, LabError> {
    let part = |scores: &Scores| Scores {
        values: chosen.iter().filter_map(|&i| scores.values.get(i).copied()).collect(),
        tokens: chosen.iter().filter_map(|&i| scores.tokens.get(i).copied()).collect(),
    };
    let accounts = vec!["one".to_owned(); chosen.len()];
    let (suspect, reference, base) = (part(&scored.suspect), part(&yard.teacher), part(&yard.base));
    let case = Case {
        accounts: &accounts,
        suspect: &suspect,
        reference: &reference,
        predates: Predates::Ledger,
        base: &base,
        placebo: false,
        learnt: &BTreeSet::new(),
        alpha,
        seed,
        n_resamples: 1999,
    };
    let result = audit(&case, Decide::P)?;
    let p = result.findings.first().and_then(|f| f.log10_p_value);
    Ok(p.is_some_and(|p| p <= alpha.log10()))
}

/// Levels at which the size is counted.
const LEVELS: [f64; 3] = [0.05, 0.01, 1e-3];

/// Throws the coins again over the stored scores of every innocent and runs the whole audit each
/// time: how often it accuses. It checks the arithmetic from scores to verdict, not how the pairs
/// came to be.
pub(super) fn size(
    everyone: &[Scored<'_>],
    yardsticks: &[Yardsticks],
    throws: u64,
    seed: u64,
    n_threads: usize,
    progress: &dyn Progress,
) -> Result<Size, LabError> {
    let innocents: Vec<&Scored<'_>> =
        everyone.iter().filter(|s| s.member.kind.truth == Truth::Innocent).collect();
    let mut size = Size::empty(LEVELS);
    if innocents.is_empty() || throws == 0 {
        return Ok(size);
    }
    progress.begin("coins thrown again", throws);
    let next = AtomicU64::new(0);
    let block = 50;
    let work = || -> Result<Counts, LabError> {
        let mut counts = Counts::default();
        loop {
            let start = next.fetch_add(block, Ordering::Relaxed);
            if start >= throws {
                return Ok(counts);
            }
            if progress.stop_requested() {
                return Err(LabError::Interrupted);
            }
            let end = (start + block).min(throws);
            for throw in start..end {
                let i = usize::try_from(throw).unwrap_or(0) % innocents.len();
                if let Some(scored) = innocents.get(i)
                    && let Some(yard) = yardsticks.get(scored.member.teacher)
                {
                    counts.add(throw_once(scored, yard, throw, seed)?);
                }
            }
            progress.advance(end - start);
        }
    };
    let results: Result<Vec<Counts>, LabError> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| match thread.join() {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    progress.end();
    let mut total = Counts::default();
    results?.into_iter().for_each(|counts| total.add(counts));
    size.n_throws = throws;
    size.n_models = innocents.len();
    size.verdict = Rate::new(total.verdict, throws);
    for (i, row) in size.levels.iter_mut().enumerate() {
        row.pooled = Rate::new(total.pooled.get(i).copied().unwrap_or(0), throws);
        row.e_value = Rate::new(total.e_value.get(i).copied().unwrap_or(0), throws);
    }
    Ok(size)
}

/// How often what passed.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    verdict: u64,
    pooled: [u64; 3],
    e_value: [u64; 3],
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.verdict += other.verdict;
        let pairs = self.pooled.iter_mut().zip(other.pooled);
        pairs.chain(self.e_value.iter_mut().zip(other.e_value)).for_each(|(a, b)| *a += b);
    }
}

fn throw_once(
    scored: &Scored<'_>,
    yard: &Yardsticks,
    throw: u64,
    seed: u64,
) -> Result<Counts, LabError> {
    let mut random = rng(seed, &format!("throw {throw}"));
    let turn: Vec<bool> = scored.room.pairs.iter().map(|_| random.random()).collect();
    let (suspect, reference, base) =
        (scored.suspect.turned(&turn), yard.teacher.turned(&turn), yard.base.turned(&turn));
    let accounts = accounts(scored.room);
    let case = Case {
        accounts: &accounts,
        suspect: &suspect,
        reference: &reference,
        predates: Predates::Ledger,
        base: &base,
        placebo: false,
        learnt: &BTreeSet::new(),
        alpha: LEVELS[0],
        seed: throw,
        n_resamples: RESAMPLES_FEW,
    };
    let result = audit(&case, Decide::P)?;
    let verdict = u64::from(result.verdict == VerdictKind::Established);
    let mut counts = Counts { verdict, ..Counts::default() };
    if let Some(main) = result.findings.first() {
        for ((level, p), e) in LEVELS.iter().zip(&mut counts.pooled).zip(&mut counts.e_value) {
            *p = u64::from(main.log10_p_value.is_some_and(|v| v <= level.log10()));
            *e = u64::from(main.log10_e_value.is_some_and(|v| v >= -level.log10()));
        }
    }
    Ok(counts)
}
