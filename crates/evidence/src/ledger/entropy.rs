//! Where coins, keys and salts come from: the operating system, never a seed.
//!
//! Tests inject a source of their own; everything else takes [`OsEntropy`].

use super::LedgerError;

/// A source of random bytes.
pub trait Entropy: Send {
    /// Fills `bytes`, all of it or none.
    ///
    /// # Errors
    /// The source failed.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), LedgerError>;
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), LedgerError> {
        getrandom::fill(bytes).map_err(|e| LedgerError::Entropy { reason: e.to_string() })
    }
}

/// A number below `bound` from one 64-bit word, every value equally likely, or `None` for the
/// words that would tip the balance: those at or above the largest multiple of `bound`.
///
/// # Panics
/// Never for `bound ≥ 1`; a bound of 0 gives `None`.
pub fn unbiased(word: u64, bound: usize) -> Option<usize> {
    let bound = u64::try_from(bound).ok().filter(|&b| b > 0)?;
    // 2^64 mod bound words too many; rejecting the top ones leaves a multiple of bound.
    let excess = (u64::MAX % bound + 1) % bound;
    if word > u64::MAX - excess { None } else { usize::try_from(word % bound).ok() }
}

/// A coin with `n_slots` sides.
///
/// # Errors
/// The source failed.
pub fn throw(entropy: &mut dyn Entropy, n_slots: usize) -> Result<usize, LedgerError> {
    loop {
        let mut word = [0; 8];
        entropy.fill(&mut word)?;
        if let Some(slot) = unbiased(u64::from_be_bytes(word), n_slots.max(1)) {
            return Ok(slot);
        }
    }
}
