//! What origins say of pictures: `preprocessor_config.json` of transformers, and `config.json` of timm.
//!
//! Both become a [`Preprocessing`] that makes the numbers which their processors make of PIL's images. A
//! key that means something else is refused by its name. So is one that is missing, if what it stands
//! for has changed from version to version.

mod keys;

use serde_json::{Value as Json, json};
use zoo_codec::image::{Color, CropOffset, Interpolation, Preprocessing, Resize};

use keys::Keys;

/// Most bytes of such a file, which whoever reads one may take: those of all classes' names included,
/// the largest has tens of thousands.
pub const MAX_BYTES: u64 = 1 << 20;

/// Why a text says nothing that pictures can be prepared by.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PreprocessorError {
    /// It is no JSON, or no object.
    #[error("not a JSON object of settings")]
    Json(#[source] serde_json::Error),
    /// A key is missing, not understood, or of another type or range.
    #[error("{key}: {problem}")]
    Key {
        /// Which, as in `size.height`.
        key: String,
        /// What was expected and found.
        problem: String,
    },
}

/// What is particular to one of transformers' image processors.
struct Processor {
    name: &'static str,
    /// A size of one number is that of both sides, and not of the shortest.
    square: bool,
    /// Whether the middle is cut out if nothing is said; `None` where versions differ.
    crops: Option<bool>,
    sizing: Sizing,
}

/// How the size that is stated becomes the one before the crop.
#[derive(PartialEq)]
enum Sizing {
    AsStated,
    /// Divided by `crop_pct`, and cropped to the size that is stated; from 384 on, neither.
    ConvNext,
    /// Divided by `crop_pct`.
    PoolFormer,
    /// 256/224 of it.
    Levit,
    /// As stated, but the samples are shifted and divided once more.
    EfficientNet,
}

const fn processor(name: &'static str, square: bool, crops: Option<bool>) -> Processor {
    let sizing = Sizing::AsStated;
    Processor {
        name,
        square,
        crops,
        sizing,
    }
}

const PROCESSORS: &[Processor] = &[
    processor("Beit", true, None),
    processor("Bit", false, Some(true)),
    processor("Blip", true, Some(false)),
    processor("CLIP", false, Some(true)),
    Processor {
        sizing: Sizing::ConvNext,
        ..processor("ConvNext", false, Some(false))
    },
    processor("DeiT", true, Some(true)),
    Processor {
        sizing: Sizing::EfficientNet,
        ..processor("EfficientNet", true, Some(false))
    },
    Processor {
        sizing: Sizing::Levit,
        ..processor("Levit", false, Some(true))
    },
    processor("MobileNetV1", false, Some(true)),
    processor("MobileNetV2", false, Some(true)),
    Processor {
        sizing: Sizing::PoolFormer,
        ..processor("PoolFormer", false, Some(true))
    },
    processor("Pvt", true, Some(false)),
    processor("Siglip", false, Some(false)),
    processor("ViT", true, Some(false)),
];

/// Reads `preprocessor_config.json`.
///
/// # Errors
///
/// A text that is no JSON object; a processor that is not known; a key that is missing, not understood
/// or out of range.
pub fn transformers(text: &str) -> Result<Preprocessing, PreprocessorError> {
    let mut keys = Keys::parse(text)?;
    let processor = find(&mut keys)?;
    let mut found = Preprocessing {
        crop_offset: CropOffset::Floor,
        ..Preprocessing::default()
    };
    let square = keys.flag("default_to_square")?.unwrap_or(processor.square);
    if keys.flag("do_resize")?.unwrap_or(true) {
        found.resize = Some(keys.size("size", square)?);
        found.interpolation = resample(&mut keys)?;
        resize(&mut found, processor, &mut keys)?;
    } else {
        keys.pass(&["size", "resample", "crop_pct"]);
    }
    crop(&mut found, processor, &mut keys)?;
    normalization(&mut found, processor, &mut keys)?;

    for refused in ["do_pad", "do_flip_channel_order"] {
        keys.only_false(refused)?;
    }
    // Of files and tensors, or of the labels of pictures.
    keys.pass(&[
        "_processor_class",
        "_valid_processor_keys",
        "device",
        "do_convert_rgb",
        "do_reduce_labels",
        "processor_class",
        "reduce_labels",
        "return_tensors",
        "transformers_version",
    ]);
    keys.end()?;
    checked(found, |key| match key {
        "mean" => "image_mean",
        "std" => "image_std",
        "crop" => "crop_size",
        "divisor" => "rescale_factor",
        _ => "size",
    })
}

