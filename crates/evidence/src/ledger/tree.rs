//! The Merkle tree of RFC 6962, section 2.1 (the same in RFC 9162), in memory without the leaves.
//!
//! Which nodes a proof needs, and whether a proof holds, is `ct-merkle`'s business; this keeps
//! the hashes of complete subtrees (two per leaf, 64 bytes), in that crate's array layout, so
//! that roots and proofs exist for every earlier size too. It knows nothing of files.

use super::{LedgerError, Sha256Hash};
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use sha2::{Digest, Sha256};

/// Sizes beyond this don't occur and would not survive JSON numbers.
pub const TREE_SIZE_MAX: u64 = 1 << 53;

/// Hash of a leaf, `SHA-256(0x00 ‖ data)`.
pub fn leaf_hash(data: &[u8]) -> Sha256Hash {
    let mut hasher = Sha256::new_with_prefix([0]);
    hasher.update(data);
    Sha256Hash::from_bytes(hasher.finalize().into())
}

/// Hash of an inner node, `SHA-256(0x01 ‖ left ‖ right)`.
fn node_hash(left: &Sha256Hash, right: &Sha256Hash) -> Sha256Hash {
    let mut hasher = Sha256::new_with_prefix([1]);
    hasher.update(left.as_bytes());
    hasher.update(right.as_bytes());
    Sha256Hash::from_bytes(hasher.finalize().into())
}

/// An append-only tree of leaf hashes.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// Array layout: leaf `i` at `2i`, a parent between its children. Only the hashes of complete
    /// subtrees are set; the right edge of each size is computed when asked for.
    nodes: Vec<Sha256Hash>,
    n_leaves: usize,
}

impl Tree {
    /// Number of leaves.
    pub fn len(&self) -> u64 {
        self.n_leaves as u64
    }

    /// Whether there is no leaf.
    pub fn is_empty(&self) -> bool {
        self.n_leaves == 0
    }

    /// Appends the hash of a leaf ([`leaf_hash`]).
    pub fn push(&mut self, leaf: Sha256Hash) {
        if self.n_leaves > 0 {
            self.nodes.push(Sha256Hash::from_bytes([0; 32]));
        }
        self.nodes.push(leaf);
        self.n_leaves += 1;
        // The new leaf completes one subtree per trailing zero of the new size.
        for level in 1..=self.n_leaves.trailing_zeros() {
            let half = 1_usize << (level - 1);
            let index = 2 * self.n_leaves - 2 * half - 1;
            self.nodes[index] = node_hash(&self.nodes[index - half], &self.nodes[index + half]);
        }
    }

    /// Hash of the leaf at `index`.
    pub fn leaf(&self, index: u64) -> Option<Sha256Hash> {
        let index = usize::try_from(index).ok()?;
        self.nodes.get(index.checked_mul(2)?).copied()
    }

    /// Merkle tree hash of leaves `first..end`, where `first` starts a subtree of the tree.
    fn range_root(&self, first: usize, end: usize) -> Sha256Hash {
        let size = end - first;
        if size.is_power_of_two() {
            return self.nodes[2 * first + size - 1];
        }
        let left = size.next_power_of_two() / 2;
        node_hash(&self.nodes[2 * first + left - 1], &self.range_root(first + left, end))
    }

    fn checked_size(&self, tree_size: u64) -> Result<usize, LedgerError> {
        usize::try_from(tree_size).ok().filter(|&size| size <= self.n_leaves).ok_or(
            LedgerError::OutOfRange { what: "tree size", value: tree_size, limit: self.len() },
        )
    }

    /// Root of the tree of the first `tree_size` leaves; SHA-256 of nothing for 0.
    pub fn root(&self, tree_size: u64) -> Result<Sha256Hash, LedgerError> {
        let size = self.checked_size(tree_size)?;
        Ok(if size == 0 { Sha256Hash::of(b"") } else { self.range_root(0, size) })
    }

    /// The node at `index` of the array layout, in the tree of `size` leaves.
    fn node(&self, index: usize, size: usize) -> Sha256Hash {
        let half = (1_usize << index.trailing_ones()) - 1;
        let (first, last) = ((index - half) / 2, usize::midpoint(index, half));
        self.range_root(first, size.min(last + 1))
    }

