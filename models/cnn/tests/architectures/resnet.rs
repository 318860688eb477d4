use burn::module::Param;
use burn::prelude::*;
use burn::tensor::Tolerance;
use zoo_cnn::{BlockKind, ResNetConfig, Shortcut, Stem};

use crate::parameters::{assert_gradient_everywhere, count, entries};
use crate::{assert_logits, assert_samples_do_not_mix, images};

/// One block a stage, and few channels.
fn tiny(stem: Stem, shortcut: Shortcut, stages: usize) -> ResNetConfig {
    ResNetConfig {
        in_channels: 3,
        stem,
        block: BlockKind::Basic,
        blocks: vec![1; stages],
        width: 4,
        shortcut,
        num_classes: 5,
    }
}

fn tiny_bottleneck(stem: Stem, shortcut: Shortcut, stages: usize) -> ResNetConfig {
    ResNetConfig {
        block: BlockKind::Bottleneck,
        ..tiny(stem, shortcut, stages)
    }
}

fn tiny_kinds() -> [ResNetConfig; 6] {
    [
        tiny(Stem::Cifar, Shortcut::ZeroPad, 3),
        tiny(Stem::Cifar, Shortcut::Projection, 2),
        tiny(Stem::Imagenet, Shortcut::Projection, 4),
        tiny(Stem::Imagenet, Shortcut::ZeroPad, 1),
        tiny_bottleneck(Stem::Imagenet, Shortcut::Projection, 3),
        tiny_bottleneck(Stem::Cifar, Shortcut::ZeroPad, 2),
    ]
}

#[test]
fn presets_have_the_published_sizes() {
    // He et al. 2015, table 6, says 0.27M, 0.46M and 0.85M; these are exact for option A. The
    // ImageNet counts are torchvision's, digit for digit.
    let published = [
        ("resnet20", 269_722),
        ("resnet32", 464_154),
        ("resnet56", 853_018),
        ("resnet18", 11_689_512),
        ("resnet34", 21_797_672),
        ("resnet50", 25_557_032),
        ("resnet101", 44_549_160),
        ("resnet152", 60_192_808),
    ];
    let found: Vec<_> = ResNetConfig::presets()
        .into_iter()
        .map(|(name, config)| {
            assert_eq!(config.validate(), Ok(()), "{name}");
            assert_eq!(config.in_channels(), 3);
            (name, count(&config.init(&Device::flex())))
        })
        .collect();
    assert_eq!(found, published);
}

#[test]
fn resnet18_has_torchvisions_tensors() {
    let found: Vec<_> = entries(&ResNetConfig::resnet18().init(&Device::flex()))
        .into_iter()
        .map(|entry| (entry.path, entry.shape.to_vec()))
        .collect();

    // torchvision's `resnet18().state_dict()`, without `num_batches_tracked`; Burn calls a batch
    // norm's weight and bias gamma and beta, and its PyTorch adapter renames them.
    let mut expected = Vec::new();
    let norm = |expected: &mut Vec<_>, name: &str, channels: usize| {
        for tensor in ["gamma", "beta", "running_mean", "running_var"] {
            expected.push((format!("{name}.{tensor}"), vec![channels]));
        }
    };
    expected.push(("conv1.weight".into(), vec![64, 3, 7, 7]));
    norm(&mut expected, "bn1", 64);
    for (stage, width) in [(1, 64), (2, 128), (3, 256), (4, 512)] {
        for block in 0..2 {
            let name = format!("layer{stage}.{block}");
            let halves = stage > 1 && block == 0;
            let c_in = if halves { width / 2 } else { width };
            expected.push((format!("{name}.conv1.weight"), vec![width, c_in, 3, 3]));
            norm(&mut expected, &format!("{name}.bn1"), width);
            expected.push((format!("{name}.conv2.weight"), vec![width, width, 3, 3]));
            norm(&mut expected, &format!("{name}.bn2"), width);
            if halves {
                expected.push((
                    format!("{name}.downsample.0.weight"),
                    vec![width, c_in, 1, 1],
                ));
                norm(&mut expected, &format!("{name}.downsample.1"), width);
            }
        }
    }
    // A linear weight is [in, out] here; the adapter transposes it.
    expected.push(("fc.weight".into(), vec![512, 1000]));
    expected.push(("fc.bias".into(), vec![1000]));
    assert_eq!(found, expected);
}

