//! Keyed hashing: nobody without the key can make prompts collide, or tell prompts from hashes.
//!
//! The key of a deployment is 32 random bytes; all keys below are derived from it. What is claimed
//! is for somebody who chooses texts without knowing the key and without seeing hashes, as
//! whoever sends prompts does; whoever sees hashes needs the key of this very deployment to make
//! use of them.
//!
//! - *Words* by a multilinear function of their 32-bit parts, modulo 2^64 (Lemire and Kaser 2014,
//!   "Strongly universal string hashing is fast"): two different words collide with probability
//!   at most 2^-32, and no choice of words makes that more probable. A word of eight bytes costs two
//!   multiplications.
//! - *Shingles* by a polynomial of six word hashes in a secret odd number, then a keyed mixer: for
//!   six words no structure of the text is known that collides whatever the key.
//! - *Whole prompts* by a polynomial in a secret number modulo the prime 2^61 − 1: two prompts of
//!   n words collide with probability at most n · 2^-60 before the result is cut to 32 bits.
//!   (Modulo 2^64 texts in the pattern of Thue and Morse would collide whatever the key.)
//! - *Names* (accounts, networks, clients) by SipHash-1-3 (Aumasson and Bernstein 2012, with the
//!   reduced rounds that Rust's own tables use): pseudo-random even to those who see hashes.

/// Keys every hash of the room. Sketches made under different keys can't be compared.
#[derive(Clone)]
pub struct HashKey {
    k0: u64,
    k1: u64,
    /// Odd; rolls word hashes into shingle hashes.
    pub(crate) multiplier: u64,
    /// `multiplier` to the power of the shingle length.
    pub(crate) multiplier_out: u64,
    /// Base of the polynomial over a whole prompt, below 2^61 − 1.
    base: u64,
    base_squared: u64,
    /// What a word's hash starts from, and a pair of keys for each eight bytes of it.
    word_start: u64,
    word_keys: [[u64; 2]; WORD_BYTES_MAX / 8],
}

impl std::fmt::Debug for HashKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HashKey(***)")
    }
}

/// Bytes of a word that count.
pub(crate) const WORD_BYTES_MAX: usize = 48;
/// Which bits of two blocks of eight bytes belong to a word of so many bytes.
const MASKS: [[u64; 2]; 17] = {
    let mut masks = [[0; 2]; 17];
    let mut n = 1;
    while n <= 16 {
        let first = if n < 8 { (1 << (8 * n)) - 1 } else { u64::MAX };
        let second = match n {
            0..=8 => 0,
            16 => u64::MAX,
            _ => (1 << (8 * (n - 8))) - 1,
        };
        masks[n] = [first, second];
        n += 1;
    }
    masks
};
/// 2^61 − 1, a prime.
const PRIME: u64 = (1 << 61) - 1;
/// Words per shingle.
pub(crate) const SHINGLE_WORDS: usize = 6;

impl HashKey {
    /// Derives the keys from 32 bytes that stay secret.
    pub fn new(secret: &[u8; 32]) -> Self {
        let mut derived = blake3::Hasher::new_derive_key("stillwatch traffic 2026-11 keyed hashes")
            .update(secret)
            .finalize_xof();
        let mut next = || {
            let mut bytes = [0u8; 8];
            derived.fill(&mut bytes);
            u64::from_le_bytes(bytes)
        };
        let (k0, k1, multiplier) = (next(), next(), next() | 1);
        let mut multiplier_out = 1u64;
        for _ in 0..SHINGLE_WORDS {
            multiplier_out = multiplier_out.wrapping_mul(multiplier);
        }
        // Reduced from 64 bits: values of the base differ in probability by a factor of 9/8 at most.
        let base = (next() % (PRIME - 2)) + 2;
        let base_squared =
            u64::try_from(u128::from(base) * u128::from(base) % u128::from(PRIME)).unwrap_or(1);
        let word_start = next();
        let word_keys = std::array::from_fn(|_| [next(), next()]);
        Self { k0, k1, multiplier, multiplier_out, base, base_squared, word_start, word_keys }
    }

    /// The hash of a word: the first `n` of the bytes, at most [`WORD_BYTES_MAX`], none of them
    /// zero. Bytes after the word don't count; there are at least 16 bytes in all, and enough to
    /// fill the last eight of the word.
    #[inline]
    pub(crate) fn word(&self, bytes: &[u8], n: usize) -> u64 {
        let blocks = bytes.as_chunks::<8>().0;
        // Most words are short: two blocks without a branch.
        let [[k0, k1], [k2, k3], ..] = self.word_keys;
        let (first, second) = match blocks {
            [first, second, ..] => (u64::from_le_bytes(*first), u64::from_le_bytes(*second)),
            _ => (0, 0),
        };
        let [low, high] = MASKS.get(n).copied().unwrap_or([u64::MAX; 2]);
        let (first, second) = (first & low, second & high);
        let mut hash = self
            .word_start
            .wrapping_add((first & 0xffff_ffff).wrapping_mul(k0))
            .wrapping_add((first >> 32).wrapping_mul(k1))
            .wrapping_add((second & 0xffff_ffff).wrapping_mul(k2))
            .wrapping_add((second >> 32).wrapping_mul(k3));
        if n > 16 {
            for (i, (block, [k0, k1])) in blocks.iter().zip(&self.word_keys).enumerate().skip(2) {
                let Some(left @ 1..) = n.checked_sub(8 * i) else { break };
                let [mask, _] = MASKS.get(left).copied().unwrap_or([u64::MAX; 2]);
                let block = u64::from_le_bytes(*block) & mask;
                hash = hash
                    .wrapping_add((block & 0xffff_ffff).wrapping_mul(*k0))
                    .wrapping_add((block >> 32).wrapping_mul(*k1));
            }
        }
        hash
    }

