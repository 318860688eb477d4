//! What dense and depthwise convolutions and pooling have in common: how a window moves over an image,
//! and what is done to a convolution's result while it is in cache.

use multiversion::multiversion;

use super::memory::Values;

/// How a window moves over an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// Height and width.
    pub(crate) kernel: [usize; 2],
    /// Down and to the right.
    pub(crate) stride: [usize; 2],
    /// Above and to the left.
    pub(crate) before: [usize; 2],
    /// Below and to the right.
    pub(crate) after: [usize; 2],
}

impl Window {
    /// Positions of the window along both axes.
    pub(crate) fn positions(&self, image: [usize; 2]) -> [usize; 2] {
        std::array::from_fn(|axis| {
            let padded = image[axis] + self.before[axis] + self.after[axis];
            assert!(padded >= self.kernel[axis], "the window exceeds the image");
            (padded - self.kernel[axis]) / self.stride[axis] + 1
        })
    }

    /// Whether it is 2x2 and each lies beside the other.
    pub(crate) fn is_quartering(&self) -> bool {
        let Self {
            kernel,
            stride,
            before,
            after,
        } = *self;
        (kernel, stride, before, after) == ([2, 2], [2, 2], [0, 0], [0, 0])
    }

    /// Where, along an axis, a tap of positions `0..count` lies within `0..len`: the first such
    /// position, the one after the last, and the first one's place.
    pub(crate) fn reach(
        &self,
        axis: usize,
        tap: usize,
        count: usize,
        len: usize,
    ) -> (usize, usize, usize) {
        let (stride, before) = (self.stride[axis], self.before[axis]);
        let start = before.saturating_sub(tap).div_ceil(stride).min(count);
        let end = (len + before)
            .saturating_sub(tap)
            .div_ceil(stride)
            .clamp(start, count);
        let place = if start < end {
            start * stride + tap - before
        } else {
            0
        };
        (start, end, place)
    }
}

/// What is done to the result of a convolution, in this order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Finish {
    /// Each channel is multiplied by this.
    pub(crate) scale: Option<Values>,
    /// This is added to each channel.
    pub(crate) shift: Option<Values>,
    /// This is added element by element.
    pub(crate) residual: Option<Values>,
    /// Negative elements become zero.
    pub(crate) relu: bool,
}

/// Does to a row of a result what a [`Finish`] says of its channel: scale and shift, then the rest.
#[multiversion(targets = "simd")]
pub(super) fn finish_row(
    out: &mut [f32],
    affine: Option<(f32, f32)>,
    residual: Option<&[f32]>,
    relu: bool,
) {
    let least = if relu { 0.0 } else { f32::NEG_INFINITY };
    match (affine, residual) {
        (None, None) if !relu => {}
        (_, None) => {
            let (scale, shift) = affine.unwrap_or((1.0, 0.0));
            for out in out {
                let value = *out * scale + shift;
                *out = if value < least { least } else { value };
            }
        }
        (_, Some(residual)) => {
            let (scale, shift) = affine.unwrap_or((1.0, 0.0));
            for (out, residual) in out.iter_mut().zip(residual) {
                let value = *out * scale + shift + residual;
                *out = if value < least { least } else { value };
            }
        }
    }
}