    /// The nodes at these places; all lie within the array, so none is left out.
    fn nodes_at(&self, indices: Vec<u64>, size: usize) -> Vec<Sha256Hash> {
        let indices = indices.into_iter().filter_map(|index| usize::try_from(index).ok());
        indices.map(|index| self.node(index, size)).collect()
    }

    /// `PATH(m, D[n])` of RFC 6962, section 2.1.1: `index` is m, `tree_size` is n.
    pub fn prove_inclusion(
        &self,
        index: u64,
        tree_size: u64,
    ) -> Result<Vec<Sha256Hash>, LedgerError> {
        let size = self.checked_size(tree_size)?;
        if index >= tree_size {
            return Err(LedgerError::OutOfRange {
                what: "leaf index",
                value: index,
                limit: tree_size,
            });
        }
        let nodes = ct_merkle::indices_for_inclusion_proof(tree_size, index);
        Ok(self.nodes_at(nodes, size))
    }

    /// `PROOF(m, D[n])` of RFC 6962, section 2.1.2: `first_size` is m, `second_size` is n.
    /// Empty where m is 0 or n.
    pub fn prove_consistency(
        &self,
        first_size: u64,
        second_size: u64,
    ) -> Result<Vec<Sha256Hash>, LedgerError> {
        let size = self.checked_size(second_size)?;
        let Some(added) = second_size.checked_sub(first_size) else {
            return Err(LedgerError::OutOfRange {
                what: "first tree size",
                value: first_size,
                limit: second_size,
            });
        };
        if first_size == 0 {
            return Ok(Vec::new());
        }
        let nodes = ct_merkle::indices_for_consistency_proof(first_size, added);
        Ok(self.nodes_at(nodes, size))
    }
}

fn output(hash: &Sha256Hash) -> ct_merkle::digest::Output<Sha256> {
    (*hash.as_bytes()).into()
}

fn check_sizes(what: &'static str, sizes: &[u64]) -> Result<(), LedgerError> {
    match sizes.iter().find(|&&size| size > TREE_SIZE_MAX) {
        Some(_) => Err(LedgerError::verification(what, "a tree size is beyond 2^53")),
        None => Ok(()),
    }
}

/// Checks that a leaf with these data stands at `index` of the tree with this size and root.
///
/// # Errors
/// [`LedgerError::Verification`] with the reason.
pub fn verify_inclusion(
    data: &[u8],
    index: u64,
    tree_size: u64,
    root: &Sha256Hash,
    proof: &[Sha256Hash],
) -> Result<(), LedgerError> {
    let what = "inclusion proof";
    check_sizes(what, &[tree_size, index])?;
    let digests: Vec<_> = proof.iter().map(output).collect();
    RootHash::<Sha256>::new(output(root), tree_size)
        .verify_inclusion(&data, index, &InclusionProof::from_digests(&digests))
        .map_err(|e| LedgerError::verification(what, e.to_string()))
}

/// Checks that the tree of `first_size` leaves is the beginning of that of `second_size`.
///
/// # Errors
/// [`LedgerError::Verification`] with the reason.
pub fn verify_consistency(
    first_size: u64,
    first_root: &Sha256Hash,
    second_size: u64,
    second_root: &Sha256Hash,
    proof: &[Sha256Hash],
) -> Result<(), LedgerError> {
    let what = "consistency proof";
    check_sizes(what, &[first_size, second_size])?;
    if first_size == 0 {
        // RFC 9162 leaves the empty tree out: it is the beginning of every tree.
        return if *first_root == Sha256Hash::of(b"") && proof.is_empty() {
            Ok(())
        } else {
            Err(LedgerError::verification(what, "an empty tree has the root of nothing"))
        };
    }
    let digests: Vec<_> = proof.iter().map(output).collect();
    RootHash::<Sha256>::new(output(second_root), second_size)
        .verify_consistency(
            &RootHash::new(output(first_root), first_size),
            &ConsistencyProof::from_digests(&digests),
        )
        .map_err(|e| LedgerError::verification(what, e.to_string()))
}
