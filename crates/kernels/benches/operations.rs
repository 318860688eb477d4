//! Each fused operation against Burn's own operations on flex, forward and backward, at the shapes
//! of the reference workloads (docs/performance.md).
//!
//! ```text
//! RAYON_NUM_THREADS=2 cargo bench -p zoo-kernels --bench operations
//! RAYON_NUM_THREADS=2 cargo bench -p zoo-kernels --bench operations -- depthwise
//! ```
//!
//! The two take turns in one process, so that a machine whose speed drifts treats them alike; the
//! ratio is the median over turns.
//!
//! Then each with unusual values against itself with usual ones: numbers below the least normal one take a
//! processor up to a hundred times as long, and a mask is where they come from.

use std::hint::black_box;
use std::time::Instant;

use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear,
    LinearConfig, PaddingConfig2d,
};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Int, Tensor};
use zoo_kernels::{
    Activation, AdamStep, Attend, MASKED, Transcripts, attention, causal_mask, conv_norm, conv2d,
    cross_entropy, ctc_loss, dropout, layer_norm, linear, max_pool2d, self_attention, silu,
};

/// As the `zoo` program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TURNS: usize = 15;

fn main() {
    let device = Device::flex().autodiff();
    let threads = rayon::current_num_threads();
    println!("{threads} threads, forward and backward, median of {TURNS} turns");
    println!(
        "{:<34} {:>9} {:>9} {:>7}",
        "operation", "fused ms", "Burn ms", "ratio"
    );
    let random = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Default, &device);
    let images = |shape: [usize; 4]| Tensor::<4>::random(shape, Distribution::Default, &device);

    let layer: Linear = LinearConfig::new(128, 512).init(&device);
    let x = random([2048, 128]).require_grad();
    for (name, activation) in [
        ("linear 2048x128x512", Activation::None),
        ("linear 2048x128x512, ReLU", Activation::Relu),
        ("linear 2048x128x512, GELU", Activation::Gelu),
        ("linear 2048x128x512, GELU by tanh", Activation::GeluTanh),
    ] {
        turns(
            name,
            || train(linear(&layer, x.clone(), activation)),
            || train(activation.forward(layer.forward(x.clone()))),
        );
    }

    for (rows, inputs, outputs) in [(1576, 192, 768), (1568, 512, 2048), (1568, 2048, 512)] {
        let layer: Linear = LinearConfig::new(inputs, outputs).init(&device);
        let x = random([rows, inputs]).require_grad();
        turns(
            &format!("linear {rows}x{inputs}x{outputs}, GELU"),
            || train(linear(&layer, x.clone(), Activation::Gelu)),
            || train(Activation::Gelu.forward(layer.forward(x.clone()))),
        );
    }

    let first: Linear = LinearConfig::new(784, 128).init(&device);
    let digits = random([64, 784]);
    turns(
        "linear 64x784x128, ReLU",
        || train(linear(&first, digits.clone(), Activation::Relu)),
        || train(Activation::Relu.forward(first.forward(digits.clone()))),
    );

    let norm: LayerNorm = LayerNormConfig::new(128).init(&device);
    turns(
        "layer norm 2048x128",
        || train(layer_norm(&norm, 1e-5, x.clone())),
        || train(norm.forward(x.clone())),
    );

    let none: Dropout = DropoutConfig::new(0.0).init();
    let (batch, heads, t, d) = (32, 4, 64, 32);
    let how = Attend {
        batch,
        heads,
        causal: true,
    };
    let qkv = random([batch * t, 3 * heads * d]).require_grad();
    turns(
        "attention, 32 of 64, 4 heads of 32",
        || train(self_attention(qkv.clone(), None, &none, how)),
        || {
            let qkv = qkv.clone().reshape([batch, t, 3 * heads, d]);
            let qkv = qkv.swap_dims(1, 2);
            let parts = [0, 1, 2].map(|part| qkv.clone().narrow(1, part * heads, heads));
            let mask = causal_mask(&parts[0], 0);
            train(attention(parts, mask, &none));
        },
    );

    for (name, classes, smoothing) in [
        ("cross-entropy 2048x65", 65, None),
        ("smoothed cross-entropy 2048x8000", 8000, Some(0.1)),
    ] {
        let logits = random([2048, classes]).require_grad();
        let targets = Tensor::<1, Int>::zeros([2048], &device);
        let loss = CrossEntropyLossConfig::new().with_smoothing(smoothing);
        let loss = loss.init(&device);
        let smoothing = smoothing.unwrap_or(0.0);
        turns(
            name,
            || {
                let (logits, targets) = (logits.clone(), targets.clone());
                train(cross_entropy(logits, targets, smoothing));
            },
            || train(loss.forward(logits.clone(), targets.clone())),
        );
    }

    for (name, [inputs, outputs], side, stride) in [
        ("conv 3x3, 32 to 64, 26x26", [32, 64], 26, 1),
        ("conv 3x3, 16 to 16, 32x32", [16, 16], 32, 1),
        ("conv 3x3, 16 to 32, 32x32 by 2", [16, 32], 32, 2),
    ] {
        let layer: Conv2d = Conv2dConfig::new([inputs, outputs], [3, 3])
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .init(&device);
        let x = images([64, inputs, side, side]).require_grad();
        turns(
            name,
            || train(conv2d(&layer, x.clone(), Activation::Relu)),
            || train(relu(layer.forward(x.clone()))),
        );
        let norm: BatchNorm = BatchNormConfig::new(outputs).init(&device);
        turns(
            &format!("{name}, norm"),
            || train(conv_norm(&layer, &norm, x.clone(), None, Activation::Relu)),
            || train(relu(norm.forward(layer.forward(x.clone())))),
        );
    }

    for (name, channels, side, kernel, stride) in [
        ("depthwise 3x3, 144 of 56x56", 144, 56, 3, 1),
        ("depthwise 3x3, 96 of 112x112 by 2", 96, 112, 3, 2),
        ("depthwise 7x7, 96 of 56x56", 96, 56, 7, 1),
        ("depthwise 7x7, 384 of 14x14", 384, 14, 7, 1),
        ("depthwise 3x3, 384 of 14x14", 384, 14, 3, 1),
        ("depthwise 3x3, 576 of 14x14 by 2", 576, 14, 3, 2),
        ("depthwise 3x3, 960 of 7x7", 960, 7, 3, 1),
    ] {
        let pad = kernel / 2;
        let layer: Conv2d = Conv2dConfig::new([channels, channels], [kernel, kernel])
            .with_groups(channels)
            .with_stride([stride, stride])
            .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
            .init(&device);
        let x = images([8, channels, side, side]).require_grad();
        turns(
            name,
            || train(conv2d(&layer, x.clone(), Activation::None)),
            || train(layer.forward(x.clone())),
        );
    }

    let x = images([8, 96, 56, 56]).require_grad();
    turns(
        "SiLU, 96 of 56x56",
        || train(zoo_kernels::silu(x.clone())),
        || train(burn::tensor::activation::silu(x.clone())),
    );

    let pool: MaxPool2d = MaxPool2dConfig::new([2, 2]).init();
    let x = images([64, 64, 24, 24]).require_grad();
    turns(
        "max pooling 2x2, 64 of 24x24",
        || train(max_pool2d(&pool, x.clone())),
        || train(pool.forward(x.clone())),
    );

    let pool: MaxPool2d = MaxPool2dConfig::new([3, 3])
        .with_strides([2, 2])
        .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
        .init();
    let x = images([8, 64, 112, 112]).require_grad();
    turns(
        "max pooling 3x3 by 2, 64 of 112x112",
        || train(max_pool2d(&pool, x.clone())),
        || train(pool.forward(x.clone())),
    );

    let plain = Device::flex();
    let tensors = [0; 3].map(|_| Tensor::<2>::ones([9216, 128], &plain));
    let grad = Tensor::<2>::ones([9216, 128], &plain);
    let step = AdamStep {
        rate: 1e-3,
        beta_1: 0.9,
        beta_2: 0.999,
        epsilon: 1e-8,
        coupled_decay: 0.0,
        decoupled_decay: 0.01,
        time: 1,
    };
    // Two of everything: what the other holds too would be copied before it is changed.
    let mut fused = Some([0; 3].map(|_| Tensor::<2>::ones([9216, 128], &plain)));
    let mut stepwise = Some(tensors);
    turns(
        "AdamW, 1.2 million parameters",
        || {
            fused = fused
                .take()
                .map(|tensors| step.apply(tensors, grad.clone()))
        },
        || {
            let Some([p, m, v]) = stepwise.take() else {
                return;
            };
            let m = m.mul_scalar(0.9) + grad.clone().mul_scalar(0.1);
            let v = v.mul_scalar(0.999) + grad.clone().square().mul_scalar(0.001);
            let along =
                m.clone().mul_scalar(10.0) / (v.clone().mul_scalar(1000.0).sqrt().add_scalar(1e-8));
            let p = p.mul_scalar(1.0 - 1e-5) - along.mul_scalar(1e-3);
            stepwise = Some([p, m, v]);
        },
    );
    unusual();
}

