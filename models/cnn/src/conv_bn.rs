//! A convolution and its batch norm, as MobileNetV2 and EfficientNet are made of: torchvision's
//! `Conv2dNormActivation`, whose initial weights these are. A pair, so that its tensors are `0` and
//! `1`, as there.

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Initializer, PaddingConfig2d};
use burn::prelude::*;

/// From `in` to `out` channels, with the image's size divided by `stride`.
pub(crate) fn conv_bn(
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    device: &Device,
) -> (Conv2d, BatchNorm) {
    init(
        Conv2dConfig::new(channels, [kernel, kernel]),
        stride,
        device,
    )
}

/// Every channel for itself.
pub(crate) fn depthwise_bn(
    channels: usize,
    kernel: usize,
    stride: usize,
    device: &Device,
) -> (Conv2d, BatchNorm) {
    let config = Conv2dConfig::new([channels, channels], [kernel, kernel]).with_groups(channels);
    init(config, stride, device)
}

fn init(config: Conv2dConfig, stride: usize, device: &Device) -> (Conv2d, BatchNorm) {
    let ([_, outputs], [kernel, _]) = (config.channels, config.kernel_size);
    let margin = kernel / 2;
    let conv = config
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(margin, margin, margin, margin))
        // The batch norm that follows would cancel it.
        .with_bias(false)
        .with_initializer(kaiming(outputs, kernel))
        .init(device);
    (conv, BatchNormConfig::new(outputs).init(device))
}

/// N(0, 2 / fan-out), where PyTorch counts every output channel into the fan-out, also of a
/// depthwise convolution; Burn's own initializer counts those of a group.
pub(crate) fn kaiming(outputs: usize, kernel: usize) -> Initializer {
    Initializer::Normal {
        mean: 0.0,
        std: (2.0 / (outputs * kernel * kernel) as f64).sqrt(),
    }
}
