//! Which tokens begin, end and fill a text: `generation_config.json`, and `config.json` where that is
//! silent.
//!
//! Neither how to sample (`temperature`, `top_p`) is read, which whoever asks for a text says, nor a
//! chat template: a prompt is continued as it is given.

use std::path::Path;

use serde_json::Value as Json;

use crate::ids::SpecialId;
use crate::{HubError, Settings, read};

/// The file's name.
pub const GENERATION_FILE: &str = "generation_config.json";

/// Llama 3's chat models have three.
const MOST_STOPS: usize = 64;

/// The tokens with a meaning of their own, each with where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenerationFacts {
    /// Those that end a text: one, some, or none.
    pub stop: Vec<SpecialId>,
    /// That which begins one.
    pub begin: Option<SpecialId>,
    /// That which fills a batch's shorter rows.
    pub pad: Option<SpecialId>,
}

impl GenerationFacts {
    /// The ids that end a text.
    pub fn stop_ids(&self) -> Vec<u32> {
        self.stop.iter().map(|stop| stop.id).collect()
    }

    /// All of them, to be held against an embedding.
    pub fn all(&self) -> Vec<SpecialId> {
        let others = self.begin.iter().chain(&self.pad);
        self.stop.iter().chain(others).cloned().collect()
    }
}

/// What a folder says of its special tokens; `config` is that of its `config.json`. Each key counts by
/// itself: what `generation_config.json` lacks is taken from there, so that a text has an end.
///
/// # Errors
/// A file that cannot be read, or a value that is no id.
pub fn generation(folder: &Path, config: Settings<'_>) -> Result<GenerationFacts, HubError> {
    let json = read(folder, GENERATION_FILE)?.unwrap_or(Json::Null);
    let sources = [
        (GENERATION_FILE, Settings::new(GENERATION_FILE, &json)),
        (crate::config::CONFIG_FILE, config),
    ];
    let find = |key: &'static str| -> Result<Vec<SpecialId>, HubError> {
        for (file, settings) in sources {
            if settings.get(key).is_some() {
                let ids = ids(settings, key)?.into_iter();
                return Ok(ids.map(|id| SpecialId { file, key, id }).collect());
            }
        }
        Ok(Vec::new())
    };
    Ok(GenerationFacts {
        stop: find("eos_token_id")?,
        begin: find("bos_token_id")?.pop(),
        pad: find("pad_token_id")?.pop(),
    })
}

/// The ids of a key. Only a text has several ends; the first Llamas say -1 where nothing fills.
fn ids(settings: Settings<'_>, key: &str) -> Result<Vec<u32>, HubError> {
    let id = |value: &Json| u32::try_from(value.as_u64()?).ok();
    let (ids, expected) = match (settings.get(key), key) {
        (Some(Json::Array(ids)), "eos_token_id") => {
            let few = Some(ids).filter(|ids| ids.len() <= MOST_STOPS);
            let ids = few.and_then(|ids| ids.iter().map(id).collect());
            (ids, format!("a list of {MOST_STOPS} ids at most"))
        }
        (Some(value), "pad_token_id") if value.as_i64() == Some(-1) => return Ok(Vec::new()),
        (Some(value), _) => {
            let list = match key {
                "eos_token_id" => format!(", or a list of {MOST_STOPS} at most"),
                _ => String::new(),
            };
            (id(value).map(|id| vec![id]), format!("an id{list}"))
        }
        (None, _) => return Ok(Vec::new()),
    };
    ids.ok_or_else(|| settings.wrong(key, expected))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts(config: Json, generation_config: Option<Json>) -> Result<GenerationFacts, HubError> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(json) = generation_config {
            std::fs::write(folder.path().join(GENERATION_FILE), json.to_string()).unwrap();
        }
        generation(folder.path(), Settings::new("config.json", &config))
    }

    #[test]
    fn a_text_has_all_the_ends_that_the_folder_names() {
        // Llama 3.1 8B Instruct: config.json lists three, the base model's one.
        let config =
            json!({"model_type": "llama", "bos_token_id": 128_000, "eos_token_id": 128_001});
        let generation_config = json!({
            "bos_token_id": 128_000, "do_sample": true, "eos_token_id": [128_001, 128_008, 128_009],
            "temperature": 0.6, "top_p": 0.9, "transformers_version": "4.42.3"
        });
        let facts = facts(config, Some(generation_config)).unwrap();
        assert_eq!(facts.stop_ids(), [128_001, 128_008, 128_009]);
        assert!(facts.stop.iter().all(|stop| stop.file == GENERATION_FILE));
        assert_eq!(facts.begin.as_ref().unwrap().id, 128_000);
        assert_eq!(facts.pad, None);
        assert_eq!(facts.all().len(), 4);
    }

    #[test]
    fn what_the_generations_file_lacks_is_the_configurations() {
        let config = json!({"eos_token_id": 50_256, "pad_token_id": -1, "bos_token_id": null});
        let from_config = facts(config.clone(), None).unwrap();
        assert_eq!(from_config.stop_ids(), [50_256]);
        assert_eq!(from_config.stop[0].file, "config.json");
        assert_eq!((from_config.begin, from_config.pad), (None, None));
        let both = facts(config, Some(json!({"pad_token_id": 7}))).unwrap();
        assert_eq!((both.stop_ids(), both.pad.unwrap().id), (vec![50_256], 7));
        assert_eq!(facts(json!({}), None).unwrap(), GenerationFacts::default());
    }

    #[test]
    fn what_is_no_id_is_refused_by_file_and_key() {
        for (key, value) in [
            ("eos_token_id", json!("</s>")),
            ("eos_token_id", json!(-1)),
            ("eos_token_id", json!([1, -1])),
            ("eos_token_id", json!(vec![0; 65])),
            ("eos_token_id", json!(1_u64 << 32)),
            ("bos_token_id", json!([1, 2])),
            ("bos_token_id", json!(-1)),
            ("pad_token_id", json!(1.5)),
        ] {
            let error = facts(json!({ key: value.clone() }), None).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("config.json: {key} = ")),
                "{error}"
            );
            let error = facts(json!({}), Some(json!({ key: value }))).unwrap_err();
            assert_eq!(error.file, GENERATION_FILE);
        }
    }
}
