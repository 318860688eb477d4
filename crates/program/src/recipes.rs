//! Recipes by name or from files. Those with names lie beside their models and are embedded in the
//! program, so that an installed `zoo` needs no checkout.

use std::path::Path;

use zoo_train::{Change, DidYouMean, MOST_RECIPE_BYTES, Recipe, brief, nearest};

use crate::error::Error;
use crate::paths;
use crate::rows::Zoo;

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
pub fn read(zoo: &Zoo, recipe: &str, changes: &[Change]) -> Result<Recipe, Error> {
    let known = zoo.recipes().find(|(name, _)| *name == recipe);
    let path = Path::new(recipe);
    let (origin, name, text) = match known {
        Some((name, text)) => (format!("recipe {name}"), name.to_owned(), text.to_owned()),
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
            let names: Vec<&str> = zoo.recipes().map(|(name, _)| name).collect();
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
    paths::resolve(&mut recipe, &|name| zoo.has_weights(name))?;
    Ok(recipe)
}
