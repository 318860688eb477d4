//! Multi-head attention that never forms the whole matrix of weights (FlashAttention, Dao et al.
//! 2022, algorithm 1, with the backward pass of its appendix B).
//!
//! Queries, keys and values are read where the fused projection left them, and the heads' results
//! are written where the output projection wants them: nothing is moved.

#![expect(
    unsafe_code,
    reason = "results are written into room that was not filled with zeros first"
)]

use multiversion::multiversion;
use rayon::prelude::*;

use super::Saved;
use super::matrix::{Mat, MatMut, add_product, grain, product, threads_for};
use super::memory::{Blank, Values, contiguous, dims, slice, unwritten, written};
use super::vector::{exp_or_zero, max, sum, sum2};
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
    let Shape { b, t, h, d, c, .. } = shape;
    let mut out = unwritten(b * t * c);
    let mut log_sums = vec![0.0; b * h * t];
    let mut tasks = Vec::with_capacity(b * h);
    if !out.is_empty() {
        let examples = out.chunks_exact_mut(t * c);
        for (example, out) in examples.zip(log_sums.chunks_exact_mut(h * t)).enumerate() {
            let (out, log_sums) = out;
            let heads = MatMut::new(out, t, c).into_columns(d);
            for (head, task) in heads
                .into_iter()
                .zip(log_sums.chunks_exact_mut(t))
                .enumerate()
            {
                tasks.push(((example, head), task));
            }
        }
    }
    let grain = grain(threads_for(shape.multiplications()), tasks.len());
    let scratch = || unwritten(QUERIES.min(t) * KEYS.min(t));
    tasks.into_par_iter().with_min_len(grain).for_each_init(
        scratch,
        |room, (place, (mut out, log_sums))| {
            let head = Head::new(slice(&qkv), mask.as_ref().map(slice), place, shape);
            head.forward(&mut out, log_sums, room);
        },
    );
    // SAFETY: every head wrote its columns of every query, block by block.
    let out = unsafe { written(out, [b * t, c]) };
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
    shape: Shape,
    /// 1 / √d
    scale: f32,
}

impl<'a> Head<'a> {
    fn new(
        qkv: &'a [f32],
        mask: Option<&'a [f32]>,
        (example, head): (usize, usize),
        shape: Shape,
    ) -> Self {
        let Shape { t, d, c, .. } = shape;
        let of_example = &qkv[example * t * 3 * c..][..t * 3 * c];
        let part = |part: usize| Mat::strided(&of_example[part * c + head * d..], t, d, 3 * c);
        Self {
            q: part(0),
            k: part(1),
            v: part(2),
            mask: mask.map(|mask| &mask[example * t..][..t]),
            shape,
            scale: 1.0 / (d as f32).sqrt(),
        }
    }

