//! What a trained model does with single examples, for the report: confusion, the worst mistakes,
//! samples, and what a few outputs depend on.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use burn::tensor::TensorData;
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use zoo_codec::text::{CharVocabulary, Language, PAD, WordVocabulary};
use zoo_report::insight::Insight;
use zoo_report::insight::{Classes, Insight, Mistake, Saliency, Sample, Shown};
use zoo_text::{CharVocabulary, WordVocabulary};
use zoo_train::rng::Stream;
use zoo_train::{
    Batch, Example, Exhibit, Label, Part, Picture, Plan, Section, Source, SourceError,
};
use zoo_transformer::generate::{Sampling, generate};

use crate::data::{Codec, normalise};
use crate::devices::catch_panic;
use crate::language;
use crate::registry::{Answer, Ready};
use crate::sample::unit;

/// Mistakes that are shown.
const MISTAKES: usize = 24;
/// Classes of which every pair is counted: its square is written down.
const MOST_CLASSES: usize = 2048;
/// Inputs that are explained.
const EXPLAINED: usize = 4;
/// Texts that a decoder writes.
const SAMPLES: usize = 4;
/// Tokens that a decoder is given and writes, where the data does not say.
const PROMPT_TOKENS: usize = 32;
const WRITTEN_TOKENS: usize = 200;
/// Tokens of an input that is explained, at most.
const EXPLAINED_TOKENS: usize = 64;

/// Looks at a model's answers to `source`, which is the split called `split`.
///
/// # Errors
/// An example that cannot be read, or what this or a backend cannot do: nobody's result depends on it,
/// so a panic is an error too.
pub fn examine(
    ready: &dyn Ready,
    codec: &Codec,
    split: &str,
    source: &dyn Source,
    plan: &Plan,
) -> Result<Insight, SourceError> {
    catch_panic(|| look(ready, codec, split, source, plan))
        .unwrap_or_else(|panic| Err(panic.into()))
}

fn look(
    ready: &dyn Ready,
    codec: &Codec,
    split: &str,
    source: &dyn Source,
    plan: &Plan,
) -> Result<Insight, SourceError> {
    let view = View::new(codec)?;
    let answers = ready.answers(&plan.eval_batches(source))?;
    let mut insight = Insight {
        split: split.into(),
        examples: source.len(),
        ..Insight::default()
    };
    // Spread over the split; for classifiers, the worst mistake first.
    let spread = (0..EXPLAINED).map(|part| part * source.len() / EXPLAINED);
    let mut explained: Vec<usize> = spread.collect();
    if let Some(answers) = &answers {
        let worst = worst(answers);
        explained.splice(0..0, worst.first().copied());
        explained.truncate(EXPLAINED);
        insight.sections.extend(confusion(&view, answers));
        let mistakes = mistakes(&view, source, answers, &worst)?;
        insight.sections.push(mistakes);
    } else {
        insight.sections.push(samples(ready, &view, source)?);
    }
    explained.sort_unstable();
    explained.dedup();
    let mut depends = Section::new(
        "What an answer depends on",
        "Integrated gradients (Sundararajan, Taly and Yan 2017) of the answer's log-probability: what is \
         red speaks for the answer, what is blue against it.",
    );
    for index in explained {
        let example = explain(ready, &view, source, index)?;
        depends.examples.extend(example);
    }
    insight.sections.push(depends);
    insight
        .sections
        .retain(|section| !section.examples.is_empty());
    Ok(insight)
}

/// The wrong answers, by their loss.
fn worst(answers: &[Answer]) -> Vec<usize> {
    let mut wrong: Vec<usize> = (0..answers.len())
        .filter(|index| answers[*index].label != answers[*index].predicted)
        .collect();
    wrong.sort_by(|a, b| answers[*b].loss.total_cmp(&answers[*a].loss));
    wrong.truncate(MISTAKES);
    wrong
}

/// How often each class was taken for each; nothing where there are too many.
fn confusion(view: &View<'_>, answers: &[Answer]) -> Option<Section> {
    let names = view.classes();
    if names.len() > MOST_CLASSES {
        return None;
    }
    let mut counts = vec![vec![0; names.len()]; names.len()];
    for answer in answers {
        let row = counts.get_mut(answer.label);
        if let Some(count) = row.and_then(|row| row.get_mut(answer.predicted)) {
            *count += 1;
        }
    }
    let matrix = Exhibit::Confusion {
        names: names.to_vec(),
        counts,
    };
    Some(Section {
        examples: vec![Example::new("").with("", matrix)],
        ..Section::new("Confusion", "")
    })
}

