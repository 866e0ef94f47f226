//! The forward pass: from tokens to logits, keeping what the backward pass needs.

use super::kernels::{causal_softmax, rms_norm, swiglu};
use super::matmul::{Into, View, matmul};
use super::{Batch, Network};

impl Network {
    pub(super) fn forward(&mut self, batch: &Batch) {
        let (h, f, vocab) =
            (self.config.hidden_size, self.config.intermediate_size, self.config.vocab_size);
        let n = batch.n_sequences * batch.length;
        let dense = View::dense;
        let w = &self.weights;
        let embedding = &w[self.config.embedding()];
        self.room.layers.resize_with(self.config.n_layers, Default::default);
        let mut stream = std::mem::take(&mut self.room.last);
        stream.resize(n * h, 0.0);
        for (row, &token) in stream.chunks_exact_mut(h).zip(&batch.tokens) {
            row.copy_from_slice(&embedding[token as usize * h..(token as usize + 1) * h]);
        }
        for (index, room) in self.room.layers.iter_mut().enumerate() {
            let at = self.config.layer(index);
            room.input.clear();
            room.input.extend_from_slice(&stream);
            room.rms1.resize(n, 0.0);
            room.normed1.resize(n * h, 0.0);
            rms_norm(&stream, &w[at.norm1], &mut room.normed1, &mut room.rms1);
            room.qkv.resize(n * 3 * h, 0.0);
            matmul(
                (&room.normed1, dense(n, h)),
                (&w[at.qkv], dense(3 * h, h).t()),
                (&mut room.qkv, dense(n, 3 * h)),
                1.0,
                Into::Set,
            );
            for (i, row) in room.qkv.chunks_exact_mut(3 * h).enumerate() {
                self.rotary.rotate(&mut row[..2 * h], i % batch.length, 1.0);
            }
            room.mixed.resize(n * h, 0.0);
            room.attention
                .resize(batch.n_sequences * self.config.n_heads * batch.length.pow(2), 0.0);
            attend(&room.qkv, &mut room.attention, &mut room.mixed, batch, h, self.config.n_heads);
            matmul(
                (&room.mixed, dense(n, h)),
                (&w[at.out], dense(h, h).t()),
                (&mut stream, dense(n, h)),
                1.0,
                Into::Add,
            );
            room.middle.clear();
            room.middle.extend_from_slice(&stream);
            room.rms2.resize(n, 0.0);
            room.normed2.resize(n * h, 0.0);
            rms_norm(&stream, &w[at.norm2], &mut room.normed2, &mut room.rms2);
            room.gate_up.resize(n * 2 * f, 0.0);
            matmul(
                (&room.normed2, dense(n, h)),
                (&w[at.gate_up], dense(2 * f, h).t()),
                (&mut room.gate_up, dense(n, 2 * f)),
                1.0,
                Into::Set,
            );
            room.act.resize(n * f, 0.0);
            swiglu(&room.gate_up, &mut room.act, f);
            matmul(
                (&room.act, dense(n, f)),
                (&w[at.down], dense(h, f).t()),
                (&mut stream, dense(n, h)),
                1.0,
                Into::Add,
            );
        }
        let room = &mut self.room;
        room.last_rms.resize(n, 0.0);
        room.last_normed.resize(n * h, 0.0);
        rms_norm(&stream, &w[self.config.final_norm()], &mut room.last_normed, &mut room.last_rms);
        room.logits.resize(n * vocab, 0.0);
        matmul(
            (&room.last_normed, dense(n, h)),
            (embedding, dense(vocab, h).t()),
            (&mut room.logits, dense(n, vocab)),
            1.0,
            Into::Set,
        );
        room.last = stream;
    }
}

/// Causal attention of every sequence and head.
fn attend(
    qkv: &[f32],
    attention: &mut [f32],
    mixed: &mut [f32],
    batch: &Batch,
    h: usize,
    n_heads: usize,
) {
    let t = batch.length;
    let size = h / n_heads;
    let scale = (size as f32).sqrt().recip();
    let head = View::strided(t, size, 3 * h);
    for (index, scores) in attention.chunks_exact_mut(t * t).enumerate() {
        let (sequence, column) = (index / n_heads, (index % n_heads) * size);
        let row = &qkv[sequence * t * 3 * h..];
        let square = View::dense(t, t);
        matmul(
            (&row[column..], head),
            (&row[h + column..], head.t()),
            (&mut *scores, square),
            scale,
            Into::Set,
        );
        causal_softmax(scores, t);
        matmul(
            (scores, square),
            (&row[2 * h + column..], head),
            (&mut mixed[sequence * t * h + column..], View::strided(t, size, h)),
            1.0,
            Into::Set,
        );
    }
}
