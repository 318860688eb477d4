//! Every network computes what its origin does, with the origin's weights: the output, the gradient
//! of every parameter, ten losses of SGD. The scripts beside the numbers say what computed them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use std::path::PathBuf;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::Serialize;
use zoo_mlp::{Mixer, MixerConfig, MlpConfig};
use zoo_weights::Origin;
use zoo_weights::golden::{self, Golden, Input};

#[test]
fn mlp() {
    let config = MlpConfig::tiny();
    let model = config.init(&Device::flex());
    check("mlp", &config, model, |model, images| {
        model.forward(images.flatten(1, 3))
    });
}

#[test]
fn mixer() {
    let config = MixerConfig::tiny();
    let model = config.init(&Device::flex());
    check("mixer", &config, model, Mixer::forward);
}

/// Holds a model against `golden/<file>.safetensors`, made for the same `config`.
fn check<M: Module>(
    file: &str,
    config: &impl Serialize,
    model: M,
    forward: impl Fn(&M, Tensor<4>) -> Tensor<2>,
) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file)
        .with_extension("safetensors");
    let numbers = Golden::open(&path).unwrap();
    let mut there: serde_json::Value = serde_json::from_str(numbers.model()).unwrap();
    there.as_object_mut().unwrap().remove("name");
    assert_eq!(there, serde_json::to_value(config).unwrap(), "{file}");

    // Our names are the origin's.
    let origin = Origin::default();
    golden::check(&path, &Device::flex(), model, &origin, |model, input| {
        let Input::Images(images) = input else {
            panic!("{file}: images expected, got tokens");
        };
        forward(model, images)
    });
}
