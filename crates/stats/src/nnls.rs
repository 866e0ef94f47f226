//! Non-negative least squares from normal equations, for a handful of columns.
//!
//! Minimises `βᵀGβ/2 − cᵀβ` over `β ≥ 0` by the active-set method of Lawson and Hanson (Solving
//! Least Squares Problems, 1974, ch. 23). Forming `G` and `c`, and what the columns mean, is the
//! caller's business. Collinear columns are left out rather than divided by zero.

/// Relative size below which a pivot counts as zero: columns collinear to about seven digits.
const PIVOT_MIN: f64 = 1e-13;
/// A gradient (of columns scaled to length 1) below this share of the target's length is zero.
const GRADIENT_MIN: f64 = 1e-12;

/// The minimiser over `β ≥ 0` of `βᵀGβ/2 − cᵀβ`.
///
/// `gram` holds the rows of G (symmetric, positive semi-definite), `rhs` is c. Columns with no
/// length, and columns that are a combination of those already in, get 0. Same bits in, same
/// bits out.
pub(crate) fn nnls(gram: &[Vec<f64>], rhs: &[f64]) -> Vec<f64> {
    let p = rhs.len();
    let length: Vec<f64> =
        gram.iter().enumerate().map(|(k, row)| row.get(k).copied().unwrap_or(0.0).sqrt()).collect();
    let usable: Vec<bool> = length.iter().map(|l| l.is_finite() && *l > 0.0).collect();
    let unit = |k: usize| if usable[k] { length[k] } else { 1.0 };
    let g: Vec<Vec<f64>> =
        (0..p).map(|a| (0..p).map(|b| gram[a][b] / unit(a) / unit(b)).collect()).collect();
    let c: Vec<f64> = (0..p).map(|k| rhs[k] / unit(k)).collect();
    let size = c.iter().map(|v| v.abs()).fold(0.0, f64::max);

    let mut blocked: Vec<bool> = usable.iter().map(|u| !u).collect();
    let mut passive: Vec<usize> = Vec::new();
    let mut beta = vec![0.0; p];
    // Each round adds one column; the objective falls strictly, so no passive set comes twice.
    for _ in 0..(4 * p + 8) {
        let gradient = |k: usize| c[k] - (0..p).map(|l| g[k][l] * beta[l]).sum::<f64>();
        let candidate = (0..p)
            .filter(|k| !blocked[*k] && !passive.contains(k))
            .map(|k| (k, gradient(k)))
            .max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((entering, slope)) = candidate else { break };
        if slope <= GRADIENT_MIN * size {
            break;
        }
        passive.push(entering);
        passive.sort_unstable();
        while !passive.is_empty() {
            let Some(z) = solve(&g, &c, &passive) else {
                passive.retain(|k| *k != entering);
                blocked[entering] = true;
                break;
            };
            if z.iter().all(|v| *v > 0.0) {
                for (k, v) in passive.iter().zip(&z) {
                    beta[*k] = *v;
                }
                break;
            }
            // As far towards z as stays feasible; whichever column hits zero leaves.
            let ratio = |(k, v): (&usize, &f64)| beta[*k] / (beta[*k] - v);
            let blocking = passive
                .iter()
                .zip(&z)
                .filter(|(_, v)| **v <= 0.0)
                .map(|pair| (*pair.0, ratio(pair)))
                .min_by(|a, b| a.1.total_cmp(&b.1));
            let Some((leaving, step)) = blocking else { break };
            for (k, v) in passive.iter().zip(&z) {
                beta[*k] = (beta[*k] + step * (v - beta[*k])).max(0.0);
            }
            beta[leaving] = 0.0;
            passive.retain(|k| *k != leaving);
            if leaving == entering {
                // Its gradient was positive only by rounding.
                blocked[entering] = true;
            }
        }
    }
    beta.iter().enumerate().map(|(k, b)| b / unit(k)).collect()
}

/// Solves the passive block by Cholesky; `None` if a pivot vanishes.
fn solve(g: &[Vec<f64>], c: &[f64], passive: &[usize]) -> Option<Vec<f64>> {
    let m = passive.len();
    let mut lower = vec![vec![0.0; m]; m];
    for a in 0..m {
        for b in 0..=a {
            let inner: f64 = (0..b).map(|l| lower[a][l] * lower[b][l]).sum();
            let value = g[passive[a]][passive[b]] - inner;
            if a == b {
                if value <= PIVOT_MIN {
                    return None;
                }
                lower[a][a] = value.sqrt();
            } else {
                lower[a][b] = value / lower[b][b];
            }
        }
    }
    let mut y = vec![0.0; m];
    for a in 0..m {
        let inner: f64 = (0..a).map(|l| lower[a][l] * y[l]).sum();
        y[a] = (c[passive[a]] - inner) / lower[a][a];
    }
    for a in (0..m).rev() {
        let inner: f64 = (a + 1..m).map(|l| lower[l][a] * y[l]).sum();
        y[a] = (y[a] - inner) / lower[a][a];
    }
    Some(y)
}

#[cfg(test)]
mod tests {
    use super::nnls;

    const A: [[f64; 3]; 6] = [
        [1.0, 2.0, 0.5],
        [-1.0, 1.0, 2.0],
        [0.5, -0.5, 1.0],
        [2.0, 1.0, -1.0],
        [1.0, 0.0, 3.0],
        [-2.0, 1.0, 0.0],
    ];

    fn normal_equations(b: [f64; 6]) -> (Vec<Vec<f64>>, Vec<f64>) {
        let inner = |j: usize, k: usize| A.iter().map(|row| row[j] * row[k]).sum::<f64>();
        let gram = (0..3).map(|j| (0..3).map(|k| inner(j, k)).collect()).collect();
        let rhs = (0..3).map(|j| A.iter().zip(b).map(|(row, v)| row[j] * v).sum()).collect();
        (gram, rhs)
    }

    #[test]
    fn agrees_with_scipy() {
        // scipy 1.17.1: scipy.optimize.nnls(A, b)[0]
        let table = [
            (
                [3.0, 1.0, 0.0, 2.0, 1.0, -1.0],
                [0.734_232_140_089_880_8, 0.986_517_898_651_79, 0.198_047_419_804_741_97],
            ),
            ([1.0, -2.0, 0.5, 1.0, -3.0, -2.0], [0.555_555_555_555_555_6, 0.0, 0.0]),
            ([-1.0; 6], [0.0, 0.0, 0.0]),
        ];
        for (b, expected) in table {
            let (gram, rhs) = normal_equations(b);
            for (actual, want) in nnls(&gram, &rhs).iter().zip(expected) {
                assert!((actual - want).abs() < 1e-12, "{actual} against {want} for {b:?}");
            }
        }
    }

    #[test]
    fn columns_without_length_or_twice_get_nothing_or_one_share() {
        assert_eq!(nnls(&[vec![0.0]], &[0.0]), [0.0]);
        let both = nnls(&[vec![2.0, 2.0], vec![2.0, 2.0]], &[3.0, 3.0]);
        assert!((both.iter().sum::<f64>() - 1.5).abs() < 1e-12, "{both:?}");
        assert!(both.iter().all(|b| *b >= 0.0));
    }
}
