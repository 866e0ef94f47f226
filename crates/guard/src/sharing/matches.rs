//! What of another provider's file is met here, and how often that happens by chance.
//!
//! Two rates are stated. *By hashing*: a local item equals an unrelated shared one because their
//! 32-bit or 64-bit hashes collide, computed from the sizes of both sets as a Poisson tail. *By
//! use*: texts that honest accounts share with harvesters (a well-known prompt), measured on the
//! local campaigns and accounts that aren't flagged, with its upper confidence limit. The second
//! is the one that matters.

use super::file::{HASH_BITS, HASHES};
use super::{IndicatorFile, SharedKey};
use crate::GuardError;
use serde::Serialize;
use std::collections::BTreeSet;
use stillwatch_traffic::Analysis;

/// Hashes that must be met before a match is reported.
pub const MATCHED_MIN: usize = 3;
/// Bits of the detector's own items.
const ITEM_BITS: u32 = 32;

/// A set of items of one account or campaign, as the detector has them.
#[derive(Debug, Clone)]
pub struct LocalItems<'a> {
    /// The account or campaign.
    pub name: &'a str,
    /// Whether it is a campaign.
    pub is_campaign: bool,
    /// Whether it is flagged here.
    pub flagged: bool,
    /// Its items; 0 means none.
    pub items: &'a [u32],
}

/// One match.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Match {
    /// The local account or campaign.
    pub local: String,
    /// Whether it is a campaign.
    pub is_campaign: bool,
    /// Whether it is flagged here already.
    pub flagged: bool,
    /// The campaign in the file.
    pub shared: String,
    /// Families of evidence that the other provider names.
    pub families: Vec<String>,
    /// Accounts there, rounded down to a power of two.
    pub accounts: u64,
    /// Items met.
    pub matched: usize,
    /// Items of the local side.
    pub of: usize,
    /// The chance that so many are met by colliding hashes alone, over all comparisons made.
    pub by_hashing: f64,
}

/// What was met, and how much it means.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MatchReport {
    /// Who made the file.
    pub source: String,
    /// Matches, the most items first.
    pub matches: Vec<Match>,
    /// Comparisons made: local sets times campaigns in the file.
    pub n_comparisons: u64,
    /// Local sets that aren't flagged.
    pub n_benign: u64,
    /// Those of them that matched.
    pub n_benign_matched: u64,
    /// Their share: how often an account or group that isn't flagged here matches.
    pub false_match_rate: f64,
    /// The 95% upper limit of that rate (Clopper and Pearson 1934); without any benign sets: 1.
    pub false_match_rate_max: f64,
    /// What this says and what it doesn't.
    pub note: String,
}

/// The local campaigns of an analysis, as sets to be matched.
pub fn local_campaigns(analysis: &Analysis) -> Vec<LocalItems<'_>> {
    let campaigns = analysis.campaigns.iter();
    campaigns
        .map(|campaign| LocalItems {
            name: &campaign.id,
            is_campaign: true,
            flagged: campaign.flagged,
            items: &campaign.indicators,
        })
        .collect()
}

