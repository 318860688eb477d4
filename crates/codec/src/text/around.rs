//! The tokens that the post-processor of a `tokenizer.json` puts around a text.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value as Json;
use zoo_files::{brief, brief_problem};

use super::limits::at_most;

/// Pieces of a template, tokens of one of its names, and its names.
const MOST_PIECES: usize = 64;

/// The largest id of the tokens that are put around a text.
pub(super) fn largest_around(steps: &[(&str, &Json)]) -> Result<u64, String> {
    let wrong =
        |name: &str, problem: &dyn fmt::Display| format!("post_processor: {name}: {problem}");
    let mut largest = 0;
    for (name, step) in steps {
        let of_step = match *name {
            "ByteLevel" => continue,
            "TemplateProcessing" => Template::deserialize(*step)
                .map_err(brief_problem)
                .and_then(|template| template.check()),
            _ => Around::deserialize(*step)
                .map(|around| around.sep.1.max(around.cls.1))
                .map_err(brief_problem),
        };
        largest = largest.max(of_step.map_err(|problem| wrong(name, &problem))?);
    }
    Ok(largest)
}

#[derive(Deserialize)]
struct Around {
    sep: (String, u64),
    cls: (String, u64),
}

#[derive(Deserialize)]
struct Template {
    single: Vec<Piece>,
    pair: Vec<Piece>,
    special_tokens: BTreeMap<String, Special>,
}

#[derive(Deserialize)]
enum Piece {
    Sequence { id: String },
    SpecialToken { id: String },
}

#[derive(Deserialize)]
struct Special {
    ids: Vec<u64>,
    tokens: Vec<String>,
}

impl Template {
    /// One text goes in, once, among tokens that are there.
    fn check(&self) -> Result<u64, String> {
        at_most(
            "special_tokens",
            "names",
            self.special_tokens.len(),
            MOST_PIECES,
        )?;
        for (name, token) in &self.special_tokens {
            let (ids, tokens) = (token.ids.len(), token.tokens.len());
            at_most("special_tokens", "tokens of a name", ids, MOST_PIECES)?;
            if ids != tokens {
                return Err(format!(
                    "special_tokens.{}: {ids} ids of {tokens} tokens",
                    brief(name)
                ));
            }
        }
        let mut largest = 0;
        for piece in self.single.iter().chain(&self.pair) {
            if let Piece::SpecialToken { id } = piece {
                let token = self.special_tokens.get(id);
                let token = token
                    .ok_or_else(|| format!("{:?} is not among its special_tokens", brief(id)))?;
                largest = token.ids.iter().copied().fold(largest, u64::max);
            }
        }
        for (key, pieces) in [("single", &self.single), ("pair", &self.pair)] {
            at_most(key, "pieces", pieces.len(), MOST_PIECES)?;
        }
        let texts = self.single.iter().filter_map(|piece| match piece {
            Piece::Sequence { id } => Some(id.as_str()),
            Piece::SpecialToken { .. } => None,
        });
        let texts: Vec<_> = texts.collect();
        if texts != ["A"] {
            return Err(format!("single: expected the text A once, got {texts:?}"));
        }
        Ok(largest)
    }
}
