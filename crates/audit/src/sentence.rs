//! The verdict in one plain sentence with its error rate.
//!
//! What it must carry: which test spoke, the number that decided and what was allowed, how
//! often an innocent model would be accused so, and what the claim hangs on (the owner's word
//! for the coin, the missing plan).

use crate::{
    format::{counted, e_value, list, probability, rate, thousands, trimmed},
    params::POWER,
    verdict::{Decision, Facts, Ground},
};
use stillwatch_evidence::{Coin, CoinEvidence, Decide, PlanState, VerdictKind};

/// Names in a sentence before the rest is counted.
const NAMES_MAX: usize = 6;

/// Builds the sentence.
pub(crate) fn sentence(facts: &Facts, decision: Decision) -> String {
    let body = match decision.verdict {
        VerdictKind::Established => established(facts, decision.ground),
        VerdictKind::Indicated => indicated(facts, decision.ground),
        VerdictKind::NoEvidence => no_evidence(facts),
        VerdictKind::Inconclusive => inconclusive(facts, decision.ground),
    };
    format!("{body}{}.", caveats(facts, decision.verdict))
}

fn established(facts: &Facts, ground: Ground) -> String {
    format!(
        "Established: the suspect depends on which texts were released; {}, and a model \
         independent of the coins would be accused so in at most {} audits",
        what_spoke(facts, ground),
        rate(facts.alpha),
    )
}

fn indicated(facts: &Facts, ground: Ground) -> String {
    match facts.coin {
        Coin::None => format!(
            "Indicated: the suspect scores the released texts above the withheld ones over {} by \
             more than chance would allow a fair coin, but no coin was thrown, so this is a score \
             and no p-value, and no error rate can be given",
            counted(facts.n_pairs, "pair"),
        ),
        _ => format!(
            "Indicated: the suspect tells released from withheld texts; {}, but the error rate of \
             {} holds only if the withheld texts were drawn exactly as the released ones, which \
             no coin secures",
            what_spoke(facts, ground),
            rate(facts.alpha),
        ),
    }
}

fn no_evidence(facts: &Facts) -> String {
    format!(
        "No evidence that the suspect depends on the released texts: over {} an effect of {} \
         standard deviations per pair would have been found with probability {POWER} (the target \
         is {}) {}; this speaks of these texts only",
        counted(facts.n_pairs, "pair"),
        trimmed(facts.min_detectable_effect.unwrap_or(f64::INFINITY), 2),
        trimmed(facts.target_effect, 2),
        level(facts),
    )
}

/// What the number that decides is held against. Without a coin there is no error rate.
fn level(facts: &Facts) -> String {
    match facts.coin {
        Coin::None => "at the threshold that a fair coin would need".to_owned(),
        _ => format!("at an error rate of {}", rate(facts.alpha)),
    }
}

fn inconclusive(facts: &Facts, ground: Ground) -> String {
    let n = counted(facts.n_pairs, "pair");
    match ground {
        Ground::TooFewPairs => format!(
            "Inconclusive: {n} can't answer {}, which needs at least {}",
            level(facts),
            thousands(facts.pairs_needed as f64),
        ),
        Ground::CoinInDoubt => {
            let models: Vec<String> = facts
                .doubts
                .iter()
                .map(|d| format!("{} (two-sided p = {})", d.model, probability(d.log10_p)))
                .collect();
            if facts.coin == Coin::None {
                return format!(
                    "Inconclusive: no coin was thrown, and models said to be older than the texts \
                     tell released from withheld ones too, namely {}, so that the same from the \
                     suspect says nothing, and no error rate can be given",
                    list(&models, NAMES_MAX),
                );
            }
            format!(
                "Inconclusive: the coin is in doubt, since a model said to be older than the \
                 coins tells released from withheld texts too, namely {}, so that the error rate \
                 of {} can't be vouched for",
                list(&models, NAMES_MAX),
                rate(facts.alpha),
            )
        }
        Ground::Interim => format!(
            "Inconclusive so far: {n} had been scored when the run ended early, and at an error \
             rate of {} a p-value decides only at its planned end, so resume the run",
            rate(facts.alpha),
        ),
        _ => match facts.min_detectable_effect {
            Some(effect) => format!(
                "Inconclusive: nothing was found over {n} {}, but an effect \
                 must reach {} standard deviations per pair to be found with probability {POWER}, \
                 and the target is {}; about {} pairs would do",
                level(facts),
                trimmed(effect, 2),
                trimmed(facts.target_effect, 2),
                thousands((facts.n_pairs as f64 * (effect / facts.target_effect).powi(2)).ceil()),
            ),
            None => format!(
                "Inconclusive: nothing was found over {n} {}, and no effect \
                 would have been found with probability {POWER}",
                level(facts),
            ),
        },
    }
}

