//! Signatures discovered on one half of the accounts, tested on the other, both ways.
//!
//! The accounts are parted by a keyed hash. What [`analyse`] finds among one half gives
//! signatures; whoever carries one in the other half was no part of its discovery. Their conduct
//! is compared under two nulls ([`NULLS`]), each by permutations, and the smaller e-value counts:
//! it is an e-value while *either* null holds.
//!
//! Why e-values: sides of conduct and weeks of one account depend on each other. E-values are
//! averaged over them and never multiplied. Why compound e-BH: see
//! [`stillwatch_stats::e_bh_compound`]; each half's e-values are divided by twice the number of
//! signatures that the other half gave, which is fixed once that half is.

use super::JudgeParams;
use super::conduct::{
    Account, CODE, HOURS, Side, centred_ranks, code, hours, sides, value, value_of_prompt, week,
};
use super::signature::Signature;
use std::collections::{BTreeMap, BTreeSet};
use stillwatch_stats::{EValue, Stratum, e_bh_compound, mean_e, stratified_e};
use stillwatch_traffic::{AccountSketch, Analysis, KeptPrompt, analyse};

/// What e-values speak against, in words.
pub const NULLS: [&str; 2] = [
    "within strata of plan and volume, it is a matter of chance which of the accounts carry the \
     campaign's signature: carriers behave like comparable accounts (an application's users don't \
     either, so this isn't innocence)",
    "at each time of the day it is a matter of chance which prompts came from carriers and which \
     from comparable accounts, given how much each account asks at that time",
];

/// Permutations of a test: the largest e-value is one more.
pub const N_PERMUTATIONS: u32 = 9_999;

/// Exchanges below which an account says too little, as in `traffic`.
const EXCHANGES_MIN: u64 = 10;
/// Carriers below which nothing is tested.
const CARRIERS_MIN: usize = 4;
/// Carriers, and comparable accounts for each, that are permuted at most (chosen by hash).
const CARRIERS_MAX: usize = 200;
const OTHERS_PER_CARRIER_MAX: usize = 20;
/// Carriers and others whose single prompts are permuted at most (chosen by hash).
const REWIRED_CARRIERS_MAX: usize = 40;
const REWIRED_OTHERS_MAX: usize = 200;
/// Strata of volume within a plan.
const VOLUME_STRATA: usize = 10;
/// Weeks that are looked at, those with most active accounts first.
const WEEKS_MAX: usize = 4;
/// Hours of the day that count as one time.
const TIME_HOURS: u32 = 3;

/// What the tests say of one campaign.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tested {
    pub(super) e: Option<EValue>,
    pub(super) rejected: bool,
    pub(super) n_carriers: u64,
}

/// What the tests say of all.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CrossFit {
    pub(super) n_signatures: u64,
    /// In the order of the analysis.
    pub(super) campaigns: Vec<Tested>,
}

/// A signature with its e-value.
struct Hypothesis {
    half: usize,
    /// Members in the half that it was discovered on.
    members: BTreeSet<String>,
    n_carriers: u64,
    e: EValue,
}

type Half<'a> = BTreeMap<&'a str, &'a AccountSketch>;

