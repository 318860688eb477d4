//! Does any part of a step grow faster than its arithmetic? The same models at growing batch,
//! width, context and image: the multiplications of a step over its time must not fall.
//!
//! ```text
//! RAYON_NUM_THREADS=1 cargo bench -p zoo --bench scaling
//! ```
//!
//! A line gives a size, its training step, and the arithmetic a second: two operations for every
//! multiplication and addition of the forward pass, and twice as many for the backward one.

use std::time::Instant;

use burn::module::Module;
use burn::nn::loss::MseLoss;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Distribution, Int, Tensor};
use zoo_cnn::{ResNet, ResNetConfig, Shortcut, Stem};
use zoo_transformer::gpt::{Gpt, GptConfig, Output};

/// As the `zoo` program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const STEPS: usize = 9;
const WARM_UP_STEPS: usize = 2;

fn main() {
    let nano = GptConfig {
        output: Output::Free,
        bias: true,
        ..GptConfig::nano()
    };
    println!("gpt, 4 layers: batch x context, width");
    let with = |width: usize, context: usize| GptConfig {
        width,
        context,
        ..nano.clone()
    };
    for batch in [4, 8, 16, 32, 64] {
        gpt(&with(128, 64), batch);
    }
    for width in [64, 256, 512] {
        gpt(&with(width, 64), 32);
    }
    for context in [128, 256, 512, 1024] {
        gpt(&with(128, context), 2048 / context);
    }
    println!("resnet of one block a stage: batch x side², width");
    for batch in [8, 16, 32, 64, 128] {
        resnet(16, 32, batch);
    }
    for width in [8, 32, 64] {
        resnet(width, 32, 64);
    }
    for side in [64, 128] {
        resnet(16, side, 64 * 32 * 32 / (side * side));
    }
}

fn gpt(config: &GptConfig, batch: usize) {
    let GptConfig {
        width: c,
        context: t,
        num_layers,
        vocab_size,
        ..
    } = *config;
    let device = Device::flex().autodiff();
    let model: Gpt = config.init(&device);
    let tokens = Tensor::<2, Int>::zeros([batch, t], &device);
    // Four projections of 12c², and two products of every position with those before it.
    let of_token = num_layers * (12 * c * c + t * c) + c * vocab_size;
    time(
        &format!("{batch} x {t}, {c}"),
        batch * t * of_token,
        &model,
        |model| model.forward(tokens.clone()).mean(),
    );
}

fn resnet(width: usize, side: usize, batch: usize) {
    let config = ResNetConfig {
        block: zoo_cnn::BlockKind::Basic,
        in_channels: 3,
        stem: Stem::Cifar,
        blocks: vec![1, 1, 1],
        width,
        shortcut: Shortcut::Projection,
        num_classes: 10,
    };
    let device = Device::flex().autodiff();
    let model: ResNet = config.init(&device);
    let images = Tensor::random([batch, 3, side, side], Distribution::Default, &device);
    // Stem and first stage at full size; the later stages have a quarter of the pixels each, and
    // between them twice the channels, half of that in their first convolution and its projection.
    let w2 = width * width;
    let of_pixel = 27 * width + 18 * w2;
    let of_quarter = (18 + 36 + 2) * w2;
    let pixels = batch * side * side;
    let multiplications =
        pixels * of_pixel + pixels / 4 * of_quarter + pixels / 16 * 4 * of_quarter;
    time(
        &format!("{batch} x {side}², {width}"),
        multiplications,
        &model,
        |model| {
            let logits = model.forward(images.clone());
            let zero = logits.zeros_like();
            MseLoss::new().forward(logits, zero, Reduction::Mean)
        },
    );
}

fn time<M: Module>(size: &str, multiplications: usize, model: &M, loss: impl Fn(&M) -> Tensor<1>) {
    let mut times: Vec<f64> = (0..WARM_UP_STEPS + STEPS)
        .map(|_| {
            let began = Instant::now();
            let _ = loss(model).backward();
            began.elapsed().as_secs_f64()
        })
        .skip(WARM_UP_STEPS)
        .collect();
    times.sort_by(f64::total_cmp);
    let median = times[STEPS / 2];
    let rate = 6.0 * multiplications as f64 / median / 1e9;
    println!("  {size:<18} {:>9.2} ms {rate:>7.1} GFLOP/s", median * 1e3);
}