#[test]
fn a_bottleneck_has_torchvisions_tensors() {
    // The convolutions of `layer2.0` and `layer2.1` in torchvision's `resnet50().state_dict()`.
    let expected: [(&str, [usize; 4]); 7] = [
        ("layer2.0.conv1.weight", [128, 256, 1, 1]),
        ("layer2.0.conv2.weight", [128, 128, 3, 3]),
        ("layer2.0.conv3.weight", [512, 128, 1, 1]),
        ("layer2.0.downsample.0.weight", [512, 256, 1, 1]),
        ("layer2.1.conv1.weight", [128, 512, 1, 1]),
        ("layer2.1.conv2.weight", [128, 128, 3, 3]),
        ("layer2.1.conv3.weight", [512, 128, 1, 1]),
    ];
    let found: Vec<_> = entries(&ResNetConfig::resnet50().init(&Device::flex()))
        .into_iter()
        .filter(|entry| entry.path.starts_with("layer2.0") || entry.path.starts_with("layer2.1"))
        .filter(|entry| entry.shape.rank() == 4)
        .map(|entry| (entry.path, entry.shape.to_vec()))
        .collect();
    assert_eq!(
        found,
        expected.map(|(path, shape)| (path.to_string(), shape.to_vec()))
    );
}

#[test]
fn maps_any_batch_and_size_to_finite_logits() {
    let device = Device::flex();
    for config in tiny_kinds() {
        let model = config.init(&device);
        for [batch, h, w] in [[1, 1, 1], [3, 32, 32], [2, 7, 18], [2, 33, 64]] {
            let logits = model.forward(images([batch, 3, h, w], &device));
            assert_logits(logits, [batch, 5]);
        }
    }
}

#[test]
fn full_size_presets_run() {
    let device = Device::flex();
    for (config, side) in [
        (ResNetConfig::resnet20(), 32),
        (ResNetConfig::resnet18(), 64),
    ] {
        let logits = config
            .init(&device)
            .forward(images([2, 3, side, side], &device));
        assert_logits(logits, [2, config.num_classes()]);
    }
}

#[test]
#[should_panic(expected = "axis 1 expected 3, got 1")]
fn refuses_images_of_other_channels() {
    let device = Device::flex();
    let model = ResNetConfig::resnet20().init(&device);
    model.forward(images([2, 1, 32, 32], &device));
}

#[test]
fn stages_halve_the_image_and_double_the_channels() {
    let device = Device::flex();
    let model = tiny(Stem::Cifar, Shortcut::ZeroPad, 4).init(&device);
    let found = model.stages(images([1, 3, 9, 10], &device));
    let shapes = [[1, 4, 9, 10], [1, 8, 5, 5], [1, 16, 3, 3], [1, 32, 2, 2]];
    assert_eq!(found.iter().map(Tensor::dims).collect::<Vec<_>>(), shapes);

    let model = tiny_bottleneck(Stem::Imagenet, Shortcut::Projection, 2).init(&device);
    let found = model.stages(images([1, 3, 33, 16], &device));
    let shapes = [[1, 16, 9, 4], [1, 32, 5, 2]];
    assert_eq!(found.iter().map(Tensor::dims).collect::<Vec<_>>(), shapes);
}

#[test]
fn option_a_keeps_every_second_pixel_and_appends_zero_channels() {
    let device = Device::flex();
    let model = tiny(Stem::Cifar, Shortcut::ZeroPad, 2).init(&device);
    let mut block = model.layer2[0].clone();
    // A batch norm that multiplies by zero leaves the shortcut alone.
    block.bn2.gamma = Param::from_tensor(Tensor::zeros([8], &device));
    let x = images([2, 4, 5, 6], &device).abs(); // so that the last ReLU changes nothing
    let y = block.forward(x.clone());

    let kept = Tensor::<1, Int>::from_ints([0, 2, 4], &device);
    let expected = x.select(2, kept.clone()).select(3, kept);
    let zeros = TensorData::zeros::<f32, _>([2, 4, 3, 3]);
    assert_eq!(
        y.clone().slice(s![.., 0..4]).into_data(),
        expected.into_data()
    );
    assert_eq!(y.slice(s![.., 4..8]).into_data(), zeros);
}

#[test]
fn every_parameter_receives_a_gradient() {
    let device = Device::flex().autodiff();
    for config in tiny_kinds() {
        let model = config.init(&device);
        let logits = model.forward(images([4, 3, 32, 32], &device));
        assert_gradient_everywhere(&model, logits);
    }
}

