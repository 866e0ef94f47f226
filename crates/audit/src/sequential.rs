//! The e-processes of a run, unit by unit, with one declared stopping rule.
//!
//! The same code follows a run while it scores and replays it from stored scores, so both stop
//! at the same pair. All values are taken at one stopping time, which is what makes every one
//! of them an e-value.

use crate::{
    AuditError,
    params::{AuditParams, Stopping},
    prepare::{Prepared, Subject, select},
};
use stillwatch_evidence::Decide;
use stillwatch_stats::{
    AccountsEProcess, Alpha, EProcessParams, EValue, ScoreSet,
    accounts::{AlphaSplit, Coins, Decision},
};

/// Which accounts are tested, and how the error rate is split.
#[derive(Debug, Clone)]
pub(crate) struct Questions {
    pub alpha: Alpha,
    /// Of all accounts, by index, those with units enough to be named by anything, ascending.
    pub tested: Vec<usize>,
    /// Units below which an account isn't tested.
    pub tested_from: usize,
    /// Units that an account needs to be named by its own evidence alone.
    pub pairs_needed: usize,
    pub split: AlphaSplit,
    pub coins: Coins,
}

impl Questions {
    /// The pooled test's share of alpha: all of it where no account is tested.
    pub(crate) fn pooled_alpha(&self) -> Result<Alpha, AuditError> {
        if self.tested.is_empty() {
            return Ok(self.alpha);
        }
        Ok(Alpha::new(self.alpha.value() * self.split.pooled_share())?)
    }

    /// The accounts' share of alpha.
    pub(crate) fn accounts_alpha(&self) -> Option<f64> {
        (!self.tested.is_empty()).then(|| self.alpha.value() * self.split.accounts_share())
    }

    /// Places among the tested accounts.
    fn places(&self, accounts: &[usize]) -> Vec<usize> {
        accounts.iter().filter_map(|a| self.tested.binary_search(a).ok()).collect()
    }
}

/// Evidence at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Moment {
    /// Units settled.
    pub n: usize,
    pub pooled: EValue,
    /// One for each tested account, in their order.
    pub accounts: Vec<EValue>,
    /// Units settled of each tested account.
    pub counts: Vec<usize>,
    /// Pool and accounts together, and who is named.
    pub decision: Decision<EValue>,
}

/// All e-processes of a run.
#[derive(Debug)]
pub(crate) struct Replay {
    /// Base-10 logarithm of the pooled e-value after each unit, to the end of the data.
    pub path: Vec<f64>,
    /// At the stop, or at the end of the data where the rule hasn't fired.
    pub moment: Moment,
    /// The rule has fired.
    pub stopped: bool,
}

/// Settles all units in order; then the `adverse` sets, in the pool and in every account.
///
/// Adverse sets copy the largest magnitude of the whole run, so they come last: before, they would
/// let scales and slopes of earlier sets know of later ones. They can only lower an e-value (the
/// factor of a set whose least preferred text was released is at most 1), which therefore stays
/// one; and no rule may stop before them.
pub(crate) fn replay(
    prepared: &Prepared,
    references: &[usize],
    adverse: &[ScoreSet],
    questions: &Questions,
    params: &AuditParams,
) -> Result<Replay, AuditError> {
    // Where p decides, the number of pairs is fixed and e is only reported.
    let may_stop =
        params.decide == Decide::E && params.stopping == Stopping::AtEvidence && adverse.is_empty();
    let mut process = AccountsEProcess::new(
        questions.tested.len(),
        questions.coins,
        questions.split,
        EProcessParams { keep_path: false, ..EProcessParams::default() },
    );
    let everyone: Vec<usize> = (0..questions.tested.len()).collect();
    let own = select(&prepared.sets, Subject::Suspect, references)?;
    let steps = own
        .iter()
        .zip(prepared.members.iter().map(|m| questions.places(m)))
        .chain(adverse.iter().map(|set| (set, everyone.clone())));
    let mut path = Vec::with_capacity(adverse.len() + own.len());
    let mut stop = None;
    for (set, accounts) in steps {
        let overall = process.push(set, &accounts)?;
        path.push(process.pooled().value().log10());
        if may_stop && stop.is_none() && overall.ln() >= -questions.alpha.ln() {
            stop = Some(moment(&process, path.len(), questions.alpha));
        }
    }
    Ok(Replay {
        stopped: stop.is_some(),
        moment: stop.unwrap_or_else(|| moment(&process, path.len(), questions.alpha)),
        path,
    })
}

fn moment(process: &AccountsEProcess, n: usize, alpha: Alpha) -> Moment {
    Moment {
        n,
        pooled: process.pooled().value(),
        accounts: process.accounts(),
        counts: process.n().to_vec(),
        decision: process.decide(alpha),
    }
}
