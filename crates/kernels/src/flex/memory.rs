//! Tensors of flex as slices, and back.

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

/// Room for `len` elements that will all be written before they are read.
#[expect(
    unsafe_code,
    clippy::uninit_vec,
    reason = "filling with zeros first is a fifth of a training step"
)]
pub(crate) fn unwritten(len: usize) -> Vec<f32> {
    let mut room = Vec::with_capacity(len);
    // SAFETY: every bit pattern is an f32, and callers write each element before anyone reads it.
    unsafe { room.set_len(len) };
    room
}
