//! P-values of accounts against accounts that are declared innocent.

use std::collections::BTreeMap;
use stillwatch_stats::conformal_rank_clustered;
use stillwatch_traffic::{AccountSketch, Analysis};

/// Clusters of innocents that a stratum needs: with fewer no p-value is below 5%.
const CLUSTERS_MIN: usize = 19;

/// Accounts declared innocent, each with its cluster: an office, an application, a household.
/// Without a cluster an account is its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Innocents {
    clusters: BTreeMap<String, String>,
}

impl Innocents {
    /// Reads one account per line, or `account,cluster`; blank lines and a header
    /// `account,cluster` are skipped.
    ///
    /// # Errors
    /// The line and what is wrong with it: an account twice, more than two fields.
    pub fn parse(text: &str) -> Result<Self, (u64, String)> {
        let mut clusters = BTreeMap::new();
        for (line, number) in text.trim_start_matches('\u{feff}').lines().zip(1..) {
            let line = line.trim();
            if line.is_empty() || number == 1 && matches!(line, "account" | "account,cluster") {
                continue;
            }
            let mut fields = line.split(',').map(str::trim);
            let account = fields.next().unwrap_or_default();
            // A cluster of one: no name of a cluster has a line end.
            let own = || format!("\n{account}");
            let cluster = fields.next().filter(|c| !c.is_empty()).map_or_else(own, str::to_owned);
            if fields.next().is_some() || account.is_empty() {
                return Err((number, "expected an account, or account,cluster".to_owned()));
            }
            if clusters.insert(account.to_owned(), cluster).is_some() {
                return Err((number, format!("account {account} is there twice")));
            }
        }
        Ok(Self { clusters })
    }

    /// Whether none is declared.
    pub fn is_empty(&self) -> bool {
        self.clusters.is_empty()
    }

    /// How many are declared.
    pub fn len(&self) -> usize {
        self.clusters.len()
    }
}

/// Where accounts are compared: the finest of these in which enough innocents are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stratum {
    PlanAndVolume(u32, u32),
    Plan(u32),
    All,
}

impl Stratum {
    /// From the finest on. Volume counts in powers of four.
    fn of(sketch: &AccountSketch) -> [Self; 3] {
        let volume = sketch.n().max(1).ilog2() / 2;
        [Self::PlanAndVolume(sketch.plan(), volume), Self::Plan(sketch.plan()), Self::All]
    }
}

/// P-values of the accounts that something is said of; innocents have none.
///
/// Null: the account belongs to one more cluster, exchangeable with the clusters of the declared
/// innocents of its stratum. The score treats all accounts alike (it is a function of the
/// unordered set of them), so under the null the clusters' largest scores are exchangeable and
/// [`conformal_rank_clustered`] is a p-value; where accounts aren't listed their score is 0, less
/// than any listed one. The stratum is chosen by counts of innocents and by plan and volume,
/// which are compared within it. Weeks of an account count once, within its score.
pub(super) fn p_values(
    analysis: &Analysis,
    accounts: &BTreeMap<String, AccountSketch>,
    innocents: &Innocents,
) -> BTreeMap<String, f64> {
    if innocents.is_empty() {
        return BTreeMap::new();
    }
    let scores: BTreeMap<&str, f64> =
        analysis.accounts.iter().map(|a| (a.account.as_str(), a.score)).collect();
    let mut calibration = BTreeMap::<Stratum, Vec<(&str, f64)>>::new();
    for (account, cluster) in &innocents.clusters {
        let Some(sketch) = accounts.get(account) else { continue };
        let score = scores.get(account.as_str()).copied().unwrap_or(0.0);
        for stratum in Stratum::of(sketch) {
            calibration.entry(stratum).or_default().push((cluster, score));
        }
    }
    calibration.retain(|_, of| {
        let mut clusters: Vec<&str> = of.iter().map(|(cluster, _)| *cluster).collect();
        clusters.sort_unstable();
        clusters.dedup();
        clusters.len() >= CLUSTERS_MIN
    });
    let p_value = |account: &str| {
        let strata = Stratum::of(accounts.get(account)?);
        let calibration = strata.iter().find_map(|stratum| calibration.get(stratum))?;
        Some(conformal_rank_clustered(calibration, *scores.get(account)?).value())
    };
    analysis
        .accounts
        .iter()
        .filter(|a| !innocents.clusters.contains_key(&a.account))
        .filter_map(|a| Some((a.account.clone(), p_value(&a.account)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_innocents() {
        let read = Innocents::parse("account,cluster\r\na,office\nb,office\n\nc\n");
        assert_eq!(read.as_ref().map(Innocents::len), Ok(3));
        for (text, line) in [("a\na", 2), ("a,b,c", 1), ("x\n,office", 2)] {
            assert_eq!(Innocents::parse(text).map_err(|(line, _)| line), Err(line), "{text}");
        }
    }
}
