//! One class of several: the task of most image networks, and of sentence classifiers.

mod images;
mod sentences;

use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use zoo_codec::ProblemType;
use zoo_train::{Example, Exhibit, Label, Section, Unit};

pub use images::{ImageClasses, Images, batch as image_batch};
pub use sentences::{SentenceClasses, Sentences, batch as sentence_batch};

use crate::codec::check_names;
use crate::explain::with_answer;
use crate::room::{Answer, AnswerError};

/// Mistakes that are shown.
const MISTAKES: usize = 24;
/// Classes of which every pair is counted: its square is written down.
const MOST_CLASSES: usize = 2048;
/// Inputs that are explained.
const EXPLAINED: usize = 4;

/// The answer to one input: the classes, the likeliest first; or its numbers, in their order.
fn answer(
    logits: Tensor<2>,
    problem_type: ProblemType,
    classes: &[String],
    top: usize,
) -> Result<Answer, AnswerError> {
    let logits: Vec<f64> = logits.into_data().iter::<f64>().collect();
    let (values, unit) = values(problem_type, &logits);
    if !values.iter().all(|value| value.is_finite()) {
        return Err(AnswerError::not_finite());
    }
    let mut ranked: Vec<(usize, f64)> = values.into_iter().enumerate().collect();
    // Numbers have no order by likelihood, so that none could be left out.
    if unit == Unit::Share {
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked.truncate(top);
    }
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
    let shown = Exhibit::Labels {
        labels: labels.collect(),
    };
    Ok(Answer::new(shown, serde_json::json!({ "classes": listed })))
}

/// What the logits `[k]` of one example say of each class, and in which unit.
fn values(problem_type: ProblemType, logits: &[f64]) -> (Vec<f64>, Unit) {
    let sigmoid = |logit: &f64| 1.0 / (1.0 + (-logit).exp());
    match problem_type {
        ProblemType::SingleLabelClassification => {
            let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers: Vec<f64> = logits.iter().map(|logit| (logit - most).exp()).collect();
            let sum: f64 = powers.iter().sum();
            let shares = powers.iter().map(|power| power / sum);
            (shares.collect(), Unit::Share)
        }
        ProblemType::MultiLabelClassification => {
            (logits.iter().map(sigmoid).collect(), Unit::Share)
        }
        ProblemType::Regression => (logits.to_vec(), Unit::Plain),
    }
}

/// Refuses names of classes that could not be shown, and one class that would always be right.
fn check(problem_type: ProblemType, classes: &[String]) -> Result<(), String> {
    if problem_type.is_single() && classes.len() == 1 {
        return Err(
            "one class (id2label, num_labels, num_classes): a softmax of one is 1 for any input; \
             problem_type says what the number is"
                .into(),
        );
    }
    check_names("codec.classes", classes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_say_what_transformers_says() {
        let logits = [2.0, -1.0, 0.5];
        let (shares, unit) = values(ProblemType::SingleLabelClassification, &logits);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12 && unit == Unit::Share);
        // 1 / (1 + e^2), and without an overflow.
        let (two, _) = values(ProblemType::SingleLabelClassification, &[-1.0, 1.0]);
        assert!((two[0] - 0.119_202_922_022_117_56).abs() < 1e-12, "{two:?}");
        let (sure, _) = values(ProblemType::SingleLabelClassification, &[1e30, -1e30]);
        assert_eq!(sure, [1.0, 0.0]);
        let (each, unit) = values(ProblemType::MultiLabelClassification, &logits);
        assert!((each[0] - 0.880_797_077_977_882_3).abs() < 1e-12 && unit == Unit::Share);
        assert!((each[1] - 0.268_941_421_369_995_1).abs() < 1e-12);
        assert_eq!(
            values(ProblemType::Regression, &logits),
            (logits.to_vec(), Unit::Plain)
        );
    }

    #[test]
    fn one_class_is_no_certainty() {
        let one = ["only".to_owned()];
        check(ProblemType::SingleLabelClassification, &one).unwrap_err();
        check(ProblemType::Regression, &one).unwrap();
        check(ProblemType::MultiLabelClassification, &one).unwrap();
    }
}
