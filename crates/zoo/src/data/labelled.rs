//! Texts in classes, as words or in the tokens of a tokenizer.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::data::dataset::Dataset;
use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_codec::text::{Text, WordVocabulary};
use zoo_tasks::ProblemType;
use zoo_tasks::classify::{SentenceClasses, sentence_batch};
use zoo_text::{Column, Format, LabelledLines, LabelledSet, Location, RowOptions, SetKind};
use zoo_train::{Batch, Pass, Source, SourceError};

use super::{Asked, Data, in_order, needs_path, options, refuse, unreadable};
use zoo_program::Error;
use zoo_program::data::{SPLIT_SEED, split};

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
            split_seed: SPLIT_SEED,
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
    name: &str,
    table: &Table,
    directory: &Path,
    asked: Asked<'_>,
) -> Result<Data, Error> {
    let set = zoo_text::find(name).ok_or_else(|| Error::failed(name))?;
    let SetKind::Labelled(format) = set.kind else {
        return Err(Error::failed(name));
    };
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
    let Some(longest) = asked.longest else {
        return Err(Error::Request(format!(
            "data set {} gives text, which the model does not take; choose encoder",
            options.name
        )));
    };
    let kept = asked.language();
    let whole = asked.whole::<SentenceClasses>();
    let max_length = match (&kept, whole) {
        (_, Some(kept)) => kept.max_length,
        (Some(kept), None) if !table.contains_key("max_length") => kept.max_length.min(longest),
        _ => options.max_length.min(longest),
    };
    if max_length == 0 {
        return Err(Error::request("data.max_length = 0: must be 1 or more"));
    }
    let mut warnings = set.warnings.clone();
    if table.contains_key("max_length") && options.max_length > max_length && whole.is_none() {
        warnings.push(format!(
            "data.max_length = {}: the model takes {max_length} tokens, and longer texts are cut there",
            options.max_length
        ));
    }
    let (train, tested, held) = divide(&options, &set, &mut warnings)?;
    let text = match asked.text(options.tokenizer.as_deref())? {
        Some(text) => text,
        None => learned_words(&options, &set, &train)?,
    };
    let reader = text.open().map_err(Error::Request)?;
    // Where the text has no token for it, one that no text has.
    let own = reader.pad().unwrap_or(reader.vocabulary() as u32);
    let pad = kept.and_then(|kept| kept.pad).unwrap_or(own);
    let classes = match whole {
        Some(kept) => kept.classes.clone(),
        None => in_order(&set.class_names, asked),
    };
    let meaning = match &text {
        Text::Words { words } => words,
        Text::Chars { chars } => chars,
        Text::Tokenizer { tokenizer } => tokenizer,
    };
    let meaning: Arc<str> = (meaning.clone() + &classes.join("\n")).into();
    let source = |lines: &LabelledLines, chosen: Vec<u32>| -> Result<Arc<dyn Source>, Error> {
        let mut texts = Vec::with_capacity(chosen.len());
        let mut labels = Vec::with_capacity(chosen.len());
        for row in &chosen {
            let line = lines.get(*row as usize).map_err(unreadable)?;
            let name = &set.class_names[line.label];
            let label = classes.iter().position(|class| class == name);
            labels.push(label.ok_or_else(|| {
                Error::Request(format!(
                    "{}: class {name:?} is none of those that the model was trained on: {}",
                    lines.place(*row as usize),
                    classes.join(", ")
                ))
            })? as i32);
            texts.push(line.text);
        }
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let ids = reader
            .encode_all(&texts, max_length)
            .map_err(|(at, problem)| {
                let place = lines.place(chosen[at] as usize);
                Error::Request(format!("{}: {place}: {problem}", options.name))
            })?;
        Ok(Arc::new(Rows {
            sentences: ids.into_iter().zip(labels).collect(),
            lines: lines.clone(),
            chosen,
            meaning: meaning.clone(),
            longest: max_length,
            pad,
        }))
    };
    let other = |lines: Option<&LabelledLines>, part: Option<Vec<u32>>| match (lines, part) {
        (Some(lines), _) => source(lines, (0..lines.len() as u32).collect()).map(Some),
        (None, Some(part)) => source(&set.train, part).map(Some),
        (None, None) => Ok(None),
    };
    let (train, valid, test) = (
        source(&set.train, train)?,
        other(set.valid.as_ref(), held)?,
        other(set.test.as_ref(), tested)?,
    );
    let codec = SentenceClasses {
        text,
        max_length,
        classes,
        pad,
        problem_type: ProblemType::default(),
    };
    Ok(Data {
        set: options.name.clone(),
        codec: Arc::new(codec),
        train,
        valid,
        test,
        warnings,
    })
}

/// The words of the training examples, by frequency.
fn learned_words(
    options: &LabelledOptions,
    set: &LabelledSet,
    train: &[u32],
) -> Result<Text, Error> {
    let sentences: Vec<&str> = set.train.sentences().collect();
    let sentences = train.iter().map(|at| sentences[*at as usize]);
    let words = WordVocabulary::build(sentences, options.max_words, options.min_count);
    let words = words.map_err(unreadable)?.to_lines();
    Ok(Text::Words { words })
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

struct Rows {
    sentences: Vec<(Vec<u32>, i32)>,
    /// What the sentences were made of, for the sum of the contents.
    lines: LabelledLines,
    /// The rows that belong to this split.
    chosen: Vec<u32>,
    /// What gives ids and labels their meaning: the vocabulary or tokenizer, and the classes.
    meaning: Arc<str>,
    /// Tokens that the model takes at most.
    longest: usize,
    /// The token that fills shorter ones.
    pad: u32,
}

impl Source for Rows {
    fn len(&self) -> usize {
        self.sentences.len()
    }

    fn digest(
        &self,
        examples: Range<usize>,
        add: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SourceError> {
        if examples.start == 0 {
            add(self.meaning.as_bytes());
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
        let chosen: Vec<(&[u32], i32)> = indices
            .iter()
            .map(|index| {
                let (ids, label) = &self.sentences[*index as usize];
                (ids.as_slice(), *label)
            })
            .collect();
        Ok(sentence_batch(&chosen, self.longest, self.pad))
    }
}