fn find(keys: &mut Keys) -> Result<&'static Processor, PreprocessorError> {
    let (key, name) = match keys.text("image_processor_type")? {
        Some(name) => ("image_processor_type", name),
        None => {
            let older = "feature_extractor_type";
            let name = keys.text(older)?;
            (older, keys.needed("image_processor_type", name)?)
        }
    };
    keys.pass(&["image_processor_type", "feature_extractor_type"]);
    let short = name.strip_suffix("Fast").unwrap_or(&name);
    let short = (short.strip_suffix("ImageProcessor")).or(short.strip_suffix("FeatureExtractor"));
    let known = PROCESSORS.iter().find(|known| Some(known.name) == short);
    known.ok_or_else(|| {
        let names: Vec<_> = PROCESSORS.iter().map(|known| known.name).collect();
        let problem = format!(
            "{name:?} is not known; known are {}, followed by ImageProcessor",
            names.join(", ")
        );
        keys.error(key, problem)
    })
}

/// PIL's numbers.
fn resample(keys: &mut Keys) -> Result<Interpolation, PreprocessorError> {
    let key = "resample";
    let number = keys.number(key)?;
    match keys.needed(key, number)? {
        0.0 => Ok(Interpolation::Nearest),
        2.0 => Ok(Interpolation::Bilinear),
        3.0 => Ok(Interpolation::Bicubic),
        other => {
            let expected = "expected 0 (nearest), 2 (bilinear) or 3 (bicubic)";
            Err(keys.error(key, format!("{expected}, found {other}")))
        }
    }
}

/// From the size that is stated to the one before the crop.
fn resize(
    found: &mut Preprocessing,
    processor: &Processor,
    keys: &mut Keys,
) -> Result<(), PreprocessorError> {
    match processor.sizing {
        Sizing::AsStated | Sizing::EfficientNet => {}
        Sizing::Levit => {
            if let Some(Resize::ShortestEdge(edge)) = found.resize {
                found.resize = Some(shortest(256.0 / 224.0 * edge as f64));
            }
        }
        Sizing::PoolFormer => {
            let share = keys.share("crop_pct")?;
            let share = keys.needed("crop_pct", share)?;
            let edge = match found.resize {
                Some(Resize::ShortestEdge(edge)) => edge,
                Some(Resize::Exact([height, width])) if height == width => height,
                _ => return Err(keys.error("size", "expected a square".into())),
            };
            found.resize = Some(shortest(edge as f64 / share));
        }
        Sizing::ConvNext => {
            let share = keys.share("crop_pct")?.unwrap_or(224.0 / 256.0);
            let Some(Resize::ShortestEdge(edge)) = found.resize else {
                return Err(keys.error("size", "expected shortest_edge".into()));
            };
            if edge < 384 {
                found.resize = Some(shortest(edge as f64 / share));
                found.crop = Some([edge; 2]);
            } else {
                found.resize = Some(Resize::Exact([edge; 2]));
            }
        }
    }
    Ok(())
}

/// The shortest edge, cut off to a whole number.
fn shortest(edge: f64) -> Resize {
    Resize::ShortestEdge(edge as usize)
}