#[test]
fn images_of_a_batch_do_not_mix_outside_training() {
    let device = Device::flex();
    for config in tiny_kinds() {
        let model = config.init(&device);
        let batch = images([4, 3, 16, 16], &device);
        assert_samples_do_not_mix(|x| model.forward(x), batch);
    }
}

#[test]
fn batch_norm_has_pytorchs_momentum_and_epsilon() {
    let device = Device::flex().autodiff();
    let model = tiny(Stem::Cifar, Shortcut::ZeroPad, 1).init(&device);
    assert_eq!((model.bn1.momentum, model.bn1.epsilon), (0.1, 1e-5));

    // PyTorch: running = 0.9 * running + 0.1 * batch, from 0 and 1.
    let x = images([2, 3, 8, 8], &device) + 1.0;
    model.forward(x.clone());
    let pixels = model.conv1.forward(x).swap_dims(0, 1).flatten::<2>(1, 3); // [c, n]
    let mean: Tensor<1> = pixels.clone().mean_dim(1).squeeze_dim(1);
    let variance: Tensor<1> = pixels.var_bias(1).squeeze_dim(1);
    let tolerance = Tolerance::<f32>::absolute(1e-5);
    let found = model.bn1.running_mean.value_sync().into_data();
    found.assert_approx_eq(&(mean * 0.1).into_data(), tolerance);
    // The biased variance: the one departure from PyTorch.
    let found = model.bn1.running_var.value_sync().into_data();
    found.assert_approx_eq(&(variance * 0.1 + 0.9).into_data(), tolerance);

    // Outside training the statistics are used and stay as they are.
    let valid = model.valid();
    let before = valid.bn1.running_mean.value_sync().into_data();
    valid.forward(images([2, 3, 8, 8], &Device::flex()));
    assert_eq!(valid.bn1.running_mean.value_sync().into_data(), before);
}

#[test]
fn convolutions_start_at_he_normal_of_the_fan_out() {
    let model = ResNetConfig::resnet18().init(&Device::flex());
    let weight = model.layer2[0].conv1.weight.val(); // [128, 64, 3, 3]
    let deviation = weight.flatten::<1>(0, 3).var(0).sqrt().into_scalar::<f32>();
    let expected = f32::sqrt(2.0 / (128.0 * 9.0));
    // 1 %: the error of a deviation from 73,728 draws is 0.26 %. The fan-in would give 41 % more.
    assert!((deviation / expected - 1.0).abs() < 0.01, "{deviation}");
}

#[test]
fn a_config_survives_json_and_refuses_unknown_keys() {
    for (name, config) in ResNetConfig::presets() {
        let json = serde_json::to_string(&config).unwrap();
        let parsed: ResNetConfig = serde_json::from_str(&json).unwrap();
        assert_eq!(parsed, config, "{name}");
    }
    let json = serde_json::to_value(ResNetConfig::resnet20()).unwrap();
    assert_eq!(
        (&json["stem"], &json["block"], &json["shortcut"]),
        (&"cifar".into(), &"basic".into(), &"zero_pad".into())
    );

    let mut typo = json;
    typo["widht"] = 16.into();
    let error = serde_json::from_value::<ResNetConfig>(typo).unwrap_err();
    assert!(error.to_string().contains("widht"), "{error}");
}

#[test]
fn validate_names_the_key_the_range_and_the_value() {
    let refusal = |change: fn(&mut ResNetConfig)| {
        let mut config = ResNetConfig::resnet20();
        change(&mut config);
        config.validate().unwrap_err()
    };
    assert_eq!(
        refusal(|c| c.blocks[1] = 0),
        "model.blocks[1]: expected 1 to 256, got 0"
    );
    assert_eq!(
        refusal(|c| c.blocks.clear()),
        "model.blocks: expected 1 to 4 stages, got 0"
    );
    assert!(refusal(|c| c.blocks = vec![1; 5]).starts_with("model.blocks: expected"));
    assert!(refusal(|c| c.width = 0).starts_with("model.width"));
    assert!(refusal(|c| c.width = usize::MAX).starts_with("model.width"));
    assert!(refusal(|c| c.in_channels = 0).starts_with("model.in_channels"));
    assert!(refusal(|c| c.num_classes = 0).starts_with("model.num_classes"));
}