/// Compares a file with what is known here.
///
/// # Errors
/// The file isn't one that [`super::import_file`] took.
pub fn matches(
    key: &SharedKey,
    file: &IndicatorFile,
    locals: &[LocalItems<'_>],
) -> Result<MatchReport, GuardError> {
    let hasher = file.hasher(key)?;
    let shared: Vec<BTreeSet<u64>> = file
        .campaigns
        .iter()
        .map(|campaign| campaign.parsed_hashes().unwrap_or_default().into_iter().collect())
        .collect();
    let n_comparisons = (locals.len() * shared.len()) as u64;
    let mut found = Vec::new();
    let (mut n_benign, mut n_benign_matched) = (0, 0);
    for local in locals {
        let items: BTreeSet<u32> = local.items.iter().copied().filter(|item| *item != 0).collect();
        let hashes: Vec<u64> = items.iter().map(|item| hasher.hash(*item)).collect();
        let before = found.len();
        for (campaign, of_campaign) in file.campaigns.iter().zip(&shared) {
            let matched = hashes.iter().filter(|hash| of_campaign.contains(*hash)).count();
            if matched >= MATCHED_MIN {
                let chance = collision_tail(hashes.len(), matched) * n_comparisons as f64;
                found.push(Match {
                    local: local.name.to_owned(),
                    is_campaign: local.is_campaign,
                    flagged: local.flagged,
                    shared: campaign.id.clone(),
                    families: campaign.families.clone(),
                    accounts: campaign.accounts,
                    matched,
                    of: hashes.len(),
                    by_hashing: chance.min(1.0),
                });
            }
        }
        if !local.flagged {
            n_benign += 1;
            n_benign_matched += u64::from(found.len() > before);
        }
    }
    found.sort_by(|a, b| (b.matched, &a.local, &a.shared).cmp(&(a.matched, &b.local, &b.shared)));
    let rate = if n_benign == 0 { 0.0 } else { n_benign_matched as f64 / n_benign as f64 };
    let rate_max = upper_limit(n_benign_matched, n_benign);
    Ok(MatchReport {
        source: file.source.clone(),
        matches: found,
        n_comparisons,
        n_benign,
        n_benign_matched,
        false_match_rate: rate,
        false_match_rate_max: rate_max,
        note: format!(
            "A match says that texts are shared with what another provider calls a campaign, not \
             that the account harvests. Of {n_benign} local sets that aren't flagged \
             {n_benign_matched} match; the rate is at most {:.2}% (95% limit). Sets counted as not \
             flagged may hold harvesters that are unknown here, so the rate errs upwards.",
            rate_max * 100.0
        ),
    })
}

/// P(at least `matched` of `n` items meet one of [`HASHES`] unrelated hashes by collision):
/// the Poisson tail, by its first term times the geometric bound on the rest.
fn collision_tail(n: usize, matched: usize) -> f64 {
    let per_pair = 2f64.powi(-item_bits()) + 2f64.powi(-file_bits());
    let mean = n as f64 * HASHES as f64 * per_pair;
    let mut term = (-mean).exp();
    for k in 1..=matched {
        term *= mean / k as f64;
    }
    let ratio = mean / (matched as f64 + 1.0);
    (term / (1.0 - ratio.min(0.999))).min(1.0)
}

fn item_bits() -> i32 {
    i32::try_from(ITEM_BITS).unwrap_or(i32::MAX)
}

fn file_bits() -> i32 {
    i32::try_from(HASH_BITS).unwrap_or(i32::MAX)
}

/// The one-sided 95% upper limit of a rate: the p with P(X ≤ k | n, p) = 0.05, by bisection.
fn upper_limit(k: u64, n: u64) -> f64 {
    if n == 0 || k >= n {
        return 1.0;
    }
    let (mut low, mut high) = (k as f64 / n as f64, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if binomial_cdf(k, n, middle) > 0.05 {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

fn binomial_cdf(k: u64, n: u64, p: f64) -> f64 {
    let (ln_p, ln_q) = (p.ln(), (-p).ln_1p());
    let mut ln_choose = 0.0;
    let mut sum = 0.0;
    for i in 0..=k {
        if i > 0 {
            ln_choose += ((n - i + 1) as f64).ln() - (i as f64).ln();
        }
        sum += (ln_choose + i as f64 * ln_p + (n - i) as f64 * ln_q).exp();
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upper_limits_are_those_of_tables() {
        // The rule of three, and textbook values of one-sided 95% limits.
        for (k, n, expected) in
            [(0, 100, 0.02951), (0, 10, 0.25887), (1, 10, 0.39416), (5, 100, 0.10225)]
        {
            let limit = upper_limit(k, n);
            assert!((limit - expected).abs() < 1e-4, "{k}/{n}: {limit}");
        }
        assert!((upper_limit(0, 0) - 1.0).abs() < f64::EPSILON);
        assert!((upper_limit(7, 7) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn collisions_are_rare_and_more_of_them_rarer() {
        let one = collision_tail(256, 1);
        // 256 × 256 pairs at 2^-32 each.
        assert!((one - 65536.0 / 2f64.powi(32)).abs() < 1e-7, "{one}");
        assert!(collision_tail(256, 3) < 1e-12);
        assert!(collision_tail(256, 2) < one);
    }
}
