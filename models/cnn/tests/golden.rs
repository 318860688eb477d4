//! Every network computes what its origin does, with the origin's weights: the output, the gradient
//! of every parameter, ten losses of SGD. The scripts beside the numbers say what computed them.

use std::path::PathBuf;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use serde_json::{Map, Value};
use zoo_cnn::{
    ConvNeXt, ConvNeXtConfig, ConvNet, ConvNetConfig, EfficientNet, EfficientNetConfig, LeNet,
    LeNetConfig, MobileNetV2, MobileNetV2Config, ResNet, ResNetConfig, UNetConfig, Vgg, VggConfig,
};
use zoo_weights::Origin;
use zoo_weights::golden::{self, Golden, Input};

#[test]
fn lenet() {
    let config = LeNetConfig::tiny();
    let model = config.init(&Device::flex());
    check("lenet", &config, model, Origin::default(), LeNet::forward);
}

#[test]
fn convnet() {
    let config = ConvNetConfig::tiny();
    let (model, origin) = (config.init(&Device::flex()), Origin::default());
    check("convnet", &config, model, origin, ConvNet::forward);
}

#[test]
fn resnet() {
    for (file, config) in [
        ("resnet", ResNetConfig::tiny()),
        ("resnet_bottleneck", ResNetConfig::tiny_bottleneck()),
        ("resnet_cifar", ResNetConfig::tiny_cifar()),
    ] {
        let model = config.init(&Device::flex());
        check(file, &config, model, Origin::default(), ResNet::forward);
    }
}

#[test]
fn vgg() {
    let config = VggConfig::tiny();
    let model = config.init(&Device::flex());
    let names = config.clone();
    let origin = Origin::named(move |ours| names.origin_name(ours));
    check("vgg", &config, model, origin, Vgg::forward);
}

#[test]
fn unet() {
    for (file, config) in [
        ("unet", UNetConfig::tiny()),
        ("unet_transposed", UNetConfig::tiny_transposed()),
    ] {
        let model = config.init(&Device::flex());
        let names = config.clone();
        let origin = Origin::named(move |ours| names.origin_name(ours));
        check(file, &config, model, origin, |model, images| {
            let logits = model.forward(images).permute([0, 2, 3, 1]); // [b, h, w, classes]
            logits.flatten(0, 2)
        });
    }
}

#[test]
fn mobilenet() {
    let config = MobileNetV2Config::tiny();
    let model = config.init(&Device::flex());
    let names = config.clone();
    let origin = Origin::named(move |ours| names.origin_name(ours));
    check("mobilenet", &config, model, origin, MobileNetV2::forward);
}

#[test]
fn efficientnet() {
    let config = EfficientNetConfig::tiny();
    let model = config.init(&Device::flex());
    let names = config.clone();
    let origin = Origin::named(move |ours| names.origin_name(ours));
    check(
        "efficientnet",
        &config,
        model,
        origin,
        EfficientNet::forward,
    );
}

#[test]
fn convnext() {
    let config = ConvNeXtConfig::tiny();
    let model = config.init(&Device::flex());
    let names = config.clone();
    let origin = Origin::named(move |ours| names.origin_name(ours));
    check("convnext", &config, model, origin, ConvNeXt::forward);
}

/// Holds a model against `golden/<file>.safetensors`, made for the same `config`.
fn check<M: Module>(
    file: &str,
    config: &impl Serialize,
    model: M,
    origin: Origin,
    forward: impl Fn(&M, Tensor<4>) -> Tensor<2>,
) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file)
        .with_extension("safetensors");
    let numbers = Golden::open(&path).unwrap_or_else(|error| panic!("{error}"));
    let mut theirs: Map<String, Value> = serde_json::from_str(numbers.model()).expect("a table");
    theirs.remove("name");
    let ours = serde_json::to_value(config).expect("a table");
    assert_eq!(Value::Object(theirs), ours, "{file}");

    golden::check(&path, &Device::flex(), model, &origin, |model, input| {
        let Input::Images(images) = input else {
            panic!("{file}: images expected, got tokens");
        };
        forward(model, images)
    });
}
