//! Where results may be put: never over what a run is made of.

use std::fs;
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;
use zoo_train::{METRICS_FILE, MODEL_FILE, RECIPE_FILE, RECORD_FILE};

use crate::config::CONFIG_FILE;
use crate::error::Error;

/// The export of a run as one file, in its folder.
pub const EXPORT_FILE: &str = "export.safetensors";
/// The export of a run as a folder, in its folder.
pub const EXPORT_FOLDER: &str = "export";

/// Refuses a place in a run folder, or in `source`, other than those of exports, however its path is
/// written and whatever links it leads over.
///
/// # Errors
/// Which folder it is.
pub fn outside_runs(out: &Path, source: Option<&Path>) -> Result<(), Error> {
    let place = resolve(out);
    let source = source.and_then(|source| fs::canonicalize(source).ok());
    let is_kept = |folder: &&Path| source.as_deref() == Some(*folder) || is_run(folder);
    let Some(run) = place.ancestors().find(is_kept) else {
        return Ok(());
    };
    let within = place.strip_prefix(run).ok();
    let first = within.and_then(|within| within.components().next());
    let exports = [EXPORT_FILE, EXPORT_FOLDER].map(|name| Some(Component::Normal(name.as_ref())));
    if exports.contains(&first) {
        return Ok(());
    }
    Err(Error::Request(format!(
        "{}: what a run, or the weights to export, are made of is not written over, and of {} that is all \
         but {EXPORT_FILE} and {EXPORT_FOLDER}/; --out names another place",
        out.display(),
        run.display()
    )))
}

/// Whether a folder is a run's: of a training, from which a file may be missing, or of an import.
fn is_run(folder: &Path) -> bool {
    let of_a_training = [
        RECORD_FILE,
        RECIPE_FILE,
        METRICS_FILE,
        MODEL_FILE,
        "checkpoints",
    ];
    let there = of_a_training
        .iter()
        .filter(|name| folder.join(name).exists());
    // One alone may be anybody's, as a recipe in a project's folder is.
    there.count() >= 2 || has_our_config(folder)
}

fn has_our_config(folder: &Path) -> bool {
    /// What a configuration of ours has, and one of an origin has not.
    #[derive(Deserialize)]
    #[expect(dead_code, reason = "what they hold is not asked")]
    struct Ours {
        model: IgnoredAny,
        codec: IgnoredAny,
    }
    let file = zoo_files::open(&folder.join(CONFIG_FILE)).map(BufReader::new);
    file.is_ok_and(|file| serde_json::from_reader::<_, Ours>(file).is_ok())
}

/// Where a path leads, of which the end need not be there yet.
fn resolve(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut there = absolute.as_path();
    let mut missing = Vec::new();
    loop {
        if let Ok(found) = fs::canonicalize(there) {
            return missing.iter().rev().fold(found, |path, name| match name {
                Component::ParentDir => path.parent().map_or(path.clone(), Path::to_owned),
                name => path.join(name),
            });
        }
        let (Some(parent), Some(last)) = (there.parent(), there.components().next_back()) else {
            return absolute;
        };
        missing.push(last);
        there = parent;
    }
}
