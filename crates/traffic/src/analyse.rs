//! From sketches to findings: groups are looked for, measured and judged; accounts are ranked.

use crate::candidates::candidates;
use crate::judge::{Judged, is_worth_reading, judge, judge_group};
use crate::measure::Context;
use crate::shared::{self, Shared};
use crate::sketches::{Held, InMemory, Sketches, Source, StreamBounds};
use crate::survey::Survey;
use crate::{AccountRisk, AccountSketch, Analysis, Campaign, edges, reasons};
use std::collections::BTreeMap;

/// Unflagged groups that are reported at most.
const UNFLAGGED_GROUPS_MAX: usize = 100;
/// Accounts outside of groups that are reported at most, the highest scores first.
const SINGLE_ACCOUNTS_MAX: usize = 500;
/// Score (mean of `1 − rank` over the ten statistics; 0.5 is usual) from which a single account
/// is worth a look.
const SINGLE_SCORE_MIN: f32 = 0.6;
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
    let (names, sketches) = accounts.into_iter().unzip();
    let population = InMemory { names, sketches };
    let bounds = StreamBounds::LIVE;
    let source = Source { sketches: &population, in_memory: Some(&population.sketches), bounds };
    let Ok(analysis) = of_source(&source, now_ms);
    analysis
}

/// The same of sketches that are read several times and never all in memory: a first pass keeps
/// some hundred bytes of each account, the next ones count what accounts share, the last ones read
/// the members of candidate groups, so many at once as the bounds allow.
///
/// # Errors
/// The sketches can't be read.
pub fn analyse_streamed<S: Sketches>(
    sketches: &S,
    now_ms: i64,
    bounds: StreamBounds,
) -> Result<Analysis, S::Error> {
    of_source(&Source { sketches, in_memory: None, bounds }, now_ms)
}

fn of_source<S: Sketches>(source: &Source<'_, S>, now_ms: i64) -> Result<Analysis, S::Error> {
    let survey = Survey::of(source)?;
    let n = survey.facts.len();
    let context = Context {
        held: &Held::Some(BTreeMap::new()),
        facts: &survey.facts,
        text: &Shared::count(source, n, shared::text_items)?,
        networks: &Shared::count(source, n, shared::networks)?,
        clients: &Shared::count(source, n, shared::clients)?,
        prompts: &Shared::count(source, n, shared::prompts)?,
        baseline: &survey.baseline,
    };
    let mut analysis = Analysis {
        time_ms: now_ms,
        n_accounts: n as u64,
        n_exchanges: survey.n_exchanges,
        ..Analysis::default()
    };
    let mut unflagged = 0;
    let mut groups = groups(source, &context, &survey.compared())?;
    groups.retain(|group| {
        unflagged += usize::from(!group.flagged);
        group.flagged || !group.families.is_empty() && unflagged <= UNFLAGGED_GROUPS_MAX
    });
    let members: Vec<Vec<u32>> = groups.iter().map(|g| g.members.clone()).collect();
    let mut in_group = vec![false; n];
    source.with_members(&members, |held, at| {
        let Some(group) = groups.get(at) else { return };
        let campaign = campaign(&Context { held, ..context }, &survey, group);
        for i in &group.members {
            if let Some(slot) = in_group.get_mut(*i as usize) {
                *slot = true;
            }
            analysis.accounts.extend(risk(&survey, *i, Some((group, &campaign))));
        }
        analysis.campaigns.push(campaign);
    })?;
    let mut singles: Vec<(f32, u32)> = survey
        .ranks
        .all()
        .iter()
        .filter(|r| r.score >= SINGLE_SCORE_MIN && in_group.get(r.place as usize) == Some(&false))
        .map(|r| (r.score, r.place))
        .collect();
    singles.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    singles.truncate(SINGLE_ACCOUNTS_MAX);
    analysis.accounts.extend(singles.iter().filter_map(|(_, i)| risk(&survey, *i, None)));
    analysis.accounts.sort_by(by_score);
    Ok(analysis)
}

fn by_score(a: &AccountRisk, b: &AccountRisk) -> std::cmp::Ordering {
    (b.flagged.cmp(&a.flagged))
        .then_with(|| b.score.total_cmp(&a.score))
        .then_with(|| a.account.cmp(&b.account))
}

