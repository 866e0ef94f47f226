//! The values that tests take and return, checked once when they are made.

/// Why data can't be tested.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
    /// Alpha outside the open interval (0, 1).
    #[error("alpha must lie between 0 and 1, both excluded, got {0}")]
    Alpha(f64),
    /// A score is NaN or infinite.
    #[error("score {index} of {what} is not finite")]
    NotFinite {
        /// Whose scores.
        what: String,
        /// Position among the set's texts; 0 is the released one.
        index: usize,
    },
    /// Lengths don't agree, or fewer than two texts.
    #[error("{0}")]
    Shape(String),
}

/// An error rate, in the open interval (0, 1).
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Alpha(f64);

impl Alpha {
    /// Checks the range.
    pub fn new(value: f64) -> Result<Self, StatsError> {
        if value > 0.0 && value < 1.0 { Ok(Self(value)) } else { Err(StatsError::Alpha(value)) }
    }

    /// The rate.
    pub fn value(self) -> f64 {
        self.0
    }

    /// Natural logarithm of the rate.
    pub fn ln(self) -> f64 {
        self.0.ln()
    }
}

/// A p-value, held as its natural logarithm so that it never underflows.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct PValue {
    ln: f64,
}

impl PValue {
    /// The p-value 1, which convinces nobody.
    pub const ONE: Self = Self { ln: 0.0 };

    /// From a natural logarithm; values above 0 (rounding) become 0.
    pub fn from_ln(ln: f64) -> Self {
        Self { ln: if ln.is_nan() { 0.0 } else { ln.min(0.0) } }
    }

    /// From the probability itself.
    pub fn new(p: f64) -> Self {
        Self::from_ln(p.ln())
    }

    /// The probability; 0 where it underflows (use [`Self::log10`] then).
    pub fn value(self) -> f64 {
        self.ln.exp()
    }

    /// Natural logarithm.
    pub fn ln(self) -> f64 {
        self.ln
    }

    /// Base-10 logarithm.
    pub fn log10(self) -> f64 {
        self.ln / std::f64::consts::LN_10
    }

    /// The p-value of a test that may spend only this share, in (0, 1], of alpha: `min(1, p/share)`.
    #[must_use]
    pub fn over(self, share: f64) -> Self {
        Self::from_ln(self.ln - share.ln())
    }
}

/// An e-value, held as its natural logarithm so that it never overflows.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct EValue {
    ln: f64,
}

impl EValue {
    /// The e-value 1: no evidence.
    pub const ONE: Self = Self { ln: 0.0 };

    /// From a natural logarithm (negative infinity is the e-value 0).
    pub fn from_ln(ln: f64) -> Self {
        Self { ln: if ln.is_nan() { f64::NEG_INFINITY } else { ln } }
    }

    /// The e-value; infinite where it overflows (use [`Self::log10`] then).
    pub fn value(self) -> f64 {
        self.ln.exp()
    }

    /// Natural logarithm.
    pub fn ln(self) -> f64 {
        self.ln
    }

    /// Base-10 logarithm.
    pub fn log10(self) -> f64 {
        self.ln / std::f64::consts::LN_10
    }
}

/// Scores of one throw of one coin: K + 1 texts, of which text 0 was released.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreSet {
    suspect: Vec<f64>,
    references: Vec<Vec<f64>>,
    n_tokens: Option<Vec<f64>>,
}

impl ScoreSet {
    /// Checks shapes and finiteness.
    ///
    /// `suspect` has K + 1 log-likelihoods in nats, the released text's first; each of
    /// `references` as many; `n_tokens`, if known, the length of each text.
    pub fn new(
        suspect: Vec<f64>,
        references: Vec<Vec<f64>>,
        n_tokens: Option<Vec<f64>>,
    ) -> Result<Self, StatsError> {
        if suspect.len() < 2 {
            return Err(StatsError::Shape(format!(
                "a set needs at least 2 texts, got {}",
                suspect.len()
            )));
        }
        let columns = std::iter::once(("suspect".to_owned(), &suspect))
            .chain(references.iter().enumerate().map(|(k, r)| (format!("reference {}", k + 1), r)))
            .chain(n_tokens.iter().map(|n| ("n_tokens".to_owned(), n)));
        for (what, column) in columns {
            if column.len() != suspect.len() {
                return Err(StatsError::Shape(format!(
                    "{what} has {} values, the suspect {}",
                    column.len(),
                    suspect.len()
                )));
            }
            if let Some(index) = column.iter().position(|v| !v.is_finite()) {
                return Err(StatsError::NotFinite { what, index });
            }
        }
        Ok(Self { suspect, references, n_tokens })
    }

    /// Number of withheld siblings.
    pub fn k(&self) -> usize {
        self.suspect.len() - 1
    }

    /// The suspect's scores, released first.
    pub fn suspect(&self) -> &[f64] {
        &self.suspect
    }

    /// Each reference's scores, released first.
    pub fn references(&self) -> &[Vec<f64>] {
        &self.references
    }

    /// Length of each text, if known.
    pub fn n_tokens(&self) -> Option<&[f64]> {
        self.n_tokens.as_deref()
    }

    /// The same set without its references.
    #[must_use]
    pub fn without_references(&self) -> Self {
        Self { references: Vec::new(), ..self.clone() }
    }
}
