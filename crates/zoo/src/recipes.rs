//! Which recipes exist. They lie beside their models and are embedded in the program, so that an
//! installed `zoo` needs no checkout.

use std::path::Path;

use zoo_train::{Change, DidYouMean, MOST_RECIPE_BYTES, Recipe, brief, nearest};

use crate::error::Error;
use crate::paths;

macro_rules! recipe {
    ($family:literal, $name:literal) => {
        (
            $name,
            include_str!(concat!(
                "../../../models/",
                $family,
                "/recipes/",
                $name,
                ".toml"
            )),
        )
    };
}

/// Name and text of every recipe; the first is the default.
pub const RECIPES: &[(&str, &str)] = &[
    recipe!("mlp", "mlp-glyphs"),
    recipe!("mlp", "mlp-mnist"),
    recipe!("mlp", "mlp-friedman"),
    recipe!("cnn", "lenet-mnist"),
    recipe!("cnn", "lenet-glyphs"),
    recipe!("cnn", "finetune-head"),
    recipe!("cnn", "finetune-layers"),
    recipe!("cnn", "finetune-lora"),
    recipe!("cnn", "resnet20-cifar10"),
    recipe!("cnn", "resnet20-folder"),
    recipe!("cnn", "unet-scenes"),
    recipe!("cnn", "unet-camvid"),
    recipe!("cnn", "quartznet-morse"),
    recipe!("cnn", "quartznet-yesno"),
    recipe!("cnn", "quartznet-digits"),
    recipe!("transformer", "gpt-sums"),
    recipe!("transformer", "gpt-shakespeare"),
    recipe!("transformer", "encoder-sst2"),
    recipe!("transformer", "translate-numbers"),
    recipe!("transformer", "transformer-multi30k"),
    recipe!("transformer", "transformer-multi30k-gpu"),
];

/// The changes of `--set KEY=VALUE`, where `weights` is short for `model.weights`: the key that
/// fine-tuning is about.
///
/// # Errors
/// A text that is no change.
pub fn changes(set: &[String]) -> Result<Vec<Change>, Error> {
    let changes = set.iter().map(|text| match text.strip_prefix("weights=") {
        Some(weights) => Ok(Change::new("model.weights", weights)),
        None => Change::parse(text),
    });
    changes.collect::<Result<_, _>>().map_err(Error::Request)
}

/// Reads a recipe by name, or from a TOML file, and makes its paths absolute.
///
/// # Errors
/// An unknown name, a file that cannot be read, or a recipe that is wrong.
pub fn read(recipe: &str, changes: &[Change]) -> Result<Recipe, Error> {
    let known = RECIPES.iter().find(|(name, _)| *name == recipe);
    let path = Path::new(recipe);
    let (origin, name, text) = match known {
        Some((name, text)) => (
            format!("recipe {name}"),
            (*name).to_owned(),
            (*text).to_owned(),
        ),
        None if path
            .extension()
            .is_some_and(|extension| extension == "toml") =>
        {
            let text = zoo_files::read_text(path, MOST_RECIPE_BYTES)
                .map_err(|error| Error::Request(format!("{recipe}: {error}")))?;
            let stem = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            (recipe.to_owned(), stem, text)
        }
        None => {
            let names: Vec<&str> = RECIPES.iter().map(|(name, _)| *name).collect();
            let guess = DidYouMean(nearest(recipe, names.iter().copied()));
            return Err(Error::Request(format!(
                "unknown recipe {:?}{guess}; known: {}; or the path of a .toml file",
                brief(recipe),
                names.join(", ")
            )));
        }
    };
    let mut recipe = Recipe::parse(&origin, &text, changes)?;
    if recipe.name.is_empty() {
        zoo_files::check_name(&name).map_err(|problem| {
            Error::Request(format!("{origin}: cannot name a run {name:?}: {problem}"))
        })?;
        recipe.name = name;
    }
    paths::resolve(&mut recipe)?;
    Ok(recipe)
}
