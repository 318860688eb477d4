//! Multi-head attention that never forms the whole matrix of weights (FlashAttention, Dao et al.
//! 2022, algorithm 1, with the backward pass of its appendix B).
//!
//! Queries, keys and values are read where the fused projection left them, and the heads' results
//! are written where the output projection wants them: nothing is moved.

use multiversion::multiversion;
use rayon::prelude::*;

use super::Saved;
use super::matrix::{Into, Mat, MatMut, grain, product, threads_for};
use super::memory::{Values, contiguous, dims, slice, tensor, unwritten};
use super::vector::{exp, max, sum, sum2};
use crate::Attend;

// b batch, t positions, h heads, d head width, c = h·d

/// Queries of a block.
const QUERIES: usize = 64;
/// Keys of a block: with the queries, a block of scores is 32 KiB.
const KEYS: usize = 128;

/// What the backward pass needs.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    qkv: Values,
    mask: Option<Values>,
    out: Values,
    /// The logarithm of every query's sum of exponentials, `[b, h, t]`.
    log_sums: Vec<f32>,
    how: Attend,
}

/// `qkv [b·t, 3c]`, additive `mask [b, t]` of the keys -> `[b·t, c]`
pub(crate) fn forward(qkv: Values, mask: Option<Values>, how: Attend) -> (Values, Attention) {
    let (qkv, mask) = (contiguous(qkv), mask.map(contiguous));
    let shape = Shape::new(&qkv, how);
    let Shape { b, t, h, c, .. } = shape;
    let mut out = unwritten(b * t * c);
    let mut log_sums = unwritten(b * h * t);
    if !out.is_empty() {
        (out.par_chunks_mut(t * c))
            .zip(log_sums.par_chunks_mut(h * t))
            .zip(slice(&qkv).par_chunks(t * 3 * c))
            .enumerate()
            .with_min_len(grain(threads_for(shape.multiplications()), b))
            .for_each(|(example, ((out, log_sums), qkv))| {
                let mask = mask.as_ref().map(|mask| &slice(mask)[example * t..][..t]);
                let mut out = MatMut::new(out, t, c);
                let mut scores = unwritten(QUERIES.min(t) * KEYS.min(t));
                for (head, log_sums) in log_sums.chunks_exact_mut(t).enumerate() {
                    let inputs = Head::new(qkv, mask, head, shape);
                    inputs.forward(&mut out, log_sums, &mut scores);
                }
            });
    }
    let out = tensor(out, [b * t, c]);
    let saved = Attention {
        qkv,
        mask,
        out: out.clone(),
        log_sums,
        how,
    };
    (out, saved)
}

#[derive(Clone, Copy)]
struct Shape {
    b: usize,
    t: usize,
    h: usize,
    d: usize,
    c: usize,
    causal: bool,
}

impl Shape {
    fn new(qkv: &Values, how: Attend) -> Self {
        let [rows, width] = dims(qkv);
        let c = width / 3;
        Self {
            b: how.batch,
            t: rows / how.batch.max(1),
            h: how.heads,
            d: c / how.heads,
            c,
            causal: how.causal,
        }
    }

    fn multiplications(self) -> usize {
        2 * self.b * self.t * self.t * self.c
    }

    /// The end of the keys that the query sees.
    fn seen(self, query: usize) -> usize {
        if self.causal { query + 1 } else { self.t }
    }
}

/// One head of one example.
struct Head<'a> {
    q: Mat<'a>,
    k: Mat<'a>,
    v: Mat<'a>,
    mask: Option<&'a [f32]>,
    /// Its first column in the result.
    col: usize,
    shape: Shape,
    /// 1 / √d
    scale: f32,
}

impl<'a> Head<'a> {
    fn new(qkv: &'a [f32], mask: Option<&'a [f32]>, head: usize, shape: Shape) -> Self {
        let Shape { t, d, c, .. } = shape;
        let col = head * d;
        let part = |part: usize| Mat::strided(&qkv[part * c + col..], t, d, 3 * c);
        Self {
            q: part(0),
            k: part(1),
            v: part(2),
            mask,
            col,
            shape,
            scale: 1.0 / (d as f32).sqrt(),
        }
    }

