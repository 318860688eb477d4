//! Tensors of flex as slices, and back.

use std::mem::MaybeUninit;

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Shape, TensorData};

/// A float tensor of flex.
pub(crate) type Values = FloatTensor<Flex>;

/// The tensor without gaps: itself, or a copy.
pub(crate) fn contiguous(tensor: Values) -> Values {
    match tensor.as_slice::<f32>() {
        Some(_) => tensor,
        None => tensor.to_contiguous(),
    }
}

/// The elements of a [`contiguous`] tensor in order.
pub(crate) fn slice(tensor: &Values) -> &[f32] {
    match tensor.as_slice() {
        Some(slice) => slice,
        None => unreachable!("every tensor was made contiguous on its way in"),
    }
}

/// The tensor with its elements changed: in place where nobody else holds them.
pub(crate) fn changed(tensor: Values, change: impl FnOnce(&mut [f32])) -> Values {
    let mut whole = tensor.to_contiguous();
    drop(tensor);
    change(whole.storage_mut());
    whole
}

/// A tensor of the elements in order.
pub(crate) fn tensor(elements: Vec<f32>, shape: impl Into<Shape>) -> Values {
    Values::from_data(TensorData::new(elements, shape.into()))
}

/// The lengths of the axes.
pub(crate) fn dims<const D: usize>(tensor: &Values) -> [usize; D] {
    tensor.shape().dims()
}

/// An element that may not be written yet.
pub(crate) type Blank = MaybeUninit<f32>;

/// Room for `len` elements that are not written yet: filling it with zeros first is a fifth of a
/// training step.
pub(crate) fn unwritten(len: usize) -> Box<[Blank]> {
    Box::new_uninit_slice(len)
}

/// A tensor of what was written into such room.
///
/// # Safety
///
/// Every element was written.
#[expect(
    unsafe_code,
    reason = "that every task wrote its part is known to no type"
)]
pub(crate) unsafe fn written(room: Box<[Blank]>, shape: impl Into<Shape>) -> Values {
    // SAFETY: the caller's.
    let elements = unsafe { room.assume_init() };
    tensor(elements.into_vec(), shape)
}

/// Writes one value everywhere.
#[inline(always)]
pub(crate) fn filled(room: &mut [Blank], value: f32) -> &mut [f32] {
    write(room, |_| value)
}

/// Writes a value by its place everywhere.
#[inline(always)]
#[expect(unsafe_code, reason = "what was written is no longer blank")]
pub(crate) fn write(room: &mut [Blank], value: impl Fn(usize) -> f32) -> &mut [f32] {
    for (place, blank) in room.iter_mut().enumerate() {
        blank.write(value(place));
    }
    // SAFETY: the loop wrote every element.
    unsafe { room.assume_init_mut() }
}

/// Copies a row of an image. For one of 7 or 14 elements a call of `memcpy` takes as long as all that a window
/// of nine does with them: here its first and its last few overlap.
#[inline(always)]
pub(crate) fn copy<T>(to: &mut [T], from: &[f32], made: impl Fn(f32) -> T + Copy) {
    assert!(to.len() == from.len());
    match from.len() {
        0..4 => {
            for (to, from) in to.iter_mut().zip(from) {
                *to = made(*from);
            }
        }
        4..8 => copy_ends::<T, 4>(to, from, made),
        8..16 => copy_ends::<T, 8>(to, from, made),
        16..32 => copy_ends::<T, 16>(to, from, made),
        _ => {
            for (to, from) in to.chunks_mut(32).zip(from.chunks(32)) {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = made(*from);
                }
            }
        }
    }
}

/// Copies the first `N` elements and the last, which are all.
#[inline(always)]
fn copy_ends<T, const N: usize>(to: &mut [T], from: &[f32], made: impl Fn(f32) -> T + Copy) {
    if let (Some(to), Some(from)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
        *to = from.map(made);
    }
    if let (Some(to), Some(from)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
        *to = from.map(made);
    }
}

/// Copies every `stride`-th element of a row, from the first on.
#[inline(always)]
pub(crate) fn gather<T>(to: &mut [T], from: &[f32], stride: usize, made: impl Fn(f32) -> T + Copy) {
    match stride {
        1 => copy(to, &from[..to.len()], made),
        2 => {
            for (to, pair) in to.iter_mut().zip(from.chunks(2)) {
                *to = made(pair[0]);
            }
        }
        _ => {
            for (to, from) in to.iter_mut().zip(from.iter().step_by(stride)) {
                *to = made(*from);
            }
        }
    }
}
