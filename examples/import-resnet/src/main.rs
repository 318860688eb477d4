//! What an outside program needs to use a model of the zoo: Burn and the model's crate; and
//! `zoo-weights`, to open weights that were trained elsewhere.
//!
//! Builds the ResNet-18 of ImageNet on the CPU, passes one picture through it and prints the shape
//! of what comes out and the class that scored highest. The picture is noise, and the weights are
//! fresh unless a file is named, such as torchvision's:
//!
//! ```text
//! cargo xtask weights fetch resnet18
//! cargo run --release -- ~/.cache/burn-zoo/weights/resnet18/resnet18-f37072fd.pth
//! ```

use std::path::Path;
use std::process::ExitCode;

use burn::tensor::{Device, Distribution, Tensor};
use zoo_cnn::{ResNet, ResNetConfig};
use zoo_weights::{Origin, load};

fn main() -> ExitCode {
    let device = Device::flex();
    device.seed(1);
    let mut model = ResNetConfig::resnet18().init(&device);
    if let Some(file) = std::env::args_os().nth(1)
        && let Err(error) = load(&mut model, Path::new(&file), &Origin::default())
    {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let picture = Tensor::random([1, 3, 224, 224], Distribution::Normal(0.0, 1.0), &device);

    let (shape, class) = classify(&model, picture);
    println!("logits {shape:?}, highest for class {class}");
    ExitCode::SUCCESS
}

/// The shape of the logits `[b, k]` for `pictures [b, c, h, w]`, and the first picture's top class.
fn classify(model: &ResNet, pictures: Tensor<4>) -> ([usize; 2], usize) {
    let logits = model.forward(pictures);
    let shape = logits.dims();
    let classes = logits.argmax(1).into_data();
    let top = classes.iter::<i64>().next().unwrap_or_default();
    (shape, top as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_imported_resnet_classifies() {
        let device = Device::flex();
        device.seed(1);
        let model = ResNetConfig::resnet18().init(&device);
        let pictures = Tensor::random([2, 3, 64, 64], Distribution::Normal(0.0, 1.0), &device);
        let logits = model.forward(pictures.clone());
        assert!(logits.clone().into_data().iter::<f32>().all(f32::is_finite));

        let (shape, class) = classify(&model, pictures);
        assert_eq!(shape, [2, 1000]);
        let first: Vec<f32> = logits.into_data().iter::<f32>().take(1000).collect();
        assert_eq!(first[class], first.iter().copied().fold(f32::MIN, f32::max));
    }
}
