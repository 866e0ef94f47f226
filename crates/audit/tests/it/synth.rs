//! Synthetic score tables: innocents whose coins are fair, and the guilty in several ways.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stillwatch_evidence::{Coin, ScoreRow, ScoreTable};

/// How a suspect's preference, before the coin, is distributed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Noise {
    /// Standard normal.
    Gaussian,
    /// Student's t with 2 degrees of freedom.
    HeavyTails,
    /// One in five is exactly zero.
    Zeros,
    /// Few distinct values.
    Ties,
    /// Spread grows a hundredfold from row to row.
    Heteroscedastic,
}

/// A table to be drawn.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub n: usize,
    pub k: usize,
    pub noise: Noise,
    /// Preference for the released text, in standard deviations of the corrected noise.
    pub effect: f64,
    /// Correlation between the suspect's preferences and each reference's.
    pub shared: f64,
    pub references: usize,
    /// Accounts in turn; 0: no accounts.
    pub accounts: usize,
    /// Only these accounts carry the effect; empty: all do.
    pub guilty: Vec<usize>,
    pub coin: Coin,
    pub seed: u64,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            n: 200,
            k: 1,
            noise: Noise::Gaussian,
            effect: 0.0,
            shared: 0.9,
            references: 0,
            accounts: 0,
            guilty: Vec::new(),
            coin: Coin::Server,
            seed: 1,
        }
    }
}

impl Plan {
    /// Draws the table: texts are scored first, then the coin chooses among them.
    pub(crate) fn table(&self) -> ScoreTable {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let rows = (0..self.n).map(|i| self.row(i, &mut rng)).collect();
        ScoreTable {
            reference_names: (1..=self.references).map(|r| format!("ref{r}")).collect(),
            rows,
            sha256: String::new(),
        }
    }

    fn row(&self, i: usize, rng: &mut ChaCha8Rng) -> ScoreRow {
        let size = if self.noise == Noise::Heteroscedastic {
            10f64.powf(i as f64 / self.n as f64 * 2.0)
        } else {
            1.0
        };
        let texts = self.k + 1;
        let common: Vec<f64> = (0..texts).map(|_| draw(self.noise, rng) * size).collect();
        let own = (1.0 - self.shared * self.shared).sqrt();
        let mix = |rng: &mut ChaCha8Rng, common: &[f64]| -> Vec<f64> {
            common
                .iter()
                .map(|c| -60.0 + self.shared * c + own * draw(self.noise, rng) * size)
                .collect()
        };
        let mut suspect = if self.references == 0 {
            common.iter().map(|c| -60.0 + c).collect()
        } else {
            mix(rng, &common)
        };
        let references: Vec<Vec<f64>> = (0..self.references).map(|_| mix(rng, &common)).collect();
        let account = (self.accounts > 0).then(|| i % self.accounts);
        let guilty = self.guilty.is_empty() || account.is_some_and(|a| self.guilty.contains(&a));
        // Text 0 is the one that the coin chose; texts are exchangeable before that.
        if guilty && self.effect != 0.0 {
            let spread =
                if self.references == 0 { 2f64.sqrt() } else { 2f64.sqrt() * own.max(0.3) };
            if let Some(released) = suspect.first_mut() {
                *released += self.effect * spread * size;
            }
        }
        ScoreRow {
            id: format!("pair-{i:04}"),
            account: account.map(|a| format!("acct-{a:02}")),
            coin: Some(self.coin),
            unit: None,
            suspect,
            references,
            n_tokens: None,
        }
    }
}

/// One value of the noise.
pub(crate) fn draw(noise: Noise, rng: &mut ChaCha8Rng) -> f64 {
    let g = gaussian(rng);
    match noise {
        Noise::Gaussian | Noise::Heteroscedastic => g,
        Noise::HeavyTails => g / (-rng.random::<f64>().max(1e-12).ln()).sqrt(),
        Noise::Zeros => {
            if rng.random::<f64>() < 0.2 {
                0.0
            } else {
                g
            }
        }
        Noise::Ties => (g * 1.5).round(),
    }
}

/// A standard normal value (Box and Muller).
pub(crate) fn gaussian(rng: &mut ChaCha8Rng) -> f64 {
    let u: f64 = rng.random::<f64>().max(1e-300);
    let v: f64 = rng.random();
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}
