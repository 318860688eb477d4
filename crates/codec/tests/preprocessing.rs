//! Pictures as torchvision's transforms make them of PIL's images: golden/preprocessing.py says of which
//! versions. Bytes are equal; floats are rounded once more here or there.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may unwrap as tests do"
)]

use std::fs;

use serde::Deserialize;
use zoo_codec::image::{
    Color, CropOffset, Interpolation, MAX_SIDE, Picture, Preprocessing, Resize, read,
};

#[derive(Deserialize)]
struct Case {
    size: Option<[usize; 2]>,
    png: Option<String>,
    preprocessing: Preprocessing,
    shape: [usize; 3],
    crc32: u32,
    floats: Vec<f32>,
}

/// As `photograph` of the script draws it.
fn photograph(height: usize, width: usize) -> Picture {
    let wave = |n: usize| (n % 510).abs_diff(255);
    let sample = |y: usize, x: usize, c: usize| {
        ((3 * wave(x * (3 + c) + 2 * y) + wave(x * y / 7 + 90 * c)) / 4) as u8
    };
    let samples =
        (0..height * width).flat_map(|at| [0, 1, 2].map(|c| sample(at / width, at % width, c)));
    Picture::new(height, width, Color::Rgb, samples.collect())
}

fn written(png: &str) -> Picture {
    let byte = |at| u8::from_str_radix(&png[at..at + 2], 16).unwrap();
    let bytes: Vec<u8> = (0..png.len()).step_by(2).map(byte).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.png");
    fs::write(&path, bytes).unwrap();
    read(&path, Color::Rgb).unwrap()
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

#[test]
fn pictures_are_what_torchvision_makes_of_them() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("golden/preprocessing.json")).unwrap();
    assert_eq!(cases.len(), 34);
    for (number, case) in cases.into_iter().enumerate() {
        let picture = match (case.size, &case.png) {
            (Some([height, width]), None) => photograph(height, width),
            (None, Some(png)) => written(png),
            _ => panic!("case {number} has a size or a file"),
        };
        let about = format!(
            "case {number}, {:?}: {:?}",
            picture.size(),
            case.preprocessing
        );
        let (values, shape) = case.preprocessing.apply(&picture).unwrap();
        assert_eq!(shape, case.shape, "{about}");
        let step = (values.len() / 24).max(1);
        let found: Vec<f32> = values.iter().step_by(step).copied().collect();
        assert_eq!(found.len(), case.floats.len(), "{about}");
        for (found, expected) in found.iter().zip(&case.floats) {
            assert!(
                (found - expected).abs() < 1e-5,
                "{about}: {found} for {expected}"
            );
        }
        let sized = case.preprocessing.sized(&picture).unwrap();
        assert_eq!(crc32(sized.samples()), case.crc32, "{about}");
    }
}

#[test]
fn data_sets_keep_their_numbers() {
    let picture = photograph(6, 5);
    let by_default = Preprocessing {
        mean: vec![0.1307],
        std: vec![0.3081],
        ..Preprocessing::default()
    };
    let (values, shape) = by_default.apply(&picture).unwrap();
    assert_eq!(shape, [3, 6, 5]);
    let samples = picture.clone().into_channel_major();
    for (value, sample) in values.iter().zip(&samples) {
        let expected = f32::from(*sample) * (1.0 / (255.0 * 0.3081)) - 0.1307 / 0.3081;
        assert_eq!(value.to_bits(), expected.to_bits());
    }
}

/// The crop of transformers: (side, crop), and where the crop begins.
#[test]
fn offsets_of_transformers_are_rounded_down() {
    for (side, crop, start) in [
        (20, 19, 0),
        (20, 17, 1),
        (20, 15, 2),
        (10, 13, -2),
        (10, 12, -1),
    ] {
        let picture = Picture::new(1, side, Color::Grey, (1..=side as u8).collect());
        let preprocessing = Preprocessing {
            color: Color::Grey,
            crop: Some([1, crop]),
            crop_offset: CropOffset::Floor,
            ..Preprocessing::default()
        };
        let found = preprocessing.sized(&picture).unwrap();
        let expected: Vec<u8> = (start..start + crop as i32)
            .map(|at| {
                if (0..side as i32).contains(&at) {
                    at as u8 + 1
                } else {
                    0
                }
            })
            .collect();
        assert_eq!(found.samples(), expected, "{side} to {crop}");
    }
}

#[test]
fn it_is_read_from_what_people_write() {
    let text =
        "resize = 256\ncrop = [224, 224]\ninterpolation = 'bilinear'\nmean = [0.5]\nstd = [0.25]";
    let read: Preprocessing = toml::from_str(text).unwrap();
    assert_eq!(read.resize, Some(Resize::ShortestEdge(256)));
    assert_eq!(read.shape(), Some([3, 224, 224]));
    let again: Preprocessing =
        serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
    assert_eq!(again, read);
    // What earlier runs called it.
    let earlier: Preprocessing = toml::from_str(&text.replace("bilinear", "triangle")).unwrap();
    assert_eq!(earlier, read);
    for (wrong, said) in [
        (
            "resize = 'all'",
            "the shortest edge in pixels, or [height, width]",
        ),
        ("crop_pct = 0.9", "crop_pct"),
        ("interpolation = 'lanczos'", "bicubic"),
    ] {
        let error = toml::from_str::<Preprocessing>(wrong)
            .unwrap_err()
            .to_string();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_no_picture_can_become_is_refused_by_key() {
    let own = Preprocessing::default;
    let cases = [
        (
            "resize",
            Preprocessing {
                resize: Some(Resize::ShortestEdge(0)),
                ..own()
            },
        ),
        (
            "resize",
            Preprocessing {
                resize: Some(Resize::Exact([1, MAX_SIDE + 1])),
                ..own()
            },
        ),
        (
            "crop",
            Preprocessing {
                crop: Some([0, 1]),
                ..own()
            },
        ),
        (
            "mean",
            Preprocessing {
                mean: vec![0.0; 2],
                ..own()
            },
        ),
        (
            "mean",
            Preprocessing {
                mean: vec![f32::NAN],
                ..own()
            },
        ),
        (
            "std",
            Preprocessing {
                std: vec![],
                ..own()
            },
        ),
        (
            "std",
            Preprocessing {
                std: vec![1.0, 0.0, 1.0],
                ..own()
            },
        ),
        (
            "std",
            Preprocessing {
                std: vec![f32::MIN_POSITIVE / 255.0],
                ..own()
            },
        ),
        (
            "divisor",
            Preprocessing {
                divisor: 0.0,
                ..own()
            },
        ),
    ];
    for (key, preprocessing) in cases {
        let error = preprocessing.apply(&photograph(3, 4)).unwrap_err();
        assert_eq!(error.key, key, "{preprocessing:?}: {error}");
    }
}

/// A line of 16,384 pixels is 4 million long where its shorter side becomes 256.
#[test]
fn what_is_cut_off_is_not_computed_and_what_is_not_has_bounds() {
    let line = Picture::new(1, 1 << 14, Color::Grey, vec![7; 1 << 14]);
    let cropped = Preprocessing {
        color: Color::Grey,
        resize: Some(Resize::ShortestEdge(MAX_SIDE)),
        crop: Some([3, 5]),
        interpolation: Interpolation::Bicubic,
        ..Preprocessing::default()
    };
    assert_eq!(cropped.sized(&line).unwrap().samples(), [7; 15]);
    let whole = Preprocessing {
        crop: None,
        ..cropped
    };
    let error = whole.sized(&line).unwrap_err().to_string();
    assert!(error.contains("4096x67108864 pixels"), "{error}");
}
