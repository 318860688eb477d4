//! Running text, in windows to continue: as characters, or in the tokens of a tokenizer.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::data::dataset::Dataset;
use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_codec::text::{Language, Text};
use zoo_tasks::next_token::{Continuation, Stop, batch};
use zoo_text::{Corpus, Location, Split, Tokens, Windows};
use zoo_train::rng::{Purpose, derive};
use zoo_train::{Batch, Pass, Source, SourceError};

use super::{Asked, Data, needs_path, options, refuse, unreadable};
use zoo_program::Error;
use zoo_program::registry::size;

// b batch, n scored targets

/// `[data]` of a character recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct CharOptions {
    name: String,
    /// `chars` only: the text file.
    path: Option<PathBuf>,
    /// Share of the text, at its end, that validates.
    valid_fraction: f64,
    /// A `tokenizer.json`, or the folder that has one, whose tokens take the place of characters:
    /// that of the weights to go on from.
    tokenizer: Option<PathBuf>,
}

impl Default for CharOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            path: None,
            valid_fraction: Corpus::VALID_FRACTION,
            tokenizer: None,
        }
    }
}

/// Opens a text to continue.
pub(super) fn open(
    name: &str,
    table: &Table,
    directory: &Path,
    asked: Asked<'_>,
) -> Result<Data, Error> {
    let set = zoo_text::find(name).ok_or_else(|| Error::failed(name))?;
    let options: CharOptions = options(table, set.name)?;
    let corpus = match set.location {
        Location::Own => {
            let path = needs_path(options.path.clone(), set.name, "book.txt")?;
            Corpus::open(path, options.valid_fraction)
        }
        Location::Published(_) | Location::BuiltIn => {
            refuse(table, set.name, &["path"], "it lies in the data directory")?;
            Corpus::published(set, directory, options.valid_fraction)
        }
    }
    .map_err(unreadable)?;
    let Some(context) = asked.longest else {
        return Err(Error::Request(format!(
            "data set {} gives text, which the model does not take; choose gpt",
            options.name
        )));
    };
    let validates = options.valid_fraction > 0.0;
    let kept = asked.language();
    let given = asked.text(options.tokenizer.as_deref())?;
    let is_learned = given.is_none();
    let text = given.unwrap_or_else(|| Text::Chars {
        chars: corpus.vocabulary.chars(),
    });
    let reader = text.open().map_err(Error::Request)?;
    let windows = |split: Split, name: &str, part: &Tokens| {
        if is_learned {
            return corpus.windows(split, context).map_err(unreadable);
        }
        let part = corpus.vocabulary.decode(&part.slice(0, part.len()));
        let ids = encoded(&reader, &part).map_err(|problem| {
            Error::Request(format!("{}: the {name} split: {problem}", options.name))
        })?;
        let count = ids.len();
        Windows::new(Tokens::Wide(ids.into()), context).ok_or_else(|| {
            Error::Request(format!(
                "the {name} split of data set {} has {count} tokens; model.context = {context} \
                 takes twice as many",
                options.name
            ))
        })
    };
    let train = windows(Split::Train, "train", &corpus.train)?;
    let valid = validates.then(|| windows(Split::Valid, "valid", &corpus.valid));
    let valid = valid.transpose()?;
    let meaning: Arc<str> = match &text {
        Text::Chars { chars } => chars.as_str().into(),
        Text::Tokenizer { tokenizer } => tokenizer.as_str().into(),
        Text::Words { words } => words.as_str().into(),
    };
    let source = |windows| -> Arc<dyn Source> {
        Arc::new(Running {
            windows,
            meaning: meaning.clone(),
        })
    };
    let stop = kept.map(|kept| kept.stop).filter(|stop| !stop.is_empty());
    let codec = Continuation::new(text, Some(context), stop.map(Stop::Tokens));
    Ok(Data {
        set: options.name,
        codec: Arc::new(codec),
        train: source(train),
        valid: valid.map(source),
        test: None,
        warnings: Vec::new(),
    })
}

/// A long text in tokens.
fn encoded(reader: &Language, text: &str) -> Result<Vec<u32>, String> {
    match reader {
        Language::Tokenizer(tokenizer) => tokenizer.corpus(text, size::check),
        Language::Words(_) | Language::Chars(_) => reader.plain(text),
    }
}

struct Running {
    windows: Windows,
    /// What gives the ids their meaning: the characters, or the tokenizer.
    meaning: Arc<str>,
}

impl Source for Running {
    fn len(&self) -> usize {
        self.windows.len()
    }

    fn digest(
        &self,
        examples: Range<usize>,
        add: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        if examples.start == 0 {
            add(self.meaning.as_bytes());
        }
        let (tokens, context) = (self.windows.tokens(), self.windows.context());
        // Up to the text's end, which only windows at other offsets reach.
        let end = match examples.end == self.len() {
            true => tokens.len(),
            false => examples.end * context,
        };
        let start = examples.start * context;
        for id in tokens.slice(start, end - start) {
            add(&id.to_le_bytes());
        }
        Ok(())
    }

    fn batch(&self, indices: &[u32], pass: Option<Pass>) -> Result<Batch, SourceError> {
        let context = self.windows.context();
        // A fresh offset each epoch: over epochs every alignment is seen.
        let offset = pass.map_or(0, |pass| {
            derive(pass.seed, Purpose::Epoch, &[pass.epoch]) as usize % context
        });
        let windows = self.windows.with_offset(offset);
        let (mut input, mut target) = (Vec::new(), Vec::new());
        for &index in indices {
            let window = windows.get(index as usize)?;
            input.extend(window.input.iter().map(|id| *id as i32));
            target.extend(window.target.iter().map(|id| *id as i32));
        }
        Ok(batch(input, target, indices.len()))
    }
}