/// Values that a user may have: each operation's time with them over that with usual ones.
fn unusual() {
    let device = Device::flex().autodiff();
    println!(
        "\n{:<34} {:>9} {:>9} {:>7}",
        "with unusual values", "theirs ms", "usual ms", "ratio"
    );
    let random = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Default, &device);
    for (of, scale) in [
        ("tiny", 1e-38_f32),
        ("below the least", 1e-41),
        ("huge", 1e15),
    ] {
        let name = |operation: &str| format!("{operation}, {of}");
        let pair = |shape: [usize; 2]| {
            let usual = random(shape);
            let unusual = usual.clone().mul_scalar(scale).require_grad();
            (unusual, usual.require_grad())
        };
        let (there, here) = pair([2048, 128]);
        let layer: Linear = LinearConfig::new(128, 512).init(&device);
        for (operation, activation) in [
            ("linear", Activation::None),
            ("linear, GELU", Activation::Gelu),
            ("linear, GELU by tanh", Activation::GeluTanh),
        ] {
            turns(
                &name(operation),
                || train(linear(&layer, there.clone(), activation)),
                || train(linear(&layer, here.clone(), activation)),
            );
        }
        let norm: LayerNorm = LayerNormConfig::new(128).init(&device);
        turns(
            &name("layer norm"),
            || train(layer_norm(&norm, 1e-5, there.clone())),
            || train(layer_norm(&norm, 1e-5, here.clone())),
        );
        turns(
            &name("SiLU"),
            || train(silu(there.clone())),
            || train(silu(here.clone())),
        );
        let targets = Tensor::<1, Int>::zeros([2048], &device);
        turns(
            &name("cross-entropy"),
            || train(cross_entropy(there.clone(), targets.clone(), 0.1)),
            || train(cross_entropy(here.clone(), targets.clone(), 0.1)),
        );
        let drop: Dropout = DropoutConfig::new(0.3).init();
        turns(
            &name("dropout"),
            || train(dropout(&drop, there.clone())),
            || train(dropout(&drop, here.clone())),
        );
        let how = Attend {
            batch: 32,
            heads: 4,
            causal: true,
        };
        let (there, here) = pair([32 * 64, 3 * 4 * 32]);
        let none: Dropout = DropoutConfig::new(0.0).init();
        turns(
            &name("attention"),
            || train(self_attention(there.clone(), None, &none, how)),
            || train(self_attention(here.clone(), None, &none, how)),
        );
        let (there, here) = pair([16 * 16, 32 * 32]);
        let images = |x: &Tensor<2>| x.clone().reshape([16, 16, 32, 32]);
        for (operation, kernel, stride) in [
            ("conv 3x3", 3, 1),
            ("conv 3x3 by 2", 3, 2),
            ("conv 1x1", 1, 1),
        ] {
            let pad = kernel / 2;
            let layer: Conv2d = Conv2dConfig::new([16, 16], [kernel, kernel])
                .with_stride([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
                .init(&device);
            let norm: BatchNorm = BatchNormConfig::new(16).init(&device);
            turns(
                &name(&format!("{operation}, norm")),
                || {
                    train(conv_norm(
                        &layer,
                        &norm,
                        images(&there),
                        None,
                        Activation::Relu,
                    ))
                },
                || {
                    train(conv_norm(
                        &layer,
                        &norm,
                        images(&here),
                        None,
                        Activation::Relu,
                    ))
                },
            );
        }
        let layer: Conv2d = Conv2dConfig::new([16, 16], [3, 3])
            .with_groups(16)
            .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
            .init(&device);
        turns(
            &name("depthwise 3x3"),
            || train(conv2d(&layer, images(&there), Activation::None)),
            || train(conv2d(&layer, images(&here), Activation::None)),
        );
        let pool: MaxPool2d = MaxPool2dConfig::new([2, 2]).init();
        turns(
            &name("max pooling"),
            || train(max_pool2d(&pool, images(&there))),
            || train(max_pool2d(&pool, images(&here))),
        );
        let speech = |x: &Tensor<2>| x.clone().reshape([16, 16, 32 * 32]).narrow(2, 0, 29);
        let texts = Transcripts {
            frames: vec![16; 16],
            texts: vec![vec![1, 5, 5, 28]; 16],
        };
        turns(
            &name("CTC"),
            || train(ctc_loss(speech(&there), &texts)),
            || train(ctc_loss(speech(&here), &texts)),
        );
        let plain = Device::flex();
        let [there, here] = [scale, 1.0].map(|grad| Tensor::<1>::full([1 << 20], grad, &plain));
        let adam = AdamStep {
            rate: 1e-3,
            beta_1: 0.9,
            beta_2: 0.999,
            epsilon: 1e-8,
            coupled_decay: 0.0,
            decoupled_decay: 0.0,
            time: 1,
        };
        let state = || Some([0; 3].map(|_| Tensor::<1>::zeros([1 << 20], &plain)));
        let (mut theirs, mut ours) = (state(), state());
        turns(
            &name("Adam, gradients"),
            || theirs = theirs.take().map(|state| adam.apply(state, there.clone())),
            || ours = ours.take().map(|state| adam.apply(state, here.clone())),
        );
    }

    // Batches of 32 sentences of up to 64 tokens.
    let (batch, t) = (32, 64);
    let qkv = random([batch * t, 3 * 128]).require_grad();
    let none: Dropout = DropoutConfig::new(0.0).init();
    let how = Attend {
        batch,
        heads: 4,
        causal: false,
    };
    let padding = |kept: usize| {
        let kept = Tensor::<2>::zeros([batch, kept], &device);
        let padded = Tensor::<2>::full([batch, t - kept.dims()[1]], MASKED, &device);
        Tensor::cat(vec![kept, padded], 1)
    };
    let usual = padding(t);
    for (name, mask) in [
        ("attention, half is padding", padding(t / 2)),
        ("attention, one token is left", padding(1)),
        ("attention, all is padding", padding(0)),
    ] {
        turns(
            name,
            || train(self_attention(qkv.clone(), Some(mask.clone()), &none, how)),
            || train(self_attention(qkv.clone(), Some(usual.clone()), &none, how)),
        );
    }
}

fn train<const D: usize>(out: Tensor<D>) {
    black_box(out.sum().backward());
}

fn turns(name: &str, mut fused: impl FnMut(), mut plain: impl FnMut()) {
    // Cargo adds `--bench`.
    let mut asked_for = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    if asked_for.next().is_some_and(|part| !name.contains(&part)) {
        return;
    }
    let time = |work: &mut dyn FnMut()| {
        let began = Instant::now();
        work();
        began.elapsed().as_secs_f64() * 1e3
    };
    let (mut fused_times, mut plain_times, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for turn in 0..TURNS + 2 {
        let (a, b) = (time(&mut fused), time(&mut plain));
        // The first turns fault memory in.
        if turn >= 2 {
            fused_times.push(a);
            plain_times.push(b);
            ratios.push(a / b);
        }
    }
    let [fused, plain, ratio] = [fused_times, plain_times, ratios].map(median);
    println!("{name:<34} {fused:>9.3} {plain:>9.3} {ratio:>7.2}");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
