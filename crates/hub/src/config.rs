//! `config.json`, the file by which a folder is known.

use serde::de::IgnoredAny;
use zoo_files::brief_problem;

use crate::HubError;

/// The file's name, in folders of origins and in runs.
pub const CONFIG_FILE: &str = "config.json";

/// Whether the text of a `config.json` is in an origin's form, rather than a run's.
///
/// # Errors
/// Text that is no JSON object.
pub fn is_origins(config: &str) -> Result<bool, HubError> {
    // Nothing is kept, for either may be large.
    #[derive(serde::Deserialize)]
    struct Names {
        model_type: Option<IgnoredAny>,
        architecture: Option<IgnoredAny>,
    }
    let names: Names = serde_json::from_str(config)
        .map_err(|error| HubError::new(CONFIG_FILE, brief_problem(error)))?;
    Ok(names.model_type.is_some() || names.architecture.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_an_origins_if_it_names_an_architecture_of_one() {
        assert_eq!(is_origins(r#"{"model_type": "bert"}"#), Ok(true));
        let timm = r#"{"architecture": "resnet18", "num_classes": 10}"#;
        assert_eq!(is_origins(timm), Ok(true));
        let run = r#"{"model": {"name": "mlp"}, "codec": {}}"#;
        assert_eq!(is_origins(run), Ok(false));
        assert_eq!(is_origins("[]").unwrap_err().file, CONFIG_FILE);
    }
}
