//! From sketches to findings: groups are looked for, measured and judged; accounts are ranked.

use crate::baseline::Baseline;
use crate::candidates::{EXCHANGES_MIN, candidates};
use crate::judge::{Judged, judge, judge_group};
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
const SINGLE_SCORE_MIN: f64 = 0.6;
/// Times that candidates, or what is left of them, are judged.
const ROUNDS: usize = 3;
/// Unflagged candidates that are measured for the report, and their members at most.
const REPORTED_CANDIDATES_MAX: usize = 200;
const REPORTED_MEMBERS_MAX: usize = 500;
/// Hashes of shared text reported per group.
const INDICATORS_MAX: usize = 64;

/// What the sketches say of accounts and groups, each account once, in any order.
pub fn analyse<'a>(
    accounts: impl Iterator<Item = (&'a str, &'a AccountSketch)>,
    now_ms: i64,
) -> Analysis {
    let mut accounts: Vec<(&str, &AccountSketch)> = accounts.collect();
    accounts.sort_by_key(|(name, _)| *name);
    let (names, sketches): (Vec<&str>, Vec<&AccountSketch>) = accounts.into_iter().unzip();
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
/// judged again, since two campaigns can share a template; in the end the largest of the rest are
/// measured for the report.
fn groups(context: &Context<'_>) -> Vec<Judged> {
    let mut candidates = candidates(context);
    let mut taken = vec![false; context.sketches.len()];
    let mut kept: Vec<Judged> = Vec::new();
    for round in 0..ROUNDS {
        let judged = candidates.iter().flat_map(|candidate| {
            let free = free_of(candidate, &taken);
            let anew = round == 0 || free.len() < candidate.len();
            if anew { judge(context, &free) } else { Vec::new() }
        });
        keep(context, judged.collect(), &mut taken, &mut kept);
    }
    candidates.sort_by_key(|c| std::cmp::Reverse(c.len()));
    let rest = candidates
        .iter()
        .filter(|c| c.len() <= REPORTED_MEMBERS_MAX)
        .take(REPORTED_CANDIDATES_MAX)
        .filter_map(|c| judge_group(context, &free_of(c, &taken), &[], true));
    keep(context, rest.filter(|g| !g.flagged).collect(), &mut taken, &mut kept);
    kept.sort_by(Judged::best_first);
    kept
}

/// Keeps groups as far as their members are free, the best first.
fn keep(
    context: &Context<'_>,
    mut judged: Vec<Judged>,
    taken: &mut [bool],
    kept: &mut Vec<Judged>,
) {
    judged.sort_by(Judged::best_first);
    for group in judged {
        let free = free_of(&group.members, taken);
        let group = if free.len() == group.members.len() {
            Some(group)
        } else if 2 * free.len() > group.members.len() {
            judge_group(context, &free, &group.text(), !group.flagged)
                .filter(|g| g.flagged == group.flagged)
        } else {
            None
        };
        let Some(group) = group else { continue };
        for i in &group.members {
            if let Some(taken) = taken.get_mut(*i as usize) {
                *taken = true;
            }
        }
        kept.push(group);
    }
}

fn free_of(members: &[u32], taken: &[bool]) -> Vec<u32> {
    members.iter().copied().filter(|i| taken.get(*i as usize) == Some(&false)).collect()
}
