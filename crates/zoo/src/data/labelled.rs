//! Texts in classes, as words or in the tokens of a tokenizer.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::data::dataset::Dataset;
use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_codec::text::WordVocabulary;
use zoo_text::{Column, Format, LabelledLines, LabelledSet, Location, RowOptions, SetInfo};
use zoo_train::{Batch, Pass, Source, SourceError};

use super::{Codec, Data, Facts, needs_path, options, pad, refuse, split, unreadable};
use crate::error::Error;
use crate::language;
use crate::registry::Input;

// b batch, t time

/// `[data]` of a labelled-text recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LabelledOptions {
    name: String,
    /// Your own files only: a file, or a folder with one for each split.
    path: Option<PathBuf>,
    /// Your own files only: the column of the texts, by name, or by number from 1 where the first
    /// line names none; not needed where there is no doubt.
    text: Option<ColumnKey>,
    /// Your own files only: the column of the labels.
    label: Option<ColumnKey>,
    /// `tsv` only: whether quotes around a field are taken off.
    quotes: Option<bool>,
    /// Your own files without a test split only: the share of each class to test on, 0..1.
    test_fraction: Option<f64>,
    /// Training examples set aside to choose the best model.
    validation: usize,
    /// Decides which examples are set aside, for the test and to choose the best model.
    split_seed: u64,
    /// Words known at most, by frequency.
    max_words: usize,
    /// Words seen less often are unknown.
    min_count: usize,
    /// Words, or tokens, of a sentence that are read at most.
    max_length: usize,
    /// A `tokenizer.json`, or the folder that has one, whose tokens take the place of words: that of
    /// the weights to go on from.
    tokenizer: Option<PathBuf>,
}

impl Default for LabelledOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            path: None,
            text: None,
            label: None,
            quotes: None,
            test_fraction: None,
            validation: 0,
            split_seed: split::SEED,
            max_words: 20_000,
            min_count: 2,
            max_length: 64,
            tokenizer: None,
        }
    }
}

/// A column as a recipe names it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum ColumnKey {
    /// Where the first line names the columns.
    Name(String),
    /// From 1, where it does not.
    Number(usize),
}

impl ColumnKey {
    fn column(&self) -> Column {
        match self {
            Self::Name(name) => Column::Name(name.clone()),
            Self::Number(number) => Column::Number(*number),
        }
    }
}

/// Opens a set of texts in classes.
pub(super) fn open(
    set: &SetInfo,
    format: Format,
    table: &Table,
    directory: &Path,
    input: Input,
) -> Result<Data, Error> {
    let options: LabelledOptions = options(table, set.name)?;
    if format != Format::Tsv {
        refuse(
            table,
            set.name,
            &["quotes"],
            "its format says what quotes mean",
        )?;
    }
    let set = match set.location {
        Location::Own => {
            let example = format!("reviews.{}", format.endings()[0]);
            let rows = RowOptions {
                text: options.text.as_ref().map(ColumnKey::column),
                label: options.label.as_ref().map(ColumnKey::column),
                quotes: options.quotes,
            };
            let path = needs_path(options.path.clone(), set.name, &example)?;
            LabelledSet::open(format, path, &rows)
        }
        Location::Published(_) | Location::BuiltIn => {
            let keys = [
                "path",
                "text",
                "label",
                "quotes",
                "test_fraction",
                "validation",
                "split_seed",
            ];
            let why = "its files lie in the data directory, with splits of their own";
            refuse(table, set.name, &keys, why)?;
            LabelledSet::published(set, format, directory)
        }
    }
    .map_err(unreadable)?;
    let Input::Tokens { longest } = input else {
        return Err(Error::Request(format!(
            "data set {} gives text, but the model takes images; choose encoder",
            options.name
        )));
    };
    let max_length = options.max_length.min(longest);
    if max_length == 0 {
        return Err(Error::request("data.max_length = 0: must be 1 or more"));
    }
    let mut warnings = set.warnings.clone();
    let (train, tested, held) = divide(&options, &set, &mut warnings)?;
    let classes = set.class_names.clone();
    let (vocabulary, language, codec, encode): (usize, String, Codec, Encode) =
        match &options.tokenizer {
            Some(path) => {
                let (text, tokenizer) = language::open(path).map_err(Error::Request)?;
                let codec = Codec::Tokenizer {
                    tokenizer: text.clone(),
                    max_length,
                    classes,
                    stop: Vec::new(),
                };
                let size = tokenizer.vocabulary();
                let encode = move |text: &str| tokenizer.sentence(text, max_length);
                (size, text, codec, Box::new(encode))
            }
            None => {
                let (most, least) = (options.max_words, options.min_count);
                let sentences: Vec<&str> = set.train.sentences().collect();
                let sentences = train.iter().map(|at| sentences[*at as usize]);
                let words = WordVocabulary::build(sentences, most, least);
                let words = words.map_err(unreadable)?;
                let codec = Codec::Words {
                    words: words.to_lines(),
                    max_length,
                    classes,
                };
                let (size, language) = (words.len(), words.to_lines());
                let encode = move |text: &str| Ok(words.encode(text, max_length));
                (size, language, codec, Box::new(encode))
            }
        };
    let language: Arc<str> = (language + &set.class_names.join("\n")).into();
    let source = |lines: &LabelledLines, chosen: Vec<u32>| -> Result<Arc<dyn Source>, Error> {
        let mut sentences = Vec::with_capacity(chosen.len());
        for row in &chosen {
            let line = lines.get(*row as usize).map_err(unreadable)?;
            let ids = encode(&line.text).map_err(|problem| {
                Error::Request(format!("{}: example {}: {problem}", options.name, row + 1))
            })?;
            sentences.push((ids, line.label as i32));
        }
        Ok(Arc::new(Sentences {
            sentences,
            lines: lines.clone(),
            chosen,
            language: language.clone(),
            longest: max_length,
        }))
    };
    let other = |lines: Option<&LabelledLines>, part: Option<Vec<u32>>| match (lines, part) {
        (Some(lines), _) => source(lines, (0..lines.len() as u32).collect()).map(Some),
        (None, Some(part)) => source(&set.train, part).map(Some),
        (None, None) => Ok(None),
    };
    Ok(Data {
        facts: Facts::Sentences {
            set: options.name.clone(),
            vocabulary,
            classes: set.class_names.len(),
        },
        codec,
        train: source(&set.train, train)?,
        valid: other(set.valid.as_ref(), held)?,
        test: other(set.test.as_ref(), tested)?,
        warnings,
    })
}

