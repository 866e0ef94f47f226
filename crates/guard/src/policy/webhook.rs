//! Reports of verification by whoever verifies accounts, signed under a shared key.
//!
//! The header `stillwatch-signature: t=SECONDS,v1=HEX` carries the HMAC-SHA256 (RFC 2104) of
//! `SECONDS.DECISION.BODY`. A report older than five minutes isn't taken; a repeated one changes
//! nothing.

use super::{Decision, Policies, PolicyError};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use stillwatch_evidence::Secret;
use stillwatch_evidence::ledger::{from_hex_exact, to_hex};

/// Name of the header with the signature.
pub const SIGNATURE_HEADER: &str = "stillwatch-signature";
/// How far the time of a signature may be off, seconds.
const TOLERANCE_S: i64 = 300;

/// The header's value for a report, as the sender computes it.
pub fn sign(key: &Secret, seconds: i64, decision: &str, body: &[u8]) -> Option<String> {
    let mac = mac(key, seconds, decision, body)?.finalize().into_bytes();
    Some(format!("t={seconds},v1={}", to_hex(&mac)))
}

fn mac(key: &Secret, seconds: i64, decision: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).ok()?;
    mac.update(format!("{seconds}.{decision}.").as_bytes());
    mac.update(body);
    Some(mac)
}

fn is_signed(key: &Secret, signature: &str, decision: &str, body: &[u8], now_ms: i64) -> bool {
    let Some((time, value)) = signature.split_once(",v1=") else { return false };
    let Some(seconds) = time.strip_prefix("t=").and_then(|t| t.parse::<i64>().ok()) else {
        return false;
    };
    let Ok(expected) = from_hex_exact::<32>(value) else { return false };
    let is_fresh = now_ms.div_euclid(1000).abs_diff(seconds) <= TOLERANCE_S.unsigned_abs();
    // Compares in constant time.
    is_fresh
        && mac(key, seconds, decision, body).is_some_and(|mac| mac.verify_slice(&expected).is_ok())
}

impl Policies {
    /// Takes a signed report that the account of a decision was verified.
    ///
    /// # Errors
    /// [`PolicyError::Unknown`] for a wrong signature too: it says nothing of what is there.
    pub async fn verified_by_report(
        &self,
        decision: &str,
        signature: &str,
        body: &[u8],
        now_ms: i64,
    ) -> Result<Decision, PolicyError> {
        let policies: Vec<&str> = self
            .webhook_keys()
            .filter(|(_, key)| is_signed(key, signature, decision, body, now_ms))
            .map(|(policy, _)| policy)
            .collect();
        if policies.is_empty() {
            return Err(PolicyError::Unknown("decision"));
        }
        let known = self.decision(decision).await?;
        let is_theirs = policies.iter().any(|policy| *policy == known.policy)
            || known.policy == super::decision::BY_HAND;
        if !is_theirs {
            return Err(PolicyError::Unknown("decision"));
        }
        self.verified(decision, "verification report", None, now_ms).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_time_decision_and_body_only() {
        let key = Secret::new("0123456789abcdef").expect("a key");
        let other = Secret::new("0123456789abcdee").expect("a key");
        let now_ms = 1_800_000_000_000;
        let header = sign(&key, now_ms / 1000, "dec-1", b"{}").expect("signed");
        let check = |key: &Secret, decision, body: &[u8], header: &str, at_ms| {
            is_signed(key, header, decision, body, at_ms)
        };
        assert!(check(&key, "dec-1", b"{}", &header, now_ms));
        assert!(check(&key, "dec-1", b"{}", &header, now_ms + 299_000));
        assert!(!check(&key, "dec-1", b"{}", &header, now_ms + 302_000));
        assert!(!check(&key, "dec-1", b"{}", &header, now_ms - 302_000));
        assert!(!check(&other, "dec-1", b"{}", &header, now_ms));
        assert!(!check(&key, "dec-2", b"{}", &header, now_ms));
        assert!(!check(&key, "dec-1", b"{ }", &header, now_ms));
        for broken in ["", "t=,v1=", "v1=00", "t=1800000000,v1=zz", "t=1800000000"] {
            assert!(!check(&key, "dec-1", b"{}", broken, now_ms), "{broken}");
        }
    }

    #[test]
    fn the_mac_is_that_of_rfc_4231() {
        // Test case 2 of RFC 4231 has key "Jefe" and other data; the crate is tested on it. Here
        // the layout is: seconds, dot, decision, dot, body.
        let key = Secret::new("Jefe").expect("a key");
        let mut plain = Hmac::<Sha256>::new_from_slice(b"Jefe").expect("any length");
        plain.update(b"7.dec-1.body");
        let expected = format!("t=7,v1={}", to_hex(&plain.finalize().into_bytes()));
        assert_eq!(sign(&key, 7, "dec-1", b"body"), Some(expected));
    }
}
