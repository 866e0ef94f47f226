//! What findings are called, what they assume, and what they cannot say.

use crate::{
    context::{AuditContext, ScoreKind},
    prepare::Prepared,
};
use stillwatch_evidence::{Coin, CoinEvidence, Decide, PlanState};

/// Name of the deciding pooled test; consumers look for it.
pub(crate) const TWINS: &str = "twins";
/// The pooled test with references where it doesn't decide.
pub(crate) const TWINS_WITH: &str = "twins_with_references";
/// The pooled test without references where it doesn't decide.
pub(crate) const TWINS_WITHOUT: &str = "twins_without_references";
/// The combination over accounts.
pub(crate) const ACCOUNTS: &str = "accounts";

/// The null hypothesis of the pooled test.
pub(crate) fn null(n_references: usize) -> String {
    let who = match n_references {
        0 => "the suspect is",
        1 => "the suspect and the reference are",
        _ => "the suspect and every reference are",
    };
    format!(
        "{who} independent of the coins that chose, of texts equally likely to be released, \
         which one was"
    )
}

/// The null hypothesis of the combination over accounts.
pub(crate) const ACCOUNTS_NULL: &str = "for every account, the suspect and every reference are independent of the coins thrown for \
     that account";

/// What decides how a finding reads.
pub(crate) struct About<'a> {
    pub context: &'a AuditContext,
    pub prepared: &'a Prepared,
    pub decide: Decide,
    /// This finding takes part in the verdict.
    pub decides: bool,
    /// References that correct it.
    pub n_references: usize,
    /// Every one of them is older than the coins, by ledger or declaration.
    pub references_older: bool,
    /// They are, but of some only a declaration says so.
    pub references_declared: bool,
}

/// What a finding assumes.
pub(crate) fn assumptions(about: &About<'_>) -> Vec<String> {
    let context = about.context;
    let mut out = vec![coin(about.prepared.coin, context.coin_evidence).to_owned()];
    out.push("one coin is one unit: rows that share a coin are joined in one".to_owned());
    out.push(
        "pairs were kept, dropped, cut and ordered only by rules that don't look at which text \
         was released"
            .to_owned(),
    );
    out.push(match (about.decide, context.prompts_fixed) {
        (_, true) => "all prompts were fixed before the first coin was thrown".to_owned(),
        (Decide::P, false) => {
            "a fixed-n p-value is exact if all prompts were fixed before the first coin was \
             thrown; nobody says so here, and for prompts that react to earlier answers the \
             e-value is the one to decide by"
                .to_owned()
        }
        (Decide::E, false) => {
            "the e-value holds for prompts that react to earlier answers too, if the rows stand \
             in the order in which the coins were thrown; the p-value is reported only"
                .to_owned()
        }
    });
    if about.n_references > 0 {
        out.push(if about.references_declared {
            "the references' weights are older than the coins, as declared; one that saw the \
             withheld texts would convict an innocent suspect"
                .to_owned()
        } else if about.references_older {
            "the references' weights are older than the coins (ledger checked)".to_owned()
        } else {
            "the references never saw which texts were released; their age is unknown, so this \
             finding doesn't decide"
                .to_owned()
        });
    }
    if !about.decides {
        out.push("reported beside the deciding finding; it doesn't decide".to_owned());
    }
    match context.score_kind {
        ScoreKind::LogLikelihood => {}
        ScoreKind::Similarity => out.push(
            "the suspect gives no likelihoods: texts are scored by their similarity to its \
             answers, which has the same null and less power"
                .to_owned(),
        ),
        ScoreKind::ForcedChoice => out.push(
            "the suspect gives no likelihoods: it was asked which text it wrote, order balanced, \
             which has the same null and less power"
                .to_owned(),
        ),
        ScoreKind::Given => {
            out.push("the scores were made elsewhere, for both texts alike".to_owned());
        }
    }
    if context.unopened_leaves > 0 {
        out.push(format!(
            "{} ledger leaves were not opened; each counts as an adverse pair of the largest \
             magnitude",
            context.unopened_leaves
        ));
    }
    if about.prepared.n_repeats > 0 {
        out.push(format!(
            "{} units repeat another's scores to the last digit by chance; were they copies of one \
             pair they would share its coin, and without a common `unit` the error rate would \
             not hold",
            about.prepared.n_repeats
        ));
    }
    if about.prepared.n_ties > 0 {
        out.push(format!(
            "{} units with equal scores for all their texts stay in as zeros; they speak for \
             neither side",
            about.prepared.n_ties
        ));
    }
    out
}

fn coin(coin: Coin, evidence: CoinEvidence) -> &'static str {
    match (coin, evidence) {
        (Coin::Public, CoinEvidence::Ledger) => {
            "both texts were committed by slot, and the head anchored, before the public beacon \
             round that threw the coin (ledger checked)"
        }
        (Coin::Public, CoinEvidence::Declared) => {
            "a public beacon threw the coin after both texts were committed by slot, as declared"
        }
        (Coin::Server, CoinEvidence::Ledger) => {
            "the owner's random generator threw a fair coin for each pair, committed before the \
             texts existed (ledger checked)"
        }
        (Coin::Server, CoinEvidence::Declared) => {
            "the owner's random generator threw a fair coin for each pair, as declared"
        }
        (Coin::Iid, _) => {
            "the withheld texts were drawn later from the same model with the same settings, as \
             if a coin had chosen; nothing secures that"
        }
        (Coin::None, _) => {
            "no coin was thrown: the score is compared with the threshold that a fair coin would \
             need, and is no p-value"
        }
    }
}

/// What a pooled finding cannot say.
pub(crate) fn cannot_say(about: &About<'_>) -> Vec<String> {
    let mut out: Vec<String> = [
        "by which route the texts reached the suspect: the API, a published chat, another model, \
         retrieval at query time",
        "who trained it, or whether a contract was broken",
        "how much of its training data the texts were",
        "anything about texts that were not exposed",
        "that the suspect did not see the texts, where nothing is found: only that an effect of \
         the stated size would have shown",
    ]
    .map(str::to_owned)
    .to_vec();
    if about.context.plan == PlanState::None {
        out.push("that the question came before the look: no plan was sealed".to_owned());
    }
    out
}
