//! From what the tests answered to one word: the rules, and nothing but the rules.
//!
//! Every input is a fact fixed elsewhere; the order of the rules is the order of precedence.
//! A doubt about the coin, too few pairs or an interim p-value never becomes a finding, and
//! nothing found never becomes an acquittal without the power to find the target effect.

use stillwatch_evidence::{Coin, CoinEvidence, Decide, PlanState, VerdictKind};

/// What the pooled test answered.
#[derive(Debug, Clone)]
pub(crate) struct Pooled {
    /// Base-10 logarithm of the deciding number (p or e).
    pub log10: f64,
    /// Its share of alpha.
    pub share: f64,
    /// It passed.
    pub rejected: bool,
}

/// What the accounts answered.
#[derive(Debug, Clone)]
pub(crate) struct Combined {
    /// Base-10 logarithm of the deciding number of the combination (p or e).
    pub log10: f64,
    /// Share of alpha of all accounts together.
    pub share: f64,
    /// The combination passed.
    pub rejected: bool,
    /// Accounts tested.
    pub n_tested: usize,
    /// Accounts named, with the family-wise error held.
    pub named: Vec<String>,
}

/// A model older than the coins that tells released from withheld all the same.
#[derive(Debug, Clone)]
pub(crate) struct Doubt {
    /// Model string.
    pub model: String,
    /// Base-10 logarithm of its two-sided p-value.
    pub log10_p: f64,
}

/// Everything that a verdict rests on.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub n_pairs: usize,
    /// Pairs below which no test can pass at this alpha whatever they show.
    pub pairs_needed: usize,
    /// What this audit may spend.
    pub alpha: f64,
    pub decide: Decide,
    pub coin: Coin,
    pub coin_evidence: CoinEvidence,
    pub plan: PlanState,
    /// All prompts were fixed before the first coin, as somebody declares.
    pub prompts_fixed: bool,
    /// A reference of the deciding test is older than the coins by declaration only.
    pub ages_declared: bool,
    pub pooled: Pooled,
    pub accounts: Option<Combined>,
    /// Base-10 logarithm of pooled test and accounts together, and whether that passes alpha.
    pub together: Option<(f64, bool)>,
    pub doubts: Vec<Doubt>,
    /// Smallest effect that the pooled test finds with power 0.8; absent: none.
    pub min_detectable_effect: Option<f64>,
    pub target_effect: f64,
    pub partial: bool,
}

/// Why the verdict is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    /// Fewer pairs than any test needs.
    TooFewPairs,
    /// A model older than the coins tells the texts apart.
    CoinInDoubt,
    /// A fixed-n p-value before its planned end.
    Interim,
    /// The pooled test passed; the accounts, where asked, did not.
    Pooled,
    /// Only the combination over accounts passed.
    Accounts,
    /// Both passed.
    Both,
    /// Neither passed its own share, but their weighted mean passes alpha (e-values only).
    Together,
    /// Nothing passed, and the target effect would have been seen.
    NothingFound,
    /// Nothing passed, and the target effect might have been missed.
    TooLittlePower,
}

/// The verdict with its ground.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decision {
    pub verdict: VerdictKind,
    pub ground: Ground,
}

/// Applies the rules.
pub(crate) fn decide(facts: &Facts) -> Decision {
    let inconclusive = |ground| Decision { verdict: VerdictKind::Inconclusive, ground };
    if facts.n_pairs < facts.pairs_needed {
        return inconclusive(Ground::TooFewPairs);
    }
    if !facts.doubts.is_empty() {
        return inconclusive(Ground::CoinInDoubt);
    }
    if facts.partial && facts.decide == Decide::P {
        return inconclusive(Ground::Interim);
    }
    let accounts = facts.accounts.as_ref().is_some_and(|a| a.rejected);
    let ground = match (facts.pooled.rejected, accounts) {
        (true, true) => Ground::Both,
        (true, false) => Ground::Pooled,
        (false, true) => Ground::Accounts,
        (false, false) if facts.together.is_some_and(|(_, passed)| passed) => Ground::Together,
        (false, false) => {
            return match facts.min_detectable_effect {
                Some(effect) if effect <= facts.target_effect => {
                    Decision { verdict: VerdictKind::NoEvidence, ground: Ground::NothingFound }
                }
                _ => inconclusive(Ground::TooLittlePower),
            };
        }
    };
    let verdict =
        if facts.coin >= Coin::Server { VerdictKind::Established } else { VerdictKind::Indicated };
    Decision { verdict, ground }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn facts() -> Facts {
        Facts {
            n_pairs: 597,
            pairs_needed: 10,
            alpha: 1e-3,
            decide: Decide::P,
            coin: Coin::Server,
            coin_evidence: CoinEvidence::Declared,
            plan: PlanState::None,
            prompts_fixed: true,
            ages_declared: false,
            pooled: Pooled { log10: -8.5, share: 5e-4, rejected: true },
            accounts: None,
            together: None,
            doubts: Vec::new(),
            min_detectable_effect: Some(0.17),
            target_effect: 0.25,
            partial: false,
        }
    }

    pub(crate) fn accounts(rejected: bool) -> Combined {
        let named =
            if rejected { vec!["acct-03".to_owned(), "acct-11".to_owned()] } else { Vec::new() };
        Combined { log10: -4.0, share: 5e-4, rejected, n_tested: 20, named }
    }

    #[test]
    fn the_rules_in_their_order() {
        use Ground as G;
        use VerdictKind as V;
        let silent = Pooled { log10: -0.4, share: 5e-4, rejected: false };
        let doubt = vec![Doubt { model: "base".into(), log10_p: -6.0 }];
        let cases = [
            (facts(), V::Established, G::Pooled),
            (Facts { coin: Coin::Public, ..facts() }, V::Established, G::Pooled),
            (Facts { coin: Coin::Iid, ..facts() }, V::Indicated, G::Pooled),
            (Facts { coin: Coin::None, ..facts() }, V::Indicated, G::Pooled),
            (Facts { accounts: Some(accounts(true)), ..facts() }, V::Established, G::Both),
            (
                Facts { pooled: silent.clone(), accounts: Some(accounts(true)), ..facts() },
                V::Established,
                G::Accounts,
            ),
            (
                Facts { pooled: silent.clone(), together: Some((3.1, true)), ..facts() },
                V::Established,
                G::Together,
            ),
            (Facts { pooled: silent.clone(), ..facts() }, V::NoEvidence, G::NothingFound),
            (
                Facts { pooled: silent.clone(), min_detectable_effect: Some(0.4), ..facts() },
                V::Inconclusive,
                G::TooLittlePower,
            ),
            (
                Facts { pooled: silent, min_detectable_effect: None, ..facts() },
                V::Inconclusive,
                G::TooLittlePower,
            ),
            (Facts { doubts: doubt.clone(), ..facts() }, V::Inconclusive, G::CoinInDoubt),
            (Facts { n_pairs: 9, doubts: doubt, ..facts() }, V::Inconclusive, G::TooFewPairs),
            (Facts { partial: true, ..facts() }, V::Inconclusive, G::Interim),
            (Facts { partial: true, decide: Decide::E, ..facts() }, V::Established, G::Pooled),
        ];
        for (i, (facts, verdict, ground)) in cases.into_iter().enumerate() {
            assert_eq!(decide(&facts), Decision { verdict, ground }, "case {i}");
        }
    }
}
