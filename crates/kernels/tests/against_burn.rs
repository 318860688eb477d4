//! Every fused operation against Burn's own operations in double precision, which the same public
//! functions fall back to: results and all gradients, at many shapes, contiguous or not.
//!
//! Sizes come from a fixed stream, so that a failure can be repeated and a lucky draw cannot hide
//! one. Elements are multiples of 1/8: linear layers and convolutions are then exact in either
//! precision, and no pre-activation lies so near to zero that ReLU could differ by rounding.

use burn::module::Param;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, LayerNorm, LayerNormConfig, Linear,
    PaddingConfig2d,
};
use burn::tensor::{DType, Device, Gradients, Int, Tensor, TensorData};
use zoo_kernels::{
    Activation, AdamStep, Attend, MomentumStep, Transcripts, conv_norm, conv2d, cross_entropy,
    ctc_loss, dropout, join_upsampled, layer_norm, linear, max_pool2d, self_attention, serves, sgd,
    silu, tied,
};

/// Draws sizes and elements: splitmix64 (Steele, Lea and Flood 2014).
struct Draw {
    state: u64,
    dtype: DType,
    device: Device,
}

impl Draw {
    fn new(seed: u64, dtype: DType) -> Self {
        Self {
            state: seed,
            dtype,
            device: Device::flex().autodiff(),
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = self.state;
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Elements between -2 and 2, the same in either precision.
    fn plain<const D: usize>(&mut self, shape: [usize; D], device: &Device) -> Tensor<D> {
        let count = shape.iter().product();
        let elements: Vec<f64> = (0..count)
            .map(|_| (self.below(33) as f64 - 16.0) / 8.0)
            .collect();
        let data = TensorData::new(elements, shape).convert_dtype(self.dtype);
        Tensor::from_data(data, (device, self.dtype))
    }

    /// A leaf of the graph.
    fn leaf<const D: usize>(&mut self, shape: [usize; D]) -> Tensor<D> {
        let device = self.device.clone();
        self.plain(shape, &device).require_grad()
    }

    fn param<const D: usize>(&mut self, shape: [usize; D]) -> Param<Tensor<D>> {
        Param::from_tensor(self.leaf(shape))
    }
}

/// What an operation gave, by name.
type Found = Vec<(&'static str, Vec<f64>)>;

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

/// The gradient of a sum in which every element of `out` has another weight.
fn backward<const D: usize>(out: &Tensor<D>, draw: &mut Draw) -> Gradients {
    let device = draw.device.clone();
    let weights = draw.plain(out.dims(), &device);
    (out.clone() * weights).sum().backward()
}

fn gradient<const D: usize>(leaf: &Tensor<D>, gradients: &Gradients) -> Vec<f64> {
    leaf.grad(gradients).map(values).unwrap_or_default()
}

/// Runs an operation in both precisions and compares.
fn agree(what: &str, run: impl Fn(DType) -> Found) {
    let (single, double) = (run(DType::F32), run(DType::F64));
    assert_eq!(single.len(), double.len());
    for ((name, single), (_, double)) in single.iter().zip(&double) {
        assert_eq!(single.len(), double.len(), "{what}: {name}");
        let largest = double.iter().fold(1e-2, |most: f64, x| most.max(x.abs()));
        for (i, (a, b)) in single.iter().zip(double).enumerate() {
            // A hundred roundings of the largest element: sums here have up to thousands of terms.
            let bound = 6e-6 * largest;
            assert!(
                (a - b).abs() <= bound,
                "{what}: {name}[{i}] is {a}, not {b}"
            );
        }
    }
}

fn activation(draw: &mut Draw) -> Activation {
    [
        Activation::None,
        Activation::Relu,
        Activation::Gelu,
        Activation::GeluTanh,
    ][draw.below(4)]
}

#[test]
fn linear_layers_agree() {
    for case in 0..60 {
        agree(&format!("linear {case}"), |dtype| {
            let mut draw = Draw::new(case, dtype);
            // Beyond 64 rows a thread they are shared out by rows, below by columns.
            let rows = if case % 3 == 0 {
                draw.below(400)
            } else {
                draw.below(20)
            };
            let [inputs, outputs] = [draw.below(90), draw.below(90)];
            let (has_bias, is_view) = (draw.below(2) == 0, draw.below(2) == 0);
            let activation = activation(&mut draw);
            let layer = Linear {
                weight: draw.param([inputs, outputs]),
                bias: has_bias.then(|| draw.param([outputs])),
            };
            let x = draw.leaf(if is_view {
                [inputs, rows]
            } else {
                [rows, inputs]
            });
            let seen = if is_view {
                x.clone().transpose()
            } else {
                x.clone()
            };
            let out = linear(&layer, seen, activation);
            let gradients = backward(&out, &mut draw);
            let mut found = vec![
                ("out", values(out)),
                ("x", gradient(&x, &gradients)),
                ("weight", gradient(&layer.weight.val(), &gradients)),
            ];
            if let Some(bias) = &layer.bias {
                found.push(("bias", gradient(&bias.val(), &gradients)));
            }
            found
        });
    }
}

#[test]
fn layer_norms_agree() {
    for case in 0..40 {
        agree(&format!("layer norm {case}"), |dtype| {
            let mut draw = Draw::new(case, dtype);
            let (rows, width) = (draw.below(300), 2 + draw.below(150));
            let has_bias = draw.below(2) == 0;
            let mut layer: LayerNorm = LayerNormConfig::new(width).init(&draw.device);
            layer.gamma = draw.param([width]);
            layer.beta = has_bias.then(|| draw.param([width]));
            let x = draw.leaf([rows, width]);
            let out = layer_norm(&layer, 1e-5, x.clone());
            let gradients = backward(&out, &mut draw);
            vec![
                ("out", values(out)),
                ("x", gradient(&x, &gradients)),
                ("gain", gradient(&layer.gamma.val(), &gradients)),
            ]
        });
    }
}

/// The layer's own epsilon, which Burn does not tell, is read nowhere.
#[test]
fn the_epsilon_given_is_the_one_that_counts_in_either_precision() {
    let epsilon = 0.5;
    agree("layer norm, another epsilon", |dtype| {
        let mut draw = Draw::new(3, dtype);
        let config = LayerNormConfig::new(6).with_epsilon(1e-12);
        let mut layer: LayerNorm = config.init(&draw.device);
        layer.gamma = draw.param([6]);
        layer.beta = Some(draw.param([6]));
        let x = draw.leaf([5, 6]);
        let out = layer_norm(&layer, epsilon, x.clone());
        let centred = x.clone() - x.clone().mean_dim(1);
        let deviation = (centred.clone().square().mean_dim(1) + epsilon).sqrt();
        let bias = layer.beta.as_ref().unwrap().val();
        let expected = centred / deviation * layer.gamma.val().unsqueeze() + bias.unsqueeze();
        let apart = (out.clone() - expected).abs().max().into_scalar::<f64>();
        assert!(apart < 1e-6, "{dtype:?}: {apart}");
        let gradients = backward(&out, &mut draw);
        vec![("out", values(out)), ("x", gradient(&x, &gradients))]
    });
}

/// A position that is masked has the weight 0, not a very small one: nothing flows back to it, and
/// what stands there changes nothing.
#[test]
fn what_is_masked_changes_nothing() {
    const SEEN: usize = 5;
    const ALL: usize = 9;
    let none: Dropout = DropoutConfig::new(0.0).init();
    for (dtype, causal) in [(DType::F32, false), (DType::F32, true), (DType::F64, false)] {
        let mut draw = Draw::new(7, dtype);
        let (heads, width) = (2, 6);
        let how = Attend {
            batch: 1,
            heads,
            causal,
        };
        let seen = draw.leaf([SEEN, 3 * width]);
        let device = draw.device.clone();
        let mask: Vec<f64> = (0..ALL)
            .map(|at| if at < SEEN { 0.0 } else { zoo_kernels::MASKED })
            .collect();
        let mask = TensorData::new(mask, [1, ALL]).convert_dtype(dtype);
        let mask = Tensor::<2>::from_data(mask, (&device, dtype));
        let short = self_attention(seen.clone(), None, &none, how);
        let of_padding = |padding: Tensor<2>| {
            let padding = padding.require_grad();
            let qkv = Tensor::cat(vec![seen.clone(), padding.clone()], 0);
            let out = self_attention(qkv, Some(mask.clone()), &none, how);
            let out = out.narrow(0, 0, SEEN);
            let gradients = out.clone().square().sum().backward();
            (values(out), gradient(&padding, &gradients))
        };
        let one = of_padding(draw.plain([ALL - SEEN, 3 * width], &device));
        let other = of_padding(draw.plain([ALL - SEEN, 3 * width], &device));
        assert_eq!(one.0, other.0);
        for gradient in [one.1, other.1] {
            assert_eq!(gradient, vec![0.0; (ALL - SEEN) * 3 * width], "{dtype:?}");
        }
        for (short, long) in values(short).iter().zip(&one.0) {
            assert!((short - long).abs() < 1e-6, "{short} {long}");
        }
    }
}

#[test]
fn attention_agrees() {
    let none: Dropout = DropoutConfig::new(0.0).init();
    for (case, t) in [1, 2, 3, 17, 63, 64, 65, 100, 128, 129, 200]
        .into_iter()
        .enumerate()
    {
        for causal in [false, true] {
            agree(&format!("attention over {t}, causal {causal}"), |dtype| {
                let mut draw = Draw::new(case as u64, dtype);
                let (batch, heads, d) = (draw.below(4) + 1, draw.below(3) + 1, draw.below(20) + 1);
                let qkv = draw.leaf([batch * t, 3 * heads * d]);
                let device = draw.device.clone();
                let mask = (draw.below(2) == 0).then(|| draw.plain([batch, t], &device));
                let how = Attend {
                    batch,
                    heads,
                    causal,
                };
                let out = self_attention(qkv.clone(), mask, &none, how);
                let gradients = backward(&out, &mut draw);
                vec![("out", values(out)), ("qkv", gradient(&qkv, &gradients))]
            });
        }
    }
}

#[test]
fn a_sequence_of_padding_alone_stays_finite() {
    let none: Dropout = DropoutConfig::new(0.0).init();
    let mut draw = Draw::new(1, DType::F32);
    let qkv = draw.leaf([5, 12]);
    let mask = Tensor::<2>::full([1, 5], zoo_kernels::MASKED, &draw.device);
    let how = Attend {
        batch: 1,
        heads: 2,
        causal: false,
    };
    let out = self_attention(qkv.clone(), Some(mask), &none, how);
    let gradients = backward(&out, &mut draw);
    let found = [values(out), gradient(&qkv, &gradients)].concat();
    assert!(found.iter().all(|x| x.is_finite()));
}

#[test]
fn cross_entropy_agrees() {
    for case in 0..30 {
        agree(&format!("cross-entropy {case}"), |dtype| {
            let mut draw = Draw::new(case, dtype);
            let (rows, classes) = (1 + draw.below(200), 1 + draw.below(80));
            let logits = draw.leaf([rows, classes]);
            let targets: Vec<i64> = (0..rows).map(|_| draw.below(classes) as i64).collect();
            let targets = Tensor::<1, Int>::from_data(TensorData::from(&targets[..]), &draw.device);
            let smoothing = [0.0, 0.1, 0.9][case as usize % 3];
            let loss = cross_entropy(logits.clone(), targets, smoothing);
            let gradients = (loss.clone() * 3.0).backward();
            vec![
                ("loss", values(loss)),
                ("logits", gradient(&logits, &gradients)),
            ]
        });
    }
}

#[test]
#[should_panic(expected = "target 3 is not below the 3 classes")]
fn a_target_that_is_no_class_is_told() {
    let device = Device::flex();
    let logits = Tensor::<2>::zeros([1, 3], &device);
    let _ = cross_entropy(logits, Tensor::<1, Int>::from_data([3], &device), 0.0);
}

#[test]
fn tied_layers_agree() {
    for case in 0..20 {
        agree(&format!("tied {case}"), |dtype| {
            let mut draw = Draw::new(case, dtype);
            let [rows, width, tokens] = [draw.below(90), 1 + draw.below(60), 1 + draw.below(90)];
            // Some tables are larger than a cache, and meet more rows than a part has.
            let [rows, tokens] = if case == 7 {
                [1500, 4000]
            } else {
                [rows, tokens]
            };
            let (table, x) = (draw.leaf([tokens, width]), draw.leaf([rows, width]));
            let out = tied(table.clone(), x.clone());
            let gradients = backward(&out, &mut draw);
            vec![
                ("out", values(out)),
                ("table", gradient(&table, &gradients)),
                ("x", gradient(&x, &gradients)),
            ]
        });
    }
}

#[test]
fn ctc_agrees() {
    for case in 0..40 {
        agree(&format!("CTC {case}"), |dtype| {
            let mut draw = Draw::new(case, dtype);
            let (recordings, characters) = (1 + draw.below(4), 2 + draw.below(8));
            let text = |draw: &mut Draw| -> Vec<usize> {
                (0..1 + draw.below(9))
                    .map(|_| 1 + draw.below(characters - 1))
                    .collect()
            };
            let texts: Vec<Vec<usize>> = (0..recordings).map(|_| text(&mut draw)).collect();
            // As few frames as a text can have, or more: its characters, and a blank between equal ones.
            let frames = texts.iter().map(|text| {
                let equal = text.windows(2).filter(|pair| pair[0] == pair[1]).count();
                text.len() + equal + draw.below(12)
            });
            let frames: Vec<usize> = frames.collect();
            let most = frames.iter().max().unwrap() + draw.below(3);
            let logits = draw.leaf([recordings, most, characters]);
            // Characters of any likelihood, down to e^-64.
            let seen = logits.clone() * [1.0, 4.0, 16.0][case as usize % 3];
            // Not the gradients: Burn's are 6e-6 off in double precision.
            vec![(
                "losses",
                values(ctc_loss(seen, &Transcripts { frames, texts })),
            )]
        });
    }
}

/// All ways to say a text, one by one.
#[test]
fn ctc_is_the_sum_over_all_paths() {
    for case in 0..60 {
        let mut draw = Draw::new(case, DType::F32);
        let (frames, characters) = (1 + draw.below(5), 2 + draw.below(3));
        let count = (frames + 1) * characters;
        let logits = draw.leaf([1, frames + 1, characters]);
        let scores = &values(logits.clone())[..frames * characters];
        let texts = vec![
            (0..1 + draw.below(frames))
                .map(|_| 1 + draw.below(characters - 1))
                .collect::<Vec<_>>(),
        ];
        let probabilities: Vec<f64> = scores
            .chunks(characters)
            .flat_map(|frame| {
                let sum: f64 = frame.iter().map(|score| score.exp()).sum();
                frame.iter().map(move |score| score.exp() / sum)
            })
            .collect();
        let (mut whole, mut through) = (0.0, vec![0.0; count]);
        for path in 0..characters.pow(frames as u32) {
            let heard = (0..frames).map(|t| path / characters.pow(t as u32) % characters);
            let heard: Vec<usize> = heard.collect();
            let mut said = heard.clone();
            said.dedup();
            said.retain(|character| *character != 0);
            if said != texts[0] {
                continue;
            }
            let at = |(t, character): (usize, &usize)| t * characters + character;
            let places: Vec<usize> = heard.iter().enumerate().map(at).collect();
            let likely: f64 = places.iter().map(|place| probabilities[*place]).product();
            whole += likely;
            places.iter().for_each(|place| through[*place] += likely);
        }
        if whole == 0.0 {
            continue;
        }
        let frames = vec![frames];
        let loss = ctc_loss(logits.clone(), &Transcripts { frames, texts });
        let gradients = loss.clone().backward();
        let found = values(loss)[0];
        assert!(
            (found + whole.ln()).abs() < 1e-5,
            "{case}: {found}, not {}",
            -whole.ln()
        );
        for (place, found) in gradient(&logits, &gradients).into_iter().enumerate() {
            // Padding is not heard.
            let exact = probabilities
                .get(place)
                .map_or(0.0, |p| p - through[place] / whole);
            assert!((found - exact).abs() < 1e-6, "{case}: {found}, not {exact}");
        }
    }
}

#[test]
fn ctc_of_the_unlikely_and_of_what_does_not_fit() {
    let loss = |logits: [[f32; 2]; 2], text: &[usize]| {
        let logits = Tensor::<2>::from_floats(logits, &Device::flex()).unsqueeze::<3>();
        let texts = Transcripts {
            frames: vec![2],
            texts: vec![text.to_vec()],
        };
        ctc_loss(logits, &texts).into_scalar::<f32>()
    };
    // One of three paths of two frames, each as likely as the others.
    assert!((loss([[0.0; 2]; 2], &[1]) - f32::ln(4.0 / 3.0)).abs() < 1e-6);
    assert!((loss([[0.0; 2]; 2], &[]) - f32::ln(4.0)).abs() < 1e-6);
    assert_eq!(loss([[0.0; 2]; 2], &[1, 1]), f32::INFINITY);
    // Far below what a number of double precision may be, and neither lost nor no number.
    let unlikely = loss([[0.0, -500.0], [0.0, -500.0]], &[1]);
    assert!(
        (unlikely - (500.0 - f32::ln(2.0))).abs() < 1e-3,
        "{unlikely}"
    );
    assert!(loss([[0.0, -1e30], [0.0, -1e30]], &[1]).is_finite());
}

#[test]
fn dropout_drops_its_share_again_and_again() {
    let device = Device::flex().autodiff();
    for (case, probability) in [0.1, 0.5, 0.9].into_iter().enumerate() {
        let layer = DropoutConfig::new(probability).init();
        let count = 200_000;
        let x = Tensor::<1>::ones([count], &device).require_grad();
        let run = |seed: u64| {
            device.seed(seed);
            let out = dropout(&layer, x.clone());
            let gradients = (out.clone() * 3.0).sum().backward();
            (values(out), gradient(&x, &gradients))
        };
        let (out, slope) = run(case as u64);
        assert_eq!(
            run(case as u64),
            (out.clone(), slope.clone()),
            "the same seed"
        );
        assert_ne!(run(99).0, out, "another seed");
        let kept = (1.0 / (1.0 - probability)) as f32;
        assert!(out.iter().all(|y| *y == 0.0 || *y == f64::from(kept)));
        // What was dropped has no say in the gradient.
        assert!(
            out.iter()
                .zip(&slope)
                .all(|(y, slope)| (3.0 * y - slope).abs() < 1e-4)
        );
        // Five deviations of a share, and of how often neighbours, near or far, are dropped together.
        let share = |count: usize, of: usize| count as f64 / of as f64;
        let near = |found: f64, expected: f64| {
            let deviation = (expected * (1.0 - expected) / count as f64).sqrt();
            assert!(
                (found - expected).abs() < 5.0 * deviation,
                "{found}, not {expected}"
            );
        };
        near(
            share(out.iter().filter(|y| **y == 0.0).count(), count),
            probability,
        );
        for apart in [1, 2, 16, 1 << 14] {
            let pairs = out.iter().zip(&out[apart..]);
            let both = pairs.filter(|(a, b)| **a == 0.0 && **b == 0.0).count();
            near(share(both, count - apart), probability * probability);
        }
    }
    // Two layers of one step drop different things.
    let layer = DropoutConfig::new(0.5).init();
    device.seed(1);
    let x = Tensor::<1>::ones([1000], &device);
    assert_ne!(
        values(dropout(&layer, x.clone())),
        values(dropout(&layer, x.clone()))
    );
    // Nothing is dropped where nothing trains.
    assert_eq!(values(dropout(&layer, x.inner())), [1.0; 1000]);
}

#[test]
fn silu_agrees() {
    for case in 0..20 {
        agree(&format!("SiLU {case}"), |dtype| {
            let mut draw = Draw::new(case, dtype);
            let shape = [draw.below(4), 1 + draw.below(60), 1 + draw.below(900)];
            let x = draw.leaf(shape);
            let seen = x.clone().swap_dims(1, 2) * 8.0;
            let out = silu(seen);
            let gradients = backward(&out, &mut draw);
            vec![("out", values(out)), ("x", gradient(&x, &gradients))]
        });
    }
    let far = Tensor::<1>::from_data([-1e30, -100.0, 0.0, 100.0, 1e30], &Device::flex());
    let found = values(silu(far));
    assert!(found[..2].iter().all(|y| y.abs() < 1e-6), "{found:?}");
    assert_eq!(found[2..], [0.0, 100.0, f64::from(1e30_f32)]);
}

/// A padding mask is made in the device's own type, whatever the model's is.
#[test]
fn a_mask_of_another_type_fits() {
    let mut draw = Draw::new(5, DType::F64);
    let qkv = draw.leaf([6, 24]);
    let mask = Tensor::<2>::from_data([[0.0, 0.0, -1e4], [0.0, 0.0, 0.0]], &draw.device);
    let dropout = DropoutConfig::new(0.0).init();
    let how = Attend {
        batch: 2,
        heads: 2,
        causal: false,
    };
    let out = |mask| values(self_attention(qkv.clone(), Some(mask), &dropout, how));
    assert_eq!(mask.dtype(), DType::F32);
    assert_eq!(out(mask.clone()), out(mask.cast(DType::F64)));
}

/// A convolution of any shape that fits the image, every third of channels by themselves.
fn convolution(draw: &mut Draw, has_bias: bool) -> (Conv2d, [usize; 4]) {
    let (batch, inputs, mut outputs) = (draw.below(12), 1 + draw.below(6), 1 + draw.below(20));
    let mut groups = 1;
    if draw.below(3) == 0 {
        (outputs, groups) = (inputs, inputs);
    }
    let kernel = [1 + draw.below(4), 1 + draw.below(4)];
    let stride = [1 + draw.below(2), 1 + draw.below(2)];
    let [top, left, bottom, right] = [0; 4].map(|_| draw.below(3));
    let image = kernel.map(|kernel| kernel + draw.below(30));
    let padding = PaddingConfig2d::Explicit(top, left, bottom, right);
    let mut layer = Conv2dConfig::new([inputs, outputs], kernel)
        .with_stride(stride)
        .with_padding(padding)
        .with_groups(groups)
        .init(&draw.device);
    layer.weight = draw.param([outputs, inputs / groups, kernel[0], kernel[1]]);
    layer.bias = has_bias.then(|| draw.param([outputs]));
    (layer, [batch, inputs, image[0], image[1]])
}

#[test]
fn convolutions_agree() {
    for case in 0..60 {
        agree(&format!("convolution {case}"), |dtype| {
            let mut draw = Draw::new(case, dtype);
            let (layer, shape) = convolution(&mut draw, case % 2 == 0);
            // Burn's own backward refuses an empty batch.
            let shape = [shape[0].max(1), shape[1], shape[2], shape[3]];
            let [b, c, h, w] = shape;
            let is_view = draw.below(2) == 0;
            let x = draw.leaf(if is_view { [b, c, w, h] } else { shape });
            let seen = if is_view {
                x.clone().swap_dims(2, 3)
            } else {
                x.clone()
            };
            let out = conv2d(
                &layer,
                seen,
                [Activation::None, Activation::Relu][draw.below(2)],
            );
            let gradients = backward(&out, &mut draw);
            let mut found = vec![
                ("out", values(out)),
                ("x", gradient(&x, &gradients)),
                ("weight", gradient(&layer.weight.val(), &gradients)),
            ];
            if let Some(bias) = &layer.bias {
                found.push(("bias", gradient(&bias.val(), &gradients)));
            }
            found
        });
    }
}

/// Of so many small planes that they are worked on in groups, the last of which is smaller.
#[test]
fn small_planes_side_by_side_agree() {
    for (case, (side, stride)) in [(14, 1), (14, 2), (7, 1), (7, 2), (7, 3)]
        .into_iter()
        .enumerate()
    {
        agree(&format!("planes of {side}x{side} by {stride}"), |dtype| {
            let mut draw = Draw::new(case as u64, dtype);
            let mut layer = Conv2dConfig::new([3, 3], [3, 3])
                .with_stride([stride, stride])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_groups(3)
                .init(&draw.device);
            layer.weight = draw.param([3, 1, 3, 3]);
            layer.bias = Some(draw.param([3]));
            let x = draw.leaf([107, 3, side, side]);
            let out = conv2d(&layer, x.clone(), Activation::Relu);
            let gradients = backward(&out, &mut draw);
            vec![
                ("out", values(out)),
                ("x", gradient(&x, &gradients)),
                ("weight", gradient(&layer.weight.val(), &gradients)),
            ]
        });
    }
}

#[test]
fn an_empty_batch_passes_through_every_layer_of_a_network() {
    let mut draw = Draw::new(3, DType::F32);
    let (layer, [_, c, h, w]) = convolution(&mut draw, true);
    let x = draw.leaf([0, c, h, w]);
    let out = conv2d(&layer, x.clone(), Activation::Relu);
    let pool: MaxPool2d = MaxPool2dConfig::new([1, 1]).init();
    let out = max_pool2d(&pool, out);
    let gradients = out.sum().backward();
    assert_eq!(x.grad(&gradients).unwrap().dims(), [0, c, h, w]);
    assert!(
        gradient(&layer.weight.val(), &gradients)
            .iter()
            .all(|x| *x == 0.0)
    );
}

fn norm(draw: &mut Draw, channels: usize) -> BatchNorm {
    let mut norm: BatchNorm = BatchNormConfig::new(channels).init(&draw.device);
    norm.gamma = draw.param([channels]);
    norm.beta = draw.param([channels]);
    let (mean, device) = (norm.running_mean.value(), draw.device.clone());
    norm.running_mean
        .update(mean.cast(draw.dtype) + draw.plain([channels], &device).detach());
    norm.running_var
        .update(norm.running_var.value().cast(draw.dtype) * 1.5);
    norm
}

#[test]
fn batch_norms_agree_and_move_their_statistics() {
    for case in 0..40 {
        agree(&format!("batch norm {case}"), |dtype| {
            let mut draw = Draw::new(case, dtype);
            let (layer, [b, c, h, w]) = convolution(&mut draw, false);
            let x = draw.leaf([b + 2, c, h, w]);
            let [outputs, ..] = layer.weight.dims();
            let norm = norm(&mut draw, outputs);
            let shape = layer.forward(x.clone()).dims();
            let residual = (draw.below(2) == 0).then(|| draw.leaf(shape));
            let activation = [Activation::None, Activation::Relu][draw.below(2)];
            let out = conv_norm(&layer, &norm, x.clone(), residual.clone(), activation);
            let gradients = backward(&out, &mut draw);
            let mut found = vec![
                ("out", values(out)),
                ("x", gradient(&x, &gradients)),
                ("weight", gradient(&layer.weight.val(), &gradients)),
                ("gain", gradient(&norm.gamma.val(), &gradients)),
                ("bias", gradient(&norm.beta.val(), &gradients)),
                ("running mean", values(norm.running_mean.value_sync())),
                ("running variance", values(norm.running_var.value_sync())),
            ];
            if let Some(residual) = residual {
                found.push(("residual", gradient(&residual, &gradients)));
            }
            found
        });
    }
}

#[test]
fn norms_fold_into_convolutions_where_nothing_trains() {
    for case in 0..40 {
        agree(&format!("folded norm {case}"), |dtype| {
            let mut draw = Draw::new(case, dtype);
            let (layer, shape) = convolution(&mut draw, case % 2 == 0);
            let [outputs, ..] = layer.weight.dims();
            let norm = norm(&mut draw, outputs);
            use burn::module::Module;
            let (layer, norm, device) = (layer.valid(), norm.valid(), Device::flex());
            let x = draw.plain(shape, &device);
            let out_shape = layer.forward(x.clone()).dims();
            let residual = (draw.below(2) == 0).then(|| draw.plain(out_shape, &device));
            let activation = [Activation::None, Activation::Relu][draw.below(2)];
            vec![(
                "out",
                values(conv_norm(&layer, &norm, x, residual, activation)),
            )]
        });
    }
}

#[test]
fn joining_with_an_upsampled_map_agrees() {
    for (case, [height, width]) in [[2, 2], [3, 5], [8, 6], [7, 33], [64, 48]]
        .into_iter()
        .enumerate()
    {
        agree(&format!("joining {height}x{width}"), |dtype| {
            let mut draw = Draw::new(case as u64, dtype);
            let skip = draw.leaf([3, 5, height, width]);
            let x = draw.leaf([3, 4, height / 2, width / 2]);
            let out = join_upsampled(skip.clone(), x.clone());
            let gradients = backward(&out, &mut draw);
            vec![
                ("out", values(out)),
                ("skip", gradient(&skip, &gradients)),
                ("x", gradient(&x, &gradients)),
            ]
        });
    }
}

#[test]
fn max_pooling_agrees() {
    for case in 0..40 {
        agree(&format!("max pooling {case}"), |dtype| {
            let mut draw = Draw::new(case, dtype);
            let kernel = [1 + draw.below(4), 1 + draw.below(4)];
            let stride = [1 + draw.below(3), 1 + draw.below(3)];
            let [top, left] = kernel.map(|kernel| draw.below(kernel / 2 + 1));
            let layer: MaxPool2d = MaxPool2dConfig::new(kernel)
                .with_strides(stride)
                .with_padding(PaddingConfig2d::Explicit(top, left, top, left))
                .init();
            let image = kernel.map(|kernel| kernel + draw.below(20));
            let (batch, channels) = (1 + draw.below(5), 1 + draw.below(5));
            let x = draw.leaf([batch, channels, image[0], image[1]]);
            let out = max_pool2d(&layer, x.clone());
            let gradients = backward(&out, &mut draw);
            vec![("out", values(out)), ("x", gradient(&x, &gradients))]
        });
    }
}

#[test]
fn optimizer_steps_agree_with_their_formulas() {
    for count in [0, 1, 31, 1000, 100_000] {
        let mut draw = Draw::new(count as u64, DType::F32);
        let device = Device::flex();
        let [p, m, g] = [0; 3].map(|_| draw.plain([count], &device));
        let v = draw.plain([count], &device).abs();
        let step = AdamStep {
            rate: 0.01,
            beta_1: 0.9,
            beta_2: 0.99,
            epsilon: 1e-3,
            coupled_decay: 0.1,
            decoupled_decay: 0.2,
            time: 3,
        };
        let lists = [&p, &m, &v, &g].map(|tensor| values(tensor.clone()));
        let along = MomentumStep {
            rate: 0.01,
            momentum: 0.9,
            nesterov: count % 2 == 0,
            decay: 0.1,
        };
        let moved_along = along.apply([p.clone(), m.clone()], g.clone()).map(values);
        let stepped = step.apply([p.clone(), m, v], g.clone()).map(values);
        let plain = values(sgd(p, g, 0.01, 0.1));
        for i in 0..count {
            let [p, m, v, g] = [0, 1, 2, 3].map(|list| lists[list][i]);
            let g = g + 0.1 * p;
            let velocity = 0.9 * m + g;
            let along = match count % 2 {
                0 => 0.9 * velocity + g,
                _ => velocity,
            };
            let (m, v) = (0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g * g);
            let corrected = (m / (1.0 - 0.9f64.powi(3)), v / (1.0 - 0.99f64.powi(3)));
            let moved = p * (1.0 - 0.01 * 0.2) - 0.01 * corrected.0 / (corrected.1.sqrt() + 1e-3);
            for (found, exact) in [
                (stepped[0][i], moved),
                (stepped[1][i], m),
                (stepped[2][i], v),
                (moved_along[0][i], p - 0.01 * along),
                (moved_along[1][i], velocity),
            ] {
                let bound = 2e-6 * (1.0 + f64::abs(exact));
                assert!((found - exact).abs() < bound, "{found} {exact}");
            }
            assert!((plain[i] - (p - 0.01 * g)).abs() < 1e-6);
        }
    }
}

/// A batch made on the plain device while the model is on the other: Burn takes it, so do we.
#[test]
fn an_untracked_batch_meets_a_tracked_model() {
    let mut draw = Draw::new(5, DType::F32);
    let (layer, shape) = convolution(&mut draw, true);
    let [outputs, ..] = layer.weight.dims();
    let norm = norm(&mut draw, outputs);
    let x = draw.plain(shape, &Device::flex());
    let exact = values(norm.forward(layer.forward(x.clone())));
    let found = values(conv_norm(&layer, &norm, x.clone(), None, Activation::None));
    for (found, exact) in found.iter().zip(exact) {
        assert!((found - exact).abs() < 1e-4, "{found} {exact}");
    }
    let out = conv2d(&layer, x, Activation::Relu);
    let gradients = out.sum().backward();
    assert!(layer.weight.val().grad(&gradients).is_some());
}

/// The bound above means nothing if both sides take the same path.
#[test]
fn single_precision_is_served_and_double_is_not() {
    for device in [Device::flex(), Device::flex().autodiff()] {
        let x = Tensor::<1>::zeros([1], &device);
        assert!(serves(&x));
        assert!(!serves(&x.cast(DType::F64)));
    }
}

/// Memory that was freed with NaN in it, of the size of what is asked for next.
fn spoil(elements: usize) {
    for _ in 0..8 {
        drop(std::hint::black_box(vec![f32::NAN; elements]));
    }
}

/// The gradient of a sum over nothing is zero, whatever lay in the memory.
#[test]
fn a_batch_without_rows_leaves_no_gradient() {
    let mut draw = Draw::new(5, DType::F32);
    let layer = Linear {
        weight: draw.param([64, 48]),
        bias: Some(draw.param([48])),
    };
    for activation in [Activation::None, Activation::Relu, Activation::Gelu] {
        let x = draw.leaf([0, 64]);
        spoil(64 * 48);
        let gradients = linear(&layer, x, activation).sum().backward();
        let found = gradient(&layer.weight.val(), &gradients);
        assert_eq!(found, vec![0.0; 64 * 48], "{activation:?}");
    }
}

/// Nor does a layer without inputs give anything but its bias.
#[test]
fn a_layer_without_inputs_gives_its_bias() {
    let mut draw = Draw::new(6, DType::F32);
    let layer = Linear {
        weight: draw.param([0, 48]),
        bias: Some(draw.param([48])),
    };
    let bias = values(layer.bias.as_ref().unwrap().val());
    spoil(3 * 48);
    let out = linear(&layer, draw.leaf([3, 0]), Activation::None);
    assert_eq!(values(out), bias.repeat(3));
}