fn campaign(context: &Context<'_>, survey: &Survey, group: &Judged) -> Campaign {
    let name = |i: &u32| survey.names.get(*i).map(str::to_owned);
    let accounts: Vec<String> = group.members.iter().filter_map(name).collect();
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
fn risk(survey: &Survey, i: u32, group: Option<(&Judged, &Campaign)>) -> Option<AccountRisk> {
    let (ranked, medians) = survey.ranks.get(i)?;
    let mut all = group.map_or_else(Vec::new, |(_, campaign)| campaign.reasons.clone());
    all.extend(reasons::of_account(&ranked.values(), &ranked.ranks(), medians));
    // Half of an account's own score: what it does alone never outweighs a group's evidence.
    let own = f64::from(ranked.score) / 2.0;
    Some(AccountRisk {
        account: survey.names.get(i)?.to_owned(),
        n: u64::from(survey.facts.get(i as usize)?.n),
        score: group.map_or(own, |(g, _)| g.score.max(own)),
        flagged: group.is_some_and(|(g, _)| g.flagged),
        campaign: group.map(|(_, c)| c.id.clone()),
        reasons: all,
    })
}

/// Judged groups without overlap, the best first. What a round leaves over of a candidate is
/// judged again, since several campaigns can share a template; in the end the largest of the rest
/// are measured for the report.
fn groups<S: Sketches>(
    source: &Source<'_, S>,
    context: &Context<'_>,
    compared: &[u32],
) -> Result<Vec<Judged>, S::Error> {
    let mut candidates = candidates(source, context, compared)?;
    let mut taken = vec![false; context.facts.len()];
    let mut kept: Vec<Judged> = Vec::new();
    for round in 0..ROUNDS {
        let free: Vec<Vec<u32>> = candidates
            .iter()
            .map(|candidate| (candidate.len(), free_of(candidate, &taken)))
            .filter(|(n, free)| round == 0 || free.len() < *n)
            .map(|(_, free)| free)
            .filter(|free| is_worth_reading(context, free))
            .collect();
        let mut judged = Vec::new();
        source.with_members(&free, |held, at| {
            let candidate = free.get(at).map_or(&[][..], Vec::as_slice);
            judged.extend(judge(&Context { held, ..*context }, candidate));
        })?;
        keep(source, context, judged, &mut taken, &mut kept)?;
    }
    candidates.sort_by_key(|c| std::cmp::Reverse(c.len()));
    let rest: Vec<Vec<u32>> = candidates
        .iter()
        .filter(|c| c.len() <= REPORTED_MEMBERS_MAX)
        .take(REPORTED_CANDIDATES_MAX)
        .map(|c| free_of(c, &taken))
        .collect();
    let mut judged = Vec::new();
    source.with_members(&rest, |held, at| {
        let candidate = rest.get(at).map_or(&[][..], Vec::as_slice);
        let group = judge_group(&Context { held, ..*context }, candidate, &[], true);
        judged.extend(group.filter(|g| !g.flagged));
    })?;
    keep(source, context, judged, &mut taken, &mut kept)?;
    kept.sort_by(Judged::best_first);
    Ok(kept)
}

/// Keeps groups as far as their members are free, the best first.
fn keep<S: Sketches>(
    source: &Source<'_, S>,
    context: &Context<'_>,
    mut judged: Vec<Judged>,
    taken: &mut [bool],
    kept: &mut Vec<Judged>,
) -> Result<(), S::Error> {
    judged.sort_by(Judged::best_first);
    let members: Vec<Vec<u32>> = judged.iter().map(|g| g.members.clone()).collect();
    source.with_members(&members, |held, at| {
        let Some(group) = judged.get(at) else { return };
        let free = free_of(&group.members, taken);
        let group = if free.len() == group.members.len() {
            Some(group.clone())
        } else if 2 * free.len() > group.members.len() {
            let context = Context { held, ..*context };
            judge_group(&context, &free, &group.text(), !group.flagged)
                .filter(|g| g.flagged == group.flagged)
        } else {
            None
        };
        let Some(group) = group else { return };
        for i in &group.members {
            if let Some(taken) = taken.get_mut(*i as usize) {
                *taken = true;
            }
        }
        kept.push(group);
    })
}

fn free_of(members: &[u32], taken: &[bool]) -> Vec<u32> {
    members.iter().copied().filter(|i| taken.get(*i as usize) == Some(&false)).collect()
}