/// The test that passed, its number, and what was allowed.
fn what_spoke(facts: &Facts, ground: Ground) -> String {
    let pooled = || {
        format!(
            "the pooled twins test over {} gives {}",
            counted(facts.n_pairs, "pair"),
            against(facts.decide, facts.pooled.log10, facts.pooled.share),
        )
    };
    let Some(accounts) = &facts.accounts else { return pooled() };
    let combined = format!(
        "the combination over {} gives {}",
        counted(accounts.n_tested, "account"),
        against(facts.decide, accounts.log10, accounts.share),
    );
    let named = match accounts.named.len() {
        0 => "no account can be named".to_owned(),
        1 => format!("the account named is {}", list(&accounts.named, NAMES_MAX)),
        _ => format!("the accounts named are {}", list(&accounts.named, NAMES_MAX)),
    };
    match ground {
        Ground::Accounts => format!(
            "the pooled twins test over {} is silent ({}), but {combined}; {named}",
            counted(facts.n_pairs, "pair"),
            number(facts.decide, facts.pooled.log10),
        ),
        Ground::Together => format!(
            "the pooled twins test over {} and {combined}, together {}; {named}",
            counted(facts.n_pairs, "pair"),
            facts.together.map_or_else(String::new, |(log10, _)| against(
                facts.decide,
                log10,
                facts.alpha
            )),
        ),
        Ground::Both => format!("{} and {combined}; {named}", pooled()),
        _ => format!("{}; {named}", pooled()),
    }
}

fn number(decide: Decide, log10: f64) -> String {
    match decide {
        Decide::P => format!("p = {}", probability(log10)),
        Decide::E => format!("e = {}", e_value(log10)),
    }
}

fn against(decide: Decide, log10: f64, share: f64) -> String {
    let bound = match decide {
        Decide::P => format!("at most {} was asked", probability(share.log10())),
        Decide::E => format!("at least {} was asked", e_value(-share.log10())),
    };
    format!("{} ({bound})", number(decide, log10))
}

fn caveats(facts: &Facts, verdict: VerdictKind) -> String {
    let mut out = String::new();
    let claims = matches!(verdict, VerdictKind::Established | VerdictKind::NoEvidence);
    let mut conditions = Vec::new();
    if facts.coin >= Coin::Server && facts.coin_evidence == CoinEvidence::Declared {
        conditions.push("the coin was thrown as declared".to_owned());
    }
    if facts.coin >= Coin::Server && facts.decide == Decide::P && !facts.prompts_fixed {
        conditions.push("all prompts were fixed before the first coin".to_owned());
    }
    if facts.coin >= Coin::Server && facts.ages_declared {
        conditions.push("the references are as old as declared".to_owned());
    }
    if claims && !conditions.is_empty() {
        out.push_str(", if ");
        out.push_str(&list(&conditions, conditions.len()));
    }
    if claims && facts.coin == Coin::None {
        out.push_str(", and no coin was thrown");
    }
    if facts.plan == PlanState::None {
        out.push_str("; no plan was sealed beforehand");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{
        Doubt, Pooled, decide,
        tests::{accounts, facts},
    };

    fn say(facts: &Facts) -> String {
        sentence(facts, decide(facts))
    }

    #[test]
    fn one_sentence_for_each_ground() {
        let silent = Pooled { log10: 0.38f64.log10(), share: 5e-4, rejected: false };
        let cases = [
            facts(),
            Facts {
                plan: PlanState::Sealed,
                coin_evidence: CoinEvidence::Ledger,
                accounts: Some(accounts(true)),
                ..facts()
            },
            Facts { pooled: silent.clone(), accounts: Some(accounts(true)), ..facts() },
            Facts {
                decide: Decide::E,
                pooled: Pooled { log10: 3.4, share: 5e-4, rejected: true },
                ..facts()
            },
            Facts { prompts_fixed: false, ages_declared: true, ..facts() },
            Facts { coin: Coin::Iid, ..facts() },
            Facts { coin: Coin::None, ..facts() },
            Facts { coin: Coin::None, pooled: silent.clone(), ..facts() },
            Facts { pooled: silent.clone(), ..facts() },
            Facts {
                pooled: silent.clone(),
                min_detectable_effect: Some(0.6),
                n_pairs: 50,
                ..facts()
            },
            Facts { n_pairs: 1, ..facts() },
            Facts {
                coin: Coin::None,
                doubts: vec![Doubt { model: "hf:base".into(), log10_p: -6.0 }],
                ..facts()
            },
            Facts { partial: true, ..facts() },
            Facts { doubts: vec![Doubt { model: "hf:base".into(), log10_p: -6.0 }], ..facts() },
        ];
        let all: Vec<String> = cases.iter().map(say).collect();
        insta::assert_snapshot!(all.join("\n"));
        for s in &all {
            assert!(
                !s.to_lowercase().contains("proof") && !s.to_lowercase().contains("prove"),
                "{s}"
            );
            assert!(s.ends_with('.') && s.matches(". ").count() == 0, "one sentence: {s}");
        }
    }
}
