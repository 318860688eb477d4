//! timm's `config.json`: an architecture by its name, and what its weights were trained for.
//!
//! How pictures are read (`pretrained_cfg`: sizes, crop, interpolation, mean and deviation) is the
//! business of `preprocessor`.

use serde_json::Value as Json;
use zoo_files::brief;

use crate::head::{named, unnamed};
use crate::unread::refuse;
use crate::{HubError, Settings};

/// What may stand in `model_args` and is read.
const ARGUMENTS: [&str; 7] = [
    "num_classes",
    "in_chans",
    "in_channels",
    "img_size",
    "image_size",
    "global_pool",
    "pretrained",
];

/// What a folder of timm says of its model. A number counts as timm counts it: `model_args` before the
/// file itself before `pretrained_cfg`; what is `None` is the architecture's usual one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimmFacts {
    /// The architecture: `resnet50`.
    pub architecture: String,
    /// How its weights were trained, where that is told: `a1_in1k`.
    pub tag: Option<String>,
    /// Number of classes; timm's 0 is a model without a head.
    pub num_classes: Option<usize>,
    /// Width of what the head is given.
    pub num_features: Option<usize>,
    /// How the last map becomes a vector: `avg`, `token`, … A model must have this one.
    pub global_pool: Option<String>,
    /// Channels of a picture.
    pub in_channels: Option<usize>,
    /// Height and width of a picture, of a model that has one size.
    pub image_size: Option<[usize; 2]>,
}

/// Reads a `config.json` of timm's form, and of a run's export.
///
/// # Errors
/// An argument of the model that nothing here has (`model_args.KEY`), or a value that cannot be.
pub fn timm(config: Settings<'_>) -> Result<TimmFacts, HubError> {
    for (key, _) in config.entries("model_args") {
        if !ARGUMENTS.contains(&key) {
            refuse(config, &format!("model_args.{key}"), |_| false)?;
        }
    }
    let given = config.text("architecture")?;
    let given = given.ok_or_else(|| config.error("architecture: not there"))?;
    let (architecture, tag) = match given.split_once('.') {
        Some((architecture, tag)) => (architecture, Some(tag)),
        None => (given, config.text("pretrained_cfg.tag")?),
    };
    Ok(TimmFacts {
        architecture: architecture.to_owned(),
        tag: tag.filter(|tag| !tag.is_empty()).map(str::to_owned),
        num_classes: first(config, &["num_classes"], PLACES, number)?,
        num_features: first(config, &["num_features"], PLACES, number)?,
        global_pool: pooling(config)?,
        in_channels: channels(config)?,
        image_size: image_size(config)?,
    })
}

impl TimmFacts {
    /// Refuses a pooling that is not the one of the architecture here.
    ///
    /// # Errors
    /// What the file says instead.
    pub fn check_pooling(&self, config: Settings<'_>, here: &str) -> Result<(), HubError> {
        match self.global_pool.as_deref() {
            Some(given) if given != here => Err(config.error(format!(
                "global_pool: expected {here}, got {}",
                brief(given)
            ))),
            _ => Ok(()),
        }
    }
}

/// Names of the classes: timm's `label_names`, as `label_descriptions` describe them; numbers, where
/// there are none.
///
/// # Errors
/// Names of another number of classes.
pub fn labels(config: Settings<'_>, classes: usize) -> Result<Vec<String>, HubError> {
    let keys = [
        "id2label",
        "label_names",
        "labels",
        "pretrained_cfg.label_names",
        "pretrained_cfg.labels",
    ];
    let Some((key, names)) = keys.iter().find_map(|key| Some((key, config.get(key)?))) else {
        return unnamed(config, classes, |class| class.to_string());
    };
    let names = named(config, key, names, classes)?;
    let described = ["label_descriptions", "pretrained_cfg.label_descriptions"];
    let Some(key) = described.iter().find(|key| config.get(key).is_some()) else {
        return Ok(names);
    };
    let descriptions = config.get(key).and_then(Json::as_object);
    let describe = |name: String| -> Result<String, HubError> {
        let description = descriptions.and_then(|all| all.get(&name)?.as_str());
        match description {
            Some(text) if text.chars().any(char::is_control) => Err(config.error(format!(
                "{key}: {:?} holds a control character",
                brief(text)
            ))),
            Some(text) => Ok(text.to_owned()),
            None => Ok(name),
        }
    };
    names.into_iter().map(describe).collect()
}

