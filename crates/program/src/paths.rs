//! Paths that a user gives, as they hold from anywhere.

use std::path::{Path, PathBuf};

use toml::{Table, Value};
use zoo_train::Recipe;

use crate::error::Error;

/// Makes the paths of a recipe absolute, so that its run can be evaluated from another folder. What
/// is relative is so to the folder that the program runs in, in a recipe's file, too. Weights of which it is told
/// `has_weights` go by their name.
///
/// # Errors
/// As [`absolute`], with the key.
pub fn resolve(recipe: &mut Recipe, has_weights: &dyn Fn(&str) -> bool) -> Result<(), Error> {
    let replace = |table: &mut Table, prefix: &str, key: &str, is_path: &dyn Fn(&str) -> bool| {
        if let Some(Value::String(given)) = table.get_mut(key)
            && is_path(given)
            && let Some(path) = absolute(&format!("{prefix}.{key}"), Path::new(&*given))?.to_str()
        {
            *given = path.to_owned();
        }
        Ok(())
    };
    replace(&mut recipe.data, "data", "path", &|_| true)?;
    replace(&mut recipe.data, "data", "tokenizer", &|_| true)?;
    // Else it is the name of a source, or meant to be one.
    let is_path = |given: &str| {
        let looks_so = given.starts_with('~') || given.contains(std::path::MAIN_SEPARATOR);
        let is_there = given.is_empty() || Path::new(given).exists();
        !has_weights(given) && (looks_so || is_there)
    };
    replace(&mut recipe.model, "model", "weights", &is_path)
}

/// Says which files the table `[data]` of a recipe has the program read: it may be a stranger's.
pub fn say(data: &Table) {
    for key in ["path", "tokenizer"] {
        if let Some(Value::String(path)) = data.get(key) {
            eprintln!("reading data.{key} = {path}");
        }
    }
}

/// From the root on, with `~` as the home folder. `key` is how the user gives it.
///
/// # Errors
/// No path at all; another user's home folder (`~name`), which only a shell knows.
pub fn absolute(key: &str, given: &Path) -> Result<PathBuf, Error> {
    if given.as_os_str().is_empty() {
        return Err(Error::Request(format!(
            "{key} is empty; give a path, or leave it out"
        )));
    }
    let below_home = given.strip_prefix("~").ok();
    if below_home.is_none() && given.as_os_str().as_encoded_bytes().starts_with(b"~") {
        let given = given.display();
        return Err(Error::Request(format!(
            "{key} = {given}: of ~ only ~ itself and ~/… are known, your home folder; write the path \
             in full, or ./{given} if it is called so"
        )));
    }
    let home = || dirs::home_dir().filter(|home| home.is_absolute());
    let path = below_home.and_then(|rest| match rest.as_os_str().is_empty() {
        true => home(),
        false => Some(home()?.join(rest)),
    });
    let path = path.unwrap_or_else(|| given.to_owned());
    Ok(std::path::absolute(&path).unwrap_or(path))
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
            ("./~photos", here.join("~photos")),
        ] {
            let path = absolute("data.path", Path::new(given)).unwrap();
            assert_eq!(path, expected, "{given}");
        }
        let mut recipe = Recipe::default();
        recipe.data.insert("path".into(), "~/photos".into());
        recipe
            .data
            .insert("tokenizer".into(), "tokenizer.json".into());
        resolve(&mut recipe, &|_| false).unwrap();
        assert_eq!(recipe.data["path"].as_str(), home.join("photos").to_str());
        assert_eq!(
            recipe.data["tokenizer"].as_str(),
            here.join("tokenizer.json").to_str()
        );
        for (given, expected) in [("src", here.join("src")), ("minilm", "minilm".into())] {
            recipe.model.insert("weights".into(), given.into());
            resolve(&mut recipe, &|_| false).unwrap();
            assert_eq!(recipe.model["weights"].as_str(), expected.to_str());
        }
    }

    #[test]
    fn no_path_and_the_homes_of_others_are_refused_by_their_key() {
        for given in ["", "~root", "~root/x", "~photos"] {
            for (table, key) in [
                ("data", "path"),
                ("data", "tokenizer"),
                ("model", "weights"),
            ] {
                let mut recipe = Recipe::default();
                let keys = match table {
                    "data" => &mut recipe.data,
                    _ => &mut recipe.model,
                };
                keys.insert(key.into(), given.into());
                let message = resolve(&mut recipe, &|_| false).unwrap_err().to_string();
                let says = message.contains(&format!("{table}.{key}")) && message.contains(given);
                assert!(says, "{message}");
            }
            let message = crate::data::directory(Some(Path::new(given)))
                .unwrap_err()
                .to_string();
            assert!(message.contains("--data-dir"), "{message}");
        }
    }
}
