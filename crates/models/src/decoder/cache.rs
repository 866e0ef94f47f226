//! Keys and values of past positions, for sampling.

use candle_core::{Result, Tensor};

/// Past keys and values of a batch; rows may begin with padding.
#[derive(Debug, Clone)]
pub struct KvCache {
    layers: Vec<LayerCache>,
    pads: Vec<usize>,
    len: usize,
}

/// One layer's part: keys and values `[b, kv_heads, len, head_dim]`.
#[derive(Debug, Clone, Default)]
pub(crate) struct LayerCache(Option<(Tensor, Tensor)>);

impl KvCache {
    pub(crate) fn new(layers: usize, pads: Vec<usize>) -> Self {
        Self { layers: vec![LayerCache::default(); layers], pads, len: 0 }
    }

    /// Positions held, padding included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing held yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Padding at the start of each row, in tokens.
    pub fn pads(&self) -> &[usize] {
        &self.pads
    }

    /// Keeps only these rows, in this order (the finished ones leave the batch).
    ///
    /// # Errors
    /// A row outside the batch.
    pub fn keep_rows(&mut self, rows: &[u32]) -> Result<()> {
        let mut pads = Vec::with_capacity(rows.len());
        for &row in rows {
            match self.pads.get(row as usize) {
                Some(&pad) => pads.push(pad),
                None => candle_core::bail!("row {row} is outside a batch of {}", self.pads.len()),
            }
        }
        for layer in &mut self.layers {
            if let Some((k, v)) = &layer.0 {
                let index = Tensor::new(rows, k.device())?;
                layer.0 = Some((k.index_select(&index, 0)?, v.index_select(&index, 0)?));
            }
        }
        self.pads = pads;
        Ok(())
    }

    pub(crate) fn grow(&mut self, t: usize) {
        self.len += t;
    }

    pub(crate) fn layer(&mut self, i: usize) -> &mut LayerCache {
        &mut self.layers[i]
    }
}

impl LayerCache {
    /// Appends, and returns keys and values of all positions so far.
    pub(crate) fn append(&mut self, k: Tensor, v: Tensor) -> Result<(Tensor, Tensor)> {
        let (k, v) = match &self.0 {
            None => (k, v),
            Some((past_k, past_v)) => {
                (Tensor::cat(&[past_k, &k], 2)?, Tensor::cat(&[past_v, &v], 2)?)
            }
        };
        self.0 = Some((k.clone(), v.clone()));
        Ok((k, v))
    }
}
