//! Texts and their translations, in subwords that are learned from the training pairs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toml::Table;
use zoo_codec::text::{Text, subwords};
use zoo_tasks::translate::{Pairs, Translation};
use zoo_text::{Location, PairSet, SetInfo};
use zoo_train::Source;

use super::{Asked, Data, needs_path, options, refuse, unreadable};
use zoo_program::Error;
use zoo_program::data::SPLIT_SEED;

/// `[data]` of a translation recipe.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct PairOptions {
    name: String,
    /// Your own files only: a TSV of two columns, a folder of `train.tsv`, or with `languages` a folder
    /// of `train.en` and `train.de`.
    path: Option<PathBuf>,
    /// The languages: of the source, of the translation. Of your own files, their endings.
    languages: Option<[String; 2]>,
    /// Translates the other way.
    reverse: bool,
    /// Tokens that are learned from the training pairs, of both languages together.
    vocabulary: usize,
    /// A `tokenizer.json`, or the folder that has one, whose tokens take the place of those learned.
    tokenizer: Option<PathBuf>,
    /// Most tokens of a text, with the two around it. Longer pairs are not trained on.
    max_length: usize,
    /// Tokens of a training batch at most, on the longer side and with padding; `train.batch_size`
    /// bounds its pairs, too. Batches of `train.batch_size` pairs if absent.
    batch_tokens: Option<usize>,
    /// Built in only: decides which numbers there are, and which are held out.
    split_seed: u64,
}

impl Default for PairOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            path: None,
            languages: None,
            reverse: false,
            vocabulary: 8000,
            tokenizer: None,
            max_length: 64,
            batch_tokens: None,
            split_seed: SPLIT_SEED,
        }
    }
}

/// Opens a set of translations.
pub(super) fn open(
    name: &str,
    table: &Table,
    directory: &Path,
    asked: Asked<'_>,
) -> Result<Data, Error> {
    let set = zoo_text::find(name).ok_or_else(|| Error::failed(name))?;
    let options: PairOptions = options(table, set.name)?;
    let (pairs, languages) = read(set, table, &options, directory)?;
    let Some(longest) = asked.longest else {
        return Err(Error::Request(format!(
            "data set {} gives texts to translate, which the model does not take; choose encoder-decoder",
            options.name
        )));
    };
    if options.batch_tokens == Some(0) {
        return Err(Error::request("data.batch_tokens = 0: must be 1 or more"));
    }
    let whole = asked.whole::<Translation>();
    let of = |pairs: &zoo_text::Pairs| -> Vec<(String, String)> {
        let sides = |pair: &zoo_text::Pair| (pair.source.clone(), pair.target.clone());
        let turned = |(source, target)| match options.reverse {
            true => (target, source),
            false => (source, target),
        };
        pairs.iter().map(sides).map(turned).collect()
    };
    let mut train = of(&pairs.train);
    let text = match asked.text(options.tokenizer.as_deref())? {
        Some(text) => text,
        None => {
            let lines = train
                .iter()
                .flat_map(|(source, target)| [&**source, &**target]);
            let tokenizer = subwords::train(lines, options.vocabulary)
                .map_err(|problem| Error::Request(format!("data.vocabulary: {problem}")))?;
            Text::Tokenizer { tokenizer }
        }
    };
    let codec = Translation {
        text,
        languages,
        max_length: match (asked.kept_as::<Translation>(), whole) {
            (_, Some(kept)) => kept.max_length,
            (Some(kept), None) if !table.contains_key("max_length") => kept.max_length.min(longest),
            _ => options.max_length.min(longest),
        },
    };
    zoo_tasks::Codec::check(&codec).map_err(Error::Request)?;
    let language = codec.open().map_err(Error::Request)?;
    let source = |texts: &[(String, String)], batch_tokens| -> Result<Arc<dyn Source>, Error> {
        let texts: Vec<(&str, &str)> = (texts.iter())
            .map(|(source, target)| (&**source, &**target))
            .collect();
        let pairs = Pairs::read(&codec, &language, &texts, batch_tokens);
        let pairs = pairs.map_err(|(at, problem)| {
            Error::Request(format!("{}: pair {}: {problem}", options.name, at + 1))
        })?;
        Ok(Arc::new(pairs))
    };
    let mut warnings = pairs.warnings.clone();
    let room = codec.max_length - 2;
    let before = train.len();
    let fits = |text: &str| {
        language
            .plain(text)
            .is_ok_and(|tokens| tokens.len() <= room)
    };
    train.retain(|(source, target)| fits(source) && fits(target));
    if train.len() < before {
        warnings.push(format!(
            "data set {}: {} of {before} training pairs have more than data.max_length = {} tokens, and are \
             left out",
            options.name,
            before - train.len(),
            codec.max_length
        ));
    }
    let other = |pairs: &Option<zoo_text::Pairs>| {
        pairs
            .as_ref()
            .map(|pairs| source(&of(pairs), None))
            .transpose()
    };
    Ok(Data {
        set: options.name.clone(),
        train: source(&train, options.batch_tokens)?,
        valid: other(&pairs.valid)?,
        test: other(&pairs.test)?,
        codec: Arc::new(codec),
        warnings,
    })
}

/// The texts, and which languages they are in.
fn read(
    set: &SetInfo,
    table: &Table,
    options: &PairOptions,
    directory: &Path,
) -> Result<(PairSet, [String; 2]), Error> {
    let named = |languages: [&str; 2]| languages.map(str::to_owned);
    let (pairs, mut languages) = match set.location {
        Location::Own => {
            let path = needs_path(options.path.clone(), set.name, "pairs.tsv")?;
            let endings = options.languages.as_ref();
            let endings = endings.map(|[source, target]| [source.as_str(), target.as_str()]);
            refuse(
                table,
                set.name,
                &["split_seed"],
                "your files say what is held out",
            )?;
            let pairs = PairSet::open(path, endings);
            (pairs, named(endings.unwrap_or(["source", "translation"])))
        }
        Location::Published(_) => {
            let why = "its files lie in the data directory, with splits of their own";
            refuse(table, set.name, &["path", "languages", "split_seed"], why)?;
            (PairSet::published(set, directory), named(["en", "de"]))
        }
        Location::BuiltIn => {
            refuse(table, set.name, &["path", "languages"], "it is built in")?;
            (
                Ok(PairSet::numbers(options.split_seed)),
                named(["en", "de"]),
            )
        }
    };
    if options.reverse {
        languages.reverse();
    }
    Ok((pairs.map_err(unreadable)?, languages))
}
