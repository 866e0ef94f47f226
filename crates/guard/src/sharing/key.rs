//! The key that providers agreed on, and what is derived from it.

use super::SharingConfig;
use crate::{GuardError, Secrets};
use stillwatch_evidence::Secret;

/// The shortest key that is taken, bytes: 128 bits in hexadecimal.
const KEY_BYTES_MIN: usize = 32;

/// The key that providers agreed on.
#[derive(Debug, Clone)]
pub struct SharedKey(Secret);

impl SharedKey {
    /// The key that the configuration names; `None` where it names none.
    ///
    /// # Errors
    /// The variable isn't set, or the key is short enough to be guessed.
    pub fn of(config: &SharingConfig, secrets: &Secrets) -> Result<Option<Self>, GuardError> {
        let Some(name) = &config.key_env else { return Ok(None) };
        let secret = secrets
            .get(name)
            .ok_or_else(|| GuardError::setting(format!("sharing.key_env: {name} isn't set")))?;
        Self::new(secret.clone()).map(Some)
    }

    /// From the key itself.
    ///
    /// # Errors
    /// It is short enough to be guessed.
    pub fn new(secret: Secret) -> Result<Self, GuardError> {
        if secret.expose().len() < KEY_BYTES_MIN {
            return Err(GuardError::setting(format!(
                "sharing.key_env: the key has fewer than {KEY_BYTES_MIN} characters and could be \
                 guessed: agree on one of 64 random hexadecimal digits"
            )));
        }
        Ok(Self(secret))
    }

    /// Keys the hashes of `traffic`: the same at all providers, so that theirs can be compared.
    pub fn traffic_key(&self) -> [u8; 32] {
        blake3::derive_key("stillwatch 2026-11 sharing traffic", self.0.expose().as_bytes())
    }

    /// Keys the hashes in files.
    pub(super) fn file_key(&self) -> [u8; 32] {
        blake3::derive_key("stillwatch 2026-11 sharing files", self.0.expose().as_bytes())
    }
}