/// Tests the campaigns of an analysis of all accounts.
pub(super) fn cross_fit(
    accounts: &BTreeMap<String, AccountSketch>,
    now_ms: i64,
    analysis: &Analysis,
    params: &JudgeParams,
) -> CrossFit {
    let mut halves: [Half<'_>; 2] = [BTreeMap::new(), BTreeMap::new()];
    for (name, sketch) in accounts {
        let [first, second] = &mut halves;
        let half = if hash(&params.key, "half", name) & 1 == 0 { first } else { second };
        half.insert(name.as_str(), sketch);
    }
    let [first, second] = &halves;
    let mut hypotheses = discovered(0, first, second, now_ms, params);
    hypotheses.extend(discovered(1, second, first, now_ms, params));
    let n_of = |half: usize| hypotheses.iter().filter(|h| h.half == half).count() as f64;
    let n = [n_of(0), n_of(1)];
    let shares: Vec<EValue> = hypotheses
        .iter()
        .map(|h| EValue::from_ln(h.e.ln() - (2.0 * n.get(h.half).unwrap_or(&1.0)).ln()))
        .collect();
    let rejected = e_bh_compound(&shares, params.fdr);
    let members: Vec<BTreeSet<&str>> = analysis
        .campaigns
        .iter()
        .map(|c| c.accounts.iter().map(String::as_str).collect())
        .collect();
    let mut of_campaign: Vec<Vec<usize>> = vec![Vec::new(); members.len()];
    for (i, hypothesis) in hypotheses.iter().enumerate() {
        if let Some(of) = belongs_to(hypothesis, &members).and_then(|c| of_campaign.get_mut(c)) {
            of.push(i);
        }
    }
    let tested = |of: &Vec<usize>| {
        let all = || of.iter().filter_map(|i| hypotheses.get(*i));
        let direction = |half: usize| {
            let e: Vec<EValue> = all().filter(|h| h.half == half).map(|h| h.e).collect();
            mean_e(&e)
        };
        Tested {
            e: (!of.is_empty()).then(|| mean_e(&[direction(0), direction(1)])),
            rejected: of.iter().any(|i| rejected.get(*i) == Some(&true)),
            n_carriers: all().map(|h| h.n_carriers).sum(),
        }
    };
    CrossFit {
        n_signatures: hypotheses.len() as u64,
        campaigns: of_campaign.iter().map(tested).collect(),
    }
}

/// The campaign that holds most of a hypothesis' members, at least half of them.
fn belongs_to(hypothesis: &Hypothesis, campaigns: &[BTreeSet<&str>]) -> Option<usize> {
    let common = |campaign: &BTreeSet<&str>| {
        hypothesis.members.iter().filter(|m| campaign.contains(m.as_str())).count()
    };
    let (best, n) = campaigns
        .iter()
        .enumerate()
        .map(|(i, campaign)| (i, common(campaign)))
        .max_by_key(|(i, n)| (*n, std::cmp::Reverse(*i)))?;
    (2 * n >= hypothesis.members.len() && n > 0).then_some(best)
}

/// The signatures of one half with their tests on the other.
fn discovered(
    half: usize,
    discovery: &Half<'_>,
    test: &Half<'_>,
    now_ms: i64,
    params: &JudgeParams,
) -> Vec<Hypothesis> {
    let analysis = analyse(discovery.iter().map(|(name, sketch)| (*name, *sketch)), now_ms);
    let field = Field::new(test);
    analysis
        .campaigns
        .into_iter()
        .filter_map(|campaign| {
            let seed = hash(&params.key, "permutations", &campaign.id);
            // The first signature with enough carriers, whatever their conduct, is tested.
            let signatures = Signature::of(&campaign, discovery);
            let mut parted = signatures.iter().map(|s| (s, field.part(s, &params.key)));
            let (signature, parted) = parted
                .find(|(_, p)| p.usable() >= CARRIERS_MIN)
                .or_else(|| signatures.first().map(|s| (s, field.part(s, &params.key))))?;
            let n_carriers = parted.n_carriers;
            let e = field.test(signature, parted, seed, params.n_permutations);
            let members = campaign.accounts.into_iter().collect();
            Some(Hypothesis { half, members, n_carriers, e })
        })
        .collect()
}

/// The half that signatures are tested on.
struct Field<'a> {
    /// Strata of plan and volume: accounts by name.
    strata: Vec<Vec<(&'a str, &'a AccountSketch)>>,
    weeks: Vec<u32>,
}

impl<'a> Field<'a> {
    fn new(half: &Half<'a>) -> Self {
        let mut known: Vec<(&str, &AccountSketch)> = half
            .iter()
            .filter(|(_, sketch)| sketch.n() >= EXCHANGES_MIN)
            .map(|(name, sketch)| (*name, *sketch))
            .collect();
        known.sort_by_key(|(name, sketch)| (sketch.plan(), sketch.n(), *name));
        let mut strata = Vec::new();
        for plan in known.chunk_by(|a, b| a.1.plan() == b.1.plan()) {
            strata.extend(plan.chunks(plan.len().div_ceil(VOLUME_STRATA)).map(<[_]>::to_vec));
        }
        let mut active = BTreeMap::<u32, u32>::new();
        for (_, sketch) in &known {
            let weeks: BTreeSet<u32> = sketch.kept_items().map(|(time, _)| week(time)).collect();
            for week in weeks {
                *active.entry(week).or_default() += 1;
            }
        }
        let mut weeks: Vec<(u32, u32)> = active.into_iter().map(|(week, n)| (n, week)).collect();
        weeks.sort_unstable_by(|a, b| b.cmp(a));
        weeks.truncate(WEEKS_MAX);
        Self { strata, weeks: weeks.into_iter().map(|(_, week)| week).collect() }
    }