/// The rows to train, test and validate on, of the training file.
type Parts = (Vec<u32>, Option<Vec<u32>>, Option<Vec<u32>>);

fn divide(
    options: &LabelledOptions,
    set: &LabelledSet,
    warnings: &mut Vec<String>,
) -> Result<Parts, Error> {
    let (has_valid, has_test) = (set.valid.is_some(), set.test.is_some());
    split::check_validation(options.validation, has_valid)?;
    let fraction = split::test_fraction(options.test_fraction, has_valid, has_test)?;
    let labels: Vec<usize> = set.train.labels().collect();
    split::check_share(options.test_fraction, labels.len())?;
    let (rest, tested) = split::hold_out(&labels, fraction, options.split_seed);
    let (train, held) = split::cut(rest, options.validation, options.split_seed)?;
    warnings.extend(split::held_out_unasked(
        options.test_fraction,
        tested.len(),
        labels.len(),
    ));
    let name = |label: usize| &*set.class_names[label];
    warnings.extend(
        (fraction > 0.0)
            .then(|| split::untested(&labels, &tested, name))
            .flatten(),
    );
    Ok((
        train,
        Some(tested).filter(|tested| !tested.is_empty()),
        held,
    ))
}

/// What makes token ids of a sentence.
type Encode = Box<dyn Fn(&str) -> Result<Vec<u32>, String>>;

struct Sentences {
    sentences: Vec<(Vec<u32>, i32)>,
    /// What the sentences were made of, for the sum of the contents.
    lines: LabelledLines,
    /// The rows that belong to this split.
    chosen: Vec<u32>,
    /// What gives ids and labels their meaning: the vocabulary or tokenizer, and the classes.
    language: Arc<str>,
    /// Tokens that the model takes at most.
    longest: usize,
}

/// Batches are padded to a multiple of this, so that a GPU compiles few shapes.
const PAD_TO_MULTIPLE: usize = 8;

impl Source for Sentences {
    fn len(&self) -> usize {
        self.sentences.len()
    }

    fn digest(
        &self,
        examples: Range<usize>,
        add: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        if examples.start == 0 {
            add(self.language.as_bytes());
        }
        for row in &self.chosen[examples] {
            let line = self.lines.get(*row as usize)?;
            add(&(line.text.len() as u64).to_le_bytes());
            add(line.text.as_bytes());
            add(&(line.label as u64).to_le_bytes());
        }
        Ok(())
    }

    fn batch(&self, indices: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
        let chosen: Vec<&(Vec<u32>, i32)> = indices
            .iter()
            .map(|index| &self.sentences[*index as usize])
            .collect();
        let longest = chosen.iter().map(|(ids, _)| ids.len()).max().unwrap_or(0);
        let t = longest.next_multiple_of(PAD_TO_MULTIPLE).min(self.longest);
        let input = pad(chosen.iter().map(|(ids, _)| ids.as_slice()), t);
        let labels: Vec<i32> = chosen.iter().map(|(_, label)| *label).collect();
        let b = labels.len();
        Ok(Batch {
            input,
            target: TensorData::new(labels, [b]),
            scored: None,
        })
    }
}