    /// Scores of some queries with some keys, masks added, those that are not seen included.
    fn scores<'r>(
        &self,
        room: &'r mut [Blank],
        queries: (usize, usize),
        keys: (usize, usize),
    ) -> &'r mut [f32] {
        let (q, k) = (
            self.q.rows(queries.0, queries.1),
            self.k.rows(keys.0, keys.1),
        );
        let room = &mut room[..queries.1 * keys.1];
        let whole = MatMut::new(room, queries.1, keys.1);
        let scores = product(whole, self.scale, q, k.t()).into_slice();
        if let Some(mask) = self.mask {
            for row in scores.chunks_exact_mut(keys.1) {
                let mask = &mask[keys.0..][..keys.1];
                row.iter_mut().zip(mask).for_each(|(s, mask)| *s += mask);
            }
        }
        scores
    }

    fn forward(&self, out: &mut MatMut<'_, Blank>, log_sums: &mut [f32], room: &mut [Blank]) {
        let t = self.shape.t;
        for (first, log_sums) in log_sums.chunks_mut(QUERIES).enumerate() {
            let (first, count) = (first * QUERIES, log_sums.len());
            // The largest score so far, and the sum of exponentials less that.
            let mut tops = [f32::NEG_INFINITY; QUERIES];
            let mut sums = [0.0; QUERIES];
            let end = self.shape.seen(first + count - 1);
            // The queries' results, from the first block of keys on.
            let mut mixed: Option<MatMut<'_>> = None;
            for key in (0..end).step_by(KEYS) {
                let keys = KEYS.min(end - key);
                let scores = self.scores(room, (first, count), (key, keys));
                for (row, scores) in scores.chunks_exact_mut(keys).enumerate() {
                    let seen = (self.shape.seen(first + row).min(t)).saturating_sub(key);
                    let (seen, unseen) = scores.split_at_mut(seen.min(keys));
                    unseen.fill(0.0);
                    let earlier = mixed.as_mut().map(|mixed| mixed.row(row));
                    add_block(seen, &mut tops[row], &mut sums[row], earlier);
                }
                let weights = Mat::new(scores, count, keys);
                let v = self.v.rows(key, keys);
                match &mut mixed {
                    None => mixed = Some(product(out.some_rows(first, count), 1.0, weights, v)),
                    Some(mixed) => add_product(mixed.reborrow(), 1.0, weights, v),
                }
            }
            let Some(mut mixed) = mixed else {
                unreachable!("a query sees itself at least");
            };
            for row in 0..count {
                let scale = 1.0 / sums[row];
                mixed.row(row).iter_mut().for_each(|out| *out *= scale);
                log_sums[row] = tops[row] + sums[row].ln();
            }
        }
    }

    /// The gradients of this head's queries, keys and values, from its result and that's gradient.
    fn backward(
        &self,
        [for_q, for_k, for_v]: &mut [MatMut<'_, Blank>; 3],
        [out, grad]: [Mat<'_>; 2],
        log_sums: &[f32],
        [weights, slopes]: &mut [Box<[Blank]>; 2],
    ) {
        let t = self.shape.t;
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
                let weights = self.scores(weights, (first, count), (key, keys));
                let slopes = MatMut::new(&mut slopes[..count * keys], count, keys);
                let slopes = product(slopes, 1.0, g, v.t()).into_slice();
                let rows = weights
                    .chunks_exact_mut(keys)
                    .zip(slopes.chunks_exact_mut(keys));
                for (row, (weights, slopes)) in rows.enumerate() {
                    let query = first + row;
                    let seen = self.shape.seen(query).saturating_sub(key).min(keys);
                    weights[seen..].fill(0.0);
                    slopes[seen..].fill(0.0);
                    let (weights, slopes) = (&mut weights[..seen], &mut slopes[..seen]);
                    to_slopes(weights, slopes, log_sums[query], common[query], self.scale);
                }
                let weights = Mat::new(weights, count, keys);
                let slopes = Mat::new(slopes, count, keys);
                let (for_q, for_k) = (for_q.some_rows(first, count), for_k.some_rows(key, keys));
                let for_v = for_v.some_rows(key, keys);
                // SAFETY: of these rows, the first block of keys wrote the queries', and the first
                // block of queries that see the keys wrote the keys' and the values'.
                unsafe {
                    write_or_add(for_q, key == 0, slopes, k);
                    write_or_add(for_k, first == start, slopes.t(), q);
                    write_or_add(for_v, first == start, weights.t(), g);
                }
            }
        }
    }
}

/// `out = a·b`, or `out += a·b`.
///
/// # Safety
///
/// What is added to was written.
unsafe fn write_or_add(out: MatMut<'_, Blank>, is_first: bool, a: Mat<'_>, b: Mat<'_>) {
    if is_first {
        product(out, 1.0, a, b);
    } else {
        // SAFETY: the caller's.
        add_product(unsafe { out.assume_written() }, 1.0, a, b);
    }
}

/// Turns a query's scores with a block of keys into weights, relative to its largest score so far,
/// and puts what earlier blocks gave into the same relation.
#[multiversion(targets = "simd")]
fn add_block(scores: &mut [f32], top: &mut f32, total: &mut f32, earlier: Option<&mut [f32]>) {
    let new_top = top.max(max(scores));
    let correction = exp_or_zero(*top - new_top);
    for score in scores.iter_mut() {
        *score = exp_or_zero(*score - new_top);
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
        *weight = exp_or_zero(*weight - log_sum);
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
        let Shape { b, t, h, d, c, .. } = shape;
        let mut grads = unwritten(b * t * 3 * c);
        let mut tasks = Vec::with_capacity(b * h);
        if !grads.is_empty() {
            for (example, grads) in grads.chunks_exact_mut(t * 3 * c).enumerate() {
                let mut columns = MatMut::new(grads, t, 3 * c).into_columns(d);
                let for_v = columns.split_off(2 * h);
                let for_k = columns.split_off(h);
                let heads = columns.into_iter().zip(for_k).zip(for_v).enumerate();
                tasks.extend(heads.map(|(head, ((q, k), v))| ((example, head), [q, k, v])));
            }
        }
        let grain = grain(threads_for(2 * shape.multiplications()), tasks.len());
        let scratch = || [0; 2].map(|_| unwritten(QUERIES.min(t) * KEYS.min(t)));
        tasks.into_par_iter().with_min_len(grain).for_each_init(
            scratch,
            |scratch, (place, mut grads)| {
                let (example, head) = place;
                let inputs = Head::new(slice(&qkv), mask.as_ref().map(slice), place, shape);
                let results = [&out, &grad].map(|whole| {
                    let of_example = &slice(whole)[example * t * c..][..t * c];
                    Mat::new(of_example, t, c).columns(head * d, d)
                });
                let log_sums = &log_sums[(example * h + head) * t..][..t];
                inputs.backward(&mut grads, results, log_sums, scratch);
            },
        );
        // SAFETY: every head wrote its columns of queries, keys and values.
        vec![Some(unsafe { written(grads, [b * t, 3 * c]) })]
    }
}
