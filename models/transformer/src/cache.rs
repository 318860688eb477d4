//! What a decoder keeps of earlier positions, so that a new token costs one position instead of
//! all of them.
//!
//! Keys and values lie in buffers that double when they are full, so that a token is written in
//! place where joining tensors would copy all that was there. On flex, with the 12 layers of 12
//! heads of the smallest GPT-2 and 1,000 positions, caching and attention take a third of the time.

use std::{error, fmt};

use burn::tensor::{Int, Tensor, assert_shape};

// b sequences, h heads, t new positions, s positions in all, d head width.

/// Positions that a buffer has room for at the least.
const LEAST_ROOM: usize = 16;

/// The keys and values of the positions seen so far, for every layer of one decoder.
#[derive(Clone, Debug)]
pub struct Cache {
    layers: Vec<Seen>,
    len: usize,
}

impl Cache {
    /// An empty cache for this many layers.
    pub(crate) fn new(num_layers: usize) -> Self {
        Self {
            layers: vec![Seen::default(); num_layers],
            len: 0,
        }
    }

    /// Positions held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no position is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets every position, so that the next call starts new sequences.
    pub fn clear(&mut self) {
        self.layers.fill(Seen::default());
        self.len = 0;
    }

    /// Keeps the sequences of these `rows [r]`, in this order and as often as each is named.
    pub fn select(&mut self, rows: &Tensor<1, Int>) {
        for Seen { buffers, .. } in &mut self.layers {
            let pick = |buffer: Tensor<4>| buffer.select(0, rows.clone());
            *buffers = buffers.take().map(|both| both.map(pick));
        }
    }

    /// Lets `read` show every layer `new` more positions, if a context has room for them, and counts
    /// them.
    pub(crate) fn continue_with<T>(
        &mut self,
        context: usize,
        new: usize,
        read: impl FnOnce(&mut Self) -> T,
    ) -> Result<T, ContextFull> {
        if self.len + new > context {
            return Err(ContextFull {
                context,
                cached: self.len,
                new,
            });
        }
        let found = read(self);
        self.len += new;
        Ok(found)
    }

    /// What one layer has seen.
    pub(crate) fn layer(&mut self, layer: usize) -> &mut Seen {
        &mut self.layers[layer]
    }
}

/// The keys and values of one layer's earlier positions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// `[b, h, room, d]` each, of which the first `len` positions count.
    buffers: Option<[Tensor<4>; 2]>,
    len: usize,
}

impl Seen {
    /// Joins new keys and values `[b, h, t, d]` to the earlier ones: `[b, h, s, d]` each.
    ///
    /// # Panics
    /// If another number of sequences was seen before.
    pub(crate) fn extend(&mut self, k: Tensor<4>, v: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let len = self.len;
        self.len += k.dims()[2];
        let [k, v] = match self.buffers.take() {
            None => [append(None, len, k), append(None, len, v)],
            Some([old_k, old_v]) => [append(Some(old_k), len, k), append(Some(old_v), len, v)],
        };
        self.buffers = Some([k.clone(), v.clone()]);
        (k.narrow(2, 0, self.len), v.narrow(2, 0, self.len))
    }
}

/// Writes `new [b, h, t, d]` behind the first `len` positions of a buffer.
fn append(buffer: Option<Tensor<4>>, len: usize, new: Tensor<4>) -> Tensor<4> {
    let [b, h, t, d] = new.dims();
    let end = len + t;
    let buffer = match buffer {
        Some(buffer) => {
            let [held, _, room, _] = buffer.dims();
            assert!(held == b, "the cache holds {held} sequences, got {b}");
            assert_shape!(buffer, [_, h, _, d]);
            if end <= room {
                buffer
            } else {
                let old = buffer.narrow(2, 0, len);
                with_room(&new, end).slice_assign([0..b, 0..h, 0..len, 0..d], old)
            }
        }
        None => with_room(&new, end),
    };
    buffer.slice_assign([0..b, 0..h, len..end, 0..d], new)
}

/// A buffer like `new [b, h, _, d]` for at least `end` positions.
fn with_room(new: &Tensor<4>, end: usize) -> Tensor<4> {
    let [b, h, _, d] = new.dims();
    let room = end.next_power_of_two().max(LEAST_ROOM);
    Tensor::zeros([b, h, room, d], (&new.device(), new.dtype()))
}

/// `x [b·t, c]`, the positions of `b` sequences -> `[b, c]`, the last of each.
pub(crate) fn last_positions(x: Tensor<2>, b: usize) -> Tensor<2> {
    let [rows, c] = x.dims();
    let t = rows / b;
    assert!(t > 0, "no token to continue from");
    x.reshape([b, t, c]).narrow(1, t - 1, 1).reshape([b, c])
}

/// The cache has no room for the new tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextFull {
    /// Most positions the model can see at once.
    pub context: usize,
    /// Positions in the cache.
    pub cached: usize,
    /// Positions that were to follow.
    pub new: usize,
}

impl fmt::Display for ContextFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            context,
            cached,
            new,
        } = self;
        write!(
            f,
            "a context of {context} positions cannot take {new} after {cached}; \
             clear the cache and pass the last tokens again"
        )
    }
}

impl error::Error for ContextFull {}