fn mistakes(
    view: &View<'_>,
    source: &dyn Source,
    answers: &[Answer],
    worst: &[usize],
) -> Result<Section, SourceError> {
    let examples = worst.iter().map(|&index| {
        let batch = source.batch(&[index as u32], None)?;
        let answer = answers[index];
        let input = view.show(&batch.input, Vec::new());
        Ok::<_, SourceError>(answered(
            format!("no. {index}"),
            input,
            Label::likely(view.output(answer.predicted), answer.confidence),
            view.output(answer.label),
        ))
    });
    Ok(Section {
        examples: examples.collect::<Result<_, _>>()?,
        ..Section::new(
            "Worst mistakes",
            "The wrong answers with the largest loss: of which the model was surest.",
        )
    })
}

/// An input, what the model took it for, and what it is.
fn answered(about: String, input: Exhibit, answer: Label, truth: String) -> Example {
    let labels = vec![answer];
    Example::new(about)
        .with("", input)
        .with(Part::ANSWER, Exhibit::Labels { labels })
        .with(Part::TRUTH, Exhibit::label(truth))
}

/// What a decoder writes after the beginning of some examples.
fn samples(
    ready: &dyn Ready,
    view: &View<'_>,
    source: &dyn Source,
) -> Result<Section, SourceError> {
    let count = SAMPLES.min(source.len());
    let mut samples = Section::new("Samples", "");
    for part in 0..count {
        let index = part * source.len() / count;
        let batch = source.batch(&[index as u32], None)?;
        let (prompt, answer) = question(&batch);
        let Some(mut decoder) = ready.decoder() else {
            break;
        };
        // Where one answer is right, the likeliest is asked for.
        let (temperature, length) = match &answer {
            Some(answer) => (0.0, answer.len()),
            None => (0.8, WRITTEN_TOKENS),
        };
        let mut stream = Stream::new(1 + part as u64);
        let sampling = Sampling {
            temperature,
            ..Sampling::default()
        };
        let tokens = generate(&mut decoder, &prompt, &sampling, &[], || unit(&mut stream));
        let written: Vec<u32> = tokens.take(length).collect::<Result<_, _>>()?;
        samples.about = match temperature {
            0.0 => "The likeliest continuation of the grey beginnings, which the model was not \
                    trained on."
                .into(),
            _ => format!(
                "What the model writes after the grey beginnings, at temperature {temperature}."
            ),
        };
        let mut example = Example::new("")
            .with(Part::PROMPT, Exhibit::text(view.text(&prompt)))
            .with(Part::ANSWER, Exhibit::text(view.text(&written)));
        if let Some(answer) = answer {
            example = example.with(Part::TRUTH, Exhibit::text(view.text(&answer)));
        }
        samples.examples.push(example);
    }
    Ok(samples)
}

/// What an example gives to a decoder, and what it asks for, where only some tokens are scored.
fn question(batch: &Batch) -> (Vec<u32>, Option<Vec<u32>>) {
    let mut tokens = ids(&batch.input);
    match first_scored(batch) {
        Some(first) => {
            tokens.truncate(first + 1);
            (tokens, Some(ids(&batch.target)))
        }
        None => {
            tokens.truncate(PROMPT_TOKENS);
            (tokens, None)
        }
    }
}

fn first_scored(batch: &Batch) -> Option<usize> {
    let scored = batch.scored.as_ref()?;
    scored.iter::<i64>().next().map(|first| first as usize)
}

fn ids(data: &TensorData) -> Vec<u32> {
    data.iter::<i64>().map(|id| id as u32).collect()
}

