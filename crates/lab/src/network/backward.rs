//! The backward pass: from the gradient of the logits to that of every weight.

use super::kernels::{causal_softmax_backward, rms_norm_backward, swiglu_backward};
use super::matmul::{Into, View, matmul};
use super::{Batch, LayerRoom, Network};

impl Network {
    /// Expects the forward pass's results, and the gradient of the logits in `room.logits`.
    pub(super) fn backward(&mut self, batch: &Batch) {
        let (h, f, vocab) =
            (self.config.hidden_size, self.config.intermediate_size, self.config.vocab_size);
        let n = batch.n_sequences * batch.length;
        let w = &self.weights;
        let dw = &mut self.gradient;
        dw.fill(0.0);
        let room = &mut self.room;
        room.d_hidden.resize(n * h, 0.0);
        room.d_act.resize(n * f, 0.0);
        room.d_qkv.resize(n * 3 * h, 0.0);
        room.d_scores.resize(batch.length.pow(2), 0.0);
        room.d_stream.clear();
        room.d_stream.resize(n * h, 0.0);

        let embedding = self.config.embedding();
        down(
            (&room.logits, vocab),
            (&room.last_normed, h),
            &w[embedding.clone()],
            &mut room.d_hidden,
            &mut dw[embedding.clone()],
        );
        let at = self.config.final_norm();
        rms_norm_backward(
            (&room.last, &w[at.clone()], &room.last_rms),
            &room.d_hidden,
            &mut room.d_stream,
            &mut dw[at],
        );
        for (index, layer) in room.layers.iter_mut().enumerate().rev() {
            let at = self.config.layer(index);
            let (d_stream, d_hidden) = (&mut room.d_stream, &mut room.d_hidden);
            down(
                (d_stream, h),
                (&layer.act, f),
                &w[at.down.clone()],
                &mut room.d_act,
                &mut dw[at.down],
            );
            swiglu_backward(&mut layer.gate_up, &room.d_act, f);
            down(
                (&layer.gate_up, 2 * f),
                (&layer.normed2, h),
                &w[at.gate_up.clone()],
                d_hidden,
                &mut dw[at.gate_up],
            );
            rms_norm_backward(
                (&layer.middle, &w[at.norm2.clone()], &layer.rms2),
                d_hidden,
                d_stream,
                &mut dw[at.norm2],
            );
            down((d_stream, h), (&layer.mixed, h), &w[at.out.clone()], d_hidden, &mut dw[at.out]);
            attend_backward(
                layer,
                d_hidden,
                &mut room.d_qkv,
                &mut room.d_scores,
                batch,
                h,
                self.config.n_heads,
            );
            for (i, row) in room.d_qkv.chunks_exact_mut(3 * h).enumerate() {
                self.rotary.rotate(&mut row[..2 * h], i % batch.length, -1.0);
            }
            down(
                (&room.d_qkv, 3 * h),
                (&layer.normed1, h),
                &w[at.qkv.clone()],
                d_hidden,
                &mut dw[at.qkv],
            );
            rms_norm_backward(
                (&layer.input, &w[at.norm1.clone()], &layer.rms1),
                d_hidden,
                d_stream,
                &mut dw[at.norm1],
            );
        }
        let d_embedding = &mut dw[embedding];
        for (row, &token) in room.d_stream.chunks_exact(h).zip(&batch.tokens) {
            let into = &mut d_embedding[token as usize * h..(token as usize + 1) * h];
            for (d, &g) in into.iter_mut().zip(row) {
                *d += g;
            }
        }
    }
}

/// Backward of `y = x wᵀ` with `w` `[outputs, inputs]`: sets `dx = dy w`, adds `dyᵀ x` to `dw`.
fn down(
    (dy, outputs): (&[f32], usize),
    (x, inputs): (&[f32], usize),
    w: &[f32],
    dx: &mut [f32],
    dw: &mut [f32],
) {
    let n = x.len() / inputs;
    let weight = View::dense(outputs, inputs);
    let view = View::dense(n, outputs);
    matmul((dy, view), (w, weight), (dx, View::dense(n, inputs)), 1.0, Into::Set);
    matmul((dy, view.t()), (x, View::dense(n, inputs)), (dw, weight), 1.0, Into::Add);
}

/// Backward of the attention: from the gradient of the mixed heads to that of q, k and v.
fn attend_backward(
    layer: &LayerRoom,
    d_mixed: &[f32],
    d_qkv: &mut [f32],
    d_scores: &mut [f32],
    batch: &Batch,
    h: usize,
    n_heads: usize,
) {
    let t = batch.length;
    let size = h / n_heads;
    let scale = (size as f32).sqrt().recip();
    let head = View::strided(t, size, 3 * h);
    let out = View::strided(t, size, h);
    let square = View::dense(t, t);
    for (index, p) in layer.attention.chunks_exact(t * t).enumerate() {
        let (sequence, column) = (index / n_heads, (index % n_heads) * size);
        let start = sequence * t * 3 * h + column;
        let d_mixed = &d_mixed[sequence * t * h + column..];
        let qkv = &layer.qkv[start..];
        let d_qkv = &mut d_qkv[start..];
        matmul((d_mixed, out), (&qkv[2 * h..], head.t()), (&mut *d_scores, square), 1.0, Into::Set);
        matmul((p, square.t()), (d_mixed, out), (&mut d_qkv[2 * h..], head), 1.0, Into::Set);
        causal_softmax_backward(p, d_scores, t);
        matmul((d_scores, square), (&qkv[h..], head), (&mut *d_qkv, head), scale, Into::Set);
        matmul((d_scores, square.t()), (qkv, head), (&mut d_qkv[h..], head), scale, Into::Set);
    }
}
