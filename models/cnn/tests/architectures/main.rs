//! What the networks promise, on tiny shapes and random data.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

mod convnet;
mod convnext;
mod efficientnet;
mod lenet;
mod mobilenet;
mod parameters;
mod quartznet;
mod resnet;
mod unet;
mod vgg;

use burn::prelude::*;
use burn::tensor::{Distribution, Tolerance};

/// Standard normal pixels.
fn images<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn assert_logits(logits: Tensor<2>, shape: [usize; 2]) {
    assert_eq!(logits.dims(), shape);
    assert!(logits.is_finite().all().into_scalar::<bool>());
}

/// On a plain device, an image's logits must not depend on its neighbours in the batch.
fn assert_samples_do_not_mix(forward: impl Fn(Tensor<4>) -> Tensor<2>, batch: Tensor<4>) {
    let together = forward(batch.clone());
    for i in 0..batch.dims()[0] {
        let alone = forward(batch.clone().slice(i..i + 1));
        // 1e-4: logits of order 1, summed in another order at another batch size.
        alone.into_data().assert_approx_eq(
            &together.clone().slice(i..i + 1).into_data(),
            Tolerance::<f32>::absolute(1e-4),
        );
    }
}