/// Where a value stands, the first before the others.
const PLACES: &[&str] = &["model_args.", "", "pretrained_cfg."];

fn first<'a, T>(
    config: Settings<'a>,
    keys: &[&str],
    places: &[&str],
    convert: fn(&'a Json) -> Option<T>,
) -> Result<Option<T>, HubError> {
    for place in places {
        for key in keys {
            let key = format!("{place}{key}");
            if let Some(value) = config.typed(&key, "another kind of value", convert)? {
                return Ok(Some(value));
            }
        }
    }
    Ok(None)
}

fn number(value: &Json) -> Option<usize> {
    value.as_u64()?.try_into().ok()
}

/// Both places must agree, for timm passes only one of them on.
fn pooling(config: Settings<'_>) -> Result<Option<String>, HubError> {
    let [argument, plain] = ["model_args.global_pool", "global_pool"].map(|key| config.text(key));
    match (argument?, plain?) {
        (Some(argument), Some(plain)) if argument != plain => Err(config.wrong(
            "model_args.global_pool",
            format!("global_pool's, {}", brief(plain)),
        )),
        (argument, plain) => {
            let otherwise = config.text("pretrained_cfg.global_pool")?;
            Ok(argument.or(plain).or(otherwise).map(str::to_owned))
        }
    }
}

/// As named, or those of the pictures that the weights are for.
fn channels(config: Settings<'_>) -> Result<Option<usize>, HubError> {
    let named = first(config, &["in_chans", "in_channels"], PLACES, number)?;
    let size = |key: &str| config.get(key).and_then(Json::as_array);
    let size = size("pretrained_cfg.input_size").or_else(|| size("input_size"));
    Ok(named.or_else(|| number(size?.first()?)))
}