fn explain(
    ready: &dyn Ready,
    view: &View<'_>,
    source: &dyn Source,
    index: usize,
) -> Result<Option<Example>, SourceError> {
    let batch = source.batch(&[index as u32], None)?;
    let (input, expected) = match view {
        View::Images { .. } => (batch.input, batch.target.iter::<i64>().next()),
        View::Words { .. }
        | View::Tokens {
            classes: [_, ..], ..
        } => {
            // Padding says nothing, and is not shown.
            let mut tokens = ids(&batch.input);
            while tokens.len() > 1 && tokens.last() == Some(&PAD) {
                tokens.pop();
            }
            (row(&tokens), batch.target.iter::<i64>().next())
        }
        View::Chars { .. } | View::Tokens { .. } => {
            let mut tokens = ids(&batch.input);
            let first = first_scored(&batch);
            let last = first.unwrap_or(tokens.len().min(EXPLAINED_TOKENS) - 1);
            tokens.truncate(last + 1);
            let place = if first.is_some() { 0 } else { last };
            (row(&tokens), batch.target.iter::<i64>().nth(place))
        }
    };
    let Some(expected) = expected else {
        return Ok(None);
    };
    let Some(explained) = ready.explain(input.clone(), view.baseline(&input)) else {
        return Ok(None);
    };
    let values = match view {
        View::Images {
            shape: [c, h, w], ..
        } => (0..h * w)
            .map(|pixel| (0..*c).map(|c| explained.values[c * h * w + pixel]).sum())
            .collect(),
        View::Tokens { language, .. } => joined(language.pieces(&ids(&input)), explained.values).1,
        View::Words { .. } | View::Chars { .. } => explained.values,
    };
    let [before, after] = explained.log_probability;
    Ok(Some(answered(
        format!("log-probability {before:.3} without the input, {after:.3} with it"),
        view.show(&input, values),
        Label::likely(view.output(explained.output), explained.probability),
        view.output(expected as usize),
    )))
}

fn row(tokens: &[u32]) -> TensorData {
    let ids: Vec<i32> = tokens.iter().map(|id| *id as i32).collect();
    let t = ids.len();
    TensorData::new(ids, [1, t])
}

/// How a model's input and output look to a person.
enum View<'a> {
    Images {
        shape: [usize; 3],
        mean: &'a [f32],
        std: &'a [f32],
        classes: &'a [String],
    },
    Words {
        words: Vec<&'a str>,
        classes: &'a [String],
    },
    Chars(CharVocabulary),
    Tokens {
        language: Language,
        /// None of a decoder.
        classes: &'a [String],
    },
}

/// Pieces of text, and a value for each. A token that is only a part of a character, or nothing that
/// can be seen, goes to the next piece, or the last one, and so does its value: values are shares of
/// a sum.
fn joined(pieces: Vec<String>, values: Vec<f32>) -> (Vec<String>, Vec<f32>) {
    let mut together: (Vec<String>, Vec<f32>) = (Vec::new(), Vec::new());
    let mut held = 0.0;
    for (piece, value) in pieces.into_iter().zip(values) {
        held += value;
        if !piece.is_empty() {
            together.0.push(piece);
            together.1.push(std::mem::take(&mut held));
        }
    }
    if let Some(last) = together.1.last_mut() {
        *last += held;
    }
    together
}

impl<'a> View<'a> {
    fn new(codec: &'a Codec) -> Result<Self, SourceError> {
        Ok(match codec {
            Codec::Images {
                shape,
                mean,
                std,
                classes,
            } => Self::Images {
                shape: *shape,
                mean,
                std,
                classes,
            },
            Codec::Words { words, classes, .. } => {
                WordVocabulary::from_lines(words)?;
                Self::Words {
                    words: words.lines().collect(),
                    classes,
                }
            }
            Codec::Chars { chars, .. } => Self::Chars(CharVocabulary::from_chars(chars)?),
            Codec::Tokenizer { classes, .. } => Self::Tokens {
                language: language::of(codec).ok_or("a tokenizer has a language")??,
                classes,
            },
        })
    }