    /// Scores of some queries with some keys, masks added; those that are not seen are left as
    /// they are.
    fn scores(&self, out: &mut [f32], queries: (usize, usize), keys: (usize, usize)) {
        let (q, k) = (
            self.q.rows(queries.0, queries.1),
            self.k.rows(keys.0, keys.1),
        );
        let out = &mut out[..queries.1 * keys.1];
        let whole = MatMut::new(out, queries.1, keys.1);
        product(whole, Into::Replace, self.scale, q, k.t());
        if let Some(mask) = self.mask {
            for row in out.chunks_exact_mut(keys.1) {
                let mask = &mask[keys.0..][..keys.1];
                row.iter_mut().zip(mask).for_each(|(s, mask)| *s += mask);
            }
        }
    }

    fn forward(&self, out: &mut MatMut<'_>, log_sums: &mut [f32], scores: &mut [f32]) {
        let Shape { t, d, .. } = self.shape;
        for (first, log_sums) in log_sums.chunks_mut(QUERIES).enumerate() {
            let (first, count) = (first * QUERIES, log_sums.len());
            // The largest score so far, and the sum of exponentials less that.
            let mut tops = [f32::NEG_INFINITY; QUERIES];
            let mut sums = [0.0; QUERIES];
            let end = self.shape.seen(first + count - 1);
            for key in (0..end).step_by(KEYS) {
                let keys = KEYS.min(end - key);
                self.scores(scores, (first, count), (key, keys));
                for (row, scores) in scores.chunks_exact_mut(keys).take(count).enumerate() {
                    let seen = (self.shape.seen(first + row).min(t)).saturating_sub(key);
                    let (seen, unseen) = scores.split_at_mut(seen.min(keys));
                    unseen.fill(0.0);
                    let mut out = out.part((first + row, 1), (self.col, d));
                    let out = (key > 0).then(|| out.row(0));
                    add_block(seen, &mut tops[row], &mut sums[row], out);
                }
                let into = if key == 0 { Into::Replace } else { Into::Add };
                let out = out.part((first, count), (self.col, d));
                let weights = Mat::new(scores, count, keys);
                product(out, into, 1.0, weights, self.v.rows(key, keys));
            }
            for row in 0..count {
                let scale = 1.0 / sums[row];
                let mut out = out.part((first + row, 1), (self.col, d));
                out.row(0).iter_mut().for_each(|out| *out *= scale);
                log_sums[row] = tops[row] + sums[row].ln();
            }
        }
    }

    /// Adds the gradients of this head's queries, keys and values, which lie in `grads [t, 3c]`.
    fn backward(
        &self,
        grads: &mut MatMut<'_>,
        out: Mat<'_>,
        grad: Mat<'_>,
        log_sums: &[f32],
        [weights, slopes]: [&mut [f32]; 2],
    ) {
        let Shape { t, d, c, .. } = self.shape;
        let (out, grad) = (out.columns(self.col, d), grad.columns(self.col, d));
        // How far a query's weights would grow together, which their sum of one forbids.
        let common: Vec<f32> = (0..t).map(|row| dot(out.row(row), grad.row(row))).collect();
        for key in (0..t).step_by(KEYS) {
            let keys = KEYS.min(t - key);
            // Earlier queries do not see these keys.
            let start = if self.shape.causal { key } else { 0 };
            for first in (start..t).step_by(QUERIES) {
                let count = QUERIES.min(t - first);
                let (q, g) = (self.q.rows(first, count), grad.rows(first, count));
                let (k, v) = (self.k.rows(key, keys), self.v.rows(key, keys));
                self.scores(weights, (first, count), (key, keys));
                product(
                    MatMut::new(&mut slopes[..count * keys], count, keys),
                    Into::Replace,
                    1.0,
                    g,
                    v.t(),
                );
                let rows = weights
                    .chunks_exact_mut(keys)
                    .zip(slopes.chunks_exact_mut(keys));
                for (row, (weights, slopes)) in rows.take(count).enumerate() {
                    let query = first + row;
                    let seen = self.shape.seen(query).saturating_sub(key).min(keys);
                    weights[seen..].fill(0.0);
                    slopes[seen..].fill(0.0);
                    let (weights, slopes) = (&mut weights[..seen], &mut slopes[..seen]);
                    to_slopes(weights, slopes, log_sums[query], common[query], self.scale);
                }
                let into = |is_first| if is_first { Into::Replace } else { Into::Add };
                let weights = Mat::new(weights, count, keys);
                let slopes = Mat::new(slopes, count, keys);
                let rows = (first, count);
                let for_q = grads.part(rows, (self.col, d));
                product(for_q, into(key == 0), 1.0, slopes, k);
                let for_k = grads.part((key, keys), (c + self.col, d));
                product(for_k, into(first == start), 1.0, slopes.t(), q);
                let for_v = grads.part((key, keys), (2 * c + self.col, d));
                product(for_v, into(first == start), 1.0, weights.t(), g);
            }
        }
    }
}

