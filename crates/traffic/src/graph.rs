//! Communities of a weighted graph: the Louvain method (Blondel et al. 2008), deterministic.
//!
//! Nodes are visited in order, ties go to the smaller community, so the same graph gives the same
//! communities. Work is bounded by [`LEVELS_MAX`] times [`SWEEPS_MAX`] passes over the edges.

const LEVELS_MAX: usize = 8;
const SWEEPS_MAX: usize = 12;

/// An undirected weighted graph, each edge stored at both ends.
#[derive(Debug)]
pub(crate) struct Graph {
    offsets: Vec<u32>,
    targets: Vec<u32>,
    weights: Vec<f32>,
}

impl Graph {
    /// From edges (no loops) between nodes below `n`. Weights of repeated edges are summed.
    pub(crate) fn new(n: usize, edges: &[(u32, u32, f32)]) -> Self {
        let mut offsets = vec![0u32; n + 1];
        for (a, b, _) in edges {
            for node in [a, b] {
                if let Some(degree) = offsets.get_mut(*node as usize + 1) {
                    *degree += 1;
                }
            }
        }
        let mut sum = 0;
        for offset in &mut offsets {
            sum += *offset;
            *offset = sum;
        }
        let mut next = offsets.clone();
        let mut targets = vec![0; sum as usize];
        let mut weights = vec![0.0; sum as usize];
        for (a, b, w) in edges {
            for (from, to) in [(a, b), (b, a)] {
                let Some(at) = next.get_mut(*from as usize) else { continue };
                if let (Some(target), Some(weight)) =
                    (targets.get_mut(*at as usize), weights.get_mut(*at as usize))
                {
                    (*target, *weight) = (*to, *w);
                    *at += 1;
                }
            }
        }
        Self { offsets, targets, weights }
    }

    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    fn neighbours(&self, node: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let from = self.offsets.get(node).copied().unwrap_or(0) as usize;
        let to = self.offsets.get(node + 1).copied().unwrap_or(0) as usize;
        let targets = self.targets.get(from..to).unwrap_or_default();
        let weights = self.weights.get(from..to).unwrap_or_default();
        targets.iter().zip(weights).map(|(t, w)| (*t as usize, f64::from(*w)))
    }

    /// The community of each node. `resolution` above 1 gives smaller communities.
    pub(crate) fn communities(&self, resolution: f64) -> Vec<u32> {
        let mut labels: Vec<u32> = (0..self.len()).map(index).collect();
        let mut loops = vec![0.0; self.len()];
        let mut coarse: Option<Self> = None;
        for _ in 0..LEVELS_MAX {
            let graph = coarse.as_ref().unwrap_or(self);
            let (moved, local) = graph.local_moves(&loops, resolution);
            for label in &mut labels {
                *label = local.get(*label as usize).copied().unwrap_or(0);
            }
            if !moved {
                break;
            }
            let (next, next_loops) = graph.coarsen(&local, &loops);
            (coarse, loops) = (Some(next), next_loops);
        }
        labels
    }

    /// Moves nodes to the neighbouring community that gains most modularity, until none gains.
    fn local_moves(&self, loops: &[f64], resolution: f64) -> (bool, Vec<u32>) {
        let n = self.len();
        let mut community: Vec<usize> = (0..n).collect();
        let strength: Vec<f64> = (0..n)
            .map(|i| {
                self.neighbours(i).map(|(_, w)| w).sum::<f64>()
                    + 2.0 * loops.get(i).copied().unwrap_or(0.0)
            })
            .collect();
        let total: f64 = strength.iter().sum();
        if total <= 0.0 {
            return (false, renumber(&community));
        }
        let mut of_community = strength.clone();
        let mut links = vec![0.0; n];
        let mut touched: Vec<usize> = Vec::new();
        let mut any = false;
        for _ in 0..SWEEPS_MAX {
            let mut moves = 0;
            for (node, k) in strength.iter().enumerate() {
                let Some(home) = community.get(node).copied() else { continue };
                for (to, w) in self.neighbours(node) {
                    let c = community.get(to).copied().unwrap_or(home);
                    if let Some(link) = links.get_mut(c) {
                        if *link == 0.0 {
                            touched.push(c);
                        }
                        *link += w;
                    }
                }
                if let Some(sum) = of_community.get_mut(home) {
                    *sum -= k;
                }
                let gain = |c: usize| {
                    links.get(c).copied().unwrap_or(0.0)
                        - resolution * k * of_community.get(c).copied().unwrap_or(0.0) / total
                };
                let mut best = (home, gain(home));
                for c in &touched {
                    let g = gain(*c);
                    if g > best.1 + 1e-12 || (g >= best.1 - 1e-12 && *c < best.0 && best.0 != home)
                    {
                        best = (*c, g);
                    }
                }
                if let Some(sum) = of_community.get_mut(best.0) {
                    *sum += k;
                }
                if best.0 != home {
                    moves += 1;
                    if let Some(slot) = community.get_mut(node) {
                        *slot = best.0;
                    }
                }
                for c in touched.drain(..) {
                    if let Some(link) = links.get_mut(c) {
                        *link = 0.0;
                    }
                }
            }
            any |= moves > 0;
            if moves * 1000 <= n {
                break;
            }
        }
        (any, renumber(&community))
    }

