//! One class of several: the task of most image networks, and of sentence classifiers.

mod images;
mod sentences;

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use zoo_train::{Example, Exhibit, Label, Part, Section, Unit};

pub use images::{ImageClasses, Images, batch as image_batch};
pub use sentences::{SentenceClasses, Sentences, batch as sentence_batch};

use crate::explain::with_answer;
use crate::problem_type::ProblemType;
use crate::room::{Answer, AnswerError};

/// Mistakes that are shown.
const MISTAKES: usize = 24;
/// Classes of which every pair is counted: its square is written down.
const MOST_CLASSES: usize = 2048;
/// Inputs that are explained.
const EXPLAINED: usize = 4;

/// The answer to one input: the classes, the likeliest first.
fn answer(
    input: &str,
    logits: Tensor<2>,
    head: ProblemType,
    classes: &[String],
    top: usize,
) -> Result<Answer, AnswerError> {
    let logits: Vec<f64> = logits.into_data().iter::<f64>().collect();
    let (values, unit) = head.read(&logits);
    if !values.iter().all(|value| value.is_finite()) {
        return Err(AnswerError::not_finite(input));
    }
    let mut ranked: Vec<(usize, f64)> = values.into_iter().enumerate().collect();
    if unit == Unit::Share {
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    }
    ranked.truncate(top);
    let name = |label: usize| named(classes, label);
    let labels = ranked.iter().map(|(label, value)| Label {
        name: name(*label),
        value: Some(*value),
        unit,
    });
    let key = match unit {
        Unit::Share => "probability",
        _ => "value",
    };
    let listed: Vec<_> = ranked
        .iter()
        .map(|(label, value)| {
            serde_json::json!({ "label": label, "class": name(*label), key: *value as f32 })
        })
        .collect();
    Ok(Answer {
        input: input.to_owned(),
        parts: vec![Part {
            caption: Part::ANSWER.to_owned(),
            exhibit: Exhibit::Labels {
                labels: labels.collect(),
            },
        }],
        json: serde_json::json!({ "classes": listed }),
    })
}

fn named(classes: &[String], label: usize) -> String {
    let name = classes.get(label).cloned();
    name.unwrap_or_else(|| label.to_string())
}

/// What a classifier says to an example of a split.
#[derive(Clone, Copy, Debug)]
struct Answered {
    label: usize,
    predicted: usize,
    /// The probability that it gives to what it predicts, 0..=1.
    confidence: f64,
    /// The cross-entropy with the true class, in nats.
    loss: f64,
}

/// What logits `[b, k]` say, beside the true classes.
fn answered(logits: Tensor<2>, labels: &[i64]) -> Vec<Answered> {
    let classes = logits.dims()[1];
    let scores = log_softmax(logits, 1).into_data();
    let scores: Vec<f64> = scores.iter::<f64>().collect();
    let rows = scores.chunks(classes.max(1)).zip(labels);
    rows.map(|(row, label)| {
        let likeliest = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let (predicted, score) = likeliest.map_or((0, f64::NAN), |(i, score)| (i, *score));
        let label = *label as usize;
        Answered {
            label,
            predicted,
            confidence: score.exp(),
            loss: -row.get(label).copied().unwrap_or(f64::NAN),
        }
    })
    .collect()
}

/// The wrong answers, by their loss.
fn worst(answers: &[Answered]) -> Vec<usize> {
    let mut wrong: Vec<usize> = (0..answers.len())
        .filter(|index| answers[*index].label != answers[*index].predicted)
        .collect();
    wrong.sort_by(|a, b| answers[*b].loss.total_cmp(&answers[*a].loss));
    wrong.truncate(MISTAKES);
    wrong
}

/// Examples to explain: spread over the split, the worst mistake first.
fn to_explain(examples: usize, worst: Option<usize>) -> Vec<usize> {
    let spread = (0..EXPLAINED).map(|part| part * examples / EXPLAINED);
    let mut explained: Vec<usize> = worst.into_iter().chain(spread).collect();
    explained.truncate(EXPLAINED);
    explained.sort_unstable();
    explained.dedup();
    explained
}

/// How often each class was taken for each; nothing where there are too many.
fn confusion(names: &[String], answers: &[Answered]) -> Option<Section> {
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

/// Examples with the answer and the truth.
fn mistakes<E>(
    classes: &[String],
    answers: &[Answered],
    worst: &[usize],
    show: impl Fn(usize) -> Result<Exhibit, E>,
) -> Result<Section, E> {
    let examples = worst.iter().map(|&index| {
        let answer = answers[index];
        Ok(with_answer(
            format!("no. {index}"),
            show(index)?,
            Label::likely(named(classes, answer.predicted), answer.confidence),
            named(classes, answer.label),
        ))
    });
    Ok(Section {
        examples: examples.collect::<Result<_, E>>()?,
        ..Section::new(
            "Worst mistakes",
            "The wrong answers with the largest loss: of which the model was surest.",
        )
    })
}
