//! New keys, and the hashes under which keys, addresses and texts are known.
//!
//! A key has 256 bits from the operating system, so a fast hash can't be searched; it is keyed
//! (blake3) all the same, for pseudonyms of things that can be guessed, as addresses.

use crate::GuardError;
use crate::store::Store;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::net::IpAddr;
use stillwatch_evidence::Secret;
use stillwatch_evidence::ledger::to_hex;

/// Beginning of a virtual key.
const VIRTUAL: &str = "sw-";
/// Beginning of an admin key.
const ADMIN: &str = "sw-admin-";
/// Characters behind the beginning that are kept and shown: 30 of 256 bits.
const SHOWN: usize = 5;

/// Bytes from the operating system's generator.
///
/// # Errors
/// It has none to give.
pub(super) fn random<const N: usize>() -> Result<[u8; N], GuardError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| GuardError::Io {
        what: "the operating system gives no random bytes".to_owned(),
        source: error.into(),
    })?;
    Ok(bytes)
}

/// A key that was just made: itself, and what is shown of it.
///
/// # Errors
/// No random bytes.
pub(super) fn new_key(admin: bool) -> Result<(Secret, String), GuardError> {
    let start = if admin { ADMIN } else { VIRTUAL };
    let key = format!("{start}{}", URL_SAFE_NO_PAD.encode(random::<32>()?));
    let shown: String = key.chars().take(start.len() + SHOWN).collect();
    let secret = Secret::new(&key).ok_or_else(|| GuardError::setting("a key can't be empty"))?;
    Ok((secret, shown))
}

/// A name for something that is no secret, 80 bits.
///
/// # Errors
/// No random bytes.
pub(super) fn new_id() -> Result<String, GuardError> {
    Ok(to_hex(&random::<10>()?))
}

/// Hashes under the store's secret.
#[derive(Clone)]
pub(super) struct Hasher {
    keys: [u8; 32],
    pseudonyms: [u8; 32],
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hasher([key])")
    }
}

impl Hasher {
    /// Takes the secret of the configuration, or the store's own, made where there is none.
    pub(super) async fn open(store: &Store) -> Result<Self, GuardError> {
        let material = match store.secret() {
            Some(secret) => secret.expose().to_owned(),
            None => store.setting_or("keys.secret", &to_hex(&random::<32>()?)).await?.0,
        };
        let hasher = Self {
            keys: blake3::derive_key("stillwatch guard 2026: hashes of keys", material.as_bytes()),
            pseudonyms: blake3::derive_key(
                "stillwatch guard 2026: pseudonyms",
                material.as_bytes(),
            ),
        };
        // Under another secret every key would be unknown: better not to start.
        let check = to_hex(&hasher.key("check"));
        if store.setting_or("keys.check", &check).await?.0 != check {
            return Err(GuardError::setting(
                "store.secret_env: the keys in the store were hashed under another secret: set \
                 the variable to that one",
            ));
        }
        Ok(hasher)
    }

    /// The hash of a key.
    pub(super) fn key(&self, key: &str) -> [u8; 32] {
        *blake3::keyed_hash(&self.keys, key.as_bytes()).as_bytes()
    }

    /// What is known of a caller by the key that it presented.
    pub(super) fn key_pseudonym(&self, key: &str) -> String {
        format!("key-{}", short(&blake3::keyed_hash(&self.pseudonyms, key.as_bytes())))
    }

    /// What is known of a caller without a key. IPv6: by its /64, which one customer has.
    pub(super) fn address_pseudonym(&self, ip: IpAddr) -> String {
        format!("ip-{}", short(&blake3::keyed_hash(&self.pseudonyms, &network(ip))))
    }

    /// A pseudonym for any purpose.
    pub(super) fn pseudonym(&self, purpose: &str, text: &str) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.pseudonyms);
        hasher.update(&(purpose.len() as u64).to_le_bytes());
        hasher.update(purpose.as_bytes());
        hasher.update(text.as_bytes());
        *hasher.finalize().as_bytes()
    }
}

fn short(hash: &blake3::Hash) -> String {
    hash.to_hex().chars().take(16).collect()
}

/// The part of an address that one party holds: IPv4 whole, IPv6 the first 64 bits.
pub(super) fn network(ip: IpAddr) -> [u8; 9] {
    let mut bytes = [0; 9];
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            bytes[0] = 4;
            bytes[1..5].copy_from_slice(&v4.octets());
        }
        IpAddr::V6(v6) => {
            bytes[0] = 6;
            for (to, from) in bytes.iter_mut().skip(1).zip(v6.octets()) {
                *to = from;
            }
        }
    }
    bytes
}

/// A hash as the store keeps it, where it has the right length.
pub(super) fn stored(bytes: &[u8]) -> Option<[u8; 32]> {
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_and_differ_and_show_little() {
        let (key, shown) = new_key(false).expect("random bytes");
        let (other, _) = new_key(false).expect("random bytes");
        assert_ne!(key.expose(), other.expose());
        assert_eq!(key.expose().len(), 3 + 43);
        assert_eq!(shown.len(), 3 + 5);
        assert!(key.expose().starts_with(&shown));
        let (admin, _) = new_key(true).expect("random bytes");
        assert!(admin.expose().starts_with("sw-admin-"));
    }

    #[test]
    fn one_customer_is_one_network() {
        let net = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(net("2001:db8::1"), net("2001:db8::ffff:2"));
        assert_ne!(net("2001:db8::1"), net("2001:db8:0:1::1"));
        assert_eq!(net("::ffff:1.2.3.4"), net("1.2.3.4"));
        assert_ne!(net("1.2.3.4"), net("1.2.3.5"));
    }
}