    /// One node per community; what lies within becomes its loop.
    fn coarsen(&self, local: &[u32], loops: &[f64]) -> (Self, Vec<f64>) {
        let n = local.iter().max().map_or(0, |m| *m as usize + 1);
        let mut next_loops = vec![0.0; n];
        let mut edges = Vec::new();
        for node in 0..self.len() {
            let Some(a) = local.get(node).copied() else { continue };
            if let (Some(sum), Some(own)) = (next_loops.get_mut(a as usize), loops.get(node)) {
                *sum += own;
            }
            for (to, w) in self.neighbours(node) {
                if to <= node {
                    continue;
                }
                let b = local.get(to).copied().unwrap_or(a);
                if a == b {
                    if let Some(sum) = next_loops.get_mut(a as usize) {
                        *sum += w;
                    }
                } else {
                    edges.push((a.min(b), a.max(b), w));
                }
            }
        }
        edges.sort_unstable_by_key(|(a, b, _)| (*a, *b));
        let merged: Vec<(u32, u32, f32)> = edges
            .chunk_by(|x, y| (x.0, x.1) == (y.0, y.1))
            .filter_map(|g| g.first().map(|e| (e.0, e.1, narrow(g.iter().map(|e| e.2).sum()))))
            .collect();
        (Self::new(n, &merged), next_loops)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "weights need no more than seven digits")]
fn narrow(weight: f64) -> f32 {
    weight as f32
}

fn index(i: usize) -> u32 {
    u32::try_from(i).unwrap_or(u32::MAX)
}

/// Labels 0, 1, 2, … in order of first appearance.
fn renumber(community: &[usize]) -> Vec<u32> {
    let mut names = vec![u32::MAX; community.len()];
    let mut next = 0;
    community
        .iter()
        .map(|c| match names.get_mut(*c) {
            Some(name) => {
                if *name == u32::MAX {
                    *name = next;
                    next += 1;
                }
                *name
            }
            None => 0,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cliques of the given sizes, neighbours joined by one weak edge.
    fn cliques(sizes: &[u32]) -> (usize, Vec<(u32, u32, f32)>) {
        let (mut edges, mut start) = (Vec::new(), 0);
        for size in sizes {
            for a in start..start + size {
                for b in a + 1..start + size {
                    edges.push((a, b, 1.0));
                }
            }
            if start > 0 {
                edges.push((start - 1, start, 0.2));
            }
            start += size;
        }
        (start as usize, edges)
    }

    #[test]
    fn cliques_are_told_apart() {
        let (n, edges) = cliques(&[5, 7, 4, 30]);
        let labels = Graph::new(n, &edges).communities(1.0);
        for (range, label) in [(0..5, 0), (5..12, 1), (12..16, 2), (16..46, 3)] {
            assert!(labels[range.clone()].iter().all(|l| *l == label), "{range:?}: {labels:?}");
        }
    }

    #[test]
    fn nothing_comes_of_nothing() {
        assert_eq!(Graph::new(0, &[]).communities(1.0), Vec::<u32>::new());
        assert_eq!(Graph::new(3, &[]).communities(1.0), vec![0, 1, 2]);
    }
}
