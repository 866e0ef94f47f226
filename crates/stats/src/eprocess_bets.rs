//! Bets on where the released text stands within its set: a mixture over strengths and shapes.
//!
//! Takes standardised scores from `eprocess_predict` and, last of all, the released text's
//! position.

/// How a standardised score enters the bet: odd, non-decreasing, bounded.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    /// The sign alone: ties and wild magnitudes cost nothing.
    Sign,
    /// Linear up to a width: small shifts in all sets.
    Clip { width: f64 },
    /// Nothing up to `from`, linear over the next `span`: large shifts in few sets.
    Hinge { from: f64, span: f64 },
}

impl Shape {
    fn score(self, z: f64) -> f64 {
        match self {
            Self::Sign => {
                if z > 0.0 {
                    1.0
                } else if z < 0.0 {
                    -1.0
                } else {
                    0.0
                }
            }
            Self::Clip { width } => z.clamp(-width, width),
            Self::Hinge { from, span } => ((z.abs() - from) / span).clamp(0.0, 1.0).copysign(z),
        }
    }
}

/// One shape with its ladder of strengths: `least · 2^i`, each with prior mass.
#[derive(Debug, Clone, Copy)]
struct Ladder {
    shape: Shape,
    least: f64,
    mass: &'static [f64],
}

const LADDERS: &[Ladder] = &[
    Ladder { shape: Shape::Sign, least: 0.125, mass: &[1.0, 1.0, 1.0, 1.0, 1.0] },
    Ladder { shape: Shape::Clip { width: 1.0 }, least: 0.125, mass: &[1.0, 1.0, 1.0, 1.0, 1.0] },
    Ladder { shape: Shape::Clip { width: 3.0 }, least: 0.125, mass: &[1.0, 1.0, 1.0, 1.0, 1.0] },
    Ladder { shape: Shape::Hinge { from: 2.5, span: 1.0 }, least: 0.5, mass: &[1.0, 1.0, 1.0] },
];

/// Above this the wealths are divided by their sum, which moves to the logarithm.
const RESCALE_ABOVE: f64 = 1e100;
/// Below this likewise.
const RESCALE_BELOW: f64 = 1e-100;

/// Wealth of each bet of the mixture.
#[derive(Debug, Clone)]
pub(crate) struct Wealth {
    bets: Vec<f64>,
    ln_unit: f64,
    total: f64,
    powers: Vec<f64>,
}

impl Wealth {
    pub(crate) fn new() -> Self {
        let mass: f64 = LADDERS.iter().flat_map(|l| l.mass).sum();
        let bets: Vec<f64> = LADDERS.iter().flat_map(|l| l.mass).map(|m| m / mass).collect();
        Self { bets, ln_unit: 0.0, total: 1.0, powers: Vec::new() }
    }

    /// Natural logarithm of the mixture's wealth: the e-value so far.
    pub(crate) fn ln(&self) -> f64 {
        self.ln_unit + self.total.ln()
    }

    /// Settles one set: `z` standardised and in an order blind to the coin, `released` the
    /// position that the coin chose.
    pub(crate) fn settle(&mut self, z: &[f64], released: usize) {
        if let [high, _] = z {
            let z = if released == 0 { *high } else { -*high };
            if z == 0.0 {
                return;
            }
            self.settle_pair(z);
        } else {
            self.settle_set(z, released);
        }
        self.total = self.bets.iter().sum();
        if !(RESCALE_BELOW..=RESCALE_ABOVE).contains(&self.total) && self.total > 0.0 {
            let unit = self.total.recip();
            self.bets.iter_mut().for_each(|b| *b *= unit);
            self.ln_unit += self.total.ln();
            self.total = self.bets.iter().sum();
        }
    }

    /// For a pair, scores v and −v, the factor is `1 + tanh(strength · v)`. The two outcomes'
    /// factors are `high` and `2 − high`: their mean is 1 in floating point too.
    fn settle_pair(&mut self, z: f64) {
        let mut bets = self.bets.iter_mut();
        for ladder in LADDERS {
            let v = ladder.shape.score(z.abs());
            let mut power = (-2.0 * ladder.least * v).exp();
            for bet in bets.by_ref().take(ladder.mass.len()) {
                let high = 2.0 / (1.0 + power);
                *bet *= if z > 0.0 { high } else { 2.0 - high };
                power *= power;
            }
        }
    }

    fn settle_set(&mut self, z: &[f64], released: usize) {
        let n = z.len() as f64;
        let mut bets = self.bets.iter_mut();
        for ladder in LADDERS {
            let scores = z.iter().map(|z| ladder.shape.score(*z));
            let top = scores.clone().fold(f64::NEG_INFINITY, f64::max);
            self.powers.clear();
            self.powers.extend(scores.map(|v| (ladder.least * (v - top)).exp()));
            for bet in bets.by_ref().take(ladder.mass.len()) {
                let sum: f64 = self.powers.iter().sum();
                *bet *= n * self.powers[released] / sum;
                self.powers.iter_mut().for_each(|p| *p *= *p);
            }
        }
    }
}