/// Turns a query's scores with a block of keys into weights, relative to its largest score so far,
/// and puts what earlier blocks gave into the same relation.
#[multiversion(targets = "simd")]
fn add_block(scores: &mut [f32], top: &mut f32, total: &mut f32, earlier: Option<&mut [f32]>) {
    let new_top = top.max(max(scores));
    let correction = exp(*top - new_top);
    for score in scores.iter_mut() {
        *score = exp(*score - new_top);
    }
    let now = sum(scores, |x| x);
    match earlier {
        Some(earlier) => {
            for out in earlier {
                *out *= correction;
            }
            *total = *total * correction + now;
        }
        None => *total = now,
    }
    *top = new_top;
}

/// Turns a query's scores into weights, and the gradients of its weights into those of its scores.
#[multiversion(targets = "simd")]
fn to_slopes(weights: &mut [f32], slopes: &mut [f32], log_sum: f32, common: f32, scale: f32) {
    for (weight, slope) in weights.iter_mut().zip(slopes) {
        *weight = exp(*weight - log_sum);
        *slope = *weight * (*slope - common) * scale;
    }
}

#[multiversion(targets = "simd")]
fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum2(a, b, |a, b| a * b)
}

impl Saved for Attention {
    /// The gradient of `qkv`.
    fn backward(self, grad: Values, _: &[bool]) -> Vec<Option<Values>> {
        let Self {
            qkv,
            mask,
            out,
            log_sums,
            how,
        } = self;
        let grad = contiguous(grad);
        let shape = Shape::new(&qkv, how);
        let Shape { b, t, h, c, .. } = shape;
        let mut grads = unwritten(b * t * 3 * c);
        if !grads.is_empty() {
            (grads.par_chunks_mut(t * 3 * c))
                .zip(slice(&qkv).par_chunks(t * 3 * c))
                .zip(slice(&out).par_chunks(t * c))
                .zip(slice(&grad).par_chunks(t * c))
                .zip(log_sums.par_chunks(h * t))
                .enumerate()
                .with_min_len(grain(threads_for(2 * shape.multiplications()), b))
                .for_each(|(example, ((((grads, qkv), out), grad), log_sums))| {
                    let mask = mask.as_ref().map(|mask| &slice(mask)[example * t..][..t]);
                    let mut grads = MatMut::new(grads, t, 3 * c);
                    let block = QUERIES.min(t) * KEYS.min(t);
                    let (mut weights, mut slopes) = (unwritten(block), unwritten(block));
                    for (head, log_sums) in log_sums.chunks_exact(t).enumerate() {
                        Head::new(qkv, mask, head, shape).backward(
                            &mut grads,
                            Mat::new(out, t, c),
                            Mat::new(grad, t, c),
                            log_sums,
                            [&mut weights, &mut slopes],
                        );
                    }
                });
        }
        vec![Some(tensor(grads, [b * t, 3 * c]))]
    }
}
