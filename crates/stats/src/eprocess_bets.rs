//! Bets on where the released text stands within its set: a mixture over strengths and shapes.
//!
//! Takes standardised scores from `eprocess_predict` and, last of all, the released text's
//! position. Two shapes of score, each with a ladder of strengths λ:
//!
//! * *narrow*: `λ · clip(z, ±0.8)`, for heavy tails, where a large |z| says no more than a sign;
//! * *wide*: `λ · clip(z, ±2) + 2 · clip(|z| − 3.5, 0, 1) · sign z`, nearly linear, so close to
//!   the likelihood ratio of a small shift of normal scores, and staking nearly everything on
//!   sets beyond 3.5 standard deviations: few memorised texts among many that aren't. With
//!   strength 0 it bets on those alone.
//!
//! Both are odd, non-decreasing and bounded in z; exact zeros stake nothing. The grid was chosen
//! by measured power, the share of 1,000 runs with e ≥ 1,000 within n pairs (`examples/e_power.rs`;
//! *best* is the best single bet of a fine grid, chosen with hindsight):
//!
//! ```text
//! law            n  shift  mixture  aGRAPA  aGRAPA on signs  online Newton  best
//! gaussian      40    .85      .76     .61              .48            .01   .89
//! gaussian     100    .50      .74     .80              .43            .48   .89
//! gaussian     300    .27      .72     .74              .37            .74   .86
//! gaussian     600    .19      .70     .71              .34            .76   .86
//! t, 2 d.o.f.   40   1.30      .77     .47              .71            .01   .88
//! t, 2 d.o.f.  100    .75      .83     .61              .76            .40   .93
//! t, 2 d.o.f.  300    .40      .82     .59              .76            .68   .92
//! t, 2 d.o.f.  600    .28      .82     .62              .74            .68   .93
//! 2% outliers  600   8.00      .39     .01              .00            .00   .60
//! 70% zeros    100   1.20      .88     .39              .72            .00   .96
//! 70% zeros    300    .55      .82     .87              .53            .48   .90
//! 70% zeros    600    .37      .76     .79              .41            .70   .89
//! ```
//!
//! Adaptive single bets (aGRAPA, Waudby-Smith and Ramdas 2024; online Newton steps, Cutkosky and
//! Orabona 2018) spend too long learning at n = 40 and have nothing for large shifts in few sets.

/// One shape with its ladder of strengths.
#[derive(Debug, Clone, Copy)]
struct Ladder {
    /// Where the linear part ends, in standard deviations.
    width: f64,
    /// Strength of the part beyond 3.5 standard deviations.
    tail: f64,
    /// Prior mass of betting on the tail alone; 0 where there is no tail part.
    tail_alone: f64,
}

const LADDERS: [Ladder; 2] = [
    Ladder { width: 0.8, tail: 0.0, tail_alone: 0.0 },
    Ladder { width: 2.0, tail: 2.0, tail_alone: 2.0 },
];

/// Least strength λ of a ladder; each rung doubles it.
const LEAST_STRENGTH: f64 = 0.011;
/// Prior mass of each rung, λ = 0.011 … 2.8: most where tens to hundreds of sets decide, a little
/// for effects that need 10⁵ sets.
const RUNGS: [f64; 9] = [0.05, 0.05, 0.1, 0.3, 1.0, 1.0, 1.0, 1.0, 0.8];
/// Bets of one ladder: its rungs and the tail alone.
const BETS_PER_LADDER: usize = RUNGS.len() + 1;
/// Bets in the mixture.
const N_BETS: usize = LADDERS.len() * BETS_PER_LADDER;
/// Where the tail part begins, in standard deviations; it is linear over the next one.
const TAIL_FROM: f64 = 3.5;

/// Above this the wealths are divided by their sum, which moves to the logarithm.
const RESCALE_ABOVE: f64 = 1e100;
/// Below this likewise.
const RESCALE_BELOW: f64 = 1e-100;

impl Ladder {
    fn linear(&self, z: f64) -> f64 {
        z.clamp(-self.width, self.width)
    }

    fn tail(&self, z: f64) -> f64 {
        self.tail * (z.abs() - TAIL_FROM).clamp(0.0, 1.0).copysign(z)
    }
}

