//! Keyed hashing: SipHash over words, so that nobody without the key can make prompts collide.
//!
//! The key of a deployment is 32 random bytes; both SipHash keys and the multiplier that rolls
//! words into shingles are derived from it. SipHash-1-3 (Aumasson and Bernstein 2012, with the
//! reduced rounds that Rust's own tables use) hashes a word in some ten nanoseconds.

/// Keys every hash of the room. Sketches made under different keys can't be compared.
#[derive(Clone)]
pub struct HashKey {
    k0: u64,
    k1: u64,
    /// Odd; rolls word hashes into shingle hashes.
    pub(crate) multiplier: u64,
    /// `multiplier` to the power of the shingle length.
    pub(crate) multiplier_out: u64,
}

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey(***)")
    }
}

/// Words per shingle.
pub(crate) const SHINGLE_WORDS: usize = 6;

impl HashKey {
    /// Derives the keys from 32 bytes that stay secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        let derived = blake3::derive_key("stillwatch traffic 2026-11 keyed hashes", secret);
        let word = |i: usize| {
            let mut bytes = [0u8; 8];
            for (to, from) in bytes.iter_mut().zip(derived.iter().skip(8 * i)) {
                *to = *from;
            }
            u64::from_le_bytes(bytes)
        };
        let multiplier = word(2) | 1;
        let mut multiplier_out = 1u64;
        for _ in 0..SHINGLE_WORDS {
            multiplier_out = multiplier_out.wrapping_mul(multiplier);
        }
        Self { k0: word(0), k1: word(1), multiplier, multiplier_out }
    }

    /// The hash of some bytes within a domain; different domains never agree but by chance.
    pub(crate) fn hash(&self, domain: u8, bytes: &[u8]) -> u64 {
        sip::<1, 3>(self.k0 ^ (u64::from(domain) << 56), self.k1, bytes)
    }

    /// Mixes a rolled value so that its order is random: the finaliser of MurmurHash3, keyed.
    pub(crate) fn finish(&self, domain: u8, rolled: u64) -> u64 {
        let mut h = rolled ^ self.k0.rotate_left(u32::from(domain) + 1);
        h ^= h >> 33;
        h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
        h ^= self.k1;
        h ^= h >> 33;
        h = h.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        h ^ (h >> 33)
    }
}

/// SipHash-c-d of the bytes.
fn sip<const C: usize, const D: usize>(k0: u64, k1: u64, bytes: &[u8]) -> u64 {
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let (blocks, rest) = bytes.as_chunks::<8>();
    for block in blocks {
        let m = u64::from_le_bytes(*block);
        v[3] ^= m;
        rounds::<C>(&mut v);
        v[0] ^= m;
    }
    let mut m = (bytes.len() as u64) << 56;
    for (i, byte) in rest.iter().enumerate() {
        m |= u64::from(*byte) << (8 * i);
    }
    v[3] ^= m;
    rounds::<C>(&mut v);
    v[0] ^= m;
    v[2] ^= 0xff;
    rounds::<D>(&mut v);
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[inline]
fn rounds<const N: usize>(v: &mut [u64; 4]) {
    for _ in 0..N {
        v[0] = v[0].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(13) ^ v[0];
        v[0] = v[0].rotate_left(32);
        v[2] = v[2].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(16) ^ v[2];
        v[0] = v[0].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(21) ^ v[0];
        v[2] = v[2].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(17) ^ v[2];
        v[2] = v[2].rotate_left(32);
    }
}

/// The upper half: what is stored where 32 bits suffice; 0 means "none" and is never returned.
pub(crate) fn narrow(hash: u64) -> u32 {
    u32::try_from(hash >> 32).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Appendix A of the SipHash paper: key 00..0f, message 00..0e.
    #[test]
    fn siphash_2_4_gives_the_papers_value() {
        let message: Vec<u8> = (0..15).collect();
        let value = sip::<2, 4>(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908, &message);
        assert_eq!(value, 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn keys_and_domains_separate() {
        let (a, b) = (HashKey::new(&[1; 32]), HashKey::new(&[2; 32]));
        assert_ne!(a.hash(0, b"word"), b.hash(0, b"word"));
        assert_ne!(a.hash(0, b"word"), a.hash(1, b"word"));
        assert_eq!(a.hash(3, b"word"), a.clone().hash(3, b"word"));
        assert_eq!(format!("{a:?}"), "HashKey(***)");
    }
}