fn crop(
    found: &mut Preprocessing,
    processor: &Processor,
    keys: &mut Keys,
) -> Result<(), PreprocessorError> {
    let key = "do_center_crop";
    let asked = keys.flag(key)?.or(processor.crops);
    if !keys.needed(key, asked)? {
        keys.pass(&["crop_size"]);
        return Ok(());
    }
    if processor.sizing == Sizing::ConvNext {
        return Err(keys.error(key, "expected false: crop_pct says what is cut".into()));
    }
    match keys.size("crop_size", true)? {
        Resize::Exact(size) => found.crop = Some(size),
        Resize::ShortestEdge(_) => {
            return Err(keys.error("crop_size", "expected height and width".into()));
        }
    }
    Ok(())
}

fn normalization(
    found: &mut Preprocessing,
    processor: &Processor,
    keys: &mut Keys,
) -> Result<(), PreprocessorError> {
    let factor = keys.number("rescale_factor")?;
    let rescales = keys.flag("do_rescale")?.unwrap_or(true);
    found.divisor = match factor.filter(|_| rescales) {
        Some(factor) => (1.0 / factor) as f32,
        None if rescales => 255.0,
        None => 1.0,
    };
    let (mean, std) = (keys.numbers("image_mean")?, keys.numbers("image_std")?);
    let normalizes = keys.flag("do_normalize")?.unwrap_or(true);
    if normalizes {
        found.mean = keys.needed("image_mean", mean)?;
        found.std = keys.needed("image_std", std.clone())?;
    }
    if processor.sizing != Sizing::EfficientNet {
        return Ok(());
    }
    if keys.flag("rescale_offset")?.unwrap_or(false) && rescales {
        found.mean.iter_mut().for_each(|mean| *mean += 1.0);
    }
    if keys.flag("include_top")?.unwrap_or(true) {
        let again = keys.needed("image_std", std)?;
        found.std = match normalizes {
            true => again.iter().map(|std| std * std).collect(),
            false => again,
        };
    }
    Ok(())
}

/// Reads what timm's `config.json` says of the pictures of its `pretrained_cfg`.
///
/// # Errors
///
/// A text that is no JSON object; a key that is not understood or out of range.
pub fn timm(text: &str) -> Result<Preprocessing, PreprocessorError> {
    let mut keys = Keys::parse(text)?;
    // Older files are one table.
    if let Some(inner) = keys.inner("pretrained_cfg", "pretrained_cfg.")? {
        keys = inner;
    } else {
        keys.pass(&["num_features", "global_pool", "model_args", "labels"]);
    }
    let color_and_size = keys.sides::<3>("input_size")?.unwrap_or([3, 224, 224]);
    let [channels, height, width] = color_and_size;
    let color = match channels {
        1 => Color::Grey,
        3 => Color::Rgb,
        _ => {
            let problem = format!("expected 1 or 3 channels, found {channels}");
            return Err(keys.error("input_size", problem));
        }
    };
    let interpolation = match keys.text("interpolation")?.as_deref() {
        None | Some("bicubic") => Interpolation::Bicubic,
        Some("bilinear") => Interpolation::Bilinear,
        Some("nearest") => Interpolation::Nearest,
        Some(other) => {
            let problem = format!("expected bicubic, bilinear or nearest, found {other:?}");
            return Err(keys.error("interpolation", problem));
        }
    };
    let share = keys.share("crop_pct")?.unwrap_or(0.875);
    let scaled = [height, width].map(|side| (side as f64 / share).floor() as usize);
    let resize = match keys.text("crop_mode")?.as_deref() {
        None | Some("center") if height == width => Resize::ShortestEdge(scaled[0]),
        None | Some("center") => {
            let problem =
                "expected a square: parts of other pictures are not cut out of their middle";
            return Err(keys.error("input_size", problem.into()));
        }
        Some("squash") => Resize::Exact(scaled),
        Some(other) => {
            let problem = format!("expected center or squash, found {other:?}");
            return Err(keys.error("crop_mode", problem));
        }
    };
    let mean = keys.numbers("mean")?;
    let std = keys.numbers("std")?;
    // Where the weights are, what they are of, and what else was tested.
    keys.pass(&[
        "architecture",
        "classifier",
        "custom_load",
        "description",
        "file",
        "first_conv",
        "fixed_input_size",
        "hf_hub_filename",
        "hf_hub_id",
        "label_descriptions",
        "label_names",
        "label_offset",
        "license",
        "min_input_size",
        "notes",
        "num_classes",
        "origin_url",
        "paper_ids",
        "paper_name",
        "pool_size",
        "source",
        "tag",
        "test_crop_pct",
        "test_input_size",
        "test_pool_size",
        "url",
    ]);
    keys.end()?;
    let found = Preprocessing {
        color,
        resize: Some(resize),
        interpolation,
        crop: Some([height, width]),
        crop_offset: CropOffset::Even,
        mean: mean.unwrap_or_else(|| vec![0.485, 0.456, 0.406]),
        std: std.unwrap_or_else(|| vec![0.229, 0.224, 0.225]),
        ..Preprocessing::default()
    };
    checked(found, |key| match key {
        "mean" | "std" => key,
        _ => "input_size",
    })
}