/// Wealth of each bet of the mixture.
#[derive(Debug, Clone)]
pub(crate) struct Wealth {
    bets: [f64; N_BETS],
    ln_unit: f64,
    total: f64,
    linear: Vec<f64>,
    tail: Vec<f64>,
}

impl Wealth {
    pub(crate) fn new() -> Self {
        let mut bets = [0.0; N_BETS];
        for (ladder, bets) in LADDERS.iter().zip(bets.chunks_exact_mut(BETS_PER_LADDER)) {
            bets[..RUNGS.len()].copy_from_slice(&RUNGS);
            bets[RUNGS.len()] = ladder.tail_alone;
        }
        let mass: f64 = bets.iter().sum();
        for bet in &mut bets {
            *bet /= mass;
        }
        // Rounding of the masses must not start above 1.
        let total = bets.iter().sum::<f64>().min(1.0);
        Self { bets, ln_unit: 0.0, total, linear: Vec::new(), tail: Vec::new() }
    }

    /// Natural logarithm of the mixture's wealth: the e-value so far.
    pub(crate) fn ln(&self) -> f64 {
        self.ln_unit + self.total.ln()
    }

    /// Settles one set: `z` standardised and in an order blind to the coin, `released` the
    /// position that the coin chose.
    pub(crate) fn settle(&mut self, z: &[f64], released: usize) {
        if let [first, _] = z {
            let z = if released == 0 { *first } else { -*first };
            if z == 0.0 {
                return;
            }
            self.settle_pair(z.abs(), z > 0.0);
        } else {
            self.settle_set(z, released);
        }
        self.total = sum(&self.bets);
        if !(RESCALE_BELOW..=RESCALE_ABOVE).contains(&self.total) && self.total > 0.0 {
            let unit = self.total.recip();
            for bet in &mut self.bets {
                *bet *= unit;
            }
            self.ln_unit += self.total.ln();
            self.total = sum(&self.bets);
        }
    }

    /// For a pair, scores v and −v, the factor is `1 + tanh(v)`. The two outcomes' factors are
    /// `high` and `2 − high`: their mean is 1 in floating point too.
    fn settle_pair(&mut self, size: f64, released_is_higher: bool) {
        for (ladder, bets) in LADDERS.iter().zip(self.bets.chunks_exact_mut(BETS_PER_LADDER)) {
            let tail = if size > TAIL_FROM { (-2.0 * ladder.tail(size)).exp() } else { 1.0 };
            let mut linear = (-2.0 * LEAST_STRENGTH * ladder.linear(size)).exp();
            for (rung, bet) in bets.iter_mut().enumerate() {
                let power = if rung < RUNGS.len() { linear * tail } else { tail };
                let high = 2.0 / (1.0 + power);
                *bet *= if released_is_higher { high } else { 2.0 - high };
                linear *= linear;
            }
        }
    }

    /// For K + 1 texts the factor is `(K + 1) exp(v_released) / Σ exp(v)`.
    fn settle_set(&mut self, z: &[f64], released: usize) {
        let n = z.len() as f64;
        for (ladder, bets) in LADDERS.iter().zip(self.bets.chunks_exact_mut(BETS_PER_LADDER)) {
            let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let (top_linear, top_tail) = (ladder.linear(top), ladder.tail(top));
            self.linear.clear();
            self.linear.extend(
                z.iter().map(|z| (LEAST_STRENGTH * (ladder.linear(*z) - top_linear)).exp()),
            );
            self.tail.clear();
            self.tail.extend(z.iter().map(|z| (ladder.tail(*z) - top_tail).exp()));
            for (rung, bet) in bets.iter_mut().enumerate() {
                if rung == RUNGS.len() {
                    self.linear.fill(1.0);
                }
                let sum: f64 = self.linear.iter().zip(&self.tail).map(|(l, t)| l * t).sum();
                *bet *= n * (self.linear[released] * self.tail[released]) / sum;
                for power in &mut self.linear {
                    *power *= *power;
                }
            }
        }
    }
}

/// Sum in four running parts: additions that don't wait for each other.
fn sum(bets: &[f64; N_BETS]) -> f64 {
    let mut parts = [0.0; 4];
    for four in bets.chunks_exact(4) {
        for (part, bet) in parts.iter_mut().zip(four) {
            *part += bet;
        }
    }
    (parts[0] + parts[1]) + (parts[2] + parts[3])
}
const _: () = assert!(N_BETS.is_multiple_of(4), "the sum takes four at a time");
