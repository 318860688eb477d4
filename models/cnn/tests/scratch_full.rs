//! Scratch; to be removed.
use burn::module::Module;
use burn::prelude::*;
use std::path::PathBuf;
use zoo_cnn::*;
use zoo_weights::Origin;
use zoo_weights::golden::{Golden, Input};
fn run<M: Module>(name: &str, model: M, origin: Origin, f: impl Fn(&M, Tensor<4>) -> Tensor<2>, trains: bool) {
    let path = PathBuf::from(name);
    let g = Golden::open(&path).unwrap();
    let d = g.compare(model, &origin, &Device::flex(), &|m: &M, i| match i { Input::Images(x) => f(m, x), _ => unreachable!() }, trains).unwrap();
    println!("{name}: {d:?}");
}
#[test]
fn full() {
    let d = Device::flex();
    for (dir, trains) in [("/tmp/dw/full", false), ("tests/golden", true)] {
        let c = if trains { MobileNetV2Config::tiny() } else { MobileNetV2Config::mobilenet_v2() };
        let (m, n) = (c.init(&d), if trains { "mobilenet" } else { "mobilenet_v2" });
        println!("{}", m.num_params());
        run(&format!("{dir}/{n}.safetensors"), m, Origin::named(move |o| c.origin_name(o)), MobileNetV2::forward, trains);
        let c = if trains { EfficientNetConfig::tiny() } else { EfficientNetConfig::efficientnet_b0() };
        let (m, n) = (c.init(&d), if trains { "efficientnet" } else { "efficientnet_b0" });
        println!("{}", m.num_params());
        run(&format!("{dir}/{n}.safetensors"), m, Origin::named(move |o| c.origin_name(o)), EfficientNet::forward, trains);
        let c = if trains { ConvNeXtConfig::tiny() } else { ConvNeXtConfig::convnext_tiny() };
        let (m, n) = (c.init(&d), if trains { "convnext" } else { "convnext_tiny" });
        println!("{}", m.num_params());
        run(&format!("{dir}/{n}.safetensors"), m, Origin::named(move |o| c.origin_name(o)), ConvNeXt::forward, trains);
    }
    let c = ConvNeXtConfig::convnext_small();
    run("/tmp/dw/full/convnext_small.safetensors", c.init(&d), Origin::named(move |o| c.origin_name(o)), ConvNeXt::forward, false);
}
