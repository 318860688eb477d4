//! What files of origins say of pictures gives the numbers of the origins' own processors:
//! golden/preprocessor.py says of which versions. They differ by what a last digit of 32 bits makes.

use serde::Deserialize;
use serde_json::{Value, json};
use zoo_codec::image::{Color, Picture, Preprocessing};
use zoo_hub::preprocessor::{PreprocessorError, timm, transformers};

#[derive(Deserialize)]
struct Case {
    origin: String,
    size: [usize; 2],
    config: Value,
    shape: [usize; 3],
    floats: Vec<f32>,
}

/// As `photograph` of the script draws it.
fn photograph([height, width]: [usize; 2]) -> Picture {
    let wave = |n: usize| (n % 510).abs_diff(255);
    let sample = |y: usize, x: usize, c: usize| {
        ((3 * wave(x * (3 + c) + 2 * y) + wave(x * y / 7 + 90 * c)) / 4) as u8
    };
    let samples =
        (0..height * width).flat_map(|at| [0, 1, 2].map(|c| sample(at / width, at % width, c)));
    Picture::new(height, width, Color::Rgb, samples.collect())
}

#[test]
fn pictures_are_what_transformers_and_timm_make_of_them() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("golden/preprocessor.json")).unwrap();
    assert_eq!(cases.len(), 28);
    for (number, case) in cases.into_iter().enumerate() {
        let text = case.config.to_string();
        let preprocessing = match case.origin.as_str() {
            "timm" => timm(&text),
            _ => transformers(&text),
        };
        let preprocessing = preprocessing.unwrap_or_else(|error| panic!("{error}: {text}"));
        let about = format!("case {number}, {text}: {preprocessing:?}");
        let (values, shape) = preprocessing.apply(&photograph(case.size)).unwrap();
        assert_eq!(shape, case.shape, "{about}");
        let step = (values.len() / 24).max(1);
        let found: Vec<f32> = values.iter().step_by(step).copied().collect();
        assert_eq!(found.len(), case.floats.len(), "{about}");
        for (found, expected) in found.iter().zip(&case.floats) {
            assert!(
                (found - expected).abs() < 2e-5,
                "{about}: {found} for {expected}"
            );
        }
    }
}

fn refused(
    read: fn(&str) -> Result<Preprocessing, PreprocessorError>,
    base: &Value,
    change: (&str, Value),
) -> String {
    let mut config = base.clone();
    let (key, value) = change;
    config[key] = value;
    match read(&config.to_string()) {
        Err(error) => error.to_string(),
        Ok(found) => panic!("{config} is {found:?}"),
    }
}

#[test]
fn what_transformers_means_otherwise_is_refused_by_key() {
    let base = json!({
        "image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}, "resample": 2,
        "crop_size": 224, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5],
        "processor_class": "CLIPProcessor", "do_pad": null, "pad_size": null,
    });
    transformers(&base.to_string()).unwrap();
    let pyramid = "x".repeat(500);
    for (change, said) in [
        (
            ("image_processor_type", json!("SamImageProcessor")),
            "image_processor_type: \"SamImageProcessor\"",
        ),
        (
            ("image_processor_type", json!("BeitImageProcessor")),
            "do_center_crop: is needed",
        ),
        (
            ("image_processor_type", json!("PoolFormerImageProcessor")),
            "crop_pct: is needed",
        ),
        (
            ("image_processor_type", json!(null)),
            "image_processor_type: is needed",
        ),
        (("size", json!(null)), "size: is needed"),
        (
            ("size", json!({"longest_edge": 800, "shortest_edge": 600})),
            "size: expected a whole number, two",
        ),
        (("size", json!({"shortest_edge": 0})), "size: 0x0 pixels"),
        (
            ("size", json!({"height": 1e9 as u64, "width": 2})),
            "size: 1000000000x2 pixels",
        ),
        (("size", json!(-3)), "size: expected"),
        (
            ("crop_size", json!({"shortest_edge": 224})),
            "crop_size: expected height",
        ),
        (("crop_size", json!(5000)), "crop_size: 5000x5000"),
        (("resample", json!(1)), "resample: expected 0"),
        (("resample", json!(null)), "resample: is needed"),
        (
            ("do_resize", json!("yes")),
            "do_resize: expected true or false, found \"yes\"",
        ),
        (
            ("do_flip_channel_order", json!(true)),
            "do_flip_channel_order: true",
        ),
        (("do_pad", json!(true)), "do_pad: true"),
        (
            ("pad_size", json!({"height": 3})),
            "pad_size: is not understood",
        ),
        (
            ("size_divisor", json!(32)),
            "size_divisor: is not understood, with its value 32",
        ),
        (("crop_pct", json!(0.9)), "crop_pct: is not understood"),
        (("image_mean", json!(null)), "image_mean: is needed"),
        (
            ("image_mean", json!([0.5, 0.5])),
            "image_mean: has 2 numbers for 3 channels",
        ),
        (("image_std", json!(0)), "image_std: [0.0]: must be"),
        (("rescale_factor", json!(0)), "rescale_factor: inf: must be"),
        (("pyramid", json!(pyramid)), "xx…"),
    ] {
        let error = refused(transformers, &base, change);
        assert!(error.contains(said), "{error}: not {said}");
    }
    for text in ["", "[]", "{", "{\"size\": 1e999}"] {
        assert!(
            matches!(transformers(text), Err(PreprocessorError::Json(_))),
            "{text}"
        );
    }
}

#[test]
fn what_timm_means_otherwise_is_refused_by_key() {
    let base = json!({"architecture": "a", "input_size": [3, 224, 224], "num_classes": 5});
    timm(&base.to_string()).unwrap();
    for (change, said) in [
        (
            ("crop_mode", json!("border")),
            "crop_mode: expected center or squash, found \"border\"",
        ),
        (
            ("input_size", json!([3, 224, 256])),
            "input_size: expected a square",
        ),
        (
            ("input_size", json!([4, 224, 224])),
            "input_size: expected 1 or 3 channels, found 4",
        ),
        (
            ("input_size", json!([3, 224])),
            "input_size: expected 3 whole numbers",
        ),
        (
            ("input_size", json!([3, 9000, 9000])),
            "input_size: 10285x10285 pixels",
        ),
        (
            ("interpolation", json!("random")),
            "interpolation: expected bicubic",
        ),
        (("crop_pct", json!(0.0)), "crop_pct: expected more than 0"),
        (("crop_pct", json!(1e-30)), "input_size: "),
        (
            ("std", json!([1.0, 0.0, 1.0])),
            "std: [1.0, 0.0, 1.0]: must be",
        ),
        (
            ("crop_border_pixels", json!(4)),
            "crop_border_pixels: is not understood",
        ),
        (
            ("pretrained_cfg", json!({"fill": 1})),
            "pretrained_cfg.fill: is not understood",
        ),
        (
            ("pretrained_cfg", json!(3)),
            "pretrained_cfg: expected an object, found 3",
        ),
    ] {
        let error = refused(timm, &base, change);
        assert!(error.contains(said), "{error}: not {said}");
    }
}
