//! From sketches to findings: groups are looked for, measured and judged; accounts are ranked.

use crate::baseline::Baseline;
use crate::candidates::{EXCHANGES_MIN, candidates};
use crate::judge::{Judged, judge};
use crate::measure::Context;
use crate::shared::{self, Shared};
use crate::statistics::Ranks;
use crate::{AccountRisk, AccountSketch, Analysis, Campaign, edges, reasons};

/// Unflagged groups that are reported at most.
const UNFLAGGED_GROUPS_MAX: usize = 100;
/// Accounts outside of groups that are reported at most, the highest scores first.
const SINGLE_ACCOUNTS_MAX: usize = 500;
/// Score (mean of `1 − rank` over the ten statistics; 0.5 is usual) from which a single account
/// is worth a look.
const SINGLE_SCORE_MIN: f64 = 0.75;
/// Times that candidates are judged: what is left of them, then once more for those unflagged.
const ROUNDS: usize = 3;
/// Hashes of shared text reported per group.
const INDICATORS_MAX: usize = 64;

/// What the sketches say of accounts and groups. `accounts` come sorted by name, each once.
pub fn analyse<'a>(
    accounts: impl Iterator<Item = (&'a str, &'a AccountSketch)>,
    now_ms: i64,
) -> Analysis {
    let (names, sketches): (Vec<&str>, Vec<&AccountSketch>) = accounts.unzip();
    let context = Context {
        sketches: &sketches,
        text: &Shared::count(&sketches, shared::text_items),
        networks: &Shared::count(&sketches, shared::networks),
        clients: &Shared::count(&sketches, shared::clients),
        prompts: &Shared::count(&sketches, shared::prompts),
        baseline: &Baseline::of(&sketches),
    };
    let ranks = Ranks::of(&sketches, EXCHANGES_MIN);
    let mut analysis = Analysis {
        time_ms: now_ms,
        n_accounts: names.len() as u64,
        n_exchanges: sketches.iter().map(|s| s.n()).sum(),
        ..Analysis::default()
    };
    let mut in_group = vec![false; sketches.len()];
    let mut unflagged = 0;
    for group in groups(&context) {
        unflagged += usize::from(!group.flagged);
        if !group.flagged && (group.families.is_empty() || unflagged > UNFLAGGED_GROUPS_MAX) {
            continue;
        }
        let campaign = campaign(&context, &names, &group);
        for i in &group.members {
            if let Some(slot) = in_group.get_mut(*i as usize) {
                *slot = true;
            }
            let risk = risk(&context, &names, &ranks, *i as usize, Some((&group, &campaign)));
            analysis.accounts.extend(risk);
        }
        analysis.campaigns.push(campaign);
    }
    let mut singles: Vec<AccountRisk> = (0..sketches.len())
        .filter(|i| in_group.get(*i) == Some(&false))
        .filter(|i| {
            ranks.of.get(*i).is_some_and(|r| r.is_some_and(|(_, score)| score >= SINGLE_SCORE_MIN))
        })
        .filter_map(|i| risk(&context, &names, &ranks, i, None))
        .collect();
    singles.sort_by(by_score);
    singles.truncate(SINGLE_ACCOUNTS_MAX);
    analysis.accounts.append(&mut singles);
    analysis.accounts.sort_by(by_score);
    analysis
}

fn by_score(a: &AccountRisk, b: &AccountRisk) -> std::cmp::Ordering {
    (b.flagged.cmp(&a.flagged))
        .then_with(|| b.score.total_cmp(&a.score))
        .then_with(|| a.account.cmp(&b.account))
}

fn campaign(context: &Context<'_>, names: &[&str], group: &Judged) -> Campaign {
    let accounts: Vec<String> = group
        .members
        .iter()
        .filter_map(|i| names.get(*i as usize).map(|n| (*n).to_owned()))
        .collect();
    Campaign {
        id: id(&accounts),
        score: group.score,
        flagged: group.flagged,
        families: group.families.iter().map(|f| f.name().to_owned()).collect(),
        reasons: reasons::of_group(group, context.baseline),
        measures: group.measures.named(),
        indicators: group.items.iter().take(INDICATORS_MAX).map(|(item, _)| *item).collect(),
        edges: edges::edges(context, group),
        accounts,
    }
}

/// The member with the smallest hash names the group: as long as it stays, the name stays.
fn id(accounts: &[String]) -> String {
    let smallest =
        accounts.iter().map(|a| blake3::hash(a.as_bytes())).min_by_key(|h| *h.as_bytes());
    let hex = smallest.map(|h| h.to_hex().to_string()).unwrap_or_default();
    format!("campaign-{}", hex.get(..8).unwrap_or_default())
}

/// What is said of one account; within a group the group's score counts where it is higher.
fn risk(
    context: &Context<'_>,
    names: &[&str],
    ranks: &Ranks,
    i: usize,
    group: Option<(&Judged, &Campaign)>,
) -> Option<AccountRisk> {
    let (name, sketch) = (names.get(i)?, context.sketches.get(i)?);
    let (own_ranks, own_score) = (*ranks.of.get(i)?)?;
    let medians = ranks.medians.get(*ranks.stratum.get(i)?)?;
    let mut all = group.map_or_else(Vec::new, |(_, campaign)| campaign.reasons.clone());
    all.extend(reasons::of_account(&sketch.statistics().values, &own_ranks, medians));
    // Half of an account's own score: what it does alone never outweighs a group's evidence.
    let own = own_score / 2.0;
    Some(AccountRisk {
        account: (*name).to_owned(),
        n: sketch.n(),
        score: group.map_or(own, |(g, _)| g.score.max(own)),
        flagged: group.is_some_and(|(g, _)| g.flagged),
        campaign: group.map(|(_, c)| c.id.clone()),
        reasons: all,
    })
}

/// Judged groups without overlap, the best first. What a round leaves over of a candidate is
/// judged again, since two campaigns can share a template.
fn groups(context: &Context<'_>) -> Vec<Judged> {
    let candidates = candidates(context);
    let mut taken = vec![false; context.sketches.len()];
    let mut kept: Vec<Judged> = Vec::new();
    for round in 0..ROUNDS {
        let last = round + 1 == ROUNDS;
        let mut judged: Vec<Judged> = candidates
            .iter()
            .filter_map(|candidate| {
                let free = free_of(candidate, &taken);
                let again = free.len() < candidate.len();
                if round > 0 && !again && !last { None } else { judge(context, &free) }
            })
            .collect();
        judged.sort_by(Judged::best_first);
        for group in judged.into_iter().filter(|g| g.flagged || last) {
            let free = free_of(&group.members, &taken);
            let group = match free.len() {
                n if n == group.members.len() => Some(group),
                n if 2 * n > group.members.len() => judge(context, &free),
                _ => None,
            };
            let Some(group) = group.filter(|g| g.flagged || last) else { continue };
            for i in &group.members {
                if let Some(taken) = taken.get_mut(*i as usize) {
                    *taken = true;
                }
            }
            kept.push(group);
        }
    }
    kept.sort_by(Judged::best_first);
    kept
}

fn free_of(members: &[u32], taken: &[bool]) -> Vec<u32> {
    members.iter().copied().filter(|i| taken.get(*i as usize) == Some(&false)).collect()
}
