//! Who belongs to a group, permuted within strata: the test behind scans of logs.

use crate::EValue;
use crate::soft_rank::soft_rank_e;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Units among which membership is exchangeable: members' rows first, then the others'.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stratum {
    /// One row of values for each unit, as many in each.
    pub rows: Vec<Vec<f64>>,
    /// How many of the rows, from the first on, are members'.
    pub n_members: usize,
}

/// E-value per statistic of the members' column sums: are they larger than those of other subsets?
///
/// `statistics` turns the sums of the columns over a subset into numbers, always as many.
///
/// Null: within each stratum, given all rows and the number of members, every subset of that size
/// is equally likely to be the members. Then the statistics of the members and those of `n_draws`
/// subsets drawn independently and uniformly within strata are exchangeable, and each one's
/// [`soft_rank_e`] is an e-value by its proof. They depend on each other: average them, never
/// multiply. Fixed seed, same result.
pub fn stratified_e(
    strata: &[Stratum],
    statistics: impl Fn(&[f64]) -> Vec<f64>,
    n_draws: u32,
    seed: u64,
) -> Vec<EValue> {
    let width = strata.iter().flat_map(|s| &s.rows).map(Vec::len).min().unwrap_or(0);
    let mut observed = vec![0.0; width];
    for row in strata.iter().flat_map(|s| s.rows.iter().take(s.n_members)) {
        add(&mut observed, row);
    }
    // Strata that are all members or hold none add the same to every sum.
    let open: Vec<&Stratum> =
        strata.iter().filter(|s| s.n_members > 0 && s.n_members < s.rows.len()).collect();
    let mut settled = vec![0.0; width];
    for row in strata.iter().filter(|s| s.n_members >= s.rows.len()).flat_map(|s| &s.rows) {
        add(&mut settled, row);
    }
    let mut orders: Vec<Vec<usize>> = open.iter().map(|s| (0..s.rows.len()).collect()).collect();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let observed = statistics(&observed);
    let mut drawn = vec![Vec::with_capacity(n_draws as usize); observed.len()];
    let mut sums = vec![0.0; width];
    for _ in 0..n_draws {
        sums.copy_from_slice(&settled);
        for (stratum, order) in open.iter().zip(&mut orders) {
            // A partial shuffle of whatever order is left from the last draw is uniform too.
            for i in 0..stratum.n_members {
                let j = rng.random_range(i..order.len());
                order.swap(i, j);
                add(&mut sums, &stratum.rows[order[i]]);
            }
        }
        for (drawn, value) in drawn.iter_mut().zip(statistics(&sums)) {
            drawn.push(value);
        }
    }
    observed.iter().zip(&drawn).map(|(value, drawn)| soft_rank_e(*value, drawn)).collect()
}

fn add(sums: &mut [f64], row: &[f64]) {
    for (sum, value) in sums.iter_mut().zip(row) {
        *sum += value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::seq::SliceRandom as _;

    /// Strata of different sizes and levels; members are a random subset, shifted by `effect`.
    fn world(rng: &mut ChaCha8Rng, effect: f64) -> Vec<Stratum> {
        [(3, 20), (1, 7), (0, 5), (4, 4), (2, 30)]
            .iter()
            .map(|&(n_members, n)| {
                let level: f64 = rng.random_range(0.0..50.0);
                let mut rows: Vec<Vec<f64>> = (0..n)
                    .map(|_| {
                        let x = rng.random_range(0.0..1.0f64).powi(3) + level;
                        vec![x, (x * 4.0).floor(), 1.0]
                    })
                    .collect();
                rows.shuffle(rng);
                for row in rows.iter_mut().take(n_members) {
                    row[0] += effect;
                }
                Stratum { rows, n_members }
            })
            .collect()
    }

    #[test]
    fn under_the_null_the_mean_is_at_most_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let n = 4_000u32;
        let mut values = vec![Vec::new(); 3];
        for seed in 0..n {
            let e = stratified_e(&world(&mut rng, 0.0), <[f64]>::to_vec, 99, u64::from(seed));
            for (column, e) in values.iter_mut().zip(e) {
                column.push(e.value());
            }
        }
        for (i, column) in values.iter().enumerate() {
            let mean = column.iter().sum::<f64>() / f64::from(n);
            let sd = (column.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / f64::from(n)).sqrt();
            assert!(mean <= 1.0 + 3.0 * sd / f64::from(n).sqrt(), "column {i}: {mean}");
        }
        // What doesn't vary says nothing.
        assert!(values[2].iter().all(|e| (e - 1.0).abs() < 1e-9));
    }

    #[test]
    fn an_effect_is_seen_and_levels_of_strata_are_not() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let e = stratified_e(&world(&mut rng, 2.0), <[f64]>::to_vec, 999, 1);
        assert!(e[0].value() > 50.0, "{}", e[0].value());
        let again = world(&mut ChaCha8Rng::seed_from_u64(6), 2.0);
        assert_eq!(e, stratified_e(&again, <[f64]>::to_vec, 999, 1));
    }

    #[test]
    fn nothing_to_permute_is_no_evidence() {
        assert!(stratified_e(&[], <[f64]>::to_vec, 9, 1).is_empty());
        let all = Stratum { rows: vec![vec![1.0], vec![5.0]], n_members: 2 };
        assert!((stratified_e(&[all], <[f64]>::to_vec, 9, 1)[0].value() - 1.0).abs() < 1e-12);
    }
}
