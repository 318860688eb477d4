//! Paths that a user gives, as they hold from anywhere.

use std::path::{Path, PathBuf};

use toml::{Table, Value};
use zoo_train::Recipe;

use crate::pretrained;

/// Makes the paths of a recipe absolute, so that its run can be evaluated from another folder. What
/// is relative is so to the folder that the program runs in, in a recipe's file, too.
pub fn resolve(recipe: &mut Recipe) {
    let replace = |table: &mut Table, key: &str, is_path: fn(&str) -> bool| {
        if let Some(Value::String(given)) = table.get_mut(key)
            && is_path(given)
            && let Some(path) = absolute(Path::new(&*given)).to_str()
        {
            *given = path.to_owned();
        }
    };
    let any = |given: &str| !given.is_empty();
    replace(&mut recipe.data, "path", any);
    replace(&mut recipe.data, "tokenizer", any);
    // Else it is the name of a source, or meant to be one.
    let is_path = |given: &str| {
        let looks_so = given.starts_with('~') || given.contains(std::path::MAIN_SEPARATOR);
        !pretrained::is_source(given) && (looks_so || Path::new(given).exists())
    };
    replace(&mut recipe.model, "weights", is_path);
}

/// From the root on, with `~` as the home folder.
pub fn absolute(given: &Path) -> PathBuf {
    let below_home = given.strip_prefix("~").ok();
    let home = || dirs::home_dir().filter(|home| home.is_absolute());
    let path = below_home.and_then(|rest| match rest.as_os_str().is_empty() {
        true => home(),
        false => Some(home()?.join(rest)),
    });
    let path = path.unwrap_or_else(|| given.to_owned());
    std::path::absolute(&path).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_hold_from_anywhere_and_names_stay() {
        let home = dirs::home_dir().unwrap();
        let here = std::env::current_dir().unwrap();
        for (given, expected) in [
            ("~", home.clone()),
            ("~/photos", home.join("photos")),
            ("photos", here.join("photos")),
            ("./a/../photos", here.join("a/../photos")),
            ("/photos", "/photos".into()),
            ("~photos", here.join("~photos")),
        ] {
            assert_eq!(absolute(Path::new(given)), expected, "{given}");
        }
        let mut recipe = Recipe::default();
        let named = pretrained::SOURCES[0].0;
        recipe.model.insert("weights".into(), named.into());
        recipe.data.insert("path".into(), "~/photos".into());
        recipe
            .data
            .insert("tokenizer".into(), "tokenizer.json".into());
        resolve(&mut recipe);
        assert_eq!(recipe.model["weights"].as_str(), Some(named));
        assert_eq!(recipe.data["path"].as_str(), home.join("photos").to_str());
        assert_eq!(
            recipe.data["tokenizer"].as_str(),
            here.join("tokenizer.json").to_str()
        );
        for (given, expected) in [("src", here.join("src")), ("minilm", "minilm".into())] {
            recipe.model.insert("weights".into(), given.into());
            resolve(&mut recipe);
            assert_eq!(recipe.model["weights"].as_str(), expected.to_str());
        }
    }
}