    /// Who carries the signature, stratum by stratum, in the order of a keyed hash, which knows
    /// nothing of conduct.
    fn part(&self, signature: &Signature, key: &[u8; 32]) -> Parted<'a> {
        let mut parted = Parted { n_carriers: 0, strata: Vec::new() };
        for stratum in &self.strata {
            let (mut carriers, mut others) = (Vec::new(), Vec::new());
            for (name, sketch) in stratum {
                let place = (hash(key, "order", name), *sketch);
                let side =
                    if signature.is_carried_by(sketch) { &mut carriers } else { &mut others };
                side.push(place);
            }
            parted.n_carriers += carriers.len() as u64;
            carriers.sort_by_key(|c| c.0);
            others.sort_by_key(|o| o.0);
            if !carriers.is_empty() && !others.is_empty() {
                parted.strata.push([carriers, others]);
            }
        }
        parted
    }

    /// The e-value of "carriers are like others": the smaller of those under the two nulls.
    fn test(&self, signature: &Signature, parted: Parted<'_>, seed: u64, n_draws: u32) -> EValue {
        if parted.usable() < CARRIERS_MIN {
            return EValue::ONE;
        }
        let sides = sides(signature);
        let by_client = matches!(signature, Signature::Client(_));
        let mut strata = parted.strata;
        thin(&mut strata, CARRIERS_MAX, OTHERS_PER_CARRIER_MAX, usize::MAX);
        let mut strata: Vec<[Vec<Account>; 2]> =
            strata.iter().map(|parted| parted.each_ref().map(|of| accounts(of))).collect();
        let relabelled = self.relabelled(&strata, &sides, by_client, seed, n_draws);
        thin(&mut strata, REWIRED_CARRIERS_MAX, OTHERS_PER_CARRIER_MAX, REWIRED_OTHERS_MAX);
        let rewired = self.rewired(&strata, &sides, by_client, seed, n_draws);
        if rewired.ln() < relabelled.ln() { rewired } else { relabelled }
    }

    /// First null: which accounts of a stratum carry the signature is exchangeable.
    fn relabelled(
        &self,
        strata: &[[Vec<Account>; 2]],
        sides: &[Side],
        by_client: bool,
        seed: u64,
        n_draws: u32,
    ) -> EValue {
        let strata: Vec<Stratum> = strata
            .iter()
            .map(|[carriers, others]| {
                let accounts: Vec<&Account> = carriers.iter().chain(others).collect();
                let ranks = |side: &Side, week: Option<u32>| {
                    let values: Vec<Option<f64>> =
                        accounts.iter().map(|account| value(*side, account, week)).collect();
                    centred_ranks(&values)
                };
                let whole: Vec<Vec<f64>> = sides.iter().map(|side| ranks(side, None)).collect();
                let weekly = sides.iter().flat_map(|side| {
                    let ranks = &ranks;
                    self.weeks.iter().map(move |week| ranks(side, Some(*week)))
                });
                let columns: Vec<Vec<f64>> =
                    std::iter::once(total(&whole, accounts.len())).chain(weekly).collect();
                let mut rows = rows(&columns, accounts.len());
                for (row, account) in rows.iter_mut().zip(&accounts) {
                    let client = if by_client { None } else { account.client };
                    row.extend(alike(&code(client)));
                    row.extend(alike(&hours(account)));
                }
                Stratum { rows, n_members: carriers.len() }
            })
            .collect();
        let n = 1 + sides.len() * self.weeks.len();
        let statistics = |sums: &[f64]| with_likeness(sums, n, &[CODE, HOURS]);
        merged(&stratified_e(&strata, statistics, n_draws, seed), n)
    }

    /// Second null: which prompts of a time of the day came from carriers is exchangeable.
    fn rewired(
        &self,
        strata: &[[Vec<Account>; 2]],
        sides: &[Side],
        by_client: bool,
        seed: u64,
        n_draws: u32,
    ) -> EValue {
        let prompts = |which: usize| {
            let accounts = strata.iter().filter_map(move |parted| parted.get(which)).flatten();
            accounts.flat_map(|account| account.prompts.iter().copied())
        };
        let time = |p: &KeptPrompt| p.time_s / 3600 % 24 / TIME_HOURS;
        let strata: Vec<Stratum> = (0..24 / TIME_HOURS)
            .map(|at| {
                let of_carriers: Vec<KeptPrompt> = prompts(0).filter(|p| time(p) == at).collect();
                let of_others = prompts(1).filter(|p| time(p) == at);
                let n_members = of_carriers.len();
                let all: Vec<KeptPrompt> = of_carriers.into_iter().chain(of_others).collect();
                let known: Vec<Vec<f64>> = sides
                    .iter()
                    .filter_map(|side| {
                        let values: Option<Vec<f64>> =
                            all.iter().map(|p| value_of_prompt(*side, p)).collect();
                        let values: Vec<Option<f64>> = values?.into_iter().map(Some).collect();
                        Some(centred_ranks(&values))
                    })
                    .collect();
                let whole = total(&known, all.len());
                let weekly = self.weeks.iter().map(|of| {
                    let in_week = |(x, p): (&f64, &KeptPrompt)| {
                        if week(p.time_s) == *of { *x } else { 0.0 }
                    };
                    whole.iter().zip(&all).map(in_week).collect::<Vec<f64>>()
                });
                let columns: Vec<Vec<f64>> = std::iter::once(whole.clone()).chain(weekly).collect();
                let mut rows = rows(&columns, all.len());
                for (row, prompt) in rows.iter_mut().zip(&all) {
                    let known = !by_client && prompt.profile != 0;
                    let parameters = known.then_some(u32::from(prompt.profile));
                    row.extend(alike(&code(parameters)));
                }
                Stratum { rows, n_members }
            })
            .collect();
        let n = 1 + self.weeks.len();
        let statistics = |sums: &[f64]| with_likeness(sums, n, &[CODE]);
        merged(&stratified_e(&strata, statistics, n_draws, seed), n)
    }
}