    fn classes(&self) -> &'a [String] {
        match self {
            Self::Images { classes, .. }
            | Self::Words { classes, .. }
            | Self::Tokens { classes, .. } => classes,
            Self::Chars(_) => &[],
        }
    }

    /// The name of an output.
    fn output(&self, index: usize) -> String {
        match self {
            Self::Chars(_) | Self::Tokens { classes: [], .. } => self.text(&[index as u32]),
            _ => self
                .classes()
                .get(index)
                .cloned()
                .unwrap_or_else(|| index.to_string()),
        }
    }

    fn text(&self, tokens: &[u32]) -> String {
        match self {
            Self::Chars(vocabulary) => vocabulary.decode(tokens),
            Self::Tokens { language, .. } => language.decode(tokens),
            _ => self.tokens(tokens).join(" "),
        }
    }

    fn tokens(&self, tokens: &[u32]) -> Vec<String> {
        if let Self::Tokens { language, .. } = self {
            let values = vec![0.0; tokens.len()];
            return joined(language.pieces(tokens), values).0;
        }
        let one = |token: &u32| match self {
            Self::Words { words, .. } => {
                words.get(*token as usize).map_or("?", |word| *word).into()
            }
            Self::Chars(vocabulary) => vocabulary.decode(&[*token]),
            Self::Images { .. } | Self::Tokens { .. } => String::new(),
        };
        tokens.iter().map(one).collect()
    }

    /// An image with no light, normalised as the input is; for tokens what is not looked at.
    fn baseline(&self, input: &TensorData) -> TensorData {
        match self {
            Self::Images { mean, std, .. } => {
                let shape = input.shape().clone();
                let mut values = Vec::new();
                normalise(&vec![0; shape.num_elements()], mean, std, &mut values);
                TensorData::new(values, shape)
            }
            _ => input.clone(),
        }
    }

    /// The input, and what each token or pixel counts for, where that was computed.
    fn show(&self, input: &TensorData, values: Vec<f32>) -> Exhibit {
        let Self::Images {
            shape: [c, h, w],
            mean,
            std,
            ..
        } = self
        else {
            let mut tokens = ids(input);
            if let Self::Words { .. }
            | Self::Tokens {
                classes: [_, ..], ..
            } = self
            {
                while tokens.len() > 1 && tokens.last() == Some(&PAD) {
                    tokens.pop();
                }
            }
            let separator = if let Self::Words { .. } = self {
                " "
            } else {
                ""
            };
            return Exhibit::Text {
                pieces: self.tokens(&tokens),
                separator: separator.into(),
                values,
            };
        };
        let pixels: Vec<f32> = input.iter::<f32>().collect();
        let pixel = |channel: usize, at: usize| {
            let value = pixels[channel * h * w + at] * std[channel] + mean[channel];
            (value * 255.0).round().clamp(0.0, 255.0) as u8
        };
        let (width, height) = (*w as u32, *h as u32);
        let image = match c {
            1 => {
                let pixels = (0..h * w).map(|at| pixel(0, at)).collect();
                GrayImage::from_raw(width, height, pixels).map(DynamicImage::from)
            }
            _ => {
                let pixels = (0..h * w)
                    .flat_map(|at| [0, 1, 2].map(|c| pixel(c, at)))
                    .collect();
                RgbImage::from_raw(width, height, pixels).map(DynamicImage::from)
            }
        };
        let mut png = std::io::Cursor::new(Vec::new());
        if let Some(image) = image {
            // Into memory: it does not fail.
            let _ = image.write_to(&mut png, ImageFormat::Png);
        }
        let picture = Picture {
            png: STANDARD.encode(png.into_inner()),
            size: [*h, *w],
        };
        Exhibit::Picture {
            picture,
            values,
            boxes: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use zoo_train::Pass;

    use super::*;

    #[test]
    fn values_of_parts_of_characters_go_to_the_whole() {
        let pieces = ["a", "", "", "b", ""].map(String::from).to_vec();
        let (pieces, values) = joined(pieces, vec![1.0, 2.0, 4.0, 8.0, 16.0]);
        assert_eq!(pieces, ["a", "b"]);
        assert_eq!(values, [1.0, 30.0]);
    }

    /// Pictures that cannot be read, or end the thread that reads them.
    #[cfg(feature = "flex")]
    #[test]
    fn what_cannot_be_looked_at_is_an_error_and_no_panic() {
        struct Broken(bool);
        impl Source for Broken {
            fn len(&self) -> usize {
                3
            }
            fn batch(&self, _: &[u32], _: Option<Pass>) -> Result<Batch, SourceError> {
                assert!(self.0, "a decoder's bug");
                Err("planted".into())
            }
        }
        let device = burn::tensor::Device::flex();
        let ready = crate::registry::MODELS[0].tiny().fresh(1, &device).unwrap();
        let codec = Codec::Images {
            shape: [1, 4, 4],
            mean: vec![0.0],
            std: vec![1.0],
            classes: Vec::new(),
        };
        for (reads, message) in [(true, "planted"), (false, "a decoder's bug")] {
            let error =
                examine(&*ready, &codec, "test", &Broken(reads), &Plan::default()).unwrap_err();
            assert!(error.to_string().contains(message), "{error}");
        }
    }
}
