//! Hashing and proofs: published vectors, and RFC text written down naively.

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use stillwatch_evidence::ledger::{
    Sha256Hash, Tree, leaf_hash, verify_consistency, verify_inclusion,
};

/// Leaves, roots and proofs of the Certificate Transparency reference implementation
/// (google/certificate-transparency, merkletree/merkle_tree_test.cc; the same in
/// transparency-dev/merkle, testonly/reference_test.go at e739733c).
const LEAVES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// (tree size, leaf index, path)
const INCLUSION: [(usize, usize, &[&str]); 7] = [
    (1, 0, &[]),
    (2, 0, &["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"]),
    (2, 1, &["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"]),
    (3, 2, &["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        5,
        1,
        &[
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        8,
        0,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        8,
        5,
        &[
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
];

/// (first size, second size, proof)
const CONSISTENCY: [(usize, usize, &[&str]); 4] = [
    (1, 1, &[]),
    (
        1,
        8,
        &[
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        2,
        5,
        &[
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
    (
        6,
        8,
        &[
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
];

fn hash(text: &str) -> Sha256Hash {
    text.parse().expect("64 hexadecimal digits")
}

fn hashes(texts: &[&str]) -> Vec<Sha256Hash> {
    texts.iter().map(|text| hash(text)).collect()
}

fn tree_of(leaves: &[&[u8]]) -> Tree {
    let mut tree = Tree::default();
    for leaf in leaves {
        tree.push(leaf_hash(leaf));
    }
    tree
}

#[test]
fn roots_and_proofs_are_those_of_certificate_transparency() {
    let tree = tree_of(&LEAVES);
    for (size, root) in ROOTS.iter().enumerate() {
        assert_eq!(tree.root(size as u64).unwrap(), hash(root), "size {size}");
        assert_eq!(tree_of(&LEAVES[..size]).root(size as u64).unwrap(), hash(root));
    }
    for (size, index, path) in INCLUSION {
        let (data, root) = (LEAVES[index], hash(ROOTS[size]));
        let (index, size) = (index as u64, size as u64);
        assert_eq!(tree.prove_inclusion(index, size).unwrap(), hashes(path), "{index} of {size}");
        verify_inclusion(data, index, size, &root, &hashes(path)).unwrap();
    }
    for (first, second, proof) in CONSISTENCY {
        let (one, two) = (hash(ROOTS[first]), hash(ROOTS[second]));
        let (first, second) = (first as u64, second as u64);
        assert_eq!(tree.prove_consistency(first, second).unwrap(), hashes(proof));
        verify_consistency(first, &one, second, &two, &hashes(proof)).unwrap();
    }
}

/// The same vectors through the crate's own tree: it hashes as RFC 6962.
#[test]
fn the_crate_hashes_as_rfc_6962() {
    let mut tree = ct_merkle::mem_backed_tree::MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for (size, leaf) in (1..).zip(LEAVES) {
        tree.push(leaf.to_vec());
        assert_eq!(tree.root().as_bytes().as_slice(), hash(ROOTS[size]).as_bytes());
    }
}

type Digest32 = [u8; 32];

/// MTH(D[n]) as RFC 6962, section 2.1 writes it.
fn mth(leaves: &[Vec<u8>]) -> Digest32 {
    match leaves {
        [] => Sha256::digest(b"").into(),
        [leaf] => Sha256::digest([&[0], leaf.as_slice()].concat()).into(),
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            Sha256::digest([&[1], mth(left).as_slice(), &mth(right)].concat()).into()
        }
    }
}

/// The largest power of two smaller than n.
fn split(n: usize) -> usize {
    let mut k = 1;
    while 2 * k < n {
        k *= 2;
    }
    k
}

/// PATH(m, D[n]), section 2.1.1.
fn path(m: usize, leaves: &[Vec<u8>]) -> Vec<Digest32> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) =
        if m < k { (path(m, left), mth(right)) } else { (path(m - k, right), mth(left)) };
    proof.push(sibling);
    proof
}

/// SUBPROOF(m, D[n], b), section 2.1.2.
fn subproof(m: usize, leaves: &[Vec<u8>], whole: bool) -> Vec<Digest32> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { vec![mth(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, sibling) = if m <= k {
        (subproof(m, left, whole), mth(right))
    } else {
        (subproof(m - k, right, false), mth(left))
    };
    proof.push(sibling);
    proof
}

fn raw(hashes: &[Sha256Hash]) -> Vec<Digest32> {
    hashes.iter().map(|hash| *hash.as_bytes()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn trees_and_proofs_are_those_of_the_rfc(
        leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..80),
        picks in any::<[prop::sample::Index; 3]>(),
    ) {
        let mut tree = Tree::default();
        for leaf in &leaves {
            tree.push(leaf_hash(leaf));
        }
        let second = picks[0].index(leaves.len()) + 1;
        let first = picks[1].index(second + 1);
        let index = picks[2].index(second);
        let (old, new) = (&leaves[..first], &leaves[..second]);
        let (first, second) = (first as u64, second as u64);
        let (old_root, root) = (tree.root(first).unwrap(), tree.root(second).unwrap());
        prop_assert_eq!(*root.as_bytes(), mth(new));
        prop_assert_eq!(*old_root.as_bytes(), mth(old));

        let inclusion = tree.prove_inclusion(index as u64, second).unwrap();
        prop_assert_eq!(raw(&inclusion), path(index, new));
        verify_inclusion(&leaves[index], index as u64, second, &root, &inclusion).unwrap();

        let consistency = tree.prove_consistency(first, second).unwrap();
        let expected = if first == 0 { Vec::new() } else { subproof(old.len(), new, true) };
        prop_assert_eq!(raw(&consistency), expected);
        verify_consistency(first, &old_root, second, &root, &consistency).unwrap();
    }

    #[test]
    fn altered_proofs_fail(
        n in 2_usize..60,
        picks in any::<[prop::sample::Index; 4]>(),
        bit in 0_usize..256,
    ) {
        let leaves: Vec<Vec<u8>> = (0..n).map(|i| vec![u8::try_from(i).unwrap(); 3]).collect();
        let mut tree = Tree::default();
        for leaf in &leaves {
            tree.push(leaf_hash(leaf));
        }
        let size = n as u64;
        let root = tree.root(size).unwrap();
        let flip = |hash: &mut Sha256Hash| {
            let mut bytes = *hash.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            *hash = Sha256Hash::from_bytes(bytes);
        };
        let index = picks[0].index(n);
        let data = &leaves[index];
        let proof = tree.prove_inclusion(index as u64, size).unwrap();
        let mut altered = proof.clone();
        flip(&mut altered[picks[1].index(proof.len())]);
        prop_assert!(verify_inclusion(data, index as u64, size, &root, &altered).is_err());
        let mut other = root;
        flip(&mut other);
        prop_assert!(verify_inclusion(data, index as u64, size, &other, &proof).is_err());
        prop_assert!(verify_inclusion(b"else", index as u64, size, &root, &proof).is_err());
        let elsewhere = picks[2].index(n);
        if elsewhere != index {
            prop_assert!(verify_inclusion(data, elsewhere as u64, size, &root, &proof).is_err());
        }
        let short = &proof[1..];
        prop_assert!(verify_inclusion(data, index as u64, size, &root, short).is_err());

        let first = picks[3].index(n - 1) as u64 + 1;
        let old = tree.root(first).unwrap();
        let proof = tree.prove_consistency(first, size).unwrap();
        for at in 0..proof.len() {
            let mut altered = proof.clone();
            flip(&mut altered[at]);
            prop_assert!(verify_consistency(first, &old, size, &root, &altered).is_err());
        }
        prop_assert!(verify_consistency(first, &other, size, &root, &proof).is_err());
        prop_assert!(verify_consistency(first, &old, size, &other, &proof).is_err());
        let swapped = verify_consistency(size, &root, first, &old, &proof);
        prop_assert!(swapped.is_err());
    }
}

#[test]
fn sizes_from_strangers_do_no_harm() {
    let zero = Sha256Hash::of(b"");
    for size in [0, 1, 1 << 53, (1 << 53) + 1, u64::MAX / 2 + 2, u64::MAX] {
        for index in [0, 1, 1 << 53, u64::MAX / 2 + 1, u64::MAX] {
            assert!(verify_inclusion(b"x", index, size, &zero, &[]).is_err());
            assert!(verify_inclusion(b"x", index, size, &zero, &[zero; 60]).is_err());
        }
        for first in [1, 2, 1 << 53, u64::MAX] {
            assert!(verify_consistency(first, &zero, size, &zero, &[zero; 3]).is_err());
        }
    }
    let tree = tree_of(&LEAVES);
    assert!(tree.root(9).is_err());
    assert!(tree.prove_inclusion(8, 8).is_err());
    assert!(tree.prove_inclusion(3, 3).is_err());
    assert!(tree.prove_inclusion(0, 0).is_err());
    assert!(tree.prove_consistency(5, 4).is_err());
    assert!(tree.prove_consistency(4, 9).is_err());
    assert!(tree.prove_consistency(0, 0).unwrap().is_empty());
}