type Sides<'a> = [Vec<(u64, &'a AccountSketch)>; 2];

/// Carriers and others by stratum.
struct Parted<'a> {
    n_carriers: u64,
    strata: Vec<Sides<'a>>,
}

impl Parted<'_> {
    /// Carriers that can be compared.
    fn usable(&self) -> usize {
        self.strata.iter().map(|[carriers, _]| carriers.len()).sum()
    }
}

/// A vector and the square of its length: their sums over a group tell how alike its members are.
fn alike(vector: &[f64]) -> impl Iterator<Item = f64> {
    let square = vector.iter().map(|x| x * x).sum::<f64>();
    vector.iter().copied().chain([square])
}

/// The first `n` sums as they are; then for each vector of the given width, followed by its
/// square, the sum of products over pairs of members: `(|Σ v|² − Σ |v|²) / 2`.
fn with_likeness(sums: &[f64], n: usize, widths: &[usize]) -> Vec<f64> {
    let (plain, mut rest) = sums.split_at(n.min(sums.len()));
    let mut statistics = plain.to_vec();
    for width in widths {
        let (vector, after) = rest.split_at((*width).min(rest.len()));
        let [squares, after @ ..] = after else { break };
        let of_sum = vector.iter().map(|x| x * x).sum::<f64>();
        statistics.push((of_sum - squares) / 2.0);
        rest = after;
    }
    statistics
}

fn accounts(of: &[(u64, &AccountSketch)]) -> Vec<Account> {
    of.iter().map(|(_, sketch)| Account::of(sketch)).collect()
}

/// Keeps at most so many carriers and others: from each stratum its share, the first by hash.
fn thin<T>(strata: &mut [[Vec<T>; 2]], carriers_max: usize, others_each: usize, others_max: usize) {
    let n: usize = strata.iter().map(|[carriers, _]| carriers.len()).sum();
    let keep =
        |of: usize, most: usize, n: usize| if n <= most { of } else { (of * most / n).max(1) };
    for [carriers, others] in &mut *strata {
        carriers.truncate(keep(carriers.len(), carriers_max, n));
        others.truncate(carriers.len() * others_each);
    }
    let n: usize = strata.iter().map(|[_, others]| others.len()).sum();
    for [_, others] in strata {
        others.truncate(keep(others.len(), others_max, n));
    }
}

/// A third of the weight on the first statistic (all sides of conduct over all times), a third on
/// the mean of the rest of the first `n` (sides by week), a third on the mean of those behind them
/// (likeness): weights that are fixed beforehand, so the mean is an e-value.
fn merged(e: &[EValue], n: usize) -> EValue {
    let (conduct, likeness) = e.split_at(n.min(e.len()));
    let [whole, weekly @ ..] = conduct else { return EValue::ONE };
    mean_e(&[*whole, mean_e(weekly), mean_e(likeness)])
}

/// Sums of columns, row by row.
fn total(columns: &[Vec<f64>], n: usize) -> Vec<f64> {
    let mut sums = vec![0.0; n];
    for column in columns {
        for (sum, value) in sums.iter_mut().zip(column) {
            *sum += value;
        }
    }
    sums
}

/// Columns as rows.
fn rows(columns: &[Vec<f64>], n: usize) -> Vec<Vec<f64>> {
    let at = |i: usize| columns.iter().map(|c| c.get(i).copied().unwrap_or(0.0)).collect();
    (0..n).map(at).collect()
}

/// A keyed hash for one use.
fn hash(key: &[u8; 32], domain: &str, name: &str) -> u64 {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(domain.as_bytes()).update(&[0]).update(name.as_bytes());
    let mut bytes = [0; 8];
    hasher.finalize_xof().fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
