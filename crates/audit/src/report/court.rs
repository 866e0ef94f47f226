//! What a court's expert will ask, answered in the order in which it is asked.

use super::ReportInput;
use crate::format::{counted, list, thousands};
use maud::{Markup, html};
use stillwatch_evidence::{Coin, CoinEvidence, PlanState, Predates};

/// The questions with this case's answers.
pub(super) fn answers(input: &ReportInput<'_>) -> Markup {
    html! {
        h2 { "What a court’s expert will ask" }
        h3 { "You owned the coin, the twins and the scores. Why believe them?" }
        p { (the_coin(input)) }
        p { (placebos(input)) }
        p { "Receipts: where the guard served the answers, each carried the hash and sequence number of its ledger entry, so clients can be witnesses too; this report holds none of their receipts." }
        p { "The scores can be made again by the other side from the committed texts. " code { "stillwatch verify" } " re-hashes every input and replays the findings from the stored scores; stored scores don’t show who scored." }
        h3 { "By which route did the texts get there?" }
        p { "The test doesn’t know. It finds that the suspect depends on which texts were released: through the API, a published chat, another model trained on them, or retrieval at query time." }
        h3 { "What about traffic that was not exposed?" }
        p { "It says nothing of it. The finding, or its absence, speaks of the " (counted(input.evaluation.result.n_pairs, "pair")) " tested here." }
        h3 { "Was the released text sent at all?" }
        p { (sent(input)) }
        h3 { "Did the plan come before the look?" }
        p { (plan(input)) }
    }
}

fn the_coin(input: &ReportInput<'_>) -> String {
    let grade = &input.evaluation.result.grade;
    let unopened = input.context.unopened_leaves;
    let rest = if unopened == 0 {
        "every leaf of the named range is accounted for".to_owned()
    } else {
        format!("{} leaves were not opened and count against the claim", thousands(unopened as f64))
    };
    match (grade.coin, grade.coin_evidence) {
        (Coin::None, _) => {
            "No coin was thrown, so nobody needs to be believed about one; for that reason this is a score and no p-value.".to_owned()
        }
        (Coin::Iid, _) => {
            "The withheld texts were sampled later. The owner could have picked them, and models drift; for that reason this indicates at most.".to_owned()
        }
        (Coin::Public, CoinEvidence::Ledger) => format!(
            "Both texts were committed by slot and the signed head was anchored before the beacon round that chose; {rest}. A cheating owner could not have chosen."
        ),
        (Coin::Server, CoinEvidence::Ledger) => format!(
            "The coin was committed before the upstream call and the texts by slot after it; sequence numbers are dense, heads are signed, and {rest}. It remains the owner’s own coin."
        ),
        (_, CoinEvidence::Declared) => {
            "Here the owner’s word is all there is: no slots, sequence numbers or anchored heads were checked. An owner who releases whichever text a public model prefers would convict innocent suspects; the ledger and the placebos are the remedy.".to_owned()
        }
    }
}

fn placebos(input: &ReportInput<'_>) -> String {
    let result = &input.evaluation.result;
    let models: Vec<String> = result.grade.placebos.iter().map(|p| p.model.clone()).collect();
    let older: Vec<String> = result
        .references
        .iter()
        .filter(|r| r.predates_coin != Predates::Unknown)
        .map(|r| r.model.clone())
        .collect();
    let mut out = if models.is_empty() {
        "Placebos: none took the test.".to_owned()
    } else {
        format!(
            "Placebos: {} took the identical test, two-sided; the table above has the p-values. A coin rigged by a model that resembles one of them would show there.",
            list(&models, 8)
        )
    };
    if !older.is_empty() {
        out.push_str(
            " References said to be older than the coin, which speak for it in the same way: ",
        );
        out.push_str(&list(&older, 8));
        out.push('.');
    }
    out
}

fn sent(input: &ReportInput<'_>) -> String {
    match input.evaluation.result.grade.coin_evidence {
        CoinEvidence::Ledger => "The ledger shows what was to be sent, before anyone could know the outcome. That it arrived, clients’ receipts can show; the test itself shows that it reached the suspect by some route, where something was found.".to_owned(),
        CoinEvidence::Declared => "The owner says so. Where something was found, the suspect itself shows that the released texts, not the withheld ones, reached it by some route.".to_owned(),
    }
}

fn plan(input: &ReportInput<'_>) -> String {
    match input.evaluation.result.grade.plan {
        PlanState::Sealed => "Yes: suspect, references, placebos, error rate and its split, the deciding number, order, seeds and budget were sealed before the first query, and this run followed them.".to_owned(),
        PlanState::None => "No plan was sealed. The owner may have asked several questions and shown one; the error rate holds only if this was the one question asked.".to_owned(),
    }
}