/// What timm's `config.json` says under `pretrained_cfg` of pictures that are prepared so.
///
/// # Errors
///
/// A preprocessing that timm has no words for.
pub fn to_timm(preprocessing: &Preprocessing) -> Result<Json, String> {
    let no_form = || {
        "how its pictures are prepared has no exact form in timm's config.json, where they are brought to a \
         size, and their middle is cut out and scaled from 0 to 1"
            .to_owned()
    };
    let wanted = plain(preprocessing);
    let (mode, [from, _], [height, width]) = match (wanted.resize, wanted.crop) {
        (Some(Resize::Exact(size)), Some(crop)) => ("squash", size, crop),
        (Some(Resize::ShortestEdge(edge)), Some(crop)) => ("center", [edge; 2], crop),
        _ => return Err(no_form()),
    };
    let interpolation = match wanted.interpolation {
        Interpolation::Nearest => "nearest",
        Interpolation::Bilinear => "bilinear",
        Interpolation::Bicubic => "bicubic",
    };
    // timm cuts the size off to a whole number: where the share itself falls short of it, one a little
    // smaller does not.
    let shares = [0.0, 0.5].map(|more| height as f64 / (from as f64 + more));
    let configs = shares.map(|share| {
        json!({
            "input_size": [wanted.color.channels(), height, width],
            "crop_pct": share, "crop_mode": mode, "interpolation": interpolation,
            "mean": wanted.mean, "std": wanted.std,
        })
    });
    let says = |config: &Json| timm(&config.to_string()).is_ok_and(|read| plain(&read) == wanted);
    configs.into_iter().find(says).ok_or_else(no_form)
}

/// The same with one way to say each thing.
fn plain(preprocessing: &Preprocessing) -> Preprocessing {
    let mut plain = preprocessing.clone();
    let channels = plain.color.channels();
    for values in [&mut plain.mean, &mut plain.std] {
        if let [value] = values[..] {
            *values = vec![value; channels];
        }
    }
    let whole = match plain.resize {
        Some(Resize::Exact(size)) => Some(size),
        _ => None,
    };
    if whole.is_some() && plain.crop.is_none_or(|crop| Some(crop) == whole) {
        plain.crop = whole;
        plain.crop_offset = CropOffset::default();
    }
    plain
}

/// Refuses what is out of range, by the key that the origin has for it.
fn checked(
    found: Preprocessing,
    key: fn(&'static str) -> &'static str,
) -> Result<Preprocessing, PreprocessorError> {
    match found.check() {
        Ok(()) => Ok(found),
        Err(error) => Err(PreprocessorError::Key {
            key: key(error.key).into(),
            problem: error.problem,
        }),
    }
}
