//! Conformal rank of one score among exchangeable ones.
//!
//! A rank on logs that may themselves be contaminated, or on groups chosen from the same data,
//! is a score and no p-value; whoever calls this must know which of the two it is.

use crate::PValue;
use std::collections::BTreeMap;

/// `(1 + #{calibration ≥ score}) / (n + 1)`: how unusual a large `score` is.
///
/// A p-value under the null that `score` and the `calibration` scores are exchangeable: then the
/// rank of `score` among the n + 1 is uniform if there are no ties, and counting every tie
/// against it can only raise the p-value (Vovk, Gammerman and Shafer 2005, ch. 2). No
/// randomisation, so no seed. NaN among the calibration scores counts as larger; a NaN score has
/// p = 1.
pub fn conformal_rank(calibration: &[f64], score: f64) -> PValue {
    if score.is_nan() {
        return PValue::ONE;
    }
    let at_least = calibration.iter().filter(|c| c.is_nan() || **c >= score).count();
    PValue::new((1 + at_least) as f64 / (calibration.len() + 1) as f64)
}

/// The same where calibration scores come in clusters (an office, an application, a household)
/// whose members resemble each other: each cluster counts once, with its largest score.
///
/// A p-value under the null that `score` belongs to a member of one more cluster which is
/// exchangeable with those of the calibration, whatever happens within clusters and whatever
/// their sizes. Proof: the score is at most its own cluster's largest; the largest scores of all
/// clusters are exchangeable, so [`conformal_rank`] of the cluster's largest is super-uniform, and
/// a smaller score has a larger p-value. Counting members instead isn't one: 5 clusters of 100
/// alike members would give p = 1/501 where the chance is 1/6.
pub fn conformal_rank_clustered<C: Ord>(calibration: &[(C, f64)], score: f64) -> PValue {
    let mut largest = BTreeMap::<&C, f64>::new();
    for (cluster, value) in calibration {
        let value = if value.is_nan() { f64::INFINITY } else { *value };
        let most = largest.entry(cluster).or_insert(f64::NEG_INFINITY);
        *most = most.max(value);
    }
    conformal_rank(&largest.into_values().collect::<Vec<f64>>(), score)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng as _, SeedableRng as _};
    use rand_chacha::ChaCha8Rng;

    /// Share of 4,000 worlds of innocents in which p ≤ level. Clusters of 1 to 40 members share
    /// a habit; some members are odd in every week, so their mean over weeks is odd too.
    fn size(level: f64, clusters: u32) -> f64 {
        let mut rng = ChaCha8Rng::seed_from_u64(17);
        let n = 4_000;
        let hits = (0..n)
            .filter(|_| {
                let mut world = |cluster: u32| -> Vec<(u32, f64)> {
                    let habit: f64 = rng.random_range(0.0..4.0);
                    (0..rng.random_range(1..=40))
                        .map(|_| {
                            let oddball = if rng.random_bool(0.05) { 3.0 } else { 0.0 };
                            let weeks =
                                (0..4).map(|_| rng.random_range(0.0..1.0f64) + oddball + habit);
                            (cluster, weeks.sum::<f64>() / 4.0)
                        })
                        .collect()
                };
                let calibration: Vec<(u32, f64)> = (0..clusters).flat_map(&mut world).collect();
                let score = world(clusters).last().map_or(0.0, |(_, score)| *score);
                let p = conformal_rank_clustered(&calibration, score);
                p.value() <= level
            })
            .count();
        hits as f64 / f64::from(n)
    }

    #[test]
    fn clusters_of_innocents_are_no_surprise() {
        for (level, clusters) in [(0.05, 19), (0.1, 9), (0.25, 7), (0.01, 99)] {
            let size = size(level, clusters);
            let error = (level * (1.0 - level) / 4_000.0f64).sqrt();
            assert!(size <= level + 3.0 * error, "{level}: {size}");
        }
    }

    #[test]
    fn counting_members_of_clusters_would_accuse_innocents() {
        // Five clusters of 100 alike members, and one more: the largest of six by chance.
        let mut rng = ChaCha8Rng::seed_from_u64(18);
        let (mut by_member, mut by_cluster) = (0, 0);
        for _ in 0..2_000 {
            let calibration: Vec<(u32, f64)> = (0..5)
                .flat_map(|cluster| vec![(cluster, rng.random_range(0.0..1.0)); 100])
                .collect();
            let score = rng.random_range(0.0..1.0);
            let members: Vec<f64> = calibration.iter().map(|c| c.1).collect();
            by_member += i32::from(conformal_rank(&members, score).value() <= 0.01);
            by_cluster += i32::from(conformal_rank_clustered(&calibration, score).value() <= 0.01);
        }
        assert!(by_member > 200, "{by_member} of 2,000");
        assert_eq!(by_cluster, 0);
    }

    #[test]
    fn alone_each_is_the_plain_rank() {
        let scores = [1.0, 2.0, 3.0, f64::NAN];
        let apart: Vec<(usize, f64)> = scores.iter().copied().enumerate().collect();
        for score in [0.0, 2.0, 9.0, f64::NAN] {
            let plain = conformal_rank(&scores, score);
            assert_eq!(conformal_rank_clustered(&apart, score), plain);
        }
    }
}
