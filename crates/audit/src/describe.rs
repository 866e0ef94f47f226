//! Findings in the words and fields of the JSON.

use crate::{
    AuditContext, AuditParams,
    accounts::AccountAnswers,
    evaluate::PooledRun,
    prepare::Prepared,
    sequential::Questions,
    words::{self, About},
};
use stillwatch_evidence::{AccountFinding, Coin, Decide, Effect, Finding, Predates, VerdictKind};
use stillwatch_stats::{EValue, PValue, accounts::Coins};

/// Puts answers into the words and fields of the JSON.
pub(crate) struct Describe<'a> {
    pub prepared: &'a Prepared,
    pub context: &'a AuditContext,
    pub params: &'a AuditParams,
}

impl Describe<'_> {
    /// A pooled finding.
    pub(crate) fn finding(
        &self,
        name: &str,
        run: &PooledRun,
        decides: bool,
        used: &[usize],
    ) -> Finding {
        let about = self.about(decides, used);
        let evidence = self.prepared.coin > Coin::None;
        // At a stop that looked at the data a fixed-n p-value isn't one.
        let p = (evidence && !run.stopped).then_some(run.test.p);
        let e = evidence.then_some(run.moment.pooled);
        let mut assumptions = words::assumptions(&about);
        if run.stopped {
            assumptions.push(format!(
                "the e-process stopped after {} units by its declared rule, so no fixed-n p-value \
                 is given",
                run.moment.n
            ));
        }
        Finding {
            test: name.to_owned(),
            null: words::null(used.len()),
            n: if run.stopped { run.moment.n } else { run.n },
            statistic: finite_or_zero(run.test.z),
            p_value: p.map(PValue::value),
            log10_p_value: p.map(PValue::log10).filter(|v| v.is_finite()),
            e_value: e.map(EValue::value).filter(|v| v.is_finite()),
            log10_e_value: e.map(EValue::log10).filter(|v| v.is_finite()),
            effect: run.test.effect.map(|(estimate, ci95)| Effect {
                estimate,
                unit: "standard deviations of a pair's preference".to_owned(),
                ci95,
            }),
            min_detectable_effect: run.test.min_detectable_effect,
            assumptions,
            cannot_say: words::cannot_say(&about),
        }
    }

    /// The combination over accounts.
    pub(crate) fn combination(&self, accounts: &AccountAnswers, questions: &Questions) -> Finding {
        let evidence = self.prepared.coin > Coin::None;
        let p = accounts.p.as_ref().filter(|_| evidence).map(|d| d.combination);
        let e = accounts.e.as_ref().filter(|_| evidence).map(|d| d.combination);
        let decided = match self.params.decide {
            Decide::P => accounts.p.as_ref().map(|d| -d.combination.log10()),
            Decide::E => accounts.e.as_ref().map(|d| d.combination.log10()),
        };
        let about = self.about(true, &[]);
        let mut cannot_say = words::cannot_say(&about);
        cannot_say.push(
            "that an account that isn't named took nothing: its pairs may have been too few"
                .to_owned(),
        );
        if !accounts.unfinished.is_empty() {
            cannot_say.push(format!(
                "anything final about accounts that were unfinished when the run stopped: {}",
                crate::format::list(&accounts.unfinished, 12)
            ));
        }
        let mut assumptions = words::assumptions(&about);
        assumptions.push(format!(
            "{} accounts with at least {} units each are tested; smaller ones count in the pool \
             only, a choice that looks at numbers of units alone",
            questions.tested.len(),
            questions.tested_from
        ));
        assumptions.push(
            match questions.coins {
                Coins::Shared => {
                    "some coins count in several accounts: nothing is assumed of how their answers \
                 depend on each other"
                }
                Coins::Disjoint => {
                    "no coin counts in two accounts: under the null their answers are independent"
                }
            }
            .to_owned(),
        );
        Finding {
            test: words::ACCOUNTS.to_owned(),
            null: words::ACCOUNTS_NULL.to_owned(),
            n: accounts.n_units,
            statistic: finite_or_zero(decided.unwrap_or(0.0)),
            p_value: p.map(PValue::value),
            log10_p_value: p.map(PValue::log10).filter(|v| v.is_finite()),
            e_value: e.map(EValue::value).filter(|v| v.is_finite()),
            log10_e_value: e.map(EValue::log10).filter(|v| v.is_finite()),
            effect: None,
            min_detectable_effect: None,
            assumptions,
            cannot_say,
        }
    }

    /// Every account, tested or not.
    pub(crate) fn accounts(
        &self,
        answers: &AccountAnswers,
        questions: &Questions,
        verdict: VerdictKind,
    ) -> Vec<AccountFinding> {
        let evidence = self.prepared.coin > Coin::None;
        // Nobody is named by an audit that finds nothing or doubts the coin.
        let found = matches!(verdict, VerdictKind::Established | VerdictKind::Indicated);
        let named = answers.named(self.params);
        self.prepared
            .accounts
            .iter()
            .enumerate()
            .map(|(index, account)| {
                let at = questions.tested.binary_search(&index).ok();
                let p = at.and_then(|i| answers.p_values.as_ref()?.get(i)).filter(|_| evidence);
                let e = at.and_then(|i| answers.e_values.get(i)).filter(|_| evidence);
                AccountFinding {
                    account: account.clone(),
                    n: answers.counts.get(index).copied().unwrap_or(0),
                    p_value: p.map(|p| p.value()),
                    log10_p_value: p.map(|p| p.log10()).filter(|v| v.is_finite()),
                    e_value: e.map(|e| e.value()).filter(|v| v.is_finite()),
                    log10_e_value: e.map(|e| e.log10()).filter(|v| v.is_finite()),
                    pairs_needed: questions.pairs_needed,
                    rejected: evidence
                        && found
                        && at.and_then(|i| named.get(i)).copied().unwrap_or(false),
                }
            })
            .collect()
    }

    fn about(&self, decides: bool, used: &[usize]) -> About<'_> {
        let used = || self.prepared.references.iter().filter(|r| used.contains(&r.column.index));
        let older = used().all(|r| r.predates != Predates::Unknown);
        About {
            context: self.context,
            prepared: self.prepared,
            decide: self.params.decide,
            decides,
            n_references: used().count(),
            references_older: older,
            references_declared: older && used().any(|r| r.predates == Predates::Declared),
        }
    }
}

fn finite_or_zero(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}