    /// The polynomial over all words of a prompt: their number first, then two at a time.
    pub(crate) fn whole(&self, n_words: usize, words: impl Iterator<Item = u64>) -> u64 {
        let mut words = words;
        let mut value = n_words as u64;
        while let Some(first) = words.next() {
            // A last word without a partner counts as if zero followed; the number tells.
            value = self.append(value, first, words.next().unwrap_or(0));
        }
        value
    }

    /// `value · base² + first · base + second` modulo 2^61 − 1, below 2^62.
    #[inline]
    fn append(&self, value: u64, first: u64, second: u64) -> u64 {
        let sum = u128::from(value) * u128::from(self.base_squared)
            + u128::from(first) * u128::from(self.base)
            + u128::from(second);
        // 2^61 is 1 modulo the prime; twice brings anything below 2^127 under 2^62.
        let fold = |x: u128| (x & u128::from(PRIME)) + (x >> 61);
        u64::try_from(fold(fold(sum))).unwrap_or(0)
    }

    /// The hash of some bytes within a domain; different domains never agree but by chance.
    pub(crate) fn hash(&self, domain: u8, bytes: &[u8]) -> u64 {
        sip::<1, 3>(self.k0 ^ (u64::from(domain) << 56), self.k1, bytes)
    }

    /// Mixes a rolled value into one whose upper half is in a random order, under the key.
    #[inline]
    pub(crate) fn finish(&self, domain: u8, rolled: u64) -> u64 {
        let mut h = rolled ^ self.k1.rotate_left(u32::from(domain) + 1);
        h ^= h >> 32;
        h = h.wrapping_mul(self.k0 | 1);
        h ^ (h >> 29)
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
    fn words_are_hashed_by_their_bytes_alone() {
        let key = HashKey::new(&[4; 32]);
        let text = b"watchfulness of a very_long_word_that_goes_on_and_on_for_more_than_48_bytes";
        for (start, n) in [(0, 12), (0, 5), (13, 2), (18, 48), (0, 8), (0, 16)] {
            let mut alone = [0u8; WORD_BYTES_MAX];
            alone[..n].copy_from_slice(&text[start..start + n]);
            assert_eq!(key.word(&text[start..], n), key.word(&alone, n), "{start} {n}");
            assert_ne!(key.word(&text[start..], n), key.word(&alone, n - 1), "{start} {n}");
        }
        // The definition: a sum of 32-bit parts times keys.
        let part =
            |i: usize| u64::from(u32::from_le_bytes(text[4 * i..4 * i + 4].try_into().expect("4")));
        let sum = (0..3).fold(key.word_start, |sum, i| {
            sum.wrapping_add(part(i).wrapping_mul(key.word_keys[i / 2][i % 2]))
        });
        assert_eq!(key.word(text, 12), sum);
    }

    /// Texts of two words in the pattern of Thue and Morse and its complement: a polynomial modulo
    /// 2^64 collides on them whatever the key, as is known since 2012; modulo a prime it doesn't.
    #[test]
    fn no_pattern_of_words_collides_whatever_the_key() {
        let key = HashKey::new(&[5; 32]);
        let (a, b) = (key.word(b"alpha           ", 5), key.word(b"beta            ", 4));
        let text = |flip: u32| {
            (0..2048u32).map(move |i| if (i.count_ones() + flip).is_multiple_of(2) { a } else { b })
        };
        let odd = |words: &mut dyn Iterator<Item = u64>| {
            words.fold(0u64, |h, w| h.wrapping_mul(key.multiplier).wrapping_add(w))
        };
        assert_eq!(odd(&mut text(0)), odd(&mut text(1)));
        assert_ne!(key.whole(2048, text(0)), key.whole(2048, text(1)));
    }

    #[test]
    fn whole_prompts_are_polynomials_modulo_the_prime() {
        let key = HashKey::new(&[6; 32]);
        let words = [0, 1, u64::MAX, PRIME, 0x0123_4567_89ab_cdef, u64::MAX];
        let exact = words.iter().fold(6, |value: u128, word| {
            (value * u128::from(key.base) + u128::from(*word)) % u128::from(PRIME)
        });
        let value = key.whole(6, words.into_iter());
        assert!(value < 1 << 62);
        assert_eq!(u128::from(value % PRIME), exact);
        // A zero at the end isn't the end.
        assert_ne!(
            key.whole(5, [1, 2, 3, 4, 5].into_iter()),
            key.whole(6, [1, 2, 3, 4, 5, 0].into_iter())
        );
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