/// As named, or that of the pictures, where the architecture is bound to it.
fn image_size(config: Settings<'_>) -> Result<Option<[usize; 2]>, HubError> {
    let pair = |value: &Json| match value {
        Json::Array(sides) => match &**sides {
            [height, width] => Some([number(height)?, number(width)?]),
            _ => None,
        },
        side => Some([number(side)?; 2]),
    };
    let named = first(config, &["img_size", "image_size"], PLACES, pair)?;
    let is_fixed = config.flag("pretrained_cfg.fixed_input_size")? == Some(true);
    let fixed = config.get("pretrained_cfg.input_size").filter(|_| is_fixed);
    let fixed = fixed.and_then(|size| Some([number(&size[1])?, number(&size[2])?]));
    Ok(named.or(fixed))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// As timm/resnet50.a1_in1k has it, and as a fine-tuned ViT of another size.
    fn resnet50() -> Json {
        json!({"architecture": "resnet50", "num_classes": 1000, "num_features": 2048,
            "pretrained_cfg": {"tag": "a1_in1k", "custom_load": false, "input_size": [3, 224, 224],
                "test_input_size": [3, 288, 288], "fixed_input_size": false, "crop_pct": 0.95,
                "interpolation": "bicubic", "mean": [0.485, 0.456, 0.406], "num_classes": 1000,
                "pool_size": [7, 7], "first_conv": "conv1", "classifier": "fc"}})
    }

    fn vit() -> Json {
        json!({"architecture": "vit_tiny_patch16_224.augreg_in21k_ft_in1k", "num_classes": 3,
            "num_features": 192, "global_pool": "token",
            "model_args": {"img_size": 384, "num_classes": 3, "in_chans": 1},
            "label_names": ["n01", "n02", "n03"],
            "label_descriptions": {"n01": "tench, Tinca tinca", "n03": "cock"},
            "pretrained_cfg": {"input_size": [3, 224, 224], "fixed_input_size": true,
                "num_classes": 1000}})
    }

    fn read(config: &Json) -> Result<TimmFacts, HubError> {
        timm(Settings::new("config.json", config))
    }

    #[test]
    fn a_folder_of_timm_says_what_its_model_is() {
        let facts = read(&resnet50()).unwrap();
        let expected = TimmFacts {
            architecture: "resnet50".into(),
            tag: Some("a1_in1k".into()),
            num_classes: Some(1000),
            num_features: Some(2048),
            global_pool: None,
            in_channels: Some(3),
            image_size: None,
        };
        assert_eq!(facts, expected);
        let facts = read(&vit()).unwrap();
        assert_eq!(facts.architecture, "vit_tiny_patch16_224");
        assert_eq!(facts.tag.as_deref(), Some("augreg_in21k_ft_in1k"));
        assert_eq!((facts.num_classes, facts.in_channels), (Some(3), Some(1)));
        assert_eq!(facts.image_size, Some([384, 384]));
        // Without the argument, an architecture of one size has that of its pictures.
        let mut config = vit();
        config["model_args"] = json!({});
        let facts = read(&config).unwrap();
        assert_eq!(facts.image_size, Some([224, 224]));
        assert_eq!(facts.num_classes, Some(3));
        // An older form, all in one.
        let old = json!({"architecture": "resnet18", "num_classes": 10, "input_size": [1, 28, 28]});
        assert_eq!(read(&old).unwrap().in_channels, Some(1));
    }

    #[test]
    fn classes_have_their_descriptions_or_names_or_numbers() {
        let names = |config: &Json, classes| labels(Settings::new("config.json", config), classes);
        assert_eq!(
            names(&vit(), 3).unwrap(),
            ["tench, Tinca tinca", "n02", "cock"]
        );
        assert_eq!(names(&resnet50(), 2).unwrap(), ["0", "1"]);
        let by_id = json!({"label_names": {"0": "a", "1": "b"}});
        assert_eq!(names(&by_id, 2).unwrap(), ["a", "b"]);
        let inner = json!({"pretrained_cfg": {"label_names": ["a", "b"]}});
        assert_eq!(names(&inner, 2).unwrap(), ["a", "b"]);
        for (config, key) in [
            (json!({"label_names": ["a"]}), "label_names"),
            (
                json!({"label_names": ["a", "b"], "label_descriptions": {"a": "\u{1b}"}}),
                "descriptions",
            ),
        ] {
            let error = names(&config, 2).unwrap_err();
            assert!(error.problem.contains(key), "{error}");
        }
        let error = names(&json!({}), 1 << 17).unwrap_err();
        assert!(error.problem.contains("without a name"), "{error}");
    }

    #[test]
    fn another_model_is_refused_by_its_key() {
        for (key, value) in [
            ("model_args", json!({"class_token": false})),
            ("model_args", json!({"global_pool": "avg"})),
            ("num_classes", json!("many")),
            ("global_pool", json!(3)),
            ("architecture", json!(null)),
            ("architecture", json!(["a"])),
            ("img_size", json!([1, 2, 3])),
        ] {
            let mut config = vit();
            config["model_args"] = json!({});
            config[key] = value;
            let error = read(&config).unwrap_err();
            assert!(error.problem.starts_with(key), "{error}");
        }
        let config = vit();
        let settings = Settings::new("config.json", &config);
        let facts = read(&config).unwrap();
        facts.check_pooling(settings, "token").unwrap();
        let error = facts.check_pooling(settings, "avg").unwrap_err();
        assert_eq!(error.problem, "global_pool: expected avg, got token");
    }
}
